"""A conventional network of torch, counted on the samples of a spiking one.

Layers with weights, ReLU, pooling, batch normalisation (folded into the weights before it, if there
are some), dropout and flattening are counted, each activation that is not zero as in
`spikejoule.energy.counting`. What else a network has is named.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.model.network import Input, Network, Neurons, Node
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.modules.counted import node_of
from spikejoule.modules.populations import Known
from spikejoule.modules.reach import WEIGHTED, fan_out
from spikejoule.modules.running import Answer, Run, batches_of, checked
from spikejoule.modules.watching import INPUT, Watch

Bits = Annotated[int, Field(ge=1, le=FLOAT_BITS)]


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
        self.run = Run(baseline.module, Known(pruned=baseline.pruned), answer=baseline.answer,
                       called="the network to compare with")  # fmt: skip

    def take(self, x: Tensor, time_axis: Any) -> None:
        """Run on a batch of the spiking network."""
        if self.baseline.samples is None:
            self.run.take(x if time_axis == "none" else x.float().mean(dim=time_axis))

    def counts(self, labels: NDArray[np.int64], batch_size: int = 256) -> BaselineCounts:
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


def _network_of(watch: Watch) -> tuple[Network, NDArray[np.int64]]:
    """A network without time, and the products of each sample that are not zero, [N, L - 1]."""
    shape, counted = watch.input_shape or (), watch.counts()
    nodes: dict[str, Node] = {INPUT: Input(INPUT, shape, shape)}
    macs: list[NDArray[np.int64]] = []
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
            units = f"{name} units"
            nodes[units] = Neurons(units, place.out_shape, place.out_shape, "ReLU")
            macs.append(counted[name, "entries"])
    if not macs:
        raise ArtifactError("the network to compare with has no layer with weights.")
    return Network(nodes, ()), np.stack(macs, axis=1)
