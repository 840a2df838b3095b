"""What is done in a step, worked out once: who receives from whom, in which order, counted how."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.dynamics import delay_steps
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Identity,
    Input,
    Network,
    Neurons,
    Node,
    Pooling,
    Scaling,
    Step,
    Waiting,
)
from spikejoule.graphs.order import order_of
from spikejoule.graphs.windows import convolution_fan_out, dense_fan_out, pooling_fan_out


@dataclass(frozen=True, eq=False)
class Plan:
    """A network as it is executed: nodes that only pass on are gone.

    Attributes:
        nodes: in the order of a step.
        sources: what each node receives from, by name; several edges may come from one node.
        waiting: the edges (source, target) that give what their source gave the step before.
        delays: steps of each unit of a Delay node, int64 [n].
        spiking: names of nodes that give spikes, and no other values.
        fan_outs: of each node that adds up what single units give, how much a unit adds to, int64
            [n_in].
    """

    nodes: tuple[Node, ...]
    sources: Mapping[str, tuple[str, ...]]
    waiting: frozenset[tuple[str, str]]
    delays: Mapping[str, NDArray[np.int64]]
    spiking: frozenset[str]
    fan_outs: Mapping[str, NDArray[np.int64]]

    @cached_property
    def nodes_by_name(self) -> dict[str, Node]:
        """The same nodes by name."""
        return {node.name: node for node in self.nodes}

    @property
    def input_name(self) -> str:
        """Name of the input."""
        return next(node.name for node in self.nodes if isinstance(node, Input))

    def consumers_of(self, name: str) -> list[Node]:
        """The nodes that receive from a node, once for each edge."""
        return [node for node in self.nodes for one in self.sources[node.name] if one == name]


def plan_of(network: Network, conventions: Conventions) -> Plan:
    """The plan of a network under checked conventions.

    Raises:
        ParameterError: a delay is no whole number of steps.
        ArtifactError: passing nodes alone make a cycle.
    """
    edges = _without_passing(network)
    delays = {node.name: delay_steps(node, conventions) for node in network.of(Waiting)}
    late = [name for name, steps in delays.items() if steps.min() >= 1]
    order = order_of(edges, network.input.name, late)
    nodes = tuple(network.nodes[name] for name in order.names)
    sources = {
        name: tuple(source for source, target in edges if target == name) for name in order.names
    }
    pruned = bool(conventions.pruned)
    return Plan(
        nodes, sources, order.waiting, delays, _spiking(nodes, sources),
        {node.name: _fan_out(node, pruned) for node in nodes
         if isinstance(node, Dense | Convolution | Pooling)},
    )  # fmt: skip


def _without_passing(network: Network) -> list[tuple[str, str]]:
    """The edges between nodes that do something; those through others are joined."""

    def origins(name: str, seen: tuple[str, ...]) -> list[str]:
        if not isinstance(network.nodes[name], Identity):
            return [name]
        if name in seen:
            raise ArtifactError(f"the node {name!r} is in a cycle of nodes that only pass on.")
        inner = network.sources_of(name)
        return [one for source in inner for one in origins(source, (*seen, name))]

    return [
        (origin, target)
        for source, target in network.edges
        if not isinstance(network.nodes[target], Identity)
        for origin in origins(source, ())
    ]


def _spiking(nodes: tuple[Node, ...], sources: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Nodes that give spikes: a Delay does if its one source does, around a cycle, too."""
    spiking = {
        node.name
        for node in nodes
        if isinstance(node, Input | Step) or (isinstance(node, Neurons) and node.spikes)
    }
    passing = [node.name for node in nodes if isinstance(node, Waiting)]
    for _ in passing:
        spiking |= {name for name in passing if len(sources[name]) == 1 and
                    sources[name][0] in spiking}  # fmt: skip
    return frozenset(spiking)


def _fan_out(node: Node, pruned: bool) -> NDArray[np.int64]:
    if isinstance(node, Dense):
        return dense_fan_out(node, pruned)
    if isinstance(node, Convolution):
        return convolution_fan_out(node, pruned)
    assert isinstance(node, Pooling)
    return pooling_fan_out(node)


NEEDS_UNITS = (Dense, Convolution, Pooling, Scaling)
"""Nodes that work unit by unit on what gives something; the others take whole arrays."""
