"""Quantised networks: parameters on grids in training, integers in inference."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.interface import check_input
from spikejoule.engine.kernel_set import spikes_of
from spikejoule.engine.kernels.integer import run_integer_layer
from spikejoule.engine.kernels.structures import Grids, IntegerParameters
from spikejoule.engine.layout import ParameterLayout
from spikejoule.network.integers import (
    integers_of,
    layer_constants,
    neuron_constants,
    quantisation_of,
)
from spikejoule.network.network import Network, State

_STATE_TYPES = {16: np.int16, 32: np.int32}


def neuron_table(network: Network, dtype: DTypeLike) -> NDArray[Any]:
    """Return the constants of each layer's LIF neurons, on grids if it is quantised.

    Returns:
        real [L, 6], see ``NetworkArrays.constants``.
    """
    if network.quantisation is None:
        constants = [
            (decay, threshold, 0, 0, 0, 0)
            for threshold, decay in neuron_constants(network)
        ]
        return np.array(constants, dtype)
    on_grids = [
        (
            layer.decay,
            layer.value(layer.threshold),
            layer.value(1),
            1 / layer.value(1),
            layer.value(layer.lowest),
            layer.value(layer.highest),
        )
        for layer in layer_constants(network)
    ]
    # A bound of 32-bit integers may exceed float32; it becomes infinite, no bound.
    with np.errstate(over="ignore"):
        return np.array(on_grids).astype(dtype)


def row_grids(network: Network, layout: ParameterLayout, dtype: DTypeLike) -> Grids:
    """Return the grid of every row of parameters of a quantised network."""
    quantisation = quantisation_of(network)
    n_rows = layout.rows.starts.size
    per_unit = np.empty(n_rows, dtype)
    limits = np.empty(n_rows, dtype)
    for layer, exponent in zip(layout.connections, quantisation.exponents, strict=True):
        first_row = layer.weights.first_row
        bias_row = layer.biases.first_row
        per_unit[first_row : bias_row + 1] = 2.0**exponent
        limits[first_row:bias_row] = quantisation.largest_weight
        limits[bias_row] = quantisation.largest_bias
    return Grids(per_unit, 1 / per_unit, limits)


def run_integers(network: Network, state: State, events: EventList) -> list[EventList]:
    """Run a quantised network in integers only, as hardware of these widths would.

    A quantised network's accuracy and spikes are measured on this path.

    Args:
        network: layer sizes, neurons, integer widths and grids.
        state: parameters, which are rounded to the grids.
        events: the input spikes.

    Returns:
        the spikes of every layer after the input, hidden layers first.
    """
    check_input(events, network)
    state_type = _STATE_TYPES[quantisation_of(network).state_bits]
    integers = integers_of(network, state)
    layers = []
    for number, constants in enumerate(layer_constants(network), start=1):
        weights = integers[f"layer{number}.synapses.weight"]
        n_units = len(weights)
        biases = integers.get(
            f"layer{number}.synapses.bias", np.zeros(n_units, np.int32)
        )
        layer = IntegerParameters(
            weights=np.ascontiguousarray(weights.T),
            biases=biases,
            resting=np.zeros(n_units, dtype=state_type),
            threshold=constants.threshold,
            leak=constants.leak,
            lowest=constants.lowest,
            highest=constants.highest,
            subtracts=constants.subtracts,
        )
        events = _run_layer(events, layer)
        layers.append(events)
    return layers


def _run_layer(events: EventList, layer: IntegerParameters) -> EventList:
    n_steps = events.n_steps

    def fill(samples: slice, out: LaneSpikes) -> None:
        lanes = out.bounds.size - 1
        run_integer_layer(lanes, spikes_of(events, samples), layer, n_steps, out)

    return collect_events(events.n_samples, n_steps, layer.biases.size, fill)
