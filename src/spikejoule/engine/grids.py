"""What the kernels of the event engine need of neurons and of the grids of a quantised network."""

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.engine.kernels.layout import ParameterLayout
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    Grids,
    Neuron,
    Neurons,
)
from spikejoule.model.architecture import Architecture
from spikejoule.model.integers import layer_constants, neuron_constants, quantisation_of
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire


def neurons_of(architecture: Architecture, dtype: DTypeLike) -> Neurons:
    """The constants of LIF neurons; on the grids of their layers in a quantised network."""
    neuron = architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    reset = RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO
    if architecture.quantisation is None:
        constants = np.array(neuron_constants(architecture), dtype)
        thresholds, decays = np.ascontiguousarray(constants.T)
        grids = np.zeros((len(constants), 4), dtype)
        return Neurons(decays, thresholds, reset, on_grid=0, grids=grids)
    layers = layer_constants(architecture)
    # Integers of 32 bits may stand for more than float32 holds: there is no bound then.
    with np.errstate(over="ignore"):
        return Neurons(
            decays=np.array([one.decay for one in layers], dtype),
            thresholds=np.array([one.value(one.threshold) for one in layers], dtype),
            reset=reset,
            on_grid=1,
            grids=np.array(
                [
                    (
                        one.value(1),
                        1 / one.value(1),
                        one.value(one.lowest),
                        one.value(one.highest),
                    )
                    for one in layers
                ]
            ).astype(dtype),
        )


def neuron_of_layer(neurons: Neurons, number: int) -> Neuron:
    """The neuron of the layer of a number, counted from 0.

    (`structures.neuron_at` is for kernels: called from here it would return numbers in float64.)
    """
    decays, thresholds, reset, on_grid, grids = neurons
    return Neuron(decays[number], thresholds[number], reset, on_grid, *grids[number])


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
