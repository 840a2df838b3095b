"""Small networks with random weights, and spikes for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikejoule.network.integers import with_grids
from spikejoule.network.layers import DenseLayer, HiddenLayer, PoolingLayer
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from tests import naive


def firing_network(
    *sizes: int, seed: int = 0, bits: tuple[int, int] | None = None, **neuron: Any
) -> tuple[Network, dict[str, Any]]:
    """Make a network in which every layer fires, and its parameters in float64.

    With `bits` of weights and potentials it is an integer network; `neuron` has the
    parameters of its neurons.
    """
    quantisation = None if bits is None else Quantisation(*bits)
    of_layers = LeakyIntegrateAndFire(**neuron)
    network = Network.of_layers(
        sizes[0], sizes[1:-1], sizes[-1], of_layers, quantisation
    )
    state = firing_state(network, seed)
    return network if bits is None else with_grids(network, state), state


def firing_state(network: Network, seed: int) -> dict[str, Any]:
    """Draw parameters with which every layer fires, float64."""
    generator = np.random.default_rng(seed)
    state = {}
    for name, shape in network.parameter_shapes().items():
        mean, deviation = (0.05, 0.1)
        if len(shape) > 1:
            mean, deviation = (0.08, 1.2 / np.sqrt(max(np.prod(shape[1:]), 4)))
        state[name] = generator.normal(mean, deviation, shape)
    return state


def spike_trains(
    n_inputs: int, n_samples: int, n_steps: int, density: float = 0.3, seed: int = 1
) -> np.ndarray:
    """Random spikes [N, T, I]."""
    generator = np.random.default_rng([seed, n_samples, n_steps])
    return (generator.random((n_samples, n_steps, n_inputs)) < density).astype(int)


def populations_of(
    shape: tuple[int, ...], layers: Sequence[HiddenLayer], n_output: int
) -> Any:
    """Return hidden layers and an output as the loops of `naive` take them."""
    words: list[tuple[Any, ...]] = []
    for layer in (*layers, DenseLayer(n_output)):
        if isinstance(layer, DenseLayer):
            words.append(("dense", layer.n_units, layer.recurrent))
        elif isinstance(layer, PoolingLayer):
            words.append(("pooling", layer.window, layer.average))
        else:
            sizes = (layer.kernel, layer.stride, layer.padding, layer.groups)
            words.append(("convolution", layer.channels, *sizes))
    return naive.chain(shape, words)
