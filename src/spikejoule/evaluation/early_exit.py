"""Stopping before the window is over: when, and what that is worth.

There are two rules. By a lead, a network stops as soon as the class in the lead is ahead of the
second by a margin of spikes; the margin is chosen on the validation images. By the first spike, it
stops in the first step in which an output neuron spikes, which leaves nothing to choose. What a
rule is worth is measured on the test images.
"""

import math
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import NotNegative, Percent, Record, accuracy_interval
from spikejoule.data.events import offsets_of
from spikejoule.encoding.events import EventList
from spikejoule.evaluation import ExitRule
from spikejoule.evaluation.accuracy import StepOutcomes, accuracy
from spikejoule.evaluation.measurement import Measurement


class ExitOutcome(Record):
    """What stopping gives on one set of images.

    Attributes:
        accuracy_percent: with the ends of its interval.
        mean_exit_step: from 1 to T.
        synaptic_events_per_inference: a mean; low and high bound it at the accuracy's level of
            confidence (normal approximation).
    """

    intervals: ClassVar = (
        accuracy_interval(),
        ("synaptic_events_low", "synaptic_events_per_inference", "synaptic_events_high"),
    )

    accuracy_percent: Percent
    accuracy_low_percent: Percent
    accuracy_high_percent: Percent
    mean_exit_step: float = Field(ge=1)
    synaptic_events_per_inference: NotNegative
    synaptic_events_low: float
    synaptic_events_high: NotNegative


class WholeWindow(Record):
    """The outcomes without an early exit."""

    validation: ExitOutcome
    test: ExitOutcome


class EarlyExit(Record):
    """A rule for stopping, and its outcomes: metrics/early_exit.json.

    Attributes:
        rule: ``first_spike``, at the first output spike; ``lead``, once a class leads by
            `margin_spikes`, is what a file without this entry means.
        margin_spikes: the lead, chosen on validation images; T + 1 is never reached. The other rule
            has none.
        tolerance_percent: validation accuracy that it was allowed to cost, percentage points.
        chosen_on_test_images: whether validation and test images are the same.
        validation, test: the outcomes with this rule.
        whole_window: the outcomes without.
    """

    rule: ExitRule = "lead"
    margin_spikes: int | None = Field(default=None, ge=0)
    tolerance_percent: Percent | None = None
    chosen_on_test_images: bool
    validation: ExitOutcome
    test: ExitOutcome
    whole_window: WholeWindow

    @property
    def rule_in_words(self) -> str:
        """When it stops: ``at a lead of 4 spikes``."""
        if self.rule == "first_spike":
            return "at the first output spike"
        return f"at a lead of {self.margin_spikes} spikes"

    @model_validator(mode="after")
    def _a_lead_has_a_margin(self) -> Self:
        stated = (self.margin_spikes is not None, self.tolerance_percent is not None)
        if stated != (self.rule == "lead",) * 2:
            raise ValueError(
                "margin_spikes and tolerance_percent must be there, unless rule is first_spike"
            )
        return self

    @model_validator(mode="after")
    def _early_is_no_later(self) -> Self:
        for early, whole in (
            (self.validation, self.whole_window.validation),
            (self.test, self.whole_window.test),
        ):
            if (
                early.mean_exit_step > whole.mean_exit_step
                or early.synaptic_events_per_inference > whole.synaptic_events_per_inference
            ):
                raise ValueError("an early exit must not take more steps or synaptic events")
        return self


def exit_steps(outcomes: StepOutcomes, margin: int | None) -> NDArray[np.int64]:
    """The step, from 1, at which each sample stops: the first that the rule allows, or the last.

    Args:
        outcomes: of N samples.
        margin: lead at which a sample stops; None: at the first output spike.
    """
    may_stop = outcomes.fired if margin is None else outcomes.margins >= margin
    steps: NDArray[np.int64] = np.where(
        may_stop.any(axis=1), may_stop.argmax(axis=1) + 1, may_stop.shape[1]
    )
    return steps


def exit_outcome(
    outcomes: StepOutcomes, margin: int | None, confidence: float = 0.95
) -> ExitOutcome:
    """What stopping at a margin gives, or at the first output spike, if there is no margin."""
    from scipy.stats import norm  # here: it takes half a second

    steps = exit_steps(outcomes, margin)
    samples = np.arange(len(steps))
    spent = outcomes.synaptic_events[samples, steps - 1]
    mean = float(spent.mean())
    deviation = float(spent.std(ddof=1)) if len(spent) > 1 else 0.0
    half_width = float(norm.ppf((1 + confidence) / 2)) * deviation / math.sqrt(len(spent))
    n_correct = int(outcomes.correct[samples, steps - 1].sum())
    return ExitOutcome.model_validate(
        {
            **accuracy(n_correct, len(steps), confidence).entries(),
            "mean_exit_step": float(steps.mean()),
            "synaptic_events_per_inference": mean,
            "synaptic_events_low": mean - half_width,
            "synaptic_events_high": mean + half_width,
        }
    )


def choose_early_exit(
    validation: StepOutcomes,
    test: StepOutcomes,
    tolerance_percent: float | None,
    confidence: float = 0.95,
    chosen_on_test_images: bool = False,
) -> EarlyExit:
    """Choose the margin on the validation images and measure it on the test images.

    Of all margins whose validation accuracy is at most `tolerance_percent` percentage points below
    the whole window's, the one with the fewest mean synaptic events on the validation images; the
    larger of equals. The whole window itself is always among them.

    Without a tolerance the network stops at the first output spike: the class that spikes first,
    the lowest of equals. Nothing is chosen then, and the accuracy that it costs is not bounded. A
    sample without an output spike takes the whole window, and is classified as the lowest class.

    Raises:
        ArtifactError: the sets have different windows.
    """
    n_steps = validation.margins.shape[1]
    if test.margins.shape[1] != n_steps:
        raise ArtifactError(
            f"validation has {n_steps} steps and test {test.margins.shape[1]}: the windows must be "
            "equal"
        )
    margin = None
    rule: dict[str, Any] = {"rule": "first_spike"}
    if tolerance_percent is not None:
        margin = _cheapest_margin(validation, tolerance_percent)
        rule = {"margin_spikes": margin, "tolerance_percent": tolerance_percent}
    return EarlyExit(
        **rule,
        chosen_on_test_images=chosen_on_test_images,
        validation=exit_outcome(validation, margin, confidence),
        test=exit_outcome(test, margin, confidence),
        whole_window=WholeWindow(
            validation=exit_outcome(validation, n_steps + 1, confidence),
            test=exit_outcome(test, n_steps + 1, confidence),
        ),
    )


def _cheapest_margin(validation: StepOutcomes, tolerance_percent: float) -> int:
    n_samples, n_steps = map(int, validation.margins.shape)
    samples = np.arange(n_samples)
    # The sliver keeps a product such as 0.1 % of 6,000 from rounding to less than it is.
    may_lose = math.floor(tolerance_percent / 100 * n_samples + 1e-9)
    fewest_correct = int(validation.correct[:, -1].sum()) - may_lose
    best_margin, best_spent = n_steps + 1, int(validation.synaptic_events[:, -1].sum())
    for margin in range(n_steps, 0, -1):
        last = exit_steps(validation, margin) - 1
        spent = int(validation.synaptic_events[samples, last].sum())
        if spent < best_spent and int(validation.correct[samples, last].sum()) >= fewest_correct:
            best_margin, best_spent = margin, spent
    return best_margin


def stopped_after(measured: Measurement, steps: NDArray[np.int64]) -> Measurement:
    """The same images, each of them stopped after so many steps, int64 [N], from 1 to T.

    The window keeps its T steps; those after the last are silent.
    """
    return replace(measured, layers=tuple(_until(layer, steps) for layer in measured.layers))


def _until(layer: EventList, steps: NDArray[np.int64]) -> EventList:
    lengths = np.diff(layer.offsets)
    runs = np.arange(layer.n_steps) < steps[:, None]
    kept = np.repeat(runs.ravel(), lengths)
    return replace(layer, sources=layer.sources[kept], offsets=offsets_of(lengths * runs.ravel()))
