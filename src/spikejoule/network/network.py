"""A network: populations of neurons and what connects them, as nodes and edges.

What is trained is a chain of layers, `Network.of_chain`; of fully connected ones, the simplest
case, `Network.of_layers`:

    input -> input_to_hidden -> hidden -> hidden_to_output -> output

A layer is a population of neurons with the connection before it, fully connected or a convolution.
Pooling may stand before the connection. Recurrent weights lead from a population back to it, along
an edge that waits a step. Its weights are in a state dict, its neurons are of one model
(`Network.neuron`). A graph that is read from NIR (`nir.reading`) has delays, cycles and sums
besides; weights and constants of neurons are in its nodes.

Pooling of a chain renames spikes: windows do not overlap, so that a spike of a unit is one of its
window, which reaches the synapses of that; an average is a factor on their weights. In a step a
window has as many spikes as its units have.

Sizes of a node count in C order through its shape: unit ``(c * H + y) * W + x`` of (C, H, W).

Fan-outs of sliding windows, exact to the border: an input at place y of an axis reaches the output
at (y + p - q d) / s for each place q of the kernel for which that is a whole number from 0 to H_out
- 1, so that its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One spike of a convolution reaches (C_out /
groups) f_y f_x synapses.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.layers import (
    ConvolutionLayer,
    DenseLayer,
    HiddenLayer,
    PoolingLayer,
    is_plain,
    neuron_layers,
)
from spikejoule.network.layers import Shape as Shape
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation, unfit_for_integers

State = Mapping[str, NDArray[Any]]
"""Parameters by name: ``layer1.synapses.weight`` [target, source], or of a convolution [C_out, C_in
/ groups, height, width]; ``layer1.synapses.bias``, by unit or channel, where neurons have one;
``layer1.recurrent.weight`` where there is one; ``layer1.neurons.decay_logit`` [1] and the like
where they learn."""

Parameter = TypeVar("Parameter")


def weights_and_biases(
    parameters: Mapping[str, Parameter],
) -> list[tuple[Parameter, Parameter | None]]:
    """The weights of each layer, and its biases or None; of a `State`, or a mapping like it."""
    return [
        (values, parameters.get(name.replace("weight", "bias")))
        for name, values in parameters.items()
        if name.endswith("weight")
    ]


Edge = tuple[str, str]
"""Source and target."""


@dataclass(frozen=True)
class Node:
    """What all nodes have. Two are equal if their structure is: weights are not compared.

    Attributes:
        name: in the network; of a node in a nested graph ``outer.inner``.
        in_shape, out_shape: of what it receives and gives, without samples and steps.
    """

    name: str
    in_shape: Shape
    out_shape: Shape

    @property
    def n_in(self) -> int:
        """Units that it receives from."""
        return math.prod(self.in_shape)

    @property
    def n_out(self) -> int:
        """Units that it has."""
        return math.prod(self.out_shape)


@dataclass(frozen=True)
class Input(Node):
    """Where events enter."""


@dataclass(frozen=True)
class Output(Node):
    """What is read of a graph; of a chain of layers that is its last population."""


@dataclass(frozen=True)
class Dense(Node):
    """Every unit reaches every other, y = W x + b.

    Attributes:
        weight: real [n_out, n_in]; empty where weights are in a state dict.
        bias: real [n_out]; None without, and where the neurons behind it have their own.
    """

    weight: NDArray[Any] = field(
        default_factory=lambda: np.empty((0, 0)), compare=False, repr=False
    )
    bias: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def weight_shape(self) -> Shape:
        """Of the weights, wherever they are."""
        return self.n_out, self.n_in

    def stored(self, pruned: bool = False) -> int:
        """Weights that a memory holds, of a pruned network those that are left."""
        return int(np.count_nonzero(self.weight)) if pruned else self.n_in * self.n_out

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the input reaches, int64 [n_in].

        Args:
            pruned: whether synapses were removed. A removed one has a weight of exactly zero and
                carries no event; without pruning a weight of zero is a synapse like others.
        """
        if not pruned:
            return np.full(self.n_in, self.n_out, dtype=np.int64)
        left: NDArray[np.int64] = np.count_nonzero(self.weight, axis=0).astype(np.int64)
        return left

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """Whether a spike of a unit of the input reaches each of the output, [units, n_out], for
        some units of the input after the other."""
        yield self.weight.T != 0 if pruned else np.ones((self.n_in, self.n_out), dtype=np.bool_)


@dataclass(frozen=True)
class Windows:
    """A window that slides over a plane; in one dimension the height is 1.

    `reached` and `met` hold for any number of axes.

    Attributes:
        kernel, stride, padding, dilation: (height, width) each; the padding is that before the
            first row and column.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)

    def places(self, size: int, axis: int, padding_both: int) -> int:
        """Places of the window along an axis; 0 or less if it does not fit."""
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + padding_both - reach) // self.stride[axis] + 1

    def reached(self, node: Node, axis: int) -> NDArray[np.int64]:
        """Whether the input at place y of a node meets the place q of the kernel, [size, k]."""
        found = np.zeros((node.in_shape[1 + axis], self.kernel[axis]), dtype=np.int64)
        for place in range(self.kernel[axis]):
            found[self.met(node, axis, place)[0], place] = 1
        return found

    def met(self, node: Node, axis: int, place: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The inputs along an axis of a node that a place of the kernel meets, and the outputs."""
        outputs = np.arange(node.out_shape[1 + axis])
        inputs = outputs * self.stride[axis] + place * self.dilation[axis] - self.padding[axis]
        inside = (inputs >= 0) & (inputs < node.in_shape[1 + axis])
        return inputs[inside], outputs[inside]


@dataclass(frozen=True)
class Convolution(Node):
    """Over (C, H, W); one of one dimension has a height of 1.

    Attributes:
        weight: real [C_out, C_in / groups, kernel height, kernel width]; empty where weights are in
            a state dict.
        bias: float64 [C_out]; None without, and where the neurons behind it have their own.
        groups: parts of the channels that see each other.
        windows: how the kernel slides.
    """

    weight: NDArray[Any] = field(compare=False, repr=False)
    bias: NDArray[np.float64] | None = field(compare=False, repr=False)
    groups: int
    windows: Windows

    @property
    def weight_shape(self) -> Shape:
        """Of the weights, wherever they are."""
        per_group = self.in_shape[0] // self.groups
        return self.out_shape[0], per_group, *self.windows.kernel

    def stored(self, pruned: bool = False) -> int:
        """Weights that a memory holds: kernels once, and whole."""
        return self.weight.size or math.prod(self.weight_shape)

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the input reaches, int64 [n_in]; as of `Dense`."""
        rows, columns = (self.windows.reached(self, axis) for axis in (0, 1))
        weight = (self.weight != 0) if pruned else np.ones(self.weight_shape, dtype=np.bool_)
        per_group = weight.reshape(self.groups, -1, *weight.shape[1:]).sum(axis=1)
        taps = per_group.reshape(self.in_shape[0], *weight.shape[2:])
        fan_out: NDArray[np.int64] = np.einsum("yq,xr,cqr->cyx", rows, columns, taps, optimize=True)
        return fan_out.reshape(-1)

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """As of `Dense`, the units of a channel at a time."""
        channels, per_group, height, width = self.weight_shape
        rows, columns = (
            [self.windows.met(self, axis, place) for place in range(size)]
            for axis, size in ((0, height), (1, width))
        )
        of_group = channels // self.groups
        for source in range(self.in_shape[0]):
            found = np.zeros((*self.in_shape[1:], *self.out_shape), dtype=np.bool_)
            first, inner = source // per_group * of_group, source % per_group
            for channel, y, x in np.ndindex(of_group, height, width):
                target = first + channel
                if not pruned or self.weight[target, inner, y, x]:
                    (of_row, row), (of_column, column) = rows[y], columns[x]
                    found[of_row[:, None], of_column, target, row[:, None], column] = True
            yield found.reshape(-1, self.n_out)


@dataclass(frozen=True)
class Pooling(Node):
    """Sums of windows, or their averages, which divide by the kernel's size, padding included."""

    windows: Windows
    average: bool

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Windows that a unit of the input lies in, int64 [n_in]."""
        rows, columns = (self.windows.reached(self, axis).sum(axis=1) for axis in (0, 1))
        plane: NDArray[np.int64] = np.outer(rows, columns).reshape(-1)
        return np.tile(plane, self.in_shape[0])

    @property
    def window_of(self) -> NDArray[np.int64]:
        """The unit of the output that each unit of the input is part of, int64 [n_in], where
        windows do not overlap; -1 beyond the last whole window."""
        (size, _), places = self.windows.kernel, np.arange(self.n_out).reshape(self.out_shape)
        of_unit = np.full(self.in_shape, -1)
        inside = places.repeat(size, axis=1).repeat(size, axis=2)
        of_unit[:, : inside.shape[1], : inside.shape[2]] = inside
        return of_unit.reshape(-1)


@dataclass(frozen=True)
class Scaling(Node):
    """y = s x; `scale` is float64 [n_out]."""

    scale: NDArray[np.float64] = field(compare=False, repr=False)


_SILENT = ("I", "LI", "CubaLI")


@dataclass(frozen=True)
class Neurons(Node):
    """A population of neurons.

    Attributes:
        kind: the name of the neuron's model, or of the node in NIR: IF, LIF, CubaLIF, and without
            spikes I, LI, CubaLI.
        parameters: NIR's, float64 [n_out] each, by NIR's name; none where the network has a model.
    """

    kind: str
    parameters: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def spikes(self) -> bool:
        """Whether they have a threshold."""
        return self.kind not in _SILENT

    @property
    def has_current(self) -> bool:
        """Whether their synaptic current is a state of its own."""
        return "tau_syn" in self.parameters


@dataclass(frozen=True)
class Step(Node):
    """1 where the input is above the threshold, else 0; `threshold` is float64 [n_out]."""

    threshold: NDArray[np.float64] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Waiting(Node):
    """A delay; `seconds` is float64 [n_out]."""

    seconds: NDArray[np.float64] = field(compare=False, repr=False)


BY_UNIT = (Dense, Convolution, Pooling, Scaling)
"""Nodes that work unit by unit on what gives something; the others take whole arrays."""

Connection = Dense | Convolution
Kind = TypeVar("Kind", bound=Node)
Kept = TypeVar("Kept", bound=np.generic)


@dataclass(frozen=True)
class Network:
    """Nodes, and edges between them; what several edges bring to a node is added up there.

    Attributes:
        nodes: by name, in the order of a step.
        edges: (source, target).
        model: of every neuron of a chain of layers, with its parameters; None where the nodes have
            constants of their own.
        quantisation: widths and grids of a network of integers; None for floating point.
        waiting: the edges that give what their source gave the step before; around a cycle one has
            to.
        hidden_layers: of a chain, as `of_chain` takes them.
        metadata: of a graph of NIR.

    Raises:
        ParameterError: a parameter of the neuron does not fit the layers or another parameter, or
            neurons cannot be integers.
    """

    nodes: Mapping[str, Node] = field(hash=False)
    edges: tuple[Edge, ...]
    model: Neuron | None = None
    quantisation: Quantisation | None = None
    waiting: frozenset[Edge] = frozenset()
    hidden_layers: tuple[HiddenLayer, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.model is None:
            return
        problem = self.model.problem(len(self.layers) - 1)
        if problem:
            name, allowed = problem
            value = self.model.model_dump(mode="json")[name]
            raise ParameterError(f"{name} of the neurons is {value}; allowed: {allowed}")
        unfit = self.quantisation and unfit_for_integers(self.model, self.hidden_layers)
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
        """A chain of fully connected layers, named ``input``, ``hidden`` (or ``hidden1``,
        ``hidden2``, ...), ``output``, and what connects them ``input_to_hidden`` and so on.

        Args:
            n_input: number of inputs, I.
            hidden: number of neurons in each hidden layer, first to last.
            n_output: number of output neurons, O.
            neuron: the model of every neuron; None for the LIF neuron as it is by default.
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

        Names are those of `of_layers`, counted are the layers with neurons; pooling is named after
        what it pools, ``hidden1_pooled``, and recurrent weights ``hidden1_to_hidden1``.

        Args:
            in_shape: of the input, (n,), or (channels, height, width).
            hidden: the hidden layers, first to last.
            n_output: number of output neurons, O.
            neuron: as of `of_layers`.
            quantisation: as of `of_layers`.

        Raises:
            ParameterError: as of `of_layers`; or a layer does not fit the one before it.
        """
        count = neuron_layers(hidden)
        if count == 0:
            raise ParameterError("the network needs at least one hidden layer, none was given")
        names = iter(["hidden"] if count == 1 else [f"hidden{k + 1}" for k in range(count)])
        neuron, least = neuron or LeakyIntegrateAndFire(), min(in_shape, default=0)
        _check_size("input", math.prod(in_shape) if least > 0 else least, MAX_UNITS)
        nodes: dict[str, Node] = {"input": Input("input", in_shape, in_shape)}
        edges: list[Edge] = []
        waiting: set[Edge] = set()
        source = last = nodes["input"]
        for layer in (*hidden, DenseLayer(n_output)):
            shape, out = last.out_shape, layer.out_shape(last.out_shape)
            if isinstance(layer, PoolingLayer):
                size = (layer.window, layer.window)
                windows = Windows(size, size, (0, 0))
                last = Pooling(f"{source.name}_pooled", shape, out, windows, layer.average)
                nodes[last.name] = last
                edges.append((source.name, last.name))
                continue
            target = next(names, "output")
            name = f"{source.name}_to_{target}"
            one: Connection = Dense(name, (math.prod(shape),), out)
            if isinstance(layer, ConvolutionLayer):
                sides = ((side, side) for side in (layer.kernel, layer.stride, layer.padding))
                empty = np.empty((0, 0, 0, 0))
                one = Convolution(name, shape, out, empty, None, layer.groups, Windows(*sides))
            _check_size(target if isinstance(layer, DenseLayer) else str(layer), one.n_out)
            nodes[one.name] = one
            edges += [(last.name, one.name), (one.name, target)]
            if isinstance(layer, DenseLayer) and layer.recurrent:
                own = Dense(f"{target}_to_{target}", out, out)
                nodes[own.name] = own
                edges += [(own.name, target), (target, own.name)]
                waiting.add(edges[-1])
            source = last = nodes[target] = Neurons(target, out, out, neuron.name)
        return cls(nodes, tuple(edges), neuron, quantisation, frozenset(waiting), tuple(hidden))

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """All nodes of a class, in their order."""
        return tuple(node for node in self.nodes.values() if isinstance(node, kind))

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The input and the populations of neurons, in their order."""
        return tuple(one for one in self.nodes.values() if isinstance(one, Input | Neurons))

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The nodes with weights, in their order."""
        return tuple(one for one in self.nodes.values() if isinstance(one, Dense | Convolution))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of `layers`."""
        return tuple(one.name for one in self.layers)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of units in each of `layers`."""
        return tuple(one.n_out for one in self.layers)

    @property
    def sizes(self) -> str:
        """The same in a word, ``784-400-10``; layers of other kinds in their own,
        ``28x28-12c5s2-10``."""
        if self.model is None or self.is_plain:
            return "-".join(str(size) for size in self.layer_sizes)
        sides = self.input.out_shape
        sides = sides[1:] if sides[0] == 1 else sides
        return "-".join(["x".join(map(str, sides)), *self.words, str(self.n_output)])

    @property
    def words(self) -> tuple[str, ...]:
        """The hidden layers in words."""
        return tuple(map(str, self.hidden_layers))

    @property
    def is_plain(self) -> bool:
        """Whether a chain has fully connected layers alone, none of them recurrent."""
        return all(map(is_plain, self.hidden_layers))

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Names of `connections`."""
        return tuple(one.name for one in self.connections)

    @property
    def n_input(self) -> int:
        """I."""
        return self.input.n_out

    @property
    def n_output(self) -> int:
        """O."""
        return self.output.n_out

    @cached_property
    def input(self) -> Input:
        """Where events enter."""
        return self.of(Input)[0]

    @cached_property
    def output(self) -> Node:
        """What is read: the output of a graph, or the last layer."""
        return next(iter(self.of(Output)), self.layers[-1])

    @property
    def answer(self) -> str | None:
        """The node whose spikes are read; None where values, or several nodes are."""
        is_end = isinstance(self.output, Output)
        givers = self.sources[self.output.name] if is_end else (self.output.name,)
        return givers[0] if len(givers) == 1 and givers[0] in self.spiking else None

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """What each node receives from, in the order of the edges."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, target in self.edges:
            found[target].append(source)
        return {name: tuple(sources) for name, sources in found.items()}

    def readers_of(self, name: str) -> list[Node]:
        """The nodes that receive from a node, once for each edge."""
        return [self.nodes[target] for source, target in self.edges if source == name]

    @cached_property
    def spiking(self) -> frozenset[str]:
        """Nodes that give spikes, and no other values: a delay does if its one source does, around
        a cycle, too."""
        found = {
            node.name
            for node in self.nodes.values()
            if isinstance(node, Input | Step) or (isinstance(node, Neurons) and node.spikes)
        }
        passing = [(one.name, self.sources[one.name]) for one in self.of(Waiting)]
        for _ in passing:
            found |= {name for name, of in passing if len(of) == 1 and of[0] in found}
        return frozenset(found)

    def target_of(self, connection: Connection) -> Node:
        """The population behind a connection of a chain."""
        (target,) = self.readers_of(connection.name)
        return target

    @cached_property
    def weight_names(self) -> tuple[str, ...]:
        """The parameter of each of `connections` of a chain."""
        return tuple(
            f"layer{self.layer_names.index(self.target_of(one).name)}."
            f"{'synapses' if one in self.forward_connections else 'recurrent'}.weight"
            for one in self.connections
        )

    @cached_property
    def forward_connections(self) -> tuple[Connection, ...]:
        """The connection before each population of a chain, without recurrent ones."""
        return tuple(
            one
            for one in self.connections
            if self.target_of(one).name not in self.sources[one.name]
        )

    @cached_property
    def senders(self) -> tuple[int, ...]:
        """The place in `layers` of what sends its spikes into each of `connections` of a chain."""
        names, before = self.layer_names, (self.sources[one.name][0] for one in self.connections)
        return tuple(names.index(one if one in names else self.sources[one][0]) for one in before)

    def fan_out_of(self, connection: Connection, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses of a connection of a chain that a spike of each unit of its sender reaches,
        through pooling where there is some, int64 [units]."""
        return self.of_sender(connection, connection.fan_out(pruned))

    def of_sender(self, connection: Connection, of_source: NDArray[Kept]) -> NDArray[Kept]:
        """What holds for each source of a connection, for each unit of its sender."""
        pooling = self.nodes[self.sources[connection.name][0]]
        if not isinstance(pooling, Pooling):
            return of_source
        found = of_source[pooling.window_of]
        found[pooling.window_of < 0] = 0
        return found

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each connection, none removed."""
        return tuple(int(one.fan_out().sum()) for one in self.connections)

    @property
    def has_bias(self) -> bool:
        """Whether a bias is added to every neuron in every step, as far as a model says so."""
        return self.model is not None and self.model.has_bias

    @property
    def neuron(self) -> Neuron:
        """The model of its neurons; ValueError of a graph, whose nodes have constants."""
        if self.model is None:
            raise ValueError("the neurons of a graph are of no model")
        return self.model

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The neuron of each layer after the input, every parameter a single value."""
        return tuple(self.neuron.of_layer(number) for number in range(len(self.layers) - 1))

    def learned_from(self, state: State) -> "Network":
        """The same network with the values that its neurons have learned, one for each layer."""
        names = self.neuron.learned_names
        if not names:
            return self
        learned = [
            neuron.with_learned(
                {name: float(state[f"layer{layer}.neurons.{name}"][0]) for name in names}
            )
            for layer, neuron in enumerate(self.neurons, start=1)
        ]
        return replace(self, model=self.neuron.joined(learned))

    def with_weights(self, state: State) -> "Network":
        """The same network with the weights of a state in its nodes."""
        bound = {
            one.name: replace(one, weight=state[name])
            for one, name in zip(self.connections, self.weight_names, strict=True)
        }
        return replace(self, nodes={**self.nodes, **bound})

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter; weights are [target, source] as in torch."""
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


def _check_size(name: str, size: int, most: int = 65_535) -> None:
    """Raise ParameterError unless a layer has a size that is allowed."""
    if not 1 <= size <= most:
        raise ParameterError(f"layer {name} has {size} neurons; allowed are 1 to {most}")
