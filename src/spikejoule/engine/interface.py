"""What an engine is: settings in, spikes, gradients and updated weights out.

Beside the protocol stand what a batch gives, and all that the next step of an engine
depends on, as named arrays.
"""

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

Teacher = NDArray[np.floating] | None
"""Probabilities of a teacher to learn from beside the labels, [B, classes]."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a network and its optimizer between two batches.

    Attributes:
        learned: the parameters that the optimizer keeps, by name.
        first, second: Adam's moments of each.
        steps_taken: steps of the optimizer so far, at least one.
        masks: False where a synapse is removed, by the name of a weight matrix; empty
            where nothing is pruned.
        exponents: of the grids of a quantised network; empty for another.
        threads: of the CPU, where sums are rounded by their number; 0 where they are
            not.
    """

    learned: State
    first: State
    second: State
    steps_taken: int
    masks: Mapping[str, NDArray[np.bool_]]
    exponents: tuple[int, ...]
    threads: int = 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of `of_arrays`."""
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
            "threads": np.array(self.threads, dtype=np.int64),
        }

    @classmethod
    def of_arrays(cls, arrays: Arrays) -> Self:
        """The snapshot of `arrays`; KeyError if they are none of a snapshot."""

        def part(name: str) -> dict[str, NDArray[Any]]:
            beginning = f"{name}."
            return {
                key.removeprefix(beginning): array
                for key, array in arrays.items()
                if key.startswith(beginning)
            }

        return cls(
            learned=part("learned"),
            first=part("first"),
            second=part("second"),
            steps_taken=int(arrays["steps_taken"]),
            masks=part("mask"),
            exponents=tuple(map(int, arrays["exponents"])),
            threads=int(arrays["threads"]),
        )


def exponents_of(network: Network) -> tuple[int, ...]:
    """Of the grids of a quantised network; of another, none."""
    return () if network.quantisation is None else network.quantisation.exponents


def with_exponents(network: Network, exponents: tuple[int, ...]) -> Network:
    """A quantised network with other grids; another as it is."""
    if network.quantisation is None:
        return network
    return replace(
        network, quantisation=replace(network.quantisation, exponents=exponents)
    )


def adam_state(
    network: Network, taken: Snapshot, learning_rate: float, weight_decay: float
) -> dict[str, Any]:
    """The format of ``torch.optim.Adam.state_dict``, with arrays for tensors.

    Args:
        network: whose parameters have the indices, in their order.
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
    """What one training batch gave.

    Attributes:
        mean_loss: mean cross-entropy of the samples.
        correct: samples whose first largest output spike count is the label's.
        spikes: spikes of each layer over the batch, the input first.
        synaptic_events: of each weight matrix over the batch's forward pass.
        input_macs: multiply-accumulates of constant currents over it; None for an input
            of spikes.
    """

    mean_loss: float
    correct: int
    spikes: tuple[int, ...]
    synaptic_events: tuple[int, ...]
    input_macs: int | None = None


class EngineSettings(ParameterSection):
    """The engine, and what it may use.

    Attributes:
        engine: ``event``, ``dense``, or ``auto``: see
            :func:`spikejoule.engine.choose_engine`.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: the cpu for the event
            engine, and for the dense one cuda where torch finds one.
        threads: CPU threads; 0 takes all cores. Results do not depend on it, but for
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
                "or device auto "
                "or cpu"
            )
        return self


EVENT_NEURONS = frozenset({"lif"})
"""Neurons that the event engine has kernels of; the dense engine runs all."""


def choose_engine(
    name: str, device: str, neuron: str, integer_chain: bool = False
) -> str:
    """``event`` or ``dense``, for ``auto`` by the device and the network.

    No device is taken on trust: ``auto`` is the CPU's event engine, which was the
    faster one at every density of the input that was measured, until a measurement
    finds a GPU faster.

    Args:
        name: ``auto``, ``event`` or ``dense``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        neuron: name of the neuron model.
        integer_chain: integer weights in other layers than fully connected ones.

    Raises:
        ParameterError: the event engine asked for, for what it has no kernels of.
    """
    if name == "event" and integer_chain:
        raise ParameterError(
            "engine event has no kernels of integer weights in convolutions or "
            "recurrent layers; "
            "use dense or auto"
        )
    if name == "event" and neuron not in EVENT_NEURONS:
        raise ParameterError(
            f"engine event has no kernels of the neuron {neuron!r}, but of "
            f"{', '.join(sorted(EVENT_NEURONS))}; use dense or auto"
        )
    if name != "auto":
        return name
    has_kernels = neuron in EVENT_NEURONS and not integer_chain
    return "event" if device in ("auto", "cpu") and has_kernels else "dense"


class Engine(Protocol):
    """A network with its optimizer, on some device."""

    name: str
    device: str

    @property
    def network(self) -> Network:
        """The network, with its present grids if it is quantised."""

    def train_batch(
        self,
        events: EventList,
        labels: Labels,
        learning_rate: float,
        teacher: Teacher = None,
    ) -> BatchOutcome:
        """One forward pass, backward pass, clipping and step of Adam."""

    def gradients(
        self, events: EventList, labels: Labels, teacher: Teacher = None
    ) -> tuple[BatchOutcome, dict[str, NDArray[Any]]]:
        """Gradient of the batch's mean loss for every parameter, neither clipped nor
        applied.
        """

    def prune(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Remove the synapses that are False in a mask, from now on; by name of weight
        matrix.
        """

    def run(self, events: EventList) -> list[EventList]:
        """Spikes of every layer after the input, hidden layers first."""

    def warm_up(self, events: EventList) -> None:
        """Compile what training and running on such events takes; nothing else changes
        by it.
        """

    def with_parameters(self, state: State) -> "Engine":
        """The same network with other parameters, to be run."""

    def choose_grids(self) -> None:
        """Fit the grid of each layer to its weights; nothing without quantisation."""

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that run: on their grids in a quantised network."""

    def learned_state(self) -> dict[str, NDArray[Any]]:
        """A copy of the parameters that the optimizer keeps; without quantisation, the
        same.
        """

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        """Adam's state in the format of ``torch.optim.Adam.state_dict``, arrays for
        tensors; after one batch at least."""

    def snapshot(self) -> Snapshot:
        """All that the next batch depends on; after one batch at least."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from the snapshot of an engine of the same kind and network, to the
        same bits.
        """
