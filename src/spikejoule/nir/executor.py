"""Running a graph on event lists, batches of samples side by side.

Samples go sixteen abreast (kernels/stepping.py). What a node gives in a step is an
array and, where another node needs it, a list of the units that give something
(`Given`); what arrives at one is an array. An edge that waits needs no memory of its
own: its target takes its step before its source does, and finds there what the step
before has left.

Fully connected nodes and convolutions multiply what gives something to any of the
sixteen samples.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.network import nodes
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.conventions import Conventions, delay_steps, dynamics_of, limit_of
from spikejoule.nir.kernels import stepping
from spikejoule.nir.kernels.stepping import Given, Slide

Array = NDArray[Any]
Counts = NDArray[np.int64]
Events = Mapping[str, EventList]
"""Spikes of all samples by the name of a node."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphRun(Activity):
    """N samples that ran through a graph for T steps.

    Attributes:
        conventions: how.
        engine: ``event`` where the kernels of the event engine ran all of it, else
            ``graph``.
        output: what the output received, summed over the steps: spikes of each unit,
            int64 [N, n]; values, float64 [N, n].
        recorded: the spikes of the nodes that were asked for.
    """

    network: ImportedGraph
    conventions: Conventions
    engine: str
    output: NDArray[np.int64] | NDArray[np.float64]
    recorded: Mapping[str, EventList]

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output with the most spikes, int64 [N]; -1, no answer, where several have
        as many.

        None for an output of values.
        """
        if self.network.answer is None:
            return None
        is_most = self.output == self.output.max(axis=1, keepdims=True)
        return np.where(is_most.sum(axis=1) == 1, self.output.argmax(axis=1), -1)


class Outcome(NamedTuple):
    """What some samples did.

    Attributes:
        counts: of each node.
        output, recorded: as of `GraphRun`.
    """

    counts: dict[str, NodeCounts]
    output: Array
    recorded: Events


class Adding(NamedTuple):
    """How a connection or a pooling adds up what arrives.

    Attributes:
        kernel: takes what a source gives, the arguments, and the sums.
        arguments: in the type of the run.
        bias: with which the sums begin, [n_out, 1], or 0.
    """

    kernel: Callable[..., None]
    arguments: tuple[Any, ...]
    bias: Any


class Prepared:
    """What all batches of a run share.

    Attributes:
        network, conventions, dtype: of the run.
        events: spikes of each `Input`.
        n_samples, n_steps: of them.
        fan_out: synapses or windows that a unit before a connection or pooling reaches,
            by name.
        delays: steps of each unit of a delay, int64 [n], by its name.
        adding: of each connection and pooling, by name.
        dynamics: of neurons, in the type of the run, by name.

    Raises:
        ParameterError: as `dynamics_of` and `delay_steps`.
    """

    def __init__(
        self,
        network: ImportedGraph,
        conventions: Conventions,
        events: Events,
        dtype: DTypeLike,
    ) -> None:
        self.network = network
        self.conventions = conventions
        self.events = events
        self.dtype = np.dtype(dtype)
        self.n_samples = events[network.input.name].n_samples
        self.n_steps = events[network.input.name].n_steps
        self.delays = {
            node.name: delay_steps(node, conventions)
            for node in network.of(nodes.Delay)
        }
        summing = (*network.connections, *network.of(nodes.Pooling))
        pruned = bool(conventions.pruned)
        self.fan_out = {node.name: node.fan_out(pruned) for node in summing}
        self.adding = {node.name: self._adding_of(node) for node in summing}
        self.dynamics = {
            node.name: dynamics_of(node, conventions, self.dtype)
            for node in network.of(nodes.Neurons)
        }

    def gives_values(self, node: nodes.Node) -> bool:
        """Whether what a node gives is counted as values."""
        if node.name in self.network.spiking:
            return False
        readers = self.network.readers_of(node.name)
        return isinstance(node, nodes.Delay) or any(
            isinstance(reader, nodes.BY_UNIT) for reader in readers
        )

    def is_listed(self, node: nodes.Node) -> bool:
        """Whether it is counted, or another node needs to know, which units give
        something.
        """
        is_average = isinstance(node, nodes.Pooling) and node.average
        return (
            node.name in self.network.spiking or is_average or self.gives_values(node)
        )

    def _adding_of(self, node: nodes.Connection | nodes.Pooling) -> Adding:
        if isinstance(node, nodes.Pooling):
            return Adding(stepping.add_pooling, (_slide(node),), 0)
        bias: Any = 0
        if node.bias is not None:
            bias = np.repeat(
                node.bias.astype(self.dtype), node.n_out // node.bias.size
            )[:, None]
        if isinstance(node, nodes.Dense):
            weights = np.ascontiguousarray(node.weight.T, self.dtype)
            return Adding(stepping.add_dense, (weights,), bias)
        of_group = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
        by_channel = np.moveaxis(
            of_group, 1, -1
        )  # [groups, C_in / groups, kernel, channels]
        weights = by_channel.reshape(node.in_shape[0], -1, by_channel.shape[-1])
        weights = np.ascontiguousarray(weights, self.dtype)
        return Adding(stepping.add_windows, (_slide(node), weights), bias)


def _slide(node: nodes.Convolution | nodes.Pooling) -> Slide:
    """How the window of a node slides."""
    rows = node.windows.inputs(node, 0)[:, None, :, None]
    columns = node.windows.inputs(node, 1)[None, :, None, :]
    units = np.where(
        (rows >= 0) & (columns >= 0), rows * node.in_shape[2] + columns, -1
    )
    units = units.reshape(math.prod(node.out_shape[1:]), -1).astype(np.int32)
    taps = np.argsort(units < 0, axis=1, kind="stable")
    inside = np.take_along_axis(units, taps, axis=1)
    return Slide(inside, taps.astype(np.int32), (units >= 0).sum(axis=1))


Action = Callable[[], object]
"""Something that is done in a step."""


class Batch:
    """Some samples, with what each node gives in the present step and what was counted
    so far.

    Attributes:
        run: what all batches share.
        first, size: which samples these are; B blocks of LANES, of which the last has
        room left.
        step: the present one.
        given: by node, what it gives; its list is kept where another node needs it.
        later: what is done at the end of a step.
        output: what the output received, int64 or float64 [B, n, LANES].
    """

    def __init__(self, run: Prepared, first: int, size: int) -> None:
        self.run = run
        self.first = first
        self.size = min(size, run.n_samples - first)
        self.step = 0
        self.n_blocks = -(-self.size // LANES)
        self.given = {
            name: self._nothing_of(node) for name, node in run.network.nodes.items()
        }
        self.later: list[Action] = []
        kind = np.float64 if run.network.answer is None else np.int64
        self.output: Array = np.zeros(
            (self.n_blocks, run.network.output.n_out, LANES), kind
        )

    def zeros(self, n_units: int) -> Array:
        """Real [B, n, LANES]."""
        return np.zeros((self.n_blocks, n_units, LANES), self.run.dtype)

    def _nothing_of(self, node: nodes.Node) -> Given:
        """What a node gives before the first step."""
        n_units = 0 if isinstance(node, nodes.Output) else node.n_out
        n_listed = node.n_out if self.run.is_listed(node) else 0
        return Given(
            amounts=self.zeros(n_units),
            active=np.zeros((self.n_blocks, n_listed), np.uint8),
            units=np.zeros((self.n_blocks, n_listed + 1), np.int32),
            counts=np.zeros(self.n_blocks, np.int64),
            totals=np.zeros((self.n_blocks, n_listed, LANES), np.int32),
        )

    def sources(self, node: nodes.Node) -> list[Given]:
        """What each source of a node gives."""
        return [self.given[source] for source in self.run.network.sources[node.name]]

    def arriving(self, node: nodes.Node, actions: list[Action]) -> Array:
        """The array in which what a node's sources give is added up, by some more
        actions.
        """
        amounts = [given.amounts for given in self.sources(node)]
        if len(amounts) == 1:
            return amounts[0]
        sums = self.zeros(node.n_in)
        actions.append(partial(sums.fill, 0))
        actions += [partial(np.add, sums, summand, out=sums) for summand in amounts]
        return sums

    def giving(self, node: nodes.Node) -> tuple[Array, list[Action]]:
        """The array in which a node adds up what it gives, and what is done when it
        has.
        """
        given = self.given[node.name]
        done: list[Action] = []
        sums = given.amounts
        if (
            node.name in self.run.network.sources[node.name]
        ):  # which takes its last sums meanwhile
            sums = self.zeros(node.n_out)
            done.append(partial(np.copyto, given.amounts, sums))
        if given.active.size:
            done.append(partial(stepping.take_nonzero, given))
        return sums, done

    def by_sample(self, values: Array) -> Array:
        """Values [B, ..., LANES] as [samples, ...]."""
        apart = np.moveaxis(values, -1, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self.size]

    def counts_of(self, node: nodes.Node) -> NodeCounts:
        """After the last step, int64 [samples]: how often units of a node gave
        something, and how many synapses or windows were reached in it."""
        network = self.run.network
        each = np.ones(node.n_out, np.int64)
        counts: dict[str, Counts] = {}
        if node.name in network.spiking:
            counts["spikes"] = self._total(node.name, each)
        elif self.run.gives_values(node):
            counts["values"] = self._total(node.name, each)
        if isinstance(node, nodes.Pooling) and node.average:
            counts["multiplications"] = self._total(node.name, each)
        for source in network.sources[node.name]:
            is_spiking = source in network.spiking
            if isinstance(node, nodes.Scale):
                kind = "multiplications"
                reached = np.full(node.n_in, not is_spiking, np.int64)
            elif isinstance(node, nodes.Pooling):
                kind = "additions"
                reached = self.run.fan_out[node.name]
            elif isinstance(node, nodes.Connection):
                kind = "events" if is_spiking else "macs"
                reached = self.run.fan_out[node.name]
            else:
                continue
            waits = (source, node.name) in network.waiting
            counts[kind] = counts.get(kind, 0) + self._total(source, reached, waits)
        return NodeCounts(**counts)

    def _total(self, source: str, reached: Counts, waits: bool = False) -> Counts:
        """How often each unit of a source gave something, times what it reaches,
        [samples].

        Args:
            source: name of a listed node.
            reached: int64 [n].
            waits: whether what it gives in a step arrives in the next one.
        """
        given = self.given[source]
        times = given.totals - (given.amounts != 0) if waits else given.totals
        return self.by_sample(np.einsum("u,bul->bl", reached, times))


def _input(batch: Batch, node: nodes.Input) -> list[Action]:
    events = batch.run.events[node.name]
    first = batch.first * events.n_steps

    def take() -> None:
        stepping.take_events(
            events.sources,
            events.offsets,
            first + batch.step,
            events.n_steps,
            batch.size,
            batch.given[node.name],
        )

    return [take]


def _connection(batch: Batch, node: nodes.Connection | nodes.Pooling) -> list[Action]:
    adding = batch.run.adding[node.name]
    sums, done = batch.giving(node)
    actions: list[Action] = [partial(np.copyto, sums, adding.bias)]
    for given in batch.sources(node):
        actions.append(partial(adding.kernel, given, *adding.arguments, sums))
    if isinstance(node, nodes.Pooling) and node.average:
        fraction = sums.dtype.type(1 / math.prod(node.windows.kernel))
        actions.append(partial(np.multiply, sums, fraction, out=sums))
    return [*actions, *done]


def _scale(batch: Batch, node: nodes.Scale) -> list[Action]:
    actions: list[Action] = []
    arriving = batch.arriving(node, actions)
    sums, done = batch.giving(node)
    scale = node.scale.astype(batch.run.dtype)[:, None]
    return [*actions, partial(np.multiply, arriving, scale, out=sums), *done]


def _neurons(batch: Batch, node: nodes.Neurons) -> list[Action]:
    actions: list[Action] = []
    arriving = batch.arriving(node, actions)
    conventions = batch.run.conventions
    dynamics = batch.run.dynamics[node.name]
    membrane = dynamics.membrane
    potential = batch.zeros(node.n_out) + dynamics.initial[:, None]
    current = batch.zeros(node.n_out) if node.has_current else arriving
    moving: list[Action]
    if node.spikes:
        subtracts = conventions.reset == "subtract"
        given = batch.given[node.name]
        fire = stepping.integrate_and_fire
        moving = [partial(fire, membrane, subtracts, current, potential, given)]
    else:  # which give their potential
        sums, done = batch.giving(node)
        integrate = partial(stepping.integrate, membrane, current, potential)
        moving = [integrate, partial(np.copyto, sums, potential), *done]
    if not node.has_current:
        return [*actions, *moving]
    keep = dynamics.keep_current
    follow = partial(stepping.follow, keep, dynamics.gain_current, arriving, current)
    if conventions.current == "next_step":
        return [*actions, *moving, follow]
    return [*actions, follow, *moving]


def _threshold(batch: Batch, node: nodes.Threshold) -> list[Action]:
    actions: list[Action] = []
    arriving = batch.arriving(node, actions)
    sums, done = batch.giving(node)
    threshold = node.threshold.astype(batch.run.dtype)
    limit = limit_of(threshold, batch.run.conventions.comparison)[:, None]
    return [*actions, partial(np.greater_equal, arriving, limit, out=sums), *done]


def _delay(batch: Batch, node: nodes.Delay) -> list[Action]:
    """A ring of what arrived; what needs nothing of the same step is stored at its end.

    What waits longer than the samples last is never given, and needs no place.
    """
    actions: list[Action] = []
    arriving = batch.arriving(node, actions)
    sums, done = batch.giving(node)
    steps = np.minimum(batch.run.delays[node.name], batch.run.n_steps)
    depth = int(steps.max()) + 1
    ring = np.zeros((depth, *sums.shape), batch.run.dtype)
    units = np.arange(node.n_out)

    def store() -> None:
        ring[batch.step % depth] = arriving

    def give() -> None:
        sums[:] = ring[(batch.step - steps) % depth, :, units].swapaxes(0, 1)

    if steps.min() == 0:
        return [*actions, store, give, *done]
    batch.later += [*actions, store]
    return [give, *done]


def _output(batch: Batch, node: nodes.Output) -> list[Action]:
    actions: list[Action] = []
    arriving = batch.arriving(node, actions)
    add = partial(np.add, batch.output, arriving, out=batch.output, casting="unsafe")
    return [*actions, add]


_MAKE: dict[type[nodes.Node], Callable[[Batch, Any], list[Action]]] = {
    nodes.Input: _input,
    nodes.Dense: _connection,
    nodes.Convolution: _connection,
    nodes.Pooling: _connection,
    nodes.Scale: _scale,
    nodes.Neurons: _neurons,
    nodes.Threshold: _threshold,
    nodes.Delay: _delay,
    nodes.Output: _output,
}


_BATCH_NUMBERS = 1 << 22
_ALL_NUMBERS = 1 << 28
"""Of all threads' batches together: 1 GB, unless one block of samples has more."""
_THREAD_NUMBERS = 1 << 19
_MOST_SAMPLES = 4096


def execute(
    network: ImportedGraph,
    conventions: Conventions,
    events: Events,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> Outcome:
    """Run all samples, batches of them on as many threads as the kernels have.

    Args:
        network: a graph, or a part of one with several inputs.
        conventions: checked ones.
        events: spikes of each input.
        dtype: float32, or float64 for exact comparisons.
        record: nodes whose spikes are kept.
    """
    prepared = Prepared(network, conventions, events, dtype)
    n_samples = prepared.n_samples
    n_units = sum(node.n_in + node.n_out for node in network.nodes.values())
    for steps in prepared.delays.values():
        n_units += steps.size * min(int(steps.max()), prepared.n_steps)
    # A thread for which a step is little work waits for the others' Python, and slows
    # them down.
    most = min(
        n_samples * n_units // _THREAD_NUMBERS, _ALL_NUMBERS // (LANES * n_units)
    )
    threads = max(1, min(numba.get_num_threads(), most))
    size = min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, -(-n_samples // threads))
    size = LANES * max(1, -(-size // LANES))

    def run(first: int) -> Outcome:
        return _run(Batch(prepared, first, size), record)

    firsts = range(0, n_samples, size)
    if threads == 1:  # a thread to start takes longer than many a run
        outcomes = list(map(run, firsts))
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            outcomes = list(pool.map(run, firsts))
    return Outcome(
        counts={
            name: NodeCounts.of_batches([outcome.counts[name] for outcome in outcomes])
            for name in network.nodes
        },
        output=np.concatenate([outcome.output for outcome in outcomes]),
        recorded={
            name: concatenate_samples([outcome.recorded[name] for outcome in outcomes])
            for name in record
        },
    )


def _run(batch: Batch, record: Sequence[str]) -> Outcome:
    """Take all steps."""
    network = batch.run.network
    n_steps = batch.run.n_steps
    actions = [
        action
        for node in network.nodes.values()
        for action in _MAKE[type(node)](batch, node)
    ]
    actions += batch.later
    marks = {
        name: np.zeros((batch.size, n_steps, network.nodes[name].n_out), np.bool_)
        for name in record
    }
    for batch.step in range(n_steps):
        for action in actions:
            action()
        for name in record:
            marks[name][:, batch.step] = batch.by_sample(batch.given[name].amounts)
    return Outcome(
        counts={name: batch.counts_of(node) for name, node in network.nodes.items()},
        output=batch.by_sample(batch.output),
        recorded={name: EventList.from_dense(marks[name]) for name in record},
    )
