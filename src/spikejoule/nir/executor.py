"""Running a graph on event lists, batches of samples side by side.

Samples go sixteen abreast (kernels/stepping.py). What a node gives in a step is an array and,
where somebody needs it, a list of the units that give something (`Given`); what arrives at one is
an array. An edge that waits needs no memory of its own: its target takes its step before its source
does, and finds there what the step before has left.

Fully connected nodes and convolutions multiply what gives something to any of the sixteen samples.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
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
        engine: ``event`` where the kernels of the event engine ran all of it, else ``graph``.
        output: what the output received, summed over the steps: spikes of each unit, int64
            [N, n]; values, float64 [N, n].
        recorded: the spikes of the nodes that were asked for.
    """

    network: ImportedGraph
    conventions: Conventions
    engine: str
    output: NDArray[np.int64] | NDArray[np.float64]
    recorded: Mapping[str, EventList]

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output with the most spikes, int64 [N]; -1, no answer, where several have as many.

        None for an output of values.
        """
        if self.network.answer is None:
            return None
        is_most = self.output == self.output.max(axis=1, keepdims=True)
        return np.where(is_most.sum(axis=1) == 1, self.output.argmax(axis=1), -1)


Outcome = tuple[dict[str, NodeCounts], Array, Events]
"""Counts of each node; the output, and recorded spikes, as `GraphRun` has them."""


class Tally(NamedTuple):
    """What is counted of the units of a node that give something.

    Attributes:
        source: name of the node.
        reached: how much a unit counts for, int64 [n].
        waits: whether what it gives in a step counts in the next one.
    """

    source: str
    reached: Counts
    waits: bool = False


@dataclass
class NodeTallies:
    """Of what the counts of a node are sums, by the fields of `NodeCounts`; empty for None."""

    spikes: list[Tally] = field(default_factory=list)
    values: list[Tally] = field(default_factory=list)
    events: list[Tally] = field(default_factory=list)
    macs: list[Tally] = field(default_factory=list)
    additions: list[Tally] = field(default_factory=list)
    multiplications: list[Tally] = field(default_factory=list)

    @property
    def all(self) -> Iterator[Tally]:
        """All of them."""
        return chain(
            self.spikes, self.values, self.events, self.macs, self.additions, self.multiplications
        )


class Prepared:
    """What all batches of a run share.

    Attributes:
        network, conventions, dtype: of the run.
        events: spikes of each `Input`.
        n_samples, n_steps: of them.
        tallies: what is counted at each node.
        listed: nodes of which that needs to know which units give something.
        delays: steps of each unit of a delay, int64 [n], by its name.
        adding: of each connection and pooling, by name: the kernel that adds up what arrives, what
            it takes between that and the sums, in the type of the run, and the biases [n_out, 1]
            with which these begin, or 0.
        dynamics: of neurons, in the type of the run, by name.

    Raises:
        ParameterError: as `dynamics_of` and `delay_steps`.
    """

    def __init__(
        self, network: ImportedGraph, conventions: Conventions, events: Events, dtype: DTypeLike
    ) -> None:
        self.network, self.conventions, self.events = network, conventions, events
        of_input = events[network.input.name]
        self.n_samples, self.n_steps = of_input.n_samples, of_input.n_steps
        self.dtype = np.dtype(dtype)
        self.delays = {one.name: delay_steps(one, conventions) for one in network.of(nodes.Delay)}
        self.tallies = {name: self._tallies_of(node) for name, node in network.nodes.items()}
        self.listed = {tally.source for of_node in self.tallies.values() for tally in of_node.all}
        summing = (*network.connections, *network.of(nodes.Pooling))
        self.adding = {one.name: self._adding_of(one) for one in summing}
        self.dynamics = {
            one.name: dynamics_of(one, conventions, self.dtype) for one in network.of(nodes.Neurons)
        }

    def _tallies_of(self, node: nodes.Node) -> NodeTallies:
        network, found = self.network, NodeTallies()
        each = np.ones(node.n_out, np.int64)
        if node.name in network.spiking:
            found.spikes.append(Tally(node.name, each))
        elif isinstance(node, nodes.Delay) or any(
            isinstance(reader, nodes.BY_UNIT) for reader in network.readers_of(node.name)
        ):
            found.values.append(Tally(node.name, each))
        if isinstance(node, nodes.Pooling) and node.average:
            found.multiplications.append(Tally(node.name, each))
        for source in network.sources[node.name]:
            is_spiking = source in network.spiking
            waits = (source, node.name) in network.waiting
            if isinstance(node, nodes.Scale):
                reached = np.full(node.n_in, not is_spiking, np.int64)
                found.multiplications.append(Tally(source, reached, waits))
            elif isinstance(node, nodes.Pooling):
                found.additions.append(Tally(source, node.fan_out(), waits))
            elif isinstance(node, nodes.Connection):
                entering = found.events if is_spiking else found.macs
                reached = node.fan_out(bool(self.conventions.pruned))
                entering.append(Tally(source, reached, waits))
        return found

    def _adding_of(
        self, node: nodes.Connection | nodes.Pooling
    ) -> tuple[Any, tuple[Any, ...], Any]:
        if isinstance(node, nodes.Pooling):
            return stepping.add_pooling, (_slide(node),), 0
        bias: Any = 0
        if node.bias is not None:
            bias = np.repeat(node.bias.astype(self.dtype), node.n_out // node.bias.size)[:, None]
        if isinstance(node, nodes.Dense):
            return stepping.add_dense, (np.ascontiguousarray(node.weight.T, self.dtype),), bias
        of_group = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
        by_channel = np.moveaxis(of_group, 1, -1)  # [groups, C_in / groups, kernel, channels]
        weights = by_channel.reshape(node.in_shape[0], -1, by_channel.shape[-1])
        weights = np.ascontiguousarray(weights, self.dtype)
        return stepping.add_windows, (_slide(node), weights), bias


def _slide(node: nodes.Convolution | nodes.Pooling) -> Slide:
    """How the window of a node slides."""
    windows, along = node.windows, []
    for axis, size in enumerate(node.in_shape[1:]):
        first = np.arange(node.out_shape[1 + axis]) * windows.stride[axis] - windows.padding[axis]
        at = first[:, None] + np.arange(windows.kernel[axis]) * windows.dilation[axis]
        along.append(np.where((at >= 0) & (at < size), at, -1))
    y, x = along[0][:, None, :, None], along[1][None, :, None, :]
    units = np.where((y >= 0) & (x >= 0), y * node.in_shape[2] + x, -1)
    units = units.reshape(math.prod(node.out_shape[1:]), -1).astype(np.int32)
    taps = np.argsort(units < 0, axis=1, kind="stable")
    inside = np.take_along_axis(units, taps, axis=1)
    return Slide(inside, taps.astype(np.int32), (units >= 0).sum(axis=1))


Action = Callable[[], object]
"""Something that is done in a step."""


class Batch:
    """Some samples, with what each node gives in the present step and what was counted so far.

    Attributes:
        run: what all batches share.
        first, size: which samples these are; B blocks of LANES, of which the last has room left.
        step: the present one.
        given: by node, what it gives; its list is kept where somebody needs it.
        later: what is done at the end of a step.
        output: what the output received, int64 or float64 [B, n, LANES].
    """

    def __init__(self, run: Prepared, samples: slice) -> None:
        self.run, self.first, self.step = run, samples.start, 0
        self.size = min(samples.stop, run.n_samples) - samples.start
        self.n_blocks = -(-self.size // LANES)
        self.given = {one.name: self._room_of(one) for one in run.network.nodes.values()}
        self.later: list[Action] = []
        kind = np.float64 if run.network.answer is None else np.int64
        self.output: Array = np.zeros((self.n_blocks, run.network.output.n_out, LANES), kind)

    def zeros(self, n_units: int) -> Array:
        """Real [B, n, LANES]."""
        return np.zeros((self.n_blocks, n_units, LANES), self.run.dtype)

    def _room_of(self, node: nodes.Node) -> Given:
        listed = node.n_out * (node.name in self.run.listed)
        return Given(
            self.zeros(0 if isinstance(node, nodes.Output) else node.n_out),
            np.zeros((self.n_blocks, listed), np.uint8),
            np.zeros((self.n_blocks, listed + 1), np.int32),
            np.zeros(self.n_blocks, np.int64),
            np.zeros((self.n_blocks, listed, LANES), np.int32),
        )

    def sources(self, node: nodes.Node) -> list[Given]:
        """What each source of a node gives."""
        return [self.given[source] for source in self.run.network.sources[node.name]]

    def arriving(self, node: nodes.Node) -> tuple[Array, list[Action]]:
        """The array in which what a node's sources give is added up, and how."""
        amounts = [given.amounts for given in self.sources(node)]
        if len(amounts) == 1:
            return amounts[0], []
        sums = self.zeros(node.n_in)
        adding = [partial(np.add, sums, one, out=sums) for one in amounts]
        return sums, [partial(sums.fill, 0), *adding]

    def giving(self, node: nodes.Node) -> tuple[Array, list[Action]]:
        """The array in which a node adds up what it gives, and what is done when it has."""
        given, done = self.given[node.name], list[Action]()
        sums = given.amounts
        if node.name in self.run.network.sources[node.name]:  # which takes its last sums meanwhile
            sums = self.zeros(node.n_out)
            done.append(partial(np.copyto, given.amounts, sums))
        if given.active.size:
            done.append(partial(stepping.take_nonzero, given))
        return sums, done

    def by_sample(self, values: Array) -> Array:
        """Values [B, ..., LANES] as [samples, ...]."""
        apart = np.moveaxis(values, -1, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self.size]

    def counts(self) -> dict[str, NodeCounts]:
        """After the last step, of each node, int64 [samples]: how often units gave something, and
        how many synapses or windows they reached then."""
        return {
            name: NodeCounts(
                spikes=self._counted(tallies.spikes),
                values=self._counted(tallies.values),
                events=self._counted(tallies.events),
                macs=self._counted(tallies.macs),
                additions=self._counted(tallies.additions),
                multiplications=self._counted(tallies.multiplications),
            )
            for name, tallies in self.run.tallies.items()
        }

    def _counted(self, tallies: Sequence[Tally]) -> Counts | None:
        if not tallies:
            return None
        found = np.zeros(self.size, np.int64)
        for source, reached, waits in tallies:
            given = self.given[source]
            totals = given.totals - (given.amounts != 0) if waits else given.totals
            found += self.by_sample(np.einsum("u,bul->bl", reached, totals))
        return found


def actions_of(batch: Batch) -> list[Action]:
    """All that is done in a step, in order."""
    network = batch.run.network
    now = [each for one in network.nodes.values() for each in _MAKE[type(one)](batch, one)]
    return now + batch.later


def _input(batch: Batch, node: nodes.Input) -> list[Action]:
    events, given = batch.run.events[node.name], batch.given[node.name]
    sources, offsets, n_steps = events.sources, events.offsets, events.n_steps
    first = batch.first * n_steps
    size = batch.size
    return [
        lambda: stepping.take_events(sources, offsets, first + batch.step, n_steps, size, given)
    ]


def _connection(batch: Batch, node: nodes.Connection | nodes.Pooling) -> list[Action]:
    add, how, bias = batch.run.adding[node.name]
    sums, done = batch.giving(node)
    adding = [partial(add, given, *how, sums) for given in batch.sources(node)]
    if isinstance(node, nodes.Pooling) and node.average:
        fraction = sums.dtype.type(1 / math.prod(node.windows.kernel))
        adding.append(partial(np.multiply, sums, fraction, out=sums))
    return [partial(np.copyto, sums, bias), *adding, *done]


def _scale(batch: Batch, node: nodes.Scale) -> list[Action]:
    (arriving, actions), (sums, done) = batch.arriving(node), batch.giving(node)
    scale = node.scale.astype(batch.run.dtype)[:, None]
    return [*actions, partial(np.multiply, arriving, scale, out=sums), *done]


def _neurons(batch: Batch, node: nodes.Neurons) -> list[Action]:
    arriving, actions = batch.arriving(node)
    given, dynamics = batch.given[node.name], batch.run.dynamics[node.name]
    potential = batch.zeros(node.n_out) + dynamics.initial[:, None]
    current = batch.zeros(node.n_out) if node.has_current else arriving
    membrane, subtracts = dynamics.membrane, batch.run.conventions.reset == "subtract"
    moving: list[Action] = [partial(stepping.integrate, membrane, current, potential)]
    if node.spikes:
        fire = stepping.integrate_and_fire
        moving = [partial(fire, membrane, subtracts, current, potential, given)]
    else:  # which give their potential
        sums, done = batch.giving(node)
        moving += [partial(np.copyto, sums, potential), *done]
    if not node.has_current:
        return [*actions, *moving]
    keep, gain = dynamics.keep_current, dynamics.gain_current
    follow = partial(stepping.follow, keep, gain, arriving, current)
    if batch.run.conventions.current == "next_step":
        return [*actions, *moving, follow]
    return [*actions, follow, *moving]


def _threshold(batch: Batch, node: nodes.Threshold) -> list[Action]:
    (arriving, actions), (sums, done) = batch.arriving(node), batch.giving(node)
    threshold = node.threshold.astype(batch.run.dtype)
    limit = limit_of(threshold, batch.run.conventions.comparison)[:, None]
    return [*actions, partial(np.greater_equal, arriving, limit, out=sums), *done]


def _delay(batch: Batch, node: nodes.Delay) -> list[Action]:
    """A ring of what arrived; what needs nothing of the same step is stored at its end.

    What waits longer than the samples last is never given, and needs no place.
    """
    (arriving, actions), (sums, done) = batch.arriving(node), batch.giving(node)
    steps = np.minimum(batch.run.delays[node.name], batch.run.n_steps)
    depth = int(steps.max()) + 1
    ring, units = np.zeros((depth, *sums.shape), batch.run.dtype), np.arange(node.n_out)

    def store() -> None:
        ring[batch.step % depth] = arriving

    def give() -> None:
        sums[:] = ring[(batch.step - steps) % depth, :, units].swapaxes(0, 1)

    if steps.min() == 0:
        return [*actions, store, give, *done]
    batch.later += [*actions, store]
    return [give, *done]


def _output(batch: Batch, node: nodes.Output) -> list[Action]:
    arriving, actions = batch.arriving(node)
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

    Returns:
        see `Outcome`.
    """
    prepared = Prepared(network, conventions, events, dtype)
    n_samples, n_steps = prepared.n_samples, prepared.n_steps
    n_units = sum(node.n_in + node.n_out for node in network.nodes.values())
    for steps in prepared.delays.values():
        n_units += steps.size * min(int(steps.max()), n_steps)
    # A thread for which a step is little work waits for the others' Python, and slows them down.
    most = min(n_samples * n_units // _THREAD_NUMBERS, _ALL_NUMBERS // (LANES * n_units))
    threads = max(1, min(numba.get_num_threads(), most))
    size = min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, -(-n_samples // threads))
    size = LANES * max(1, -(-size // LANES))

    def run(first: int) -> Outcome:
        return _run(Batch(prepared, slice(first, first + size)), record)

    firsts = range(0, n_samples, size)
    if threads == 1:  # a thread to start takes longer than many a run
        outcomes = list(map(run, firsts))
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            outcomes = list(pool.map(run, firsts))
    of_batches, outputs, spikes = zip(*outcomes, strict=True)
    counts = {
        name: NodeCounts.of_batches([batch[name] for batch in of_batches]) for name in network.nodes
    }
    recorded = {name: concatenate_samples([one[name] for one in spikes]) for name in record}
    return counts, np.concatenate(outputs), recorded


def _run(batch: Batch, record: Sequence[str]) -> Outcome:
    """Take all steps."""
    actions, n_steps = actions_of(batch), batch.run.n_steps
    by_name = batch.run.network.nodes
    marks = {
        name: np.zeros((batch.size, n_steps, by_name[name].n_out), np.bool_) for name in record
    }
    for batch.step in range(n_steps):
        for action in actions:
            action()
        for name in record:
            marks[name][:, batch.step] = batch.by_sample(batch.given[name].amounts)
    recorded = {name: EventList.from_dense(of_node) for name, of_node in marks.items()}
    return batch.counts(), batch.by_sample(batch.output), recorded
