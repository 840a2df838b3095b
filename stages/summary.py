"""The last lines of a run: its figures, and what to do next.

`make repro` prints them with `python -m stages.summary`, and the stage `publish` prints
them in an experiment.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.store import read_json
from spikejoule.core.terminal import wrapped
from spikejoule.core.yaml_files import artifact_paths
from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.prices import load_profiles

PJ_PER_NJ = 1000

NO_IDENTITY = """
git does not know your name and email address yet; `dvc exp run` needs them:
  git config user.name "Your Name"
  git config user.email you@example.org"""


NEXT = """
next      open reports/try.html in a browser, and draw a digit
          read reports/energy.html: where each joule comes from
          dvc exp run -S train.lr=0.001   runs your own experiment
          make ui                         shows all runs"""


def figures_text(summary: Mapping[str, Any], bound: str, data: str, prices: str) -> str:
    """Write a line for each figure.

    There is no energy if the price list does not cover the network, and no ratio if no
    conventional network is comparable.

    Args:
        summary: the figures that DVC compares.
        bound: empty, or what the ratio is a bound of: ``at least`` or ``at most``.
        data, prices: titles.
    """
    figures = {"accuracy": f"{summary['accuracy']:.2f} % on test images of {data}"}
    if "energy_nj" in summary:
        energy = joules(PJ_PER_NJ * summary["energy_nj"])
        figures["energy"] = f"{energy} per inference ({prices})"
    if "ratio" in summary:
        ratio = f"{bound} {plain(summary['ratio'])} times".strip()
        figures["ratio"] = (
            f"{ratio} the energy of a conventional network at equal accuracy"
        )
    return "\n".join(f"{name:<10}{text}" for name, text in figures.items())


def summary_text(folder: Path) -> str:
    """Write a run's figures, and what to do next."""
    paths = artifact_paths(folder)
    energy = read_json(folder / paths["energy_metrics"])
    profiles = load_profiles(folder / paths["hardware"])
    figures = figures_text(
        read_json(folder / paths["summary"]),
        bound=energy.get("ratio_bound", ""),
        data=read_json(folder / paths["data_metrics"])["title"],
        prices=profiles[energy["profile"]].title,
    )
    return wrapped(f"\n{figures}\n{NEXT}")


def has_git_identity(folder: Path) -> bool:
    """Whether git has a name and an address, in its settings or variables."""
    command = ["git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


def main(folder: Path) -> None:
    """Print a run's figures, and the git settings that experiments still need."""
    print(summary_text(folder))
    if not has_git_identity(folder):
        print(NO_IDENTITY)


if __name__ == "__main__":
    try:
        main(Path())
    except SpikejouleError as error:
        sys.exit(f"error: {error}")
