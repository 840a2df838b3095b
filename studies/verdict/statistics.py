"""Both sides at equal accuracy: fronts chosen on some networks and read on others.

A configuration is a set of networks that differ only in the seed. To compare both sides
at a level such as 98 %, the study makes many draws. In each draw

    halves    the seeds are divided into two halves at random
    choose    each half chooses a front: the lower convex hull of its configurations,
              by mean validation accuracy and mean log energy
    read      each seed is read on the front that the other half chose: the mixture of
              two configurations, at the seed's own energies and test errors; the slope
              of the chord bridges what is missing to the level
    weigh     the draw is a mean of these readings, in which each seed has a random
              share
    lose      a side whose most accurate configuration misses the level in the draw has
              lost: it needs infinite energy

The interval is the middle 95 % of all ratios. Both sides have the same halves and
shares if they have the same seeds, which also draw the validation images. Nothing is
chosen by test accuracy, and nothing is read on the networks that chose it: the cheapest
of many configurations is not read where it was lucky.

Shares: 1 / S plus centred normal numbers, so that a mean of S seeds varies by its
standard error, times `WIDENING` (calibrated intervals: Loh, Journal of the American
Statistical Association 82 (1987) 155-162). Random halves: cross-fitting (Chernozhukov
et al., The Econometrics Journal 21 (2018) C1-C68). `tests/test_coverage.py` checks both
on synthetic fronts.

In a mixture, each image goes to one of two networks at random: mean energy and mean
error are on the chord, and can be reached. Means over seeds are those of logarithms:
the axis of accuracy is the negative logarithm of the error.

Shapes: B draws, K ways to divide the seeds, S seeds, C configurations.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from spikejoule.energy.estimates import BootstrapSettings, Floats
from studies.verdict.networks import RecordedNetwork

ENOUGH_SEEDS: Final = 5
"""Configurations with fewer seeds take part only if a side has no two others."""

WIDENING: Final = 1.15
"""Factor of the spread of shares, calibrated on synthetic fronts.

Without it, intervals cover 88 to 94 % instead of 95: five seeds underestimate spreads.
With shares from the t distribution, they cover 95 to 99 %: random halves add spread.
"""

SMALLEST_ERROR_PERCENT: Final = 1e-3

Booleans = NDArray[np.bool_]
Indices = NDArray[np.intp]
Quantity = Callable[[RecordedNetwork], float]


def accuracy_axis(percent: Floats | float) -> Floats:
    """Place accuracies on the axis of fronts."""
    errors = np.maximum(100 - np.asarray(percent), SMALLEST_ERROR_PERCENT)
    placed: Floats = -np.log(errors)
    return placed


@dataclass(frozen=True, eq=False)
class Draws:
    """The random numbers of all draws of S seeds.

    Attributes:
        first, second: the seeds in the halves of each division, [K, S]. A single seed
            is in both.
        division: the division of each draw, [B].
        shares: share of each seed in the mean, [B, S]; they add up to 1.
    """

    first: Booleans
    second: Booleans
    division: Indices
    shares: Floats

    @classmethod
    def of(cls, seeds: Sequence[int], settings: BootstrapSettings) -> Self:
        """Draw for some seeds; equal seeds get equal draws."""
        n_seeds = len(seeds)
        generator = np.random.default_rng([settings.seed, *seeds])
        first = divisions(n_seeds)
        second = ~first if n_seeds > 1 else first
        division = generator.integers(len(first), size=settings.resamples)
        normal = generator.standard_normal((settings.resamples, n_seeds))
        centred = normal - normal.mean(axis=1, keepdims=True)
        error = WIDENING * centred / np.sqrt(n_seeds * max(n_seeds - 1, 1))
        return cls(first, second, division, 1 / n_seeds + error)

    def means(self, readings: Floats) -> Floats:
        """Means of readings [K, S] in each draw, [B]."""
        means: Floats = (self.shares * readings[self.division]).sum(axis=1)
        return means


def divisions(n_seeds: int) -> Booleans:
    """Every choice of half of the seeds, or of one fewer, [K, S]."""
    if n_seeds == 1:
        return np.ones((1, 1), dtype=bool)
    chosen = list(combinations(range(n_seeds), n_seeds // 2))
    halves = np.zeros((len(chosen), n_seeds), dtype=bool)
    np.put_along_axis(halves, np.array(chosen), True, axis=1)
    return halves


@dataclass(frozen=True, eq=False)
class Segments:
    """K segments of fronts at a level, each chosen by some of the seeds.

    Attributes:
        chosen_by: these seeds, [K, S].
        below, above: the configurations at both ends, [K].
        share: fraction of the images that go to `above` instead of `below`, [K]. 1 if
            the front starts above the level: `above` is then an upper bound.
        length: difference of the errors of both ends, [K]; infinite if the front
            starts above the level.
        best: the most accurate configuration, [K].
        level: the level on the axis of accuracy.
    """

    chosen_by: Booleans
    below: Indices
    above: Indices
    share: Floats
    length: Floats
    best: Indices
    level: float

    @classmethod
    def chosen(
        cls, chosen_by: Booleans, accuracies: Floats, costs: Floats, level: float
    ) -> Self:
        """Choose the segment of the lower convex hull at a level.

        It is the lowest line at the level between two configurations, one on each side
        of it; or, if it costs less, a single configuration that is more accurate. The
        hull is that of costs and errors, not of their logarithms: two networks reach
        every point of a line, if each image goes to one of them at random.

        Args:
            chosen_by: the seeds that choose, [K, S].
            accuracies: on the axis of accuracy, [S, C].
            costs: logarithms, [S, C].
            level: on the axis of accuracy.
        """
        mean_accuracies = _means(chosen_by, accuracies)
        mean_costs = np.exp(_means(chosen_by, costs))
        errors = np.exp(-mean_accuracies)
        rows = np.arange(len(chosen_by))
        # A front that ends below the level is read along its last segment.
        ends = mean_accuracies.max(axis=1) - 1e-9
        at = np.minimum(level, ends)[:, None]

        # All lines [K, below, above] at the level.
        reaches = mean_accuracies >= at
        crosses = ~reaches[:, :, None] & reaches[:, None, :]
        drop = np.where(crosses, errors[:, :, None] - errors[:, None, :], 1.0)
        part = (errors - np.exp(-at))[:, :, None] / drop
        rise = mean_costs[:, None, :] - mean_costs[:, :, None]
        lines = np.where(crosses, mean_costs[:, :, None] + part * rise, np.inf)
        n_configurations = accuracies.shape[1]
        lowest = lines.reshape(len(rows), -1).argmin(axis=1)
        below = lowest // n_configurations
        above = lowest % n_configurations

        # Single configurations.
        alone_costs = np.where(reaches, mean_costs, np.inf)
        is_alone = alone_costs.min(axis=1) <= lines[rows, below, above]
        above = np.where(is_alone, alone_costs.argmin(axis=1), above)
        below = np.where(is_alone, above, below)

        # Between both ends, the costs of mixtures are linear in their errors.
        start = errors[rows, below]
        length = np.where(is_alone, np.inf, start - errors[rows, above])
        return cls(
            chosen_by=chosen_by,
            below=below,
            above=above,
            share=np.where(is_alone, 1.0, (start - np.exp(-at[:, 0])) / length),
            length=length,
            best=mean_accuracies.argmax(axis=1),
            level=level,
        )

    def read(self, values: Floats, accuracies: Floats) -> Floats:
        """Read values [S, C] of every seed at the level, [K, S].

        A reading is the mixture of both ends, with the seed's own values and errors.
        The slope of the chord bridges what its error is away from the level.

        Args:
            values: logarithms.
            accuracies: on the axis of accuracy, [S, C].
        """
        means = np.exp(_means(self.chosen_by, values))
        rows = np.arange(len(means))
        upper = means[rows, self.above]
        lower = means[rows, self.below]
        mixture = self.share * upper + (1 - self.share) * lower
        # Relative to the mixture, so that no reading is negative.
        slope = (lower - upper) / self.length / mixture
        missing = np.exp(-self.level) - self._between(np.exp(-accuracies))
        readings: Floats = (np.log(self._between(np.exp(values))) + slope * missing).T
        return readings

    def _between(self, values: Floats) -> Floats:
        """The mixtures of both ends, of values [S, C], [S, K]."""
        upper = self.share * values[:, self.above]
        lower = (1 - self.share) * values[:, self.below]
        between: Floats = upper + lower
        return between


def _means(chosen_by: Booleans, values: Floats) -> Floats:
    """Means of values [S, C] over some of the seeds, [K, C]."""
    means: Floats = chosen_by @ values / chosen_by.sum(axis=1, keepdims=True)
    return means


@dataclass(frozen=True, eq=False)
class SideNetworks:
    """The configurations of one side, which have the same seeds.

    Attributes:
        configurations: C configurations of S networks, by seed.
        draws: the draws of these seeds.
        validation, test: their accuracies on the axis of accuracy, [S, C]; those on
            validation images are shifted to the mean of the others.
    """

    configurations: Sequence[Sequence[RecordedNetwork]]
    draws: Draws
    validation: Floats
    test: Floats

    @classmethod
    def among(
        cls, networks: Iterable[RecordedNetwork], settings: BootstrapSettings
    ) -> Self | None:
        """Group the networks of a side; None if there is none."""
        groups = [
            {network.seed: network for network in group}
            for _, group in groupby(
                sorted(networks, key=_configuration), _configuration
            )
        ]
        if not groups:
            return None
        seeds = common_seeds([frozenset(group) for group in groups])
        configurations = [
            [group[seed] for seed in seeds]
            for group in groups
            if group.keys() >= set(seeds)
        ]
        validation = _table(configurations, lambda one: one.validation_percent)
        test = _table(configurations, lambda one: one.test_percent)
        draws = Draws.of(seeds, settings)
        return cls.measured(configurations, draws, validation, test)

    @classmethod
    def measured(
        cls,
        configurations: Sequence[Sequence[RecordedNetwork]],
        draws: Draws,
        validation_percent: Floats,
        test_percent: Floats,
    ) -> Self:
        """Place accuracies in percent, [S, C], on their axis.

        Validation accuracies of a seed are shifted together, to the mean of the test
        accuracies: their images differ by seed, and they flatter one side more.
        """
        gaps = (test_percent - validation_percent).mean(axis=1, keepdims=True)
        validation = accuracy_axis(validation_percent + gaps)
        return cls(configurations, draws, validation, accuracy_axis(test_percent))

    @property
    def n_seeds(self) -> int:
        """Number of seeds."""
        return len(self.validation)

    def log_values(self, quantity: Quantity) -> Floats:
        """Logarithms of a quantity of each network, [S, C]."""
        values = _table(self.configurations, quantity)
        logarithms: Floats = np.log(np.maximum(values, 1e-9))
        return logarithms

    def front(self, costs: Floats, level_percent: float) -> "Front":
        """The front of lowest costs [S, C] at a level."""
        level = float(accuracy_axis(level_percent))
        first, second = (
            Segments.chosen(half, self.validation, costs, level)
            for half in (self.draws.first, self.draws.second)
        )
        return Front(self, first, second)

    def by_all(self, costs: Floats, level_percent: float) -> Segments:
        """The segment that all seeds choose, [1]."""
        everyone = np.ones((1, self.n_seeds), dtype=bool)
        level = float(accuracy_axis(level_percent))
        return Segments.chosen(everyone, self.validation, costs, level)

    def seed_by_seed(self, costs: Floats, level_percent: float) -> Floats:
        """Interpolate costs [S, C] among the networks of each seed, [S].

        Infinite if no network of the seed reaches the level, by test accuracy.
        """
        level = float(accuracy_axis(level_percent))
        own = np.eye(self.n_seeds, dtype=bool)
        segments = Segments.chosen(own, self.test, costs, level)
        readings = segments.read(costs, self.test).diagonal()
        reached = self.test.max(axis=1) >= level
        return np.where(reached, readings, np.inf)


def _configuration(network: RecordedNetwork) -> tuple[str, ...]:
    return network.configuration, network.method


def _table(
    configurations: Sequence[Sequence[RecordedNetwork]], quantity: Quantity
) -> Floats:
    """A quantity of each network, [S, C]."""
    rows = [[quantity(network) for network in networks] for networks in configurations]
    return np.array(rows, dtype=float).T


def common_seeds(seed_sets: Sequence[frozenset[int]]) -> list[int]:
    """The seeds that most configurations have, at least five if two have as many."""
    enough = [seeds for seeds in seed_sets if len(seeds) >= ENOUGH_SEEDS]
    candidates: Sequence[frozenset[int]] = enough if len(enough) >= 2 else seed_sets

    def preference(seeds: frozenset[int]) -> tuple[int, int, list[int]]:
        n_configurations = sum(seeds <= others for others in seed_sets)
        return n_configurations, len(seeds), sorted(seeds)

    most_common = max(candidates, key=preference)
    return sorted(most_common)


@dataclass(frozen=True, eq=False)
class Front:
    """The front of a side at a level, chosen by both halves of every division.

    Attributes:
        side: its networks.
        first, second: the segments that the halves choose, [K].
    """

    side: SideNetworks
    first: Segments
    second: Segments

    def readings(self, values: Floats) -> Floats:
        """Values [S, C] at the level, read where the other half chose, [K, S]."""
        first = self.first.read(values, self.side.test)
        second = self.second.read(values, self.side.test)
        return np.where(self.side.draws.first, second, first)

    def drawn(self, values: Floats) -> Floats:
        """Values [S, C] at the level in each draw, [B]; infinite if it is missed."""
        means = self.side.draws.means(self.readings(values))
        return np.where(self.is_missed, np.inf, means)

    @property
    def is_missed(self) -> Booleans:
        """The draws in which no configuration reaches the level, [B]."""
        first = self.side.test[:, self.first.best].T
        second = self.side.test[:, self.second.best].T
        best = np.where(self.side.draws.first, second, first)
        # Shares add up to 1 but for rounding.
        missed: Booleans = self.side.draws.means(best) < self.first.level - 1e-9
        return missed

    @property
    def is_missed_mostly(self) -> bool:
        """Whether no configuration reaches the level in more than half of the draws."""
        return bool(self.is_missed.mean() > 0.5)


class Spread(NamedTuple):
    """Lower end of an interval, median and upper end; they may be infinite."""

    low: float
    median: float
    high: float


def spread(values: Floats, confidence: float) -> Spread:
    """The middle of draws; NaN without draws."""
    if not len(values):
        return Spread(np.nan, np.nan, np.nan)
    tail = (1 - confidence) / 2
    # No interpolation: halfway to an infinite value is not a number.
    ends = np.quantile(values, (tail, 0.5, 1 - tail), method="inverted_cdf")
    return Spread(*ends.tolist())


def beyond_drawing_errors(confidence: float, n_draws: int) -> float:
    """Return a confidence so much higher that other draws would not undo a win.

    The share of draws beyond an end of an interval has a binomial standard error. The
    higher confidence leaves three of these errors less beyond each end.
    """
    tail = (1 - confidence) / 2
    error = math.sqrt(tail * (1 - tail) / max(n_draws, 1))
    return 1 - 2 * max(tail - 3 * error, 0)


def ratios_of(log_spiking: Floats, log_conventional: Floats) -> Floats:
    """Ratios in the draws; infinite or 0 if one side misses the level.

    Draws that both sides miss are left out.
    """
    either = np.isfinite(log_spiking) | np.isfinite(log_conventional)
    ratios: Floats = np.exp(log_spiking[either] - log_conventional[either])
    return ratios


def plain_ratio(
    log_spiking: Floats, log_conventional: Floats, confidence: float
) -> Spread | None:
    """Mean and t interval of paired differences over seeds, as ratios.

    None if there are fewer than two pairs, or a side misses the level in one of them.
    """
    if len(log_spiking) != len(log_conventional) or len(log_spiking) < 2:
        return None
    if not (np.isfinite(log_spiking) & np.isfinite(log_conventional)).all():
        return None
    differences = log_spiking - log_conventional
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    quantile = stats.t.ppf((1 + confidence) / 2, len(differences) - 1)
    ends = differences.mean() + error * np.array([-quantile, 0, quantile])
    return Spread(*np.exp(ends).tolist())
