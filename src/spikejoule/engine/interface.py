"""The interface of the engines: settings, the choice by name, and the protocol."""

from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.parameters import ParameterSection, refused
from spikejoule.encoding.events import EventList
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.network import Network
from spikejoule.network.quantisation import FLOAT_BITS, NO_CURRENTS


def check_input(events: EventList, network: Network | ImportedGraph) -> None:
    """Raise ArtifactError unless the network can run on this input."""
    if events.n_inputs != network.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} inputs, but the network has "
            f"{network.n_input}: encode samples of its size."
        )
    if events.currents is not None and network.weight_bits < FLOAT_BITS:
        raise ArtifactError(f"the network has integer weights: {NO_CURRENTS}")


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
    name: str, device: str, neuron: str, is_integer_chain: bool = False
) -> str:
    """Return ``event`` or ``dense``; ``auto`` is resolved by device and network.

    ``auto`` takes the event engine also on a machine with a GPU: it was the faster one
    at every input density measured on CPUs, and no GPU has been measured.

    Args:
        name: ``auto``, ``event`` or ``dense``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        neuron: name of the neuron model.
        is_integer_chain: whether a chain of layers with convolutions or recurrence has
            integer weights.

    Raises:
        ParameterError: the event engine is asked for and has no kernels for this.
    """
    if name == "event" and is_integer_chain:
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
    has_kernels = neuron in EVENT_NEURONS and not is_integer_chain
    return "event" if device in ("auto", "cpu") and has_kernels else "dense"


class Engine(Protocol):
    """An engine: runs one network on one device."""

    name: str

    @property
    def network(self) -> Network:
        """The network; a quantised one has its grids."""

    def run(self, events: EventList) -> list[EventList]:
        """Return the spikes of every layer after the input, the output last."""
