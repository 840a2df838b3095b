"""The order of a step in a graph with cycles.

In a step every node needs what its sources give in the same step. Around a cycle that
is impossible, so one edge of each cycle waits: it carries what its source gave in the
last step, and 0 in the first step. It is the edge that leads back to the node of the
cycle that is nearest to the input, in edges; of equally near nodes, to the first by
name. So spikes enter a recurrent layer without delay, and return through its recurrent
weights one step later, as in NIRTorch.

A Delay node whose units all wait gives earlier input in any case: no edge of a cycle
through it has to wait.
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
        waiting: edges that carry what their source gave in the last step.
    """

    names: tuple[str, ...]
    waiting: frozenset[Edge]


def step_order(
    edges: Sequence[Edge], start: str, late: Iterable[str] = ()
) -> StepOrder:
    """Order all nodes that `start` leads to.

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
    waiting = _cut_cycles(needing, distance)
    sorter: TopologicalSorter[str] = TopologicalSorter({start: ()})
    for name in distance:
        sorter.add(name)
        for target in sorted(needing[name]):
            sorter.add(target, name)
    for source, target in waiting:
        # The target runs first, and finds the source's output of the last step.
        if source != target:
            sorter.add(source, target)
    return StepOrder(tuple(sorter.static_order()), frozenset(waiting))


def _cut_cycles(needing: dict[str, set[str]], distance: Mapping[str, int]) -> set[Edge]:
    """Remove one edge of each cycle from `needing`, and return these edges."""
    # A node of a cycle is nearest to the input only if some edge within the cycle leads
    # to it from a node that is as far away, or farther.
    candidates = {
        target
        for source, targets in needing.items()
        for target in targets
        if distance[source] >= distance[target]
    }
    removed: set[Edge] = set()
    # Nearest first: after a node, no cycle passes through it any more, so the next one
    # that is in a cycle is the nearest of that cycle.
    for entry in sorted(candidates, key=lambda name: (distance[name], name)):
        for source in _distances(needing, entry):
            if entry in needing[source]:
                needing[source].remove(entry)
                removed.add((source, entry))
    return removed


def _distances(following: Mapping[str, Iterable[str]], start: str) -> dict[str, int]:
    """Count the edges from `start` to each node it leads to, by the shortest path.

    `start` itself is among them if it is in a cycle.
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
