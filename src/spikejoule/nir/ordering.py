"""The order of a step in a graph with cycles.

In a step every node needs what its sources give in the same step. Around a cycle that
is impossible, so one edge of each cycle waits: it gives what its source gave the step
before, and 0 in the first step. It is the edge that leads back to the node of the cycle
that is the fewest edges away from the input; of equals, to the first by name. So spikes
go into a recurrent layer without a delay, and from it through its recurrent weights
back into it one step later, as NIRTorch does it.

A Delay node whose units all wait gives what came before in any case: no edge of a cycle
through it waits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from spikejoule.network.graph import Edge


@dataclass(frozen=True)
class StepOrder:
    """The order of a step.

    Attributes:
        names: nodes, each after all that it needs in the same step, and before the
            sources of edges that wait for it.
        waiting: edges that give what their source gave the step before.
    """

    names: tuple[str, ...]
    waiting: frozenset[Edge]


def step_order(
    edges: Sequence[Edge], start: str, late: Iterable[str] = ()
) -> StepOrder:
    """The order of a step of all nodes that `start` leads to.

    Args:
        edges: of the network.
        start: the input, which no edge leads to.
        late: nodes that need nothing of the same step.
    """
    following: dict[str, set[str]] = {}
    for source, target in edges:
        following.setdefault(source, set()).add(target)
    distance = {start: 0, **_distances(following, start)}
    needing = {name: following.get(name, set()).difference(late) for name in distance}
    waiting = _taken_from_cycles(needing, distance)
    sorter: TopologicalSorter[str] = TopologicalSorter({start: ()})
    for name in distance:
        sorter.add(name)
        for target in sorted(needing[name]):
            sorter.add(target, name)
    for source, target in waiting:
        if source != target:
            sorter.add(source, target)
    return StepOrder(tuple(sorter.static_order()), frozenset(waiting))


def _taken_from_cycles(
    needing: dict[str, set[str]], distance: Mapping[str, int]
) -> set[Edge]:
    """Remove an edge from each cycle of the nodes that need each other; these edges."""
    # What leads to the nearest node of a cycle from within is as far away, or farther.
    nearest = {
        target
        for source, targets in needing.items()
        for target in targets
        if distance[source] >= distance[target]
    }
    removed: set[Edge] = set()
    # No cycle is left through a node that was looked at: the next that lies on one is
    # its nearest.
    for entry in sorted(nearest, key=lambda name: (distance[name], name)):
        for source in _distances(needing, entry):
            if entry in needing[source]:
                needing[source].remove(entry)
                removed.add((source, entry))
    return removed


def _distances(following: Mapping[str, Iterable[str]], start: str) -> dict[str, int]:
    """Edges from `start` to each node that it leads to, by the shortest way of at least
    one.
    """
    distance: dict[str, int] = {}
    pending = {start}
    steps = 0
    while pending:
        steps += 1
        targets = {target for name in pending for target in following.get(name, ())}
        pending = targets - distance.keys()
        distance |= dict.fromkeys(sorted(pending), steps)
    return distance
