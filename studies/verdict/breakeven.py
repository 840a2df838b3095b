"""The break-even line: which prices make both sides need the same energy.

In units of an addition, a multiply-accumulate costs x and a memory access y. A spiking
network then costs its events and additions of biases, plus y for each access; a
conventional one x for each multiply-accumulate, 1 for each bias, plus y for each
access. Other operations (comparisons, rounding of pixels, requantisation, addresses)
are left out. For each y and draw, the line is the x at which the fronts meet.

Shapes: B draws, C configurations, X and Y prices.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from spikejoule.core.schema import MaybeNotNegative, NotNegative, Percent, Row, Table
from spikejoule.energy import BootstrapSettings
from spikejoule.energy.estimates import Floats, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING
from spikejoule.energy.operations import PIXEL_BITS, Column
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.terms import TERMS
from studies.verdict.counts import (
    ACCESSES,
    STATES,
    CountedDraws,
    accesses,
    lazily_updated,
    narrow,
    operations,
    spread,
)
from studies.verdict.networks import FOLDER, RecordedNetwork
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
    counted = CountedDraws.of(narrow(lazily_updated(networks)), settings)
    rows = []
    for access_price in access_prices:
        costs = [
            counted.log_means(
                partial(cost, mac_price=mac_price, access_price=access_price)
            )
            for mac_price in MAC_PRICES
        ]
        for level in LEVELS_PERCENT:
            prices = mac_prices(counted, costs, level)
            ends = spread(prices, settings.confidence)
            low, median, high = (
                rounded(end, 6) if np.isfinite(end) else None for end in ends
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


def cost(network: RecordedNetwork, mac_price: float, access_price: float) -> float:
    """What a network costs, in additions."""
    return (
        network.count("synaptic_event", "bias_addition")
        + mac_price * network.count("mac")
        + access_price * accesses(network)
    )


def mac_prices(
    counted: CountedDraws, costs: Sequence[Floats], level_percent: float
) -> Floats:
    """The break-even price of a multiply-accumulate, in the draws that a side reaches.

    Infinite if only the spiking side misses the accuracy. Between two prices of
    `MAC_PRICES`, the logarithm of a front's cost is linear in that of the price.

    Args:
        counted: the networks.
        costs: log cost of the configurations at each of X prices, [B, C] each.
        level_percent: the accuracy.
    """
    sides = {}
    for side in (SPIKING, CONVENTIONAL):
        fronts = [counted.front(side, at_price, level_percent) for at_price in costs]
        sides[side] = np.stack(
            [front.along(values) for front, values in zip(fronts, costs, strict=True)]
        )
    # A side that misses the accuracy has lost: its cost is infinite.
    spiking = np.nan_to_num(sides[SPIKING], nan=np.inf)
    conventional = np.nan_to_num(sides[CONVENTIONAL], nan=1e9)
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
    is_missed = np.isnan(sides[SPIKING][0]) & np.isnan(sides[CONVENTIONAL][0])
    reached: Floats = found[~is_missed]
    return reached


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


def placed_lists(
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    settings: BootstrapSettings,
) -> list[PlacedList]:
    """Place the price lists that price additions and products of recorded networks."""
    counted = CountedDraws.of(narrow(lazily_updated(networks)), settings)
    by_operations = counted.log_means(operations)
    on_fronts: list[RecordedNetwork] = []
    for side in (SPIKING, CONVENTIONAL):
        front = counted.front(side, by_operations, PLACED_PERCENT)
        on_fronts += counted.draws.configurations[front.above[0]].networks
    placed = []
    for profile in profiles.values():
        addition = price_of(on_fronts[0], "synaptic_event", profile)
        mac = price_of(on_fronts[-1], "mac", profile)
        if not addition or not mac or on_fronts[0].energy(profile.id) is None:
            continue
        memory_pj = sum(memory_energy_pj(one, profile) for one in on_fronts)
        n_accesses = sum(accesses(one) for one in on_fronts)
        access = memory_pj / n_accesses / addition
        if profile.scope == "arithmetic":
            access = 0.0
        placed.append(
            PlacedList(profile.id, mac / addition, access, profile.ignores_widths)
        )
    return placed


def price_of(network: RecordedNetwork, term: str, profile: HardwareProfile) -> float:
    """The price of an arithmetic term at the network's widths, in pJ; 0 without one."""
    state_bits = round(network.bits(*STATES) / network.count(*STATES))
    width = PIXEL_BITS if term.startswith("code_") else state_bits
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
        """The price of a multiply-accumulate above which the spiking side wins."""
        access_prices = [row.access for row in self.points]
        return float(np.interp(access_price, access_prices, self._mac_prices))

    def highest_access_price(self, mac_price: float) -> float | None:
        """The memory price below which the spiking side wins; None if none is."""
        if mac_price < self._mac_prices[0]:
            return None
        access_prices = [row.access for row in self.points]
        return float(np.interp(mac_price, self._mac_prices, access_prices))

    def per_access(self, end: str = "mac") -> float | None:
        """Its slope: further price for each addition that a memory access costs."""
        first = getattr(self.points[0], end)
        last = getattr(self.points[-1], end)
        if first is None or last is None:
            return None
        distance = self.points[-1].access - self.points[0].access
        return float(last - first) / distance

    @property
    def _mac_prices(self) -> Floats:
        return np.array([row.mac for row in self.points], dtype=float)


def recorded_lines(path: Path = TABLE) -> tuple[BreakEven, ...]:
    """The recorded lines."""
    return BreakEvenTable.read(path).rows
