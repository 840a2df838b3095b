"""Which side needs less energy at an accuracy, over all draws, by price list."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from spikejoule.energy.estimates import BootstrapSettings, Floats, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
from spikejoule.energy.prices import HardwareProfile
from studies.verdict.networks import RecordedEnergy, RecordedNetwork
from studies.verdict.statistics import (
    Front,
    SideNetworks,
    Spread,
    accuracy_axis,
    beyond_drawing_errors,
    plain_ratio,
    ratios_of,
    spread,
)

LEVELS_PERCENT: Final = (97.5, 98.0, 98.5, 99.0)
"""Accuracies at which the sides are compared."""

DRAWS: Final = 20_000

Outcome = Literal["snn", "ann", "undecided", "range", "missed"]


@dataclass(frozen=True)
class SideAtLevel:
    """One side at a level: its front, and its configuration next above the level.

    Attributes:
        n_configurations: number of configurations from which the front was chosen.
        missing_percent: percentage of draws in which no configuration reaches the
            level.
        network: the configuration next above the level on the front that all seeds
            choose, named by its network with the lowest seed; empty, and the rest None,
            if the level is missed in most draws.
        below: the next configuration on the front below the level.
        n_seeds: number of seeds.
        validation_percent, validation_spread, test_percent, test_spread: mean
            accuracies of `network` over its seeds, and their standard deviations (None
            for one seed).
        pj_low, pj, pj_high: energy of the front at the level, mean over all readings;
            `pj` is None if prices are ranges.
        pj_above: energy of `network` alone, mean over its seeds; None likewise.
        runs, commits: runs and commits of `network`, separated by spaces.
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
    pj_above: float | None = None
    runs: str = ""
    commits: str = ""


@dataclass(frozen=True)
class PlainRatio:
    """Paired differences of log energy over seeds: mean and t interval, as ratios.

    All None if prices are ranges, the sides have other seeds, or a side misses the
    level in a seed.
    """

    ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Both sides at an accuracy under one price list: a row of verdict.csv.

    Attributes:
        profile: the price list.
        level_percent: the accuracy.
        outcome: ``snn`` or ``ann``, the side that needs less energy over the whole
            interval; ``missed`` if a side misses the level in most draws; ``range``
            if prices are ranges that include both outcomes for the means of all seeds,
            so that no network could decide it; else ``undecided``.
        ratio, ratio_low, ratio_high: spiking over conventional energy, median and
            interval over the draws. Infinite or 0 where a side misses the level. The
            median is None if prices are ranges, which widen the interval; all are None
            if a side misses the level in most draws.
        plain: the same by the plain procedure.
        spiking, conventional: the sides.
    """

    profile: str
    level_percent: float
    outcome: Outcome
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    plain: PlainRatio
    spiking: SideAtLevel
    conventional: SideAtLevel

    def side(self, side: SideName) -> SideAtLevel:
        """The side of a name."""
        return self.spiking if side == SPIKING else self.conventional

    def cells(self) -> dict[str, Any]:
        """The row by column, rounded to the digits on which machines agree.

        Columns of a part are prefixed: `spiking_n_seeds`. Infinite ratios are None.
        """
        cells: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                cells |= {f"{name}_{key}": cell for key, cell in value.items()}
            else:
                cells[name] = value
        return {
            name: None if cell == math.inf else rounded(cell, 8)
            for name, cell in cells.items()
        }


def verdict_columns() -> list[str]:
    """The columns of `Verdict.cells`."""
    columns = []
    for field in fields(Verdict):
        if isinstance(field.type, type) and is_dataclass(field.type):
            columns += [f"{field.name}_{part.name}" for part in fields(field.type)]
        else:
            columns.append(field.name)
    return columns


@dataclass(frozen=True, eq=False)
class PricedSide:
    """A side under one price list.

    Attributes:
        networks: its networks.
        low, middle, high: log energies at both ends of the prices, and at their middle,
            [S, C].
    """

    networks: SideNetworks
    low: Floats
    middle: Floats
    high: Floats

    @property
    def has_ranges(self) -> bool:
        """Whether prices are ranges."""
        return not np.array_equal(self.low, self.high)

    def front(self, level_percent: float) -> Front:
        """The front of lowest energies at a level."""
        return self.networks.front(self.middle, level_percent)


def verdicts(
    networks: Sequence[RecordedNetwork],
    profiles: Iterable[HardwareProfile],
    settings: BootstrapSettings,
) -> list[Verdict]:
    """Compare both sides under every price list that prices both, at every level."""
    rows = []
    for profile in profiles:
        sides = {side: priced(networks, side, profile.id, settings) for side in SIDES}
        spiking = sides[SPIKING]
        conventional = sides[CONVENTIONAL]
        if spiking is None or conventional is None:
            continue
        comparison = Comparison(profile.id, spiking, conventional, settings.confidence)
        rows += [comparison.at(level) for level in LEVELS_PERCENT]
    return rows


SIDES: Final[tuple[SideName, ...]] = get_args(SideName)


def priced(
    networks: Iterable[RecordedNetwork],
    side: SideName,
    profile: str,
    settings: BootstrapSettings,
) -> PricedSide | None:
    """The networks of a side that a price list prices; None if there is none."""

    def energy(network: RecordedNetwork) -> RecordedEnergy:
        known = network.energy(profile)
        assert known is not None
        return known

    members = [
        one for one in networks if one.side == side and one.energy(profile) is not None
    ]
    grouped = SideNetworks.among(members, settings)
    if grouped is None:
        return None
    return PricedSide(
        grouped,
        low=grouped.log_values(lambda one: energy(one).low_pj),
        middle=grouped.log_values(lambda one: energy(one).middle_pj),
        high=grouped.log_values(lambda one: energy(one).high_pj),
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both sides under one price list.

    Attributes:
        profile: the price list.
        spiking, conventional: the sides.
        confidence: of the intervals.
    """

    profile: str
    spiking: PricedSide
    conventional: PricedSide
    confidence: float

    def at(self, level: float) -> Verdict:
        """Compare both sides at a level."""
        spiking = self.spiking.front(level)
        conventional = self.conventional.front(level)
        lowest = ratios_of(
            spiking.drawn(self.spiking.low), conventional.drawn(self.conventional.high)
        )
        middle = ratios_of(
            spiking.drawn(self.spiking.middle),
            conventional.drawn(self.conventional.middle),
        )
        highest = ratios_of(
            spiking.drawn(self.spiking.high), conventional.drawn(self.conventional.low)
        )
        interval = Spread(
            spread(lowest, self.confidence).low,
            spread(middle, self.confidence).median,
            spread(highest, self.confidence).high,
        )
        outcome: Outcome = self._outcome(lowest, highest)
        if spiking.is_missed_mostly or conventional.is_missed_mostly:
            outcome = "missed"
            # The few draws that reach the level say nothing of the others.
            interval = Spread(np.nan, np.nan, np.nan)
        elif self._ranges_include_both(spiking, conventional):
            outcome = "range"
        return Verdict(
            profile=self.profile,
            level_percent=level,
            outcome=outcome,
            ratio=None if self._has_ranges else known(interval.median),
            ratio_low=known(interval.low),
            ratio_high=known(interval.high),
            plain=self.plain(level),
            spiking=side_at_level(self.spiking, spiking, level),
            conventional=side_at_level(self.conventional, conventional, level),
        )

    def _outcome(self, lowest: Floats, highest: Floats) -> Outcome:
        """Who needs less energy; one seed has no interval, and decides nothing.

        Args:
            lowest, highest: ratios in the draws, at the ends of the prices.
        """
        seeds = (self.spiking.networks.n_seeds, self.conventional.networks.n_seeds)
        if min(seeds) == 1:
            return "undecided"
        # Other draws would move the ends of the interval, so a win must clear a wider
        # one.
        confidence = beyond_drawing_errors(self.confidence, len(lowest))
        if spread(highest, confidence).high < 1:
            return "snn"
        return "ann" if spread(lowest, confidence).low > 1 else "undecided"

    @property
    def _has_ranges(self) -> bool:
        return self.spiking.has_ranges or self.conventional.has_ranges

    def _ranges_include_both(self, spiking: Front, conventional: Front) -> bool:
        """Whether the ends of prices alone allow both outcomes."""
        lowest = spiking.readings(self.spiking.low).mean()
        lowest -= conventional.readings(self.conventional.high).mean()
        highest = spiking.readings(self.spiking.high).mean()
        highest -= conventional.readings(self.conventional.low).mean()
        return self._has_ranges and bool(lowest < 0 < highest)

    def plain(self, level: float) -> PlainRatio:
        """Compare both sides at a level by the plain procedure."""
        spiking = self.spiking.networks
        conventional = self.conventional.networks
        if self._has_ranges or seeds_of(spiking) != seeds_of(conventional):
            return PlainRatio()
        ratio = plain_ratio(
            spiking.seed_by_seed(self.spiking.middle, level),
            conventional.seed_by_seed(self.conventional.middle, level),
            self.confidence,
        )
        if ratio is None:
            return PlainRatio()
        return PlainRatio(ratio.median, ratio.low, ratio.high)


def known(number: float) -> float | None:
    """A number, or None for NaN."""
    return None if np.isnan(number) else number


def seeds_of(side: SideNetworks) -> list[int]:
    """The seeds of a side."""
    return [network.seed for network in side.configurations[0]]


def side_at_level(priced_side: PricedSide, front: Front, level: float) -> SideAtLevel:
    """Describe the front of a side at a level."""
    side = priced_side.networks
    n_configurations = len(side.configurations)
    missing_percent = 100 * float(front.is_missed.mean())
    if front.is_missed_mostly:
        return SideAtLevel(n_configurations, missing_percent)
    chosen = side.by_all(priced_side.middle, level)
    networks = side.configurations[chosen.above[0]]
    below = side.configurations[chosen.below[0]][0]
    above = priced_side.middle[:, chosen.above[0]].mean()
    validation = np.array([network.validation_percent for network in networks])
    test = np.array([network.test_percent for network in networks])
    low, middle, high = (
        float(np.exp(front.readings(energies).mean()))
        for energies in (priced_side.low, priced_side.middle, priced_side.high)
    )
    return SideAtLevel(
        n_configurations,
        missing_percent,
        network=networks[0].name,
        below=below.name,
        n_seeds=len(networks),
        validation_percent=float(validation.mean()),
        validation_spread=_deviation(validation),
        test_percent=float(test.mean()),
        test_spread=_deviation(test),
        pj_low=low,
        pj=None if priced_side.has_ranges else middle,
        pj_high=high,
        pj_above=None if priced_side.has_ranges else float(np.exp(above)),
        runs=" ".join(network.run_id for network in networks),
        commits=" ".join(dict.fromkeys(network.git_commit for network in networks)),
    )


def _deviation(percents: Floats) -> float | None:
    return float(percents.std(ddof=1)) if len(percents) > 1 else None


@dataclass(frozen=True)
class BesideFronts:
    """A network beside the fronts of both sides at its test accuracy, one price list.

    Attributes:
        profile: the price list.
        network: the network, in its cheapest way of running.
        pj: its energy, mean over its seeds.
        spiking_pj, conventional_pj: the fronts, chosen and read by all seeds; None if
            no configuration is as accurate.
    """

    profile: str
    network: RecordedNetwork
    pj: float
    spiking_pj: float | None
    conventional_pj: float | None


def beside_fronts(
    added: Sequence[RecordedNetwork],
    recorded: Sequence[RecordedNetwork],
    profiles: Iterable[HardwareProfile],
    settings: BootstrapSettings,
) -> list[BesideFronts]:
    """Place an added configuration beside the fronts of the recorded networks.

    It takes part with any number of seeds, and is never mixed with others.
    """
    rows = []
    for profile in profiles:
        own = priced(added, added[0].side, profile.id, settings)
        if own is None:
            continue
        energies = np.exp(own.middle.mean(axis=0))
        cheapest = int(energies.argmin())
        percent = 100 - float(np.exp(-own.networks.test[:, cheapest].mean()))
        fronts = {
            side: front_pj(priced(recorded, side, profile.id, settings), percent)
            for side in SIDES
        }
        rows.append(
            BesideFronts(
                profile.id,
                own.networks.configurations[cheapest][0],
                float(energies[cheapest]),
                fronts[SPIKING],
                fronts[CONVENTIONAL],
            )
        )
    return rows


def front_pj(side: PricedSide | None, percent: float) -> float | None:
    """The energy of the front of all seeds; None if no network is as accurate."""
    if side is None or side.networks.test.mean(axis=0).max() < accuracy_axis(percent):
        return None
    segments = side.networks.by_all(side.middle, percent)
    return float(np.exp(segments.read(side.middle, side.networks.test).mean()))
