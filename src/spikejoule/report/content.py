"""What the energy report shows, and how it is read from the pipeline's files."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.energy import EnergyAnalysis
from spikejoule.measure.evaluation_files import AccuracyBySteps, EarlyExitFile, ExitEntry
from spikejoule.measure.front_rows import FrontRun
from spikejoule.spikes.events import EventList


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


def outcomes_by_step(steps: AccuracyBySteps) -> tuple[Outcome, ...]:
    """What answering at step 1, 2, ... gives."""
    return tuple(
        Outcome(
            row.accuracy_percent,
            row.accuracy_low_percent,
            row.accuracy_high_percent,
            row.synaptic_events_per_inference,
            float(row.step),
        )
        for row in steps.rows
    )


def early_answer(file: EarlyExitFile) -> EarlyAnswer:
    """What answering early gives on the test images."""
    return EarlyAnswer(
        margin_spikes=file.margin_spikes,
        tolerance_percent=file.tolerance_percent,
        chosen_on_test_images=file.chosen_on_test_images,
        early=_outcome(file.test),
        whole=_outcome(file.whole_window.test),
    )


def _outcome(entry: ExitEntry) -> Outcome:
    return Outcome(
        entry.accuracy_percent,
        entry.accuracy_low_percent,
        entry.accuracy_high_percent,
        entry.synaptic_events_per_inference,
        entry.mean_exit_step,
    )
