"""Run a graph on events, one step after another, batches of samples next to each other.

Each node of a batch becomes a function that takes its part of a step (`_STEPS`). All
are called in the order of a step, again and again. They work on arrays that were made
before the first step: a node reads the arrays of its sources and writes its own. An
edge that waits for the next step needs no memory: its target runs before its source,
and finds there what the last step left.

The kernels (kernels/stepping.py) take sixteen samples at a time.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.encoding.counting import clear_class
from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.network import nodes
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.conventions import Conventions, delay_steps, dynamics_of, limit_of
from spikejoule.nir.kernels import stepping
from spikejoule.nir.kernels.stepping import Signals, Slide, Spikes

Array = NDArray[Any]
Counts = NDArray[np.int64]
Events = Mapping[str, EventList]
"""Spikes of all samples by the name of a node."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GraphRun(Activity):
    """N samples that ran through a graph for T steps.

    Attributes:
        conventions: how it ran.
        engine: ``event`` where the event engine ran it, else ``graph``.
        output: what the output received, summed over the steps: spikes of each unit,
            int64 [N, n], or values, float64 [N, n].
        recorded: the spikes of nodes that were asked for.
    """

    network: ImportedGraph
    conventions: Conventions
    engine: str
    output: NDArray[np.int64] | NDArray[np.float64]
    recorded: Events

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output unit with the most spikes, int64 [N]; None for values."""
        return None if self.network.answer is None else clear_class(self.output)


class Outcome(NamedTuple):
    """What some samples did.

    Attributes:
        counts: of each node.
        output, recorded: see `GraphRun`.
    """

    counts: dict[str, NodeCounts]
    output: Array
    recorded: Events


class Prepared:
    """What all batches of a run share.

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
        run: what all batches share.
        first, size: the samples, in blocks of LANES, of which the last may have room
            left.
        n_blocks: B.
        step: number of the present step.
        signals: of each node, by name.
        at_end: what is done at the end of a step.
        output: what the output received, int64 or float64 [B, n, LANES].
    """

    def __init__(self, run: Prepared, first: int, size: int) -> None:
        self.run = run
        self.first = first
        self.size = min(size, run.events.n_samples - first)
        self.step = 0
        self.n_blocks = -(-self.size // LANES)
        self.signals = {
            name: self._silence_of(node) for name, node in run.network.nodes.items()
        }
        self.at_end: list[Step] = []
        kind = np.float64 if run.network.answer is None else np.int64
        self.output: Array = np.zeros(
            (self.n_blocks, run.network.output.n_out, LANES), kind
        )

    def zeros(self, n_units: int) -> Array:
        """Make a real array [B, n, LANES] of zeros."""
        return np.zeros((self.n_blocks, n_units, LANES), self.run.dtype)

    def _silence_of(self, node: nodes.Node) -> Signals:
        """Make the signals of a node before the first step."""
        n_units = 0 if isinstance(node, nodes.Output) else node.n_out
        n_listed = node.n_out if self.run.is_listed(node) else 0
        return Signals(
            amounts=self.zeros(n_units),
            active=np.zeros((self.n_blocks, n_listed), np.uint8),
            units=np.zeros((self.n_blocks, n_listed + 1), np.int32),
            counts=np.zeros(self.n_blocks, np.int64),
            totals=np.zeros((self.n_blocks, n_listed, LANES), np.int32),
        )

    def sources(self, node: nodes.Node) -> list[Signals]:
        """Return the signals of each source of a node."""
        names = self.run.network.sources[node.name]
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
        network = self.run.network
        once = np.ones(node.n_out, np.int64)
        counts: dict[str, Counts] = {}
        if node.name in network.spiking:
            counts["spikes"] = self._total(node.name, once)
        elif self.run.sends_values(node):
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


def _input(batch: Batch, node: nodes.Input) -> Step:
    events = batch.run.events
    spikes = Spikes(events.sources, events.offsets, events.n_steps)
    signals = batch.signals[node.name]

    def step() -> None:
        stepping.take_events(spikes, batch.first, batch.size, batch.step, signals)

    return step


def _connection(batch: Batch, node: nodes.Connection | nodes.Pooling) -> Step:
    add = batch.run.adding[node.name]
    sources = batch.sources(node)
    sums = batch.signals[node.name].amounts
    bias: Any = 0
    fraction: Any = None
    if isinstance(node, nodes.Pooling):
        if node.average:
            fraction = sums.dtype.type(1 / math.prod(node.windows.kernel))
    elif node.bias is not None:
        per_unit = np.repeat(node.bias, node.n_out // node.bias.size)
        bias = per_unit.astype(sums.dtype)[:, None]

    def step() -> None:
        np.copyto(sums, bias)
        for signals in sources:
            add(signals, sums=sums)
        if fraction is not None:
            np.multiply(sums, fraction, out=sums)

    return step


def _scale(batch: Batch, node: nodes.Scale) -> Step:
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    scale = node.scale.astype(sent.dtype)[:, None]

    def step() -> None:
        np.multiply(arriving(), scale, out=sent)

    return step


def _neurons(batch: Batch, node: nodes.Neurons) -> Step:
    arriving = batch.arriving(node)
    signals = batch.signals[node.name]
    conventions = batch.run.conventions
    dynamics = batch.run.dynamics[node.name]
    potential = batch.zeros(node.n_out) + dynamics.initial[:, None]

    def move(current: Array) -> None:
        """Move the potentials by a current, and send spikes or the potentials."""
        if node.spikes:
            subtracts = conventions.reset == "subtract"
            stepping.integrate_and_fire(
                dynamics.membrane, subtracts, current, potential, signals
            )
        else:
            stepping.integrate(dynamics.membrane, current, potential)
            np.copyto(signals.amounts, potential)

    def step() -> None:
        move(arriving())

    if not node.has_current:
        return step
    current = batch.zeros(node.n_out)
    keep = dynamics.keep_current
    gain = dynamics.gain_current
    moves_first = conventions.current == "next_step"

    def step_with_current() -> None:
        if moves_first:
            move(current)
        stepping.follow(keep, gain, arriving(), current)
        if not moves_first:
            move(current)

    return step_with_current


def _threshold(batch: Batch, node: nodes.Threshold) -> Step:
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    threshold = node.threshold.astype(sent.dtype)
    limit = limit_of(threshold, batch.run.conventions.comparison)[:, None]

    def step() -> None:
        np.greater_equal(arriving(), limit, out=sent)

    return step


def _delay(batch: Batch, node: nodes.Delay) -> Step:
    """Store what arrives in a ring of the last steps, and send what is old enough."""
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    # What waits longer than the samples last is never sent, and needs no place.
    delays = np.minimum(batch.run.delays[node.name], batch.run.events.n_steps)
    depth = int(delays.max()) + 1
    ring = np.zeros((depth, *sent.shape), sent.dtype)
    units = np.arange(node.n_out)

    def store() -> None:
        ring[batch.step % depth] = arriving()

    def send() -> None:
        places = (batch.step - delays) % depth
        sent[:] = ring[places, :, units].swapaxes(0, 1)

    def store_and_send() -> None:
        store()
        send()

    if delays.min() == 0:
        return store_and_send
    # Nothing that arrives in this step is sent in this step. In a cycle the delay runs
    # before its sources, so it stores what they sent at the end of the step.
    batch.at_end.append(store)
    return send


def _output(batch: Batch, node: nodes.Output) -> Step:
    arriving = batch.arriving(node)
    output = batch.output

    def step() -> None:
        # "unsafe" casts spikes, which are real, to whole numbers.
        np.add(output, arriving(), out=output, casting="unsafe")

    return step


_STEPS: Final[dict[type[nodes.Node], Callable[[Batch, Any], Step]]] = {
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


# Sizes of batches, in numbers of float32 or float64.
_BATCH_NUMBERS: Final = 1 << 22
_ALL_NUMBERS: Final = 1 << 28
"""Of the batches of all threads: 1 GB, unless a single block of samples has more."""
_THREAD_NUMBERS: Final = 1 << 19
_MOST_SAMPLES: Final = 4096


def execute(
    network: ImportedGraph,
    conventions: Conventions,
    events: EventList,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> Outcome:
    """Run all samples, in batches, on as many threads as the kernels have.

    Args:
        network: a graph.
        conventions: checked.
        events: spikes of the input.
        dtype: float32, or float64 for exact comparisons.
        record: nodes whose spikes are kept.
    """
    prepared = Prepared(network, conventions, events, dtype)
    threads, size = _shared_out(prepared)

    def run(first: int) -> Outcome:
        return _run(Batch(prepared, first, size), record)

    firsts = range(0, events.n_samples, size)
    if threads == 1:
        # Starting a thread takes longer than many a run.
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


def _shared_out(prepared: Prepared) -> tuple[int, int]:
    """Return the number of threads, and of samples in a batch."""
    n_samples = prepared.events.n_samples
    # Numbers that a sample takes in all arrays.
    n_units = sum(node.n_in + node.n_out for node in prepared.network.nodes.values())
    for steps in prepared.delays.values():
        n_units += steps.size * min(int(steps.max()), prepared.events.n_steps)
    # A thread whose steps are short waits for the Python of the others, and slows them
    # down; and all threads together must fit into memory.
    by_work = n_samples * n_units // _THREAD_NUMBERS
    by_memory = _ALL_NUMBERS // (LANES * n_units)
    threads = max(1, min(numba.get_num_threads(), by_work, by_memory))
    per_thread = -(-n_samples // threads)
    size = min(_MOST_SAMPLES, _BATCH_NUMBERS // n_units, per_thread)
    return threads, LANES * max(1, -(-size // LANES))


def _run(batch: Batch, record: Sequence[str]) -> Outcome:
    """Take all steps of a batch."""
    network = batch.run.network
    n_steps = batch.run.events.n_steps
    steps: list[Step] = []
    for node in network.nodes.values():
        steps.append(_STEPS[type(node)](batch, node))
        if batch.run.is_listed(node) and not _lists_itself(node):
            steps.append(partial(stepping.take_nonzero, batch.signals[node.name]))
    steps += batch.at_end
    fired = {
        name: np.zeros((batch.size, n_steps, network.nodes[name].n_out), np.bool_)
        for name in record
    }
    for batch.step in range(n_steps):
        for step in steps:
            step()
        for name in record:
            fired[name][:, batch.step] = batch.by_sample(batch.signals[name].amounts)
    return Outcome(
        counts={name: batch.counts_of(node) for name, node in network.nodes.items()},
        output=batch.by_sample(batch.output),
        recorded={name: EventList.from_dense(fired[name]) for name in record},
    )


def _lists_itself(node: nodes.Node) -> bool:
    """Whether the kernel of a node lists its active units."""
    if isinstance(node, nodes.Neurons):
        return node.spikes
    return isinstance(node, nodes.Input)
