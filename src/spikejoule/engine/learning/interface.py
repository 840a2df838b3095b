"""The interface of the trainers: the protocol, batch results and snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.npz import in_parts, part_of
from spikejoule.encoding.events import EventList
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON
from spikejoule.network.network import Network, State

Arrays = Mapping[str, NDArray[Any]]
Labels = NDArray[np.integer]
"""The class of each sample, [B]."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a network and its optimizer between two batches.

    Attributes:
        learned: the parameters that the optimizer updates, by name.
        first, second: Adam's moments of each parameter.
        steps_taken: steps of the optimizer so far, at least one.
        masks: False where a synapse is removed, by the name of a weight matrix; empty
            if nothing is pruned.
        exponents: of a quantised network's grids; else empty.
        scales: of the sampled backward pass, by layer, float64; else empty.
        threads: CPU threads, where the last bits of sums depend on them; else 0.
    """

    learned: State
    first: State
    second: State
    steps_taken: int
    masks: Mapping[str, NDArray[np.bool_]]
    exponents: tuple[int, ...]
    scales: NDArray[np.float64]
    threads: int = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the snapshot as named arrays, for a file."""
        parts: dict[str, Arrays] = {
            "learned": self.learned,
            "first": self.first,
            "second": self.second,
            "mask": self.masks,
        }
        return {
            **in_parts(parts),
            "steps_taken": np.array(self.steps_taken, dtype=np.int64),
            "exponents": np.array(self.exponents, dtype=np.int64),
            "scales": self.scales,
            "threads": np.array(self.threads, dtype=np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Arrays) -> Self:
        """Return the snapshot that `arrays` came from.

        Raises:
            KeyError: an array is missing.
        """
        return cls(
            learned=part_of(arrays, "learned"),
            first=part_of(arrays, "first"),
            second=part_of(arrays, "second"),
            steps_taken=int(arrays["steps_taken"]),
            masks=part_of(arrays, "mask"),
            exponents=tuple(map(int, arrays["exponents"])),
            scales=arrays["scales"],
            threads=int(arrays["threads"]),
        )


def exponents_of(network: Network) -> tuple[int, ...]:
    """Return the exponents of a quantised network's grids, or nothing."""
    return () if network.quantisation is None else network.quantisation.exponents


def with_exponents(network: Network, exponents: tuple[int, ...]) -> Network:
    """Return a quantised network with other grids; any other network unchanged."""
    if network.quantisation is None:
        return network
    return replace(
        network, quantisation=replace(network.quantisation, exponents=exponents)
    )


def adam_state(
    network: Network, taken: Snapshot, learning_rate: float, weight_decay: float
) -> dict[str, Any]:
    """Return Adam's state as ``torch.optim.Adam.state_dict``, with arrays for tensors.

    Args:
        network: gives the order of the parameters.
        taken: the trainer's snapshot.
        learning_rate: of the last step.
        weight_decay: L2 penalty.
    """
    names = list(network.parameter_shapes())
    group = {
        "lr": learning_rate,
        "betas": ADAM_BETAS,
        "eps": ADAM_EPSILON,
        "weight_decay": weight_decay,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,  # device-specific; not part of a saved state
        "decoupled_weight_decay": False,
        "params": list(range(len(names))),
    }
    state = {
        index: {
            "step": np.float32(taken.steps_taken),
            "exp_avg": taken.first[name],
            "exp_avg_sq": taken.second[name],
        }
        for index, name in enumerate(names)
    }
    return {"state": state, "param_groups": [group]}


@dataclass(frozen=True)
class BatchOutcome:
    """Results of one training batch.

    Attributes:
        mean_loss: mean loss of the samples.
        correct: samples whose label has the largest output spike count; of equal counts
            the first class wins.
        spikes: spikes of each layer, the input first.
        synaptic_events: of each weight matrix, in the forward pass.
        synapses_touched: synapses of each weight matrix that a sample's spikes reach,
            each once, summed over the samples.
        input_macs: multiply-accumulates of constant currents; None for input spikes.
        gradients_reached: gradients of each weight matrix that the optimizer reads; the
            event engine skips those of sources without a spike or current in the batch.
            None for the dense engine, which reads all.
        kept_deltas: deltas of each layer that travelled back in a sampled backward
            pass; None if all did.
    """

    mean_loss: float
    correct: int
    spikes: tuple[int, ...]
    synaptic_events: tuple[int, ...]
    synapses_touched: tuple[int, ...]
    input_macs: int | None = None
    gradients_reached: tuple[int, ...] | None = None
    kept_deltas: tuple[int, ...] | None = None


class Trainer(Protocol):
    """A network that learns: an engine with gradients and an optimizer."""

    name: str
    device: str

    @property
    def network(self) -> Network:
        """The network; a quantised one has its current grids."""

    def train_batch(
        self,
        events: EventList,
        labels: Labels,
        learning_rate: float,
        seed: int = 0,
    ) -> BatchOutcome:
        """Run both passes, clip the gradient, and take a step of Adam.

        `seed` is that of the draws of a sampled backward pass.
        """

    def gradients(
        self,
        events: EventList,
        labels: Labels,
        seed: int = 0,
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Return the gradient of the batch's mean loss, neither clipped nor applied."""

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in the mask of a weight matrix."""

    def run(self, events: EventList) -> list[EventList]:
        """Return the spikes of every layer after the input, the output last."""

    def warm_up(self, events: EventList) -> None:
        """Compile all that training and running on such events needs."""

    def choose_grids(self) -> None:
        """Fit each layer's grid to its weights; do nothing without quantisation."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that run, rounded if quantised."""

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the parameters that the optimizer updates."""

    def snapshot(self) -> Snapshot:
        """Return all that the next batch depends on, after at least one batch."""

    def restore(self, snapshot: Snapshot) -> None:
        """Resume, bit by bit, from a snapshot of such a trainer and network."""
