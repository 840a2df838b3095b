"""Means of counts over images, their spread, bootstrap intervals, and energies under a bracket.

Energies are sums of counts times prices. The resampled means of the counts are therefore drawn
once, and every energy of every profile follows from them: the means m of N images, their deviations
D [N, C] from it and resampled means M [B, C] give an energy of prices p the mean m p, the standard
deviation |D p| / sqrt(N - 1), and the resampled means M p. Two energies share their resamples, so
that their ratio is a paired one. Percentile bootstrap: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_UNITS = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Energy:
    """pJ of an inference, a mean, or of all of a training, which is known exactly.

    Attributes:
        low_pj, value_pj, high_pj: under the prices' lower ends, values (None: brackets alone) and
            upper ends.
        standard_deviation_pj: over images, of the value, or of the upper end; None where the counts
            are known as means alone.
        interval_low_pj, interval_high_pj: bootstrap interval of the mean, from the lower ends of
            the prices to the upper; None likewise.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float
    standard_deviation_pj: float | None = None
    interval_low_pj: float | None = None
    interval_high_pj: float | None = None

    @classmethod
    def of(cls, numbers: Iterable[float]) -> Self:
        """Of the fields in their order, NaN for None."""
        return cls(*(None if np.isnan(number) else float(number) for number in numbers))  # type: ignore[arg-type]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The fields in their order, NaN for None."""
        return tuple(np.nan if one is None else one for one in vars(self).values())

    @property
    def lowest_pj(self) -> float:
        """The least that the mean can be: by the prices' bracket and by the interval."""
        return self.low_pj if self.interval_low_pj is None else self.interval_low_pj

    @property
    def highest_pj(self) -> float:
        """The most that the mean can be."""
        return self.high_pj if self.interval_high_pj is None else self.interval_high_pj

    @property
    def middle_pj(self) -> float:
        """The mean under the values; of brackets alone, half-way between their ends."""
        return (self.low_pj + self.high_pj) / 2 if self.value_pj is None else self.value_pj


def middle(ends_pj: Floats) -> float:
    """The value of low, value and high, float64 [3]; of brackets alone, half-way between."""
    low, value, high = ends_pj
    return float((low + high) / 2 if np.isnan(value) else value)


def joules(energy_pj: float, digits: int = 4) -> str:
    """An energy with a unit that suits its size."""
    for size, unit in _UNITS:
        if abs(energy_pj) >= size:
            return f"{energy_pj / size:.{digits}g} {unit}"
    return f"{energy_pj:.{digits}g} pJ"


def range_words(
    low_pj: float | None, value_pj: float | None, high_pj: float | None, digits: int = 3
) -> str:
    """The value, or the range where there is nothing else; nothing where there is neither."""
    if value_pj is not None:
        return joules(value_pj, digits)
    if low_pj is None or high_pj is None:
        return ""
    return f"{joules(low_pj, digits)} to {joules(high_pj, digits)}"


def energy_words(energy: Energy) -> str:
    """The same of an energy."""
    return range_words(energy.low_pj, energy.value_pj, energy.high_pj, 4)


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
    """Counts of C columns over N images.

    Attributes:
        mean: float64 [C].
        varying: the V columns that are not the same for all images; they alone are resampled.
        centred: counts of the varying ones less their mean, float64 [N, V]; None for one image, or
            where the means alone are known.
        resampled: means of resamples of the varying ones, float64 [B, V]; None likewise.
        confidence: level of intervals.
    """

    mean: Floats
    varying: NDArray[np.intp]
    centred: Floats | None
    resampled: Floats | None
    confidence: float

    def resampled_sums(self, weights: Floats) -> Floats:
        """Sums of the columns under K weights [K, C] in every resample, float64 [K, B]; [K, 1] of
        the means where these alone are known."""
        means = self.mean[None]
        if self.resampled is not None:
            means = np.tile(self.mean, (len(self.resampled), 1))
            means[:, self.varying] = self.resampled
        return np.stack([means @ each for each in weights])

    def spread(self, weights: Floats) -> Floats:
        """Mean, standard deviation and interval of sums under K weights, float64 [4, K]; all but
        the means NaN where there is no spread."""
        found = np.full((4, len(weights)), np.nan)
        found[0] = [self.mean @ each for each in weights]
        if self.centred is not None:
            of_images = self.centred @ weights[:, self.varying].T
            found[1] = np.sqrt((of_images**2).sum(axis=0) / (len(of_images) - 1))
            found[2:] = interval(self.resampled_sums(weights), self.confidence)
        return found

    def spread_of_columns(self, weights: Floats) -> Floats:
        """The same of each column by itself, float64 [4, K, C]."""
        n_columns = weights.shape[1]
        alone = np.zeros((*weights.shape, n_columns))
        alone[:, range(n_columns), range(n_columns)] = weights
        return self.spread(alone.reshape(-1, n_columns)).reshape(4, *weights.shape)

    def energy(self, weights: Floats, means: Floats | None = None) -> Energy:
        """The energy of all columns together, under prices [3, C] with NaN values for brackets.

        `means` [3], if they are given, stand for the sums of the columns' means.
        """
        spread = self.spread(weights)
        return Energy.of([*(spread[0] if means is None else means), *priced_spread(spread[1:])])


def priced_spread(spread: Floats) -> Floats:
    """Of standard deviations and intervals under lower ends, values and upper ends, [3, 3, ...],
    those of `Energy`: [3, ...]."""
    deviation = np.where(np.isnan(spread[0, 1]), spread[0, 2], spread[0, 1])
    found: Floats = np.stack([deviation, spread[1, 0], spread[2, 2]])
    return found


def interval(resampled: Floats, confidence: float) -> Floats:
    """The percentile intervals of resampled values [K, B]: their ends, float64 [2, K]."""
    ends = np.full((2, len(resampled)), np.nan)
    known = ~np.isnan(resampled[:, 0])
    quantiles = [(1 - confidence) / 2, (1 + confidence) / 2]
    ends[:, known] = np.quantile(resampled[known], quantiles, axis=1)
    return ends


def count_statistics(
    rows: Sequence[NDArray[Any]], settings: BootstrapSettings
) -> tuple[CountStatistics, ...]:
    """Statistics of some counts [N, C] each, all of the same N images, which share the draws.

    One row alone, an image or a mean, has a mean without spread or interval.
    """
    means = [counts.mean(axis=0, dtype=np.float64) for counts in rows]
    if len(rows[0]) == 1:
        none = np.empty(0, dtype=np.intp)
        return tuple(CountStatistics(mean, none, None, None, settings.confidence) for mean in means)
    # Counts that are equal for all images (one addition per neuron and step) need no resampling.
    varying = [np.flatnonzero(counts.min(axis=0) != counts.max(axis=0)) for counts in rows]
    chosen = [counts[:, places] for counts, places in zip(rows, varying, strict=True)]
    return tuple(
        CountStatistics(mean, places, counts - mean[places], resampled, settings.confidence)
        for mean, places, counts, resampled in zip(
            means, varying, chosen, resampled_means(chosen, settings), strict=True
        )
    )


def resampled_means(
    values: Sequence[NDArray[Any]], settings: BootstrapSettings
) -> tuple[Floats, ...]:
    """Means of resamples of N images with replacement, float64 [B, C] of each [N, C].

    A resample is the number of times that each image was drawn; all columns share the draws. Sums
    of whole numbers are exact in float64, whatever the order in which they are added.
    """
    n_images, first = len(values[0]), 0
    means = tuple(np.empty((settings.resamples, each.shape[1])) for each in values)
    for times in _resamples(n_images, settings):
        for found, each in zip(means, values, strict=True):
            found[first : first + len(times)] = times @ each / n_images
        first += len(times)
    return means


def _resamples(n_images: int, settings: BootstrapSettings) -> Iterator[Floats]:
    """How often each image was drawn, [some resamples, N] at a time."""
    generator, block = np.random.default_rng(settings.seed), max(_DRAWS_AT_ONCE // n_images, 1)
    for first in range(0, settings.resamples, block):
        rows = min(block, settings.resamples - first)
        drawn = generator.integers(0, n_images, (rows, n_images))
        drawn += np.arange(rows)[:, None] * n_images
        times = np.bincount(drawn.ravel(), minlength=rows * n_images).reshape(rows, n_images)
        yield times.astype(np.float64)
