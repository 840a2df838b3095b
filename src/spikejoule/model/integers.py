"""The parameters of a quantised network as integers, and as the floats that they stand for.

The rule is in :mod:`spikejoule.model.quantisation`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import (
    EXACT_BITS,
    LEAK_ONE,
    Quantisation,
    leak_factor,
    on_grid,
    threshold_on_grid,
)

Integers = dict[str, NDArray[Any]]
"""Parameters on their grids by name: weights int8 [target, source], biases int32 [target]."""


@dataclass(frozen=True)
class LayerConstants:
    """What holds for every neuron of a layer, in integers of its grid.

    Attributes:
        exponent: k of the grid 2^-k.
        threshold: potential at or above which a neuron fires.
        leak: m of the leak floor(m u / 256); 256 for a neuron without one.
        subtracts: whether a spike lowers the potential by the threshold, rather than to zero.
        lowest, highest: range of the potential that is kept from step to step.
    """

    exponent: int
    threshold: int
    leak: int
    subtracts: bool
    lowest: int
    highest: int

    @property
    def decay(self) -> float:
        """Share of the potential that the leak keeps, before it is rounded."""
        return self.leak / LEAK_ONE

    def value(self, integer: int) -> float:
        """What an integer on the grid stands for."""
        return math.ldexp(integer, -self.exponent)


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
        quantisation.exponent_of(state[f"layer{number}.synapses.weight"], threshold)
        for number, (threshold, _) in enumerate(neuron_constants(architecture), start=1)
    )
    return replace(architecture, quantisation=replace(quantisation, exponents=exponents))


def neuron_constants(architecture: Architecture) -> list[tuple[float, float]]:
    """Threshold and decay of the LIF neurons of each layer after the input."""
    constants = []
    for neuron in architecture.neurons:
        assert isinstance(neuron, LeakyIntegrateAndFire)
        constants.append(neuron.constants)
    return constants


def layer_constants(architecture: Architecture) -> tuple[LayerConstants, ...]:
    """The constants of each layer after the input."""
    quantisation, neuron = quantisation_of(architecture), architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    lowest, highest = quantisation.state_range
    return tuple(
        LayerConstants(
            exponent=exponent,
            threshold=threshold_on_grid(threshold, exponent),
            leak=leak_factor(decay),
            subtracts=neuron.reset == "subtract",
            lowest=lowest,
            highest=highest,
        )
        for exponent, (threshold, decay) in zip(
            quantisation.exponents, neuron_constants(architecture), strict=True
        )
    )


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


def floats_suffice(architecture: Architecture, state: State, n_steps: int) -> bool:
    """Whether the same neurons in float32, on what the integers stand for, fire alike.

    They do where there is no leak to be rounded, the thresholds lie on the grids, and in a window
    of `n_steps` no potential can leave the range that is kept, or that of integers in float32.
    """
    integers = integers_of(architecture, state)
    for number, (layer, (threshold, _)) in enumerate(
        zip(layer_constants(architecture), neuron_constants(architecture), strict=True), start=1
    ):
        weights = integers[f"layer{number}.synapses.weight"].astype(np.int64)
        biases = integers.get(f"layer{number}.synapses.bias", np.zeros(len(weights), np.int64))
        farthest = int(n_steps * (np.abs(weights).sum(axis=1) + np.abs(biases)).max())
        if layer.leak != LEAK_ONE or layer.value(layer.threshold) != threshold:
            return False
        if farthest > min(layer.highest, 2**EXACT_BITS):
            return False
    return True
