"""Counts at equal accuracy: known ratios, lost draws, and the recorded counts."""

import math
from functools import cache
from typing import Any

import pytest

from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.operations import Column
from spikejoule.energy.terms import TERMS
from studies.verdict.counts import QUANTITIES, CountRatio, count_ratios
from studies.verdict.networks import (
    NetworkTable,
    RecordedNetwork,
    count_cells,
    recorded_table,
)
from studies.verdict.project import price_lists
from studies.verdict.published import DATA_SOURCES
from studies.verdict.tests.test_statistics import of_seeds
from tests.compare.test_verdict import variant

EVENTS, BIASES, WEIGHTS, STATES, PASSED_ON, ACCESSES, BITS = QUANTITIES
LEVELS = (97.5, 98.0, 98.5, 99.0)


def counted(
    name: str, percent: float, operations: float, **cells: Any
) -> list[RecordedNetwork]:
    """Five seeds; twice as many weight words as operations, of 6 bits on average."""
    term = "synaptic_event" if name[0] == "s" else "mac"
    counts = {
        f"count:{term}": operations,
        "count:weight_read": operations,
        "count:index_read": operations,
        "bits:weight_read": 4 * operations,
        "bits:index_read": 8 * operations,
    }
    return of_seeds(name, [percent] * 5, 1.0, weight_bits=4, **{**counts, **cells})


def ratios(networks: list[RecordedNetwork]) -> dict[tuple[str, float], CountRatio]:
    rows = count_ratios(networks, BootstrapSettings(300))
    return {(row.quantity, row.level_percent): row for row in rows}


def test_fronts_with_a_known_ratio() -> None:
    """Both fronts are lines, on grids that differ; spiking needs 3 times as much."""
    networks = []
    for percent in (96, 97, 98, 99, 99.9):
        networks += counted(f"s{percent}", percent, 3 * (percent - 94))
    for percent in (96.5, 97.7, 98.6, 99.95):
        products = percent - 94.0
        more = {"count:sum_access": products, "bits:sum_access": 0.0}
        networks += counted(f"c{percent}", percent, products, **more)
    found = ratios(networks)
    for level in LEVELS:
        row = found[EVENTS, level]
        assert (row.low, row.ratio, row.high) == pytest.approx((3, 3, 3))
        assert found[WEIGHTS, level].ratio == pytest.approx(3)
        # 2 words for each spiking operation, 3 for each conventional one.
        assert found[ACCESSES, level].ratio == pytest.approx(3 * 2 / 3)
        assert found[BITS, level].ratio == pytest.approx(3)


def test_counts_are_read_along_the_front_of_operations() -> None:
    """From 2.5 to 1.5 % errors, 2 % is a mixture of halves."""
    networks = [
        *counted("s-cheap", 97.5, 10, **{"count:state_access": 9}),
        *counted("s-dear", 98.5, 40, **{"count:state_access": 1}),
        *counted("s-dominated", 97.0, 20, **{"count:state_access": 0.1}),
        *counted("c-cheap", 90, 1, **{"count:sum_access": 1}),
        *counted("c-dear", 99.9, 1 + 1e-9, **{"count:sum_access": 1}),
    ]
    found = ratios(networks)
    assert found[EVENTS, 98.0].ratio == pytest.approx(25)
    assert found[STATES, 98.0].ratio == pytest.approx(5)


def test_a_front_too_short_has_lost_and_one_that_starts_above_is_a_bound() -> None:
    networks = [
        *counted("s-cheap", 97, 10),
        *counted("s-dear", 98.5, 10 + 1e-9),
        *counted("c", 98.4, 5),
        *counted("c-dear", 99.9, 5 + 1e-9),
    ]
    found = ratios(networks)
    # The conventional front starts above: its cheapest network counts.
    assert found[EVENTS, 97.5].ratio == pytest.approx(2)
    assert found[EVENTS, 97.5].lost_percent == 0
    assert found[EVENTS, 98.5].lost_percent == 0
    assert found[EVENTS, 98.5].high == pytest.approx(2)
    assert found[EVENTS, 99.0].lost_percent == 100
    assert math.isinf(found[EVENTS, 99.0].low)


def test_fewer_updates_replace_more() -> None:
    """Of one network with clocked and lazy updates, only the latter counts."""
    networks = counted("c", 99.9, 5, **{"count:sum_access": 1})
    for name, percent in (("s", 97), ("s-dear", 99.9)):
        clocked = counted(name, percent, 10, **{"count:state_access": 90})
        lazy = counted(name, percent, 10, **{"count:state_access": 30})
        networks += clocked
        networks += [
            one.model_copy(update={"method": f"{one.method}, lazy updates"})
            for one in lazy
        ]
    assert ratios(networks)[STATES, 98.0].ratio == pytest.approx(30)


def test_counts_of_a_network() -> None:
    """Sums over layers, and the bits of the words that are read or written."""
    operations = variant("conventional", [10, 20, 30, 40], 98.9).operations
    cells = count_cells(operations)
    for term in {column.term for column in operations.columns}:
        columns = [column.term == term for column in operations.columns]
        expected = operations.means[columns].sum()
        assert cells[f"count:{term}"] == pytest.approx(expected)


def arithmetic_column(term: str) -> Column:
    """Widths of a 4-bit network with 16-bit sums, and of its pixels."""
    if term.startswith("code_"):
        return Column(term, "", product_bits=8 * 8, sum_bits=8)
    if term == "zero_comparison":
        return Column(term, "", sum_bits=4)
    product_bits = 4 * 4 if term == "mac" else 16 * 16
    return Column(term, "", product_bits=product_bits, sum_bits=16)


def test_recorded_counts_give_the_energies_by_width() -> None:
    by_width = price_lists()["45nm-by-width"]
    checked = 0
    for network in recorded("mnist"):
        if network.weight_bits != 4 or not network.is_counted:
            continue
        expected = 0.0
        for term in TERMS:
            _, price, _ = by_width.price_at(arithmetic_column(term))
            if not math.isnan(price):
                expected += network.count(term) * price
        energy = network.energy(by_width.id)
        assert energy
        assert energy.middle_pj == pytest.approx(expected, rel=1e-5)
        checked += 1
    assert checked > 80


PRICED_WITHOUT_SIZES = (
    "45nm-fp32",
    "45nm-int32",
    "45nm-int8",
    "45nm-int8-accumulate-32",
    "45nm-fp32-complete",
    "45nm-memory",
    "lemaire-2022-memory",
    "yan-spyx",
)


@cache
def recorded(data: str) -> tuple[RecordedNetwork, ...]:
    return NetworkTable.read(recorded_table(data)).rows


@pytest.mark.parametrize("name", PRICED_WITHOUT_SIZES)
@pytest.mark.parametrize("data", DATA_SOURCES)
def test_recorded_counts_give_the_recorded_energies(data: str, name: str) -> None:
    """Under price lists that need no memory sizes, counts times prices."""
    profile = price_lists()[name]
    checked = 0
    for network in recorded(data):
        energy = network.energy(name)
        if energy is None or not network.is_counted:
            continue
        low = 0.0
        high = 0.0
        for term in TERMS:
            count = network.count(term)
            if not count:
                continue
            width = network.bits(term) / count or network.weight_bits
            price = profile.price_at(Column(term, "", width))
            if not math.isnan(price[0]):
                low += count * price[0]
                high += count * price[2]
        assert (low, high) == pytest.approx((energy.low_pj, energy.high_pj), rel=2e-5)
        checked += 1
    assert checked > 80
