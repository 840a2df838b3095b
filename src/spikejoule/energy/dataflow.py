"""The dataflow: where a network's numbers live while it runs or is trained.

Both sides of a comparison get the same object, so that they follow the same rules. What
every dataflow here has in common:

- weights, gradients and moments are in memories as large as the arrays, and potentials
  in one of the layer's size;
- the sum of a neuron or unit is in a register or in memory: terms with `optional_as`
  cost nothing at the low end of a total;
- what a layer passes on is written to memory, and read by each connection;
- gradients that are summed in memory are cleared once per batch, and clipping reads
  them once more where a training clips.
"""

from dataclasses import dataclass
from typing import Final, Literal

Extent = Literal["event", "sample", "batch"]


@dataclass(frozen=True)
class Dataflow:
    """One way of running and training a network.

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
