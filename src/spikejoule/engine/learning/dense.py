"""The dense trainer: the dense engine with PyTorch's gradients and Adam.

It is the reference for the event trainer, and shares no code with its kernels.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from spikejoule.encoding.events import EventList
from spikejoule.engine.dense import DenseEngine
from spikejoule.engine.learning.interface import (
    BatchOutcome,
    Labels,
    Snapshot,
    exponents_of,
    with_exponents,
)
from spikejoule.network.integers import floats_of, integers_of, with_grids
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON, LearningSettings
from spikejoule.network.network import Network, State
from spikejoule.network.readout import Readout


class DenseTrainer:
    """Trains the PyTorch network.

    It is a :class:`spikejoule.engine.learning.interface.Trainer`.

    Args:
        network: layer sizes and neurons; a quantised one has its grids.
        state: initial parameters by name.
        settings: how to learn.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: float32, or float64 for exact comparisons.
    """

    name = "dense"

    def __init__(
        self,
        network: Network,
        state: State,
        settings: LearningSettings,
        device: str = "cpu",
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.device = device
        self._settings = settings
        surrogate = settings.chosen_surrogate
        self._engine = DenseEngine(network, state, device, dtype, surrogate)
        self._module = self._engine.module
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
            self._module.parameters(),
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=self._settings.weight_decay,
        )

    @property
    def network(self) -> Network:
        """The network; a quantised one has its current grids."""
        return self._engine.network

    def choose_grids(self) -> None:
        """Fit each layer's grid to its weights; do nothing without quantisation."""
        if self.network.quantisation is not None:
            self._engine.use_network(with_grids(self.network, self.learned_state()))

    def _accumulate(self, events: EventList, labels: Labels) -> BatchOutcome:
        """Compute the gradients of a batch."""
        inputs = self._engine.dense_input(events)
        target = self._engine.sent(np.asarray(labels, dtype=np.int64))
        # Without a buffer of zeros, the backward pass writes instead of adding.
        self._optimizer.zero_grad(set_to_none=True)
        layers = self._module(inputs)
        scores = self._scores(layers[-1])
        if not self.network.readout.is_spiking:
            # Potentials are no spikes: they cost nothing and are not counted.
            layers[-1] = torch.zeros_like(layers[-1])
        loss = self._mean_loss(layers, self._settings.logit_scale * scores, target)
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
            uses = self._engine.sent(events.uses_per_source())
            input_macs = int((uses * self._fan_out(0)).sum())
        # In float64, because float32 sums are inexact from 2^24 on.
        n_spikes = [int(layer.detach().sum(dtype=torch.float64)) for layer in layers]
        return BatchOutcome(
            mean_loss=loss.item(),
            correct=int((scores.argmax(dim=1) == target).sum()),
            spikes=(events.n_events, *n_spikes),
            synaptic_events=self._synaptic_events([input_spikes, *layers]),
            synapses_touched=self._synapses_touched([input_spikes, *layers]),
            input_macs=input_macs,
        )

    def _scores(self, output: Tensor) -> Tensor:
        """Return the score of each class [B, O] from the output [T, B, O]."""
        match self.network.readout:
            case Readout.SPIKES:
                return output.sum(dim=0)
            case Readout.POTENTIAL:
                return output[-1]
            case Readout.MAX_POTENTIAL:
                # Its gradient goes to the first of equal maxima.
                return output.max(dim=0).values

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
        mask = self._present(self.network.weight_names[number])
        if mask is None:
            return self._fan_outs[number]
        # Between fully connected layers a sum does, without a copy to the host.
        if self.network.is_plain:
            return mask.sum(dim=0, dtype=torch.float64)
        pruned = replace(self.network.connections[number], weight=mask.cpu().numpy())
        return self._engine.sent(self.network.fan_out_of(pruned, pruned=True))

    def _synaptic_events(self, layers: list[Tensor]) -> tuple[int, ...]:
        """Count each connection's synaptic events for all spikes [T, B, units]."""
        unit_spikes = [
            spikes.detach().sum(dim=(0, 1), dtype=torch.float64) for spikes in layers
        ]
        return tuple(
            int((unit_spikes[sender] * self._fan_out(number)).sum())
            for number, sender in enumerate(self.network.senders)
        )

    def _synapses_touched(self, layers: list[Tensor]) -> tuple[int, ...]:
        """Count the synapses that each sample's spikes [T, B, units] reach, once."""
        fired = [
            (spikes.detach() != 0).any(dim=0).sum(dim=0, dtype=torch.float64)
            for spikes in layers
        ]
        return tuple(
            int((fired[sender] * self._fan_out(number)).sum())
            for number, sender in enumerate(self.network.senders)
        )

    def _penalty(self, layers: list[Tensor]) -> Tensor:
        """Return the penalty of the layers' spikes [T, B, units].

        The formula is in network/learning.py.
        """
        total = torch.zeros((), dtype=self._engine.type, device=self.device)
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
        return (rounded != 0).to(self._engine.type)

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
            name: torch.from_numpy(mask).to(self.device, self._engine.type)
            for name, mask in masks.items()
        }
        self._apply_masks()

    def run(self, events: EventList) -> list[EventList]:
        """Return the spikes of every layer after the input, the output last."""
        return self._engine.run(events)

    def warm_up(self, events: EventList) -> None:
        """Do nothing: there is nothing to compile."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that run, rounded if quantised."""
        learned = self.learned_state()
        if self.network.quantisation is None:
            return learned
        return floats_of(self.network, integers_of(self.network, learned))

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that the optimizer updates."""
        return {
            name: value.detach().cpu().numpy().copy()
            for name, value in self._module.state_dict().items()
        }

    def snapshot(self) -> Snapshot:
        """Return all that the next batch depends on, after at least one batch."""
        steps_taken = next(iter(self._optimizer.state.values()))["step"]
        return Snapshot(
            learned=self.learned_state(),
            first=self._moments("exp_avg"),
            second=self._moments("exp_avg_sq"),
            steps_taken=int(steps_taken),
            masks={name: mask.cpu().numpy() != 0 for name, mask in self._masks.items()},
            exponents=exponents_of(self.network),
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
        """Resume, bit by bit, from a snapshot of such a trainer and network."""
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
        self._engine.use_network(with_exponents(self.network, snapshot.exponents))
        if snapshot.masks:
            self.prune(snapshot.masks)
