"""The interface between the event engine and its two sets of kernels."""

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
    Sampling,
    Spikes,
)
from spikejoule.engine.layout import Masks, ParameterLayout
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire


class KernelSet(Protocol):
    """Compiled kernels with the arrays and the working memory of one network."""

    @property
    def arrays(self) -> NetworkArrays | ChainArrays:
        """Arrays of the network; the engine writes the neurons' constants."""

    def prune(self, masks: Masks) -> None:
        """Count only the remaining synapses from now on."""

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs,
        learning: Learning,
        sampling: Sampling,
        threads: int,
    ) -> BatchGradient:
        """Run both passes of a batch; return losses, counts and lane gradients."""

    def run_layer(self, events: EventList, number: int) -> EventList:
        """Return the spikes of layer `number` for those of the layer before.

        Layers after the input are counted from 0.
        """


def reset_code(network: Network) -> int:
    """Return the kernels' code for the reset of the neurons."""
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO


def new_gradient(
    layout: ParameterLayout, lanes: int, parts: int, dtype: DTypeLike
) -> BatchGradient:
    """Allocate the results of a batch.

    Args:
        layout: of the parameters.
        lanes: copies of the gradient.
        parts: parts of the batch that count separately: lanes, or slots for groups.
        dtype: of the parameters.
    """
    # Correct samples, spikes of each layer with the input, events of each connection.
    n_counts = 2 + 2 * len(layout.forward) + 2 * len(layout.connections)
    return BatchGradient(
        gradients=aligned_zeros((lanes, layout.size), dtype),
        touched=np.zeros((lanes, layout.rows.starts.size), dtype=np.bool_),
        squares=np.zeros(layout.rows.chunks.size - 1),
        losses=np.zeros(lanes),
        counts=np.zeros((parts, n_counts), dtype=np.int64),
    )


def constant_inputs(events: EventList, dtype: DTypeLike) -> ConstantInputs:
    """Return the constant currents of an input, for the kernels."""
    currents = events.currents
    if currents is None:
        # Empty offsets tell the kernels that the input is spikes.
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
    """Return the spikes of a layer, computed in lanes of samples.

    Args:
        kernel: runs one lane.
        number: of the layer.
        events: spikes of the layer before.
        arrays: of the network.
        n_units: of the layer.
    """
    n_steps = events.n_steps
    currents = constant_inputs(events, arrays.parameters.dtype)

    def fill(samples: slice, out: LaneSpikes) -> None:
        offsets = currents.offsets[samples.start : samples.stop + 1]
        inputs = LayerInput(
            spikes_of(events, samples), currents._replace(offsets=offsets), n_steps
        )
        lanes = out.bounds.size - 1
        kernel(lanes, number, inputs, arrays, out)

    return collect_events(events.n_samples, n_steps, n_units, fill)


def spikes_of(events: EventList, samples: slice) -> Spikes:
    """Return the spikes of consecutive samples."""
    first = samples.start * events.n_steps
    end = samples.stop * events.n_steps
    return Spikes(events.sources, events.offsets[first : end + 1])
