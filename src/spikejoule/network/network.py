"""The network that is trained: a chain of layers of spiking neurons.

Fully connected layers, the simplest case (`Network.of_layers`):

    input -> input_to_hidden -> hidden -> hidden_to_output -> output

A layer is a population of neurons with the connection before it, fully connected or a
convolution (`Network.of_chain`). Pooling may stand before the connection. Recurrent
weights lead from a population back to it, along an edge that waits a step. Its weights
are in a state dict, and its neurons are of one model (`Network.neuron`).

Pooling renames spikes: windows do not overlap, so that a spike of a unit is one of its
window, which reaches the synapses of that; an average is a factor on their weights. In
a step a window has as many spikes as its units have.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS, Products
from spikejoule.network.graph import Edge, Graph
from spikejoule.network.layers import (
    ConvolutionLayer,
    DenseLayer,
    HiddenLayer,
    PoolingLayer,
    Shape,
    is_plain,
    neuron_layers,
)
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import (
    Connection,
    Convolution,
    Dense,
    Input,
    Neurons,
    Node,
    Pooling,
    Windows,
)
from spikejoule.network.quantisation import FLOAT_BITS, Quantisation, unfit_for_integers

State = Mapping[str, NDArray[Any]]
"""Parameters by name: ``layer1.synapses.weight`` [target, source], or of a convolution
[C_out, C_in / groups, height, width]; ``layer1.synapses.bias``, by unit or channel,
where neurons have one; ``layer1.recurrent.weight`` where there is one;
``layer1.neurons.decay_logit`` [1] and the like where they learn."""

Parameter = TypeVar("Parameter")
Kept = TypeVar("Kept", bound=np.generic)


def weights_and_biases(
    parameters: Mapping[str, Parameter],
) -> list[tuple[Parameter, Parameter | None]]:
    """The weights of each layer, and its biases or None; of a `State`, or a mapping
    like it.
    """
    return [
        (values, parameters.get(name.replace("weight", "bias")))
        for name, values in parameters.items()
        if name.endswith("weight")
    ]


@dataclass(frozen=True)
class Network(Graph):
    """A chain of layers of spiking neurons, with or without its weights.

    Attributes:
        nodes, edges, waiting: of the graph; only recurrent weights wait.
        neuron: the model of every neuron, with its parameters.
        quantisation: widths and grids of a network of integers; None for floating
            point.
        hidden_layers: as `of_chain` takes them.

    Raises:
        ParameterError: a parameter of the neuron does not fit the layers or another
            parameter, or neurons cannot be integers.
    """

    neuron: Neuron = field(default_factory=LeakyIntegrateAndFire)
    quantisation: Quantisation | None = None
    hidden_layers: tuple[HiddenLayer, ...] = ()

    def __post_init__(self) -> None:
        problem = self.neuron.problem(len(self.layers) - 1)
        if problem:
            name, allowed = problem
            value = self.neuron.model_dump(mode="json")[name]
            raise ParameterError(
                f"{name} of the neurons is {value}; allowed: {allowed}"
            )
        unfit = self.quantisation and unfit_for_integers(
            self.neuron, self.hidden_layers
        )
        if unfit:
            raise ParameterError(unfit)

    @classmethod
    def of_layers(
        cls,
        n_input: int,
        hidden: tuple[int, ...],
        n_output: int,
        neuron: Neuron | None = None,
        quantisation: Quantisation | None = None,
    ) -> "Network":
        """A chain of fully connected layers, named ``input``, ``hidden`` (or
        ``hidden1``, ``hidden2``, ...), ``output``, and what connects them
        ``input_to_hidden`` and so on.

        Args:
            n_input: number of inputs, I.
            hidden: number of neurons in each hidden layer, first to last.
            n_output: number of output neurons, O.
            neuron: the model of every neuron; None for the LIF neuron as it is by
                default.
            quantisation: widths and grids; None for floating point.

        Raises:
            ParameterError: a size out of range, no hidden layer, or as of the class.
        """
        layers = tuple(map(DenseLayer, hidden))
        return cls.of_chain((n_input,), layers, n_output, neuron, quantisation)

    @classmethod
    def of_chain(
        cls,
        in_shape: Shape,
        hidden: Sequence[HiddenLayer],
        n_output: int,
        neuron: Neuron | None = None,
        quantisation: Quantisation | None = None,
    ) -> "Network":
        """A chain of layers of any kind (`model.layers`), the last one fully connected.

        Names are those of `of_layers`, counted are the layers with neurons; pooling is
        named after what it pools, ``hidden1_pooled``, and recurrent weights
        ``hidden1_to_hidden1``.

        Args:
            in_shape: of the input, (n,), or (channels, height, width).
            hidden: the hidden layers, first to last.
            n_output: number of output neurons, O.
            neuron, quantisation: as of `of_layers`.

        Raises:
            ParameterError: as of `of_layers`; or a layer does not fit the one before
                it.
        """
        neuron = neuron or LeakyIntegrateAndFire()
        count = neuron_layers(hidden)
        if not count:
            raise ParameterError(
                "the network needs at least one hidden layer, none was given"
            )
        names = iter(
            ["hidden"] if count == 1 else [f"hidden{k + 1}" for k in range(count)]
        )
        check_size("input", math.prod(in_shape), MAX_UNITS)
        nodes: dict[str, Node] = {"input": Input("input", in_shape, in_shape)}
        edges: list[Edge] = []
        waiting: set[Edge] = set()
        source = last = nodes["input"]
        for layer in (*hidden, DenseLayer(n_output)):
            shape = last.out_shape
            out = layer.out_shape(shape)
            if isinstance(layer, PoolingLayer):
                windows = Windows.square(layer.window, stride=layer.window)
                last = Pooling(
                    f"{source.name}_pooled", shape, out, windows, layer.average
                )
                nodes[last.name] = last
                edges.append((source.name, last.name))
                continue
            target = next(names, "output")
            name = f"{source.name}_to_{target}"
            connection: Connection
            if isinstance(layer, ConvolutionLayer):
                windows = Windows.square(layer.kernel, layer.stride, layer.padding)
                no_weights = np.empty((0, 0, 0, 0))
                connection = Convolution(
                    name, shape, out, no_weights, None, layer.groups, windows
                )
                check_size(str(layer), connection.n_out)
            else:
                connection = Dense(name, (math.prod(shape),), out)
                check_size(target, connection.n_out)
            nodes[name] = connection
            edges += [(last.name, name), (name, target)]
            if isinstance(layer, DenseLayer) and layer.recurrent:
                loop = f"{target}_to_{target}"
                nodes[loop] = Dense(loop, out, out)
                edges += [(loop, target), (target, loop)]
                waiting.add((target, loop))
            source = last = nodes[target] = Neurons(target, out, out, neuron.name)
        return cls(
            nodes, tuple(edges), frozenset(waiting), neuron, quantisation, tuple(hidden)
        )

    @property
    def sizes(self) -> str:
        """The layers in a word: ``784-400-10``, or, of other kinds,
        ``28x28-12c5s2-10``.
        """
        if self.is_plain:
            return super().sizes
        sides = self.input.out_shape
        sides = sides[1:] if sides[0] == 1 else sides
        return "-".join(["x".join(map(str, sides)), *self.words, str(self.n_output)])

    @property
    def words(self) -> tuple[str, ...]:
        """The hidden layers in words."""
        return tuple(map(str, self.hidden_layers))

    @property
    def is_plain(self) -> bool:
        """Whether all layers are fully connected, and none of them recurrent."""
        return all(map(is_plain, self.hidden_layers))

    def target_of(self, connection: Connection) -> Node:
        """The population behind a connection of a chain."""
        (target,) = self.readers_of(connection.name)
        return target

    def _is_recurrent(self, connection: Connection) -> bool:
        return self.target_of(connection).name in self.sources[connection.name]

    @cached_property
    def weight_names(self) -> tuple[str, ...]:
        """The parameter of each of `connections` of a chain."""
        names = []
        for connection in self.connections:
            layer = self.layer_names.index(self.target_of(connection).name)
            kind = "recurrent" if self._is_recurrent(connection) else "synapses"
            names.append(f"layer{layer}.{kind}.weight")
        return tuple(names)

    @cached_property
    def forward_connections(self) -> tuple[Connection, ...]:
        """The connection before each population of a chain, without recurrent ones."""
        return tuple(
            connection
            for connection in self.connections
            if not self._is_recurrent(connection)
        )

    @cached_property
    def senders(self) -> tuple[int, ...]:
        """The place in `layers` of what sends its spikes into each of `connections` of
        a chain.
        """
        return tuple(
            self.layer_names.index(self.senders_of(connection)[0])
            for connection in self.connections
        )

    def senders_of(self, connection: Connection) -> tuple[str, ...]:
        """The layer whose spikes enter a connection, through pooling where there is
        some.
        """
        (source,) = self.sources[connection.name]
        return (
            self.sources[source]
            if isinstance(self.nodes[source], Pooling)
            else (source,)
        )

    def fan_out_of(
        self, connection: Connection, pruned: bool = False
    ) -> NDArray[np.int64]:
        """Synapses of a connection that a spike of each unit of its sender reaches,
        through pooling where there is some, int64 [units]."""
        return self.of_sender(connection, connection.fan_out(pruned))

    def of_sender(
        self, connection: Connection, of_source: NDArray[Kept]
    ) -> NDArray[Kept]:
        """What holds for each source of a connection, for each unit of its sender."""
        pooling = self.nodes[self.sources[connection.name][0]]
        if not isinstance(pooling, Pooling):
            return of_source
        of_sender = of_source[pooling.window_of]
        of_sender[pooling.window_of < 0] = 0
        return of_sender

    @property
    def weight_bits(self) -> int:
        """Width of a weight."""
        return (
            FLOAT_BITS if self.quantisation is None else self.quantisation.weight_bits
        )

    @property
    def state_bits(self) -> int:
        """Width of a membrane potential."""
        return FLOAT_BITS if self.quantisation is None else self.quantisation.state_bits

    @property
    def has_bias(self) -> bool:
        """Whether a bias is added to every neuron in every step."""
        return self.neuron.has_bias

    @property
    def comparable_sizes(self) -> tuple[int, ...]:
        """Sizes of the layers that a conventional network of equal size has, too; none
        where there are layers of other kinds."""
        return self.layer_sizes[1:] if self.is_plain else ()

    def leaks_of(self, node: Node) -> int:
        """Multiplications by which the potentials of a layer leak in one update of each
        neuron.
        """
        return node.n_out * self.neurons[self.layers.index(node) - 1].leaks

    def constants_of(self, node: Node, products: Products | None = None) -> int:
        """Neurons of a layer to which something constant is added in every update: all
        or none.

        It is a bias, or the sum of products with constant currents that are made once.
        """
        return node.n_out if self.has_bias or self._adds_currents(node, products) else 0

    def bias_holder_of(self, node: Neurons) -> Connection | Neurons:
        """The node with whose parameters the biases of neurons are stored: the
        connection before them."""
        return self.forward_connections[self.layers.index(node) - 1]

    def bias_words(
        self, connection: Connection, products: Products | None = None
    ) -> int:
        """Words that hold what is added: a bias a neuron, of a convolution one a
        channel; or a sum a neuron. Recurrent weights have none of their own."""
        if connection not in self.forward_connections:
            return 0
        target = self.target_of(connection)
        if self._adds_currents(target, products):
            return target.n_out
        return connection.weight_shape[0] if self.has_bias else 0

    def _adds_currents(self, node: Node, products: Products | None) -> bool:
        return products == "once" and node == self.layers[1]

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neuron of each layer after the input, every parameter a single value."""
        return tuple(
            self.neuron.of_layer(number) for number in range(len(self.layers) - 1)
        )

    def learned_from(self, state: State) -> "Network":
        """The same network with the values that its neurons have learned, one for each
        layer.
        """
        names = self.neuron.learned_names
        if not names:
            return self
        learned = [
            neuron.with_learned(
                {
                    name: float(state[f"layer{layer}.neurons.{name}"][0])
                    for name in names
                }
            )
            for layer, neuron in enumerate(self.neurons, start=1)
        ]
        return replace(self, neuron=self.neuron.joined(learned))

    def with_weights(self, state: State) -> "Network":
        """The same network with the weights of a state in its nodes."""
        bound = {
            one.name: replace(one, weight=state[name])
            for one, name in zip(self.connections, self.weight_names, strict=True)
        }
        return replace(self, nodes={**self.nodes, **bound})

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter; weights are [target, source] as in
        torch.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        weights = dict(zip(self.weight_names, self.connections, strict=True))
        for layer, one in enumerate(self.forward_connections, start=1):
            shapes[f"layer{layer}.synapses.weight"] = one.weight_shape
            if self.has_bias:
                shapes[f"layer{layer}.synapses.bias"] = one.weight_shape[:1]
            recurrent = weights.get(f"layer{layer}.recurrent.weight")
            if recurrent is not None:
                shapes[f"layer{layer}.recurrent.weight"] = recurrent.weight_shape
            for name in self.neuron.learned_names:
                shapes[f"layer{layer}.neurons.{name}"] = (1,)
        return shapes


def check_size(name: str, size: int, most: int = 65_535) -> None:
    """Raise ParameterError unless a layer has a size that is allowed."""
    if not 1 <= size <= most:
        raise ParameterError(
            f"layer {name} has {size} neurons; allowed are 1 to {most}"
        )
