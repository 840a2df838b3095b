"""A conventional network: ReLU units, which compute once for an image."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.graph import Edge, Graph
from spikejoule.network.network import check_size
from spikejoule.network.nodes import Dense, Input, Neurons, Node

RELU = "ReLU"
"""The kind of its units."""


@dataclass(frozen=True)
class ConventionalNetwork(Graph):
    """Layers of units without time: the baselines, and the PyTorch networks to compare
    with.

    Attributes:
        bias_words: words that hold the biases of each of `connections`; 0 for none.
        rectified: where activations are compared with zero (ReLU).
    """

    bias_words: tuple[int, ...] = ()
    rectified: tuple[Node, ...] = ()

    @classmethod
    def of_layers(
        cls, n_input: int, hidden: Sequence[int], n_output: int, bias: bool = True
    ) -> "ConventionalNetwork":
        """A chain of fully connected layers, named like those of `Network.of_layers`.

        Args:
            n_input: number of inputs, I.
            hidden: number of units in each hidden layer, first to last.
            n_output: number of scores, O.
            bias: whether every unit has a bias.

        Raises:
            ParameterError: a size out of range, or no hidden layer.
        """
        if not hidden:
            raise ParameterError(
                "the network needs at least one hidden layer, none was given"
            )
        check_size("input", n_input, MAX_UNITS)
        names = ["hidden"]
        if len(hidden) > 1:
            names = [f"hidden{number}" for number in range(1, len(hidden) + 1)]
        source: Node = Input("input", (n_input,), (n_input,))
        nodes: dict[str, Node] = {"input": source}
        edges: list[Edge] = []
        for name, size in zip([*names, "output"], [*hidden, n_output], strict=True):
            check_size(name, size)
            connection = Dense(f"{source.name}_to_{name}", source.out_shape, (size,))
            nodes[connection.name] = connection
            edges += [(source.name, connection.name), (connection.name, name)]
            source = nodes[name] = Neurons(name, (size,), (size,), RELU)
        sizes = [*hidden, n_output]
        return cls(
            nodes,
            tuple(edges),
            bias_words=tuple(sizes if bias else [0] * len(sizes)),
            rectified=tuple(nodes[name] for name in names),
        )

    @property
    def has_bias(self) -> bool:
        """Whether units have biases."""
        return any(self.bias_words)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter of a chain, as of `Network`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for number, connection in enumerate(self.connections, start=1):
            shapes[f"layer{number}.synapses.weight"] = connection.weight_shape
            if self.has_bias:
                shapes[f"layer{number}.synapses.bias"] = connection.weight_shape[:1]
        return shapes
