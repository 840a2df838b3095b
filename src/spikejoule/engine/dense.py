"""The dense engine: the PyTorch network on any device, with dense products.

It is the reference for the event engine, and shares no code with its kernels.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.engine.interface import (
    BatchOutcome,
    Labels,
    Snapshot,
    adam_state,
    check_input,
    exponents_of,
    with_exponents,
)
from spikejoule.network.integers import floats_of, integers_of, with_grids
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON, LearningSettings
from spikejoule.network.network import Network, State
from spikejoule.network.torch_twin import SpikingNetwork

CHUNK_ELEMENTS = 1 << 26
"""Elements of the widest layer's dense spikes that are in memory at a time when the
network only runs."""


class DenseEngine:
    """Trains and runs the PyTorch network.

    It is an :class:`spikejoule.engine.interface.Engine`.

    Args:
        network: layer sizes and neurons; a quantised one has its grids.
        state: initial parameters by name.
        settings: how to learn; not needed to run.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: float32, or float64 for exact comparisons.
    """

    name = "dense"

    def __init__(
        self,
        network: Network,
        state: State,
        settings: LearningSettings | None = None,
        device: str = "cpu",
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.device = device
        self._settings = settings or LearningSettings()
        self._type = torch.float64 if np.dtype(dtype) == np.float64 else torch.float32
        module = SpikingNetwork(network, self._settings.chosen_surrogate)
        module.to(device=device, dtype=self._type)
        module.load_state_dict(
            {name: torch.tensor(value) for name, value in state.items()}
        )
        self._module = module
        self._use_grids(network)
        self._masks: dict[str, Tensor] = {}
        # Fan-out of each unit through each connection, while nothing is pruned.
        self._fan_outs = [
            torch.from_numpy(network.fan_out_of(connection)).to(device)
            for connection in network.connections
        ]
        self._penalties = self._settings.penalties(len(network.layers) - 1).tolist()
        self._loss = torch.nn.CrossEntropyLoss(
            label_smoothing=self._settings.label_smoothing
        )
        self._optimizer = torch.optim.Adam(
            module.parameters(),
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=self._settings.weight_decay,
        )

    @property
    def network(self) -> Network:
        """The network; a quantised one has its current grids."""
        return self._network

    def _use_grids(self, network: Network) -> None:
        self._network = network
        if network.quantisation is not None:
            self._module.use_grids(network)

    def choose_grids(self) -> None:
        """Fit each layer's grid to its weights; do nothing without quantisation."""
        if self._network.quantisation is not None:
            self._use_grids(with_grids(self._network, self.learned_state()))

    def _sent(self, values: NDArray[Any]) -> Tensor:
        """Copy an array to the device."""
        return torch.from_numpy(values).to(self.device)

    def _dense_input(self, events: EventList) -> Tensor:
        """Return the input [T, B, I] on the device: spikes, or constant currents.

        Only the events, or the currents of one step, are copied to the device.
        """
        check_input(events, self._network)
        if events.currents is not None:
            currents = self._sent(events.currents.to_dense(events.n_inputs))
            return currents.to(self._type).expand(events.n_steps, -1, -1)
        samples, steps = np.divmod(events.row_of_each_event(), events.n_steps)
        # Event lists are ordered by sample, the network's input by step.
        rows = steps * events.n_samples + samples
        places = self._sent(rows * events.n_inputs + events.sources)
        shape = (events.n_steps, events.n_samples, events.n_inputs)
        dense = torch.zeros(shape, dtype=self._type, device=self.device)
        dense.view(-1)[places] = 1
        return dense

    def _accumulate(self, events: EventList, labels: Labels) -> BatchOutcome:
        """Compute the gradients of a batch."""
        inputs = self._dense_input(events)
        target = self._sent(np.asarray(labels, dtype=np.int64))
        # Without a buffer of zeros, the backward pass writes instead of adding.
        self._optimizer.zero_grad(set_to_none=True)
        layers = self._module(inputs)
        counts = layers[-1].sum(dim=0)
        loss = self._mean_loss(layers, self._settings.logit_scale * counts, target)
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in self._module.parameters():
            # Recurrent weights have no gradient if there is only one step.
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        input_spikes = inputs
        input_macs = None
        if events.currents is not None:
            # Constant currents are not spikes: they cause multiplications, no events.
            input_spikes = inputs.new_zeros((1, 1, events.n_inputs))
            uses = self._sent(events.uses_per_source())
            input_macs = int((uses * self._fan_out(0)).sum())
        # In float64, because float32 sums are inexact from 2^24 on.
        n_spikes = [int(layer.detach().sum(dtype=torch.float64)) for layer in layers]
        return BatchOutcome(
            mean_loss=loss.item(),
            correct=int((counts.argmax(dim=1) == target).sum()),
            spikes=(events.n_events, *n_spikes),
            synaptic_events=self._synaptic_events([input_spikes, *layers]),
            input_macs=input_macs,
        )

    def _mean_loss(
        self, layers: list[Tensor], logits: Tensor, target: Tensor
    ) -> Tensor:
        """Return the loss of a batch, with its penalties."""
        loss: Tensor = self._loss(logits, target)
        if self._settings.has_penalty:
            loss = loss + self._penalty(layers)
        return loss

    def _fan_out(self, number: int) -> Tensor:
        """Return how many synapses of a connection each sending unit reaches, [n]."""
        mask = self._present(self._network.weight_names[number])
        if mask is None:
            return self._fan_outs[number]
        # Between fully connected layers a sum does, without a copy to the host.
        if self._network.is_plain:
            return mask.sum(dim=0, dtype=torch.float64)
        pruned = replace(self._network.connections[number], weight=mask.cpu().numpy())
        return self._sent(self._network.fan_out_of(pruned, pruned=True))

    def _synaptic_events(self, layers: list[Tensor]) -> tuple[int, ...]:
        """Count each connection's synaptic events for all spikes [T, B, units]."""
        unit_spikes = [
            spikes.detach().sum(dim=(0, 1), dtype=torch.float64) for spikes in layers
        ]
        return tuple(
            int((unit_spikes[sender] * self._fan_out(number)).sum())
            for number, sender in enumerate(self._network.senders)
        )

    def _penalty(self, layers: list[Tensor]) -> Tensor:
        """Return the penalty of the layers' spikes [T, B, units].

        The formula is in network/learning.py.
        """
        total = torch.zeros((), dtype=self._type, device=self.device)
        layers_and_penalties = zip(layers, self._penalties, strict=True)
        for spikes, (by_spike, target) in layers_and_penalties:
            above = torch.relu(spikes.sum(dim=0).sum(dim=1) - target)
            total = total + by_spike * above.mean()
        return total

    def _present(self, name: str) -> Tensor | None:
        """Return 1 for each synapse of a pruned weight matrix and 0 elsewhere.

        None stands for a matrix that is not pruned.
        """
        mask = self._masks.get(name)
        layer = self._module.layers[name.partition(".")[0]]
        if mask is None or layer.grid is None:
            return mask
        # A weight that rounds to zero is no synapse either.
        rounded = layer.grid.parameter("weight", self._module.get_parameter(name))
        return (rounded != 0).to(self._type)

    def train_batch(
        self,
        events: EventList,
        labels: Labels,
        learning_rate: float,
        seed: int = 0,
    ) -> BatchOutcome:
        """Run both passes, clip the gradient, and take a step of Adam."""
        outcome = self._accumulate(events, labels)
        if self._settings.grad_clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(
                self._module.parameters(), self._settings.grad_clip_norm
            )
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        # Adam moves removed weights through its momentum and weight decay.
        self._apply_masks()
        return outcome

    def _apply_masks(self) -> None:
        with torch.no_grad():
            for name, mask in self._masks.items():
                self._module.get_parameter(name).mul_(mask)

    def gradients(
        self,
        events: EventList,
        labels: Labels,
        seed: int = 0,
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Return the gradient of the batch's mean loss, neither clipped nor applied."""
        outcome = self._accumulate(events, labels)
        gradients = {
            name: parameter.grad.cpu().numpy()
            for name, parameter in self._module.named_parameters()
            if parameter.grad is not None
        }
        return outcome, gradients

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in the mask of a weight matrix."""
        self._masks = {
            name: torch.from_numpy(mask).to(self.device, self._type)
            for name, mask in masks.items()
        }
        self._apply_masks()

    def run(self, events: EventList) -> list[EventList]:
        """Return the spikes of every layer after the input, the output last."""
        widest = max(self._network.layer_sizes)
        chunk = max(1, CHUNK_ELEMENTS // (widest * events.n_steps))
        parts: list[list[EventList]] = [[] for _ in self._network.layers[1:]]
        with torch.no_grad():
            for first in range(0, max(events.n_samples, 1), chunk):
                inputs = self._dense_input(events.select(slice(first, first + chunk)))
                for part, layer in zip(parts, self._module(inputs), strict=True):
                    part.append(_event_list(layer))
        return [concatenate_samples(layer) for layer in parts]

    def warm_up(self, events: EventList) -> None:
        """Do nothing: there is nothing to compile."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that run, rounded if quantised."""
        learned = self.learned_state()
        if self._network.quantisation is None:
            return learned
        return floats_of(self._network, integers_of(self._network, learned))

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that the optimizer updates."""
        return {
            name: value.detach().cpu().numpy().copy()
            for name, value in self._module.state_dict().items()
        }

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Return Adam's state, see :func:`spikejoule.engine.interface.adam_state`."""
        weight_decay = self._settings.weight_decay
        return adam_state(self._network, self.snapshot(), learning_rate, weight_decay)

    def snapshot(self) -> Snapshot:
        """Return all that the next batch depends on, after at least one batch."""
        steps_taken = next(iter(self._optimizer.state.values()))["step"]
        return Snapshot(
            learned=self.learned_state(),
            first=self._moments("exp_avg"),
            second=self._moments("exp_avg_sq"),
            steps_taken=int(steps_taken),
            masks={name: mask.cpu().numpy() != 0 for name, mask in self._masks.items()},
            exponents=exponents_of(self._network),
            scales=np.zeros(0),
            threads=torch.get_num_threads() if self.device == "cpu" else 0,
        )

    def _moments(self, key: str) -> dict[str, NDArray[Any]]:
        """Return one of Adam's moments for all parameters, by PyTorch's key."""
        state = self._optimizer.state
        return {
            name: state[parameter][key].cpu().numpy().copy()
            for name, parameter in self._module.named_parameters()
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot of the same kind of engine and network, bit by bit."""
        # On a CPU the last bits of PyTorch's sums depend on the number of threads.
        if snapshot.threads:
            torch.set_num_threads(snapshot.threads)
        learned = {
            name: torch.tensor(values) for name, values in snapshot.learned.items()
        }
        self._module.load_state_dict(learned)
        for name, parameter in self._module.named_parameters():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(snapshot.steps_taken)),
                "exp_avg": torch.tensor(snapshot.first[name]).to(self.device),
                "exp_avg_sq": torch.tensor(snapshot.second[name]).to(self.device),
            }
        self._use_grids(with_exponents(self._network, snapshot.exponents))
        if snapshot.masks:
            self.prune(snapshot.masks)


def _event_list(spikes: Tensor) -> EventList:
    """Convert zeros and ones [T, B, units] to an event list."""
    n_steps, n_samples, n_units = spikes.shape
    samples, steps, sources = torch.nonzero(spikes.transpose(0, 1), as_tuple=True)
    rows = (samples * n_steps + steps).cpu().numpy()
    return EventList.from_rows(rows, sources.cpu().numpy(), n_samples, n_steps, n_units)
