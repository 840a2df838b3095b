"""A graph from elsewhere: read from a NIR file, or recorded from a PyTorch model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import Products
from spikejoule.network.graph import Graph
from spikejoule.network.nodes import Connection, Neurons
from spikejoule.network.quantisation import FLOAT_BITS


@dataclass(frozen=True)
class ImportedGraph(Graph):
    """Nodes with weights and constants of their own.

    It answers the same questions of an energy analysis as a trained `Network`.

    Attributes:
        metadata: the metadata of a NIR graph.
        weight_bits: width of the weights: 32 for floating point, fewer for integers.
        state_bits: width of the states and biases, in the same way.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    weight_bits: int = FLOAT_BITS
    state_bits: int = FLOAT_BITS
    adds_bias = False
    starts_at_bias = False

    @property
    def comparable_sizes(self) -> tuple[int, ...]:
        """Layer sizes of a conventional network of equal size."""
        return self.layer_sizes[1:]

    def senders_of(self, connection: Connection) -> tuple[str, ...]:
        """Names of the nodes whose spikes enter a connection."""
        sources = self.sources[connection.name]
        return tuple(name for name in sources if name in self.spiking)

    def fan_out_of(
        self, connection: Connection, pruned: bool = False
    ) -> NDArray[np.int64]:
        """Synapses that a spike of each source unit reaches, int64 [units]."""
        return connection.fan_out(pruned)

    def bias_holder_of(self, node: Neurons) -> Connection | Neurons:
        """The node that stores the constants of neurons: the neurons themselves."""
        return node

    def bias_words(
        self, connection: Connection, products: Products | None = None
    ) -> int:
        """Words that store the biases of a connection."""
        return 0 if connection.bias is None else connection.bias.size
