"""Small networks with random weights, and spikes for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikejoule.network.integers import with_grids
from spikejoule.network.layers import (
    ConvolutionLayer,
    DenseLayer,
    HiddenLayer,
    PoolingLayer,
)
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.readout import Readout
from tests import naive


def firing_network(
    *sizes: int,
    seed: int = 0,
    bits: tuple[int, int] | None = None,
    readout: Readout = Readout.SPIKES,
    **neuron: Any,
) -> tuple[Network, dict[str, Any]]:
    """Make a network in which every layer fires, and its parameters in float64.

    With `bits` of weights and potentials it is an integer network; `neuron` has the
    parameters of its neurons.
    """
    quantisation = None if bits is None else Quantisation(*bits)
    of_layers = LeakyIntegrateAndFire(**neuron)
    network = Network.of_layers(
        sizes[0], sizes[1:-1], sizes[-1], of_layers, quantisation
    ).with_readout(readout)
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


Chain = tuple[tuple[int, ...], list[HiddenLayer]]


@st.composite
def chains(draw: st.DrawFn, largest: int, channels: Sequence[int] = (2, 4)) -> Chain:
    """Draw the shape of an input, its sides up to the largest, and layers that fit.

    A third of the inputs have no planes.
    """
    layers: list[HiddenLayer] = []
    shape: tuple[int, ...] = (draw(st.integers(1, 6)),)
    if draw(st.integers(0, 2)):
        sides = st.integers(4, largest)
        shape = planes = (draw(st.sampled_from([1, 2])), draw(sides), draw(sides))
        for _ in range(draw(st.integers(0, 3))):
            # Two poolings in a row are not allowed.
            is_pooled = bool(layers) and isinstance(layers[-1], PoolingLayer)
            if min(planes[1:]) < 2:
                break
            if not is_pooled and draw(st.booleans()):
                layers.append(PoolingLayer(2, draw(st.booleans())))
                planes = (planes[0], planes[1] // 2, planes[2] // 2)
                continue
            kernel = draw(st.integers(1, min(3, *planes[1:])))
            layer = ConvolutionLayer(
                channels=draw(st.sampled_from(channels)),
                kernel=kernel,
                stride=draw(st.integers(1, 2)),
                padding=draw(st.integers(0, kernel - 1)),
                groups=draw(st.sampled_from([n for n in (1, 2) if planes[0] % n == 0])),
            )
            layers.append(layer)
            rows, columns = (
                (side + 2 * layer.padding - kernel) // layer.stride + 1
                for side in planes[1:]
            )
            planes = (layer.channels, rows, columns)
    has_neurons = any(not isinstance(layer, PoolingLayer) for layer in layers)
    for _ in range(draw(st.integers(0 if has_neurons else 1, 2))):
        layers.append(DenseLayer(draw(st.integers(1, 6)), draw(st.booleans())))
    return shape, layers


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
