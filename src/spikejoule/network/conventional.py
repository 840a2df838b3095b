"""A conventional network: ReLU units, which compute once per image."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.network.chain import chain_parts
from spikejoule.network.graph import Graph
from spikejoule.network.layers import DenseLayer
from spikejoule.network.nodes import Node

RELU = "ReLU"
"""The kind of its units."""


@dataclass(frozen=True)
class ConventionalNetwork(Graph):
    """Layers of units without time: baselines, and PyTorch networks to compare with.

    Attributes:
        bias_words: words that store the biases of each of `connections`; 0 for none.
        rectified: nodes whose activations are compared with zero (ReLU).
    """

    bias_words: tuple[int, ...] = ()
    rectified: tuple[Node, ...] = ()

    @classmethod
    def of_layers(
        cls, n_input: int, hidden: Sequence[int], n_output: int, bias: bool = True
    ) -> "ConventionalNetwork":
        """Build a chain of fully connected layers, named as in `Network.of_layers`.

        Args:
            n_input: number of inputs, I.
            hidden: number of units in each hidden layer, first to last.
            n_output: number of scores, O.
            bias: whether every unit has a bias.

        Raises:
            ParameterError: a size out of range, or no hidden layer.
        """
        layers = [DenseLayer(n_units) for n_units in hidden]
        parts = chain_parts((n_input,), layers, n_output, RELU)
        network = cls(*parts)
        bias_words = network.layer_sizes[1:] if bias else (0,) * (len(hidden) + 1)
        return cls(*parts, bias_words, rectified=network.layers[1:-1])

    @property
    def has_bias(self) -> bool:
        """Whether units have biases."""
        return any(self.bias_words)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter of a chain, as in `Network`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for number, connection in enumerate(self.connections, start=1):
            shapes[f"layer{number}.synapses.weight"] = connection.weight_shape
            if self.has_bias:
                shapes[f"layer{number}.synapses.bias"] = connection.weight_shape[:1]
        return shapes
