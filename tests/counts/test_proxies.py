"""Proxies of the energy of an inference, against hand-worked figures."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.counts.proxies import checkpoint_proxies
from spikejoule.counts.records import Activity
from spikejoule.network.network import Network


def activity_of(network: Network, spikes: list[float], steps: int) -> Activity:
    counted = LayerCounts(spikes=np.array([spikes]))
    return activity_of_layers(network, steps, counted)


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
    dense = activity_of(network, always, steps)
    assert dense.sparsity_ratio == 1.0
    pairs = [into * out for into, out in pairwise(sizes)]
    assert dense.dense_operations_per_inference == steps * sum(pairs)
    some = [data.draw(st.integers(0, most)) for most in always]
    entry = checkpoint_proxies(activity_of(network, some, steps))
    events = [spikes * target for spikes, target in zip(some, sizes[1:], strict=False)]
    by_layer = entry["per_layer"].values()
    assert [layer["synaptic_events_per_inference"] for layer in by_layer] == events
    assert entry["event_syn_per_inference"] == sum(events)
