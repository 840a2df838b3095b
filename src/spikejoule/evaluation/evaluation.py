"""The metrics of a test set, accuracy of each class, confusions, predictions, and their files.

Percentages are of samples; `_low` and `_high` are the ends of an interval at the level of
confidence that was asked for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.npz import write_npz
from spikejoule.core.schema import (
    Count,
    MaybePercent,
    NotNegative,
    Percent,
    Record,
    Row,
    Table,
    Text,
)
from spikejoule.data.images import Samples
from spikejoule.data.subject import MAX_CLASSES
from spikejoule.evaluation.accuracy import Accuracy, EarlyExit, StepTable, accuracy
from spikejoule.evaluation.measurement import Measurement


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with labels.

    Attributes:
        confusion: samples, int64 [C, C], rows the actual class, columns the predicted one.
        confidence: level of the intervals.
    """

    confusion: NDArray[np.int64]
    confidence: float

    @property
    def overall(self) -> Accuracy:
        """Accuracy over all N samples."""
        return accuracy(int(np.trace(self.confusion)), int(self.confusion.sum()), self.confidence)

    @property
    def per_class(self) -> tuple[Accuracy, ...]:
        """Accuracy of each class's samples, class 0 first (the class's recall)."""
        return tuple(
            accuracy(int(row[label]), int(row.sum()), self.confidence)
            for label, row in enumerate(self.confusion)
        )


def evaluate_predictions(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    n_classes: int,
    confidence: float = 0.95,
) -> Evaluation:
    """Compare the predicted classes [N] with the labels [N], classes being 0 to `n_classes` - 1.

    Raises DataError if there are none, if their numbers differ, or if a class is out of range.
    """
    if labels.shape != predictions.shape or labels.ndim != 1:
        raise DataError(
            f"{labels.size} labels and {predictions.size} predictions cannot be compared: there "
            "must be one prediction for each label."
        )
    if labels.size == 0:
        raise DataError("there are no labels, and at least one is needed for an accuracy.")
    for name, classes in (("label", labels), ("prediction", predictions)):
        if int(classes.min()) < 0 or int(classes.max()) >= n_classes:
            outlier = classes[(classes < 0) | (classes >= n_classes)][0]
            raise DataError(f"the {name} {outlier} is not a class from 0 to {n_classes - 1}.")
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (labels, predictions), 1)
    return Evaluation(confusion, confidence)


class EvaluationMetrics(Record):
    """Headline figures: metrics/evaluate.json.

    A metric that is added has the default None, which is what files from before it mean.
    """

    test_accuracy_percent: Percent
    test_accuracy_low_percent: Percent
    test_accuracy_high_percent: Percent
    test_synaptic_events_per_inference: NotNegative
    early_exit_validation_accuracy_percent: Percent
    early_exit_test_accuracy_percent: Percent
    early_exit_synaptic_events_per_inference: NotNegative
    data_source: Text

    @classmethod
    def of(
        cls, measured: Measurement, overall: Accuracy, early: EarlyExit, data_source: str
    ) -> Self:
        """The figures of the whole test set.

        Args:
            measured: the test samples on their way through the network.
            overall: accuracy over all of them.
            early: early exit, on validation and on test samples.
            data_source: where the samples come from.
        """
        events = measured.synaptic_events.sum(axis=1)
        return cls.model_validate(
            {
                **overall.entries("test_accuracy"),
                "test_synaptic_events_per_inference": float(events.mean()),
                "early_exit_validation_accuracy_percent": early.validation.accuracy_percent,
                "early_exit_test_accuracy_percent": early.test.accuracy_percent,
                "early_exit_synaptic_events_per_inference": (
                    early.test.synaptic_events_per_inference
                ),
                "data_source": data_source,
            }
        )


class ClassRow(Row):
    """Accuracy on the samples of one class, the column `class`; empty where there are none."""

    intervals: ClassVar = (("accuracy_low_percent", "accuracy_percent", "accuracy_high_percent"),)

    label: int = Field(ge=0, lt=MAX_CLASSES, alias="class")
    n_samples: Count
    accuracy_percent: MaybePercent
    accuracy_low_percent: MaybePercent
    accuracy_high_percent: MaybePercent


class PerClass(Table):
    """Accuracy of each class: metrics/per_class.csv."""

    row: ClassVar[type[Row]] = ClassRow
    rows: tuple[ClassRow, ...]


class ConfusionRow(Row):
    """How many samples of one class were taken for another."""

    actual: int = Field(ge=0, lt=MAX_CLASSES)
    predicted: int = Field(ge=0, lt=MAX_CLASSES)
    n_samples: Count


class Confusion(Table):
    """The confusion matrix: metrics/confusion.csv."""

    row: ClassVar[type[Row]] = ConfusionRow
    rows: tuple[ConfusionRow, ...]

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
        return self


@dataclass(frozen=True, eq=False)
class EvaluationFiles:
    """What an evaluation writes, and the energy report reads; the files agree with each other.

    Attributes:
        evaluate_metrics: the headline figures.
        per_class: accuracy of each class.
        confusion: images by actual and predicted class.
        accuracy_by_step: accuracy at each step of the window.
        early_exit: early exit, by either rule.
    """

    evaluate_metrics: EvaluationMetrics
    per_class: PerClass
    confusion: Confusion
    accuracy_by_step: StepTable
    early_exit: EarlyExit

    @classmethod
    def of(
        cls,
        measured: Measurement,
        evaluation: Evaluation,
        by_step: StepTable,
        early: EarlyExit,
        data_source: str,
    ) -> Self:
        """The files of an evaluation on the test images; arguments as of `EvaluationMetrics.of`."""
        classes = [
            {"class": label, "n_samples": entry.n_samples, **entry.entries()}
            for label, entry in enumerate(evaluation.per_class)
        ]
        pairs = [
            {"actual": actual, "predicted": predicted, "n_samples": int(n_samples)}
            for (actual, predicted), n_samples in np.ndenumerate(evaluation.confusion)
        ]
        return cls(
            EvaluationMetrics.of(measured, evaluation.overall, early, data_source),
            PerClass.model_validate({"rows": tuple(classes)}),
            Confusion.model_validate({"rows": tuple(pairs)}),
            by_step,
            early,
        )

    def write(self, paths: Mapping[str, Path]) -> None:
        """Write each to the path of its name, from which `read` reads it."""
        for name, record in vars(self).items():
            record.write(paths[name])

    @classmethod
    def read(cls, paths: Mapping[str, Path]) -> Self:
        """Read what `write` wrote; ArtifactError if a file is missing or damaged."""
        kinds = get_type_hints(cls)
        files = cls(**{name: kind.read(paths[name]) for name, kind in kinds.items()})
        matrix = files.confusion.matrix
        counted = [
            (label, n_samples, 100 * int(matrix[label, label]) / n_samples if n_samples else None)
            for label, n_samples in enumerate(matrix.sum(axis=1).tolist())
        ]
        rows = files.per_class.rows
        if [(row.label, row.n_samples, row.accuracy_percent) for row in rows] != counted:
            raise ArtifactError(
                f"{paths['per_class']} tells of other samples than {paths['confusion']}: run the "
                "evaluate stage again."
            )
        return files

    def as_checkpoint_entry(self, confidence: float) -> dict[str, Any]:
        """What the complete checkpoint says of the test set; intervals have this confidence."""
        return {
            **self.evaluate_metrics.model_dump(exclude_unset=True),
            "confidence": confidence,
            "n_samples": int(self.confusion.matrix.sum()),
            "per_class": {str(row.label): row.accuracy_percent for row in self.per_class.rows},
        }


def save_predictions(path: Path, samples: Samples, measured: Measurement) -> None:
    """Write the class of each sample, and the output spikes that say so."""
    write_npz(
        path,
        "spikejoule/predictions/1",
        {
            "labels": samples.labels,
            "predictions": measured.predictions.astype(np.uint8),
            "output_spikes": measured.class_counts,
            "index": samples.index,
        },
    )
