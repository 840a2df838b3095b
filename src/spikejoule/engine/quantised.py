"""Running a quantised network in integers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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
        what every layer after the input emits, hidden layers first; the potentials of
        an output that integrates are the numbers that its integers represent, float64.
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
        nothing = np.zeros_like(biases)
        starts_at_bias = network.neuron.starts_at_bias
        layer = IntegerParameters(
            weights=np.ascontiguousarray(weights.T),
            biases=nothing if starts_at_bias else biases,
            resting=(biases if starts_at_bias else nothing).astype(state_type),
            threshold=constants.threshold,
            leak=constants.leak,
            lowest=constants.lowest,
            highest=constants.highest,
            subtracts=constants.subtracts,
        )
        events, traces = _run_layer(events, layer, constants.fires)
        if not constants.fires:
            potentials = np.ldexp(traces.astype(np.float64), -constants.exponent)
            events = replace(events, potentials=potentials)
        layers.append(events)
    return layers


def _run_layer(
    events: EventList, layer: IntegerParameters, fires: bool
) -> tuple[EventList, NDArray[np.signedinteger]]:
    """Return a layer's spikes, and the potentials [N, T, units] if it has none."""
    n_steps = events.n_steps
    n_units = layer.biases.size
    recorded = 0 if fires else events.n_samples
    traces = np.empty((recorded, n_steps, n_units), layer.resting.dtype)

    def fill(samples: slice, out: LaneSpikes) -> None:
        lanes = out.bounds.size - 1
        spikes = spikes_of(events, samples)
        run_integer_layer(lanes, spikes, layer, n_steps, out, traces[samples])

    return collect_events(events.n_samples, n_steps, n_units, fill), traces
