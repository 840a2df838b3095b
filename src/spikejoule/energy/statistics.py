"""Means of counts over images, their spread, and bootstrap intervals.

Energies are sums of counts times prices. The resampled means of the counts are therefore drawn
once, and every energy of every profile follows from them: the mean m, covariance C and resampled
means M of the counts give an energy of prices p the mean m p, the standard deviation
sqrt(p C p), and the resampled means M p. Two energies share their resamples, so that their ratio is
a paired one. Percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.estimates import Estimate, Floats

_DRAWS_AT_ONCE = 4_000_000
_DRAWS_KEPT = 50_000_000  # 100 MB, two bytes each


@dataclass(frozen=True)
class BootstrapSettings:
    """How intervals are drawn.

    Attributes:
        resamples: how many.
        confidence: level of the interval, above 0 and below 1.
        seed: of the draws; the same seed gives the same intervals.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class CountStatistics:
    """Counts of C columns over images.

    Attributes:
        mean: float64 [C].
        covariance: over images, with n - 1, float64 [C, C]; None if the means alone are known.
        resampled: means of resamples, float64 [B, C]; None likewise.
        confidence: level of intervals.
    """

    mean: Floats
    covariance: Floats | None
    resampled: Floats | None
    confidence: float

    def estimate(self, weights: Floats) -> Estimate:
        """The mean of the columns' sum under weights (prices), float64 [C], with its spread."""
        mean = float(self.mean @ weights)
        if self.covariance is None or self.resampled is None:
            return Estimate(mean, None, None, None)
        variance = float(weights @ self.covariance @ weights)
        low, high = interval(self.resampled @ weights, self.confidence)
        return Estimate(mean, max(variance, 0.0) ** 0.5, low, high)

    def column(self, place: int) -> Estimate:
        """The mean of one column, with its spread."""
        weights = np.zeros(self.mean.size)
        weights[place] = 1.0
        return self.estimate(weights)

    def of_first(self, n_columns: int) -> "CountStatistics":
        """The same for the first columns alone."""
        chosen = slice(n_columns)
        return CountStatistics(
            self.mean[chosen],
            None if self.covariance is None else self.covariance[chosen, chosen],
            None if self.resampled is None else self.resampled[:, chosen],
            self.confidence,
        )


def count_statistics(counts: NDArray[np.int64], settings: BootstrapSettings) -> CountStatistics:
    """Statistics of counts [N, C]; one image alone gives a mean without spread or interval."""
    n_images, n_columns = counts.shape
    values = counts.astype(np.float64)
    mean = values.mean(axis=0)
    if n_images == 1:
        return mean_statistics(mean, settings)
    # Counts that are equal for all images (one addition per neuron and step) need no resampling.
    varying = np.flatnonzero(counts.min(axis=0) != counts.max(axis=0))
    centred = values[:, varying] - mean[varying]
    covariance = np.zeros((n_columns, n_columns))
    covariance[np.ix_(varying, varying)] = centred.T @ centred / (n_images - 1)
    resampled = np.tile(mean, (settings.resamples, 1))
    resampled[:, varying] = resampled_means(values[:, varying], settings)
    return CountStatistics(mean, covariance, resampled, settings.confidence)


def mean_statistics(means: Floats, settings: BootstrapSettings) -> CountStatistics:
    """Statistics of counts that are known as means [C] alone."""
    return CountStatistics(means, None, None, settings.confidence)


def interval(resampled: Floats, confidence: float) -> tuple[float, float]:
    """The percentile interval of resampled values [B]."""
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled_means(values: Floats, settings: BootstrapSettings) -> Floats:
    """Means of resamples of N images with replacement, float64 [B, C].

    A resample is the number of times that each image was drawn; all columns share the draws. Sums
    of whole numbers are exact in float64, whatever the order in which they are added.
    """
    n_images, first = len(values), 0
    draw = _kept_resamples if n_images * settings.resamples <= _DRAWS_KEPT else _resamples
    means = np.empty((settings.resamples, values.shape[1]))
    for times in draw(n_images, settings, max(_DRAWS_AT_ONCE // n_images, 1)):
        means[first : first + len(times)] = times @ values / n_images
        first += len(times)
    return means


def _resamples(
    n_images: int, settings: BootstrapSettings, block: int
) -> Iterator[NDArray[np.unsignedinteger]]:
    """How often each image was drawn, [`block` or fewer, N] at a time."""
    generator = np.random.default_rng(settings.seed)
    for first in range(0, settings.resamples, block):
        rows = min(block, settings.resamples - first)
        drawn = generator.integers(0, n_images, (rows, n_images))
        drawn += np.arange(rows)[:, None] * n_images
        times = np.bincount(drawn.ravel(), minlength=rows * n_images).reshape(rows, n_images)
        yield times.astype(np.min_scalar_type(n_images))


@lru_cache(maxsize=1)
def _kept_resamples(
    n_images: int, settings: BootstrapSettings, block: int
) -> tuple[NDArray[np.unsignedinteger], ...]:
    """The same, for who asks again: each profile of a report prices the same images."""
    return tuple(_resamples(n_images, settings, block))
