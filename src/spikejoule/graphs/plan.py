"""What is done in a step, worked out once: who receives from whom, in which order, counted how.

The order of a step: in a step every node needs what its sources give in the same step. Around a
cycle that is impossible, so an edge of each cycle gives what its source gave the step before, and 0
in the first step. It is the edge that leads back to the node of the cycle that is the fewest edges
away from the input; of equals, to the first by name. So spikes go into a recurrent layer without a
delay, and from it through its recurrent weights back into it one step later, as NIRTorch does it.

A Delay node whose units all wait a step or more gives what came before in any case: no edge of a
cycle through it waits.

Fan-outs of sliding windows, exact to the border: an input at place y of an axis reaches the output
at (y + p - q d) / s for each place q of the kernel for which that is a whole number from 0 to H_out
- 1, so that its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One spike of a convolution reaches (C_out /
groups) f_y f_x synapses.

What a run gives is counted as integers of each sample:

    spikes          that the units of a node give: input, neurons, Threshold, a Delay of spikes
    events          synaptic events of a node: a spike reaches a synapse, and its weight is added
    macs            multiply-accumulates of a node: a value that is no spike, and not zero, reaches
                    a synapse; so it is behind pooling, Scale, and neurons that give potentials
    additions       of pooling: an amount that is not zero is added to one window
    multiplications of AvgPool2d, once a sum that is not zero; of Scale, once a value that is
                    neither zero nor a spike
    values          that a node gives to those that multiply them, or that a Delay has held, if they
                    are neither zero nor spikes

A spike reaches recurrent weights in the step in which it is fired, and what they give arrives one
step later; those of the last step count, too. What a Delay still holds at the end reaches nothing.
What comes to neurons, a Threshold or the output without a synapse before it is added there,
uncounted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
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
    Windows,
)
from spikejoule.model.pruning import fan_out_of

Edge = tuple[str, str]


@dataclass(frozen=True)
class Order:
    """An order of nodes.

    Attributes:
        names: every node that is reached, each after all that it needs in the same step, and before
            the sources of edges that wait for it.
        waiting: the edges that give what their source gave the step before.
    """

    names: tuple[str, ...]
    waiting: frozenset[Edge]


def order_of(edges: Sequence[Edge], start: str, late: Iterable[str] = ()) -> Order:
    """The order of all nodes that `start` leads to.

    Args:
        edges: of the network.
        start: the input, which no edge leads to.
        late: nodes that need nothing of the same step.
    """
    following: dict[str, set[str]] = {}
    for source, target in edges:
        following.setdefault(source, set()).add(target)
    distance = {start: 0, **_distances(following, start)}
    # What is needed in the same step.
    needing = {name: following.get(name, set()).difference(late) for name in distance}
    waiting: set[Edge] = set()
    # What leads to the nearest node of a cycle from within is as far away, or farther.
    nearest = {
        target
        for source, targets in needing.items()
        for target in targets
        if distance[source] >= distance[target]
    }
    # No cycle is left through a node that was looked at: the next that lies on one is its nearest.
    for entry in sorted(nearest, key=lambda name: (distance[name], name)):
        for source in _distances(needing, entry):
            if entry in needing[source]:
                needing[source].remove(entry)
                waiting.add((source, entry))
    sorter: TopologicalSorter[str] = TopologicalSorter({start: ()})
    for name in distance:
        sorter.add(name)
        for target in sorted(needing[name]):
            sorter.add(target, name)
    for source, target in waiting:
        if source != target:
            sorter.add(source, target)
    return Order(tuple(sorter.static_order()), frozenset(waiting))


def _distances(following: Mapping[str, Iterable[str]], start: str) -> dict[str, int]:
    """Edges from `start` to each node that it leads to, by the shortest way of at least one."""
    distance: dict[str, int] = {}
    pending, steps = [start], 0
    while pending:
        steps += 1
        targets = {target for name in pending for target in following.get(name, ())}
        pending = sorted(targets - distance.keys())
        distance |= dict.fromkeys(pending, steps)
    return distance


def output_size(size: int, windows: Windows, axis: int, padding_both: int) -> int:
    """Places of a window along an axis; 0 or less if it does not fit."""
    reach = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
    return (size + padding_both - reach) // windows.stride[axis] + 1


def reached(size: int, n_out: int, windows: Windows, axis: int) -> NDArray[np.bool_]:
    """Whether the input at place y meets the place q of the kernel, bool [size, k]."""
    places = np.arange(size)[:, None] + windows.padding[axis]
    places = places - np.arange(windows.kernel[axis]) * windows.dilation[axis]
    outputs, rest = np.divmod(places, windows.stride[axis])
    met: NDArray[np.bool_] = (rest == 0) & (outputs >= 0) & (outputs < n_out)
    return met


def convolution_fan_out(node: Convolution, pruned: bool) -> NDArray[np.int64]:
    """Synapses that a unit of the input reaches, int64 [n_in].

    `pruned` says whether a weight of zero is no synapse.
    """
    channels, height, width = node.in_shape
    rows = reached(height, node.out_shape[1], node.windows, 0).astype(np.int64)
    columns = reached(width, node.out_shape[2], node.windows, 1).astype(np.int64)
    weight = (node.weight != 0) if pruned else np.ones_like(node.weight, dtype=np.bool_)
    per_group = weight.reshape(node.groups, -1, *weight.shape[1:]).sum(axis=1)
    taps = per_group.reshape(channels, *weight.shape[2:])
    fan_out: NDArray[np.int64] = np.einsum("yq,xr,cqr->cyx", rows, columns, taps, optimize=True)
    flat: NDArray[np.int64] = fan_out.reshape(-1)
    return flat


def pooling_fan_out(node: Pooling) -> NDArray[np.int64]:
    """Windows that a unit of the input lies in, int64 [n_in]."""
    channels, height, width = node.in_shape
    rows = reached(height, node.out_shape[1], node.windows, 0).sum(axis=1)
    columns = reached(width, node.out_shape[2], node.windows, 1).sum(axis=1)
    plane: NDArray[np.int64] = np.outer(rows, columns).reshape(-1)
    return np.tile(plane, channels).astype(np.int64)


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
        return fan_out_of(node.weight, pruned)
    if isinstance(node, Convolution):
        return convolution_fan_out(node, pruned)
    assert isinstance(node, Pooling)
    return pooling_fan_out(node)


NEEDS_UNITS = (Dense, Convolution, Pooling, Scaling)
"""Nodes that work unit by unit on what gives something; the others take whole arrays."""


KINDS = ("spikes", "events", "macs", "additions", "multiplications", "values")

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GraphRun:
    """N samples that ran through a network for T steps.

    Attributes:
        plan: what was run.
        conventions: how.
        engine: ``event``, the kernels of the project's own networks, or ``graph``.
        n_steps: T.
        counts: by kind and node, int64 [N]; see the module. A node has what it can have.
        output: what the output received, summed over the steps: spikes of each unit, int64
            [N, n]; values, float64 [N, n].
        output_spikes: whether it received spikes alone.
        recorded: the spikes of the nodes that were asked for.
    """

    plan: Plan
    conventions: Conventions
    engine: str
    n_steps: int
    counts: Mapping[str, Mapping[str, Counts]]
    output: NDArray[np.int64] | NDArray[np.float64]
    output_spikes: bool
    recorded: Mapping[str, EventList] = field(default_factory=dict)

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.output)

    def of(self, kind: str, name: str) -> Counts:
        """Counts of a kind at a node, int64 [N]; zeros where it has none."""
        found = self.counts[kind].get(name)
        return np.zeros(self.n_samples, dtype=np.int64) if found is None else found

    def total(self, kind: str) -> Counts:
        """Counts of a kind at all nodes, int64 [N]."""
        return sum(self.counts[kind].values(), np.zeros(self.n_samples, dtype=np.int64))

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output with the most spikes, the first of equals, int64 [N]; None for values."""
        if not self.output_spikes:
            return None
        classes: NDArray[np.int64] = self.output.argmax(axis=1)
        return classes
