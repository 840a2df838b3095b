"""A batch of samples on its way through a planned network: where nodes find what others give.

Samples go sixteen abreast (kernels/structures.py). What a node gives in a step is an array and,
where somebody needs it, a list of the units that give something (`Given`); what arrives at one is
an array. An edge that waits needs no memory of its own: its target takes its step before its source
does, and finds there what the step before has left.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling.emit import LANES
from spikejoule.encoding.events import EventList
from spikejoule.graphs.constants import Constants
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.counts import KINDS, Counts
from spikejoule.graphs.kernels import lists
from spikejoule.graphs.kernels.structures import Given
from spikejoule.graphs.network import Node, Output, Waiting
from spikejoule.graphs.plan import NEEDS_UNITS, Plan

Array = NDArray[Any]
Action = Callable[[int], object]
"""Something that is done in a step, which it is told."""


class Batch:
    """Some samples, with what each node gives in the present step and what was counted so far.

    Attributes:
        plan, constants, conventions: of the network.
        events: spikes of the input, of all samples.
        first, size: which samples these are; B blocks of LANES, of which the last has room left.
        counts: by kind and node, int64 [B, LANES].
        arrays: by node, what it gives, real [B, n, LANES]; none for nodes of spikes and the output.
        given: by node, the same with its list; none where nobody needs one. A copy for a node of
            sums that is its own source.
        output: what the output received, int64 or float64 [B, n, LANES].
        output_spikes: see `GraphRun`.
    """

    output: Array
    output_spikes: bool

    def __init__(
        self,
        plan: Plan,
        constants: Constants,
        conventions: Conventions,
        events: EventList,
        samples: slice,
        dtype: np.dtype[Any],
    ) -> None:
        self.plan, self.constants, self.conventions = plan, constants, conventions
        self.events, self.dtype = events, dtype
        self.first = samples.start
        self.size = min(samples.stop, events.n_samples) - samples.start
        self.n_blocks = -(-self.size // LANES)
        self.counts: dict[str, dict[str, Counts]] = {kind: {} for kind in KINDS}
        self.arrays: dict[str, Array] = {}
        self.given: dict[str, Given] = {}
        self._alike: list[tuple[Counts, Counts, int]] = []
        for node in plan.nodes:
            self._make_room(node)

    def zeros(self, n_units: int) -> Array:
        """Real [B, n, LANES]."""
        return np.zeros((self.n_blocks, n_units, LANES), self.dtype)

    def _make_room(self, node: Node) -> None:
        """The array or the list that others find a node's step in."""
        spikes = node.name in self.plan.spiking
        if not spikes and not isinstance(node, Output):
            self.arrays[node.name] = self.zeros(node.n_out)
        reads_units = [isinstance(one, NEEDS_UNITS) for one in self.plan.consumers_of(node.name)]
        if spikes or isinstance(node, Waiting) or any(reads_units):
            n_blocks, n_units = self.n_blocks, node.n_out
            # Who adds up what it gave the step before does not begin its sums in the same place.
            adds_own = isinstance(node, NEEDS_UNITS) and node.name in self.plan.sources[node.name]
            self.given[node.name] = Given(
                self.zeros(n_units) if spikes or adds_own else self.arrays[node.name],
                np.zeros((n_blocks, n_units), np.uint8),
                np.zeros((n_blocks, n_units + 1), np.int32),
                np.zeros(n_blocks, np.int64),
                np.zeros((n_blocks, LANES), np.int64),
            )
            self.counts["spikes" if spikes else "values"][node.name] = self.given[node.name].totals

    def givens(self, node: Node) -> list[Given]:
        """What each source of a node gives."""
        return [self.given[source] for source in self.plan.sources[node.name]]

    def arriving(self, node: Node) -> tuple[Array, list[Action]]:
        """The array in which what a node's sources give is added up, and how."""
        sources = self.plan.sources[node.name]
        if len(sources) == 1 and sources[0] in self.arrays:
            return self.arrays[sources[0]], []
        sums = self.zeros(node.n_in)

        def gather(step: int) -> None:
            sums.fill(0)
            for source in sources:
                if source in self.arrays:
                    np.add(sums, self.arrays[source], out=sums)
                else:
                    lists.add_given(self.given[source], sums)

        return sums, [gather]

    def count(self, kind: str, name: str) -> Counts:
        """Where a kind of operation is counted, int64 [B, LANES]."""
        return self.counts[kind].setdefault(name, np.zeros((self.n_blocks, LANES), np.int64))

    def by_sample(self, values: Array) -> Array:
        """Values [B, ..., LANES] as [samples, ...]."""
        apart = np.moveaxis(values, -1, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self.size]

    def tallies(self, node: Node, of_spikes: str, of_values: str) -> list[Action]:
        """Counting what arrives, each edge as the kind of operation that its source makes it.

        Where all units have the same fan-out, `count_alike` does it from what was given in all.
        """
        actions: list[Action] = []
        fan_out = self.plan.fan_outs[node.name]
        for source, given in zip(self.plan.sources[node.name], self.givens(node), strict=True):
            total = self.count(of_spikes if source in self.plan.spiking else of_values, node.name)
            if np.ptp(fan_out) or (source, node.name) in self.plan.waiting:
                actions.append(partial(tally, given, fan_out, total))
            else:
                self._alike.append((total, given.totals, int(fan_out[0])))
        return actions

    def count_alike(self) -> None:
        """After the last step."""
        for total, given, fan_out in self._alike:
            total += fan_out * given


def tally(given: Given, fan_out: Counts, total: Counts, step: int) -> None:
    """Count what is given in the present step, each unit as often as its fan-out."""
    lists.tally(given, fan_out, total)
