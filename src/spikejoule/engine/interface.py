"""The interface of the engines: settings, the protocol, batch results and snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.parameters import ParameterSection, refused
from spikejoule.encoding.events import EventList
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON
from spikejoule.network.network import Network, State
from spikejoule.network.quantisation import FLOAT_BITS, NO_CURRENTS

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
        named = {
            f"{part}.{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }
        return {
            **named,
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

        def part(name: str) -> dict[str, NDArray[Any]]:
            prefix = f"{name}."
            return {
                key.removeprefix(prefix): array
                for key, array in arrays.items()
                if key.startswith(prefix)
            }

        return cls(
            learned=part("learned"),
            first=part("first"),
            second=part("second"),
            steps_taken=int(arrays["steps_taken"]),
            masks=part("mask"),
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
        taken: the engine's snapshot.
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


def check_input(events: EventList, network: Network | ImportedGraph) -> None:
    """Raise ArtifactError unless the network can run on this input."""
    if events.n_inputs != network.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} inputs, but the network has "
            f"{network.n_input}: encode samples of its size."
        )
    if events.currents is not None and network.weight_bits < FLOAT_BITS:
        raise ArtifactError(f"the network has integer weights: {NO_CURRENTS}")


@dataclass(frozen=True)
class BatchOutcome:
    """Results of one training batch.

    Attributes:
        mean_loss: mean loss of the samples.
        correct: samples whose label has the largest output spike count; of equal counts
            the first class wins.
        spikes: spikes of each layer, the input first.
        synaptic_events: of each weight matrix, in the forward pass.
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
    input_macs: int | None = None
    gradients_reached: tuple[int, ...] | None = None
    kept_deltas: tuple[int, ...] | None = None


class EngineSettings(ParameterSection):
    """The engine, its device and its threads.

    Attributes:
        engine: ``event``, ``dense``, or ``auto``: see
            :func:`spikejoule.engine.choose_engine`.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the CPU for the event
            engine; for the dense engine CUDA where PyTorch finds it.
        threads: CPU threads; 0 takes all cores. Results depend on it only with
            ``dense``.
    """

    engine: Literal["auto", "event", "dense"] = "auto"
    device: str = Field(
        default="auto",
        pattern="^(auto|cpu|cuda(:[0-9]+)?)$",
        description="auto, cpu, cuda, cuda:N",
    )
    threads: int = Field(default=0, ge=0, le=1024)

    @model_validator(mode="after")
    def _engine_fits_device(self) -> Self:
        if self.engine == "event" and self.device.startswith("cuda"):
            raise refused(
                "train.engine: 'event' runs on the CPU alone, but train.device is "
                f"'{self.device}'; allowed: engine auto or dense with this device, "
                "or device auto or cpu"
            )
        return self


EVENT_NEURONS = frozenset({"lif"})
"""Neurons that the event engine has kernels for; the dense engine runs all."""


def choose_engine(
    name: str, device: str, neuron: str, integer_chain: bool = False
) -> str:
    """Return ``event`` or ``dense``; ``auto`` is resolved by device and network.

    ``auto`` takes the event engine also on a machine with a GPU: it was the faster one
    at every input density measured on CPUs, and no GPU has been measured.

    Args:
        name: ``auto``, ``event`` or ``dense``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        neuron: name of the neuron model.
        integer_chain: whether convolutions or recurrent layers have integer weights.

    Raises:
        ParameterError: the event engine is asked for and has no kernels for this.
    """
    if name == "event" and integer_chain:
        raise ParameterError(
            "engine event has no kernels for integer weights in convolutions or "
            "recurrent layers; use dense or auto"
        )
    if name == "event" and neuron not in EVENT_NEURONS:
        raise ParameterError(
            f"engine event has no kernels for the neuron {neuron!r}, only for "
            f"{', '.join(sorted(EVENT_NEURONS))}; use dense or auto"
        )
    if name != "auto":
        return name
    has_kernels = neuron in EVENT_NEURONS and not integer_chain
    return "event" if device in ("auto", "cpu") and has_kernels else "dense"


class Engine(Protocol):
    """A network and its optimizer, on one device."""

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

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Return Adam's state, see :func:`adam_state`, after at least one batch."""

    def snapshot(self) -> Snapshot:
        """Return all that the next batch depends on, after at least one batch."""

    def restore(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot of the same kind of engine and network, bit by bit."""
