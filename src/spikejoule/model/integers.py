"""The parameters of a quantised network as integers, and as the floats that they stand for.

The rule is in :mod:`spikejoule.model.quantisation`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation, leak_factor, on_grid, threshold_on_grid

Integers = dict[str, NDArray[Any]]
"""Parameters on their grids by name: weights int8 [target, source], biases int32 [target]."""


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One layer in integers on its grid.

    Attributes:
        weights: int8 [target, source].
        biases: int32 [target].
        threshold: potential at or above which a neuron fires.
        leak: m of the leak floor(m u / 256); 256 for a neuron without one.
    """

    weights: NDArray[np.int8]
    biases: NDArray[np.int32]
    threshold: int
    leak: int


def quantisation_of(architecture: Architecture) -> Quantisation:
    """Widths and grids of a network of integers; ValueError if it is none, or has no grids."""
    quantisation = architecture.quantisation
    if quantisation is None or len(quantisation.exponents) != len(architecture.fan_outs):
        raise ValueError("the network has no grid for each of its layers")
    return quantisation


def with_grids(architecture: Architecture, state: State) -> Architecture:
    """The architecture of a network of integers with grids that fit its parameters."""
    quantisation = architecture.quantisation
    if quantisation is None:
        raise ValueError("the network is one of floating point")
    exponents = tuple(
        quantisation.exponent_of(
            state[f"layer{number + 1}.synapses.weight"], _neuron(architecture, number).threshold
        )
        for number in range(len(architecture.fan_outs))
    )
    return replace(architecture, quantisation=replace(quantisation, exponents=exponents))


def _neuron(architecture: Architecture, number: int) -> LeakyIntegrateAndFire:
    """The neuron of a layer, counted from 0 after the input; no other becomes integers."""
    neuron = architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return neuron


def integers_of(architecture: Architecture, state: State) -> Integers:
    """The parameters of a state on the grids of their layers."""
    quantisation = quantisation_of(architecture)
    integers: Integers = {}
    for name in architecture.parameter_shapes():
        exponent = quantisation.exponents[_layer_of(name)]
        if name.endswith("weight"):
            values = on_grid(state[name], exponent, quantisation.largest_weight)
            integers[name] = values.astype(np.int8)
        else:
            values = on_grid(state[name], exponent, quantisation.largest_bias)
            integers[name] = values.astype(np.int32)
    return integers


def floats_of(architecture: Architecture, integers: Mapping[str, NDArray[Any]]) -> Integers:
    """The float32 numbers that integers stand for, exactly."""
    exponents = quantisation_of(architecture).exponents
    return {
        name: np.ldexp(values.astype(np.float32), -exponents[_layer_of(name)])
        for name, values in integers.items()
    }


def _layer_of(name: str) -> int:
    """The layer of a parameter's name, counted from 0 after the input."""
    return int(name.partition(".")[0].removeprefix("layer")) - 1


def integer_layers(architecture: Architecture, state: State) -> tuple[IntegerLayer, ...]:
    """A network of integers, layer by layer from the input side."""
    integers = integers_of(architecture, state)
    layers = []
    for number, exponent in enumerate(quantisation_of(architecture).exponents):
        neuron = _neuron(architecture, number)
        layers.append(
            IntegerLayer(
                weights=integers[f"layer{number + 1}.synapses.weight"],
                biases=integers[f"layer{number + 1}.synapses.bias"],
                threshold=threshold_on_grid(neuron.threshold, exponent),
                leak=leak_factor(neuron.decay),
            )
        )
    return tuple(layers)
