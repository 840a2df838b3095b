"""A conventional network: ReLU units, which compute once per image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from spikejoule.encoding.events import Products
from spikejoule.network.graph import Graph
from spikejoule.network.layers import DenseLayer, chain_parts
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.nodes import Connection, Node
from spikejoule.network.quantisation import FLOAT_BITS

RELU = "ReLU"
"""The kind of its units."""


@dataclass(frozen=True)
class ConventionalNetwork(Graph):
    """Layers of units without time: baselines, and PyTorch networks to compare with.

    Its units send values. It answers the same questions of an energy analysis as a
    spiking `Network`.

    Attributes:
        stored_biases: words that store the biases of each of `connections`; 0 for none.
        rectified: nodes whose activations are compared with zero (ReLU).
        weight_bits: width of the weights: 32 for floating point, fewer for integers.
        state_bits: width of the sums and biases, in the same way.
        activation_bits: width of the activations, in the same way.
        has_binary_input: whether an integer network reads pixels of 1 bit, so that
            their products are additions of weights.
        shifts: whether an integer network turns sums into activations by shifts alone,
            without multiplications.
    """

    stored_biases: tuple[int, ...] = ()
    rectified: tuple[Node, ...] = ()
    weight_bits: int = FLOAT_BITS
    state_bits: int = FLOAT_BITS
    activation_bits: int = FLOAT_BITS
    has_binary_input: bool = False
    shifts: bool = False

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
        stored = network.layer_sizes[1:] if bias else (0,) * (len(hidden) + 1)
        return cls(*parts, stored, rectified=network.layers[1:-1])

    def with_weights(self, state: State) -> "ConventionalNetwork":
        """The same network with the weights of a state in its nodes."""
        weights = [weight for weight, _ in weights_and_biases(state)]
        bound = {
            connection.name: replace(connection, weight=weight)
            for connection, weight in zip(self.connections, weights, strict=True)
        }
        return replace(self, nodes={**self.nodes, **bound})

    @property
    def is_integer(self) -> bool:
        """Whether it computes in integers."""
        return self.weight_bits < FLOAT_BITS

    @property
    def has_bias(self) -> bool:
        """Whether units have biases."""
        return any(self.stored_biases)

    @cached_property
    def _number_of(self) -> dict[str, int]:
        """The position of each connection in the chain, and of the layer after it."""
        numbers = {name: k for k, name in enumerate(self.connection_names)}
        return numbers | {name: k for k, name in enumerate(self.layer_names[1:])}

    @property
    def in_floats(self) -> "ConventionalNetwork":
        """The same network in floating point."""
        return replace(
            self,
            weight_bits=FLOAT_BITS,
            state_bits=FLOAT_BITS,
            activation_bits=FLOAT_BITS,
            has_binary_input=False,
        )

    def bits_into(self, connection: Connection) -> int:
        """Width of the values that enter a connection."""
        is_first = connection == self.connections[0]
        return 1 if self.has_binary_input and is_first else self.activation_bits

    def target_of(self, connection: Connection) -> Node:
        """The units after a connection."""
        return self.layers[self._number_of[connection.name] + 1]

    def senders_of(self, connection: Connection) -> tuple[str, ...]:
        """The layer whose values enter a connection, looking through pooling."""
        return (self.layer_names[self._number_of[connection.name]],)

    def bias_holder_of(self, node: Node) -> Connection:
        """The node that stores the biases of units: the connection before them."""
        return self.connections[self._number_of[node.name]]

    def bias_words(
        self, connection: Connection, products: Products | None = None
    ) -> int:
        """Words that store the biases of the units after a connection."""
        return self.stored_biases[self._number_of[connection.name]]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter of a chain, as in `Network`."""
        shapes: dict[str, tuple[int, ...]] = {}
        for number, connection in enumerate(self.connections, start=1):
            shapes[f"layer{number}.synapses.weight"] = connection.weight_shape
            if self.has_bias:
                shapes[f"layer{number}.synapses.bias"] = connection.weight_shape[:1]
        return shapes
