"""Answering before the window is over: when to stop, and what that is worth.

There are two rules. By a lead, a network stops as soon as the class in the lead is ahead of the
second by a margin of spikes; the margin is chosen on the validation images. By the first spike, it
stops in the first step in which an output neuron spikes, which leaves nothing to choose. What a
rule is worth is measured on the test images.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.evaluation.evaluation import Accuracy, accuracy
from spikejoule.evaluation.step_outcomes import StepOutcomes


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
    from scipy.stats import norm  # here: it takes half a second

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
