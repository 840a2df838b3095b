"""What an analysis asks of a network and of its input, whatever these are made of.

`model.architecture.Architecture` and `spikes.encoder.Encoder` say it of this project's networks,
`energy.from_graph` of other people's.
"""

from typing import Protocol

from spikejoule.encoding.events import Products
from spikejoule.model.quantisation import Quantisation


class NeuronsDescribed(Protocol):
    """What it asks of the neurons."""

    @property
    def has_bias(self) -> bool:
        """Whether a bias is added to every neuron in every step."""


class NetworkDescribed(Protocol):
    """What it asks of a network."""

    @property
    def n_input(self) -> int:
        """Units of the input."""

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer, the input first."""

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Of the same layers."""

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Where synapses are."""

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each connection."""

    @property
    def neuron(self) -> NeuronsDescribed:
        """Its neurons."""

    @property
    def quantisation(self) -> Quantisation | None:
        """Widths of a network of integers; None for floating point."""


class InputDescribed(Protocol):
    """What it asks of how the input came about."""

    @property
    def name(self) -> str:
        """In a word."""

    @property
    def time_window(self) -> int:
        """T, steps."""

    @property
    def rate_hz(self) -> float | None:
        """Rate of the brightest pixel; None without one."""

    @property
    def input_products(self) -> Products | None:
        """How often constant currents are multiplied; None for an input of spikes."""

    @property
    def takes(self) -> str:
        """``images``, or ``events`` that are events from birth."""

    @property
    def step_ms(self) -> float:
        """What a step stands for."""
