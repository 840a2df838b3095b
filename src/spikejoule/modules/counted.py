"""What was counted in a running model as a network and its activity, which the ledger prices.

Of a place, events are counted where whole numbers alone have entered it, and multiply-accumulates
where others have.

    weights      a connection; a bias is added in each step in which it works
    neurons      an update of each neuron and step, active where it spikes
    maximum      of spikes the sum of each window, compared with a threshold; of values a comparison
                 of each that is not zero, in each window
    average      additions, and a multiplication of each sum that is not zero
    norm         where no weights are before it to hold it: a multiplication and an addition a unit
    activation   a comparison a unit
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.evaluation.measurement import Activity
from spikejoule.model.network import (
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
from spikejoule.modules.reach import MAXIMA, NORMS, POOLING, SUMS, WEIGHTED
from spikejoule.modules.watching import INPUT, OUTPUT, Place, Watch

_NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
_TIMES: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class _Counted(Convolution):
    """Weights whose fan-outs are known: of a convolution, or a part of a matrix."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """As of `Dense`."""
        return self.fan_outs


@dataclass(frozen=True)
class _Pooled(Pooling):
    """Pooling whose windows are known."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        return self.fan_outs


def activity_of(watch: Watch, steps: int = 0) -> Activity:
    """The network that ran, and what it did.

    Args:
        watch: what was counted.
        steps: of the samples; 0 where the model makes them itself, which are those of its output.
    """
    counted, none, places = watch.counts(), np.zeros(sum(watch.sizes), np.int64), watch.places
    shape = watch.input_shape or ()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    counts: defaultdict[str, dict[str, Counts]] = defaultdict(dict)
    edges: list[tuple[str, str]] = []
    for place in places.values():

        def of(kind: str, name: str = place.name) -> Counts:
            return counted.get((name, kind), none)

        for source in place.sources:
            edges.append((source, place.name))
            if source not in places and source not in nodes:  # no module has given it
                nodes[source] = _between(source, place)
                counts["spikes"][source] = counts["comparisons"][source] = none
            if place.fan_out is None and source != INPUT:
                continue
            read = of(f"{'entries' if place.takes_values else 'spikes'} of {source}")
            counts["reads"][source] = counts["reads"].get(source, 0) + read
            if source == INPUT or not isinstance(nodes.get(source), Step | Neurons | Pooling):
                counts["values" if place.takes_values else "spikes"].setdefault(source, read)
        nodes[place.name] = node_of(place)
        for kind, found in _counts_of(place, of).items():
            counts[kind][place.name] = found
    counts["spikes"].setdefault(INPUT, none)
    last = [name for name, node in nodes.items() if isinstance(node, Neurons)][-1]
    nodes[OUTPUT] = Output(OUTPUT, nodes[last].out_shape, nodes[last].out_shape)
    window = steps or int(counted[last, "steps"].max())
    network = Network(nodes, (*edges, (last, OUTPUT)))
    return Activity(network=network, time_window=window, counts=counts)


def _counts_of(place: Place, of: Callable[[str], Counts]) -> dict[str, Counts]:
    """What was counted at a place, by kind."""
    units, module = of("steps") * place.n_out, place.module
    entered = of("entries" if place.takes_values else "events")
    given = {"values": of("values")} if place.gives_values else {"spikes": of("spikes")}
    if place.population is not None:
        found = {**given, "updates": units}
        found["leaks"] = of("steps") * place.population.leaks(place.n_out)
        if place.fires:
            found |= {"active": of("values"), "resets": of("values") * place.population.resets}
        return found
    if isinstance(module, WEIGHTED):
        biases = {"biases": units} if place.has_bias else {}
        return {"macs" if place.takes_values else "events": entered, **biases}
    if isinstance(module, MAXIMA):
        sums = {"comparisons": entered} if place.gives_values else {"additions": entered}
        return {**given, "comparisons": units, **sums}
    if isinstance(module, POOLING):
        divides = place.gives_values and not isinstance(module, SUMS)
        scaled = {"multiplications": of("values")} if divides else {}
        return {**given, **scaled, "additions": entered, "comparisons": 0 * units}
    if isinstance(module, NORMS):
        return {"values": of("values"), "multiplications": units, "additions": units}
    return {"values": of("values"), "comparisons": units}


def node_of(place: Place, is_spiking: bool = True) -> Node:
    """A place as a node of a network; of a conventional one, pooling gives no spikes."""
    name, shapes, module = place.name, (place.in_shape, place.out_shape), place.module
    if place.population is not None:
        states = {one: np.empty(0) for one in _TIMES[: place.population.states]}
        return Neurons(name, *shapes, type(module).__name__ if place.fires else "LI", states)
    if isinstance(module, WEIGHTED):
        return _connection(place, module)
    if isinstance(module, NORMS):
        # An addition and a multiplication a unit, as an average over windows of one unit.
        ones = np.ones(place.n_out, np.int64)
        return Node(name, *shapes) if is_spiking else _Pooled(
            name, *shapes, _NO_WINDOWS, True, ones)  # fmt: skip
    if not isinstance(module, POOLING) or (is_spiking and not place.gives_values):
        return Step(name, *shapes, np.empty(0))
    reached = np.zeros(1, np.int64) if place.fan_out is None else place.fan_out
    return _Pooled(name, *shapes, _NO_WINDOWS, not isinstance(module, MAXIMA), reached)


def _connection(place: Place, module: Any) -> Dense | Convolution:
    weight = module.weight.detach().float().cpu().numpy()
    bias = None
    if place.has_bias:
        bias = np.zeros(place.out_shape[-1 if isinstance(module, nn.Linear) else 0])
    assert place.fan_out is not None
    shapes, n_in = (place.in_shape, place.out_shape), place.fan_out.size
    is_matrix = isinstance(module, nn.Linear) and weight.size == n_in * place.n_out
    if is_matrix and (place.fan_out == place.n_out).all():
        return Dense(place.name, *shapes, weight, bias)
    groups = getattr(module, "groups", 1)
    return _Counted(place.name, *shapes, weight, bias, groups, _NO_WINDOWS, place.fan_out)


def _between(name: str, reader: Place) -> Node:
    """Where something comes from that no module has given; what it holds is known by its reader."""
    if reader.takes_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return Step(name, reader.in_shape, reader.in_shape, np.empty(0))
