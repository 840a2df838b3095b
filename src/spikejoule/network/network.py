"""The network that is trained: a chain of layers of spiking neurons.

The simplest case is fully connected (`Network.of_layers`):

    input -> input_to_hidden -> hidden -> hidden_to_output -> output

A layer is a population of neurons and the connection into it, fully connected or a
convolution (`Network.of_chain`). Pooling may precede the connection. Recurrent weights
connect a population to itself with a delay of one step. Weights are kept in a state
dict, and all neurons follow one model (`Network.neuron`).

Pooling only relabels spikes: its windows do not overlap, so the spike of a unit becomes
a spike of its window and reaches the window's synapses; an average is a factor on their
weights. A window has as many spikes in a step as its units together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import Products
from spikejoule.network.graph import Graph
from spikejoule.network.layers import DenseLayer, HiddenLayer, chain_parts, is_plain
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.nodes import (
    INTEGRATOR,
    Connection,
    Dense,
    Neurons,
    Node,
    Pooling,
    Shape,
)
from spikejoule.network.quantisation import FLOAT_BITS, Quantisation, unfit_for_integers
from spikejoule.network.readout import Readout

State = Mapping[str, NDArray[Any]]
"""Parameters by name.

``layer1.synapses.weight``      [target, source]; of a convolution
                                [C_out, C_in / groups, height, width]
``layer1.synapses.bias``        by unit or channel, if neurons have a bias
``layer1.recurrent.weight``     [target, source], if the layer is recurrent
``layer1.neurons.decay_logit``  [1], and other constants that neurons learn
"""

Parameter = TypeVar("Parameter")
Value = TypeVar("Value", bound=np.generic)


def weights_and_biases(
    parameters: Mapping[str, Parameter],
) -> list[tuple[Parameter, Parameter | None]]:
    """The weights of each layer with its biases or None, from a `State` or its like."""
    return [
        (values, parameters.get(name.replace("weight", "bias")))
        for name, values in parameters.items()
        if name.endswith("weight")
    ]


@dataclass(frozen=True)
class Network(Graph):
    """A chain of layers of spiking neurons, with or without its weights.

    Attributes:
        nodes, edges, waiting: see `Graph`; only recurrent weights wait.
        neuron: the model of every neuron, with its parameters.
        quantisation: widths and grids of an integer network; None for floating point.
        readout: how the output answers.
        hidden_layers: the layers that `of_chain` was given.

    Raises:
        ParameterError: a neuron parameter does not fit the layers or another
            parameter, or the neurons cannot be computed in integers, or cannot
            integrate without spiking.
    """

    neuron: Neuron = field(default_factory=LeakyIntegrateAndFire)
    quantisation: Quantisation | None = None
    readout: Readout = Readout.SPIKES
    hidden_layers: tuple[HiddenLayer, ...] = ()

    def __post_init__(self) -> None:
        problem = self.neuron.problem(len(self.layers) - 1)
        if problem:
            name, allowed = problem
            value = self.neuron.model_dump(mode="json")[name]
            raise ParameterError(
                f"{name} of the neurons is {value}; allowed: {allowed}"
            )
        if self.quantisation is not None:
            unfit = unfit_for_integers(self.neuron, self.hidden_layers)
            if unfit:
                raise ParameterError(unfit)
        unfit = self.readout.unfit(self.neuron)
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
        """Build a chain of fully connected layers.

        Populations are named ``input``, ``hidden`` (or ``hidden1``, ``hidden2``, ...)
        and ``output``, connections ``input_to_hidden`` and so on.

        Args:
            n_input: number of inputs, I.
            hidden: number of neurons in each hidden layer, first to last.
            n_output: number of output neurons, O.
            neuron: the model of every neuron; None for the default LIF neuron.
            quantisation: widths and grids; None for floating point.

        Raises:
            ParameterError: a size out of range, no hidden layer, or as the class.
        """
        layers = tuple(DenseLayer(n_units) for n_units in hidden)
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
        """Build a chain of layers of any kind; the output is fully connected.

        Names follow `layers.chain_parts`.

        Args:
            in_shape: shape of the input, (n,) or (channels, height, width).
            hidden: the hidden layers, first to last.
            n_output: number of output neurons, O.
            neuron, quantisation: as in `of_layers`.

        Raises:
            ParameterError: as in `of_layers`; or a layer does not fit its source.
        """
        neuron = neuron or LeakyIntegrateAndFire()
        parts = chain_parts(in_shape, hidden, n_output, neuron.name)
        return cls(*parts, neuron, quantisation, hidden_layers=tuple(hidden))

    def with_readout(self, readout: Readout) -> "Network":
        """The same network with an output that answers in some way.

        Raises:
            ParameterError: its neurons cannot integrate without spiking.
        """
        kind = self.neuron.name if readout.is_spiking else INTEGRATOR
        output = replace(cast(Neurons, self.output), kind=kind)
        nodes = {**self.nodes, output.name: output}
        return replace(self, nodes=nodes, readout=readout)

    @property
    def sizes(self) -> str:
        """The layers as one word: ``784-400-10`` or ``28x28-12c5s2-10``."""
        if self.is_plain:
            return super().sizes
        shape = self.input.out_shape
        sides = shape[1:] if shape[0] == 1 else shape
        input_word = "x".join(str(side) for side in sides)
        return "-".join([input_word, *self.words, str(self.n_output)])

    @property
    def words(self) -> tuple[str, ...]:
        """The hidden layers as words."""
        return tuple(str(layer) for layer in self.hidden_layers)

    @property
    def is_plain(self) -> bool:
        """Whether all layers are fully connected and none is recurrent."""
        return all(is_plain(layer) for layer in self.hidden_layers)

    @cached_property
    def forward_connections(self) -> tuple[Connection, ...]:
        """The connection into each population, without recurrent ones."""
        # It comes first among the sources of the population, recurrent weights second.
        names = [self.sources[layer.name][0] for layer in self.of(Neurons)]
        return tuple(cast(Connection, self.nodes[name]) for name in names)

    @cached_property
    def recurrent_connections(self) -> tuple[Dense | None, ...]:
        """The weights from each population to itself; None without."""
        sources = [self.sources[layer.name][1:] for layer in self.of(Neurons)]
        return tuple(
            cast(Dense, self.nodes[names[0]]) if names else None for names in sources
        )

    def pooling_before(self, connection: Connection) -> Pooling | None:
        """The pooling that a connection reads; None if it reads a population."""
        (source,) = self.sources[connection.name]
        node = self.nodes[source]
        return node if isinstance(node, Pooling) else None

    def target_of(self, connection: Connection) -> Node:
        """The population after a connection."""
        (target,) = self.readers_of(connection.name)
        return target

    @cached_property
    def weight_names(self) -> tuple[str, ...]:
        """The name in a `State` of the weights of each of `connections`."""
        names = []
        for number, recurrent in enumerate(self.recurrent_connections, start=1):
            names.append(f"layer{number}.synapses.weight")
            if recurrent is not None:
                names.append(f"layer{number}.recurrent.weight")
        return tuple(names)

    @cached_property
    def senders(self) -> tuple[int, ...]:
        """The index in `layers` of the sender of each of `connections`."""
        return tuple(
            self.layer_names.index(self.senders_of(connection)[0])
            for connection in self.connections
        )

    def senders_of(self, connection: Connection) -> tuple[str, ...]:
        """The layer whose spikes enter a connection, looking through pooling."""
        pooling = self.pooling_before(connection)
        return self.sources[connection.name if pooling is None else pooling.name]

    def fan_out_of(
        self, connection: Connection, pruned: bool = False
    ) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the sender reaches, int64 [units]."""
        return self.of_sender(connection, connection.fan_out(pruned))

    def of_sender(
        self, connection: Connection, by_source: NDArray[Value]
    ) -> NDArray[Value]:
        """Values of each source of a connection, for each unit of its sender.

        Through a pooling, a unit has the value of its window; units outside all
        windows have 0.
        """
        pooling = self.pooling_before(connection)
        if pooling is None:
            return by_source
        windows = pooling.window_of
        by_unit = by_source[windows]
        by_unit[windows < 0] = 0
        return by_unit

    @property
    def weight_bits(self) -> int:
        """Width of a weight."""
        if self.quantisation is None:
            return FLOAT_BITS
        return self.quantisation.weight_bits

    @property
    def state_bits(self) -> int:
        """Width of a membrane potential."""
        if self.quantisation is None:
            return FLOAT_BITS
        return self.quantisation.state_bits

    @property
    def has_bias(self) -> bool:
        """Whether every neuron has a bias."""
        return self.neuron.has_bias

    @property
    def starts_at_bias(self) -> bool:
        """Whether biases are the potentials before the first step."""
        return self.neuron.starts_at_bias

    @property
    def adds_bias(self) -> bool:
        """Whether every step adds a bias to every neuron."""
        return self.has_bias and not self.starts_at_bias

    @property
    def comparable_sizes(self) -> tuple[int, ...]:
        """Layer sizes of a conventional network of equal size.

        Empty if some layer is not fully connected, or is recurrent.
        """
        return self.layer_sizes[1:] if self.is_plain else ()

    def leaks_of(self, node: Node) -> int:
        """Leak multiplications of a layer when each neuron is updated once."""
        return node.n_out * self.neurons[self.layers.index(node) - 1].leaks

    def constants_of(self, node: Node, products: Products | None = None) -> int:
        """Count the neurons of a layer to which every update adds a constant.

        The constant is a bias, or the sum of products with constant currents that are
        computed once. All neurons of the layer have one, or none.
        """
        adds = self.adds_bias or self._adds_currents(node, products)
        return node.n_out if adds else 0

    def initial_biases_of(self, node: Node) -> int:
        """Count the neurons of a layer that start at a bias."""
        return node.n_out if self.starts_at_bias else 0

    def bias_holder_of(self, node: Neurons) -> Connection | Neurons:
        """The node that stores the biases of neurons: the connection before them."""
        return self.forward_connections[self.layers.index(node) - 1]

    def bias_words(
        self, connection: Connection, products: Products | None = None
    ) -> int:
        """Words that store the constants which `constants_of` counts.

        One bias per neuron, or per channel of a convolution; one sum of products per
        neuron, in place of a bias that every step adds. Recurrent weights have none.
        """
        if connection not in self.forward_connections:
            return 0
        target = self.target_of(connection)
        biases = connection.weight_shape[0] if self.has_bias else 0
        if self._adds_currents(target, products):
            return target.n_out + (biases if self.starts_at_bias else 0)
        return biases

    def _adds_currents(self, node: Node, products: Products | None) -> bool:
        return products == "once" and node == self.layers[1]

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neuron model of each layer after the input, with single values."""
        return tuple(
            self.neuron.of_layer(number) for number in range(len(self.layers) - 1)
        )

    def learned_from(self, state: State) -> "Network":
        """The same network with the constants that its neurons have learned."""
        names = self.neuron.learned_names
        if not names:
            return self
        learned = []
        for number, neuron in enumerate(self.neurons, start=1):
            values = {
                name: float(state[f"layer{number}.neurons.{name}"][0]) for name in names
            }
            learned.append(neuron.with_learned(values))
        return replace(self, neuron=self.neuron.of_layers(learned))

    def with_weights(self, state: State) -> "Network":
        """The same network with the weights of a state in its nodes."""
        bound = {
            connection.name: replace(connection, weight=state[name])
            for connection, name in zip(
                self.connections, self.weight_names, strict=True
            )
        }
        return replace(self, nodes={**self.nodes, **bound})

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter, as in `State`."""
        shapes: dict[str, tuple[int, ...]] = {}
        layers = zip(self.forward_connections, self.recurrent_connections, strict=True)
        for number, (connection, recurrent) in enumerate(layers, start=1):
            shapes[f"layer{number}.synapses.weight"] = connection.weight_shape
            if self.has_bias:
                shapes[f"layer{number}.synapses.bias"] = connection.weight_shape[:1]
            if recurrent is not None:
                shapes[f"layer{number}.recurrent.weight"] = recurrent.weight_shape
            for name in self.neuron.learned_names:
                shapes[f"layer{number}.neurons.{name}"] = (1,)
        return shapes
