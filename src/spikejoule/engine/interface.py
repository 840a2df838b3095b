"""What an engine is: settings in, spikes, gradients and updated weights out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.engine.snapshot import Snapshot
from spikejoule.model.architecture import Architecture, State


@dataclass(frozen=True)
class BatchOutcome:
    """What one training batch gave.

    Attributes:
        mean_loss: mean cross-entropy of the samples.
        correct: samples whose first largest output spike count is the label's.
        spikes: spikes of each layer over the batch, the input first.
        synaptic_events: of each weight matrix over the batch's forward pass.
        input_macs: multiply-accumulates of constant currents over it; None for an input of spikes.
    """

    mean_loss: float
    correct: int
    spikes: tuple[int, ...]
    synaptic_events: tuple[int, ...]
    input_macs: int | None = None


class Engine(Protocol):
    """A network with its optimizer, on some device."""

    name: str
    device: str

    @property
    def architecture(self) -> Architecture:
        """The network's, with its present grids if it is quantised."""

    def train_batch(
        self,
        events: EventList,
        labels: NDArray[np.integer],
        learning_rate: float,
        teacher: NDArray[np.floating] | None = None,
    ) -> BatchOutcome:
        """One forward pass, backward pass, clipping and step of Adam."""

    def gradients(
        self,
        events: EventList,
        labels: NDArray[np.integer],
        teacher: NDArray[np.floating] | None = None,
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Gradient of the batch's mean loss for every parameter, neither clipped nor applied."""

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in a mask, from now on; by name of weight matrix."""

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""

    def with_parameters(self, state: State) -> "Engine":
        """The same network with other parameters, to be run."""

    def choose_grids(self) -> None:
        """Fit the grid of each layer to its weights; nothing without quantisation."""

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that run: on their grids in a quantised network."""

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that the optimizer keeps; without quantisation, the same."""

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Adam's state in the format of ``torch.optim.Adam.state_dict``, arrays for tensors."""

    def snapshot(self) -> Snapshot:
        """All that the next batch depends on; after one batch at least."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from the snapshot of an engine of the same kind and network, to the same bits."""
