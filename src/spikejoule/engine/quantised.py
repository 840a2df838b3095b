"""Running a quantised network in integers."""

import numpy as np

from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.interface import check_input
from spikejoule.engine.kernel_calls import spikes_of
from spikejoule.engine.kernels.integer import run_integer_layer
from spikejoule.engine.kernels.structures import IntegerParameters
from spikejoule.network.integers import (
    integers_of,
    layer_constants,
    quantisation_of,
)
from spikejoule.network.network import Network, State

_STATE_TYPES = {16: np.int16, 32: np.int32}


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
