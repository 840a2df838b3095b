"""Counts of convolutions, pooling and recurrent layers, against loops over synapses."""

from typing import Any

import numpy as np
import pytest

from spikejoule.counts.measurement import Measurement
from spikejoule.counts.proxies import connection_proxies
from spikejoule.encoding.events import EventList
from spikejoule.energy.count import count_operations
from spikejoule.evaluation.early_exit import step_outcomes
from spikejoule.network.layers import layers_of
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests import naive
from tests.tools.networks import spike_trains

SHAPE = (2, 6, 6)
STEPS = 5
SAMPLES = 3
WORDS = ["4c3p1g2", "2sum", "5r"]
DESCRIBED = [
    ("convolution", 4, 3, 1, 1, 2),
    ("pooling", 2, False),
    ("dense", 5, True),
    ("dense", 2, False),
]


def random_spikes(network: Network, pruned: bool, density: float) -> Measurement:
    """Draw spikes and weights, half of which a pruned network removes."""
    generator = np.random.default_rng(4)
    state = {}
    for name, shape in network.parameter_shapes().items():
        kept = generator.random(shape) < (0.5 if pruned else 2)
        state[name] = (generator.normal(size=shape) * kept).astype(np.float32)
    layers = [
        EventList.from_dense(spike_trains(size, SAMPLES, STEPS, density, size))
        for size in network.layer_sizes
    ]
    return Measurement(state, network, layers, pruned)


# In the second network most steps bring no spike, so that recurrent spikes of the step
# before matter.
RARE = [("dense", 70, True), ("dense", 2, False)]


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(
    ("shape", "words", "described", "density"),
    [(SHAPE, WORDS, DESCRIBED, 0.08), ((1, 3, 3), ["70r"], RARE, 0.01)],
)
def test_events_and_lazy_updates(
    shape: tuple[int, ...],
    words: list[str],
    described: list[Any],
    density: float,
    pruned: bool,
) -> None:
    network = Network.of_chain(
        shape, layers_of(words), 2, LeakyIntegrateAndFire(bias=False)
    )
    measured = random_spikes(network, pruned, density)
    dense = [layer.to_dense(np.int64) for layer in measured.layers]
    populations = naive.chain(shape, described)
    connections = naive.connections_of(measured.state, populations, pruned)
    spent = np.zeros((SAMPLES, STEPS), np.int64)
    fan_outs = naive.fan_outs_of(connections, network.layer_sizes)
    for number, (sender, fan_out) in enumerate(fan_outs):
        by_step = (dense[sender] * np.array(fan_out)).sum(axis=2)
        assert np.array_equal(measured.synaptic_events[:, number], by_step.sum(axis=1))
        spent += by_step
    outcomes = step_outcomes(measured, np.zeros(SAMPLES, np.int64))
    assert np.array_equal(outcomes.synaptic_events, spent.cumsum(axis=1))
    spikes = [layer.tolist() for layer in dense]
    updates = naive.lazy_updates(spikes, connections, bias=False)
    assert measured.lazy_updates.tolist() == updates
    updated = measured.lazy_updates[:, 0].mean()
    assert updated < STEPS * network.layer_sizes[1]


def test_operations_of_each_kind_of_layer() -> None:
    network = Network.of_chain(SHAPE, layers_of(WORDS), 2)
    measured = random_spikes(network, False, 0.08)
    operations = count_operations(measured)
    found = {
        (column.term, column.place): (column, operations.counts[:, k].sum())
        for k, column in enumerate(operations.columns)
    }
    spikes = measured.counts.totals
    column, _ = found["weight_read", "input_to_hidden1"]
    # 4 kernels of 9 weights, and 4 biases
    assert (column.memory_bits, column.parameters_bits) == (32 * 36, 32 * 40)
    column, added = found["bias_read", "hidden1"]
    assert (column.memory_bits, added) == (32 * 4, SAMPLES * STEPS * 144)
    column, events = found["weight_read", "hidden2_to_hidden2"]
    assert (column.memory_bits, column.parameters_bits) == (32 * 25, 32 * 25)
    assert events == 5 * spikes["hidden2"]
    assert found["spike_read", "hidden2"][1] == 2 * spikes["hidden2"]
    assert found["synaptic_event", "hidden1_to_hidden2"][1] == 5 * spikes["hidden1"]
    assert not any(place == "hidden1_pooled" for _, place in found)


def test_the_sparsity_ratio_is_1_where_every_unit_fires_in_every_step() -> None:
    network = Network.of_chain((1, 9, 9), layers_of(["4c3", "2sum", "3c2", "5r"]), 2)
    state = {name: np.ones(shape) for name, shape in network.parameter_shapes().items()}
    layers = [
        EventList.from_dense(np.ones((1, STEPS, size), np.int64))
        for size in network.layer_sizes
    ]
    activity = Measurement(state, network, layers).activity()
    proxies = [connection_proxies(activity, node) for node in network.connections]
    ratios = [connection.sparsity_ratio for connection in proxies]
    assert ratios == [1.0] * 5
    # Pooling leaves 3 x 3 units of 4 channels for 3 kernels of 2 x 2.
    assert proxies[1].synapses == 2 * 2 * 3 * (4 * 2 * 2)
