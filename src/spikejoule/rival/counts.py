"""What the energy ledger needs to know of a conventional network (ANN) on the test images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOAT_BITS = 32


@dataclass(frozen=True, eq=False)
class RivalCounts:
    """What a fully connected ReLU network of L layers multiplies on N test images, in their order.

    Attributes:
        name: what it is, in a few words, such as ``ReLU 784-100-10, 90 % pruned, 8 bits``.
        layer_sizes: units of the L layers, the input first.
        synapses: weights that are not removed, of each of the L - 1 matrices.
        weight_bits: width of its weights; 32 is float32, less are integers.
        activation_bits: width of its activations, likewise.
        equal_size: whether it stands in the comparison of equal sizes, with the spiking network's
            own layer sizes; the others are the family.
        validation_accuracy_percent: by which it is chosen.
        accuracy_percent: on the whole test set.
        active: activations that are not zero, of every layer but the last, int64 [N, L - 1].
        macs_nonzero: products of an activation and a weight that are both not zero (a removed weight
            is zero; of the others all count), of each matrix, int64 [N, L - 1].
    """

    name: str
    layer_sizes: tuple[int, ...]
    synapses: tuple[int, ...]
    weight_bits: int
    activation_bits: int
    equal_size: bool
    validation_accuracy_percent: float
    accuracy_percent: float
    active: NDArray[np.int64]
    macs_nonzero: NDArray[np.int64]

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates if every weight that is left is used, whatever the image."""
        return sum(self.synapses)

    @property
    def pruned(self) -> bool:
        """Whether weights were removed."""
        sizes = zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True)
        return self.macs_dense < sum(sources * targets for sources, targets in sizes)
