"""What the energy ledger needs to know of a conventional network (ANN) on the test images."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spikejoule.model.quantisation import FLOAT_BITS


@dataclass(frozen=True, eq=False)
class BaselineCounts:
    """What a fully connected ReLU network of L layers multiplies on N test images, in their order.

    Attributes:
        name: what it is, in a few words, such as ``ReLU 784-100-10, 90 % pruned, 8 bits``.
        layer_sizes: units of the L layers, the input first.
        synapses: weights that are left, of each of the L - 1 matrices. In a pruned network a weight
            of 0 is no synapse, whether it was removed or rounded, as in a spiking one.
        weight_bits: width of its weights; 32 is float32, less are integers.
        activation_bits: width of its activations, likewise.
        equal_size: whether it stands in the comparison of equal sizes, with the spiking network's
            own layer sizes; the others are the family.
        validation_accuracy_percent: by which it is chosen.
        accuracy_percent: on the whole test set.
        active: activations that are not zero, of every layer but the last, int64 [N, L - 1].
        macs_nonzero: products of an activation that is not zero and a weight that is left, of each
            matrix, int64 [N, L - 1].
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

    def __post_init__(self) -> None:
        """Raise ValueError for counts that no network can have."""
        problem = self._problem()
        if problem:
            raise ValueError(f"{self.name}: {problem}")

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates if every weight that is left is used, whatever the image."""
        return sum(self.synapses)

    @property
    def pruned(self) -> bool:
        """Whether weights were removed."""
        return self.macs_dense < sum(self._all_synapses)

    @property
    def _all_synapses(self) -> list[int]:
        return [sources * targets for sources, targets in pairwise(self.layer_sizes)]

    def _problem(self) -> str:
        matrices = len(self.layer_sizes) - 1
        if matrices < 1 or min(self.layer_sizes) < 1 or len(self.synapses) != matrices:
            return f"{len(self.synapses)} matrices between layers of {self.layer_sizes} units"
        for left, there_are in zip(self.synapses, self._all_synapses, strict=True):
            if not 0 <= left <= there_are:
                return f"{left} weights are left of {there_are}"
        for name, counts, most in (
            ("active", self.active, self.layer_sizes[:-1]),
            ("macs_nonzero", self.macs_nonzero, self.synapses),
        ):
            if counts.ndim != 2 or counts.dtype != np.int64 or counts.shape[1] != matrices:
                return f"{name} must be int64 [N, {matrices}]"
            if len(counts) == 0:
                return f"{name} must have an image"
            if counts.min() < 0 or (counts > np.array(most)).any():
                return f"{name} must lie between 0 and {most}"
        if len(self.active) != len(self.macs_nonzero):
            return f"active of {len(self.active)} images, macs_nonzero of {len(self.macs_nonzero)}"
        for percent in (self.accuracy_percent, self.validation_accuracy_percent):
            if not 0 <= percent <= 100:
                return f"an accuracy of {percent} %"
        for bits in (self.weight_bits, self.activation_bits):
            if not 1 <= bits <= FLOAT_BITS:
                return f"a width of {bits} bits"
        return ""
