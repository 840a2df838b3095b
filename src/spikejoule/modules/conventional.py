"""A conventional network of torch, counted on the samples of a spiking one.

Layers with weights, ReLU, pooling, batch normalisation (folded into the weights before it), dropout
and flattening are counted, each activation that is not zero as in `spikejoule.energy.counting`.
What else a network has is named.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.model.network import Input, Network, Neurons, Node, Pooling, Step
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.modules.counted import NO_WINDOWS, Counts, node_of
from spikejoule.modules.populations import Known
from spikejoule.modules.reach import ACTIVATIONS, MAXIMA, POOLING, WEIGHTED
from spikejoule.modules.running import Answer, Run, batches_of
from spikejoule.modules.watching import INPUT, Watch


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
    weight_bits: int = FLOAT_BITS
    activation_bits: int = FLOAT_BITS
    sum_bits: int = FLOAT_BITS
    pruned: bool = False
    samples: Any = None
    answer: Answer | None = None


@dataclass(frozen=True)
class _Windows(Pooling):
    """Pooling whose windows are known."""

    fan_outs: Counts

    def fan_out(self, pruned: bool = False) -> Counts:
        return self.fan_outs


class Contestant:
    """A baseline that runs on the batches of the spiking network, or on its own."""

    def __init__(self, given: "nn.Module | Baseline") -> None:
        self.baseline = given if isinstance(given, Baseline) else Baseline(given)
        if not isinstance(self.baseline.module, nn.Module):
            raise ParameterError(
                f"against is {type(self.baseline.module).__name__}, but must be a module of torch, "
                "or a Baseline of one"
            )
        self.run = Run(self.baseline.module, Known(()), answer=self.baseline.answer)

    @property
    def not_counted(self) -> list[str]:
        """What ran and is not known."""
        return [f"{text} of the network to compare with"
                for text in self.run.watch.unknown.values()]  # fmt: skip

    def take(self, x: Tensor, time_axis: Any) -> None:
        """Run on a batch of the spiking network."""
        if self.baseline.samples is None:
            self.run.take(x if time_axis == "none" else x.float().mean(dim=time_axis))

    def counts(self, labels: NDArray[np.int64], batch_size: int) -> BaselineCounts:
        """What it multiplied, and how well it answered.

        Raises:
            ArtifactError: it has no weights, or gives no scores.
            ParameterError: its samples are not those of the labels.
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
        synapses = tuple(int(one.fan_out(given.pruned).sum()) for one in network.connections)
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


def _network_of(watch: Watch) -> tuple[Network, NDArray[np.int64]]:
    """A network without time, and the products of each sample that are not zero, [N, L - 1]."""
    shape = watch.input_shape or ()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    macs: list[Counts] = []
    for place in watch.places.values():
        module, shapes = place.module, (place.in_shape, place.out_shape)
        if isinstance(module, WEIGHTED):
            if any((found != 1).any() for found in place.counts["steps"].values()):
                raise ArtifactError(
                    f"{place.name} of the network to compare with runs more than once for a sample."
                )
            units = f"{place.name} units"
            nodes[place.name] = node_of(place)
            nodes[units] = Neurons(units, place.out_shape, place.out_shape, "ReLU")
            macs.append(place.of("entries", watch.sizes))
        elif isinstance(module, POOLING):
            is_average = not isinstance(module, MAXIMA)
            assert place.fan_out is not None
            nodes[place.name] = _Windows(place.name, *shapes, NO_WINDOWS, is_average, place.fan_out)
        elif isinstance(module, ACTIVATIONS):
            nodes[place.name] = Step(place.name, *shapes, np.empty(0))
    if not macs:
        raise ArtifactError("the network to compare with has no layer with weights.")
    return Network(nodes, ()), np.stack(macs, axis=1)
