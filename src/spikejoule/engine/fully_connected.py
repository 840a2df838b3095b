"""The arrays of a network of fully connected layers, for the kernels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.engine.kernel_calls import reset_code
from spikejoule.engine.kernels.structures import Layer, NetworkArrays
from spikejoule.engine.layout import ParameterLayout


def layer_table(layout: ParameterLayout) -> tuple[Layer, ...]:
    """Return the positions of each layer's parameters, as the kernels take them."""
    layers: list[Layer] = []
    transposed_start = 0
    for connection in layout.connections:
        layer = Layer(
            n_sources=connection.source.channels,
            n_units=connection.target.channels,
            stride=connection.target.stride,
            weight_start=connection.weights.start,
            bias_start=connection.biases.start,
            first_row=connection.weights.first_row,
            transposed_start=transposed_start,
        )
        # The first layer's weights are not transposed: no deltas go back to the input.
        if layers:
            transposed_start += layer.n_units * layers[-1].stride
        layers.append(layer)
    return tuple(layers)


def network_arrays(layout: ParameterLayout, parameters: NDArray[Any]) -> NetworkArrays:
    """Return what the kernels of fully connected layers read.

    Args:
        layout: positions of the parameters.
        parameters: flat, those that run; the kernels read this array.

    Returns:
        the arrays; the engine writes the neurons' constants.
    """
    layers = layer_table(layout)
    network = layout.network
    return NetworkArrays(
        layers=np.array(layers, dtype=np.int64),
        parameters=parameters,
        constants=np.empty((len(layers), 6), parameters.dtype),
        reset=reset_code(network),
        on_grid=int(network.quantisation is not None),
        starts_at_bias=int(network.neuron.starts_at_bias),
    )
