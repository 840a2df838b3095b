"""The study in a few numbers: `headline.csv` by accuracy, `factors.csv` by choice.

Pages take their figures from these files. Counts are read along the fronts of fewest
operations, energies along those of lowest energy under `PROFILE`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from spikejoule.core.schema import (
    MaybeNotNegative,
    NotNegative,
    Percent,
    Row,
    Table,
    Text,
)
from spikejoule.energy.estimates import BootstrapSettings, rounded
from spikejoule.energy.prices import HardwareProfile
from studies.verdict.counts import (
    EVENTS,
    CountedSides,
    along,
    lazily_updated,
    narrow,
    operations,
)
from studies.verdict.networks import FOLDER, RecordedNetwork
from studies.verdict.statistics import Front, Quantity, SideNetworks
from studies.verdict.verdicts import LEVELS_PERCENT, Verdict, verdicts

HEADLINE: Final = FOLDER / "headline.csv"
FACTORS: Final = FOLDER / "factors.csv"

PROFILE: Final = "lemaire-complete-int8"
"""The price list of the energies: arithmetic and memory of 8-bit integers."""

FACTORS_PERCENT: Final = 98.0
"""The accuracy at which choices are varied."""


class HeadlineRow(Row):
    """Both sides at an accuracy that both reach: a row of headline.csv.

    Attributes:
        level_percent: the test accuracy.
        events_per_weight, events_low, events_high: synaptic events of the spiking side
            for each weight that the conventional side multiplies or adds.
        events, operations: both per inference.
        spiking_itself: synaptic events of the spiking networks, divided by the
            operations of the same weights in a conventional network, whose neurons send
            their number of spikes at once; None if unknown.
        energy_ratio, energy_low, energy_high: spiking over conventional energy.
        spiking_nj, conventional_nj: energies of an inference, of mixtures.
        spiking_nearest_nj, conventional_nearest_nj: of the nearest networks above.
    """

    level_percent: Percent
    events_per_weight: NotNegative
    events_low: NotNegative
    events_high: MaybeNotNegative
    events: NotNegative
    operations: NotNegative
    spiking_itself: MaybeNotNegative
    energy_ratio: MaybeNotNegative
    energy_low: MaybeNotNegative
    energy_high: MaybeNotNegative
    spiking_nj: MaybeNotNegative
    conventional_nj: MaybeNotNegative
    spiking_nearest_nj: MaybeNotNegative
    conventional_nearest_nj: MaybeNotNegative


class HeadlineTable(Table):
    """The file headline.csv."""

    row: ClassVar[type[Row]] = HeadlineRow
    rows: tuple[HeadlineRow, ...]


class Factor(Row):
    """The energy ratio if a designer chooses otherwise: a row of factors.csv.

    Attributes:
        choice: what is chosen.
        ratio: spiking over conventional energy at `FACTORS_PERCENT`.
        factor: the same, divided by the ratio of the headline.
    """

    choice: Text
    ratio: NotNegative
    factor: NotNegative


class FactorTable(Table):
    """The file factors.csv."""

    row: ClassVar[type[Row]] = Factor
    rows: tuple[Factor, ...]


def headline(
    networks: Sequence[RecordedNetwork],
    profile: HardwareProfile,
    settings: BootstrapSettings,
) -> list[HeadlineRow]:
    """Compute the rows of the accuracies that both sides reach."""
    counted = narrow(lazily_updated(networks))
    sides = CountedSides.among(counted, settings)
    counts = {
        row.level_percent: row
        for row in along(counted, {EVENTS: operations}, operations, settings)
    }
    energies = {
        row.level_percent: row for row in verdicts(counted, [profile], settings)
    }
    rows = []
    for level in LEVELS_PERCENT:
        spiking, conventional = (
            side.front(side.log_values(operations), level) for side in sides
        )
        energy = energies[level]
        if (
            energy.outcome == "missed"
            or spiking.is_missed_mostly
            or conventional.is_missed_mostly
        ):
            continue
        count = counts[level]
        cells = {
            "events_per_weight": count.ratio,
            "events_low": count.low,
            "events_high": _finite(count.high),
            "events": _mean(spiking, operations),
            "operations": _mean(conventional, operations),
            "spiking_itself": _spiking_itself(sides.spiking, level),
            "energy_ratio": energy.ratio,
            "energy_low": energy.ratio_low,
            "energy_high": _finite(energy.ratio_high),
            "spiking_nj": _nj(energy.spiking.pj),
            "conventional_nj": _nj(energy.conventional.pj),
            "spiking_nearest_nj": _nj(energy.spiking.pj_above),
            "conventional_nearest_nj": _nj(energy.conventional.pj_above),
        }
        digits = {name: rounded(cell, 6) for name, cell in cells.items()}
        rows.append(HeadlineRow.model_validate({"level_percent": level, **digits}))
    return rows


def _mean(front: Front, quantity: Quantity) -> float:
    """The geometric mean of all readings of a front."""
    return float(np.exp(front.readings(front.side.log_values(quantity)).mean()))


def _spiking_itself(side: SideNetworks, level_percent: float) -> float | None:
    """Events over operations of the same weights, in the mixture that all seeds choose.

    None if it is not known of a network.
    """
    segment = side.by_all(side.log_values(operations), level_percent)
    ends = (
        (segment.share[0], side.configurations[segment.above[0]]),
        (1 - segment.share[0], side.configurations[segment.below[0]]),
    )
    events = 0.0
    once = 0.0
    for share, networks in ends:
        for one in networks if share > 0 else ():
            if one.sent_once is None:
                return None
            events += share * operations(one)
            once += share * one.sent_once
    return events / once


def _nj(energy_pj: float | None) -> float | None:
    return None if energy_pj is None else energy_pj / 1000


def _finite(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else number


def factors(
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    settings: BootstrapSettings,
) -> list[Factor]:
    """Vary the choices behind the energy ratio, one at a time.

    A choice at which a side misses the accuracy has no row.
    """

    def at_level(
        members: Sequence[RecordedNetwork], profile: str = PROFILE
    ) -> Verdict | None:
        rows = verdicts(members, [profiles[profile]], settings)
        found = (row for row in rows if row.level_percent == FACTORS_PERCENT)
        return next(found, None)

    counted = narrow(lazily_updated(networks))
    chosen = at_level(counted)
    if chosen is None or not chosen.ratio:
        return []
    nearest = (chosen.spiking.pj_above or 0) / (chosen.conventional.pj_above or 1)
    varied = {
        "no mixtures": nearest,
        **{
            choice: found.ratio
            for choice, found in (
                (
                    "no memory cheaper than 8 KB",
                    at_level(counted, f"{PROFILE}-floored"),
                ),
                (
                    "register files up to 512 bytes",
                    at_level(counted, f"{PROFILE}-registers"),
                ),
                ("32-bit arithmetic", at_level(counted, "lemaire-complete")),
                (
                    "no cascades",
                    at_level([one for one in counted if one.n_networks == 1]),
                ),
            )
            if found is not None
        },
    }
    return [
        Factor(
            choice=choice,
            ratio=rounded(ratio, 6),
            factor=rounded(ratio / chosen.ratio, 6),
        )
        for choice, ratio in varied.items()
        if ratio
    ]


def recorded_headline() -> tuple[HeadlineRow, ...]:
    """The recorded rows."""
    return HeadlineTable.read(HEADLINE).rows


def recorded_factors() -> tuple[Factor, ...]:
    """The recorded choices."""
    return FactorTable.read(FACTORS).rows
