"""What a search has found: a table, a figure, and the command that repeats each point of the front.

Everything here was measured on validation images. What a point reaches on test images is measured
by the pipeline, which those commands run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spikejoule.core.store import write_csv
from spikejoule.core.text import text_table
from spikejoule.evaluation.front_rows import pareto_front
from spikejoule.params import Params, Value
from spikejoule.report.charts.accuracy import Point, search_front
from spikejoule.search.settings import SYNAPTIC_EVENTS
from spikejoule.search.space import SearchSpace
from spikejoule.search.trial import TrialResult
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


@dataclass(frozen=True)
class FoundTrial:
    """A trial that was trained to its end.

    Attributes:
        trial: its number in the study.
        on_front: whether no other trial is as accurate for as little energy.
        result: what it gave; `trained_sha256` is that of `models/trained.pth` after the command.
        drawn: its parameters, by full key.
        command: the experiment that repeats the trial through the pipeline.
    """

    trial: int
    on_front: bool
    result: TrialResult
    drawn: Mapping[str, Value]
    command: str


def found_trials(
    found: Mapping[int, tuple[TrialResult, Mapping[str, Value]]],
    space: SearchSpace,
    fixed: Mapping[str, Any],
    current: Params,
) -> list[FoundTrial]:
    """Trials, the cheapest first.

    Args:
        found: by number of the trial, its result and what was drawn.
        space: what it was drawn from.
        fixed: what search.yaml has fixed, by full key.
        current: params.yaml, which the commands start from.
    """
    order = sorted(found, key=lambda number: (found[number][0].objectives[1], number))
    accuracies, energies = zip(*(found[number][0].objectives for number in order), strict=True)
    now = {key: str(value) for key, value in current.flattened().items()}
    trials = []
    for number, on_front in zip(order, pareto_front(energies, accuracies), strict=True):
        result, drawn = found[number]
        # `dvc exp run` leaves what it sets in params.yaml: what one command sets, all of them do.
        whole = {key: str(value) for key, value in space.params(drawn).flattened().items()}
        command = experiment_command(whole, now, {*space.entries, *fixed})
        trials.append(FoundTrial(number, on_front, result, drawn, command))
    return trials


def write_table(trials: Sequence[FoundTrial], keys: Sequence[str], file: Path) -> None:
    """Write every trial as CSV, with what was drawn of the parameters `keys`."""
    rows = [
        (
            one.trial,
            int(one.on_front),
            one.result.validation_accuracy_percent,
            one.result.energy_nj_per_inference,
            one.result.synaptic_events_per_inference,
            one.result.trained_sha256,
            one.command,
            *(str(one.drawn.get(key, "")) for key in keys),
        )
        for one in trials
    ]
    write_csv(file, (*COLUMNS, *keys), rows)


def front_text(trials: Sequence[FoundTrial], energy: str) -> str:
    """The Pareto front in words, with the command of each point; `energy` is as in search.yaml."""
    events = energy == SYNAPTIC_EVENTS
    front = [one for one in trials if one.on_front]
    rows = [
        (
            str(one.trial),
            f"{one.result.validation_accuracy_percent:.2f}",
            *([] if events else [f"{one.result.energy_nj_per_inference:,.4g}"]),
            f"{one.result.synaptic_events_per_inference:,.0f}",
        )
        for one in front
    ]
    header = ("trial", "validation %", *([] if events else ["nJ"]), "synaptic events")
    lines = [
        "On the front of validation accuracy and "
        f"{'synaptic events' if events else f'energy under {energy}'}, both per inference on the "
        "validation set:",
        "",
        text_table(header, rows),
        "",
        "Each again through the pipeline, to the same weights:",
        *(f"  {one.command}" for one in front),
    ]
    return "\n".join(lines) + "\n"


def front_png(trials: Sequence[FoundTrial], energy: str, source: str) -> bytes:
    """The trials as a figure: PNG bytes. Raises ValueError if none takes any energy.

    Args:
        trials: of one search.
        energy: as in search.yaml.
        source: how many trials there were.
    """
    measure = f"nJ per inference ({energy})"
    if energy == SYNAPTIC_EVENTS:
        measure = "Synaptic events per inference"
    points = [
        Point(one.result.objectives[1], one.result.objectives[0], str(one.trial), one.on_front)
        for one in trials
    ]
    return search_front(points, f"{measure}, mean over the validation set, log scale", source).png()
