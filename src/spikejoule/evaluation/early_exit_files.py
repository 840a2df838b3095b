"""The files of answers before the end of the window: accuracy at every step, stopping early.

Percentages are of images; `_low` and `_high` are the ends of an interval at the level of confidence
that the evaluation was asked for.
"""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from spikejoule.core.schema import NotNegative, Percent, Record, Row, Table, accuracy_interval
from spikejoule.evaluation.early_exit import EarlyExit, ExitOutcome
from spikejoule.evaluation.settings import ExitRule
from spikejoule.evaluation.step_outcomes import AccuracyByStep


class StepRow(Row):
    """Test accuracy if every image is answered at a step of 1 ms, and its mean cost by then."""

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

    @classmethod
    def of(cls, by_step: AccuracyByStep) -> Self:
        """The table of the accuracies and the mean synaptic events at each step."""
        steps = zip(by_step.accuracies, by_step.mean_synaptic_events.tolist(), strict=True)
        return cls(
            rows=tuple(
                StepRow(
                    step=step,
                    accuracy_percent=entry.percent or 0.0,
                    accuracy_low_percent=entry.low_percent or 0.0,
                    accuracy_high_percent=entry.high_percent or 0.0,
                    synaptic_events_per_inference=synaptic_events,
                )
                for step, (entry, synaptic_events) in enumerate(steps, start=1)
            )
        )

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> Self:
        if not self.rows or [row.step for row in self.rows] != list(range(1, len(self.rows) + 1)):
            raise ValueError("it must have a row for each step from 1 on")
        events = [row.synaptic_events_per_inference for row in self.rows]
        if sorted(events) != events:
            raise ValueError("synaptic events must not decrease from step to step")
        return self


class ExitEntry(Record):
    """What answering gives on one set of images, at step `mean_exit_step` on average."""

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

    @classmethod
    def of(cls, outcome: ExitOutcome) -> Self:
        """The entry of an outcome."""
        return cls.model_validate(
            {
                "accuracy_percent": outcome.accuracy.percent,
                "accuracy_low_percent": outcome.accuracy.low_percent,
                "accuracy_high_percent": outcome.accuracy.high_percent,
                "mean_exit_step": outcome.mean_exit_step,
                "synaptic_events_per_inference": outcome.mean_synaptic_events,
                "synaptic_events_low": outcome.low_synaptic_events,
                "synaptic_events_high": outcome.high_synaptic_events,
            }
        )


class WholeWindow(Record):
    """The outcomes without an early answer."""

    validation: ExitEntry
    test: ExitEntry


class EarlyExitFile(Record):
    """Answering early: metrics/early_exit.json.

    Attributes:
        rule: ``first_spike``, at the first output spike; ``lead``, once a class leads by
            `margin_spikes`, is what a file without this entry means.
        margin_spikes: the lead, chosen on validation images; the other rule has none.
        tolerance_percent: validation accuracy that it was allowed to cost, percentage points.
        chosen_on_test_images: whether validation and test images are the same.
        validation, test: the outcomes with this rule.
        whole_window: the outcomes without.
    """

    rule: ExitRule = "lead"
    margin_spikes: int | None = Field(default=None, ge=0)
    tolerance_percent: Percent | None = None
    chosen_on_test_images: bool
    validation: ExitEntry
    test: ExitEntry
    whole_window: WholeWindow

    @classmethod
    def of(cls, chosen: EarlyExit, chosen_on_test_images: bool) -> Self:
        """The file of an early exit."""
        rule: dict[str, Any] = {"rule": "first_spike"}
        if chosen.margin is not None:
            rule = {
                "margin_spikes": chosen.margin,
                "tolerance_percent": chosen.tolerance_percent,
            }
        return cls(
            **rule,
            chosen_on_test_images=chosen_on_test_images,
            validation=ExitEntry.of(chosen.validation),
            test=ExitEntry.of(chosen.test),
            whole_window=WholeWindow(
                validation=ExitEntry.of(chosen.full_validation),
                test=ExitEntry.of(chosen.full_test),
            ),
        )

    @property
    def rule_in_words(self) -> str:
        """When it answers: ``at a lead of 4 spikes``."""
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
                raise ValueError("answering early must not take more steps or synaptic events")
        return self
