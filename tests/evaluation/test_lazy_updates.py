"""kernels/lazy_updates.py: neuron updates of event-driven hardware, against plain loops."""

from typing import Any

import numpy as np
import pytest

from spikejoule.counts.measurement import Measurement
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests import naive
from tests.tools.tiny_network import HIDDEN, INPUT, NETWORK, OUTPUT, STATE


def random_state(architecture: Network, seed: int = 1) -> dict[str, Any]:
    """Weights of which half are zero."""
    generator = np.random.default_rng(seed)
    state = {
        name: generator.normal(0.15, 0.5, shape).astype(np.float32)
        for name, shape in architecture.parameter_shapes().items()
    }
    for name, values in state.items():
        if name.endswith("weight"):
            values[generator.random(values.shape) < 0.5] = 0
    return state


def events_of(density: float, *shape: int) -> EventList:
    return EventList.from_dense(np.random.default_rng(2).random(shape) < density)


class TestAgainstLoops:
    @pytest.mark.parametrize("pruned", [False, True])
    @pytest.mark.parametrize("bias", [False, True])
    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    @pytest.mark.parametrize("hidden", [(7,), (64, 3), (65, 130)])
    def test_random_networks(
        self, hidden: tuple[int, ...], reset: str, bias: bool, pruned: bool
    ) -> None:
        neuron = LeakyIntegrateAndFire(bias=bias, reset=reset, threshold=0.4, decay=1.0)
        architecture = Network.of_layers(9, hidden, 3, neuron)
        state = random_state(architecture)
        found = measure_network(state, architecture, events_of(0.1, 4, 8, 9), pruned=pruned)
        connections = naive.connections_of(state, naive.populations_of(state), pruned)
        dense = [layer.to_dense(np.int64).tolist() for layer in found.layers]
        assert found.lazy_updates.tolist() == naive.lazy_updates(dense, connections, bias)
        assert found.lazy_updates.dtype == np.int64
        clocked = 8 * np.array(architecture.layer_sizes[1:])
        assert (found.lazy_updates <= clocked).all()
        assert bool((found.lazy_updates == clocked).all()) == bias


def test_by_hand() -> None:
    """INPUT reaches both hidden neurons in each step in which any input fires; see the file."""
    architecture = Network.of_layers(3, (2,), 2, LeakyIntegrateAndFire(decay=0.5, bias=False))
    layers = tuple(EventList.from_dense([spikes]) for spikes in (INPUT, HIDDEN, OUTPUT))
    state = {name: values for name, values in STATE.items() if name.endswith("weight")}
    found = Measurement(state, architecture, layers).lazy_updates
    steps = [sum(any(step) for step in spikes) for spikes in (INPUT, HIDDEN)]
    assert found.tolist() == [[2 * steps[0], 2 * steps[1]]]
    assert Measurement(STATE, NETWORK, layers).lazy_updates.tolist() == [[6, 6]]
