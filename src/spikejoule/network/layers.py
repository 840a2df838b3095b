"""Hidden layers as words, as `model.layers` lists them, and the graph of a chain.

400        fully connected, 400 neurons
400r       the same with recurrent weights: a spike arrives one step later
12c5s2     convolution, 12 channels of neurons, kernel 5 x 5, stride 2 (1 if omitted)
12c5p2g4   padding 2 on all sides, channels in 4 groups
2sum       sums over 2 x 2 windows without overlap, no neurons
2avg       averages over such windows
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from spikejoule.core.errors import ParameterError, shown
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.graph import Edge
from spikejoule.network.nodes import (
    Connection,
    Convolution,
    Dense,
    Input,
    Neurons,
    Node,
    Pooling,
    Shape,
    Windows,
)

MOST_LAYERS: Final = 8
MOST_NEURONS: Final = 65_535
ALLOWED: Final = (
    "1 to 8 words such as 400 (fully connected), 400r (recurrent), 12c5s2 (12 "
    "channels, kernel 5, stride 2; p2 pads, g4 groups), 2sum or 2avg (pooling)"
)


@dataclass(frozen=True)
class DenseLayer:
    """Fully connected neurons, with `recurrent` also connected to each other."""

    n_units: int
    recurrent: bool = False

    def node(self, name: str, in_shape: Shape) -> Connection:
        """Build the connection into the layer from a source of some shape."""
        return Dense(name, (math.prod(in_shape),), (self.n_units,))

    def __str__(self) -> str:
        return f"{self.n_units}r" if self.recurrent else str(self.n_units)


@dataclass(frozen=True)
class ConvolutionLayer:
    """Channels of neurons behind square kernels."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def node(self, name: str, in_shape: Shape) -> Connection:
        """Build the convolution; ParameterError if it does not fit the source."""
        windows = Windows.square(self.kernel, self.stride, self.padding)
        plane = _plane(self, in_shape, windows)
        if in_shape[0] % self.groups or self.channels % self.groups:
            raise ParameterError(
                f"the layer {self} has {self.groups} groups; allowed are divisors "
                f"of its channels and of the {in_shape[0]} before it"
            )
        out_shape = (self.channels, *plane)
        no_weights = np.empty((0, 0, 0, 0))
        return Convolution(
            name, in_shape, out_shape, no_weights, None, self.groups, windows
        )

    def __str__(self) -> str:
        word = f"{self.channels}c{self.kernel}"
        if self.stride != 1:
            word += f"s{self.stride}"
        if self.padding != 0:
            word += f"p{self.padding}"
        if self.groups != 1:
            word += f"g{self.groups}"
        return word


@dataclass(frozen=True)
class PoolingLayer:
    """Square windows whose stride is their size; no neurons."""

    window: int
    average: bool

    def node(self, name: str, in_shape: Shape) -> Pooling:
        """Build the pooling; ParameterError if it does not fit the source."""
        windows = Windows.square(self.window, self.window)
        plane = _plane(self, in_shape, windows)
        return Pooling(name, in_shape, (in_shape[0], *plane), windows, self.average)

    def __str__(self) -> str:
        return f"{self.window}avg" if self.average else f"{self.window}sum"


HiddenLayer = DenseLayer | ConvolutionLayer | PoolingLayer


def _plane(layer: HiddenLayer, in_shape: Shape, windows: Windows) -> tuple[int, int]:
    """Positions of a layer's windows over (C, H, W); ParameterError if none fits."""
    if len(in_shape) != 3:
        raise ParameterError(
            f"the layer {layer} takes (channels, height, width), but its input has "
            f"the shape {in_shape}; allowed is a fully connected layer, such as 400"
        )
    _, height, width = in_shape
    rows = windows.places(height, 0, 2 * windows.padding[0])
    columns = windows.places(width, 1, 2 * windows.padding[1])
    if min(rows, columns) < 1:
        raise ParameterError(
            f"the layer {layer} does not fit the plane of {height} x {width} "
            "before it; allowed are smaller windows, or more padding"
        )
    return rows, columns


_UP_TO_5_DIGITS = "(?:0|[1-9][0-9]{0,4})"
_UP_TO_3_DIGITS = "(?:0|[1-9][0-9]{0,2})"
_DENSE = re.compile(f"({_UP_TO_5_DIGITS})(r?)")
_CONVOLUTION = re.compile(
    f"(?P<channels>{_UP_TO_5_DIGITS})c(?P<kernel>{_UP_TO_3_DIGITS})"
    f"(?:s(?P<stride>{_UP_TO_3_DIGITS}))?"
    f"(?:p(?P<padding>{_UP_TO_3_DIGITS}))?"
    f"(?:g(?P<groups>{_UP_TO_5_DIGITS}))?"
)
_POOLING = re.compile(f"({_UP_TO_3_DIGITS})(sum|avg)")


def layer_of(word: str) -> HiddenLayer:
    """Parse a word; ParameterError if it is no layer, or a number is out of range."""
    if dense := _DENSE.fullmatch(word):
        n_units = int(dense[1])
        if 1 <= n_units <= MOST_NEURONS:
            return DenseLayer(n_units, bool(dense[2]))
        raise ParameterError(
            f"the layer {word!r} has {n_units} neurons; allowed: 1 to {MOST_NEURONS}"
        )
    if convolution := _CONVOLUTION.fullmatch(word):
        return _convolution_of(word, convolution)
    if pooling := _POOLING.fullmatch(word):
        window = int(pooling[1])
        if window >= 2:
            return PoolingLayer(window, pooling[2] == "avg")
        raise ParameterError(
            f"the layer {word!r} pools nothing; allowed: windows of 2 or more"
        )
    raise ParameterError(
        f"the layer {shown(word)} is not a layer; allowed: a list of {ALLOWED}"
    )


def _convolution_of(word: str, match: re.Match[str]) -> ConvolutionLayer:
    numbers = {name: int(text) for name, text in match.groupdict().items() if text}
    layer = ConvolutionLayer(**numbers)
    least = min(layer.channels, layer.kernel, layer.stride, layer.groups)
    if least < 1 or layer.padding >= layer.kernel or layer.channels % layer.groups:
        raise ParameterError(
            f"the layer {word!r} is impossible; allowed: channels, kernel, stride and "
            "groups of 1 or more, groups that divide the channels, and a padding "
            "below the kernel"
        )
    return layer


def layers_of(words: Sequence[str]) -> tuple[HiddenLayer, ...]:
    """Parse the words of the hidden layers, first to last.

    Raises:
        ParameterError: as `layer_of`; too few or too many layers; pooling follows
            pooling or has no neurons around it; a fully connected layer precedes
            one that needs a plane.
    """
    if not 1 <= len(words) <= MOST_LAYERS:
        raise ParameterError(
            f"there are {len(words)} layers; allowed: a list of {ALLOWED}"
        )
    layers = tuple(layer_of(word) for word in words)
    pools = [isinstance(layer, PoolingLayer) for layer in layers]
    pools_twice = any(first and second for first, second in pairwise(pools))
    if all(pools) or pools_twice:
        raise ParameterError(
            f"the layers {', '.join(words)} pool twice in a row, or have no neurons; "
            "allowed: one pooling layer before or after layers of neurons"
        )
    for before, layer in pairwise(layers):
        if isinstance(before, DenseLayer) and not isinstance(layer, DenseLayer):
            raise ParameterError(
                f"the layer {layer} follows {before}, whose output has no height and "
                "width; allowed: fully connected layers after it"
            )
    return layers


def is_plain(layer: HiddenLayer) -> bool:
    """Whether a layer is fully connected and not recurrent."""
    return isinstance(layer, DenseLayer) and not layer.recurrent


def neuron_layers(layers: Sequence[HiddenLayer]) -> int:
    """Count the layers that have neurons."""
    return sum(not isinstance(layer, PoolingLayer) for layer in layers)


# The graph of a chain


class ChainParts(NamedTuple):
    """The fields of a `Graph`: nodes by name, edges, and the delayed edges."""

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]
    waiting: frozenset[Edge]


def chain_parts(
    in_shape: Shape, hidden: Sequence[HiddenLayer], n_output: int, kind: str
) -> ChainParts:
    """Build the nodes and edges of a chain whose last layer is fully connected.

        input -> input_to_hidden1 -> hidden1 -> hidden1_pooled -> hidden1_to_output
        -> output

    A single hidden layer is called ``hidden``. Recurrent weights of a layer are the
    node ``hidden1_to_hidden1``.

    Args:
        in_shape: shape of the input, (n,) or (channels, height, width).
        hidden: the hidden layers, first to last.
        n_output: number of output units, O.
        kind: the name of the neuron model of all layers.

    Raises:
        ParameterError: no hidden layer has neurons, a layer does not fit its source,
            or a size is out of range.
    """
    check_size("input", math.prod(in_shape), MAX_UNITS)
    names = _population_names(neuron_layers(hidden))
    population: Node = Input("input", in_shape, in_shape)
    source = population  # what the next layer reads: a population, or its pooling
    nodes: dict[str, Node] = {"input": population}
    edges: list[Edge] = []
    waiting: set[Edge] = set()
    for layer in (*hidden, DenseLayer(n_output)):
        if isinstance(layer, PoolingLayer):
            source = layer.node(f"{population.name}_pooled", population.out_shape)
            nodes[source.name] = source
            edges.append((population.name, source.name))
            continue
        name = names.pop(0)
        connection = layer.node(f"{population.name}_to_{name}", source.out_shape)
        label = name if isinstance(layer, DenseLayer) else str(layer)
        check_size(label, connection.n_out)
        shape = connection.out_shape
        nodes[connection.name] = connection
        edges += [(source.name, connection.name), (connection.name, name)]
        if isinstance(layer, DenseLayer) and layer.recurrent:
            loop = f"{name}_to_{name}"
            nodes[loop] = Dense(loop, shape, shape)
            edges += [(loop, name), (name, loop)]
            waiting.add((name, loop))
        population = Neurons(name, shape, shape, kind)
        source = population
        nodes[name] = population
    return ChainParts(nodes, tuple(edges), frozenset(waiting))


def _population_names(n_hidden: int) -> list[str]:
    """Names of the hidden populations and of the output."""
    if n_hidden == 0:
        raise ParameterError(
            "the network needs at least one hidden layer, but none was given"
        )
    if n_hidden == 1:
        return ["hidden", "output"]
    return [*(f"hidden{number}" for number in range(1, n_hidden + 1)), "output"]


def check_size(name: str, size: int, most: int = MOST_NEURONS) -> None:
    """Raise ParameterError unless a layer has an allowed number of neurons."""
    if not 1 <= size <= most:
        raise ParameterError(
            f"layer {name} has {size} neurons; allowed are 1 to {most}"
        )
