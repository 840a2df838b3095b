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
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.encoding.events import EventList, concatenate_samples
from spikejoule.evaluation.measurement import KINDS, Activity
from spikejoule.network import network as nodes
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


Outcome = tuple[dict[str, dict[str, Counts]], Array, Events]
"""Counts by kind and node, [N]; the output, and recorded spikes, as `GraphRun` has them."""


class Tally(NamedTuple):
    """What is counted at a node of what another gives, or of what itself does.

    Attributes:
        kind: of counts.
        at, source: names of the nodes.
        reached: how much a unit counts for, int64 [n].
        waits: whether what it gives in a step counts in the next one.
    """

    kind: str
    at: str
    source: str
    reached: Counts
    waits: bool = False


class Prepared:
    """What all batches of a run share.

    Attributes:
        network, conventions, dtype: of the run.
        events: spikes of each `Input`.
        n_samples, n_steps: of them.
        tallies: what is counted.
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
        self, network: nodes.Network, conventions: Conventions, events: Events, dtype: DTypeLike
    ) -> None:
        self.network, self.conventions, self.events = network, conventions, events
        of_input = events[network.input.name]
        self.n_samples, self.n_steps = of_input.n_samples, of_input.n_steps
        self.dtype = np.dtype(dtype)
        self.delays = {one.name: delay_steps(one, conventions) for one in network.of(nodes.Waiting)}
        self.tallies = [*self._tallies()]
        self.listed = {one.source for one in self.tallies}
        summing = (*network.connections, *network.of(nodes.Pooling))
        self.adding = {one.name: self._adding_of(one) for one in summing}
        self.dynamics = {
            one.name: dynamics_of(one, conventions, self.dtype) for one in network.of(nodes.Neurons)
        }

    def _tallies(self) -> Iterator["Tally"]:
        network, spiking = self.network, self.network.spiking
        taken = {source for source, target in network.edges
                 if isinstance(network.nodes[target], nodes.BY_UNIT)}  # fmt: skip
        counted = spiking | taken | self.delays.keys()
        for name in (one for one in network.nodes if one in counted):
            kind, once = "spikes" if name in spiking else "values", network.nodes[name].n_out
            yield Tally(kind, name, name, np.ones(once, np.int64))
        for one in network.of(nodes.Pooling):
            if one.average:
                yield Tally("multiplications", one.name, one.name, np.ones(one.n_out, np.int64))
        for source, target in network.edges:
            node, waits = network.nodes[target], (source, target) in network.waiting
            if isinstance(node, nodes.Scaling):
                reached = np.full(node.n_in, source not in spiking, np.int64)
                yield Tally("multiplications", target, source, reached, waits)
            elif isinstance(node, nodes.Connection | nodes.Pooling):
                kind = "events" if source in spiking else "macs"
                kind = "additions" if isinstance(node, nodes.Pooling) else kind
                reached = node.fan_out(bool(self.conventions.pruned))
                yield Tally(kind, target, source, reached, waits)

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

    def counts(self) -> dict[str, dict[str, Counts]]:
        """After the last step, by kind and node, int64 [samples]: how often units gave something,
        and how many synapses or windows they reached then."""
        found: dict[str, dict[str, Counts]] = {kind: {} for kind in KINDS}
        for kind, at, source, reached, waits in self.run.tallies:
            given = self.given[source]
            totals = given.totals - (given.amounts != 0) if waits else given.totals
            counts = self.by_sample(np.einsum("u,bul->bl", reached, totals))
            found[kind][at] = found[kind].get(at, 0) + counts
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


def _scaling(batch: Batch, node: nodes.Scaling) -> list[Action]:
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


def _step(batch: Batch, node: nodes.Step) -> list[Action]:
    (arriving, actions), (sums, done) = batch.arriving(node), batch.giving(node)
    threshold = node.threshold.astype(batch.run.dtype)
    limit = limit_of(threshold, batch.run.conventions.comparison)[:, None]
    return [*actions, partial(np.greater_equal, arriving, limit, out=sums), *done]


def _waiting(batch: Batch, node: nodes.Waiting) -> list[Action]:
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
    nodes.Scaling: _scaling,
    nodes.Neurons: _neurons,
    nodes.Step: _step,
    nodes.Waiting: _waiting,
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
    all_counts, outputs, spikes = zip(*outcomes, strict=True)
    counts = {
        kind: {name: np.concatenate([one[kind][name] for one in all_counts]) for name in of_nodes}
        for kind, of_nodes in all_counts[0].items()
    }
    counts["updates"] = {
        one.name: np.full(n_samples, n_steps * one.n_out, dtype=np.int64)
        for one in network.of(nodes.Neurons)
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
