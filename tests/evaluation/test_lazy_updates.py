"""kernels/lazy_updates.py: neuron updates of event-driven hardware, against plain
loops.
"""

from typing import Any

import numpy as np
import pytest

from spikejoule.encoding.events import EventList
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from tests import naive


def random_state(network: Network) -> dict[str, Any]:
    """Weights of which half are zero."""
    generator = np.random.default_rng(1)
    state = {
        name: generator.normal(0.15, 0.5, shape).astype(np.float32)
        for name, shape in network.parameter_shapes().items()
    }
    for name, values in state.items():
        if name.endswith("weight"):
            values[generator.random(values.shape) < 0.5] = 0
    return state


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("hidden", [(7,), (65, 130)])
def test_equal_loops(
    hidden: tuple[int, ...], reset: str, bias: bool, pruned: bool
) -> None:
    neuron = LeakyIntegrateAndFire(bias=bias, reset=reset, threshold=0.4, decay=1.0)
    network = Network.of_layers(9, hidden, 3, neuron)
    state = random_state(network)
    events = EventList.from_dense(np.random.default_rng(2).random((4, 8, 9)) < 0.1)
    found = measure_network(state, network, events, pruned=pruned)
    connections = naive.connections_of(state, naive.populations_of(state), pruned)
    dense = [layer.to_dense(np.int64).tolist() for layer in found.layers]
    assert found.lazy_updates.tolist() == naive.lazy_updates(dense, connections, bias)
    clocked = 8 * np.array(network.layer_sizes[1:])
    assert (found.lazy_updates <= clocked).all()
    assert bool((found.lazy_updates == clocked).all()) == bias
