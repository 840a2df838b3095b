"""DVC's experiments in lines of at most 80 characters: `python -m stages.experiments`.

`dvc exp show` cuts its columns at the width of the terminal, the parameters that differ
first.
"""

import io
import subprocess
import sys

import pandas as pd

from spikejoule.tracking.listing import figures_text

NUMBERS = ("accuracy", "events", "energy_nj", "ratio")
FIGURES = (*NUMBERS, "prices", "ratio_bound")
# What `dvc exp show --csv` writes before the metrics, and other metrics of
# metrics/summary.json.
_OF_DVC = ("Experiment", "rev", "typ", "parent", "State", "Executor")
_SHOW = (
    "exp",
    "show",
    "--csv",
    "--only-changed",
    "--keep",
    f"^({'|'.join(FIGURES)})$",
    "--drop",
    r".*/.*|Created|accuracy_val|arithmetic_nj|early.*",
)


def experiments_text(csv: str) -> str:
    """The table of what `dvc exp show --csv` writes."""
    table = pd.read_csv(io.StringIO(csv), dtype=str)
    table = table.reindex(columns=[*table, *({*_OF_DVC, *FIGURES} - {*table})])
    # A file that DVC cannot read has "!" in place of a number.
    numbers = table[[*NUMBERS]].apply(pd.to_numeric, errors="coerce")
    figures = numbers.assign(
        name=table["Experiment"].fillna(table["rev"]),
        prices=table["prices"],
        bound=table["ratio_bound"],
        state=table["State"].astype("string").str.lower(),
    )
    parameters = table.drop(columns=[*FIGURES, *_OF_DVC])
    return figures_text(figures, parameters)


if __name__ == "__main__":
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", *_SHOW],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if shown.returncode:
        sys.exit(shown.returncode)
    print(experiments_text(shown.stdout), end="")
