"""What was counted in running models, as networks that the ledger compares and prices.

Of a spiking one the network and its activity (`activity_of`). Of a place, events are counted where
whole numbers alone have entered it, and multiply-accumulates where others have.

    weights      a connection; a bias is added in each step in which it works
    neurons      an update of each neuron and step, active where it spikes
    maximum      of spikes the sum of each window, compared with a threshold; of values a comparison
                 of each that is not zero, in each window
    average      additions, and a multiplication of each sum that is not zero
    norm         where no weights are before it to hold it: a multiplication and an addition a unit
    activation   a comparison a unit

Of a conventional one what it multiplies on the same samples (`Contestant`): layers with weights,
ReLU, pooling, batch normalisation (folded into the weights before it, if there are some), dropout
and flattening are counted, each activation that is not zero as in `spikejoule.energy.counting`.
What else a network has is named. In one of integers, whose units are requantised, functions that
rescale by one number, round and clip are that, and need no name.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
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
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.pricing.layers import MAXIMA, NORMS, POOLING, SUMS, WEIGHTED, fan_out
from spikejoule.pricing.neurons import Known
from spikejoule.pricing.running import Answer, Run, batches_of, checked
from spikejoule.pricing.watching import INPUT, OUTPUT, Place, Watch

_NO_WINDOWS: Final = Windows((1, 1), (1, 1), (0, 0))
_TIMES: Final = ("tau_mem", "tau_syn", "tau_adapt")
Counts = NDArray[np.int64]
Bits = Annotated[int, Field(ge=1, le=FLOAT_BITS)]


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


@dataclass(frozen=True, eq=False)
class Baseline:
    """A conventional network to compare with.

    Attributes:
        module: of torch.
        name: in the report; empty for its layer sizes.
        weight_bits, activation_bits: 32 for floating point, less for integers, in which the module
            has to compute, or to round as if it did.
        sum_bits: of its sums and biases, likewise.
        pruned: whether a weight of 0 is no weight.
        samples: what it takes, as of `price`; None for the samples of the spiking network, of which
            it takes the mean over time.
        answer: what says the scores [B, classes] of what it gives; None for its first tensor.
    """

    module: nn.Module
    name: str = ""
    weight_bits: Bits = FLOAT_BITS
    activation_bits: Bits = FLOAT_BITS
    sum_bits: Bits = FLOAT_BITS
    pruned: bool = False
    samples: Any = None
    answer: Answer | None = None


Baseline.__init__ = checked(Baseline.__init__)  # type: ignore[method-assign]


class Contestant:
    """A baseline that runs on the batches of the spiking network, or on its own.

    Attributes:
        baseline: it.
        run: what it did.
    """

    def __init__(self, given: "nn.Module | Baseline", samples: Any = None) -> None:
        baseline = given if isinstance(given, Baseline) else Baseline(given)
        self.baseline = baseline if samples is None else replace(baseline, samples=samples)
        known = Known(pruned=baseline.pruned, requantises=baseline.weight_bits < FLOAT_BITS)
        self.run = Run(
            baseline.module, known, answer=baseline.answer, called="the network to compare with"
        )

    def take(self, x: Tensor, time_axis: Any) -> None:
        """Run on a batch of the spiking network."""
        if self.baseline.samples is None:
            self.run.take(x if time_axis == "none" else x.float().mean(dim=time_axis))

    def counts(self, labels: Counts, batch_size: int = 256) -> BaselineCounts:
        """What it multiplied, and how well it answered.

        Raises:
            ArtifactError: it has no weights, or gives no scores.
            ParameterError: it fails.
        """
        given, run = self.baseline, self.run
        for x, _ in () if given.samples is None else batches_of(given.samples, "none", batch_size):
            run.take(x)
        answers = run.answers()
        if answers is None or answers.shape != labels.shape:
            raise ArtifactError(
                f"the network to compare with gives no scores [samples, classes] of the "
                f"{len(labels):,} samples, so that its accuracy is not known."
            )
        network, macs = _network_of(run.watch)
        layers = (one for one in run.watch.places.values() if isinstance(one.module, WEIGHTED))
        synapses = tuple(int(one.fan_out.sum()) for one in layers if one.fan_out is not None)
        percent = 100 * float((answers == labels).mean())
        name = given.name or f"{type(given.module).__name__} {network.sizes}"
        if given.weight_bits < FLOAT_BITS:
            name += f", {given.weight_bits} bits"
        return BaselineCounts(
            name=name,
            architecture=network,
            synapses=synapses,
            weight_bits=given.weight_bits,
            activation_bits=given.activation_bits,
            sum_bits=given.sum_bits,
            equal_size=False,
            validation_accuracy_percent=percent,
            accuracy_percent=percent,
            macs_nonzero=macs,
        )


def _network_of(watch: Watch) -> tuple[Network, Counts]:
    """A network without time, and the products of each sample that are not zero, [N, L - 1]."""
    shape, counted = watch.input_shape or (), watch.counts()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    macs: list[Counts] = []
    units, is_clipped = "", False
    for name, place in watch.places.items():
        calls, module = int(counted[name, "steps"].max()), place.module
        node = node_of(replace(place, fan_out=fan_out(module, place.in_shape, place.out_shape)),
                       is_spiking=False)  # fmt: skip
        nodes[name] = node
        for call in range(2, calls + 1):  # of a module that stands at several places
            nodes[f"{name}, call {call}"] = replace(node, name=f"{name}, call {call}")
        if isinstance(module, WEIGHTED):
            if calls > 1:
                raise ArtifactError(
                    f"{name} of the network to compare with runs more than once for a sample."
                )
            if watch.known.requantises and units and not is_clipped:
                # By a function: without a module for ReLU, clipping at 0 is a comparison, too.
                before, clipped = nodes[units].out_shape, f"{units}, clipped"
                nodes[clipped] = Step(clipped, before, before, np.empty(0))
            is_clipped = False
            units = f"{name} units"
            nodes[units] = Neurons(units, place.out_shape, place.out_shape, "ReLU")
            macs.append(counted[name, "entries"])
        is_clipped |= isinstance(module, nn.ReLU)
    if not macs:
        raise ArtifactError("the network to compare with has no layer with weights.")
    return Network(nodes, ()), np.stack(macs, axis=1)
