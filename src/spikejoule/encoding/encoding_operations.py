"""What encoding itself takes, counted as a code's definition says it."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.levels import levels_of


@dataclass(frozen=True, eq=False)
class EncodingOperations:
    """Operations of encoding N images, each int64 [N].

    They are those of the code's definition, done for pixels that can fire alone; a kernel may find
    the same spikes with others. Reading pixels, rounding to a step and handing spikes on are no
    operations here.

    Attributes:
        random_draws: uniform random numbers.
        comparisons: of two numbers.
        multiplications, additions: a subtraction is an addition.
        logarithms: natural ones.
    """

    random_draws: NDArray[np.int64]
    comparisons: NDArray[np.int64]
    multiplications: NDArray[np.int64]
    additions: NDArray[np.int64]
    logarithms: NDArray[np.int64]

    @property
    def totals(self) -> dict[str, int]:
        """Operations of each kind over all images."""
        return {field.name: int(getattr(self, field.name).sum()) for field in fields(self)}


@dataclass(frozen=True)
class PerPixel:
    """Operations for each pixel that can fire, and for each image; as of `EncodingOperations`."""

    random_draws: int = 0
    comparisons: int = 0
    multiplications: int = 0
    additions: int = 0
    logarithms: int = 0
    additions_per_image: int = 0


def operations_of_pixels(
    images: NDArray[np.generic], threshold: float, each: PerPixel
) -> EncodingOperations:
    """Operations where every pixel is compared with a threshold, and only those above go on.

    Args:
        images: [N, ...]; uint8 (0 to 255) or floating point in [0, 1].
        threshold: intensity that a pixel must exceed to fire.
        each: what one that does takes.

    Raises:
        ParameterError: as of `levels_of`.
    """
    levels, intensities = levels_of(images)
    above = (intensities > threshold)[levels].sum(axis=1, dtype=np.int64)
    return EncodingOperations(
        random_draws=above * each.random_draws,
        comparisons=levels.shape[1] + above * each.comparisons,
        multiplications=above * each.multiplications,
        additions=above * each.additions + each.additions_per_image,
        logarithms=above * each.logarithms,
    )
