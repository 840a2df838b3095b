"""Random draws of recorded networks, and the Pareto front of each side in each draw.

A recorded network is one draw of its seed, its energy is a mean over some images, and a
level such as "98 %" is an arbitrary choice. The comparison at a level is therefore
drawn many times. In each draw

    seeds     the mean of a configuration (networks that differ only in the seed) is
              drawn from the t distribution of its seeds, accuracy and log energy
              together; all ways of running a network share its random numbers
    images    the energy is shifted by its standard error over images times a normal
              number
    accuracy  is drawn uniformly from the band of `HALF_BAND` around the level
    front     the front of a side is a line through its cheapest configurations, log
              energy against validation accuracy; it is not extended beyond its ends

The result is the ratio of both fronts' energies at that accuracy. Test accuracy is
reported and decides nothing.

Drawing means from t: Gelman et al., Bayesian Data Analysis, 3rd edition, 2013, section
3.2, with weights of the seeds in place of the Bayesian bootstrap of Rubin, The Annals
of Statistics 9 (1981) 130-134. Standard errors of both sides are treated as independent
although the images are the same, which widens the intervals.

Shapes: B draws, C configurations, S seeds of a configuration. Energies are logarithms
of pJ, [3, ...] for the lower end, the middle and the upper end of the prices.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, Self, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.estimates import BootstrapSettings, Floats
from spikejoule.energy.ledger import Side
from studies.verdict.networks import RecordedNetwork

HALF_BAND: Final = 0.3
"""Half width in percentage points of the accuracy band around a level."""

ENOUGH_SEEDS: Final = 5
"""Configurations with fewer seeds take part only if a side has no two others."""

Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Configuration:
    """Networks that differ only in the seed, and the random numbers drawn for them.

    The first draw is the plain mean.

    Attributes:
        networks: S networks, by seed.
        shares: share of each network in the mean, [B, S]; they add up to 1.
        noise: shift of the mean energy from each network's images, in standard errors,
            [B, S].
    """

    networks: tuple[RecordedNetwork, ...]
    shares: Floats
    noise: Floats

    @property
    def side(self) -> Side:
        """The side of its networks."""
        return self.networks[0].side

    def accuracies(self) -> Floats:
        """Mean validation accuracy in each draw, [B]."""
        percents = np.array([network.validation_percent for network in self.networks])
        return self.means(percents)

    def log_energies(self, profile: str) -> Floats:
        """Mean log energy in each draw, [3, B]; infinite if a network has no price."""
        energies = [network.energy(profile) for network in self.networks]
        known = [energy for energy in energies if energy is not None]
        if len(known) < len(energies):
            return np.full((3, len(self.shares)), np.inf)
        ends_pj = np.array(
            [
                [energy.low_pj for energy in known],
                [energy.middle_pj for energy in known],
                [energy.high_pj for energy in known],
            ]
        )
        # All ends have the relative deviation of the upper end.
        relative = np.array([energy.relative_deviation for energy in known])
        n_images = np.array([network.n_images for network in self.networks])
        error = (self.noise * (relative / np.sqrt(n_images))).sum(axis=1)
        logarithms = np.log(np.maximum(ends_pj, np.finfo(float).tiny))
        return np.stack([self.means(end) + error for end in logarithms])

    def means(self, values: Floats) -> Floats:
        """Means over the networks in each draw, [B], of values [S]."""
        # No matrix product, which may round equal ends of prices differently.
        means: Floats = (self.shares * values).sum(axis=1)
        return means


@dataclass(frozen=True, eq=False)
class Draws:
    """All configurations, and the accuracy of each draw.

    Attributes:
        configurations: C configurations.
        offsets: distance of each draw's accuracy from its level in percentage points,
            [B]; 0 in the first draw.
    """

    configurations: tuple[Configuration, ...]
    offsets: Floats

    def accuracies(self) -> Floats:
        """Validation accuracies, [B, C]."""
        percents = [configuration.accuracies() for configuration in self.configurations]
        return np.stack(percents, axis=1)

    def log_energies(self, profile: str) -> Floats:
        """Log energies under a price list, [3, B, C]; infinite without a price."""
        energies = [
            configuration.log_energies(profile) for configuration in self.configurations
        ]
        return np.stack(energies, axis=2)

    def taking_part(self, side: Side, log_energies: Floats) -> Booleans:
        """The configurations that form the front of a side, [C].

        Those with enough seeds, or all if fewer than two have enough.
        """
        sides = np.array([member.side for member in self.configurations])
        n_seeds = np.array([len(member.networks) for member in self.configurations])
        compared: Booleans = (sides == side) & np.isfinite(log_energies[1, 0])
        enough: Booleans = compared & (n_seeds >= ENOUGH_SEEDS)
        return enough if enough.sum() >= 2 else compared


def draw(networks: Iterable[RecordedNetwork], settings: BootstrapSettings) -> Draws:
    """Draw shares of seeds, shifts from images, and accuracies."""
    ordered = sorted(
        networks, key=lambda network: (_configuration(network), network.seed)
    )
    groups = [tuple(group) for _, group in groupby(ordered, _configuration)]
    generator = np.random.default_rng(settings.seed)
    offsets = generator.uniform(-HALF_BAND, HALF_BAND, settings.resamples)
    # The first draw is the plain mean at the level.
    offsets[0] = 0
    # All ways of running the same networks share their random numbers.
    drawn: dict[tuple[Any, ...], tuple[Floats, Floats]] = {}
    configurations = []
    for group in groups:
        seeds = tuple(network.seed for network in group)
        key = (group[0].side, group[0].configuration, seeds)
        if key not in drawn:
            shares = _shares(len(group), settings.resamples, generator)
            noise = generator.standard_normal((settings.resamples, len(group)))
            noise[0] = 0
            drawn[key] = shares, noise / len(group)
        configurations.append(Configuration(group, *drawn[key]))
    return Draws(tuple(configurations), offsets)


def _configuration(network: RecordedNetwork) -> tuple[str, ...]:
    return network.side, network.configuration, network.method


def _shares(n_seeds: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """Draw the shares of a configuration's seeds in its mean, [B, S].

    In units of the standard error, the mean with these shares is distributed around the
    plain mean as t with S - 1 degrees of freedom: centred normal weights, divided by
    the root of a chi-squared number.
    """
    if n_seeds == 1:
        return np.ones((n_draws, 1))
    normal = generator.standard_normal((n_draws, n_seeds))
    normal[0] = 0
    chi_squared = generator.chisquare(n_seeds - 1, (n_draws, 1))
    centred = normal - normal.mean(axis=1, keepdims=True)
    shares: Floats = 1 / n_seeds + centred / np.sqrt(n_seeds * chi_squared)
    return shares


@dataclass(frozen=True, eq=False)
class Front:
    """The front of one side at an accuracy, in each draw.

    Attributes:
        above, below: indices of the neighbours on the front, [B].
        share: position of the accuracy between `below` (0) and `above` (1), [B]; NaN
            if no configuration reaches it. 1 if every configuration is more accurate:
            `above`, the cheapest, is then an upper bound.
        log_energies: log energy of the front, [3, B]; NaN beyond its ends.
    """

    above: NDArray[np.intp]
    below: NDArray[np.intp]
    share: Floats
    log_energies: Floats

    def along(self, values: Floats) -> Floats:
        """Interpolate other values of the configurations, [B, C]: [B]."""
        draws = np.arange(len(values))
        upper = values[draws, self.above]
        lower = values[draws, self.below]
        between: Floats = self.share * upper + (1 - self.share) * lower
        return between

    @property
    def is_known(self) -> Booleans:
        """The draws in which the front extends to the accuracy, [B]."""
        known: Booleans = ~np.isnan(self.log_energies[1])
        return known


def front_at(
    accuracies: Floats, log_energies: Floats, takes_part: Booleans, at_percent: Floats
) -> Front:
    """Interpolate the front of a side at an accuracy.

    Args:
        accuracies: of all configurations, [B, C].
        log_energies: of all configurations, [3, B, C].
        takes_part: the configurations of the side, [C].
        at_percent: the accuracy in each draw, [B].
    """
    draws = np.arange(len(accuracies))
    # The upper neighbour: the cheapest configuration that reaches the accuracy.
    reaches = takes_part & (accuracies >= at_percent[:, None])
    cost = np.where(reaches, log_energies[1], np.inf)
    above = cost.argmin(axis=1)
    # The lower neighbour: every cheaper configuration is less accurate than that;
    # take the most accurate.
    cheaper = takes_part & (log_energies[1] < cost[draws, above][:, None])
    below = np.where(cheaper, accuracies, -np.inf).argmax(axis=1)
    # Between them, log energy is linear in accuracy.
    is_known = reaches.any(axis=1) & cheaper.any(axis=1)
    row = draws[is_known]
    upper = above[is_known]
    lower = below[is_known]
    start = accuracies[row, lower]
    between = (at_percent[is_known] - start) / (accuracies[row, upper] - start)
    share = np.where(reaches.any(axis=1), 1.0, np.nan)
    share[is_known] = between
    front = np.full((3, len(draws)), np.nan)
    front[:, is_known] = (
        between * log_energies[:, row, upper]
        + (1 - between) * log_energies[:, row, lower]
    )
    return Front(above, below, share, front)


@dataclass(frozen=True, eq=False)
class PricedDraws:
    """The draws under one price list.

    Attributes:
        draws: the draws of all configurations.
        accuracies: of all configurations, [B, C].
        log_energies: of all configurations, [3, B, C].
        takes_part: the configurations of each side, [C].
    """

    draws: Draws
    accuracies: Floats
    log_energies: Floats
    takes_part: Mapping[Side, Booleans]

    @classmethod
    def under(cls, profile: str, draws: Draws) -> Self:
        """Price all configurations."""
        energies = draws.log_energies(profile)
        takes_part = {
            side: draws.taking_part(side, energies) for side in get_args(Side)
        }
        return cls(draws, draws.accuracies(), energies, takes_part)

    @property
    def has_both_sides(self) -> bool:
        """Whether each side has a configuration."""
        return all(configurations.any() for configurations in self.takes_part.values())

    def front(self, side: Side, at_percent: Floats) -> Front:
        """The front of a side at an accuracy in each draw, [B]."""
        takes_part = self.takes_part[side]
        return front_at(self.accuracies, self.log_energies, takes_part, at_percent)


def energy_ratios(spiking: Front, conventional: Front) -> Floats:
    """Ratio of spiking to conventional energy, [3, B]: lowest, middle, highest."""
    ratios: Floats = np.exp(spiking.log_energies - conventional.log_energies[::-1])
    return ratios
