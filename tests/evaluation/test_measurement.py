"""Measured inference: proxies against hand-worked figures, and its file."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.encoding.events import EventList
from spikejoule.energy import EnergyProxies, energy_proxies
from spikejoule.evaluation.inference import (
    load_inference_events,
    measure_network,
    save_inference_events,
)
from spikejoule.network.network import Network
from tests.tools.examples import trained_network

EVENTS = EventList.from_dense(np.random.default_rng(3).random((6, 50, 784)) < 0.02)


def proxies_of(network: Network, spikes: list[float], steps: int) -> EnergyProxies:
    counted = LayerCounts(spikes=np.array([spikes]))
    return energy_proxies(activity_of_layers(network, steps, counted))


@given(
    sizes=st.lists(st.integers(1, 50), min_size=3, max_size=6),
    steps=st.integers(1, 100),
    data=st.data(),
)
def test_a_network_that_always_fires_is_dense(
    sizes: list[int], steps: int, data: st.DataObject
) -> None:
    network = Network.of_layers(sizes[0], tuple(sizes[1:-1]), sizes[-1])
    always = [size * steps for size in sizes]
    dense = proxies_of(network, always, steps)
    assert dense.sparsity_ratio == 1.0
    pairs = [into * out for into, out in pairwise(sizes)]
    assert dense.dense_operations_per_inference == steps * sum(pairs)
    some = [data.draw(st.integers(0, most)) for most in always]
    entry = proxies_of(network, some, steps).as_checkpoint_entry()
    events = [spikes * target for spikes, target in zip(some, sizes[1:], strict=False)]
    by_layer = entry["per_layer"].values()
    assert [layer["synaptic_events_per_inference"] for layer in by_layer] == events
    assert entry["event_syn_per_inference"] == sum(events)


def test_events_can_be_recounted(tmp_path: Path) -> None:
    network = trained_network((12, 8))
    measured = measure_network(network.state, network.network, EVENTS)
    for name in ("a.npz", "b.npz"):
        save_inference_events(tmp_path / name, measured)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = load_inference_events(tmp_path / "a.npz")
    assert tuple(found) == measured.counts.layer_names[1:]
    for events, expected in zip(found.values(), measured.layers[1:], strict=True):
        np.testing.assert_array_equal(events.sources, expected.sources)
        np.testing.assert_array_equal(events.offsets, expected.offsets)
        assert events.n_inputs == expected.n_inputs
