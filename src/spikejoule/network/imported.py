"""A graph that was not trained here: read from a NIR file, or watched as a PyTorch
model runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import Products
from spikejoule.network.graph import Graph
from spikejoule.network.nodes import Connection, Neurons, Node
from spikejoule.network.quantisation import FLOAT_BITS


@dataclass(frozen=True)
class ImportedGraph(Graph):
    """Nodes with weights and constants of their own, in floating point.

    What an energy analysis asks of it, it also asks of a trained `Network`.

    Attributes:
        metadata: of a NIR graph.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    weight_bits = FLOAT_BITS
    state_bits = FLOAT_BITS
    has_bias = False

    @property
    def comparable_sizes(self) -> tuple[int, ...]:
        """Sizes of the layers that a conventional network of equal size has, too."""
        return self.layer_sizes[1:]

    def senders_of(self, connection: Connection) -> tuple[str, ...]:
        """The nodes whose spikes enter a connection."""
        return tuple(
            name for name in self.sources[connection.name] if name in self.spiking
        )

    def fan_out_of(
        self, connection: Connection, pruned: bool = False
    ) -> NDArray[np.int64]:
        """Synapses that a spike of each unit before a connection reaches, int64
        [units].
        """
        return connection.fan_out(pruned)

    def constants_of(self, node: Node, products: Products | None = None) -> int:
        """Neurons of a population to which something constant is added in every update:
        a v_leak that is not 0."""
        if not isinstance(node, Neurons):
            return 0
        return int(np.count_nonzero(node.parameters.get("v_leak", ())))

    def bias_holder_of(self, node: Neurons) -> Connection | Neurons:
        """The node with whose parameters the constants of neurons are stored: their
        own.
        """
        return node

    def bias_words(
        self, connection: Connection, products: Products | None = None
    ) -> int:
        """Words that hold the biases of a connection."""
        return 0 if connection.bias is None else connection.bias.size
