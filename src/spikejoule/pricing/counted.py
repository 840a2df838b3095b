"""The counts of a running model as a network and its activity, for the ledger.

Where a place received only whole numbers, events are counted; elsewhere
multiply-accumulates.

    weights      a connection; a bias is added in each step in which it runs
    neurons      an update per neuron and step, active where the neuron spikes
    maximum      of spikes: the sum of each window, compared with a threshold; of
                 values: a comparison per window of each that is not zero
    average      additions, and a multiplication of each sum that is not zero
    norm         without weights before it to be folded into: a multiplication and an
                 addition per unit
    activation   a comparison per unit
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import (
    Convolution,
    Dense,
    Input,
    Neurons,
    Node,
    Output,
    Pooling,
    Shape,
    Threshold,
    Windows,
)
from spikejoule.pricing.layers import MAXIMA, NORMS, SUMS, WEIGHTED
from spikejoule.pricing.neurons import Population
from spikejoule.pricing.parts import INPUT, OUTPUT
from spikejoule.pricing.places import ModulePlace
from spikejoule.pricing.watching import Watch

NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
"""The windows of nodes whose fan-outs were counted, not computed from windows."""
# A node has as many states as time constants (`Neurons.n_states`); their values are
# not needed.
_TIME_CONSTANTS: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class _Counted:
    """A node whose fan-outs were counted: int64 [n_in]."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """See `Dense.fan_out`."""
        return self.fan_outs


@dataclass(frozen=True)
class CountedConnection(_Counted, Convolution):
    """The weights of a convolution, or of a part of a matrix."""

    @property
    def weight_shape(self) -> Shape:
        """See `Convolution`; the kernel may have any number of axes."""
        return self.weight.shape


@dataclass(frozen=True)
class CountedPooling(_Counted, Pooling):
    """Pooling with any windows."""


def activity_of(
    watch: Watch, steps: int, weight_bits: int, state_bits: int
) -> Activity:
    """Return the network that ran, and what it did.

    Args:
        watch: has counted.
        steps: of the samples; 0 where the model makes them itself: then those of the
            last population.
        weight_bits, state_bits: of its weights, and of its states and biases: 32 for
            floating point, fewer for integers.
    """
    watch.finish()
    places = watch.places
    pruned = watch.known.pruned
    zeros = np.zeros(watch.calls.n_samples, np.int64)
    shape = watch.calls.input_shape or ()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    counts: dict[str, NodeCounts] = {INPUT: NodeCounts()}
    edges: list[tuple[str, str]] = []
    for place in places.values():
        for source in place.sources:
            edges.append((source, place.name))
            if source not in places and source not in nodes:
                nodes[source] = _unknown_source(source, place)
                counts[source] = NodeCounts(spikes=zeros, comparisons=zeros)
        nodes[place.name], counts[place.name] = _counted(place, pruned)
    for place in places.values():
        for source in place.sources:
            if place.fan_out is not None or source == INPUT:
                counts[source] = _with_reads(counts[source], nodes[source], place)
    if counts[INPUT].spikes is None:
        # The input emits values, or nothing has read it.
        counts[INPUT] = replace(counts[INPUT], spikes=zeros)
    # The output is that of the last population.
    last = next(node for node in reversed(nodes.values()) if isinstance(node, Neurons))
    nodes[OUTPUT] = Output(OUTPUT, last.out_shape, last.out_shape)
    return Activity(
        network=ImportedGraph(
            nodes,
            (*edges, (last.name, OUTPUT)),
            weight_bits=weight_bits,
            state_bits=state_bits,
        ),
        time_window=steps or int(places[last.name].steps.per_sample.max()),
        counts=counts,
        pruned=pruned,
    )


def _with_reads(counts: NodeCounts, source: Node, place: ModulePlace) -> NodeCounts:
    """Add what a place read from a source to the source's counts.

    A source that does not count its own output, such as the input, emitted what was
    read.
    """
    amounts = place.sources[source.name]
    sums = amounts.nonzero if place.receives_values else amounts.spikes
    read = sums.per_sample
    total = read if counts.reads is None else counts.reads + read
    counts = replace(counts, reads=total)
    if not isinstance(source, Threshold | Neurons | Pooling):
        if place.receives_values and counts.values is None:
            counts = replace(counts, values=read)
        if not place.receives_values and counts.spikes is None:
            counts = replace(counts, spikes=read)
    return counts


def _counted(place: ModulePlace, pruned: bool) -> tuple[Node, NodeCounts]:
    """Return a place as a node of a spiking network, and its counts, [N] each."""
    if place.population is not None:
        return _counted_neurons(place, place.population)
    module = place.module
    shapes = (place.in_shape, place.out_shape)
    units = place.steps.per_sample * place.n_out
    values = place.emitted.nonzero.per_sample
    if isinstance(module, NORMS):
        counts = NodeCounts(values=values, multiplications=units, additions=units)
        return Node(place.name, *shapes), counts
    if isinstance(module, nn.ReLU):
        counts = NodeCounts(values=values, comparisons=units)
        return threshold(place.name, *shapes), counts
    reached = place.reached.nonzero if place.receives_values else place.reached.spikes
    if not isinstance(module, WEIGHTED):
        return _counted_pooling(place, reached.per_sample)
    biases = units if place.has_bias else None
    node = connection_of(place, place.fan_out, pruned)
    if place.receives_values:
        return node, NodeCounts(macs=reached.per_sample, biases=biases)
    return node, NodeCounts(events=reached.per_sample, biases=biases)


def _counted_pooling(place: ModulePlace, entered: Counts) -> tuple[Node, NodeCounts]:
    """Return pooling as a node, and its counts.

    Args:
        place: of the pooling.
        entered: amounts that entered its windows, [N].
    """
    units = place.steps.per_sample * place.n_out
    none = 0 * units
    is_maximum = isinstance(place.module, MAXIMA)
    if not place.emits_values:
        counts = NodeCounts(
            spikes=place.emitted.spikes.per_sample,
            comparisons=units if is_maximum else none,
            additions=entered,
        )
        return threshold(place.name, place.in_shape, place.out_shape), counts
    node = pooling_of(place, place.fan_out)
    values = place.emitted.nonzero.per_sample
    if is_maximum:
        return node, NodeCounts(values=values, comparisons=entered)
    is_sum = isinstance(place.module, SUMS)
    counts = NodeCounts(
        values=values,
        comparisons=none,
        additions=entered,
        multiplications=None if is_sum else values,
    )
    return node, counts


def _counted_neurons(
    place: ModulePlace, population: Population
) -> tuple[Node, NodeCounts]:
    """Return neurons as a node, and their counts."""
    states = {name: np.empty(0) for name in _TIME_CONSTANTS[: population.states]}
    kind = type(place.module).__name__ if place.fires else "LI"
    node = Neurons(place.name, place.in_shape, place.out_shape, kind, states)
    steps = place.steps.per_sample
    emitted = place.emitted.nonzero.per_sample
    updates = steps * place.n_out
    leaks = steps * population.leaks(place.n_out)
    counts = NodeCounts(updates=updates, leaks=leaks if leaks.any() else None)
    if place.emits_values:
        counts = replace(counts, values=emitted)
    else:
        counts = replace(counts, spikes=place.emitted.spikes.per_sample)
    if place.fires:
        resets = emitted * population.resets
        counts = replace(counts, active=emitted, resets=resets, comparisons=updates)
    return node, counts


def threshold(name: str, in_shape: Shape, out_shape: Shape) -> Threshold:
    """Return units that compare, with thresholds that are not needed."""
    return Threshold(name, in_shape, out_shape, np.empty(0))


def connection_of(
    place: ModulePlace, fan_out: Counts | None, pruned: bool = False
) -> Dense | CountedConnection:
    """Return a place with weights as a node.

    Args:
        place: of a layer with weights.
        fan_out: synapses that each input unit reaches, int64 [n_in].
        pruned: whether a weight of 0 is no synapse there.
    """
    assert fan_out is not None
    module: Any = place.module
    weight = module.weight.detach().float().cpu().numpy()
    is_linear = isinstance(module, nn.Linear)
    bias = None
    if place.has_bias:
        # Only its size is needed: one word per unit, or per channel.
        bias = np.zeros(place.out_shape[-1] if is_linear else place.out_shape[0])
    is_matrix = is_linear and weight.size == fan_out.size * place.n_out
    synapses = np.count_nonzero(weight, axis=0) if pruned else place.n_out
    if is_matrix and (fan_out == synapses).all():
        return Dense(place.name, place.in_shape, place.out_shape, weight, bias)
    return CountedConnection(
        place.name,
        place.in_shape,
        place.out_shape,
        weight,
        bias,
        getattr(module, "groups", 1),
        NO_WINDOWS,
        fan_out,
    )


def pooling_of(place: ModulePlace, fan_out: Counts | None) -> CountedPooling:
    """Return pooling as a node.

    Args:
        place: of the pooling.
        fan_out: windows that each input unit is in, int64 [n_in].
    """
    is_average = not isinstance(place.module, MAXIMA)
    windows = np.zeros(1, np.int64) if fan_out is None else fan_out
    return CountedPooling(
        place.name, place.in_shape, place.out_shape, NO_WINDOWS, is_average, windows
    )


def _unknown_source(name: str, reader: ModulePlace) -> Node:
    """Return a node for what no module has emitted; its reader knows what it holds."""
    if reader.receives_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return threshold(name, reader.in_shape, reader.in_shape)
