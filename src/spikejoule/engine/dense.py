"""The dense engine: the PyTorch network on any device, with dense products.

It is the reference for the event engine, and shares no code with its kernels.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.engine.interface import check_input
from spikejoule.network.network import Network, State
from spikejoule.network.surrogates import Surrogate
from spikejoule.network.torch_twin import SpikingNetwork

CHUNK_ELEMENTS = 1 << 26
"""Elements of the widest layer's dense spikes that are in memory at a time when the
network only runs."""


class DenseEngine:
    """Runs the PyTorch network.

    It is an :class:`spikejoule.engine.interface.Engine`. A trainer changes the
    parameters in place (:mod:`spikejoule.engine.learning.dense`).

    Args:
        network: layer sizes and neurons; a quantised one has its grids.
        state: parameters by name.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: float32, or float64 for exact comparisons.
        surrogate: the surrogate derivative; not needed to run.

    Attributes:
        network: a quantised one has its current grids.
        module: the PyTorch network.
        type: of its parameters.
    """

    name = "dense"

    def __init__(
        self,
        network: Network,
        state: State,
        device: str = "cpu",
        dtype: DTypeLike = np.float32,
        surrogate: Surrogate | None = None,
    ) -> None:
        self.device = device
        self.type = torch.float64 if np.dtype(dtype) == np.float64 else torch.float32
        self.module = SpikingNetwork(network, surrogate)
        self.module.to(device=device, dtype=self.type)
        self.module.load_state_dict(
            {name: torch.tensor(value) for name, value in state.items()}
        )
        self.use_network(network)

    def use_network(self, network: Network) -> None:
        """Use the grids of a quantised network from now on."""
        self.network = network
        if network.quantisation is not None:
            self.module.use_grids(network)

    def sent(self, values: NDArray[Any]) -> Tensor:
        """Copy an array to the device."""
        return torch.from_numpy(values).to(self.device)

    def dense_input(self, events: EventList) -> Tensor:
        """Return the input [T, B, I] on the device: spikes, or constant currents.

        Only the events, or the currents of one step, are copied to the device.
        """
        check_input(events, self.network)
        if events.currents is not None:
            currents = self.sent(events.currents.to_dense(events.n_inputs))
            return currents.to(self.type).expand(events.n_steps, -1, -1)
        samples, steps = np.divmod(events.row_of_each_event(), events.n_steps)
        # Event lists are ordered by sample, the network's input by step.
        rows = steps * events.n_samples + samples
        places = self.sent(rows * events.n_inputs + events.sources)
        shape = (events.n_steps, events.n_samples, events.n_inputs)
        dense = torch.zeros(shape, dtype=self.type, device=self.device)
        dense.view(-1)[places] = 1
        return dense

    def run(self, events: EventList) -> list[EventList]:
        """Return what every layer after the input emits, the output last."""
        widest = max(self.network.layer_sizes)
        chunk = max(1, CHUNK_ELEMENTS // (widest * events.n_steps))
        parts: list[list[EventList]] = [[] for _ in self.network.layers[1:]]
        with torch.no_grad():
            for first in range(0, max(events.n_samples, 1), chunk):
                inputs = self.dense_input(events.select(slice(first, first + chunk)))
                *hidden, output = self.module(inputs)
                for part, layer in zip(parts, hidden, strict=False):
                    part.append(_event_list(layer))
                if self.network.readout.is_spiking:
                    parts[-1].append(_event_list(output))
                else:
                    values = output.transpose(0, 1).cpu().numpy()
                    parts[-1].append(EventList.of_potentials(values))
        return [concatenate_samples(layer) for layer in parts]


def _event_list(spikes: Tensor) -> EventList:
    """Convert zeros and ones [T, B, units] to an event list."""
    n_steps, n_samples, n_units = spikes.shape
    samples, steps, sources = torch.nonzero(spikes.transpose(0, 1), as_tuple=True)
    rows = (samples * n_steps + steps).cpu().numpy()
    return EventList.from_rows(rows, sources.cpu().numpy(), n_samples, n_steps, n_units)
