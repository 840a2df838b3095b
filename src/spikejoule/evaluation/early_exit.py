"""Answers before the end of the window: outcomes at every step, and early exit.

Scores, such as output spikes, change over the window, so one pass gives the answer at
every step, and the synaptic events up to then.

There are two early exit rules. By `lead`, a sample stops as soon as the leading class
is ahead of the second by a margin of spikes or of potential, which is chosen on
validation images. By `first_spike`, it stops at the first output spike. Both are
evaluated on test images. `low` and `high` are the ends of an interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.errors import ParameterError
from spikejoule.core.schema import NotNegative, Percent, Record
from spikejoule.counts.measurement import Measurement
from spikejoule.data.events import offsets_of
from spikejoule.encoding.events import EventList
from spikejoule.evaluation import ExitRule
from spikejoule.evaluation.accuracy import accuracy, two_sided_z

# Bounds the memory of the scores of all steps, 4 or 8 bytes each.
_COUNTS_AT_ONCE = 20_000_000

_POTENTIAL_MARGINS = 256
"""How many margins of potential are tried, at equal fractions of those that occur."""


@dataclass(frozen=True, eq=False)
class StepOutcomes:
    """Outcomes of N samples if stopped after each of T steps.

    Attributes:
        correct: whether the leading class is the label, bool [N, T]; among equals the
            first leads.
        margins: between the scores of the leading class and the second, [N, T]: int32
            spikes, or potentials.
        synaptic_events: synaptic events up to each step, int64 [N, T].
        fired: whether an output neuron has spiked by each step, bool [N, T].
    """

    correct: NDArray[np.bool_]
    margins: NDArray[np.int32] | NDArray[np.floating]
    synaptic_events: NDArray[np.int64]
    fired: NDArray[np.bool_]


def step_outcomes(measured: Measurement, labels: NDArray[np.integer]) -> StepOutcomes:
    """Follow measured samples with labels [N] through the window."""
    output = measured.layers[-1]
    readout = measured.network.readout
    n_samples = output.n_samples
    n_steps = output.n_steps
    n_classes = output.n_inputs
    spent = np.zeros(n_samples * n_steps, dtype=np.int64)
    for events, fan_out in measured.sending:
        spent += np.diff(offsets_of(fan_out[events.sources])[events.offsets])
    correct = np.empty((n_samples, n_steps), dtype=np.bool_)
    kind = np.int32 if output.potentials is None else output.potentials.dtype
    margins = np.empty((n_samples, n_steps), dtype=kind)
    fired = np.empty((n_samples, n_steps), dtype=np.bool_)
    at_once = max(1, _COUNTS_AT_ONCE // (n_steps * n_classes))
    for start in range(0, n_samples, at_once):
        chosen = slice(start, min(start + at_once, n_samples))
        scores = readout.scores_by_step(output.select(chosen))
        correct[chosen] = scores.argmax(axis=2) == labels[chosen, None]
        fired[chosen] = readout.is_spiking and scores.any(axis=2)
        if n_classes == 1:
            margins[chosen] = scores[:, :, 0]
            continue
        ranked = np.partition(scores, n_classes - 2, axis=2)
        margins[chosen] = ranked[:, :, -1] - ranked[:, :, -2]
    through = np.cumsum(spent.reshape(n_samples, n_steps), axis=1)
    return StepOutcomes(correct, margins, through, fired)


def accuracy_by_step(
    outcomes: StepOutcomes, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Return accuracy and mean synaptic events if all samples stop after each step.

    These are the rows of metrics/accuracy_by_step.csv, which `make plots` draws.
    """
    n_samples, n_steps = outcomes.correct.shape
    means = outcomes.synaptic_events.mean(axis=0)
    return [
        {
            "step": step + 1,
            **accuracy(
                int(outcomes.correct[:, step].sum()), n_samples, confidence
            ).entries(),
            "synaptic_events_per_inference": float(means[step]),
        }
        for step in range(n_steps)
    ]


class ExitOutcome(Record):
    """The outcome of an early exit rule on one set of images.

    Attributes:
        accuracy_percent: accuracy, with the ends of its interval.
        mean_exit_step: mean of the last steps, 1 to T.
        synaptic_events_per_inference: mean; `low` and `high` bound it at the accuracy's
            confidence level (normal approximation).
    """

    accuracy_percent: Percent
    accuracy_low_percent: Percent
    accuracy_high_percent: Percent
    mean_exit_step: float = Field(ge=1)
    synaptic_events_per_inference: NotNegative
    synaptic_events_low: float
    synaptic_events_high: NotNegative

    @model_validator(mode="after")
    def _accuracy_is_in_its_interval(self) -> Self:
        if (
            not self.accuracy_low_percent
            <= self.accuracy_percent
            <= self.accuracy_high_percent
        ):
            raise ValueError("the accuracy is outside its interval")
        return self


class WholeWindow(Record):
    """The outcomes without early exit."""

    validation: ExitOutcome
    test: ExitOutcome


class EarlyExit(Record):
    """An early exit rule and its outcomes: metrics/early_exit.json.

    Attributes:
        rule: ``first_spike``, or ``lead``, which is the meaning of a file without this
            entry.
        margin_spikes: the lead, chosen on validation images; T + 1 is never reached.
            None for the other rule, and for potentials.
        margin_potential: the lead of potentials; None if it is never reached, for the
            other rule, and for spikes.
        tolerance_percent: percentage points of validation accuracy that it may cost.
        chosen_on_test_images: whether validation and test images are the same.
        validation, test: outcomes with this rule.
        whole_window: outcomes without early exit.
    """

    rule: ExitRule = "lead"
    margin_spikes: int | None = Field(default=None, ge=0)
    margin_potential: float | None = Field(default=None, ge=0)
    tolerance_percent: Percent | None = None
    chosen_on_test_images: bool
    validation: ExitOutcome
    test: ExitOutcome
    whole_window: WholeWindow

    @property
    def rule_in_words(self) -> str:
        """When samples stop, such as ``at a lead of 4 spikes``."""
        if self.rule == "first_spike":
            return "at the first output spike"
        if self.margin == math.inf:
            return "only at the end of the window"
        return f"at a lead of {self.lead_in_words}"

    @property
    def lead_in_words(self) -> str:
        """The lead, such as ``4 spikes`` or ``a potential of 1.5``."""
        if self.margin_spikes is None:
            return f"a potential of {self.margin:.4g}"
        return f"{self.margin_spikes} spike{'' if self.margin_spikes == 1 else 's'}"

    @property
    def margin(self) -> float | None:
        """The lead, infinite if it is never reached; None for the other rule."""
        if self.rule == "first_spike":
            return None
        if self.margin_spikes is not None:
            return self.margin_spikes
        return math.inf if self.margin_potential is None else self.margin_potential


def exit_steps(outcomes: StepOutcomes, margin: float | None) -> NDArray[np.int64]:
    """Return the step, from 1, after which each sample stops, int64 [N].

    Args:
        outcomes: N samples.
        margin: lead at which a sample stops; None for the first output spike.
    """
    may_stop = outcomes.fired if margin is None else outcomes.margins >= margin
    steps: NDArray[np.int64] = np.where(
        may_stop.any(axis=1), may_stop.argmax(axis=1) + 1, may_stop.shape[1]
    )
    return steps


def exit_outcome(
    outcomes: StepOutcomes, margin: float | None, confidence: float = 0.95
) -> ExitOutcome:
    """Return the outcome of stopping at a margin; None for the first output spike."""
    steps = exit_steps(outcomes, margin)
    samples = np.arange(len(steps))
    spent = outcomes.synaptic_events[samples, steps - 1]
    mean = float(spent.mean())
    deviation = float(spent.std(ddof=1)) if len(spent) > 1 else 0.0
    half_width = two_sided_z(confidence) * deviation / math.sqrt(len(spent))
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
    """Choose the margin on validation images and evaluate it on test images.

    Among the margins that cost at most `tolerance_percent` percentage points of
    validation accuracy, choose the one with the fewest mean synaptic events on the
    validation images, the larger among equals. The whole window is always one of them.

    Without a tolerance, samples stop at the first output spike; among simultaneous
    ones the lowest class wins. Nothing is chosen then, and the loss of accuracy is not
    bounded. A sample without output spikes takes the whole window and is classified as
    class 0.

    Raises:
        ParameterError: no tolerance, for an output that never spikes.
    """
    margin = None
    rule: dict[str, Any] = {"rule": "first_spike"}
    if tolerance_percent is None and validation.margins.dtype.kind == "f":
        raise ParameterError(
            "an output that integrates never spikes, so it cannot stop at its first "
            "spike; allowed: a tolerance"
        )
    if tolerance_percent is not None:
        margin = _cheapest_margin(validation, tolerance_percent)
        rule = _lead(validation, margin) | {"tolerance_percent": tolerance_percent}
    return EarlyExit(
        **rule,
        chosen_on_test_images=chosen_on_test_images,
        validation=exit_outcome(validation, margin, confidence),
        test=exit_outcome(test, margin, confidence),
        whole_window=WholeWindow(
            validation=exit_outcome(validation, math.inf, confidence),
            test=exit_outcome(test, math.inf, confidence),
        ),
    )


def _lead(validation: StepOutcomes, margin: float) -> dict[str, Any]:
    """Return the entries of a lead."""
    n_steps = validation.margins.shape[1]
    if validation.margins.dtype.kind == "i":
        return {"margin_spikes": n_steps + 1 if margin == math.inf else int(margin)}
    return {} if margin == math.inf else {"margin_potential": float(margin)}


def _margins(outcomes: StepOutcomes) -> Sequence[float]:
    """Return the margins to choose from, descending."""
    margins = outcomes.margins
    if margins.dtype.kind == "i":
        return range(margins.shape[1], 0, -1)
    # After the last step there is nothing to decide.
    before_last = margins[:, :-1]
    if before_last.size == 0:
        return []
    fractions = np.linspace(0, 1, _POTENTIAL_MARGINS)
    tried: list[float] = np.unique(
        np.quantile(before_last, fractions, method="higher")
    ).tolist()
    return tried[::-1]


def _cheapest_margin(validation: StepOutcomes, tolerance_percent: float) -> float:
    n_samples = len(validation.margins)
    samples = np.arange(n_samples)
    # In floating point, 0.1 % of 6,000 is slightly less than 6: add a tiny amount.
    may_lose = math.floor(tolerance_percent / 100 * n_samples + 1e-9)
    fewest_correct = int(validation.correct[:, -1].sum()) - may_lose
    best_margin = math.inf
    best_spent = int(validation.synaptic_events[:, -1].sum())
    for margin in _margins(validation):
        last = exit_steps(validation, margin) - 1
        spent = int(validation.synaptic_events[samples, last].sum())
        if (
            spent < best_spent
            and int(validation.correct[samples, last].sum()) >= fewest_correct
        ):
            best_margin = margin
            best_spent = spent
    return best_margin


def stopped_after(measured: Measurement, steps: NDArray[np.int64]) -> Measurement:
    """Stop each sample after a number of steps, int64 [N], from 1 to T.

    The window keeps its T steps; later ones are silent.
    """
    return replace(
        measured, layers=tuple(_until(layer, steps) for layer in measured.layers)
    )


def _until(layer: EventList, steps: NDArray[np.int64]) -> EventList:
    lengths = np.diff(layer.offsets)
    runs = np.arange(layer.n_steps) < steps[:, None]
    kept = np.repeat(runs.ravel(), lengths)
    return replace(
        layer, sources=layer.sources[kept], offsets=offsets_of(lengths * runs.ravel())
    )
