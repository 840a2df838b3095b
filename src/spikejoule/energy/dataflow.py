"""The dataflow: where a network's numbers live while it runs or is trained.

Both sides of a comparison get the same object, so that they follow the same rules. A
memory is as large as the array that it holds:

    weights, indices      the layer's memory of weights
    biases                the same memory, or one of their own (`biases`)
    potentials            a memory of the layer, read and written once per step
    sums                  a register, or a memory: the low end of a total omits these
                          accesses, the high end has them (`Term.optional_as`)
    spikes, values        a memory of the layer that sends them, written once, and read
                          by each connection that they enter

In training, of one sample, or of a batch (`gradients`):

    kept values           memories of what each layer passed on, and of its potentials
    deltas                a memory of the layer, written once per step
    gradients             a register or a small buffer (`gradients`), then a memory as
                          large as that of the parameters. Clipping reads it once more;
                          where gradients are added to it, each batch clears it
    moments, masks        memories as large as that of the parameters
"""

from dataclasses import dataclass
from typing import Final, Literal

Extent = Literal["event", "sample", "batch"]


@dataclass(frozen=True)
class Dataflow:
    """One way of running and training a network; see the module for what all share.

    Attributes:
        skips_zeros: whether only spikes and values other than zero are multiplied, and
            the weights that they reach read; otherwise every product is computed.
        gradients: how long the gradient of a weight stays in a register or a small
            buffer before it is added to memory: for one ``event`` (a spike or a value
            that reaches the weight), for all events of a ``sample``, or for a whole
            ``batch``, whose values and deltas are then all kept.
        biases: whether biases share the memory of their layer's ``weights`` (Lemaire et
            al. 2022, arXiv:2210.13107), or have their ``own``.

    Raises ValueError for gradients over a batch with zeros skipped: each batch would
    have its own set of weights with a gradient.
    """

    skips_zeros: bool = True
    gradients: Extent = "sample"
    biases: Literal["weights", "own"] = "weights"

    def __post_init__(self) -> None:
        if self.skips_zeros and self.gradients == "batch":
            raise ValueError(
                "gradients over a batch are counted only where every product is "
                "computed (skips_zeros=False)"
            )


ZERO_SKIPPING: Final = Dataflow()
"""The default: work grows with the spikes, or with the values other than zero."""

DENSE: Final = Dataflow(skips_zeros=False, gradients="batch")
"""Every product, a batch at a time, as PyTorch computes."""

DATAFLOWS: Final = (DENSE, ZERO_SKIPPING)
"""The two ways of running every conventional network."""

TRAINING_RANGE: Final = (
    ZERO_SKIPPING,
    Dataflow(biases="own"),
    Dataflow(gradients="event"),
)
"""The ways of skipping zeros in training: first the default. The energy of a training
is a range over them."""
