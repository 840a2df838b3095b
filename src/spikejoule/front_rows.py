"""The table that `spikejoule front` writes and the energy report shows: its columns and rows."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.errors import ArtifactError
from spikejoule.files import read_csv

FRONT_COLUMNS: Final = (
    "name",
    "early_exit",
    "on_front",
    "validation_accuracy_percent",
    "test_accuracy_percent",
    "synaptic_events_per_inference",
    "data_source",
    "git_commit",
    "run_id",
)
# Metrics of a run that uses its whole window, and of the same run when it answers early:
# validation accuracy, test accuracy, synaptic events of a test image.
WHOLE_WINDOW = (
    "best_validation_accuracy_percent",
    "test_accuracy_percent",
    "test_synaptic_events_per_inference",
)
EARLY_EXIT = (
    "early_exit_validation_accuracy_percent",
    "early_exit_test_accuracy_percent",
    "early_exit_synaptic_events_per_inference",
)

_RUN_ID = re.compile(r"[0-9a-f]{32}", flags=re.ASCII)


@dataclass(frozen=True)
class FrontRun:
    """One recorded run of a sweep, as a point.

    Attributes:
        name: of the run.
        early_exit: whether it answers before the end of the window.
        on_front: whether no other run is as good at fewer synaptic events.
        validation_percent, test_percent: accuracies.
        synaptic_events: an inference, on average.
        data_source: of its images.
        git_commit: of the code that made it, or "unknown".
        run_id: MLflow's identifier of it.
        settings: the parameters in which the runs differ, as MLflow keeps them; "" for none.
    """

    name: str
    early_exit: bool
    on_front: bool
    validation_percent: float
    test_percent: float
    synaptic_events: float
    data_source: str
    git_commit: str
    run_id: str
    settings: Mapping[str, str]


def pareto_front(costs: Sequence[float], gains: Sequence[float]) -> tuple[bool, ...]:
    """Which points no other point beats: costs at most as high, gains at least, one of them better.

    Equal points are on the front together. The costs are sorted once, so the work is O(N log N).
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place], -gains[place]))
    on_front = [False] * len(costs)
    best = -math.inf
    last_cost = math.nan
    for place in order:
        if gains[place] > best:
            best, last_cost = gains[place], costs[place]
            on_front[place] = True
        elif gains[place] == best and costs[place] == last_cost:
            on_front[place] = True
    return tuple(on_front)


def check_front(rows: Sequence[FrontRun]) -> str | None:
    """What is wrong with the first row that cannot be as it is; None if all can."""
    seen = set()
    last_events = 0.0
    on_front = pareto_front(
        [row.synaptic_events for row in rows], [row.validation_percent for row in rows]
    )
    for number, (row, is_on_front) in enumerate(zip(rows, on_front, strict=True), start=1):
        at = f"row {number}"
        if not _RUN_ID.fullmatch(row.run_id):
            return f"{at}: run_id must be MLflow's 32 hexadecimal digits, but is {row.run_id!r}"
        if (row.run_id, row.early_exit) in seen:
            return f"{at} repeats an earlier one: run {row.run_id}, early_exit {row.early_exit:d}"
        seen.add((row.run_id, row.early_exit))
        for name, value, most in (
            ("validation_accuracy_percent", row.validation_percent, 100),
            ("test_accuracy_percent", row.test_percent, 100),
            ("synaptic_events_per_inference", row.synaptic_events, math.inf),
        ):
            if not (0 <= value <= most and math.isfinite(value)):
                allowed = "0 to 100" if most == 100 else "0 or more"
                return f"{at}: {name} must be {allowed}, but is {value}"
        if row.synaptic_events < last_events:
            return f"{at} has fewer synaptic events than the row before it: they must ascend"
        last_events = row.synaptic_events
        if row.data_source != rows[0].data_source:
            return f"{at} is of the data {row.data_source!r}, row 1 of {rows[0].data_source!r}"
        if row.on_front != is_on_front:
            return (
                f"{at}: on_front is {row.on_front:d}, but by the accuracies and events of all rows "
                f"it is {is_on_front:d}"
            )
    return None


def read_front(path: Path) -> tuple[FrontRun, ...]:
    """Read the table; ArtifactError if it is missing or damaged, or its rows cannot be."""
    rows = tuple(
        FrontRun(
            name=row["name"],
            early_exit=_flag(row["early_exit"], path),
            on_front=_flag(row["on_front"], path),
            validation_percent=_number(row["validation_accuracy_percent"], path),
            test_percent=_number(row["test_accuracy_percent"], path),
            synaptic_events=_number(row["synaptic_events_per_inference"], path),
            data_source=row["data_source"],
            git_commit=row["git_commit"],
            run_id=row["run_id"],
            settings={name: text for name, text in row.items() if name not in FRONT_COLUMNS},
        )
        for row in read_csv(path, FRONT_COLUMNS)
    )
    problem = check_front(rows)
    if problem is not None:
        raise ArtifactError(f"{path}: {problem}: `make front` writes it again.")
    return rows


def _flag(text: str, path: Path) -> bool:
    if text not in ("0", "1"):
        raise ArtifactError(f"{path} holds {text!r} in place of 0 or 1: write it again.")
    return text == "1"


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArtifactError(
            f"{path} holds {text!r} in place of a number: write it again."
        ) from None
