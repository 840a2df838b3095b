"""What the kernels of the event engine need of neurons and of the grids of a quantised network."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import (
    Grids,
    Network,
    Neuron,
)
from spikejoule.model.architecture import Architecture
from spikejoule.model.integers import layer_constants, neuron_constants, quantisation_of


def neuron_table(architecture: Architecture, dtype: DTypeLike) -> NDArray[Any]:
    """The constants of LIF neurons as a network has them; of its grids if it is quantised."""
    if architecture.quantisation is None:
        constants = [
            (decay, threshold, 0, 0, 0, 0) for threshold, decay in neuron_constants(architecture)
        ]
        return np.array(constants, dtype)
    on_grids = [
        (
            one.decay,
            one.value(one.threshold),
            one.value(1),
            1 / one.value(1),
            one.value(one.lowest),
            one.value(one.highest),
        )
        for one in layer_constants(architecture)
    ]
    # Integers of 32 bits may stand for more than float32 holds: there is no bound then.
    with np.errstate(over="ignore"):
        return np.array(on_grids).astype(dtype)


def neuron_of_layer(network: Network, number: int) -> Neuron:
    """The neuron of the layer of a number, counted from 0.

    (`structures.neuron_at` is for kernels: called from here it would return numbers in float64.)
    """
    decay, threshold, *grid = network.constants[number]
    return Neuron(decay, threshold, network.reset, network.on_grid, *grid)


def row_grids(architecture: Architecture, layout: ParameterLayout, dtype: DTypeLike) -> Grids:
    """The grid of every row of parameters of a quantised network."""
    quantisation = quantisation_of(architecture)
    per_unit, limits = (np.empty(layout.rows.starts.size, dtype) for _ in range(2))
    for layer, exponent in zip(layout.layers, quantisation.exponents, strict=True):
        bias_row = layer.first_row + layer.n_sources
        per_unit[layer.first_row : bias_row + 1] = 2.0**exponent
        limits[layer.first_row : bias_row] = quantisation.largest_weight
        limits[bias_row] = quantisation.largest_bias
    return Grids(per_unit, 1 / per_unit, limits)
