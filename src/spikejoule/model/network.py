"""A network: populations of neurons and what connects them, as nodes and edges.

What is trained is a chain of fully connected layers, `Network.of_layers`, its simplest case:

    input -> input_to_hidden -> hidden -> hidden_to_output -> output

Its weights are in a state dict, its neurons are of one model (`Network.neuron`). A graph that is
read from NIR (`graphs.nir_in`) has convolutions, pooling, delays, cycles and sums besides; weights
and constants of neurons are in its nodes.

Sizes of a node count in C order through its shape: unit ``(c * H + y) * W + x`` of (C, H, W).

Fan-outs of sliding windows, exact to the border: an input at place y of an axis reaches the output
at (y + p - q d) / s for each place q of the kernel for which that is a whole number from 0 to H_out
- 1, so that its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One spike of a convolution reaches (C_out /
groups) f_y f_x synapses.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.model.neuron import Neuron
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation, unfit_for_integers

State = Mapping[str, NDArray[Any]]
"""Parameters by name: ``layer1.synapses.weight`` [target, source], and ``layer1.synapses.bias``
where neurons have one; ``layer1.neurons.decay_logit`` [1] and the like where they learn."""

Shape = tuple[int, ...]
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


@dataclass(frozen=True)
class Windows:
    """A window that slides over a plane; in one dimension the height is 1.

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
        places = np.arange(node.in_shape[1 + axis])[:, None] + self.padding[axis]
        places = places - np.arange(self.kernel[axis]) * self.dilation[axis]
        outputs, rest = np.divmod(places, self.stride[axis])
        met: NDArray[np.bool_] = (rest == 0) & (outputs >= 0) & (outputs < node.out_shape[1 + axis])
        return met.astype(np.int64)


@dataclass(frozen=True)
class Convolution(Node):
    """Over (C, H, W); one of one dimension has a height of 1.

    Attributes:
        weight: float64 [C_out, C_in / groups, kernel height, kernel width].
        bias: float64 [C_out]; None without.
        groups: parts of the channels that see each other.
        windows: how the kernel slides.
    """

    weight: NDArray[np.float64] = field(compare=False, repr=False)
    bias: NDArray[np.float64] | None = field(compare=False, repr=False)
    groups: int
    windows: Windows

    def stored(self, pruned: bool = False) -> int:
        """Weights that a memory holds: kernels once, and whole."""
        return self.weight.size

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the input reaches, int64 [n_in]; as of `Dense`."""
        rows, columns = (self.windows.reached(self, axis) for axis in (0, 1))
        weight = (self.weight != 0) if pruned else np.ones_like(self.weight, dtype=np.bool_)
        per_group = weight.reshape(self.groups, -1, *weight.shape[1:]).sum(axis=1)
        taps = per_group.reshape(self.in_shape[0], *weight.shape[2:])
        fan_out: NDArray[np.int64] = np.einsum("yq,xr,cqr->cyx", rows, columns, taps, optimize=True)
        return fan_out.reshape(-1)


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
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.model is None:
            return
        problem = self.model.problem(len(self.connections))
        if problem:
            name, allowed = problem
            value = self.model.model_dump(mode="json")[name]
            raise ParameterError(f"{name} of the neurons is {value}; allowed: {allowed}")
        unfit = self.quantisation and unfit_for_integers(self.model)
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
        if not hidden:
            raise ParameterError("the network needs at least one hidden layer, none was given")
        count = len(hidden)
        inner = ["hidden"] if count == 1 else [f"hidden{k + 1}" for k in range(count)]
        layers = dict(zip(("input", *inner, "output"), (n_input, *hidden, n_output), strict=True))
        for name, size in layers.items():
            most = MAX_UNITS if name == "input" else 65_535
            if not 1 <= size <= most:
                raise ParameterError(f"layer {name} has {size} neurons; allowed are 1 to {most}")
        neuron = neuron or LeakyIntegrateAndFire()
        nodes: dict[str, Node] = {"input": Input("input", (n_input,), (n_input,))}
        for (source, n_source), (target, n_target) in pairwise(layers.items()):
            name = f"{source}_to_{target}"
            nodes[name] = Dense(name, (n_source,), (n_target,))
            nodes[target] = Neurons(target, (n_target,), (n_target,), neuron.name)
        return cls(nodes, tuple(pairwise(nodes)), neuron, quantisation)

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
        """The same in a word, such as ``784-400-10``."""
        return "-".join(str(size) for size in self.layer_sizes)

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
        return tuple(self.neuron.of_layer(number) for number in range(len(self.connections)))

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
            one.name: replace(one, weight=state[f"layer{layer}.synapses.weight"])
            for layer, one in enumerate(self.connections, start=1)
        }
        return replace(self, nodes={**self.nodes, **bound})

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every trained parameter; weights are [target, source] as in torch."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, one in enumerate(self.connections, start=1):
            shapes[f"layer{layer}.synapses.weight"] = (one.n_out, one.n_in)
            if self.has_bias:
                shapes[f"layer{layer}.synapses.bias"] = (one.n_out,)
            for name in self.neuron.learned_names:
                shapes[f"layer{layer}.neurons.{name}"] = (1,)
        return shapes
