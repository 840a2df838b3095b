"""What was counted in a running model, as a network with its activity, which the ledger
prices.

Where only whole numbers have entered a place, events are counted; where others have,
multiply-accumulates.

    weights      a connection; a bias is added in each step in which it works
    neurons      an update of each neuron and step, active where it spikes
    maximum      of spikes the sum of each window, compared with a threshold; of values
                 a comparison of each that is not zero, in each window
    average      additions, and a multiplication of each sum that is not zero
    norm         where no weights are before it to hold it: a multiplication and an
                 addition a unit
    activation   a comparison a unit
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
from spikejoule.pricing.watching import INPUT, OUTPUT, ModulePlace, Watch

NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
"""The windows of nodes whose fan-outs are counted, not computed."""
_TIMES: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class _Counted:
    """A node whose fan-outs are counted, not computed: int64 [n_in]."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """As of `Dense`."""
        return self.fan_outs


@dataclass(frozen=True)
class CountedConnection(_Counted, Convolution):
    """Weights of a convolution, or of a part of a matrix."""


@dataclass(frozen=True)
class CountedPooling(_Counted, Pooling):
    """Pooling over any windows."""


def activity_of(watch: Watch, steps: int = 0) -> Activity:
    """The network that ran, and what it did.

    Args:
        watch: what was counted.
        steps: of the samples; 0 where the model makes them itself, which are those of
            its output.
    """
    counted = _CountedNetwork(watch)
    for place in watch.places.values():
        counted.add_place(place)
    for place in watch.places.values():
        counted.add_reads(place)
    return counted.activity(steps)


class _CountedNetwork:
    """A network and its counts, place by place.

    Attributes:
        nodes, edges: of the network.
        counts: of each node, [N].
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._zeros = np.zeros(watch.n_samples, np.int64)
        shape = watch.input_shape or ()
        self.nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
        self.edges: list[tuple[str, str]] = []
        self.counts: dict[str, NodeCounts] = {INPUT: NodeCounts()}

    def add_place(self, place: ModulePlace) -> None:
        """A place as a node, with its edges, and what it has done."""
        for source in place.sources:
            self.edges.append((source, place.name))
            if source not in self._watch.places and source not in self.nodes:
                self.nodes[source] = _unknown_source(source, place)
                self.counts[source] = NodeCounts(
                    spikes=self._zeros, comparisons=self._zeros
                )
        self.nodes[place.name], self.counts[place.name] = _counted(place)

    def add_reads(self, place: ModulePlace) -> None:
        """What a place has taken from its sources; also what those give that did not
        count it.
        """
        for source, amounts in place.sources.items():
            if place.fan_out is None and source != INPUT:
                continue
            taken = amounts.nonzero if place.takes_values else amounts.spikes
            read = taken.of_samples
            counts = self.counts[source]
            counts = replace(
                counts, reads=read if counts.reads is None else counts.reads + read
            )
            if not isinstance(self.nodes[source], Threshold | Neurons | Pooling):
                if place.takes_values and counts.values is None:
                    counts = replace(counts, values=read)
                if not place.takes_values and counts.spikes is None:
                    counts = replace(counts, spikes=read)
            self.counts[source] = counts

    def activity(self, steps: int) -> Activity:
        """The whole; its output is its last population."""
        last = [node for node in self.nodes.values() if isinstance(node, Neurons)][-1]
        nodes = self.nodes | {OUTPUT: Output(OUTPUT, last.out_shape, last.out_shape)}
        if self.counts[INPUT].spikes is None:  # it gives values, or nothing has read it
            self.counts[INPUT] = replace(self.counts[INPUT], spikes=self._zeros)
        made_steps = self._watch.places[last.name].steps.of_samples
        return Activity(
            network=ImportedGraph(nodes, (*self.edges, (last.name, OUTPUT))),
            time_window=steps or int(made_steps.max()),
            counts=self.counts,
        )


def _counted(place: ModulePlace) -> tuple[Node, NodeCounts]:
    """A place as a node of a spiking network, and what was counted there, [N] each."""
    if place.population is not None:
        return _counted_neurons(place, place.population)
    module = place.module
    shapes = place.in_shape, place.out_shape
    units = place.steps.of_samples * place.n_out
    values = place.given.nonzero.of_samples
    if isinstance(module, NORMS):
        counts = NodeCounts(values=values, multiplications=units, additions=units)
        return Node(place.name, *shapes), counts
    if isinstance(module, nn.ReLU):
        return _threshold(place.name, *shapes), NodeCounts(
            values=values, comparisons=units
        )
    reached = place.reached.nonzero if place.takes_values else place.reached.spikes
    entered = reached.of_samples
    if isinstance(module, WEIGHTED):
        biases = units if place.has_bias else None
        node = connection_of(place, place.fan_out)
        if place.takes_values:
            return node, NodeCounts(macs=entered, biases=biases)
        return node, NodeCounts(events=entered, biases=biases)
    is_maximum = isinstance(module, MAXIMA)
    if not place.gives_values:
        spikes = place.given.spikes.of_samples
        compared = units if is_maximum else 0 * units
        counts = NodeCounts(spikes=spikes, comparisons=compared, additions=entered)
        return _threshold(place.name, *shapes), counts
    pooling = pooling_of(place, place.fan_out)
    if is_maximum:
        return pooling, NodeCounts(values=values, comparisons=entered)
    divided = None if isinstance(module, SUMS) else values
    counts = NodeCounts(
        values=values, comparisons=0 * units, additions=entered, multiplications=divided
    )
    return pooling, counts


def _counted_neurons(
    place: ModulePlace, population: Population
) -> tuple[Node, NodeCounts]:
    states = {time: np.empty(0) for time in _TIMES[: population.states]}
    kind = type(place.module).__name__ if place.fires else "LI"
    node = Neurons(place.name, place.in_shape, place.out_shape, kind, states)
    steps = place.steps.of_samples
    values = place.given.nonzero.of_samples
    updates = steps * place.n_out
    leaks = steps * population.leaks(place.n_out)
    counts = NodeCounts(updates=updates, leaks=leaks if leaks.any() else None)
    if place.gives_values:
        counts = replace(counts, values=values)
    else:
        counts = replace(counts, spikes=place.given.spikes.of_samples)
    if place.fires:
        resets = values * population.resets
        counts = replace(counts, active=values, resets=resets, comparisons=updates)
    return node, counts


def _threshold(name: str, in_shape: Shape, out_shape: Shape) -> Threshold:
    return Threshold(name, in_shape, out_shape, np.empty(0))


def connection_of(
    place: ModulePlace, fan_out: Counts | None
) -> Dense | CountedConnection:
    """A place with weights as a node, whose inputs reach so many synapses, int64
    [n_in].
    """
    assert fan_out is not None
    module: Any = place.module
    weight = module.weight.detach().float().cpu().numpy()
    is_linear = isinstance(module, nn.Linear)
    bias = None
    if place.has_bias:
        bias = np.zeros(place.out_shape[-1] if is_linear else place.out_shape[0])
    is_matrix = is_linear and weight.size == fan_out.size * place.n_out
    if is_matrix and (fan_out == place.n_out).all():
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
    """A place of pooling as a node, whose inputs reach so many windows, int64
    [n_in].
    """
    is_average = not isinstance(place.module, MAXIMA)
    reached = np.zeros(1, np.int64) if fan_out is None else fan_out
    return CountedPooling(
        place.name, place.in_shape, place.out_shape, NO_WINDOWS, is_average, reached
    )


def _unknown_source(name: str, reader: ModulePlace) -> Node:
    """Where something comes from that no module has given; its reader knows what it
    holds.
    """
    if reader.takes_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return _threshold(name, reader.in_shape, reader.in_shape)
