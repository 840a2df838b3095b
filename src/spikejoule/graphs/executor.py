"""Running a graph on event lists, batches of samples side by side.

Samples go sixteen abreast (kernels/lists.py). What a node gives in a step is an array and,
where somebody needs it, a list of the units that give something (`Given`); what arrives at one is
an array. An edge that waits needs no memory of its own: its target takes its step before its source
does, and finds there what the step before has left.

Fully connected nodes and convolutions multiply what gives something to any of the sixteen samples.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.core.compiling.emit import LANES
from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.evaluation.measurement import KINDS, Activity
from spikejoule.graphs.conventions import Conventions, delay_steps, dynamics_of, limit_of
from spikejoule.graphs.kernels import lists, synapses
from spikejoule.graphs.kernels.lists import Given, Slide
from spikejoule.model import network as nodes

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
        dtype: of the neurons' constants.
    """

    conventions: Conventions
    engine: str
    output: NDArray[np.int64] | NDArray[np.float64]
    recorded: Mapping[str, EventList]
    dtype: DTypeLike = np.float32

    def leaks_of(self, node: nodes.Neurons) -> int:
        """As of the class above; a state of which a step keeps all has no leak."""
        dynamics = dynamics_of(node, self.conventions, self.dtype)
        kept = (dynamics.membrane.keep, dynamics.keep_current)
        return sum(int(np.count_nonzero(keep != 1)) for keep in kept if keep is not None)

    @property
    def predictions(self) -> NDArray[np.int64] | None:
        """The output with the most spikes, int64 [N]; -1, no answer, where several have as many.

        None for an output of values.
        """
        if self.network.answer is None:
            return None
        is_most = self.output == self.output.max(axis=1, keepdims=True)
        return np.where(is_most.sum(axis=1) == 1, self.output.argmax(axis=1), -1)


class Prepared:
    """What all batches of a run share.

    Attributes:
        network, conventions, dtype: of the run.
        events: spikes of each `Input`.
        n_samples, n_steps: of them.
        delays: steps of each unit of a delay, int64 [n], by its name.
        fan_outs: of each node that adds up what single units give, how much a unit adds to, int64
            [n_in], by name.
        weights: of each connection, in the type of the run, by name: of a `Dense` [n_in, n_out] and
            of a `Convolution` [C_in, kernel, channels of a group], each with the biases [n_out, 1],
            or 0 without.
        dynamics: of neurons, in the type of the run, by name.

    Raises:
        ParameterError: as `dynamics_of` and `delay_steps`.
    """

    def __init__(
        self, network: nodes.Network, conventions: Conventions, events: Events, dtype: DTypeLike
    ) -> None:
        self.network, self.conventions, self.events = network, conventions, events
        of_input = events[network.input.name]
        self.n_samples, self.n_steps = of_input.n_samples, of_input.n_steps
        self.dtype = np.dtype(dtype)
        self.delays = {one.name: delay_steps(one, conventions) for one in network.of(nodes.Waiting)}
        self.fan_outs = {
            one.name: one.fan_out(bool(conventions.pruned))
            for one in network.nodes.values()
            if isinstance(one, nodes.Dense | nodes.Convolution | nodes.Pooling)
        }
        self.weights = {one.name: self._weights_of(one) for one in network.connections}
        self.dynamics = {
            one.name: dynamics_of(one, conventions, self.dtype) for one in network.of(nodes.Neurons)
        }

    def _weights_of(self, node: nodes.Connection) -> tuple[Array, Any]:
        weights = node.weight.T if isinstance(node, nodes.Dense) else _by_channel(node)
        bias: Any = 0
        if node.bias is not None:
            bias = np.repeat(node.bias.astype(self.dtype), node.n_out // node.bias.size)[:, None]
        return np.ascontiguousarray(weights, dtype=self.dtype), bias


def _by_channel(node: nodes.Convolution) -> Array:
    """Weights by channel of the input: [C_in, kernel, channels of a group of the output]."""
    by_group = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
    by_group = np.moveaxis(by_group, 1, -1)  # [groups, C_in / groups, kernel, channels]
    by_channel = by_group.reshape(node.in_shape[0], *by_group.shape[2:])
    return np.ascontiguousarray(by_channel)


def _slide(node: nodes.Convolution | nodes.Pooling) -> Slide:
    windows = node.windows
    per_group = node.weight.shape[1] if isinstance(node, nodes.Convolution) else 1
    pairs = (windows.kernel, windows.stride, windows.padding, windows.dilation)
    places = (*node.in_shape[1:], *node.out_shape[1:])
    inner = [each for pair in pairs for each in pair]
    return Slide._make((*places, *inner, node.in_shape[0], per_group))


Action = Callable[[], object]
"""Something that is done in a step."""


class Batch:
    """Some samples, with what each node gives in the present step and what was counted so far.

    Attributes:
        run: what all batches share.
        first, size: which samples these are; B blocks of LANES, of which the last has room left.
        step: the present one.
        counts: by kind and node, int64 [B, LANES].
        arrays: by node, what it gives, real [B, n, LANES]; none for nodes of spikes and the output.
        given: by node, the same with its list; none where nobody needs one. A copy for a node of
            sums that is its own source.
        output: what the output received, int64 or float64 [B, n, LANES].
    """

    output: Array

    def __init__(self, run: Prepared, samples: slice) -> None:
        self.run, self.first, self.step = run, samples.start, 0
        self.size = min(samples.stop, run.n_samples) - samples.start
        self.n_blocks = -(-self.size // LANES)
        self.counts: dict[str, dict[str, Counts]] = {kind: {} for kind in KINDS}
        self.arrays: dict[str, Array] = {}
        self.given: dict[str, Given] = {}
        self._alike: list[tuple[Counts, Counts, int]] = []
        for node in run.network.nodes.values():
            self._make_room(node)

    def zeros(self, n_units: int) -> Array:
        """Real [B, n, LANES]."""
        return np.zeros((self.n_blocks, n_units, LANES), self.run.dtype)

    def _make_room(self, node: nodes.Node) -> None:
        """The array or the list that others find a node's step in."""
        network, spikes = self.run.network, node.name in self.run.network.spiking
        if not spikes and not isinstance(node, nodes.Output):
            self.arrays[node.name] = self.zeros(node.n_out)
        reads_units = [isinstance(one, nodes.BY_UNIT) for one in network.readers_of(node.name)]
        if spikes or isinstance(node, nodes.Waiting) or any(reads_units):
            n_blocks, n_units = self.n_blocks, node.n_out
            # Who adds up what it gave the step before does not begin its sums in the same place.
            adds_own = isinstance(node, nodes.BY_UNIT) and node.name in network.sources[node.name]
            self.given[node.name] = Given(
                self.zeros(n_units) if spikes or adds_own else self.arrays[node.name],
                np.zeros((n_blocks, n_units), np.uint8),
                np.zeros((n_blocks, n_units + 1), np.int32),
                np.zeros(n_blocks, np.int64),
                np.zeros((n_blocks, LANES), np.int64),
            )
            self.counts["spikes" if spikes else "values"][node.name] = self.given[node.name].totals

    def givens(self, node: nodes.Node) -> list[Given]:
        """What each source of a node gives."""
        return [self.given[source] for source in self.run.network.sources[node.name]]

    def arriving(self, node: nodes.Node) -> tuple[Array, list[Action]]:
        """The array in which what a node's sources give is added up, and how."""
        given = [self.amounts(source) for source in self.run.network.sources[node.name]]
        if len(given) == 1:
            return given[0], []
        sums = self.zeros(node.n_in)
        adding = [partial(np.add, sums, amounts, out=sums) for amounts in given]
        return sums, [partial(sums.fill, 0), *adding]

    def amounts(self, name: str) -> Array:
        """What a node gives in the present step, real [B, n, LANES]."""
        return self.arrays[name] if name in self.arrays else self.given[name].amounts

    def count(self, kind: str, name: str) -> Counts:
        """Where a kind of operation is counted, int64 [B, LANES]."""
        return self.counts[kind].setdefault(name, np.zeros((self.n_blocks, LANES), np.int64))

    def by_sample(self, values: Array) -> Array:
        """Values [B, ..., LANES] as [samples, ...]."""
        apart = np.moveaxis(values, -1, 1)
        return apart.reshape(-1, *apart.shape[2:])[: self.size]

    def tallies(self, node: nodes.Node, of_spikes: str, of_values: str) -> list[Action]:
        """Counting what arrives, each edge as the kind of operation that its source makes it.

        Where all units have the same fan-out, `finish` does it from what was given in all.
        """
        actions: list[Action] = []
        fan_out = self.run.fan_outs[node.name]
        for source, given in zip(
            self.run.network.sources[node.name], self.givens(node), strict=True
        ):
            total = self.count(
                of_spikes if source in self.run.network.spiking else of_values, node.name
            )
            if np.ptp(fan_out) or (source, node.name) in self.run.network.waiting:
                actions.append(partial(lists.tally, given, fan_out, total))
            else:
                self._alike.append((total, given.totals, int(fan_out[0])))
        return actions

    def finish(self) -> None:
        """After the last step: leave counts and output alone, by sample."""
        for total, given, fan_out in self._alike:
            total += fan_out * given
        self.counts = {
            kind: {name: self.by_sample(total) for name, total in of_nodes.items()}
            for kind, of_nodes in self.counts.items()
        }
        self.output = self.by_sample(self.output)
        self.arrays, self.given, self._alike = {}, {}, []


def actions_of(batch: Batch) -> list[Action]:
    """All that is done in a step, in order; it makes the batch's output, too."""
    actions: list[Action] = []
    later: list[Action] = []
    for node in batch.run.network.nodes.values():
        if isinstance(node, nodes.Waiting):
            now, at_the_end = _waiting(batch, node)
            later += at_the_end
        else:
            now = _MAKE[type(node)](batch, node)
        actions += now
        if node.name in batch.given and node.name in batch.arrays:
            given, values = batch.given[node.name], batch.arrays[node.name]
            if given.amounts is not values:
                actions.append(partial(np.copyto, given.amounts, values))
            actions.append(partial(lists.take_nonzero, given))
    return actions + later


def _input(batch: Batch, node: nodes.Input) -> list[Action]:
    events, given = batch.run.events[node.name], batch.given[node.name]
    sources, offsets, n_steps = events.sources, events.offsets, events.n_steps
    first = batch.first * n_steps
    size = batch.size
    return [lambda: lists.take_events(sources, offsets, first + batch.step, n_steps, size, given)]


def _connection(batch: Batch, node: nodes.Connection) -> list[Action]:
    weights, bias = batch.run.weights[node.name]
    sums, add = batch.arrays[node.name], synapses.add_dense
    how: tuple[Any, ...] = (weights, sums)
    if isinstance(node, nodes.Convolution):
        add, how = synapses.add_convolution, (_slide(node), *how)
    adding = [partial(add, given, *how) for given in batch.givens(node)]
    return [*batch.tallies(node, "events", "macs"), partial(np.copyto, sums, bias), *adding]


def _pooling(batch: Batch, node: nodes.Pooling) -> list[Action]:
    sums, slide = batch.arrays[node.name], _slide(node)
    fraction = sums.dtype.type(1 / (slide.kernel_y * slide.kernel_x))
    adding = [partial(synapses.add_pooling, given, slide, sums) for given in batch.givens(node)]
    tallies = batch.tallies(node, "additions", "additions")
    actions: list[Action] = [*tallies, partial(sums.fill, 0), *adding]
    if node.average:
        total = batch.count("multiplications", node.name)
        actions += [
            lambda: np.add(total, np.count_nonzero(sums, axis=1), out=total),
            partial(np.multiply, sums, fraction, out=sums),
        ]
    return actions


def _scaling(batch: Batch, node: nodes.Scaling) -> list[Action]:
    sums, scale = batch.arrays[node.name], node.scale.astype(batch.run.dtype)
    total, once = batch.count("multiplications", node.name), np.ones(node.n_in, np.int64)
    sources, spiking = batch.run.network.sources[node.name], batch.run.network.spiking
    values = [batch.given[source] for source in sources if source not in spiking]
    adding = [partial(lists.add_scaled, given, scale, sums) for given in batch.givens(node)]
    tallies = [partial(lists.tally, given, once, total) for given in values]
    return [partial(sums.fill, 0), *adding, *tallies]


def _neurons(batch: Batch, node: nodes.Neurons) -> list[Action]:
    arriving, actions = batch.arriving(node)
    dynamics = batch.run.dynamics[node.name]
    membrane = dynamics.membrane
    # Neurons without spikes give their potential: 0 before the first step, as everything.
    potential = batch.zeros(node.n_out) if node.spikes else batch.arrays[node.name]
    current = batch.zeros(node.n_out) if node.has_current else arriving
    conventions, given = batch.run.conventions, batch.given.get(node.name)

    def begin() -> None:
        if batch.step == 0:
            np.copyto(potential, dynamics.initial[:, None])

    move = partial(lists.integrate, membrane, current, potential)
    if node.spikes:
        subtracts = conventions.reset == "subtract"
        move = partial(lists.integrate_and_fire, membrane, subtracts, current, potential, given)
    if not node.has_current:
        return [*actions, begin, move]
    keep, gain = dynamics.keep_current, dynamics.gain_current
    follow = partial(lists.follow, keep, gain, arriving, current)
    if conventions.current == "next_step":
        return [*actions, begin, move, follow]
    return [*actions, follow, begin, move]


def _step(batch: Batch, node: nodes.Step) -> list[Action]:
    arriving, actions = batch.arriving(node)
    threshold, given = node.threshold.astype(batch.run.dtype), batch.given[node.name]
    limit = limit_of(threshold, batch.run.conventions.comparison)[:, None]
    compare = partial(np.greater_equal, arriving, limit, out=given.amounts)
    return [*actions, compare, partial(lists.take_nonzero, given)]


def _waiting(batch: Batch, node: nodes.Waiting) -> tuple[list[Action], list[Action]]:
    """A ring of what arrived; what needs nothing of the same step is stored at its end.

    What waits longer than the samples last is never given, and needs no place.
    """
    arriving, actions = batch.arriving(node)
    steps = np.minimum(batch.run.delays[node.name], batch.run.n_steps)
    depth = int(steps.max()) + 1
    given = batch.given[node.name]
    ring, units = np.zeros((depth, *given.amounts.shape), batch.run.dtype), np.arange(node.n_out)

    def store() -> None:
        ring[batch.step % depth] = arriving

    def give() -> None:
        given.amounts[:] = ring[(batch.step - steps) % depth, :, units].swapaxes(0, 1)
        if node.name in batch.run.network.spiking:
            lists.take_nonzero(given)

    if steps.min() >= 1:
        return [give], [*actions, store]
    return [*actions, store, give], []


def _output(batch: Batch, node: nodes.Output) -> list[Action]:
    arriving, actions = batch.arriving(node)
    kind = np.float64 if batch.run.network.answer is None else np.int64
    batch.output = np.zeros(arriving.shape, kind)
    add = partial(np.add, batch.output, arriving, out=batch.output, casting="unsafe")
    return [*actions, add]


_MAKE: dict[type[nodes.Node], Callable[[Batch, Any], list[Action]]] = {
    nodes.Input: _input,
    nodes.Dense: _connection,
    nodes.Convolution: _connection,
    nodes.Pooling: _pooling,
    nodes.Scaling: _scaling,
    nodes.Neurons: _neurons,
    nodes.Step: _step,
    nodes.Output: _output,
}


_BATCH_NUMBERS = 1 << 22
_ALL_NUMBERS = 1 << 28
"""Of all threads' batches together: 1 GB, unless one block of samples has more."""
_THREAD_NUMBERS = 1 << 19
_MOST_SAMPLES = 4096


def execute(
    network: nodes.Network,
    conventions: Conventions,
    events: Events,
    dtype: DTypeLike = np.float32,
    record: Sequence[str] = (),
) -> tuple[dict[str, dict[str, Counts]], Array, Events]:
    """Run all samples, batches of them on as many threads as the kernels have.

    Args:
        network: a graph, or a part of one with several inputs.
        conventions: checked ones.
        events: spikes of each input.
        dtype: float32, or float64 for exact comparisons.
        record: nodes whose spikes are kept.

    Returns:
        counts by kind and node, [N]; the output and the recorded spikes, as `GraphRun` has them.
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

    def run(first: int) -> tuple[Batch, Events]:
        return _run(Batch(prepared, slice(first, first + size)), record)

    firsts = range(0, n_samples, size)
    if threads == 1:  # a thread to start takes longer than many a run
        outcomes = list(map(run, firsts))
    else:
        with ThreadPoolExecutor(max_workers=threads) as pool:
            outcomes = list(pool.map(run, firsts))
    batches = [batch for batch, _ in outcomes]

    def joined(arrays: Iterable[Array]) -> Array:
        return np.concatenate([*arrays])

    counts = {
        kind: {name: joined(one.counts[kind][name] for one in batches) for name in of_nodes}
        for kind, of_nodes in batches[0].counts.items()
    }
    counts["updates"] = {
        one.name: np.full(n_samples, n_steps * one.n_out, dtype=np.int64)
        for one in network.of(nodes.Neurons)
    }
    recorded = {
        name: concatenate_samples([spikes[name] for _, spikes in outcomes]) for name in record
    }
    return counts, joined(one.output for one in batches), recorded


def _run(batch: Batch, record: Sequence[str]) -> tuple[Batch, Events]:
    """Take all steps; what is left are counts and output by sample, and the spikes of nodes."""
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
    batch.finish()
    return batch, {name: EventList.from_dense(of_node) for name, of_node in marks.items()}
