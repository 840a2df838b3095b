"""More input units than two bytes can number: the same network as without those that are silent.

Weights of silent units change nothing of the spikes, so the used columns of a wide network are a
narrow one, and every number must be the same.
"""

from typing import Any

import numpy as np
import pytest

from spikejoule.encoding.events import EventList, load_events, save_events
from spikejoule.engine.event import event_engine
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network

WIDE = 70_000
USED = np.array([0, 7, 65_535, 65_536, 65_543, 69_999])
STEPS, SAMPLES, HIDDEN, CLASSES = 6, 12, 9, 3


def networks() -> tuple[Network, dict[str, Any], Network, dict[str, Any]]:
    """A wide network and its used part."""
    random = np.random.default_rng(1)
    wide = Network.of_layers(WIDE, (HIDDEN,), CLASSES)
    state = {
        name: random.normal(0.2, 0.5, shape) for name, shape in wide.parameter_shapes().items()
    }
    first = next(iter(state))
    narrow = {name: values[:, USED] if name == first else values for name, values in state.items()}
    return wide, state, Network.of_layers(len(USED), (HIDDEN,), CLASSES), narrow


def spikes() -> tuple[EventList, EventList]:
    """The same spikes into either."""
    dense = np.random.default_rng(2).random((SAMPLES, STEPS, len(USED))) < 0.4
    narrow = EventList.from_dense(dense)
    rows = narrow.row_of_each_event()
    wide = EventList.from_rows(rows, USED[narrow.sources], SAMPLES, STEPS, WIDE)
    return wide, narrow


def test_an_event_list_keeps_the_numbers_of_its_units(tmp_path: Any) -> None:
    wide, narrow = spikes()
    assert (wide.sources.dtype, narrow.sources.dtype) == (np.uint32, np.uint16)
    save_events(tmp_path / "a.npz", wide, {"seed": 1})
    read, _ = load_events(tmp_path / "a.npz")
    np.testing.assert_array_equal(read.sources, wide.sources)
    np.testing.assert_array_equal(read.counts_per_source()[USED], narrow.counts_per_source())


@pytest.mark.slow
def test_training_and_running_are_those_of_the_used_part() -> None:
    wide_network, wide_state, narrow_network, narrow_state = networks()
    wide_spikes, narrow_spikes = spikes()
    labels = np.arange(SAMPLES) % CLASSES
    # Without decay of the weights, which would be that of silent units too.
    settings = LearningSettings(weight_decay=0.0, grad_clip_norm=0.0)
    wide = event_engine(wide_network, wide_state, settings, np.float64)
    narrow = event_engine(narrow_network, narrow_state, settings, np.float64)
    for _ in range(3):
        one = wide.train_batch(wide_spikes, labels, 0.01)
        other = narrow.train_batch(narrow_spikes, labels, 0.01)
        assert one == other
    assert sum(other.spikes[1:]) > 0
    first, *rest = wide.state().items()
    np.testing.assert_array_equal(first[1][:, USED], narrow.state()[first[0]])
    for name, values in rest:
        np.testing.assert_array_equal(values, narrow.state()[name])
    for layer, expected in zip(wide.run(wide_spikes), narrow.run(narrow_spikes), strict=True):
        np.testing.assert_array_equal(layer.to_dense(), expected.to_dense())
