"""The tables of an evaluation: predictions, headline figures, accuracy of each class, confusions.

Percentages are of images; `_low` and `_high` are the ends of an interval at the level of confidence
that the evaluation was asked for.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.schema import (
    Array,
    ArrayFile,
    Arrays,
    Count,
    MaybePercent,
    NotNegative,
    Percent,
    Record,
    Row,
    Table,
    Text,
    accuracy_interval,
)
from spikejoule.data.images import Samples
from spikejoule.data.subject import MAX_CLASSES
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.evaluation import Accuracy
from spikejoule.evaluation.measurement import Measurement

PREDICTIONS = ArrayFile(
    "spikejoule/predictions/1",
    {
        "labels": Array("uint8", ("N",)),
        "predictions": Array("uint8", ("N",)),
        "output_spikes": Array("int64", ("N", "C"), low=0),
        "index": Array("int64", ("N",), low=0),
    },
    lambda arrays: _classes_problem(arrays),
)


def _classes_problem(arrays: Arrays) -> str:
    n_classes = arrays["output_spikes"].shape[1]
    for name in ("labels", "predictions"):
        highest = arrays[name].max(initial=0)
        if highest >= n_classes:
            return f"the array {name!r} holds {highest}, but must be at most {n_classes - 1}"
    return ""


class EvaluationMetrics(Record):
    """Headline figures: metrics/evaluate.json."""

    intervals: ClassVar = (accuracy_interval("test_accuracy"),)

    test_accuracy_percent: Percent
    test_accuracy_low_percent: Percent
    test_accuracy_high_percent: Percent
    test_synaptic_events_per_inference: NotNegative
    early_exit_validation_accuracy_percent: Percent
    early_exit_test_accuracy_percent: Percent
    early_exit_synaptic_events_per_inference: NotNegative
    data_source: Text

    @classmethod
    def of(cls, overall: Accuracy, early: EarlyExit, data_source: str) -> Self:
        """The figures of the whole test set, and of answering early."""
        return cls.model_validate(
            {
                "test_accuracy_percent": overall.percent,
                "test_accuracy_low_percent": overall.low_percent,
                "test_accuracy_high_percent": overall.high_percent,
                "test_synaptic_events_per_inference": early.full_test.mean_synaptic_events,
                "early_exit_validation_accuracy_percent": early.validation.accuracy.percent,
                "early_exit_test_accuracy_percent": early.test.accuracy.percent,
                "early_exit_synaptic_events_per_inference": early.test.mean_synaptic_events,
                "data_source": data_source,
            }
        )


class ClassRow(Row):
    """Accuracy on the samples of one class, the column `class`; empty where there are none."""

    intervals: ClassVar = (accuracy_interval(),)

    label: int = Field(ge=0, lt=MAX_CLASSES, alias="class")
    n_samples: Count
    accuracy_percent: MaybePercent
    accuracy_low_percent: MaybePercent
    accuracy_high_percent: MaybePercent

    @model_validator(mode="after")
    def _accuracy_is_there_if_samples_are(self) -> Self:
        missing = [getattr(self, name) is None for name in accuracy_interval()]
        if any(missing) and (self.n_samples or not all(missing)):
            raise ValueError("an accuracy is missing")
        if self.n_samples == 0 and not all(missing):
            raise ValueError("there is an accuracy, but no sample")
        return self


class PerClass(Table):
    """Accuracy of each class: metrics/per_class.csv."""

    row: ClassVar[type[Row]] = ClassRow
    rows: tuple[ClassRow, ...]

    @classmethod
    def of(cls, accuracies: Sequence[Accuracy]) -> Self:
        """The table of each class's accuracy; a class without samples has empty cells."""
        return cls(
            rows=tuple(
                ClassRow.model_validate(
                    {
                        "class": label,
                        "n_samples": entry.n_samples,
                        "accuracy_percent": entry.percent,
                        "accuracy_low_percent": entry.low_percent,
                        "accuracy_high_percent": entry.high_percent,
                    }
                )
                for label, entry in enumerate(accuracies)
            )
        )

    @model_validator(mode="after")
    def _has_each_class(self) -> Self:
        if [row.label for row in self.rows] != list(range(len(self.rows))) or not self.rows:
            raise ValueError("it must have a row for each class, from 0 on")
        return self


class ConfusionRow(Row):
    """How many samples of one class were taken for another."""

    actual: int = Field(ge=0, lt=MAX_CLASSES)
    predicted: int = Field(ge=0, lt=MAX_CLASSES)
    n_samples: Count


class Confusion(Table):
    """The confusion matrix: metrics/confusion.csv."""

    row: ClassVar[type[Row]] = ConfusionRow
    rows: tuple[ConfusionRow, ...]

    @classmethod
    def of(cls, matrix: NDArray[np.int64]) -> Self:
        """The table of a matrix [C, C], rows the actual class, columns the predicted one."""
        return cls(
            rows=tuple(
                ConfusionRow(actual=actual, predicted=predicted, n_samples=int(n_samples))
                for (actual, predicted), n_samples in np.ndenumerate(matrix)
            )
        )

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Samples by actual and predicted class, int64 [C, C]."""
        counts = np.array([row.n_samples for row in self.rows], dtype=np.int64)
        n_classes = math.isqrt(len(self.rows))
        return counts.reshape(n_classes, n_classes)

    @model_validator(mode="after")
    def _has_each_pair(self) -> Self:
        n_classes = math.isqrt(len(self.rows))
        if [(row.actual, row.predicted) for row in self.rows] != list(
            np.ndindex(n_classes, n_classes)
        ):
            raise ValueError("it must have a row for each pair of classes, in their order")
        if not any(row.n_samples for row in self.rows):
            raise ValueError("it must count at least one sample")
        return self


def save_predictions(path: Path, samples: Samples, measured: Measurement) -> None:
    """Write what was read in each sample, and the output spikes that say so."""
    PREDICTIONS.write(
        path,
        {
            "labels": samples.labels,
            "predictions": measured.predictions.astype(np.uint8),
            "output_spikes": measured.class_counts,
            "index": samples.index,
        },
    )
