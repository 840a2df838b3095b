"""Answering before the window is over: accuracy and cost at every step, from one pass.

Output spikes add up over the window, so that the same pass tells what the network would have
answered at each step, and how many synaptic events it had spent by then. There are two rules. By a
lead, a network stops as soon as the class in the lead is ahead of the second by a margin of spikes;
the margin is chosen on the validation images. By the first spike, it stops in the first step in
which an output neuron spikes, which leaves nothing to choose. What a rule is worth is measured on
the test images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from spikejoule.foundation.errors import ArtifactError
from spikejoule.measure.evaluation import Accuracy, accuracy
from spikejoule.measure.measurement import Measurement
from spikejoule.spikes.events import EventList

# Bounds the memory of the running spike counts, which are dense: 4 bytes each.
_COUNTS_AT_ONCE = 20_000_000


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


@dataclass(frozen=True, eq=False)
class AccuracyByStep:
    """Accuracy and mean synaptic events if every sample is stopped at step 1, 2, ... T.

    Attributes:
        accuracies: with their intervals, one per step.
        mean_synaptic_events: through each step, float64 [T].
    """

    accuracies: tuple[Accuracy, ...]
    mean_synaptic_events: NDArray[np.float64]


@dataclass(frozen=True)
class ExitOutcome:
    """What stopping early gives on one set of images.

    Attributes:
        accuracy: with its interval.
        mean_exit_step: from 1 to T.
        mean_synaptic_events: per inference; low and high bound the mean at the accuracy's level of
            confidence (normal approximation).
    """

    accuracy: Accuracy
    mean_exit_step: float
    mean_synaptic_events: float
    low_synaptic_events: float
    high_synaptic_events: float


@dataclass(frozen=True)
class EarlyExit:
    """A rule for stopping, and its outcome on validation and on test images.

    Attributes:
        margin: spikes of lead at which a sample stops, chosen on the validation images; one more
            than T never does. None: at the first output spike.
        minimal_steps: the first step at which a sample may stop.
        tolerance_percent: percentage points of validation accuracy that stopping at a margin may
            cost; None where no margin was chosen.
        validation, test: the outcomes with this rule.
        full_validation, full_test: the outcomes of the whole window.
    """

    margin: int | None
    minimal_steps: int
    tolerance_percent: float | None
    validation: ExitOutcome
    test: ExitOutcome
    full_validation: ExitOutcome
    full_test: ExitOutcome


def synaptic_events_by_step(
    layers: Sequence[EventList], fan_outs: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Synaptic events of each sample in each step, all weight matrices together, int64 [N, T].

    Args:
        layers: the spikes of every layer, the input first; the output's reach no synapse.
        fan_outs: synapses that each source reaches, from `model.fan_out.fan_outs_by_source`.
    """
    first = layers[0]
    total = np.zeros(first.n_samples * first.n_steps, dtype=np.int64)
    for events, fan_out in zip(layers[:-1], fan_outs, strict=True):
        before = np.zeros(events.n_events + 1, dtype=np.int64)
        np.cumsum(fan_out[events.sources], out=before[1:])
        total += np.diff(before[events.offsets])
    return total.reshape(first.n_samples, first.n_steps)


def outcomes_by_step(
    output: EventList,
    labels: NDArray[np.integer],
    synaptic_events: NDArray[np.int64],
) -> StepOutcomes:
    """Follow the output spike counts through the window.

    Args:
        output: spikes of the output layer for N samples over T steps.
        labels: [N].
        synaptic_events: of each sample in each step, int64 [N, T].

    Raises:
        ArtifactError: the three do not belong together, or there is no sample.
    """
    n_samples, n_steps, n_classes = output.n_samples, output.n_steps, output.n_inputs
    shapes = (labels.shape, synaptic_events.shape)
    if shapes != ((n_samples,), (n_samples, n_steps)) or n_samples == 0:
        raise ArtifactError(
            f"labels {labels.shape} and synaptic events {synaptic_events.shape} do not belong to "
            f"the output spikes of {n_samples} samples over {n_steps} steps"
        )
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
    return StepOutcomes(correct, margins, np.cumsum(synaptic_events, axis=1), fired)


def step_outcomes(measured: Measurement, labels: NDArray[np.integer]) -> StepOutcomes:
    """Follow measured samples through the window; errors as of :func:`outcomes_by_step`."""
    events = synaptic_events_by_step(measured.layers, measured.fan_outs)
    return outcomes_by_step(measured.layers[-1], labels, events)


def _running_counts(output: EventList, samples: slice) -> NDArray[np.int32]:
    """Output spikes of some samples through each step, int32 [n, T, C]."""
    n_steps, n_classes = output.n_steps, output.n_inputs
    offsets = output.offsets[samples.start * n_steps : samples.stop * n_steps + 1]
    n_rows = offsets.size - 1
    places = np.repeat(np.arange(n_rows, dtype=np.int64) * n_classes, np.diff(offsets))
    places += output.sources[offsets[0] : offsets[-1]]
    fired = np.bincount(places, minlength=n_rows * n_classes).astype(np.int32)
    return np.cumsum(fired.reshape(-1, n_steps, n_classes), axis=1, dtype=np.int32)


def accuracy_by_step(outcomes: StepOutcomes, confidence: float = 0.95) -> AccuracyByStep:
    """Accuracy and mean synaptic events of stopping every sample at the same step."""
    n_samples = len(outcomes.correct)
    return AccuracyByStep(
        tuple(
            accuracy(int(n_correct), n_samples, confidence)
            for n_correct in outcomes.correct.sum(axis=0)
        ),
        outcomes.synaptic_events.mean(axis=0),
    )


def exit_steps(
    outcomes: StepOutcomes, margin: int | None, minimal_steps: int = 1
) -> NDArray[np.int64]:
    """The step, from 1, at which each sample stops: the first that the rule allows, or the last.

    Args:
        outcomes: of N samples.
        margin: lead at which a sample stops; None: at the first output spike.
        minimal_steps: no sample stops before this step.
    """
    n_steps = outcomes.margins.shape[1]
    allowed = outcomes.fired if margin is None else outcomes.margins >= margin
    may_stop = allowed[:, minimal_steps - 1 :]
    steps: NDArray[np.int64] = np.where(
        may_stop.any(axis=1), may_stop.argmax(axis=1) + minimal_steps, n_steps
    )
    return steps


def exit_outcome(
    outcomes: StepOutcomes, margin: int | None, minimal_steps: int = 1, confidence: float = 0.95
) -> ExitOutcome:
    """What stopping at a margin gives, or at the first output spike, if there is no margin."""
    steps = exit_steps(outcomes, margin, minimal_steps)
    samples = np.arange(len(steps))
    spent = outcomes.synaptic_events[samples, steps - 1]
    mean = float(spent.mean())
    deviation = float(spent.std(ddof=1)) if len(spent) > 1 else 0.0
    half_width = float(norm.ppf((1 + confidence) / 2)) * deviation / math.sqrt(len(spent))
    return ExitOutcome(
        accuracy(int(outcomes.correct[samples, steps - 1].sum()), len(steps), confidence),
        float(steps.mean()),
        mean,
        mean - half_width,
        mean + half_width,
    )


def choose_early_exit(
    validation: StepOutcomes,
    test: StepOutcomes,
    tolerance_percent: float,
    minimal_steps: int = 1,
    confidence: float = 0.95,
) -> EarlyExit:
    """Choose the margin on the validation images and measure it on the test images.

    Of all margins whose validation accuracy is at most `tolerance_percent` percentage points below
    the whole window's, the one with the fewest mean synaptic events on the validation images; the
    larger of equals. The whole window itself is always among them.

    Raises:
        ArtifactError: the sets have different windows, or `minimal_steps` lies outside of them.
    """
    n_steps = _steps_of_both(validation, test, minimal_steps)
    never = n_steps + 1
    samples = np.arange(len(validation.margins))
    # The sliver keeps a product such as 0.1 % of 6,000 from rounding to less than it is.
    may_lose = math.floor(tolerance_percent / 100 * len(samples) + 1e-9)
    fewest_correct = int(validation.correct[:, -1].sum()) - may_lose
    best_margin, best_spent = never, int(validation.synaptic_events[:, -1].sum())
    for margin in range(n_steps, 0, -1):
        last = exit_steps(validation, margin, minimal_steps) - 1
        spent = int(validation.synaptic_events[samples, last].sum())
        if spent < best_spent and validation.correct[samples, last].sum() >= fewest_correct:
            best_margin, best_spent = margin, spent

    return _early_exit(
        (validation, test), best_margin, minimal_steps, tolerance_percent, confidence
    )


def exit_at_first_spike(
    validation: StepOutcomes, test: StepOutcomes, confidence: float = 0.95
) -> EarlyExit:
    """Stop at the first output spike: the class that spikes first, the lowest of equals.

    Nothing is chosen, and the accuracy that it costs is not bounded. A sample without an output
    spike takes the whole window, and is answered by the lowest class, as without stopping.

    Raises:
        ArtifactError: the sets have different windows.
    """
    _steps_of_both(validation, test, 1)
    return _early_exit((validation, test), None, 1, None, confidence)


def _steps_of_both(validation: StepOutcomes, test: StepOutcomes, minimal_steps: int) -> int:
    n_steps: int = validation.margins.shape[1]
    if test.margins.shape[1] != n_steps or not 1 <= minimal_steps <= n_steps:
        raise ArtifactError(
            f"validation has {n_steps} steps, test {test.margins.shape[1]}, and stopping is "
            f"allowed from step {minimal_steps} on: the windows must be equal and hold that step"
        )
    return n_steps


def _early_exit(
    sets: tuple[StepOutcomes, StepOutcomes],
    margin: int | None,
    minimal_steps: int,
    tolerance_percent: float | None,
    confidence: float,
) -> EarlyExit:
    """The outcomes of a rule on validation and test images, and those of the whole window."""
    never = sets[0].margins.shape[1] + 1
    stopped = [exit_outcome(each, margin, minimal_steps, confidence) for each in sets]
    full = [exit_outcome(each, never, minimal_steps, confidence) for each in sets]
    return EarlyExit(margin, minimal_steps, tolerance_percent, *stopped, *full)
