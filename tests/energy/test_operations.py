"""Operations that `test_recount.py` does not count again."""

import pytest

from spikejoule.energy.operations import Column


def test_a_term_without_a_row_is_refused() -> None:
    with pytest.raises(
        ValueError, match="'synaptic_events' has no row in the table of terms"
    ):
        Column("synaptic_events", "hidden")
