"""What the comparison needs to know of a conventional network (ANN) on the same test images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class BaselineCounts:
    """Multiply-accumulates (MACs) of an ANN, counted on the test images, in their order.

    Attributes:
        name: what it is, in a few words, such as ``ReLU 784-400-10``.
        accuracy_percent: on the whole test set.
        macs_dense: MACs per image if every weight is used; one integer for all images.
        macs_nonzero: MACs of each image if products with a zero activation are skipped, int64 [N].
        bits: width of its activations; 32 for float32.
    """

    name: str
    accuracy_percent: float
    macs_dense: int
    macs_nonzero: NDArray[np.int64]
    bits: int

    def __post_init__(self) -> None:
        """Raise ValueError for counts that no network can have."""
        counts = self.macs_nonzero
        if counts.ndim != 1 or counts.size == 0 or counts.dtype != np.int64:
            raise ValueError(f"{self.name}: macs_nonzero must be int64 [N], with N of at least 1")
        if counts.min() < 0 or counts.max() > self.macs_dense:
            raise ValueError(f"{self.name}: macs_nonzero must lie between 0 and macs_dense")
        if not 0 <= self.accuracy_percent <= 100 or self.bits < 1:
            raise ValueError(f"{self.name}: accuracy {self.accuracy_percent} %, {self.bits} bits")
