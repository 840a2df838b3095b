"""How well predictions match labels: accuracy with its uncertainty, per class, and confusions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError


@dataclass(frozen=True)
class Accuracy:
    """A share of correct predictions in percent, with its Wilson interval.

    A class without samples has no accuracy: the three percentages are None.
    """

    n_samples: int
    n_correct: int
    percent: float | None
    low_percent: float | None
    high_percent: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions compared with labels.

    Attributes:
        overall: accuracy over all N samples.
        per_class: accuracy of each class's samples, class 0 first (the class's recall).
        confusion: int64 [C, C], rows the actual class, columns the predicted one.
        confidence: level of the intervals, 0.95 for 95 %.
    """

    overall: Accuracy
    per_class: tuple[Accuracy, ...]
    confusion: NDArray[np.int64]
    confidence: float


def accuracy(n_correct: int, n_samples: int, confidence: float = 0.95) -> Accuracy:
    """Accuracy in percent with the Wilson score interval at the level `confidence`.

    The interval stays inside [0, 100] and is honest near both ends (Wilson 1927, J. Am. Stat.
    Assoc. 22, 209, doi:10.1080/01621459.1927.10502953). Raises ValueError for impossible counts.
    """
    if n_samples == 0 and n_correct == 0:
        return Accuracy(0, 0, None, None, None)
    # It takes half a second, and who reads results of an evaluation needs none of it.
    from scipy.stats import binomtest

    interval = binomtest(n_correct, n_samples).proportion_ci(confidence, method="wilson")
    return Accuracy(
        n_samples=n_samples,
        n_correct=n_correct,
        percent=100 * n_correct / n_samples,
        low_percent=100 * float(interval.low),
        high_percent=100 * float(interval.high),
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
    return Evaluation(
        overall=accuracy(int(np.trace(confusion)), int(labels.size), confidence),
        per_class=tuple(
            accuracy(int(row[label]), int(row.sum()), confidence)
            for label, row in enumerate(confusion)
        ),
        confusion=confusion,
        confidence=confidence,
    )
