"""Accuracy of a network: the fraction of correct predictions, with its interval."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.core.errors import DataError
from spikejoule.encoding.events import array_of


@dataclass(frozen=True)
class Accuracy:
    """A fraction of correct predictions in percent, with its Wilson interval.

    A class without samples has no accuracy: the three percentages are None.
    """

    n_samples: int
    n_correct: int
    percent: float | None
    low_percent: float | None
    high_percent: float | None

    def entries(self, name: str = "accuracy") -> dict[str, float | None]:
        """Return the percentages under their names in files."""
        return {
            f"{name}_percent": self.percent,
            f"{name}_low_percent": self.low_percent,
            f"{name}_high_percent": self.high_percent,
        }


def class_labels(
    labels: ArrayLike, n_samples: int, n_classes: int
) -> NDArray[np.int64]:
    """Check labels and return the class of each sample, int64 [N].

    Raises:
        ArtifactError: the labels are not an array.
        DataError: there are more or fewer labels than samples, or one is not a class.
    """
    classes = array_of(labels, "labels").reshape(-1)
    if (
        classes.size != n_samples
        or classes.dtype.kind not in "iu"
        or not 0 <= classes.min() <= classes.max() < n_classes
    ):
        lowest = classes.min(initial=0)
        highest = classes.max(initial=0)
        raise DataError(
            f"each of the {n_samples:,} samples needs one label from 0 to "
            f"{n_classes - 1}, but there are {classes.size:,} labels of "
            f"{classes.dtype} from {lowest} to {highest}."
        )
    return classes.astype(np.int64)


def accuracy(n_correct: int, n_samples: int, confidence: float = 0.95) -> Accuracy:
    """Return the accuracy in percent with its Wilson score interval.

    The interval stays within [0, 100] and is accurate near both ends (Wilson 1927, J.
    Am. Stat. Assoc. 22, 209, doi:10.1080/01621459.1927.10502953). ValueError for
    impossible counts.
    """
    if n_samples == 0 and n_correct == 0:
        return Accuracy(0, 0, None, None, None)
    if not 0 <= n_correct <= n_samples:
        raise ValueError(
            f"{n_correct} correct of {n_samples} samples: impossible counts."
        )
    fraction = n_correct / n_samples
    z = two_sided_z(confidence)
    width = 2 * (n_samples + z**2)
    center = (2 * n_samples * fraction + z**2) / width
    delta = z / width * math.sqrt(4 * n_samples * fraction * (1 - fraction) + z**2)
    return Accuracy(
        n_samples=n_samples,
        n_correct=n_correct,
        percent=100 * n_correct / n_samples,
        low_percent=100 * (center - delta) if n_correct > 0 else 0.0,
        high_percent=100 * (center + delta) if n_correct < n_samples else 100.0,
    )


def two_sided_z(confidence: float) -> float:
    """Return how many standard deviations hold a fraction of a normal distribution."""
    return NormalDist().inv_cdf(0.5 + 0.5 * confidence)
