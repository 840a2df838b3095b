"""What a search has found: a table, a figure, and the command that repeats each point of the front.

Everything here was measured on validation images. What a point reaches on test images is measured
by the pipeline, which those commands run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd
from optuna.trial import FrozenTrial

from spikejoule.core.store import write_csv
from spikejoule.evaluation.front_rows import pareto_front
from spikejoule.params import Params
from spikejoule.report.charts.accuracy import Point, search_front
from spikejoule.search.space import SYNAPTIC_EVENTS
from spikejoule.search.study import ENDED, Search, number_of
from spikejoule.tracking.recorded import experiment_command, frame_text

COLUMNS: Final = (
    "trial",
    "on_front",
    "validation_accuracy_percent",
    "energy_nj_per_inference",
    "synaptic_events_per_inference",
    "trained_sha256",
    "command",
)
"""Of metrics/search.csv, before the parameters that are searched."""


def found_table(trials: Sequence[FrozenTrial], search: Search, current: Params) -> pd.DataFrame:
    """The trials that were trained to their end, a row each, the cheapest first.

    The columns are `COLUMNS` and the parameters that are searched, as text: its number in the
    study; whether no other trial is as accurate for as little energy; what it gave,
    `trained_sha256` as that of `models/trained.pth` after the command; and the experiment that
    repeats it, starting from params.yaml, which `current` is.
    """
    now = {key: str(value) for key, value in current.flattened().items()}
    order = sorted(trials, key=lambda trial: (trial.values[1], number_of(trial)))
    accuracies, energies = zip(*(trial.values for trial in order), strict=True)
    rows = []
    for trial, on_front in zip(order, pareto_front(energies, accuracies), strict=True):
        ended = trial.user_attrs[ENDED]
        whole = {key: str(value) for key, value in ended["parameters"].items()}
        rows.append(
            {
                "trial": number_of(trial),
                "on_front": int(on_front),
                **ended["metrics"],
                "trained_sha256": ended["trained_sha256"],
                # `dvc exp run` leaves what it sets in params.yaml: what one sets, all set.
                "command": experiment_command(
                    whole, now, {*search.space.entries, *search.settings.fixed}
                ),
                **{key: whole[key] for key in search.space.entries},
            }
        )
    return pd.DataFrame(rows).reindex(columns=[*COLUMNS, *search.space.entries])


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write metrics/search.csv."""
    write_csv(file, tuple(table), table.astype(object).fillna("").to_numpy().tolist())


def front_text(table: pd.DataFrame, energy: str) -> str:
    """The Pareto front in words, with the command of each point; `energy` is as in search.yaml."""
    front = table[table["on_front"] == 1]
    shown = {
        "trial": ("trial", "d"),
        "validation_accuracy_percent": ("validation %", ".2f"),
        "energy_nj_per_inference": ("nJ", ",.4g"),
        "synaptic_events_per_inference": ("synaptic events", ",.0f"),
    }
    measure = "synaptic events" if energy == SYNAPTIC_EVENTS else f"energy under {energy}"
    commands = "".join(f"  {command}\n" for command in front["command"])
    return (
        f"On the front of validation accuracy and {measure}, both per inference on the validation "
        f"set:\n\n{frame_text(front, shown)}\n\nEach again through the pipeline, to the same "
        f"weights:\n{commands}"
    )


def front_png(table: pd.DataFrame, energy: str, source: str) -> bytes:
    """The trials as a figure: PNG bytes. Raises ValueError if none takes any energy.

    Args:
        table: of the trials.
        energy: as in search.yaml.
        source: how many trials there were.
    """
    column, measure = "energy_nj_per_inference", f"nJ per inference ({energy})"
    if energy == SYNAPTIC_EVENTS:
        column, measure = "synaptic_events_per_inference", "Synaptic events per inference"
    points = [
        Point(row[column], row["validation_accuracy_percent"], str(row["trial"]), row["on_front"])
        for row in table.to_dict("records")
    ]
    return search_front(points, f"{measure}, mean over the validation set, log scale", source).png()
