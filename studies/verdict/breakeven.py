"""The break-even line: which prices make both sides need the same energy.

`compare.exchange` says what is counted. For each price of a memory access and
each draw, the line is the price of a multiply-accumulate at which the fronts meet.

Shapes: B draws, S seeds, C configurations, X prices.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np

from spikejoule.compare.exchange import ACCESSES, Work
from spikejoule.core.schema import MaybeNotNegative, NotNegative, Percent, Row, Table
from spikejoule.energy.estimates import BootstrapSettings, Floats, rounded
from spikejoule.energy.operations import PIXEL_BITS, Column
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.terms import TERMS
from studies.verdict.counts import (
    STATES,
    CountedSides,
    accesses,
    lazily_updated,
    narrow,
    operations,
)
from studies.verdict.networks import FOLDER, RecordedNetwork
from studies.verdict.statistics import SideNetworks, spread
from studies.verdict.verdicts import LEVELS_PERCENT

TABLE: Final = FOLDER / "break-even.csv"

MAC_PRICES: Final = np.geomspace(1, 10_000, 33)
ACCESS_PRICES: Final = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

PLACED_PERCENT: Final = 98.0
"""The level whose networks place price lists on the map."""


class BreakEven(Row):
    """A point of a line: a row of break-even.csv.

    Attributes:
        level_percent: the validation accuracy.
        access: price of a memory access, in additions.
        mac_low, mac, mac_high: price of a multiply-accumulate above which the spiking
            side needs less energy: median and interval over the draws; empty if no
            finite price is enough.
    """

    level_percent: Percent
    access: NotNegative
    mac_low: MaybeNotNegative = None
    mac: MaybeNotNegative = None
    mac_high: MaybeNotNegative = None


class BreakEvenTable(Table):
    """The file break-even.csv."""

    row: ClassVar[type[Row]] = BreakEven
    rows: tuple[BreakEven, ...]


def break_even(
    networks: Sequence[RecordedNetwork],
    settings: BootstrapSettings,
    access_prices: Iterable[float] = ACCESS_PRICES,
) -> list[BreakEven]:
    """Compute the lines of all levels."""
    sides = CountedSides.among(narrow(lazily_updated(networks)), settings)
    rows = []
    for access_price in access_prices:
        spiking_costs = log_costs(sides.spiking, access_price)
        conventional_costs = log_costs(sides.conventional, access_price)
        for level in LEVELS_PERCENT:
            spiking = drawn_costs(sides.spiking, spiking_costs, level)
            conventional = drawn_costs(sides.conventional, conventional_costs, level)
            prices = mac_prices(spiking, conventional)
            low, median, high = (
                rounded(end, 6) if np.isfinite(end) else None
                for end in spread(prices, settings.confidence)
            )
            rows.append(
                BreakEven(
                    level_percent=level,
                    access=access_price,
                    mac_low=low,
                    mac=median,
                    mac_high=high,
                )
            )
    return sorted(rows, key=lambda row: (row.level_percent, row.access))


def log_costs(side: SideNetworks, access_price: float) -> list[Floats]:
    """Log costs of the networks at each of `MAC_PRICES`, [S, C] each."""

    def cost(network: RecordedNetwork, mac_price: float) -> float:
        return Work.of(network.count).cost(mac_price, access_price)

    return [
        side.log_values(partial(cost, mac_price=mac_price)) for mac_price in MAC_PRICES
    ]


def drawn_costs(
    side: SideNetworks, costs: Sequence[Floats], level_percent: float
) -> Floats:
    """Log costs of the front at each of `MAC_PRICES`, [X, B]; infinite if missed."""
    return np.stack(
        [side.front(at_price, level_percent).drawn(at_price) for at_price in costs]
    )


def mac_prices(spiking: Floats, conventional: Floats) -> Floats:
    """The break-even price of a multiply-accumulate, in the draws that a side reaches.

    Infinite if only the spiking side misses the accuracy. Between two prices of
    `MAC_PRICES`, the logarithm of a front's cost is linear in that of the price.

    Args:
        spiking, conventional: log costs at each of X prices, [X, B]; infinite if the
            side misses the accuracy.
    """
    is_missed = np.isinf(spiking[0]) & np.isinf(conventional[0])
    spiking = spiking[:, ~is_missed]
    # Large instead of infinite, because differences of it are taken.
    conventional = np.minimum(conventional[:, ~is_missed], 1e9)
    wins = conventional >= spiking
    after = wins.argmax(axis=0)
    before = np.maximum(after - 1, 0)
    draws = np.arange(wins.shape[1])
    # The spiking side without products costs the same at every price.
    missing = spiking[0] - conventional[before, draws]
    step = conventional[after, draws] - conventional[before, draws]
    share = np.where(after > 0, missing / np.where(step > 0, step, 1.0), 0.0)
    logarithms = np.log(MAC_PRICES)
    start = logarithms[before]
    found: Floats = np.full(len(draws), np.inf)
    ever = wins.any(axis=0)
    found[ever] = np.exp(start + share * (logarithms[after] - start))[ever]
    return found


@dataclass(frozen=True)
class PlacedList:
    """A price list on the map.

    Attributes:
        name: its id.
        mac, access: price of a multiply-accumulate and mean price of a memory access in
            additions, at the widths of the networks on both fronts.
        ignores_widths: whether it charges a product the same at any width.
    """

    name: str
    mac: float
    access: float
    ignores_widths: bool


class OnFronts(NamedTuple):
    """The configurations next above a level, with the fewest operations."""

    spiking: Sequence[RecordedNetwork]
    conventional: Sequence[RecordedNetwork]

    @classmethod
    def at(
        cls,
        networks: Sequence[RecordedNetwork],
        level_percent: float,
        settings: BootstrapSettings,
    ) -> Self:
        """Choose them by all seeds."""
        sides = CountedSides.among(narrow(lazily_updated(networks)), settings)
        chosen = []
        for side in sides:
            segment = side.by_all(side.log_values(operations), level_percent)
            chosen.append(side.configurations[segment.above[0]])
        return cls(*chosen)

    def mac_price(self, profile: HardwareProfile) -> float:
        """The price of a multiply-accumulate in additions; 0 if one is unpriced."""
        addition = price_of(self.spiking[0], "synaptic_event", profile)
        mac = price_of(self.conventional[0], "mac", profile)
        return mac / addition if addition else 0.0


def placed_lists(
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    settings: BootstrapSettings,
) -> list[PlacedList]:
    """Place the price lists that price additions and products of recorded networks."""
    fronts = OnFronts.at(networks, PLACED_PERCENT, settings)
    everyone = (*fronts.spiking, *fronts.conventional)
    placed = []
    for profile in profiles.values():
        mac_price = fronts.mac_price(profile)
        if not mac_price or any(one.energy(profile.id) is None for one in everyone):
            continue
        access_price = 0.0
        if profile.scope != "arithmetic":
            memory_pj = sum(memory_energy_pj(one, profile) for one in everyone)
            n_accesses = sum(accesses(one) for one in everyone)
            addition = price_of(fronts.spiking[0], "synaptic_event", profile)
            access_price = memory_pj / n_accesses / addition
        placed.append(
            PlacedList(profile.id, mac_price, access_price, profile.ignores_widths)
        )
    return placed


def price_of(network: RecordedNetwork, term: str, profile: HardwareProfile) -> float:
    """The price of an arithmetic term at the network's widths, in pJ; 0 without one."""
    state_bits = round(network.bits(*STATES) / network.count(*STATES))
    width = PIXEL_BITS if TERMS[term].side == "encoding" else state_bits
    if term == "zero_comparison":
        width = network.weight_bits
    factors = network.weight_bits if term == "mac" else width
    column = Column(
        term, "", network.weight_bits, product_bits=factors**2, sum_bits=width
    )
    _, value, _ = profile.price_at(column)
    return 0.0 if np.isnan(value) else value


def memory_energy_pj(network: RecordedNetwork, profile: HardwareProfile) -> float:
    """Energy of the memory accesses: the recorded energy without arithmetic."""
    energy = network.energy(profile.id)
    assert energy is not None
    arithmetic_pj = sum(
        network.count(term) * price_of(network, term, profile)
        for term in TERMS
        if term not in ACCESSES and network.count(term)
    )
    return energy.middle_pj - arithmetic_pj


@dataclass(frozen=True)
class Line:
    """The median line of a level: a straight line, but for changes of the fronts.

    Attributes:
        points: its rows, by the price of a memory access.
    """

    points: Sequence[BreakEven]

    @classmethod
    def at(cls, rows: Iterable[BreakEven], level_percent: float) -> "Line":
        """Select a level."""
        return cls([row for row in rows if row.level_percent == level_percent])

    @property
    def with_free_memory(self) -> BreakEven:
        """Its start, where memory costs nothing."""
        return self.points[0]

    def mac_price(self, access_price: float) -> float:
        """The price of a multiply-accumulate above which the spiking side wins.

        Infinite if no price is enough.
        """
        return _along(access_price, self._access_prices, self._mac_prices)

    def per_access(self, end: str = "mac") -> float | None:
        """Its slope: further price for each addition that a memory access costs."""
        first = getattr(self.points[0], end)
        last = getattr(self.points[-1], end)
        if first is None or last is None:
            return None
        distance = self.points[-1].access - self.points[0].access
        return float(last - first) / distance

    @property
    def _mac_prices(self) -> list[float]:
        return [math.inf if row.mac is None else row.mac for row in self.points]

    @property
    def _access_prices(self) -> list[float]:
        return [row.access for row in self.points]


def _along(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolate; beyond the last point, extend the last piece of the line."""
    if x <= xs[-1] or math.inf in (xs[-1], ys[-1]):
        return float(np.interp(x, xs, ys))
    slope = (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
    return ys[-1] + slope * (x - xs[-1])


def recorded_lines(path: Path = TABLE) -> tuple[BreakEven, ...]:
    """The recorded lines."""
    return BreakEvenTable.read(path).rows
