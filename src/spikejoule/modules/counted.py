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

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikejoule.evaluation.measurement import KINDS, Activity
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
from spikejoule.modules.reach import MAXIMA, POOLING, SUMS, WEIGHTED
from spikejoule.modules.watching import INPUT, OUTPUT, Place, Watch

NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
_TIMES: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Counted(Convolution):
    """Weights whose fan-outs are known: of a convolution, or a part of a matrix.

    Attributes:
        fan_outs: int64 [n_in].
    """

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        """As of `Dense`."""
        return self.fan_outs


def activity_of(watch: Watch) -> Activity:
    """The network that ran, and what it did."""
    sizes, places = watch.sizes, watch.places
    shape = watch.input_shape or ()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    counts: dict[str, dict[str, Counts]] = {kind: {} for kind in (*KINDS, *_FURTHER)}
    edges: list[tuple[str, str]] = []
    for place in places.values():
        for source in place.sources:
            if source not in places and source not in nodes:
                nodes[source] = _between(source, place)
                counts["spikes"][source] = counts["comparisons"][source] = np.zeros(1, np.int64)
            edges.append((source, place.name))
        nodes[place.name] = node_of(place)
        for kind, found in _counts_of(place, sizes).items():
            counts[kind][place.name] = found
        for source in place.sources if place.fan_out is not None else ():
            kind = "nonzero" if place.takes_values else "spikes"
            read = place.of(f"{kind} {source}", sizes)
            counts["reads"][source] = counts["reads"].get(source, 0) + read
            given = "values" if place.takes_values else "spikes"
            if source == INPUT or not isinstance(nodes.get(source), Step | Neurons | Pooling):
                counts[given].setdefault(source, read)
    counts["spikes"].setdefault(INPUT, np.zeros(sum(sizes), np.int64))
    last = [name for name, node in nodes.items() if isinstance(node, Neurons)][-1]
    nodes[OUTPUT] = Output(OUTPUT, nodes[last].out_shape, nodes[last].out_shape)
    window = max(
        int(found.max()) for place in places.values() if place.population is not None
        for found in place.counts.get("steps", {}).values()
    )  # fmt: skip
    network = Network(nodes, (*edges, (last, OUTPUT)))
    return Activity(network=network, time_window=window, counts=counts)


_FURTHER: Final = ("active", "resets", "leaks", "reads", "biases", "comparisons")


def _counts_of(place: Place, sizes: list[int]) -> dict[str, Counts]:
    """What was counted at a place, by kind."""

    def of(kind: str) -> Counts:
        return place.of(kind, sizes)

    entered = of("entries") if place.takes_values else of("events")
    given = {"values": of("values")} if place.gives_values else {"spikes": of("spikes")}
    population, steps = place.population, of("steps")
    if population is not None:
        found = {**given, "updates": steps * place.n_out}
        found["leaks"] = steps * population.leaks(place.n_out)
        if population.fires:
            found |= {"active": of("values"), "resets": of("values") * population.resets}
        return found
    if isinstance(place.module, WEIGHTED):
        biases = {"biases": steps * place.n_out} if place.has_bias else {}
        return {"macs" if place.takes_values else "events": entered, **biases}
    if isinstance(place.module, MAXIMA):
        if place.gives_values:
            return {**given, "comparisons": entered}
        return {**given, "additions": entered, "comparisons": steps * place.n_out}
    if isinstance(place.module, POOLING):
        divides = place.gives_values and not isinstance(place.module, SUMS)
        scaled = {"multiplications": of("values")} if divides else {}
        return {**given, **scaled, "additions": entered, "comparisons": np.zeros_like(entered)}
    kinds = ("multiplications", "additions", "comparisons")
    return {"values": of("values"), **{kind: of(kind) for kind in kinds if kind in place.counts}}


def node_of(place: Place) -> Node:
    """A place as a node of a network."""
    name, shapes, module = place.name, (place.in_shape, place.out_shape), place.module
    if place.population is not None:
        states = {one: np.empty(0) for one in _TIMES[: place.population.states]}
        kind = type(module).__name__ if place.population.fires else "LI"
        return Neurons(name, *shapes, kind, states)
    if isinstance(module, WEIGHTED):
        return _connection(place, module)
    if not isinstance(module, POOLING) or (isinstance(module, MAXIMA) and place.gives_values):
        return Node(name, *shapes)
    if isinstance(module, MAXIMA) or not place.gives_values:
        return Step(name, *shapes, np.empty(0))
    return Pooling(name, *shapes, NO_WINDOWS, average=not isinstance(module, SUMS))


def _connection(place: Place, module: Any) -> Dense | Counted:
    weight = module.weight.detach().float().cpu().numpy()
    bias = None
    if place.has_bias:
        bias = np.zeros(place.out_shape[-1 if isinstance(module, nn.Linear) else 0])
    assert place.fan_out is not None
    n_out = int(np.prod(place.out_shape))
    if isinstance(module, nn.Linear) and weight.size == place.fan_out.size * n_out and (
        (place.fan_out == n_out).all()
    ):  # fmt: skip
        return Dense(place.name, place.in_shape, place.out_shape, weight, bias)
    shapes = place.in_shape, place.out_shape
    groups = getattr(module, "groups", 1)
    return Counted(place.name, *shapes, weight, bias, groups, NO_WINDOWS, place.fan_out)


def _between(name: str, reader: Place) -> Node:
    """Where something comes from that no module has given; what it holds is known by its reader."""
    if reader.takes_values:
        return Node(name, reader.in_shape, reader.in_shape)
    return Step(name, reader.in_shape, reader.in_shape, np.empty(0))
