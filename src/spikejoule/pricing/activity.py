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
    scale        a multiplication of each number that is not zero, unless weights
                 before it contain it
    activation   a comparison per unit
    answer       of spikes: as for a trained network; of values: comparisons, and
                 additions where their sum over time is the score
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from spikejoule.counts.records import Activity, NodeCounts
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Input, Neurons, Node, Output, Pooling, Threshold
from spikejoule.network.readout import Readout
from spikejoule.pricing.counting.nodes import comparing_units, node_of
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import MAXIMA, NORMS, SUMS, WEIGHTED, Scale
from spikejoule.pricing.modules.neurons import Population
from spikejoule.pricing.modules.parts import INPUT, OUTPUT
from spikejoule.pricing.running.scores import Scores
from spikejoule.pricing.watching.watch import Watch


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelActivity(Activity):
    """The counts of a running model.

    Attributes:
        answers_with_values: whether its output is no spikes: potentials, or sums of a
            layer with weights.
    """

    answers_with_values: bool

    @property
    def potentials_read(self) -> Readout | None:
        """See `Activity.potentials_read`."""
        return Readout.POTENTIAL if self.answers_with_values else None


def activity_of(
    watch: Watch,
    steps: int,
    weight_bits: int,
    state_bits: int,
    scores: Scores | None = None,
) -> ModelActivity:
    """Return the network that ran, and what it did.

    Args:
        watch: has counted.
        steps: of the samples; 0 where the model makes them itself: then those of the
            last population.
        weight_bits, state_bits: of its weights, and of its states and biases: 32 for
            floating point, fewer for integers.
        scores: that it gave; None without.
    """
    watch.finish()
    places = watch.places
    nodes = _nodes_of(watch)
    counts = _counts_of(watch, nodes)
    edges = [
        (source, place.name) for place in places.values() for source in place.sources
    ]
    last = [place for place in places.values() if place.population is not None][-1]
    output = _readout_of(watch, scores) or last
    nodes[OUTPUT] = Output(OUTPUT, output.out_shape, output.out_shape)
    edges.append((output.name, OUTPUT))
    answers_with_values = output.emits_values or isinstance(
        output.module, (*WEIGHTED, *NORMS)
    )
    if answers_with_values and scores is not None and scores.summed_steps:
        sums = np.full(watch.calls.n_samples, scores.summed_steps * output.n_out)
        counts[OUTPUT] = NodeCounts(additions=sums)
    return ModelActivity(
        network=ImportedGraph(
            nodes, tuple(edges), weight_bits=weight_bits, state_bits=state_bits
        ),
        time_window=steps or int(last.steps.per_sample.max()),
        counts=counts,
        pruned=watch.known.pruned,
        answers_with_values=answers_with_values,
    )


def _readout_of(watch: Watch, scores: Scores | None) -> ModulePlace | None:
    """Return the module that ran last, if it has as many units as there are classes."""
    if scores is None or scores.all is None or watch.last_counted is None:
        return None
    n_classes = scores.all.shape[1]
    for place in watch.places.values():
        if place.module is watch.last_counted.layer and place.n_out == n_classes:
            return place
    return None


def _nodes_of(watch: Watch) -> dict[str, Node]:
    """Return the input and all places as nodes, each after its sources."""
    shape = watch.calls.input_shape or ()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    for place in watch.places.values():
        for source in place.sources:
            if source not in watch.places and source not in nodes:
                nodes[source] = _made_by_functions(source, place)
        nodes[place.name] = node_of(place, watch.known.pruned)
    return nodes


def _made_by_functions(name: str, reader: ModulePlace) -> Node:
    """Return a node for what functions have made; its reader knows what it holds."""
    if reader.receives_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return comparing_units(name, reader.in_shape, reader.in_shape)


def _counts_of(watch: Watch, nodes: Mapping[str, Node]) -> dict[str, NodeCounts]:
    """Return the counts of all nodes, [N] each."""
    zeros = np.zeros(watch.calls.n_samples, np.int64)
    # What functions have made: what it costs to make is named, and not counted.
    counts = dict.fromkeys(nodes, NodeCounts(spikes=zeros, comparisons=zeros))
    counts[INPUT] = NodeCounts()
    for name, place in watch.places.items():
        counts[name] = _counts_at(place)
    for place in watch.places.values():
        for source in place.sources:
            if place.fan_out is not None or source == INPUT:
                counts[source] = _with_reads(counts[source], nodes[source], place)
    if counts[INPUT].spikes is None:
        # The input emits values, or nothing has read it.
        counts[INPUT] = replace(counts[INPUT], spikes=zeros)
    return counts


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


def _counts_at(place: ModulePlace) -> NodeCounts:
    """Return what the units of a place did, [N] each."""
    if place.population is not None:
        return _counts_of_neurons(place, place.population)
    module = place.module
    if isinstance(module, WEIGHTED):
        return _counts_of_weights(place)
    units = place.unit_steps
    values = place.emitted.nonzero.per_sample
    if isinstance(module, Scale):
        # Its readers know whether it gives spikes or values.
        return NodeCounts(multiplications=values)
    if isinstance(module, NORMS):
        passed_on = None if place.rescales_sums else values
        return NodeCounts(values=passed_on, multiplications=units, additions=units)
    if isinstance(module, nn.ReLU):
        return NodeCounts(values=values, comparisons=units)
    return _counts_of_pooling(place)


def _counts_of_neurons(place: ModulePlace, population: Population) -> NodeCounts:
    emitted = place.emitted.nonzero.per_sample
    updates = place.unit_steps
    leaks = place.steps.per_sample * population.leaks(place.n_out)
    leaks = leaks + updates * population.multiplications
    leaks = leaks + emitted * population.reset_multiplications
    counts = NodeCounts(updates=updates, leaks=leaks if leaks.any() else None)
    if population.constants:
        counts = replace(counts, biases=updates * population.constants)
    if place.emits_values:
        counts = replace(counts, values=emitted)
    else:
        counts = replace(counts, spikes=place.emitted.spikes.per_sample)
    if place.fires:
        resets = emitted * population.resets
        counts = replace(counts, active=emitted, resets=resets, comparisons=updates)
    return counts


def _counts_of_weights(place: ModulePlace) -> NodeCounts:
    counts = NodeCounts(
        biases=place.unit_steps if place.has_bias else None,
        steps=place.steps.per_sample,
    )
    if place.nonzero_products is not None:
        counts = replace(counts, nonzero_products=place.nonzero_products.per_sample)
    if place.receives_values:
        return replace(counts, macs=place.n_reached)
    return replace(counts, events=place.n_reached)


def _counts_of_pooling(place: ModulePlace) -> NodeCounts:
    none = np.zeros_like(place.unit_steps)
    values = place.emitted.nonzero.per_sample
    is_maximum = isinstance(place.module, MAXIMA)
    if not place.emits_values:
        return NodeCounts(
            spikes=place.emitted.spikes.per_sample,
            comparisons=place.unit_steps if is_maximum else none,
            additions=place.n_reached,
        )
    if is_maximum:
        return NodeCounts(values=values, comparisons=place.n_reached)
    is_sum = isinstance(place.module, SUMS)
    return NodeCounts(
        values=values,
        comparisons=none,
        additions=place.n_reached,
        multiplications=None if is_sum else values,
    )
