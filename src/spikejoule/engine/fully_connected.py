"""The kernels that run fully connected layers, with the arrays of the network."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.engine.kernel_calls import reset_code, run_in_lanes
from spikejoule.engine.kernels.forward import run_layer
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


class FullyConnectedKernels:
    """Floating-point kernels for fully connected layers.

    Args:
        layout: positions of the parameters.
        parameters: flat, those that run; the kernels read them in place.

    Attributes:
        layers: positions of each layer's parameters.
    """

    def __init__(self, layout: ParameterLayout, parameters: NDArray[Any]) -> None:
        network = layout.network
        self.layers = layer_table(layout)
        self.arrays = NetworkArrays(
            layers=np.array(self.layers, dtype=np.int64),
            parameters=parameters,
            constants=np.empty((len(self.layers), 6), parameters.dtype),
            reset=reset_code(network),
            on_grid=int(network.quantisation is not None),
        )

    def run_layer(self, events: EventList, number: int) -> EventList:
        """Return the spikes of a layer, from 0, for those of the layer before."""
        n_units = self.layers[number].n_units
        return run_in_lanes(run_layer, number, events, self.arrays, n_units)
