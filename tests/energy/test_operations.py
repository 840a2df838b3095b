"""Counts and prices against a network whose every spike is written down; others' counts.

`test_recount.py` counts real digits in loops.
"""

import numpy as np
import pytest

from spikejoule.counts.records import activity_of_layers
from spikejoule.energy import count_operations, load_profiles, price
from spikejoule.energy.conventional import count_baseline
from spikejoule.energy.operations import Column, averaging
from spikejoule.energy.terms import TERMS
from spikejoule.engine import run_network
from tests.energy.by_hand import baseline, measured
from tests.tools.tiny_network import HIDDEN, NETWORK, OUTPUT, STATE
from tests.tools.without_torch import needs_torch

# 16 events and their addresses, 12 biases, 5 resets; 12 leaks; then words of 4 bytes: of layers
# with 8 and 6 parameters (32 and 24 bytes), of 2 potentials (8 bytes), 13 in queues of 4,000 bytes.
BYTE_PJ = 2.5 / 8192
CORE_PJ = (
    0.1 * (2 * 16 + 12 + 5) + 3.2 * 12 + 4 * BYTE_PJ * (16 * 32 + 12 * 24 + 56 * 8 + 13 * 4000)
)


TINY = count_operations(measured())


@pytest.mark.parametrize("engine", ["event", pytest.param("dense", marks=needs_torch)])
def test_the_engines_emit_the_spikes_that_are_written_down(engine: str) -> None:
    hidden, output = run_network(STATE, NETWORK, measured().layers[0], engine=engine)
    assert hidden.to_dense(np.int64)[0].tolist() == HIDDEN
    assert output.to_dense(np.int64)[0].tolist() == OUTPUT


class TestByHand:
    @pytest.mark.parametrize(
        ("profile", "low", "value", "high"),
        [
            # 16 additions of events, 12 of biases, 12 multiplications of leaks
            ("45nm-fp32", 69.6, 28 * 0.9 + 12 * 3.7, 69.6),
            ("45nm-fp16", 24.4, 28 * 0.4 + 12 * 1.1, 24.4),
            ("45nm-int32", 40.0, 28 * 0.1 + 12 * 3.1, 40.0),
            ("45nm-int8", 3.24, 28 * 0.03 + 12 * 0.2, 3.24),
            # 16 events, 5 active and 7 inactive updates, 10 spikes
            ("loihi-1", 1163.6, 16 * 23.6 + 5 * 81 + 7 * 52 + 10 * 1.7, 1163.6),
            ("truenorth", 416.0, 16 * 26, 416.0),
            ("odin", 203.2, 16 * 12.7, 203.2),
            ("odin-incremental", 134.88, 16 * 8.43, 134.88),
            ("darwin3", 87.52, 16 * 5.47, 87.52),
            ("seneca", 44.8, 16 * 2.8, 44.8),
            ("spinnaker-1", 492_800.0, 16 * 13_300 + 12 * 26_000, 2_072_000.0),
            ("spinnaker-2", 18_160.0, 16 * 450 + 12 * 2_190, 33_480.0),
            # and 17 comparisons or resets, 3 operations for the answer
            ("45nm-fp32-complete", 87.6, 28 * 0.9 + 12 * 3.7 + 20 * 0.9, 87.6),
            # 16 weights, 12 biases, 24 words of state, 13 spikes; at the upper end 32 words more
            ("45nm-memory", 325.0, None, 28 * 2600 + 69 * 100),
            ("lemaire-2022-memory", 80.0, None, 16 * 123),
            ("lemaire-spikingjelly", CORE_PJ, CORE_PJ, CORE_PJ),
        ],
    )
    def test_prices(self, profile: str, low: float, value: float | None, high: float) -> None:
        expected = [low, np.nan if value is None else value, high]
        found = price(TINY, load_profiles()[profile])[:, 0]
        assert found == pytest.approx(expected, rel=1e-14, nan_ok=True)

    def test_what_a_total_contains(self) -> None:
        """What is in the price of something else, and what has none, of this network and others."""
        terms = list(dict.fromkeys(column.term for column in TINY.columns))

        def having(status: str, name: str) -> list[str]:
            profile = load_profiles()[name]
            return [term for term in terms if profile.status_of(term) == status]

        assert "neuron_update_active" in having("unpriced", "45nm-fp32")
        assert having("covered", "loihi-1") == [
            "leak_multiplication", "bias_addition", "threshold_comparison", "reset",
            "address_event", "weight_read", "bias_read", "state_access", "state_access_per_event",
            "spike_read", "spike_write",
        ]  # fmt: skip
        # An answer is read outside of the chip.
        for name in ("loihi-1", "truenorth"):
            assert having("unpriced", name) == ["spike_counted", "decision_comparison"]

    def test_what_is_counted_has_a_row_and_what_has_a_price_is_priced(self) -> None:
        assert {column.term for column in TINY.columns} <= set(TERMS)
        with pytest.raises(ValueError, match="'synaptic_events' has no row in the table of terms"):
            Column("synaptic_events", "hidden")
        for profile in load_profiles().values():
            for column in TINY.columns:
                is_priced = profile.status_of(column.term) == "priced"
                assert is_priced != np.isnan(profile.price_at(column)[0])


def test_means_of_squares_are_made_on_either_side() -> None:
    """Of 3 pixels that are read, 12 were: each is read and added, and each mean is written."""
    ours, theirs = count_operations(measured(2)), count_baseline(baseline(10, [6, 5]), "dense", 2)
    for network in (ours, theirs):
        found = averaging(network, 2, 3)
        new = len(found.columns) - len(network.columns)
        assert [
            (one.term, one.place, one.bits, one.memory_bits) for one in found.columns[:new]
        ] == [
            ("pixel_read", "image", 8, 96),
            ("code_addition", "image", 32, 0),
            ("activation_write", "image", 8, 24),
        ]
        assert found.counts[:, :new].tolist() == [[12, 12, 3]] * 2
        assert found.columns[new:] == network.columns
        assert found.counts[:, new:].tolist() == network.counts.tolist()
        assert averaging(network, 1, 3) is network


def test_means_of_a_network_are_those_of_its_counts() -> None:
    """Of all synapses; where some are gone, `test_recount.py`."""
    means = count_operations(activity_of_layers(NETWORK, 3, np.array([[5.0, 3.0, 2.0]])))
    assert means.n_images is None
    assert means.columns == TINY.columns
    assert means.means.tolist() == TINY.counts[0].tolist()
