"""Energies: means over images, standard deviations, and bootstrap intervals.

Energies are sums of counts times prices, so the counts are resampled once, and the
energies under every price list follow. For N images with mean counts m, deviations
D [N, C] from it and resampled means M [B, C], prices p give the mean energy m p, the
standard deviation |D p| / sqrt(N - 1), and the resampled energies M p. All energies
share the resamples, so ratios are paired. Intervals are percentiles (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PJ_PER_J = 1e12

_DRAWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Energy:
    """Mean energy of an inference in pJ, or the exact energy of a training.

    Attributes:
        low_pj, value_pj, high_pj: at the low end, the value and the high end of the
            prices; `value_pj` is None if a price is a range.
        standard_deviation_pj: over images, of the value, else of the high end; None if
            only means are known.
        interval_low_pj, interval_high_pj: bootstrap interval of the mean, from the low
            to the high end of the prices; None if only means are known.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float
    standard_deviation_pj: float | None = None
    interval_low_pj: float | None = None
    interval_high_pj: float | None = None

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Build an energy from its fields in order, NaN standing for None."""
        return cls(*(None if np.isnan(number) else float(number) for number in numbers))  # type: ignore[arg-type]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The fields in order, NaN for None."""
        return tuple(
            np.nan if number is None else number for number in vars(self).values()
        )

    @property
    def lowest_pj(self) -> float:
        """The lower end of the mean, by price range and interval."""
        return self.low_pj if self.interval_low_pj is None else self.interval_low_pj

    @property
    def highest_pj(self) -> float:
        """The upper end of the mean, by price range and interval."""
        return self.high_pj if self.interval_high_pj is None else self.interval_high_pj

    @property
    def middle_pj(self) -> float:
        """The value, or the middle of the price range without one."""
        if self.value_pj is None:
            return (self.low_pj + self.high_pj) / 2
        return self.value_pj


def interval(low: Floats, high: Floats, confidence: float) -> tuple[Any, Any]:
    """Return the ends of a percentile interval over B draws.

    Args:
        low, high: draws at the low and high ends of the prices, [B] or [B, ...].
        confidence: level of the interval.
    """
    lower_end = np.quantile(low, (1 - confidence) / 2, axis=0)
    upper_end = np.quantile(high, (1 + confidence) / 2, axis=0)
    return lower_end, upper_end


def rounded(number: Any, digits: int = 10) -> Any:
    """Round a float to significant digits; other values stay.

    Later digits depend on the order in which a processor adds.
    """
    return float(f"{number:.{digits}g}") if isinstance(number, float) else number


@dataclass(frozen=True)
class BootstrapSettings:
    """How intervals are drawn.

    Attributes:
        resamples: number of resamples.
        confidence: level of the interval, above 0 and below 1.
        seed: seed of the draws; equal seeds give equal intervals.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


def spread(deviations: Floats, resampled: Floats, confidence: float) -> Floats:
    """Return standard deviation and interval ends, [3, ...]; NaN for a single image.

    Args:
        deviations: of N images from the mean, at low, value and high prices,
            [3, N, ...].
        resampled: means of B resamples at the same prices, [3, B, ...].
        confidence: level of the interval.
    """
    n_images = deviations.shape[1]
    if n_images == 1:
        return np.full((3, *deviations.shape[2:]), np.nan)
    _, value, high = np.sqrt((deviations**2).sum(axis=1) / (n_images - 1))
    ends = interval(resampled[0], resampled[-1], confidence)
    return np.stack([np.where(np.isnan(value), high, value), *ends])


def resampled_means(
    counts: Sequence[NDArray[Any]], settings: BootstrapSettings
) -> tuple[Floats, ...]:
    """Resample several counts [N, C] of the same images; return means, [B, C] each.

    A resample draws N images with replacement; all counts share the draws. Sums of
    integers are exact in float64, in any order. A single row is a mean or a sum over
    all images, and its own resample.
    """
    n_images = max(map(len, counts))
    n_resamples = settings.resamples if n_images > 1 else 1
    resampled = tuple(np.tile(rows.mean(axis=0), (n_resamples, 1)) for rows in counts)
    if n_images == 1:
        return resampled
    # Counts that are equal for all images, such as one addition per neuron and step,
    # need no resampling.
    varying = [(rows != rows[:1]).any(axis=0) for rows in counts]
    first = 0
    for times in _resamples(n_images, settings):
        drawn = slice(first, first + len(times))
        for means, rows, varies in zip(resampled, counts, varying, strict=True):
            if varies.any():
                means[drawn, varies] = times @ rows[:, varies] / n_images
        first = drawn.stop
    return resampled


def _resamples(n_images: int, settings: BootstrapSettings) -> Iterator[Floats]:
    """Yield how often each image is drawn, [some resamples, N] at a time."""
    generator = np.random.default_rng(settings.seed)
    block = max(_DRAWS_AT_ONCE // n_images, 1)
    for first in range(0, settings.resamples, block):
        rows = min(block, settings.resamples - first)
        drawn = generator.integers(0, n_images, (rows, n_images))
        # Number the images of each resample separately: one bincount serves all rows.
        drawn += np.arange(rows)[:, None] * n_images
        times = np.bincount(drawn.ravel(), minlength=rows * n_images)
        yield times.reshape(rows, n_images).astype(np.float64)
