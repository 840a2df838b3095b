"""A graph: nodes, and edges between them. Every kind of network is one.

network.Network                     spiking layers of one neuron model, trained here
imported.ImportedGraph              a NIR file or a running PyTorch model: every node
                                    has constants of its own
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
"""Names of source and target."""

NodeClass = TypeVar("NodeClass", bound=Node)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges; a node adds up what its incoming edges deliver.

    Attributes:
        nodes: by name, in the order of a time step.
        edges: (source, target).
        waiting: edges that deliver the source's value of the previous step; every
            cycle needs one.
    """

    nodes: Mapping[str, Node] = field(hash=False)
    edges: tuple[Edge, ...]
    waiting: frozenset[Edge] = frozenset()

    def of(self, kind: type[NodeClass]) -> tuple[NodeClass, ...]:
        """All nodes of a class, in order."""
        return tuple(node for node in self.nodes.values() if isinstance(node, kind))

    @cached_property
    def layers(self) -> tuple[Node, ...]:
        """The input and the populations of neurons, in order."""
        return tuple(
            node for node in self.nodes.values() if isinstance(node, Input | Neurons)
        )

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The nodes with weights, in order."""
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
        """The layer sizes as one word, ``784-400-10``."""
        return "-".join(str(size) for size in self.layer_sizes)

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Names of `connections`."""
        return tuple(connection.name for connection in self.connections)

    @property
    def synapses(self) -> tuple[int, ...]:
        """Number of synapses of each connection before pruning."""
        return tuple(int(connection.fan_out().sum()) for connection in self.connections)

    @property
    def n_input(self) -> int:
        """Number of inputs, I."""
        return self.input.n_out

    @property
    def n_output(self) -> int:
        """Number of outputs, O."""
        return self.output.n_out

    @cached_property
    def input(self) -> Input:
        """The node where events enter."""
        return self.of(Input)[0]

    @cached_property
    def output(self) -> Node:
        """The output node, or the last layer of a graph without one."""
        return next(iter(self.of(Output)), self.layers[-1])

    @property
    def answer(self) -> str | None:
        """Name of the node whose spikes are the output.

        None if the output is not spikes, or comes from several nodes.
        """
        names: tuple[str, ...] = (self.output.name,)
        if isinstance(self.output, Output):
            names = self.sources[self.output.name]
        return names[0] if len(names) == 1 and names[0] in self.spiking else None

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the sources of each node, in the order of the edges."""
        sources: dict[str, tuple[str, ...]] = dict.fromkeys(self.nodes, ())
        for source, target in self.edges:
            sources[target] += (source,)
        return sources

    def readers_of(self, name: str) -> list[Node]:
        """The targets of a node, one for each edge."""
        return [self.nodes[target] for source, target in self.edges if source == name]

    @cached_property
    def spiking(self) -> frozenset[str]:
        """Names of the nodes that emit spikes.

        A delay emits spikes if its only source does, also within a cycle.
        """
        spiking = {
            node.name
            for node in self.nodes.values()
            if isinstance(node, Input | Threshold)
            or (isinstance(node, Neurons) and node.spikes)
        }
        delays = self.of(Delay)
        # Delays may be listed in any order, so a chain of n needs up to n passes.
        for _ in delays:
            for delay in delays:
                sources = self.sources[delay.name]
                if len(sources) == 1 and sources[0] in spiking:
                    spiking.add(delay.name)
        return frozenset(spiking)
