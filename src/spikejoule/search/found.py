"""What a search has found: a table, a figure, and the command that repeats each point of the front.

Everything here was measured on validation images. What a point reaches on test images is measured
by the pipeline, which those commands run.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from optuna.trial import FrozenTrial

from spikejoule.core.store import write_csv
from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import pareto_front
from spikejoule.params import Params
from spikejoule.report.charts.accuracy import Point, search_front
from spikejoule.search.space import SYNAPTIC_EVENTS
from spikejoule.search.study import ENDED, Search, number_of
from spikejoule.tracking.pareto import experiment_command

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

Row = dict[str, Any]
"""A trial that was trained to its end, by column: its number in the study; whether no other trial
is as accurate for as little energy; what it gave, `trained_sha256` as that of `models/trained.pth`
after the command; the experiment that repeats it; and its parameters by full key."""


def found_rows(trials: Sequence[FrozenTrial], search: Search, current: Params) -> list[Row]:
    """The trials that were trained to their end, the cheapest first.

    Args:
        trials: of them.
        search: which they belong to.
        current: params.yaml, which the commands start from.
    """
    space, now = search.space, {key: str(value) for key, value in current.flattened().items()}
    order = sorted(trials, key=lambda trial: (trial.values[1], number_of(trial)))
    accuracies, energies = zip(*(trial.values for trial in order), strict=True)
    rows: list[Row] = []
    for trial, on_front in zip(order, pareto_front(energies, accuracies), strict=True):
        ended = trial.user_attrs[ENDED]
        drawn = ended["parameters"]
        whole = {key: str(value) for key, value in space.params(drawn).flattened().items()}
        rows.append(
            {
                "trial": number_of(trial),
                "on_front": int(on_front),
                **ended["metrics"],
                **{name.removeprefix("spikejoule."): text for name, text in ended["tags"].items()},
                # `dvc exp run` leaves what it sets in params.yaml: what one sets, all set.
                "command": experiment_command(whole, now, {*space.entries, *search.settings.fixed}),
                **{key: str(value) for key, value in drawn.items()},
            }
        )
    return rows


def write_table(rows: Sequence[Row], keys: Collection[str], file: Path) -> None:
    """Write the trials as CSV, with the parameters `keys` of each that were drawn."""
    columns = (*COLUMNS, *keys)
    write_csv(file, columns, [[row.get(name, "") for name in columns] for row in rows])


def front_text(rows: Sequence[Row], energy: str) -> str:
    """The Pareto front in words, with the command of each point; `energy` is as in search.yaml."""
    shown = {
        "trial": ("trial", "d"),
        "validation %": ("validation_accuracy_percent", ".2f"),
        "nJ": ("energy_nj_per_inference", ",.4g"),
        "synaptic events": ("synaptic_events_per_inference", ",.0f"),
    }
    measure = f"energy under {energy}"
    if energy == SYNAPTIC_EVENTS:
        measure = "synaptic events"
        del shown["nJ"]
    front = [row for row in rows if row["on_front"]]
    cells = [[format(row[name], style) for name, style in shown.values()] for row in front]
    commands = "".join(f"  {row['command']}\n" for row in front)
    return (
        f"On the front of validation accuracy and {measure}, both per inference on the validation "
        f"set:\n\n{text_table(list(shown), cells)}\n\nEach again through the pipeline, to the same "
        f"weights:\n{commands}"
    )


def front_png(rows: Sequence[Row], energy: str, source: str) -> bytes:
    """The trials as a figure: PNG bytes. Raises ValueError if none takes any energy.

    Args:
        rows: of the trials.
        energy: as in search.yaml.
        source: how many trials there were.
    """
    column, measure = "energy_nj_per_inference", f"nJ per inference ({energy})"
    if energy == SYNAPTIC_EVENTS:
        column, measure = "synaptic_events_per_inference", "Synaptic events per inference"
    points = [
        Point(row[column], row["validation_accuracy_percent"], str(row["trial"]), row["on_front"])
        for row in rows
    ]
    return search_front(points, f"{measure}, mean over the validation set, log scale", source).png()
