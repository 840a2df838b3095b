"""Small networks with random weights, and spikes for them."""

from typing import Any

import numpy as np

from spikejoule.network.integers import with_grids
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation


def firing_network(
    *sizes: int, seed: int = 0, bits: tuple[int, int] | None = None, **neuron: Any
) -> tuple[Network, dict[str, Any]]:
    """Make a network in which every layer fires, and its parameters in float64.

    With `bits` of weights and potentials it is an integer network; `neuron` has the
    parameters of its neurons.
    """
    generator = np.random.default_rng(seed)
    quantisation = None if bits is None else Quantisation(*bits)
    of_layers = LeakyIntegrateAndFire(**neuron)
    network = Network.of_layers(
        sizes[0], sizes[1:-1], sizes[-1], of_layers, quantisation
    )
    state = {
        name: generator.normal(0.08, 1.2 / np.sqrt(max(shape[-1], 4)), shape)
        if len(shape) == 2
        else generator.normal(0.05, 0.1, shape)
        for name, shape in network.parameter_shapes().items()
    }
    return network if bits is None else with_grids(network, state), state


def spike_trains(
    n_inputs: int, n_samples: int, n_steps: int, density: float = 0.3, seed: int = 1
) -> np.ndarray:
    """Random spikes [N, T, I]."""
    generator = np.random.default_rng([seed, n_samples, n_steps])
    return (generator.random((n_samples, n_steps, n_inputs)) < density).astype(int)
