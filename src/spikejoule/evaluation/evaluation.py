"""The metrics of a test set, accuracy of each class, confusions, predictions, and their
files.

Percentages are of samples; `_low` and `_high` are the ends of an interval at the level
of confidence that was asked for.
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
from spikejoule.data.images import Samples
from spikejoule.data.subject import MAX_CLASSES
from spikejoule.evaluation.accuracy import Accuracy, EarlyExit, accuracy


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with labels.

    Attributes:
        confusion: samples, int64 [C, C], rows the actual class, columns the predicted
            one.
        confidence: level of the intervals.
    """

    confusion: NDArray[np.int64]
    confidence: float

    @property
    def overall(self) -> Accuracy:
        """Accuracy over all N samples."""
        return accuracy(
            int(np.trace(self.confusion)), int(self.confusion.sum()), self.confidence
        )

    @property
    def per_class(self) -> tuple[Accuracy, ...]:
        """Accuracy of each class's samples, class 0 first (the class's recall)."""
        return tuple(
            accuracy(int(row[label]), int(row.sum()), self.confidence)
            for label, row in enumerate(self.confusion)
        )

    def write(self, confusion: Path, per_class: Path) -> None:
        """Write metrics/confusion.csv, and metrics/per_class.csv for those who draw or
        read it.
        """
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
        """The evaluation of a confusion matrix; ArtifactError if it is missing or
        damaged.
        """
        counts = np.array(
            [row.n_samples for row in Confusion.read(confusion).rows], dtype=np.int64
        )
        n_classes = math.isqrt(len(counts))
        return cls(counts.reshape(n_classes, n_classes), confidence)

    def as_checkpoint_entry(self, metrics: "EvaluationMetrics") -> dict[str, Any]:
        """What the complete checkpoint says of the test set."""
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
    """Compare the predicted classes [N] with the labels [N], classes being 0 to
    `n_classes` - 1.
    """
    # Here and not above: scikit-learn takes a second to import, and readers of results
    # need none.
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(labels, predictions, labels=range(n_classes))
    return Evaluation(confusion, confidence)


class EvaluationMetrics(Record):
    """Headline figures: metrics/evaluate.json.

    A metric that is added has the default None, which is what files from before it
    mean.
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
        cls,
        measured: Measurement,
        overall: Accuracy,
        early: EarlyExit,
        data_source: str,
    ) -> Self:
        """The figures of the whole test set.

        Args:
            measured: the test samples on their way through the network.
            overall: accuracy over all of them.
            early: early exit, on validation and on test samples.
            data_source: where the samples come from.
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
    """How many samples of one class were taken for another."""

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
