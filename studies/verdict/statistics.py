"""Which side needs less energy at about an accuracy, over recorded networks.

A recorded network is one draw of its seed, its energy is a mean over some images, and
"98 %" is an accuracy that somebody chose. The verdict at a level is therefore drawn many
times. In each draw

    seeds     the mean of a configuration (networks that differ in nothing but the seed) is
              drawn from the t distribution of its seeds, accuracy and log energy together
    images    its energy is off by its standard error over images times a normal number
    accuracy  is drawn uniformly from the band of `HALF_BAND` around the level
    front     the front of a side is a line through its cheapest configurations, log energy
              against validation accuracy; beyond its ends it is not extended

and the ratio of the energies of both fronts at that accuracy is the result. Test accuracy
is stated and chooses nothing.

Means by t: Gelman et al., Bayesian Data Analysis, 3rd edition, 2013, section 3.2, with
weights of the seeds in place of the Bayesian bootstrap of Rubin, The Annals of Statistics 9
(1981) 130-134. Standard errors of both sides are taken as independent although the images
are the same, which widens the intervals.

Shapes: B draws, C configurations, S seeds of a configuration. Energies are logarithms of
pJ, [3, ...] for the lower end, the middle and the upper end of the prices.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from itertools import groupby
from typing import Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.estimates import BootstrapSettings, Floats, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Side
from spikejoule.energy.prices import HardwareProfile
from studies.verdict.networks import RecordedNetwork

LEVELS_PERCENT: Final = (97.5, 98.0, 98.5, 99.0)
"""Validation accuracies with a verdict."""

HALF_BAND: Final = 0.3
"""Points of accuracy around a level from which each draw takes its accuracy."""

CROSSING_LEVELS: Final = tuple(round(97 + 0.1 * step, 1) for step in range(23))
"""Accuracies at which both fronts are compared to find where they cross."""

ENOUGH_SEEDS: Final = 5
"""Seeds of a configuration. Those of fewer take part only where a side has no two others."""

Outcome = Literal["snn", "ann", "undecided", "neither"]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Configuration:
    """Networks that differ in nothing but the seed, and what was drawn of them.

    The first draw is of their means themselves.

    Attributes:
        networks: S of them, by seed.
        shares: of each network in the mean, which add up to 1, [B, S].
        noise: standard errors by which the mean energy is off because of the images of each
            network, [B, S].
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
        percents = np.array([one.validation_percent for one in self.networks])
        return self._means(percents)

    def log_energies(self, profile: str) -> Floats:
        """Mean log energy in each draw, [3, B]; infinite where a price list lacks a network."""
        energies = [network.energy(profile) for network in self.networks]
        known = [energy for energy in energies if energy is not None]
        if len(known) < len(energies):
            return np.full((3, len(self.shares)), np.inf)
        ends_pj = np.array([(one.low_pj, one.middle_pj, one.high_pj) for one in known]).T
        # The deviation is that of the upper end, and of the other ends in proportion.
        relative = np.array([one.standard_deviation_pj / one.high_pj for one in known])
        n_images = np.array([network.n_images for network in self.networks])
        error = (self.noise * (relative / np.sqrt(n_images))).sum(axis=1)
        logarithms = np.log(np.maximum(ends_pj, np.finfo(float).tiny))
        return np.stack([self._means(end) + error for end in logarithms])

    def _means(self, values: Floats) -> Floats:
        """Means over the networks in each draw, [B], of values [S]."""
        # No matrix product: it may round equal ends of prices differently.
        means: Floats = (self.shares * values).sum(axis=1)
        return means


@dataclass(frozen=True, eq=False)
class Draws:
    """All configurations, and the accuracy of each draw.

    Attributes:
        configurations: C of them.
        offsets: points by which the accuracy of a draw is off its level, [B]; 0 in the first.
    """

    configurations: tuple[Configuration, ...]
    offsets: Floats

    def accuracies(self) -> Floats:
        """Validation accuracies, [B, C]."""
        return np.stack([one.accuracies() for one in self.configurations], axis=1)

    def log_energies(self, profile: str) -> Floats:
        """Log energies under a price list, [3, B, C]; infinite where it does not compare."""
        energies = [one.log_energies(profile) for one in self.configurations]
        return np.stack(energies, axis=2)

    def taking_part(self, side: Side, log_energies: Floats) -> Booleans:
        """The configurations of a side that a price list compares, [C].

        Those of enough seeds, or all where no two of them have enough.
        """
        sides = np.array([one.side == side for one in self.configurations])
        n_seeds = np.array([len(one.networks) for one in self.configurations])
        compared: Booleans = sides & np.isfinite(log_energies[1, 0])
        enough: Booleans = compared & (n_seeds >= ENOUGH_SEEDS)
        return enough if enough.sum() >= 2 else compared


def draw(networks: Iterable[RecordedNetwork], settings: BootstrapSettings) -> Draws:
    """Draw seeds, images and accuracies."""
    ordered = sorted(networks, key=lambda network: (_group(network), network.seed))
    members = [tuple(group) for _, group in groupby(ordered, _group)]
    generator = np.random.default_rng(settings.seed)
    n_draws = settings.resamples
    shares = [_shares(len(of_one), n_draws, generator) for of_one in members]
    noise = generator.standard_normal((n_draws, len(ordered)))
    offsets = generator.uniform(-HALF_BAND, HALF_BAND, n_draws)
    noise[0] = 0
    offsets[0] = 0
    n_seeds = [len(of_one) for of_one in members]
    by_configuration = np.split(noise, np.cumsum(n_seeds)[:-1], axis=1)
    configurations = tuple(
        Configuration(of_one, own_shares, own_noise / len(of_one))
        for of_one, own_shares, own_noise in zip(members, shares, by_configuration, strict=True)
    )
    return Draws(configurations, offsets)


def _group(network: RecordedNetwork) -> tuple[str, ...]:
    return network.side, network.configuration, network.method


def _shares(n_seeds: int, n_draws: int, generator: np.random.Generator) -> Floats:
    """Shares of a configuration's seeds in its mean, [B, S].

    The mean with these shares is distributed about the plain mean as t with S - 1 degrees
    of freedom, in units of the standard error: normal weights without their own mean,
    divided by the root of a chi-squared number.
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
        above, below: numbers of its neighbours on the front, [B].
        log_energies: of the front, [3, B]; NaN where the accuracy is beyond its ends.
    """

    above: NDArray[np.intp]
    below: NDArray[np.intp]
    log_energies: Floats

    @property
    def is_known(self) -> Booleans:
        """In which draws the front has the accuracy, [B]."""
        known: Booleans = ~np.isnan(self.log_energies[1])
        return known


def front_at(
    accuracies: Floats, log_energies: Floats, takes_part: Booleans, at_percent: Any
) -> Front:
    """The line through a side's cheapest configurations, at an accuracy.

    Args:
        accuracies: of all configurations, [B, C].
        log_energies: of all configurations, [3, B, C].
        takes_part: the configurations of the side, [C].
        at_percent: the accuracy, of each draw [B] or of all.
    """
    draws = np.arange(len(accuracies))
    at = np.broadcast_to(at_percent, draws.shape)
    reaches = takes_part & (accuracies >= at[:, None])
    cost = np.where(reaches, log_energies[1], np.inf)
    above = cost.argmin(axis=1)
    # Every cheaper configuration is less accurate; the most accurate is the lower neighbour.
    cheaper = takes_part & (log_energies[1] < cost[draws, above][:, None])
    below = np.where(cheaper, accuracies, -np.inf).argmax(axis=1)
    is_known = reaches.any(axis=1) & cheaper.any(axis=1)
    row, upper, lower = draws[is_known], above[is_known], below[is_known]
    start = accuracies[row, lower]
    share = (at[is_known] - start) / (accuracies[row, upper] - start)
    found = np.full((3, len(draws)), np.nan)
    found[:, is_known] = (
        share * log_energies[:, row, upper] + (1 - share) * log_energies[:, row, lower]
    )
    return Front(above, below, found)


@dataclass(frozen=True, eq=False)
class PricedDraws:
    """The draws under one price list.

    Attributes:
        draws: of all configurations.
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
        takes_part = {side: draws.taking_part(side, energies) for side in get_args(Side)}
        return cls(draws, draws.accuracies(), energies, takes_part)

    @property
    def has_both_sides(self) -> bool:
        """Whether each side has a configuration."""
        return all(configurations.any() for configurations in self.takes_part.values())

    def front(self, side: Side, at_percent: Any) -> Front:
        """The front of a side at an accuracy, of each draw [B] or of all."""
        takes_part = self.takes_part[side]
        return front_at(self.accuracies, self.log_energies, takes_part, at_percent)


def energy_ratios(spiking: Front, conventional: Front) -> Floats:
    """Lowest, middle and highest ratio of the spiking side's energy to the other's, [3, B]."""
    ratios: Floats = np.exp(spiking.log_energies - conventional.log_energies[::-1])
    return ratios


@dataclass(frozen=True)
class Crossing:
    """Where the winner changes with accuracy under a price list.

    Attributes:
        percent, low_percent, high_percent: the accuracy, median and interval over the draws
            that have a change; None unless as many draws have it as an interval holds.
        share_percent: draws that have it.
        to: who wins above it, ``snn`` or ``ann``; empty where there is none.
    """

    percent: float | None = None
    low_percent: float | None = None
    high_percent: float | None = None
    share_percent: float = 0.0
    to: str = ""


@dataclass(frozen=True)
class SideAtLevel:
    """One side at a level: its front, and the configuration that is next above on it.

    Attributes:
        network: the cheapest configuration that reaches the level, by its network of the
            least seed; empty, and the rest None, where the front does not have the level.
        below: the next configuration on the front, below the level.
        n_configurations: that the front was chosen from.
        n_seeds: of `network`.
        validation_percent, validation_spread, test_percent, test_spread: mean accuracies of
            `network` over its seeds and their standard deviations; None for one seed.
        pj_low, pj, pj_high: energy of the front at the level; `pj` is None where prices are
            ranges.
        missing_percent: draws in which the front does not have the accuracy.
        runs, commits: of `network`, separated by spaces.
    """

    n_configurations: int
    missing_percent: float
    network: str = ""
    below: str = ""
    n_seeds: int = 0
    validation_percent: float | None = None
    validation_spread: float | None = None
    test_percent: float | None = None
    test_spread: float | None = None
    pj_low: float | None = None
    pj: float | None = None
    pj_high: float | None = None
    runs: str = ""
    commits: str = ""


@dataclass(frozen=True)
class Verdict:
    """Both sides at about an accuracy under one price list: a row of verdict.csv.

    Attributes:
        profile: the price list.
        level_percent, level_low_percent, level_high_percent: the validation accuracy and its
            band.
        outcome: ``snn`` or ``ann``, whichever needs less energy within all of the interval;
            ``neither``, if neither front has the accuracy in all but a tail of the draws;
            else ``undecided``.
        ratio, ratio_low, ratio_high: energy of the spiking front over that of the other,
            median and interval over the draws in which both have the accuracy; None if those
            are fewer than half. The median is None, too, where prices are ranges, which
            widen the interval.
        crossing: the same in each row of a price list.
        spiking, conventional: the sides.
    """

    profile: str
    level_percent: float
    level_low_percent: float
    level_high_percent: float
    outcome: Outcome
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    crossing: Crossing
    spiking: SideAtLevel
    conventional: SideAtLevel

    def side(self, side: Side) -> SideAtLevel:
        """One of both sides."""
        return self.spiking if side == SPIKING else self.conventional

    def cells(self) -> dict[str, Any]:
        """The row by its columns, with the digits in which machines agree.

        A column of a part is named after both: `spiking_n_seeds`, `crossing_to`.
        """
        cells: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                cells |= {f"{name}_{key}": cell for key, cell in value.items()}
            else:
                cells[name] = value
        return {name: rounded(cell, 8) for name, cell in cells.items()}


def verdict_columns() -> list[str]:
    """The columns of `Verdict.cells`."""
    columns = []
    for field in fields(Verdict):
        if isinstance(field.type, type) and is_dataclass(field.type):
            columns += [f"{field.name}_{part.name}" for part in fields(field.type)]
        else:
            columns.append(field.name)
    return columns


def verdicts(
    networks: Sequence[RecordedNetwork],
    profiles: Iterable[HardwareProfile],
    settings: BootstrapSettings,
) -> list[Verdict]:
    """Every price list under which both sides have networks, at every level."""
    if not networks:
        return []
    draws = draw(networks, settings)
    found = []
    for profile in profiles:
        priced = PricedDraws.under(profile.id, draws)
        if priced.has_both_sides:
            crossing = find_crossing(priced, settings.confidence)
            found += [
                verdict_at(level, profile.id, priced, crossing, settings.confidence)
                for level in LEVELS_PERCENT
            ]
    return found


def verdict_at(
    level: float, profile: str, priced: PricedDraws, crossing: Crossing, confidence: float
) -> Verdict:
    """Both sides at a level under a price list."""
    at_percent = level + priced.draws.offsets
    spiking = priced.front(SPIKING, at_percent)
    conventional = priced.front(CONVENTIONAL, at_percent)
    low, middle, high = energy_ratios(spiking, conventional)
    in_both = spiking.is_known & conventional.is_known
    in_neither = ~spiking.is_known & ~conventional.is_known
    ratio = ratio_low = ratio_high = None
    outcome: Outcome = "undecided"
    if in_neither.mean() >= (1 + confidence) / 2:
        outcome = "neither"
    if in_both.mean() >= 0.5:
        ends = interval(low[in_both], high[in_both], confidence)
        ratio_low, ratio_high = float(ends[0]), float(ends[1])
        if np.array_equal(low[in_both], high[in_both]):
            ratio = float(np.median(middle[in_both]))
        if ratio_high < 1:
            outcome = "snn"
        elif ratio_low > 1:
            outcome = "ann"
    return Verdict(
        profile=profile,
        level_percent=level,
        level_low_percent=level - HALF_BAND,
        level_high_percent=level + HALF_BAND,
        outcome=outcome,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        crossing=crossing,
        spiking=side_at_level(SPIKING, spiking, priced),
        conventional=side_at_level(CONVENTIONAL, conventional, priced),
    )


def side_at_level(side: Side, front: Front, priced: PricedDraws) -> SideAtLevel:
    """The front of a side at a level, and the configuration next above, over its seeds."""
    n_configurations = int(priced.takes_part[side].sum())
    missing_percent = 100 * float((~front.is_known).mean())
    if not front.is_known[0]:
        return SideAtLevel(n_configurations, missing_percent)
    configurations = priced.draws.configurations
    networks = configurations[front.above[0]].networks
    below = configurations[front.below[0]].networks[0]
    validation = np.array([network.validation_percent for network in networks])
    test = np.array([network.test_percent for network in networks])
    low, middle, high = np.exp(front.log_energies[:, 0]).tolist()
    return SideAtLevel(
        n_configurations,
        missing_percent,
        network=networks[0].name,
        below=below.name,
        n_seeds=len(networks),
        validation_percent=float(validation.mean()),
        validation_spread=_spread(validation),
        test_percent=float(test.mean()),
        test_spread=_spread(test),
        pj_low=low,
        pj=middle if low == high else None,
        pj_high=high,
        runs=" ".join(network.run_id for network in networks),
        commits=" ".join(dict.fromkeys(network.git_commit for network in networks)),
    )


def _spread(percents: Floats) -> float | None:
    return float(percents.std(ddof=1)) if len(percents) > 1 else None


def find_crossing(priced: PricedDraws, confidence: float) -> Crossing:
    """Where the winner changes, between the ends of what both fronts have."""
    n_draws = len(priced.accuracies)
    winners = np.zeros((len(CROSSING_LEVELS), n_draws), dtype=int)
    for row, level in zip(winners, CROSSING_LEVELS, strict=True):
        spiking, conventional = priced.front(SPIKING, level), priced.front(CONVENTIONAL, level)
        low, _, high = energy_ratios(spiking, conventional)
        row[high < 1] = 1
        row[low > 1] = -1
    places: dict[str, list[float]] = {"snn": [], "ann": []}
    for of_draw in winners.T:
        place = last_change(of_draw)
        if place is not None:
            to = "snn" if of_draw[of_draw != 0][-1] > 0 else "ann"
            places[to].append(place)
    to = max(places, key=lambda winner: len(places[winner]))
    share = len(places[to]) / n_draws
    if share < confidence:
        return Crossing(share_percent=100 * share)
    found = np.array(places[to])
    low, high = interval(found, found, confidence)
    return Crossing(float(np.median(found)), float(low), float(high), 100 * share, to)


def last_change(winners: NDArray[np.int_]) -> float | None:
    """The accuracy at which the winner changes last, if another one wins at the top.

    Args:
        winners: at `CROSSING_LEVELS`: 1 spiking, -1 conventional, 0 undecided or unknown.

    Returns:
        half-way between the levels on both sides of the last change; None if the same side
        wins at the lowest and at the highest level with a winner.
    """
    decided = np.flatnonzero(winners)
    signs = winners[decided]
    if len(signs) == 0 or signs[0] == signs[-1]:
        return None
    change = np.flatnonzero(np.diff(signs))[-1]
    before, after = decided[change], decided[change + 1]
    place: float = (CROSSING_LEVELS[before] + CROSSING_LEVELS[after]) / 2
    return place
