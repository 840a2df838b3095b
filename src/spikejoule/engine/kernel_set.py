"""What the event engine asks of its kernels, whichever kind of network they are written for."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.encoding.events import EventList
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    RESET_TO_ZERO,
    ConstantInputs,
    LabelledBatch,
    Learning,
    Spikes,
)
from spikejoule.engine.layout import Masks
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire


class BatchGradient(Protocol):
    """What a batch leaves in the workspace of its kernels: the common fields of both workspaces.

    C chunks of rows, K lanes, P parameters, R rows.
    """

    @property
    def gradients(self) -> NDArray[Any]:
        """Of each lane, real [K, P]; zero in rows that are not touched."""

    @property
    def touched(self) -> NDArray[np.bool_]:
        """Rows that a lane changed, [K, R]."""

    @property
    def squares(self) -> NDArray[np.float64]:
        """Receives the squares of the gradient, by chunk of rows, [C]."""

    @property
    def losses(self) -> NDArray[np.float64]:
        """Sum over each lane's samples, [K]."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples classified correctly, spikes of each layer, the input first, and synaptic events
        of each connection, of each part of the batch."""


class KernelSet(Protocol):
    """Compiled kernels with the arrays of one network, and the workspace they compute in."""

    @property
    def constants(self) -> NDArray[Any]:
        """Constants of the neurons of each layer, real [L, 6]; written by the engine."""

    @property
    def fan_outs(self) -> NDArray[np.int64]:
        """Synapses that each source reaches, those of the input first."""

    def prune(self, masks: Masks) -> None:
        """Count from now on the synapses that are left."""

    def add_gradients(
        self,
        batch: LabelledBatch,
        currents: ConstantInputs | None,
        learning: Learning,
        threads: int,
    ) -> BatchGradient:
        """Both passes of a batch: its losses, counts and the gradient of each lane."""

    def run_layer(self, events: EventList, number: int) -> EventList:
        """The spikes of the layer of a number, counted from 0, for those of the layer before."""


def reset_code(network: Network) -> int:
    """The reset of the neurons, as the kernels know it."""
    neuron = network.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    return RESET_BY_SUBTRACTION if neuron.reset == "subtract" else RESET_TO_ZERO


def constant_inputs(events: EventList, dtype: DTypeLike) -> ConstantInputs | None:
    """The constant currents of an input as the kernels take them; None for one of spikes."""
    currents = events.currents
    if currents is None:
        return None
    return ConstantInputs(currents.sources, currents.values.astype(dtype), currents.offsets)


def spikes_of(events: EventList, samples: slice) -> Spikes:
    """The spikes of some samples."""
    first = samples.start * events.n_steps
    end = samples.stop * events.n_steps
    return Spikes(events.sources, events.offsets[first : end + 1])


def currents_of(currents: ConstantInputs, samples: slice) -> ConstantInputs:
    """The constant inputs of some samples."""
    return currents._replace(offsets=currents.offsets[samples.start : samples.stop + 1])
