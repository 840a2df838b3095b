"""The order in which the nodes of a network take a step, and which edges wait for the next one.

In a step every node needs what its sources give in the same step. Around a cycle that is
impossible, so one edge of each cycle gives what its source gave the step before, and 0 in the first
step. It is the edge that closes the cycle: seen from the input, the one that leads back to a node
through which its source was reached. So spikes go into a recurrent layer without a delay, and from
it through its recurrent weights back into it one step later, as NIRTorch does it. Where a cycle can
be entered at one node alone, no other choice leads back; where at several, the one fewer edges away
from the input counts as the entry, and of equals the first by name.

A Delay node of a step or more gives what came before in any case: no edge beside it waits.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Edge = tuple[str, str]


@dataclass(frozen=True)
class Order:
    """An order of nodes.

    Attributes:
        names: every node that is reached, each after all that it needs in the same step.
        waiting: the edges that give what their source gave the step before.
    """

    names: tuple[str, ...]
    waiting: frozenset[Edge]


def order_of(edges: Sequence[Edge], start: str, late: Iterable[str] = ()) -> Order:
    """The order of all nodes that `start` leads to.

    Args:
        edges: of the network.
        start: the input.
        late: nodes that need nothing of the same step.
    """
    following = _sorted_targets(edges, start)
    late_nodes = set(late)
    following = {
        source: [target for target in targets if target not in late_nodes]
        for source, targets in following.items()
    }
    waiting: set[Edge] = set()
    finished: list[str] = []
    state: dict[str, str] = {}
    # The last root finishes last, and so comes first.
    for root in (*sorted(late_nodes), start):
        if root in state:
            continue
        state[root] = "open"
        stack: list[tuple[str, Iterator[str]]] = [(root, iter(following.get(root, ())))]
        while stack:
            name, targets = stack[-1]
            for target in targets:
                if state.get(target) == "open":
                    waiting.add((name, target))
                elif target not in state:
                    state[target] = "open"
                    stack.append((target, iter(following.get(target, ()))))
                    break
            else:
                state[name] = "done"
                finished.append(name)
                stack.pop()
    return Order(tuple(reversed(finished)), frozenset(waiting))


def _sorted_targets(edges: Sequence[Edge], start: str) -> dict[str, list[str]]:
    """The targets of each source, the nearest to `start` first, of equals by name."""
    following: dict[str, list[str]] = {}
    for source, target in edges:
        following.setdefault(source, []).append(target)
    distance = _distances(following, start)
    for targets in following.values():
        targets.sort(key=lambda name: (distance.get(name, len(distance)), name))
    return following


def _distances(following: Mapping[str, Sequence[str]], start: str) -> dict[str, int]:
    """Edges from `start` to each node, by the shortest way."""
    distance, pending = {start: 0}, deque([start])
    while pending:
        name = pending.popleft()
        for target in following.get(name, ()):
            if target not in distance:
                distance[target] = distance[name] + 1
                pending.append(target)
    return distance
