"""What was counted in a running model, as a network with its activity, which the ledger prices.

Where only whole numbers have entered a place, events are counted; where others have,
multiply-accumulates.

    weights      a connection; a bias is added in each step in which it works
    neurons      an update of each neuron and step, active where it spikes
    maximum      of spikes the sum of each window, compared with a threshold; of values a comparison
                 of each that is not zero, in each window
    average      additions, and a multiplication of each sum that is not zero
    norm         where no weights are before it to hold it: a multiplication and an addition a unit
    activation   a comparison a unit
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.evaluation.measurement import Activity
from spikejoule.network.network import (
    Convolution,
    Dense,
    Input,
    Network,
    Neurons,
    Node,
    Output,
    Pooling,
    Step,
    Windows,
)
from spikejoule.pricing.layers import MAXIMA, NORMS, POOLING, SUMS, WEIGHTED
from spikejoule.pricing.watching import INPUT, OUTPUT, Place, Watch

NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
"""The windows of nodes whose fan-outs are counted, not computed."""
_TIMES: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class CountedConnection(Convolution):
    """Weights whose fan-outs are known: of a convolution, or a part of a matrix."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """As of `Dense`."""
        return self.fan_outs


@dataclass(frozen=True)
class CountedPooling(Pooling):
    """Pooling whose windows are known."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """Windows of each unit of the input, int64 [n_in]."""
        return self.fan_outs


def activity_of(watch: Watch, steps: int = 0) -> Activity:
    """The network that ran, and what it did.

    Args:
        watch: what was counted.
        steps: of the samples; 0 where the model makes them itself, which are those of its output.
    """
    counted = _Counted(watch)
    for place in watch.places.values():
        for source in place.sources:
            counted.add_edge(source, place)
        counted.add_place(place)
    return counted.activity(steps)


class _Counted:
    """A network and its counts, place by place.

    Attributes:
        nodes, edges: of the network.
        counts: by kind and node, [N].
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._zeros = np.zeros(sum(watch.sizes), np.int64)
        shape = watch.input_shape or ()
        self.nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
        self.edges: list[tuple[str, str]] = []
        self.counts: defaultdict[str, dict[str, Counts]] = defaultdict(dict)

    def add_edge(self, source: str, place: Place) -> None:
        """What a place has taken from a source."""
        self.edges.append((source, place.name))
        if source not in self._watch.places and source not in self.nodes:
            self.nodes[source] = _unknown_source(source, place)
            self.counts["spikes"][source] = self.counts["comparisons"][source] = self._zeros
        if place.fan_out is None and source != INPUT:
            return
        amounts = place.sources[source]
        taken = amounts.nonzero if place.takes_values else amounts.spikes
        read = taken.all(self._watch.sizes)
        self.counts["reads"][source] = self.counts["reads"].get(source, self._zeros) + read
        # Other nodes have counted what they give themselves.
        if source == INPUT or not isinstance(self.nodes.get(source), Step | Neurons | Pooling):
            kind = "values" if place.takes_values else "spikes"
            self.counts[kind].setdefault(source, read)

    def add_place(self, place: Place) -> None:
        """A place as a node, and what it has done."""
        self.nodes[place.name] = node_of(place)
        for kind, counts in _counts_of(place, self._watch.sizes).items():
            self.counts[kind][place.name] = counts

    def activity(self, steps: int) -> Activity:
        """The whole; its output is its last population."""
        self.counts["spikes"].setdefault(INPUT, self._zeros)
        last = [node for node in self.nodes.values() if isinstance(node, Neurons)][-1]
        nodes = self.nodes | {OUTPUT: Output(OUTPUT, last.out_shape, last.out_shape)}
        made_steps = self._watch.places[last.name].steps.all(self._watch.sizes)
        return Activity(
            network=Network(nodes, (*self.edges, (last.name, OUTPUT))),
            time_window=steps or int(made_steps.max()),
            counts=self.counts,
        )


def _counts_of(place: Place, sizes: list[int]) -> dict[str, Counts]:
    """What was counted at a place, by kind, [N] each."""
    steps = place.steps.all(sizes)
    units = steps * place.n_out
    reached = place.reached.nonzero if place.takes_values else place.reached.spikes
    entered, values = reached.all(sizes), place.given.nonzero.all(sizes)
    given = {"spikes": place.given.spikes.all(sizes)}
    if place.gives_values:
        given = {"values": values}
    module, population = place.module, place.population
    if population is not None:
        found = {**given, "updates": units, "leaks": steps * population.leaks(place.n_out)}
        if population.fires:
            found |= {"active": values, "resets": values * population.resets}
        return found
    if isinstance(module, WEIGHTED):
        found = {"macs" if place.takes_values else "events": entered}
        return found | {"biases": units} if place.has_bias else found
    if isinstance(module, MAXIMA):
        if place.gives_values:
            return {**given, "comparisons": entered}
        return {**given, "comparisons": units, "additions": entered}
    if isinstance(module, POOLING):
        found = {**given, "additions": entered, "comparisons": 0 * units}
        if place.gives_values and not isinstance(module, SUMS):
            found["multiplications"] = values
        return found
    if isinstance(module, NORMS):
        return {"values": values, "multiplications": units, "additions": units}
    return {"values": values, "comparisons": units}


def node_of(place: Place) -> Node:
    """A place as a node of a spiking network."""
    name, in_shape, out_shape, module = place.name, place.in_shape, place.out_shape, place.module
    if place.population is not None:
        states = {time: np.empty(0) for time in _TIMES[: place.population.states]}
        kind = type(module).__name__ if place.fires else "LI"
        return Neurons(name, in_shape, out_shape, kind, states)
    if isinstance(module, WEIGHTED):
        return connection_of(place, place.fan_out)
    if isinstance(module, NORMS):
        return Node(name, in_shape, out_shape)
    if isinstance(module, POOLING) and place.gives_values:
        return pooling_of(place, place.fan_out)
    return Step(name, in_shape, out_shape, np.empty(0))


def connection_of(place: Place, fan_out: Counts | None) -> Dense | CountedConnection:
    """A place with weights as a node, whose inputs reach so many synapses, int64 [n_in]."""
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


def pooling_of(place: Place, fan_out: Counts | None) -> CountedPooling:
    """A place of pooling as a node, whose inputs reach so many windows, int64 [n_in]."""
    is_average = not isinstance(place.module, MAXIMA)
    reached = np.zeros(1, np.int64) if fan_out is None else fan_out
    return CountedPooling(
        place.name, place.in_shape, place.out_shape, NO_WINDOWS, is_average, reached
    )


def _unknown_source(name: str, reader: Place) -> Node:
    """Where something comes from that no module has given; its reader knows what it holds."""
    if reader.takes_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return Step(name, reader.in_shape, reader.in_shape, np.empty(0))
