"""Means of counts over images, their spread, bootstrap intervals, and energies under a
bracket.

Energies are sums of counts times prices. The resampled means of the counts are
therefore drawn once, and every energy of every profile follows from them: the mean m of
N images, their deviations D [N, C] from it and resampled means M [B, C] give an energy
of prices p the mean m p, the standard deviation |D p| / sqrt(N - 1), and the resampled
means M p. Two energies share their resamples, so that their ratio is a paired one.
Percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
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
        low_pj, value_pj, high_pj: under the prices' lower ends, values (None: brackets
            alone) and upper ends.
        standard_deviation_pj: over images, of the value, or of the upper end; None
            where the counts are known as means alone.
        interval_low_pj, interval_high_pj: bootstrap interval of the mean, from the
            lower ends of the prices to the upper; None likewise.
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
        """The least that the mean can be: by the prices' bracket and by the
        interval.
        """
        return self.low_pj if self.interval_low_pj is None else self.interval_low_pj

    @property
    def highest_pj(self) -> float:
        """The most that the mean can be."""
        return self.high_pj if self.interval_high_pj is None else self.interval_high_pj

    @property
    def middle_pj(self) -> float:
        """The mean under the values; of brackets alone, half-way between their ends."""
        return (
            (self.low_pj + self.high_pj) / 2 if self.value_pj is None else self.value_pj
        )


def interval(low: Floats, high: Floats, confidence: float) -> tuple[Any, Any]:
    """Ends of the interval of draws, [B] or [B, ...]: below which too few values under
    the lower ends of prices are, and above which too few under the upper."""
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    return np.quantile(low, ends[0], axis=0), np.quantile(high, ends[1], axis=0)


def rounded(number: Any, digits: int = 10) -> Any:
    """A float with so many digits; beyond them, sums differ with the order in which a
    processor adds."""
    return float(f"{number:.{digits}g}") if isinstance(number, float) else number


def plain(number: float, digits: int = 3) -> str:
    """A number with so many digits and no exponent: 17,400, not 1.74e+04."""
    return f"{Decimal(f'{number:.{digits}g}'):,f}"


def joules(energy_pj: float, digits: int = 4, like_pj: float | None = None) -> str:
    """An energy with a unit that suits its size, or that of another energy."""
    like = abs(energy_pj if like_pj is None else like_pj)
    size, unit = next((one for one in _UNITS if like >= one[0]), _UNITS[-1])
    return f"{plain(energy_pj / size, digits)} {unit}"


def energy_words(energy: Energy, digits: int = 4) -> str:
    """The value, or the range where there is nothing else; an empty text for no
    energy.
    """
    value = energy.value_pj
    ends: list[float | None] = (
        [energy.low_pj, energy.high_pj] if value is None else [value]
    )
    return " to ".join(joules(pj, digits) for pj in ends if pj is not None)


def interval_words(energy: Energy) -> str:
    """From the least to the most that the mean can be."""
    low = joules(energy.lowest_pj)
    high = joules(energy.highest_pj)
    return low if low == high else f"{low} to {high}"


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


def spread(deviations: Floats, resampled: Floats, confidence: float) -> Floats:
    """Standard deviation and ends of the interval, [3, ...]; NaN of one image alone.

    Args:
        deviations: of each of N images from the mean, under low, value and high prices,
            [3, N, ...].
        resampled: means of B resamples under the same prices, [3, B, ...].
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
    """Means of B resamples, [B, C], of several counts [N, C] of the same N images.

    A resample is the number of times that each image was drawn, with replacement, and
    they share the draws. Sums of whole numbers are exact in float64, whatever the order
    in which they are added. Of one row alone, which is a mean or a sum over all images,
    every resample is that row.
    """
    n_images = max(map(len, counts))
    n_resamples = settings.resamples if n_images > 1 else 1
    resampled = tuple(np.tile(rows.mean(axis=0), (n_resamples, 1)) for rows in counts)
    if n_images == 1:
        return resampled
    # Counts that are equal for all images (one addition per neuron and step) need no
    # resampling.
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
    """How often each image was drawn, [some resamples, N] at a time."""
    generator = np.random.default_rng(settings.seed)
    block = max(_DRAWS_AT_ONCE // n_images, 1)
    for first in range(0, settings.resamples, block):
        rows = min(block, settings.resamples - first)
        drawn = generator.integers(0, n_images, (rows, n_images))
        drawn += np.arange(rows)[:, None] * n_images
        times = np.bincount(drawn.ravel(), minlength=rows * n_images).reshape(
            rows, n_images
        )
        yield times.astype(np.float64)
