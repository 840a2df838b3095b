"""Energies under the price lists of chips, by hand, for a tiny network.

`test_recount.py` checks the other price lists on real digits.
"""

import numpy as np
import pytest

from spikejoule.energy import count_operations, load_profiles, price
from spikejoule.energy.conventional import count_baseline
from spikejoule.energy.operations import Column, averaging
from tests.energy.by_hand import baseline, measured


@pytest.mark.parametrize(
    ("profile", "low", "value", "high"),
    [
        # 16 events, 5 active and 7 inactive updates, 10 spikes
        ("loihi-1", 1163.6, 16 * 23.6 + 5 * 81 + 7 * 52 + 10 * 1.7, 1163.6),
        ("truenorth", 416.0, 16 * 26, 416.0),
        ("odin", 203.2, 16 * 12.7, 203.2),
        ("odin-incremental", 134.88, 16 * 8.43, 134.88),
        ("darwin3", 87.52, 16 * 5.47, 87.52),
        ("seneca", 44.8, 16 * 2.8, 44.8),
        ("spinnaker-1", 492_800.0, 16 * 13_300 + 12 * 26_000, 2_072_000.0),
        ("spinnaker-2", 18_160.0, 16 * 450 + 12 * 2_190, 33_480.0),
    ],
)
def test_prices(profile: str, low: float, value: float, high: float) -> None:
    counts = count_operations(measured())
    prices = load_profiles()[profile]
    assert price(counts, prices)[:, 0] == pytest.approx([low, value, high], rel=1e-14)
    for column in counts.columns:
        is_priced = prices.status_of(column.term) == "priced"
        assert is_priced != np.isnan(prices.price_at(column)[0])


def test_a_term_without_a_row_is_refused() -> None:
    with pytest.raises(
        ValueError, match="'synaptic_events' has no row in the table of terms"
    ):
        Column("synaptic_events", "hidden")


def test_averaging_pixels_is_charged_to_both_sides() -> None:
    """For 3 averages, 12 pixels are read and added, and 3 means are written."""
    ours = count_operations(measured(2))
    theirs = count_baseline(baseline(10, [6, 5]), "dense", 2)
    made = (
        Column("pixel_read", "image", 8, 96),
        Column("code_addition", "image"),
        Column("activation_write", "image", 8, 24),
    )
    for network in (ours, theirs):
        found = averaging(network, 2, 3)
        assert found.columns == (*made, *network.columns)
        assert found.counts[:, :3].tolist() == [[12, 12, 3]] * 2
        assert found.counts[:, 3:].tolist() == network.counts.tolist()
        assert averaging(network, 1, 3) is network
