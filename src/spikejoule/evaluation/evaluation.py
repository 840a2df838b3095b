"""Metrics of a test set: accuracies, confusion matrix, predictions, and their files.

`_low` and `_high` are the ends of an interval at the requested confidence level.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.npz import write_npz
from spikejoule.core.schema import Count, NotNegative, Percent, Record, Row, Table, Text
from spikejoule.core.store import write_csv
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Samples
from spikejoule.data.subject import MAX_CLASSES
from spikejoule.evaluation.accuracy import Accuracy, accuracy
from spikejoule.evaluation.early_exit import EarlyExit


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with labels.

    Attributes:
        confusion: samples by actual (rows) and predicted class (columns), int64 [C, C].
        confidence: level of the intervals.
    """

    confusion: NDArray[np.int64]
    confidence: float

    @property
    def overall(self) -> Accuracy:
        """Accuracy over all samples."""
        return accuracy(
            int(np.trace(self.confusion)), int(self.confusion.sum()), self.confidence
        )

    @property
    def per_class(self) -> tuple[Accuracy, ...]:
        """Accuracy over the samples of each class (its recall), class 0 first."""
        return tuple(
            accuracy(int(row[label]), int(row.sum()), self.confidence)
            for label, row in enumerate(self.confusion)
        )

    def write(self, confusion: Path, per_class: Path) -> None:
        """Write metrics/confusion.csv and metrics/per_class.csv."""
        counts = [
            (*pair, n_samples) for pair, n_samples in np.ndenumerate(self.confusion)
        ]
        write_csv(confusion, Confusion.columns(), counts)
        rows = [
            {"class": label, "n_samples": of_class.n_samples, **of_class.entries()}
            for label, of_class in enumerate(self.per_class)
        ]
        write_csv(per_class, tuple(rows[0]), [tuple(row.values()) for row in rows])

    @classmethod
    def read(cls, confusion: Path, confidence: float) -> Self:
        """Read a confusion matrix; ArtifactError if it is missing or damaged."""
        counts = np.array(
            [row.n_samples for row in Confusion.read(confusion).rows], dtype=np.int64
        )
        n_classes = math.isqrt(len(counts))
        return cls(counts.reshape(n_classes, n_classes), confidence)

    def as_checkpoint_entry(self, metrics: "EvaluationMetrics") -> dict[str, Any]:
        """Return the test set entry of the complete checkpoint."""
        return {
            **metrics.model_dump(exclude_unset=True),
            "confidence": self.confidence,
            "n_samples": int(self.confusion.sum()),
            "per_class": {
                str(label): of_class.percent
                for label, of_class in enumerate(self.per_class)
            },
        }


def evaluate_predictions(
    labels: NDArray[Any],
    predictions: NDArray[Any],
    n_classes: int,
    confidence: float = 0.95,
) -> Evaluation:
    """Compare predicted classes [N] with labels [N], from 0 to `n_classes` - 1."""
    # Imported here: scikit-learn takes a second to import, and readers of results do
    # not need it.
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, predictions, labels=range(n_classes))
    return Evaluation(confusion, confidence)


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

    @classmethod
    def of(
        cls,
        measured: Measurement,
        overall: Accuracy,
        early: EarlyExit,
        data_source: str,
    ) -> Self:
        """Return the figures of the test set.

        Args:
            measured: the measured test samples.
            overall: accuracy over all of them.
            early: early exit, on validation and test samples.
            data_source: source of the samples.
        """
        events = measured.synaptic_events.sum(axis=1)
        validation = early.validation
        test = early.test
        early_events = test.synaptic_events_per_inference
        return cls.model_validate(
            {
                **overall.entries("test_accuracy"),
                "test_synaptic_events_per_inference": float(events.mean()),
                "early_exit_validation_accuracy_percent": validation.accuracy_percent,
                "early_exit_test_accuracy_percent": test.accuracy_percent,
                "early_exit_synaptic_events_per_inference": early_events,
                "data_source": data_source,
            }
        )


class ConfusionRow(Row):
    """The number of samples of one class that were classified as another."""

    actual: int = Field(ge=0, lt=MAX_CLASSES)
    predicted: int = Field(ge=0, lt=MAX_CLASSES)
    n_samples: Count


class Confusion(Table):
    """The confusion matrix: metrics/confusion.csv."""

    row: ClassVar[type[Row]] = ConfusionRow
    rows: tuple[ConfusionRow, ...]

    @model_validator(mode="after")
    def _has_each_pair(self) -> Self:
        n_classes = math.isqrt(len(self.rows))
        if [(row.actual, row.predicted) for row in self.rows] != list(
            np.ndindex(n_classes, n_classes)
        ):
            raise ValueError(
                "it must have a row for each pair of classes, in their order"
            )
        return self


def save_predictions(path: Path, samples: Samples, measured: Measurement) -> None:
    """Write the predicted class of each sample, and its output spikes or potentials."""
    is_spiking = measured.network.readout.is_spiking
    write_npz(
        path,
        "spikejoule/predictions/1",
        {
            "labels": samples.labels,
            "predictions": measured.predictions.astype(np.uint8),
            "output_spikes" if is_spiking else "output_potentials": measured.scores,
            "index": samples.index,
        },
    )
