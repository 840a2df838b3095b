"""What the event engine asks of its kernels, whichever kind of network they are written
for.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from spikejoule.compiling.emit import aligned_zeros
from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels import LaneSpikes, collect_events
from spikejoule.engine.kernels.chain import ChainArrays
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    BatchGradient,
    ConstantInputs,
    LabelledBatch,
    LayerInput,
    Learning,
    NetworkArrays,
    Spikes,
)
from spikejoule.engine.layout import Masks, ParameterLayout
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire


class KernelSet(Protocol):
    """Compiled kernels with the arrays of one network, and the workspace they compute
    in.
    """

    @property
    def arrays(self) -> NetworkArrays | ChainArrays:
        """What the kernels know of the network; the engine writes the neurons'
        constants.
        """

    def prune(self, masks: Masks) -> None:
        """Count from now on the synapses that are left."""

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        threads: int,
    ) -> BatchGradient:
        """Both passes of a batch: its losses, counts and the gradient of each lane."""

    def run_layer(self, events: EventList, number: int) -> EventList:
        """The spikes of the layer of a number, counted from 0, for those of the layer
        before.
        """


def reset_code(network: Network) -> int:
    """The reset of the neurons, as the kernels know it."""
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO


def new_gradient(
    layout: ParameterLayout, lanes: int, parts: int, dtype: DTypeLike
) -> BatchGradient:
    """Memory for what batches leave, which are counted in so many parts."""
    n_counts = 2 + len(layout.forward) + len(layout.connections)
    return BatchGradient(
        gradients=aligned_zeros((lanes, layout.size), dtype),
        touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
        squares=np.zeros(layout.rows.chunks.size - 1),
        losses=np.zeros(lanes),
        counts=np.zeros((parts, n_counts), dtype=np.int64),
    )


def constant_inputs(events: EventList, dtype: DTypeLike) -> ConstantInputs:
    """The constant currents of an input as the kernels take them."""
    currents = events.currents
    if currents is None:
        nothing = np.empty(0, np.int64)
        return ConstantInputs(events.sources[:0], np.empty(0, dtype), nothing)
    return ConstantInputs(
        currents.sources, currents.values.astype(dtype), currents.offsets
    )


def run_in_lanes(
    kernel: Callable[..., None],
    number: int,
    events: EventList,
    arrays: NetworkArrays | ChainArrays,
    n_units: int,
) -> EventList:
    """The spikes of the `n_units` of a layer, by a kernel that runs it for a lane of
    samples.
    """
    n_steps = events.n_steps
    currents = constant_inputs(events, arrays.parameters.dtype)

    def fill(samples: slice, out: LaneSpikes) -> None:
        of_samples = currents._replace(
            offsets=currents.offsets[samples.start : samples.stop + 1]
        )
        inputs = LayerInput(spikes_of(events, samples), of_samples, n_steps)
        lanes = out.bounds.size - 1
        kernel(lanes, number, inputs, arrays, out)

    return collect_events(events.n_samples, n_steps, n_units, fill)


def spikes_of(events: EventList, samples: slice) -> Spikes:
    """The spikes of some samples."""
    first = samples.start * events.n_steps
    end = samples.stop * events.n_steps
    return Spikes(events.sources, events.offsets[first : end + 1])
