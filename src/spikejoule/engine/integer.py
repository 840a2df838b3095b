"""A quantised network in integers alone: what hardware of these widths would compute, bit for bit.

It runs and does not learn. The accuracy and the spikes of a quantised network are those of this
path.
"""

import numpy as np

from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.interface import check_input
from spikejoule.engine.kernels.integer import integer_forward_lanes
from spikejoule.engine.kernels.structures import IntegerParameters, Spikes
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.quantisation import integers_of, layer_constants, quantisation_of

_STATE_TYPES = {16: np.int16, 32: np.int32}


class IntegerNetwork:
    """Runs a quantised network on event lists.

    Args:
        architecture: layer sizes, neurons, widths and grids.
        state: parameters; they are rounded to the grids.
    """

    def __init__(self, architecture: Architecture, state: State) -> None:
        state_type = _STATE_TYPES[quantisation_of(architecture).state_bits]
        integers = integers_of(architecture, state)
        self._architecture = architecture
        self._layers = []
        for number, constants in enumerate(layer_constants(architecture), start=1):
            weights = integers[f"layer{number}.synapses.weight"]
            n_units = len(weights)
            biases = integers.get(f"layer{number}.synapses.bias", np.zeros(n_units, np.int32))
            self._layers.append(
                IntegerParameters(
                    weights=np.ascontiguousarray(weights.T),
                    biases=biases,
                    resting=np.zeros(n_units, dtype=state_type),
                    threshold=constants.threshold,
                    leak=constants.leak,
                    lowest=constants.lowest,
                    highest=constants.highest,
                    subtracts=constants.subtracts,
                )
            )

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""
        check_input(events, self._architecture)
        layers = []
        for layer in self._layers:
            events = _run_layer(events, layer)
            layers.append(events)
        return layers


def _run_layer(events: EventList, layer: IntegerParameters) -> EventList:
    n_steps = events.n_steps

    def fill(chosen: slice, out: LaneSpikes) -> None:
        rows = slice(chosen.start * n_steps, chosen.stop * n_steps + 1)
        spikes = Spikes(events.sources, events.offsets[rows])
        integer_forward_lanes(spikes, layer, n_steps, out)

    return collect_events(events.n_samples, n_steps, layer.biases.size, fill)
