"""How many samples a network classifies correctly: at the end of its window, and at every step.

Output spikes add up over the window, so that one pass tells the answer at each step, and how many
synaptic events it had taken by then. Percentages are of samples; `low` and `high` are the ends of
an interval at the level of confidence that was asked for.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import NotNegative, Percent, Row, Table, accuracy_interval
from spikejoule.data.events import offsets_of
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.measurement import Measurement

# Bounds the memory of the running spike counts, which are dense: 4 bytes each.
_COUNTS_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Accuracy:
    """A fraction of correct predictions in percent, with its Wilson interval.

    A class without samples has no accuracy: the three percentages are None.
    """

    n_samples: int
    n_correct: int
    percent: float | None
    low_percent: float | None
    high_percent: float | None

    def entries(self, name: str = "accuracy") -> dict[str, float | None]:
        """The percentages as files name them, such as `accuracy_low_percent`."""
        ends = (self.low_percent, self.percent, self.high_percent)
        return dict(zip(accuracy_interval(name), ends, strict=True))


def accuracy(n_correct: int, n_samples: int, confidence: float = 0.95) -> Accuracy:
    """Accuracy in percent with the Wilson score interval at the level `confidence`.

    The interval stays inside [0, 100] and is honest near both ends (Wilson 1927, J. Am. Stat.
    Assoc. 22, 209, doi:10.1080/01621459.1927.10502953). Raises ValueError for impossible counts.
    """
    if n_samples == 0 and n_correct == 0:
        return Accuracy(0, 0, None, None, None)
    # It takes half a second, and who reads results of an evaluation needs none of it.
    from scipy.stats import binomtest

    interval = binomtest(n_correct, n_samples).proportion_ci(confidence, method="wilson")
    return Accuracy(
        n_samples=n_samples,
        n_correct=n_correct,
        percent=100 * n_correct / n_samples,
        low_percent=100 * float(interval.low),
        high_percent=100 * float(interval.high),
    )


class StepRow(Row):
    """Test accuracy if every image is classified at a step of 1 ms, and its mean cost by then."""

    intervals: ClassVar = (accuracy_interval(),)

    step: int = Field(ge=1)
    accuracy_percent: Percent
    accuracy_low_percent: Percent
    accuracy_high_percent: Percent
    synaptic_events_per_inference: NotNegative


class StepTable(Table):
    """Test accuracy at each step of the window: metrics/accuracy_by_step.csv."""

    row: ClassVar[type[Row]] = StepRow
    rows: tuple[StepRow, ...]

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> Self:
        if not self.rows or [row.step for row in self.rows] != list(range(1, len(self.rows) + 1)):
            raise ValueError("it must have a row for each step from 1 on")
        events = [row.synaptic_events_per_inference for row in self.rows]
        if sorted(events) != events:
            raise ValueError("synaptic events must not decrease from step to step")
        return self


@dataclass(frozen=True, eq=False)
class StepOutcomes:
    """What N samples would give if they were stopped at each of T steps.

    Attributes:
        correct: whether the leading class is the label's, bool [N, T]; the first of equals leads.
        margins: spikes by which the leading class is ahead of the second, int32 [N, T].
        synaptic_events: spent through each step, int64 [N, T].
        fired: whether an output neuron has spiked by each step, bool [N, T].
    """

    correct: NDArray[np.bool_]
    margins: NDArray[np.int32]
    synaptic_events: NDArray[np.int64]
    fired: NDArray[np.bool_]


def step_outcomes(measured: Measurement, labels: NDArray[np.integer]) -> StepOutcomes:
    """Follow measured samples with their labels [N] through the window.

    Raises:
        ArtifactError: there is not one label for each sample, or no sample.
    """
    output = measured.layers[-1]
    n_samples, n_steps, n_classes = output.n_samples, output.n_steps, output.n_inputs
    if labels.shape != (n_samples,) or n_samples == 0:
        raise ArtifactError(
            f"labels {labels.shape} do not belong to the output spikes of {n_samples} samples over "
            f"{n_steps} steps"
        )
    spent = np.zeros(n_samples * n_steps, dtype=np.int64)
    for events, fan_out in zip(measured.layers[:-1], measured.fan_outs, strict=True):
        spent += np.diff(offsets_of(fan_out[events.sources])[events.offsets])
    correct = np.empty((n_samples, n_steps), dtype=np.bool_)
    margins = np.empty((n_samples, n_steps), dtype=np.int32)
    fired = np.empty((n_samples, n_steps), dtype=np.bool_)
    at_once = max(1, _COUNTS_AT_ONCE // (n_steps * n_classes))
    for start in range(0, n_samples, at_once):
        chosen = slice(start, min(start + at_once, n_samples))
        counts = _running_counts(output, chosen)
        correct[chosen] = counts.argmax(axis=2) == labels[chosen, None]
        fired[chosen] = counts.any(axis=2)
        if n_classes == 1:
            margins[chosen] = counts[:, :, 0]
            continue
        ranked = np.partition(counts, n_classes - 2, axis=2)
        margins[chosen] = ranked[:, :, -1] - ranked[:, :, -2]
    through = np.cumsum(spent.reshape(n_samples, n_steps), axis=1)
    return StepOutcomes(correct, margins, through, fired)


def _running_counts(output: EventList, samples: slice) -> NDArray[np.int32]:
    """Output spikes of some samples through each step, int32 [n, T, C]."""
    n_steps, n_classes = output.n_steps, output.n_inputs
    offsets = output.offsets[samples.start * n_steps : samples.stop * n_steps + 1]
    n_rows = offsets.size - 1
    places = np.repeat(np.arange(n_rows, dtype=np.int64) * n_classes, np.diff(offsets))
    places += output.sources[offsets[0] : offsets[-1]]
    fired = np.bincount(places, minlength=n_rows * n_classes).astype(np.int32)
    return np.cumsum(fired.reshape(-1, n_steps, n_classes), axis=1, dtype=np.int32)


def accuracy_by_step(outcomes: StepOutcomes, confidence: float = 0.95) -> StepTable:
    """Accuracy and mean synaptic events of stopping every sample at the same step, 1, 2, ... T."""
    n_samples = len(outcomes.correct)
    steps = zip(
        outcomes.correct.sum(axis=0).tolist(),
        outcomes.synaptic_events.mean(axis=0).tolist(),
        strict=True,
    )
    rows = [
        {
            "step": step,
            **accuracy(n_correct, n_samples, confidence).entries(),
            "synaptic_events_per_inference": synaptic_events,
        }
        for step, (n_correct, synaptic_events) in enumerate(steps, start=1)
    ]
    return StepTable.model_validate({"rows": tuple(rows)})
