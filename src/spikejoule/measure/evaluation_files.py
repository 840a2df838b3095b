"""The files of an evaluation: accuracies, predictions, and what answering early gives.

Percentages are of images; `_low` and `_high` are the ends of an interval at the level of confidence
that the evaluation was asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from spikejoule.data.images import N_CLASSES
from spikejoule.foundation.array_files import Array, ArrayFile
from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.records import (
    Count,
    MaybePercent,
    NotNegative,
    Percent,
    Record,
    Row,
    Table,
    Text,
    check_interval,
)
from spikejoule.measure.evaluation import Accuracy

PREDICTIONS = ArrayFile(
    "spikejoule/predictions/1",
    {
        "labels": Array("uint8", ("N",), high=N_CLASSES - 1),
        "predictions": Array("uint8", ("N",), high=N_CLASSES - 1),
        "output_spikes": Array("int64", ("N", N_CLASSES), low=0),
        "index": Array("int64", ("N",), low=0),
    },
)


class EvaluationMetrics(Record):
    """Headline figures: metrics/evaluate.json."""

    test_accuracy_percent: Percent
    test_accuracy_low_percent: Percent
    test_accuracy_high_percent: Percent
    test_synaptic_events_per_inference: NotNegative
    early_exit_validation_accuracy_percent: Percent
    early_exit_test_accuracy_percent: Percent
    early_exit_synaptic_events_per_inference: NotNegative
    data_source: Text

    @model_validator(mode="after")
    def _accuracy_lies_in_its_interval(self) -> Self:
        check_interval(
            self.test_accuracy_low_percent,
            self.test_accuracy_percent,
            self.test_accuracy_high_percent,
        )
        return self


class ClassRow(Row):
    """Accuracy on the images of one digit; empty where there are none."""

    digit: int = Field(ge=0, lt=N_CLASSES)
    n_samples: Count
    accuracy_percent: MaybePercent
    accuracy_low_percent: MaybePercent
    accuracy_high_percent: MaybePercent

    @model_validator(mode="after")
    def _accuracy_is_there_if_images_are(self) -> Self:
        low, value, high = (
            self.accuracy_low_percent,
            self.accuracy_percent,
            self.accuracy_high_percent,
        )
        if low is None or value is None or high is None:
            if self.n_samples or {low, value, high} != {None}:
                raise ValueError("an accuracy is missing")
        elif self.n_samples == 0:
            raise ValueError("there is an accuracy, but no image")
        else:
            check_interval(low, value, high)
        return self


class PerClass(Table):
    """Accuracy of each digit: metrics/per_class.csv."""

    row: ClassVar[type[Row]] = ClassRow
    rows: tuple[ClassRow, ...]

    @model_validator(mode="after")
    def _has_each_digit(self) -> Self:
        if [row.digit for row in self.rows] != list(range(N_CLASSES)):
            raise ValueError(f"it must have a row for each digit from 0 to {N_CLASSES - 1}")
        return self


class ConfusionRow(Row):
    """How many images of one digit were taken for another."""

    actual: int = Field(ge=0, lt=N_CLASSES)
    predicted: int = Field(ge=0, lt=N_CLASSES)
    images: Count


class Confusion(Table):
    """The confusion matrix: metrics/confusion.csv."""

    row: ClassVar[type[Row]] = ConfusionRow
    rows: tuple[ConfusionRow, ...]

    @property
    def matrix(self) -> npt.NDArray[np.int64]:
        """Images by actual and predicted class, int64 [C, C]."""
        counts = np.array([row.images for row in self.rows], dtype=np.int64)
        return counts.reshape(N_CLASSES, N_CLASSES)

    @model_validator(mode="after")
    def _has_each_pair(self) -> Self:
        if [(row.actual, row.predicted) for row in self.rows] != list(
            np.ndindex(N_CLASSES, N_CLASSES)
        ):
            raise ValueError("it must have a row for each pair of digits, in their order")
        if not any(row.images for row in self.rows):
            raise ValueError("it must count at least one image")
        return self


class StepRow(Row):
    """Test accuracy if every image is answered at a step of 1 ms, and its mean cost by then."""

    step: int = Field(ge=1)
    accuracy_percent: Percent
    accuracy_low_percent: Percent
    accuracy_high_percent: Percent
    synaptic_events_per_inference: NotNegative

    @model_validator(mode="after")
    def _accuracy_lies_in_its_interval(self) -> Self:
        check_interval(self.accuracy_low_percent, self.accuracy_percent, self.accuracy_high_percent)
        return self


class AccuracyBySteps(Table):
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


class ExitEntry(Record):
    """What answering gives on one set of images, at step `mean_exit_step` on average."""

    accuracy_percent: Percent
    accuracy_low_percent: Percent
    accuracy_high_percent: Percent
    mean_exit_step: float = Field(ge=1)
    synaptic_events_per_inference: NotNegative
    synaptic_events_low: float
    synaptic_events_high: NotNegative

    @model_validator(mode="after")
    def _values_lie_in_their_intervals(self) -> Self:
        check_interval(self.accuracy_low_percent, self.accuracy_percent, self.accuracy_high_percent)
        check_interval(
            self.synaptic_events_low,
            self.synaptic_events_per_inference,
            self.synaptic_events_high,
        )
        return self


class WholeWindow(Record):
    """The outcomes without an early answer."""

    validation: ExitEntry
    test: ExitEntry


class EarlyExitFile(Record):
    """Answering once a class leads by `margin_spikes`: metrics/early_exit.json.

    Attributes:
        margin_spikes: the lead, chosen on validation images.
        tolerance_percent: validation accuracy that it was allowed to cost, percentage points.
        chosen_on_test_images: whether validation and test images are the same.
        validation, test: the outcomes with this margin.
        whole_window: the outcomes without.
    """

    margin_spikes: int = Field(ge=0)
    tolerance_percent: Percent
    chosen_on_test_images: bool
    validation: ExitEntry
    test: ExitEntry
    whole_window: WholeWindow

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


@dataclass(frozen=True, eq=False)
class EvaluationFiles:
    """What the energy report takes from an evaluation; the files agree with each other.

    Attributes:
        metrics, per_class, by_step, early_exit: the files' content.
        confusion: int64 [C, C], rows the actual class, columns the predicted one.
    """

    metrics: EvaluationMetrics
    per_class: PerClass
    confusion: npt.NDArray[np.int64]
    by_step: AccuracyBySteps
    early_exit: EarlyExitFile

    @property
    def n_images(self) -> int:
        """Number of test images."""
        return int(self.confusion.sum())

    @property
    def overall(self) -> Accuracy:
        """Accuracy over all test images."""
        return Accuracy(
            self.n_images,
            int(np.trace(self.confusion)),
            self.metrics.test_accuracy_percent,
            self.metrics.test_accuracy_low_percent,
            self.metrics.test_accuracy_high_percent,
        )

    @property
    def of_each_class(self) -> tuple[Accuracy, ...]:
        """Accuracy of each class's test images."""
        return tuple(
            Accuracy(
                row.n_samples,
                int(self.confusion[row.digit, row.digit]),
                row.accuracy_percent,
                row.accuracy_low_percent,
                row.accuracy_high_percent,
            )
            for row in self.per_class.rows
        )


def read_evaluation(paths: Mapping[str, Path]) -> EvaluationFiles:
    """Read `evaluate_metrics`, `per_class`, `confusion`, `accuracy_by_step` and `early_exit`.

    Raises ArtifactError for a file that is missing or damaged, or that tells of another evaluation
    than the confusion matrix.
    """
    files = EvaluationFiles(
        EvaluationMetrics.read(paths["evaluate_metrics"]),
        PerClass.read(paths["per_class"]),
        Confusion.read(paths["confusion"]).matrix,
        AccuracyBySteps.read(paths["accuracy_by_step"]),
        EarlyExitFile.read(paths["early_exit"]),
    )
    stated: dict[str, tuple[Accuracy, float]] = {
        "evaluate_metrics": (files.overall, files.metrics.test_accuracy_percent),
        "accuracy_by_step": (files.overall, files.by_step.rows[-1].accuracy_percent),
        "early_exit": (files.overall, files.early_exit.whole_window.test.accuracy_percent),
    }
    for name, (accuracy, percent) in stated.items():
        _check_agreement(paths[name], accuracy, percent, paths["confusion"])
    for accuracy, n_images in zip(
        files.of_each_class, files.confusion.sum(axis=1).tolist(), strict=True
    ):
        if accuracy.n_samples != n_images:
            raise ArtifactError(
                f"{paths['per_class']} and {paths['confusion']} count different images of the "
                "digits: run the evaluate stage again."
            )
        if accuracy.percent is not None:
            _check_agreement(paths["per_class"], accuracy, accuracy.percent, paths["confusion"])
    return files


def _check_agreement(path: Path, accuracy: Accuracy, percent: float, confusion: Path) -> None:
    counted = 100 * accuracy.n_correct / accuracy.n_samples
    if percent != counted:
        raise ArtifactError(
            f"{path} gives an accuracy of {percent} %, but by {confusion} it is {counted} %: run "
            "the evaluate stage again."
        )
