"""A quantised network in integers alone: what hardware of these widths would compute, bit for bit.

It runs and does not learn. The accuracy and the spikes of a quantised network are those of this
path.
"""

import numpy as np

from spikejoule.engine.kernels.integer import integer_forward_lanes
from spikejoule.engine.kernels.structures import IntegerParameters, Spikes
from spikejoule.foundation.errors import ArtifactError
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.integers import IntegerLayer, integer_layers, quantisation_of
from spikejoule.model.quantisation import Quantisation
from spikejoule.spikes.buffers import collect_events
from spikejoule.spikes.events import EventList
from spikejoule.spikes.kernels.structures import LaneSpikes

_STATE_TYPES = {16: np.int16, 32: np.int32}


class IntegerNetwork:
    """Runs a quantised network on event lists.

    Args:
        architecture: layer sizes, neurons, widths and grids.
        state: parameters; they are rounded to the grids.
    """

    def __init__(self, architecture: Architecture, state: State) -> None:
        quantisation = quantisation_of(architecture)
        self._n_input = architecture.n_input
        self._layers = [
            _parameters(layer, quantisation) for layer in integer_layers(architecture, state)
        ]

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""
        if events.n_inputs != self._n_input:
            raise ArtifactError(
                f"the events come from {events.n_inputs} inputs, the network has {self._n_input}"
            )
        layers = []
        for layer in self._layers:
            events = _run_layer(events, layer)
            layers.append(events)
        return layers


def _parameters(layer: IntegerLayer, quantisation: Quantisation) -> IntegerParameters:
    lowest, highest = quantisation.state_range
    return IntegerParameters(
        weights=np.ascontiguousarray(layer.weights.T),
        biases=layer.biases,
        resting=np.zeros(layer.biases.size, dtype=_STATE_TYPES[quantisation.state_bits]),
        threshold=layer.threshold,
        leak=layer.leak,
        lowest=lowest,
        highest=highest,
        subtracts=False,
    )


def _run_layer(events: EventList, layer: IntegerParameters) -> EventList:
    n_steps = events.n_steps

    def fill(chosen: slice, out: LaneSpikes) -> None:
        rows = slice(chosen.start * n_steps, chosen.stop * n_steps + 1)
        spikes = Spikes(events.sources, events.offsets[rows])
        integer_forward_lanes(spikes, layer, n_steps, out)

    return collect_events(events.n_samples, n_steps, layer.biases.size, fill)
