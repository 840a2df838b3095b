"""What a run of a graph computes with: a plan for all batches, and arrays of each."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.counts.records import NodeCounts
from spikejoule.encoding.events import EventList
from spikejoule.network import nodes
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.conventions import Conventions, delay_steps, dynamics_of
from spikejoule.nir.kernels import stepping
from spikejoule.nir.kernels.stepping import Signals, Slide

Array = NDArray[Any]
Counts = NDArray[np.int64]


class Plan:
    """What all batches of a run share, prepared before the first step.

    Attributes:
        network, conventions, dtype: of the run.
        events: the spikes of the input.
        fan_out: by name of a connection or pooling, the synapses or windows that each
            of its input units reaches, int64 [n_in].
        adding: by name of a connection or pooling, what adds the signals of a source to
            its sums.
        delays: by name of a delay, the steps of each unit, int64 [n].
        dynamics: constants of neurons, in the type of the run.

    Raises:
        ParameterError: see `dynamics_of` and `delay_steps`.
    """

    def __init__(
        self,
        network: ImportedGraph,
        conventions: Conventions,
        events: EventList,
        dtype: DTypeLike,
    ) -> None:
        self.network = network
        self.conventions = conventions
        self.events = events
        self.dtype = np.dtype(dtype)
        self.fan_out: dict[str, Counts] = {}
        self.adding: dict[str, Callable[..., None]] = {}
        for node in (*network.connections, *network.of(nodes.Pooling)):
            self.fan_out[node.name] = node.fan_out(bool(conventions.pruned))
            self.adding[node.name] = self._adding_of(node)
        self.delays = {
            node.name: delay_steps(node, conventions)
            for node in network.of(nodes.Delay)
        }
        self.dynamics = {
            node.name: dynamics_of(node, conventions, self.dtype)
            for node in network.of(nodes.Neurons)
        }

    def sends_values(self, node: nodes.Node) -> bool:
        """Whether a node sends numbers that are counted as values."""
        if node.name in self.network.spiking:
            return False
        readers = self.network.readers_of(node.name)
        return isinstance(node, nodes.Delay) or any(
            isinstance(reader, nodes.BY_UNIT) for reader in readers
        )

    def is_listed(self, node: nodes.Node) -> bool:
        """Whether the active units of a node are listed: for its readers, or to count.

        A list costs a pass over all units, so nodes that need none have none.
        """
        is_average = isinstance(node, nodes.Pooling) and node.average
        is_spiking = node.name in self.network.spiking
        return is_spiking or is_average or self.sends_values(node)

    def _adding_of(self, node: nodes.Connection | nodes.Pooling) -> Callable[..., None]:
        if isinstance(node, nodes.Pooling):
            return partial(stepping.add_pooling, slide=_slide(node))
        if isinstance(node, nodes.Dense):
            weights = np.ascontiguousarray(node.weight.T, self.dtype)
            return partial(stepping.add_dense, weights=weights)
        # From [C_out, C_in / groups, height, width] to [C_in, height * width, C_out /
        # groups]: the weights of a vector of output channels are next to each other.
        by_group = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
        channels_last = np.moveaxis(by_group, 1, -1)
        n_channels = channels_last.shape[-1]
        weights = channels_last.reshape(node.in_shape[0], -1, n_channels)
        weights = np.ascontiguousarray(weights, self.dtype)
        return partial(stepping.add_windows, slide=_slide(node), weights=weights)


def _slide(node: nodes.Convolution | nodes.Pooling) -> Slide:
    """Find the units under the window of a node at each of its places."""
    rows = node.windows.inputs(node, 0)[:, None, :, None]
    columns = node.windows.inputs(node, 1)[None, :, None, :]
    is_inside = (rows >= 0) & (columns >= 0)
    units = np.where(is_inside, rows * node.in_shape[2] + columns, -1)
    n_places = math.prod(node.out_shape[1:])
    units = units.reshape(n_places, -1).astype(np.int32)
    # Units inside first, in their order: a stable sort by "is outside".
    taps = np.argsort(units < 0, axis=1, kind="stable")
    return Slide(
        units=np.take_along_axis(units, taps, axis=1),
        taps=taps.astype(np.int32),
        counts=(units >= 0).sum(axis=1),
    )


Step = Callable[[], None]
"""A node's part of a step."""


class Batch:
    """Some samples: the signals of all nodes in the present step, and counts so far.

    Attributes:
        plan: what all batches share.
        first, size: the samples, in blocks of LANES, of which the last may have room
            left.
        n_blocks: B.
        step: number of the present step.
        signals: of each node, by name.
        at_end: what is done at the end of a step.
        output: what the output received, int64 or float64 [B, n, LANES].
    """

    def __init__(self, plan: Plan, first: int, size: int) -> None:
        self.plan = plan
        self.first = first
        self.size = min(size, plan.events.n_samples - first)
        self.step = 0
        self.n_blocks = -(-self.size // LANES)
        self.signals = {
            name: self._silence_of(node) for name, node in plan.network.nodes.items()
        }
        self.at_end: list[Step] = []
        kind = np.float64 if plan.network.answer is None else np.int64
        self.output: Array = np.zeros(
            (self.n_blocks, plan.network.output.n_out, LANES), kind
        )

    def zeros(self, n_units: int) -> Array:
        """Make a real array [B, n, LANES] of zeros."""
        return np.zeros((self.n_blocks, n_units, LANES), self.plan.dtype)

    def _silence_of(self, node: nodes.Node) -> Signals:
        """Make the signals of a node before the first step."""
        n_units = 0 if isinstance(node, nodes.Output) else node.n_out
        n_listed = node.n_out if self.plan.is_listed(node) else 0
        return Signals(
            amounts=self.zeros(n_units),
            active=np.zeros((self.n_blocks, n_listed), np.uint8),
            units=np.zeros((self.n_blocks, n_listed + 1), np.int32),
            counts=np.zeros(self.n_blocks, np.int64),
            totals=np.zeros((self.n_blocks, n_listed, LANES), np.int32),
        )

    def sources(self, node: nodes.Node) -> list[Signals]:
        """Return the signals of each source of a node."""
        names = self.plan.network.sources[node.name]
        return [
            self._in_last_step(name) if name == node.name else self.signals[name]
            for name in names
        ]

    def _in_last_step(self, name: str) -> Signals:
        """Return what a node sent in the last step, which it reads while it sends."""
        signals = self.signals[name]
        last = Signals(*(array.copy() for array in signals))

        def keep() -> None:
            for old, new in zip(last, signals, strict=True):
                np.copyto(old, new)

        self.at_end.append(keep)
        return last

    def arriving(self, node: nodes.Node) -> Callable[[], Array]:
        """Return a function that sums up what arrives at a node in the present step.

        The sums are real [B, n, LANES], always in the same array.
        """
        amounts = [signals.amounts for signals in self.sources(node)]
        # The array of a single source is read in place.
        is_sum = len(amounts) > 1
        sums = self.zeros(node.n_in) if is_sum else amounts[0]

        def collect() -> Array:
            if is_sum:
                sums.fill(0)
                for sent in amounts:
                    np.add(sums, sent, out=sums)
            return sums

        return collect

    def by_sample(self, values: Array) -> Array:
        """Return values [B, ..., LANES] as [samples, ...]."""
        lanes_first = np.moveaxis(values, -1, 1)
        return lanes_first.reshape(-1, *lanes_first.shape[2:])[: self.size]

    def counts_of(self, node: nodes.Node) -> NodeCounts:
        """Return the counts of a node after the last step, int64 [samples].

        They are how often its units sent something, and how many of its synapses or
        windows were reached.
        """
        network = self.plan.network
        once = np.ones(node.n_out, np.int64)
        counts: dict[str, Counts] = {}
        if node.name in network.spiking:
            counts["spikes"] = self._total(node.name, once)
        elif self.plan.sends_values(node):
            counts["values"] = self._total(node.name, once)
        if isinstance(node, nodes.Pooling) and node.average:
            counts["multiplications"] = self._total(node.name, once)
        for source in network.sources[node.name]:
            is_spiking = source in network.spiking
            if isinstance(node, nodes.Scale):
                kind = "multiplications"
                reached = np.full(node.n_in, not is_spiking, np.int64)
            elif isinstance(node, nodes.Pooling):
                kind = "additions"
                reached = self.plan.fan_out[node.name]
            elif isinstance(node, nodes.Connection):
                kind = "events" if is_spiking else "macs"
                reached = self.plan.fan_out[node.name]
            else:
                continue
            waits = (source, node.name) in network.waiting
            counts[kind] = counts.get(kind, 0) + self._total(source, reached, waits)
        return NodeCounts(**counts)

    def _total(self, source: str, reached: Counts, waits: bool = False) -> Counts:
        """Sum how often each unit sent something times what it reaches, [samples].

        Args:
            source: name of a listed node.
            reached: int64 [n].
            waits: whether a step's spikes arrive in the next step: then those of the
                last step have not arrived.
        """
        signals = self.signals[source]
        times = signals.totals
        if waits:
            times = times - (signals.amounts != 0)
        return self.by_sample(np.einsum("u,bul->bl", reached, times))
