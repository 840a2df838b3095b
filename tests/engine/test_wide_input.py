"""Inputs of more units than 16 bits can number.

Silent units change nothing, so a wide network equals the narrow network of its used
inputs, number by number.
"""

from pathlib import Path

import numpy as np
import pytest

from spikejoule.encoding.events import EventList, load_events, save_events
from spikejoule.engine.learning.event import EventTrainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from tests.engine.agreement import assert_spikes
from tests.tools.networks import firing_state, spike_trains

WIDE = 70_000
USED = np.array([0, 7, 65_535, 65_536, 65_543, 69_999])
NARROW_SPIKES = EventList.from_dense(spike_trains(len(USED), 12, 6, 0.4))
WIDE_SPIKES = EventList.from_rows(
    NARROW_SPIKES.row_of_each_event(), USED[NARROW_SPIKES.sources], 12, 6, WIDE
)


@pytest.mark.slow
def test_a_wide_network_equals_its_used_part(tmp_path: Path) -> None:
    """With spikes from a file."""
    save_events(tmp_path / "a.npz", WIDE_SPIKES, {"seed": 1})
    spikes, _ = load_events(tmp_path / "a.npz")
    network = Network.of_layers(WIDE, (9,), 3)
    state = firing_state(network, 1)
    first = "layer1.synapses.weight"
    state[first] *= 100
    used = {**state, first: state[first][:, USED]}
    # Weight decay would also change the weights of silent units.
    learning = LearningSettings(weight_decay=0.0, grad_clip_norm=0.0)
    wide = EventTrainer(network, state, learning)
    narrow_network = Network.of_layers(len(USED), (9,), 3)
    narrow = EventTrainer(narrow_network, used, learning)
    labels = np.arange(12) % 3
    for _ in range(3):
        outcome = wide.train_batch(spikes, labels, 0.01)
        assert outcome == narrow.train_batch(NARROW_SPIKES, labels, 0.01)
    assert sum(outcome.spikes[1:]) > 0
    learned = wide.state()
    learned[first] = learned[first][:, USED]
    for name, values in narrow.state().items():
        np.testing.assert_array_equal(learned[name], values)
    layers = narrow.run(NARROW_SPIKES)
    assert_spikes(wide.run(spikes), [layer.to_dense() for layer in layers])
