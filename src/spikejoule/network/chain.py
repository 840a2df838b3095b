"""The graph of a chain of layers: nodes and edges, named by one rule.

    input -> input_to_hidden1 -> hidden1 -> hidden1_pooled -> hidden1_to_output
    -> output

A single hidden layer is called ``hidden``. Recurrent weights of a layer are the node
``hidden1_to_hidden1``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.graph import Edge
from spikejoule.network.layers import (
    MOST_NEURONS,
    DenseLayer,
    HiddenLayer,
    PoolingLayer,
    neuron_layers,
)
from spikejoule.network.nodes import Dense, Input, Neurons, Node, Shape


class ChainParts(NamedTuple):
    """The fields of a `Graph`: nodes by name, edges, and the delayed edges."""

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]
    waiting: frozenset[Edge]


def chain_parts(
    in_shape: Shape, hidden: Sequence[HiddenLayer], n_output: int, kind: str
) -> ChainParts:
    """Build the nodes and edges of a chain whose last layer is fully connected.

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
