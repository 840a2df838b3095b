"""What the energy report shows, and how it is read from the pipeline's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spikejoule.energy import EnergyAnalysis
from spikejoule.errors import ArtifactError
from spikejoule.events import EventList
from spikejoule.files import read_csv, read_json
from spikejoule.front_rows import FrontRun


@dataclass(frozen=True)
class Outcome:
    """Test accuracy in percent, and what an inference spends on it, on average.

    `steps` are of 1 ms; `low_percent` and `high_percent` are the ends of the accuracy's interval.
    """

    accuracy_percent: float
    low_percent: float
    high_percent: float
    synaptic_events: float
    steps: float


@dataclass(frozen=True)
class EarlyAnswer:
    """Answering as soon as one class leads by a margin, against the whole window.

    Attributes:
        margin_spikes: the lead.
        tolerance_percent: validation accuracy that it was allowed to cost, percentage points.
        chosen_on_test_images: whether the margin was chosen on the very images it is tested on.
        early: with the margin.
        whole: without.
    """

    margin_spikes: int
    tolerance_percent: float
    chosen_on_test_images: bool
    early: Outcome
    whole: Outcome


@dataclass(frozen=True, eq=False)
class Raster:
    """The spikes of one image: an EventList of one sample for each layer, the input first."""

    label: int
    layer_names: Sequence[str]
    layers: Sequence[EventList]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything on the page; what is not known is empty, and the page says so.

    Attributes:
        analysis: the priced counts.
        by_step: accuracy if every image is answered at step 1, 2, ...
        early: answering early.
        front: the runs of a sweep.
        raster: the spikes of one image.
        provenance: parameters, data and checksums, label and value.
    """

    analysis: EnergyAnalysis
    by_step: tuple[Outcome, ...] = ()
    early: EarlyAnswer | None = None
    front: tuple[FrontRun, ...] = ()
    raster: Raster | None = None
    provenance: tuple[tuple[str, str], ...] = ()


_STEP_COLUMNS: Final = (
    "step",
    "accuracy_percent",
    "accuracy_low_percent",
    "accuracy_high_percent",
    "synaptic_events_per_inference",
)


def read_by_step(path: Path) -> tuple[Outcome, ...]:
    """Read the table of accuracy by step; ArtifactError if it is missing or damaged."""
    return tuple(
        Outcome(
            *(_number(row[name], path) for name in (*_STEP_COLUMNS[1:], "step")),
        )
        for row in read_csv(path, _STEP_COLUMNS)
    )


def read_early_answer(path: Path) -> EarlyAnswer:
    """Read what answering early gives; ArtifactError if the file is missing or damaged."""
    content = read_json(path)
    try:
        return EarlyAnswer(
            margin_spikes=int(content["margin_spikes"]),
            tolerance_percent=float(content["tolerance_percent"]),
            chosen_on_test_images=bool(content["chosen_on_test_images"]),
            early=_outcome(content["test"]),
            whole=_outcome(content["whole_window"]["test"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path} lacks an entry or holds a wrong one ({error}): run the stage that writes it."
        ) from error


def _outcome(entry: Mapping[str, Any]) -> Outcome:
    return Outcome(
        float(entry["accuracy_percent"]),
        float(entry["accuracy_low_percent"]),
        float(entry["accuracy_high_percent"]),
        float(entry["synaptic_events_per_inference"]),
        float(entry["mean_exit_step"]),
    )


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArtifactError(
            f"{path} holds {text!r} in place of a number: write it again."
        ) from None
