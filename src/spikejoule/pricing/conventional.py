"""Conventional networks to compare with: what they multiply on the same samples.

Counted are layers with weights, ReLU, pooling, batch normalisation (folded into the
weights before it, if there are any), dropout and flattening. Zero activations are
counted apart, as in `counts.measurement`. Everything else is named as not counted. An
integer network rescales, rounds and clips each unit: functions that do so by one number
are counted with the units, and not named.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.notes import Note
from spikejoule.core.errors import ArtifactError, ParameterError, shown
from spikejoule.counts.measurement import activity_of_products
from spikejoule.network.conventional import RELU, ConventionalNetwork
from spikejoule.network.nodes import Connection, Input, Neurons, Node, Threshold
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.pricing.cautions import cautions_of
from spikejoule.pricing.counting.nodes import comparing_units, node_of, pooling_of
from spikejoule.pricing.counting.places import ModulePlace
from spikejoule.pricing.modules.layers import NORMS, POOLING, WEIGHTED, Scale
from spikejoule.pricing.modules.neurons import Known
from spikejoule.pricing.modules.parts import INPUT
from spikejoule.pricing.running.run import Answer, Run, Stepping
from spikejoule.pricing.running.samples import BatchAxes, batches_of
from spikejoule.pricing.watching.watch import Watch
from spikejoule.report.names import architecture

CALL: Final = ", call "
"""What stands between the name of a layer and the number of its later calls."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A conventional network to compare with.

    Attributes:
        module: a PyTorch module.
        name: in the report; empty for its class and layer sizes.
        weight_bits, activation_bits: 32 for floating point, fewer for integers; the
            module must compute in them, or round as if it did.
        sum_bits: of its sums and biases.
        pruned: whether a weight of 0 is no weight.
        samples: its input, without an axis of time; None for the means over time of the
            spiking network's samples.
        answer: returns the scores [B, classes] in its output; None for its first
            tensor.

    Raises:
        ParameterError: a field has another type, or is out of its range.
    """

    module: nn.Module
    name: str = ""
    weight_bits: int = FLOAT_BITS
    activation_bits: int = FLOAT_BITS
    sum_bits: int = FLOAT_BITS
    pruned: bool = False
    samples: Any = None
    answer: Answer | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise ParameterError(
                f"module is {shown(self.module)}, but must be an instance of Module."
            )
        for name in ("weight_bits", "activation_bits", "sum_bits"):
            bits = getattr(self, name)
            if not isinstance(bits, int) or not 1 <= bits <= FLOAT_BITS:
                raise ParameterError(
                    f"{name} is {shown(bits)}, but must be a whole number from 1 "
                    f"to {FLOAT_BITS}."
                )


class BaselineRun:
    """A baseline that runs on the spiking network's batches, or on its own samples.

    Attributes:
        baseline: the conventional network.
        run: its run.
    """

    def __init__(self, network: nn.Module | Baseline, samples: Any = None) -> None:
        baseline = network if isinstance(network, Baseline) else Baseline(network)
        if samples is not None:
            baseline = replace(baseline, samples=samples)
        self.baseline = baseline
        known = Known(
            pruned=baseline.pruned, requantises=baseline.weight_bits < FLOAT_BITS
        )
        self.run = Run(
            baseline.module,
            known,
            Stepping(answer=baseline.answer),
            called="the network to compare with",
        )

    def take(self, x: Tensor, axes: BatchAxes) -> None:
        """Run on a batch of the spiking network, unless it has its own samples."""
        if self.baseline.samples is None:
            self.run.take(x if axes.time is None else x.float().mean(dim=axes.time))

    @property
    def cautions(self) -> list[Note]:
        """Warnings about how it ran."""
        return cautions_of(self.run)

    def counts(
        self, labels: NDArray[np.int64], batch_size: int = 256
    ) -> CountedBaseline:
        """Return what it multiplied, and its accuracy.

        Raises:
            ArtifactError: it has no weights, or gives no scores.
            ParameterError: it fails.
        """
        baseline = self.baseline
        if baseline.samples is not None:
            for batch in batches_of(baseline.samples, "none", batch_size):
                self.run.take(batch.samples)
        answers = self.run.scores.classes
        if answers is None or answers.shape != labels.shape:
            raise ArtifactError(
                "the network to compare with gives no scores [samples, classes] of the "
                f"{len(labels):,} samples, so that its accuracy is not known."
            )
        watch = self.run.watch
        watch.finish()
        network = replace(
            network_of(watch, _calls),
            weight_bits=baseline.weight_bits,
            state_bits=baseline.sum_bits,
            activation_bits=baseline.activation_bits,
        )
        has_zeros = not all(node.weight.all() for node in network.connections)
        pruned = baseline.pruned and has_zeros
        percent = 100 * float((answers == labels).mean())
        return CountedBaseline(
            name=_name_of(baseline, network),
            activity=activity_of_products(network, self._products(), pruned),
            equal_size=False,
            validation_accuracy_percent=percent,
            accuracy_percent=percent,
        )

    def _products(self) -> NDArray[np.int64]:
        """Return the products of nonzero activations in each connection, [N, K]."""
        of_connections: list[NDArray[np.int64]] = []
        for place in self.run.watch.places.values():
            if isinstance(place.module, WEIGHTED):
                of_all_calls = place.reached.nonzero.per_sample
                if not self.run.is_split_known:
                    of_all_calls[:] = round(of_all_calls.mean())
                calls = _calls(place)
                # Only the sum of all calls is known, and all cost the same.
                of_connections += [
                    (of_all_calls + call) // calls for call in range(calls)
                ]
        return np.stack(of_connections, axis=1)


def _name_of(baseline: Baseline, network: ConventionalNetwork) -> str:
    """Return the name in the report."""
    model = type(baseline.module).__name__
    name = baseline.name or f"{model} {architecture(network)}"
    is_float = baseline.weight_bits == FLOAT_BITS
    return name if is_float else f"{name}, {baseline.weight_bits} bits"


def network_of(
    watch: Watch, calls: Callable[[ModulePlace], int]
) -> ConventionalNetwork:
    """Return the network that ran, without time; units follow each layer with weights.

    A layer that runs several times for a sample is as many connections.

    Args:
        watch: has counted.
        calls: returns how often a place ran for a sample.

    Raises:
        ArtifactError: it has no layer with weights.
    """
    shape = watch.calls.input_shape or ()
    nodes: list[Node] = [Input(INPUT, shape, shape)]
    # The units of the last layer with weights, while no ReLU has clipped them.
    unclipped: Node | None = None
    for place in watch.places.values():
        node = _node_of(place, watch.known.pruned)
        is_connection = isinstance(node, Connection)
        nodes.append(node)
        if is_connection and unclipped is not None and watch.known.requantises:
            # An integer network without a module for ReLU clips at 0 by a function:
            # that is a comparison, too.
            name = f"{unclipped.name}, clipped"
            nodes.append(comparing_units(name, unclipped.in_shape, unclipped.out_shape))
        if is_connection:
            unclipped = _units_after(node)
            nodes.append(unclipped)
        elif isinstance(place.module, nn.ReLU):
            unclipped = None
        for call in range(2, calls(place) + 1):
            again = replace(node, name=f"{node.name}{CALL}{call}")
            nodes += [again, _units_after(again)] if is_connection else [again]
    connections = [node for node in nodes if isinstance(node, Connection)]
    if not connections:
        raise ArtifactError("the network to compare with has no layer with weights.")
    return ConventionalNetwork(
        nodes={node.name: node for node in nodes},
        edges=(),
        stored_biases=tuple(
            0 if node.bias is None else node.bias.size for node in connections
        ),
        rectified=tuple(node for node in nodes if isinstance(node, Threshold)),
    )


def _node_of(place: ModulePlace, pruned: bool) -> Node:
    """Return a place as a node of a conventional network; arguments as for `node_of`.

    Its norms and pooling have values.
    """
    if isinstance(place.module, (*NORMS, Scale)):
        # Each unit is multiplied, and a norm adds to it, as average pooling does over
        # windows of one unit.
        additions = 1 if isinstance(place.module, NORMS) else 0
        return pooling_of(place, np.full(place.n_out, additions, np.int64))
    if isinstance(place.module, POOLING):
        return pooling_of(place, place.fan_out)
    return node_of(place, pruned)


def _units_after(connection: Node) -> Neurons:
    """Return the units that a connection leads to."""
    shape = connection.out_shape
    return Neurons(f"{connection.name} units", shape, shape, RELU)


def _calls(place: ModulePlace) -> int:
    """Return how often a place runs for a sample."""
    return int(place.steps.per_sample.max())
