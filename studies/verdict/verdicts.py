"""Which side needs less energy near an accuracy, over all draws, by price list."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any, Final, Literal

import numpy as np

from spikejoule.energy.estimates import BootstrapSettings, Floats, interval, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Side
from spikejoule.energy.prices import HardwareProfile
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import (
    HALF_BAND,
    Front,
    PricedDraws,
    draw,
    energy_ratios,
)

LEVELS_PERCENT: Final = (97.5, 98.0, 98.5, 99.0)
"""Validation accuracies at which the sides are compared."""

Outcome = Literal["snn", "ann", "undecided", "neither"]


@dataclass(frozen=True)
class SideAtLevel:
    """One side at a level: its front, and its configuration next above the level.

    Attributes:
        n_configurations: number of configurations from which the front was chosen.
        missing_percent: percentage of draws in which the front does not extend to the
            accuracy.
        network: the cheapest configuration that reaches the level, named by its network
            with the lowest seed; empty, and the rest None, if the front does not
            extend to the level.
        below: the next configuration on the front below the level.
        n_seeds: number of seeds of `network`.
        validation_percent, validation_spread, test_percent, test_spread: mean
            accuracies of `network` over its seeds, and their standard deviations (None
            for one seed).
        pj_low, pj, pj_high: energy of the front at the level; `pj` is None if prices
            are ranges.
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
    runs: str = ""
    commits: str = ""


@dataclass(frozen=True)
class Verdict:
    """Both sides near an accuracy under one price list: a row of verdict.csv.

    Attributes:
        profile: the price list.
        level_percent, level_low_percent, level_high_percent: the validation accuracy
            and its band.
        outcome: ``snn`` or ``ann``, the side that needs less energy over the whole
            interval; ``neither`` if neither front extends to the accuracy in all but a
            tail of the draws; else ``undecided``.
        ratio, ratio_low, ratio_high: energy of the spiking front divided by that of the
            conventional one, median and interval over the draws in which both extend
            to the accuracy; None if fewer than half do. The median is also None if
            prices are ranges, which widen the interval.
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
    spiking: SideAtLevel
    conventional: SideAtLevel

    def side(self, side: Side) -> SideAtLevel:
        """The side of a name."""
        return self.spiking if side == SPIKING else self.conventional

    def cells(self) -> dict[str, Any]:
        """The row by column, rounded to the digits on which machines agree.

        Columns of a side are prefixed: `spiking_n_seeds`.
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
    """Compare both sides under every price list that prices both, at every level."""
    if not networks:
        return []
    draws = draw(networks, settings)
    rows = []
    for profile in profiles:
        priced = PricedDraws.under(profile.id, draws)
        if not priced.has_both_sides:
            continue
        for level in LEVELS_PERCENT:
            rows.append(verdict_at(level, profile.id, priced, settings.confidence))
    return rows


def verdict_at(
    level: float, profile: str, priced: PricedDraws, confidence: float
) -> Verdict:
    """Compare both sides at a level under a price list."""
    at_percent = level + priced.draws.offsets
    spiking = priced.front(SPIKING, at_percent)
    conventional = priced.front(CONVENTIONAL, at_percent)
    low, middle, high = energy_ratios(spiking, conventional)
    in_both = spiking.is_known & conventional.is_known
    in_neither = ~spiking.is_known & ~conventional.is_known
    ratio = None
    ratio_low = None
    ratio_high = None
    outcome: Outcome = "undecided"
    if in_neither.mean() >= (1 + confidence) / 2:
        outcome = "neither"
    if in_both.mean() >= 0.5:
        ends = interval(low[in_both], high[in_both], confidence)
        ratio_low = float(ends[0])
        ratio_high = float(ends[1])
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
        spiking=side_at_level(SPIKING, spiking, priced),
        conventional=side_at_level(CONVENTIONAL, conventional, priced),
    )


def side_at_level(side: Side, front: Front, priced: PricedDraws) -> SideAtLevel:
    """Describe the front of a side at a level by the plain means of the first draw."""
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
