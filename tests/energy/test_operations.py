"""Operations that `test_recount.py` does not count again."""

import pytest

from spikejoule.energy import count_operations
from spikejoule.energy.conventional import count_baseline
from spikejoule.energy.operations import Column, averaging
from tests.energy.by_hand import baseline, measured


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
        Column("code_addition", "image", product_bits=64, sum_bits=8),
        Column("activation_write", "image", 8, 24),
    )
    for network in (ours, theirs):
        found = averaging(network, 2, 3)
        assert found.columns == (*made, *network.columns)
        assert found.counts[:, :3].tolist() == [[12, 12, 3]] * 2
        assert found.counts[:, 3:].tolist() == network.counts.tolist()
        assert averaging(network, 1, 3) is network
