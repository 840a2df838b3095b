"""The integers of a network: its parameters and neuron constants on their grids.

The rules are in :mod:`spikejoule.network.quantisation`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.network.network import Network, State
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import (
    LEAK_ONE,
    Quantisation,
    leak_factor,
    on_grid,
    threshold_on_grid,
)

NEVER = 2**62
"""The threshold of an output that integrates without spiking: no sum reaches it."""

Integers = dict[str, NDArray[Any]]
"""Parameters on their grids, by name: weights int8, biases int32, as in `State`."""


@dataclass(frozen=True)
class LayerConstants:
    """The constants of a layer's neurons, in integers of its grid.

    Attributes:
        exponent: k of the grid 2^-k.
        threshold: potential at or above which a neuron fires; `NEVER` if none does.
        leak: m of the leak floor(m u / 256); 256 for a neuron without one.
        subtracts: whether a spike lowers the potential by the threshold instead of
            resetting it to zero.
        lowest, highest: range of the potential after each step.
    """

    exponent: int
    threshold: int
    leak: int
    subtracts: bool
    lowest: int
    highest: int

    @property
    def fires(self) -> bool:
        """Whether the neurons spike."""
        return self.threshold != NEVER

    @property
    def decay(self) -> float:
        """Fraction of the potential that the leak keeps, before rounding."""
        return self.leak / LEAK_ONE

    def value(self, integer: int) -> float:
        """The number that an integer on the grid represents."""
        return math.ldexp(integer, -self.exponent)


def quantisation_of(network: Network) -> Quantisation:
    """Widths and grids of an integer network; ValueError if it has no grids."""
    quantisation = network.quantisation
    if quantisation is None or len(quantisation.exponents) != len(network.layers) - 1:
        raise ValueError("the network has no grid for each of its layers")
    return quantisation


def with_grids(network: Network, state: State) -> Network:
    """The same integer network with grids that fit its parameters.

    The threshold of the neurons also bounds the grid of an output that never fires.
    """
    quantisation = network.quantisation
    if quantisation is None:
        raise ValueError("the network uses floating point")
    exponents = tuple(
        quantisation.exponent_of(_weights_of(state, number), threshold)
        for number, (threshold, _) in enumerate(_lif_constants(network), start=1)
    )
    return replace(network, quantisation=replace(quantisation, exponents=exponents))


def _weights_of(state: State, number: int) -> NDArray[Any]:
    """All weights into layer `number` (from 1), flat, recurrent ones included."""
    names = (f"layer{number}.synapses.weight", f"layer{number}.recurrent.weight")
    return np.concatenate([state[name].ravel() for name in names if name in state])


def neuron_constants(network: Network) -> list[tuple[float, float]]:
    """Threshold and decay of the LIF neurons of each layer after the input.

    The threshold of an output that integrates without spiking is infinite.
    """
    constants = _lif_constants(network)
    if not network.readout.is_spiking:
        constants[-1] = (math.inf, constants[-1][1])
    return constants


def _lif_constants(network: Network) -> list[tuple[float, float]]:
    return [
        neuron.constants
        for neuron in network.neurons
        if isinstance(neuron, LeakyIntegrateAndFire)
    ]


def layer_constants(network: Network) -> tuple[LayerConstants, ...]:
    """The integer constants of each layer after the input."""
    quantisation = quantisation_of(network)
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    lowest, highest = quantisation.state_range
    return tuple(
        LayerConstants(
            exponent=exponent,
            threshold=(
                NEVER
                if math.isinf(threshold)
                else threshold_on_grid(threshold, exponent)
            ),
            leak=leak_factor(decay),
            subtracts=neuron.reset == "subtract",
            lowest=lowest,
            highest=highest,
        )
        for exponent, (threshold, decay) in zip(
            quantisation.exponents, neuron_constants(network), strict=True
        )
    )


def integers_of(network: Network, state: State) -> Integers:
    """Round the parameters of a state to the grids of their layers."""
    quantisation = quantisation_of(network)
    integers: Integers = {}
    for name in network.parameter_shapes():
        is_weight = name.endswith("weight")
        limit = quantisation.largest_weight if is_weight else quantisation.largest_bias
        values = on_grid(state[name], quantisation.exponents[_layer_of(name)], limit)
        integers[name] = values.astype(np.int8 if is_weight else np.int32)
    return integers


def floats_of(network: Network, integers: Mapping[str, NDArray[Any]]) -> Integers:
    """The float32 numbers that integers represent, exactly."""
    exponents = quantisation_of(network).exponents
    return {
        name: np.ldexp(values.astype(np.float32), -exponents[_layer_of(name)])
        for name, values in integers.items()
    }


def _layer_of(name: str) -> int:
    """The index of a parameter's layer, 0 for the first after the input."""
    return int(name.partition(".")[0].removeprefix("layer")) - 1
