"""A graph: nodes, and edges between them; what every kind of network is.

Three kinds are built on it:

network.Network                     layers of spiking neurons of one model, which are
                                    trained
imported.ImportedGraph              what a NIR file or a running PyTorch model holds:
                                    every node has constants of its own
conventional.ConventionalNetwork    ReLU units, without time
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from spikejoule.network.nodes import (
    Connection,
    Convolution,
    Delay,
    Dense,
    Input,
    Neurons,
    Node,
    Output,
    Threshold,
)

Edge = tuple[str, str]
"""Source and target."""

Kind = TypeVar("Kind", bound=Node)


@dataclass(frozen=True)
class Graph:
    """Nodes, and edges between them; what several edges bring to a node is added up
    there.

    Attributes:
        nodes: by name, in the order of a step.
        edges: (source, target).
        waiting: the edges that give what their source gave the step before; around a
            cycle one has to.
    """

    nodes: Mapping[str, Node] = field(hash=False)
    edges: tuple[Edge, ...]
    waiting: frozenset[Edge] = frozenset()

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """All nodes of a class, in their order."""
        return tuple(node for node in self.nodes.values() if isinstance(node, kind))

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The input and the populations of neurons, in their order."""
        return tuple(
            node for node in self.nodes.values() if isinstance(node, Input | Neurons)
        )

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The nodes with weights, in their order."""
        return tuple(
            node
            for node in self.nodes.values()
            if isinstance(node, Dense | Convolution)
        )

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of `layers`."""
        return tuple(layer.name for layer in self.layers)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of units in each of `layers`."""
        return tuple(layer.n_out for layer in self.layers)

    @property
    def sizes(self) -> str:
        """The same in a word, ``784-400-10``."""
        return "-".join(str(size) for size in self.layer_sizes)

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Names of `connections`."""
        return tuple(connection.name for connection in self.connections)

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each connection, none removed."""
        return tuple(int(connection.fan_out().sum()) for connection in self.connections)

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
        sources: dict[str, tuple[str, ...]] = dict.fromkeys(self.nodes, ())
        for source, target in self.edges:
            sources[target] += (source,)
        return sources

    def readers_of(self, name: str) -> list[Node]:
        """The nodes that receive from a node, once for each edge."""
        return [self.nodes[target] for source, target in self.edges if source == name]

    @cached_property
    def spiking(self) -> frozenset[str]:
        """Nodes that give spikes, and no other values: a delay does if its one source
        does, around a cycle, too."""
        spiking = {
            node.name
            for node in self.nodes.values()
            if isinstance(node, Input | Threshold)
            or (isinstance(node, Neurons) and node.spikes)
        }
        delays = self.of(Delay)
        for _ in delays:  # a chain of delays may stand in any order
            for delay in delays:
                sources = self.sources[delay.name]
                if len(sources) == 1 and sources[0] in spiking:
                    spiking.add(delay.name)
        return frozenset(spiking)
