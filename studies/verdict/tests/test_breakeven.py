"""The break-even line against hand calculations, and the recorded map."""

import math

import pytest

from spikejoule.energy.estimates import BootstrapSettings
from studies.verdict import page
from studies.verdict.breakeven import (
    BreakEven,
    Line,
    PlacedList,
    break_even,
    placed_lists,
    recorded_lines,
)
from studies.verdict.networks import NetworkTable, RecordedNetwork, recorded_table
from studies.verdict.project import price_lists
from studies.verdict.tests.test_statistics import of_seeds

PRICES = (0.0, 1.0, 10.0, 100.0)


def flat(name: str, percent: float, **counts: float) -> list[RecordedNetwork]:
    """A front of constant counts from 90 % to another accuracy."""
    cells = {f"count:{term}": count for term, count in counts.items()}
    fewer = {name: (1 - 1e-9) * count for name, count in cells.items()}
    return [
        *of_seeds(name, [percent] * 5, 1.0, weight_bits=4, **cells),
        *of_seeds(f"{name}-below", [90.0] * 5, 1.0, weight_bits=4, **fewer),
    ]


@pytest.fixture(scope="module")
def rows() -> list[BreakEven]:
    """280 events, 20 biases, 1,000 accesses; 100 products, 50 biases, 400 accesses."""
    networks = [
        *flat("s", 98.6, synaptic_event=280, bias_addition=20, weight_read=1000),
        *flat("c", 99.5, mac=100, bias_addition=50, weight_read=400),
    ]
    return break_even(networks, BootstrapSettings(300), PRICES)


def test_a_line_by_hand(rows: list[BreakEven]) -> None:
    """300 + 1,000 y = 100 x + 50 + 400 y, so x = 2.5 + 6 y."""
    line = Line.at(rows, 98.0)
    for row in line.points:
        expected = pytest.approx(2.5 + 6 * row.access, rel=5e-3)
        assert (row.mac_low, row.mac, row.mac_high) == (expected,) * 3
    assert line.per_access() == pytest.approx(6, rel=5e-3)
    assert line.mac_price(5.5) == pytest.approx(2.5 + 6 * 5.5, rel=5e-3)


def test_beyond_its_last_point_the_line_goes_on(rows: list[BreakEven]) -> None:
    """A price list may charge 900 additions for a memory access."""
    line = Line.at(rows, 98.0)
    assert line.mac_price(900) == pytest.approx(2.5 + 6 * 900, rel=1e-2)


def test_a_missed_accuracy_is_lost_at_any_price(rows: list[BreakEven]) -> None:
    """The spiking front ends at 98.6 %."""
    assert Line.at(rows, 98.5).with_free_memory.mac_high is not None
    line = Line.at(rows, 99.0)
    assert line.with_free_memory.mac_low is None
    assert line.mac_price(1.0) == math.inf


def test_no_list_below_the_line(rows: list[BreakEven]) -> None:
    dear_memory = PlacedList("dear", mac=2.0, access=10.0, ignores_widths=False)
    *_, words = page.map_parts(rows, [dear_memory])
    assert "Price lists below the line: none." in words


class TestRecorded:
    networks = NetworkTable.read(recorded_table("mnist")).rows

    def test_lines(self) -> None:
        computed = break_even(self.networks, page.SETTINGS, (0.0, 10.0))
        recorded = [row for row in recorded_lines() if row.access in (0.0, 10.0)]
        for ours, theirs in zip(computed, recorded, strict=True):
            assert ours.model_dump() == pytest.approx(theirs.model_dump(), rel=1e-4)

    def test_where_price_lists_are(self) -> None:
        """4 x 4 bits: 0.05 pJ for the product and 0.05 pJ for the 16-bit sum."""
        placed = {
            one.name: one
            for one in placed_lists(self.networks, price_lists(), page.SETTINGS)
        }
        by_width = placed["45nm-by-width"]
        assert (by_width.mac, by_width.access) == (pytest.approx(2), 0)
        assert not by_width.ignores_widths
        assert placed["45nm-int32"].mac == pytest.approx(32)
        assert placed["lemaire-complete-int8"].mac == pytest.approx(3)
        # Half the memory prices, and half the price of an addition. 1-bit pixels are
        # compared with zero at the price of 4 bits here.
        assert placed["45nm-by-width-memory"].access == pytest.approx(
            placed["lemaire-complete"].access, rel=0.005
        )
        assert not {"loihi-1", "45nm-memory", "lemaire-2022-memory"} & set(placed)
