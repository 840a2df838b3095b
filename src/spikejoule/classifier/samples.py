"""Numbers as images: intensities of 256 levels, and what identifies a sample."""

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError


class ValueRange(NamedTuple):
    """The values that become intensities 0 and 1."""

    low: float
    high: float

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the nearest of 256 levels of intensity; values outside are clipped.

        A range of one value has level 0 only.
        """
        width = self.high - self.low
        levels = np.subtract(values, self.low, dtype=np.float64)
        levels *= 255 / width if width else 0.0
        np.clip(levels, 0, 255, out=levels)
        rounded: NDArray[np.uint8] = np.rint(levels, out=levels).astype(np.uint8)
        return rounded


def range_of(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and largest value."""
    return float(values.min()), float(values.max())


def as_images(
    levels: NDArray[np.uint8], image_shape: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """Return levels [N, features] as images [N, H, W], of one row without a shape.

    Raises:
        ParameterError: images of this shape have another number of pixels.
    """
    n_features = levels.shape[1]
    shape = (1, n_features) if image_shape is None else image_shape
    if math.prod(shape) != n_features:
        raise ParameterError(
            f"image_shape: {image_shape} is not allowed; allowed: null, or a height "
            f"and width whose product is {n_features}, the number of features"
        )
    return levels.reshape(len(levels), *shape)


def identities_by_content(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return an identity of each sample from its levels [N, features], int64 [N].

    Random draws follow from it, so a sample gets the same spikes at any position.
    """
    digests = [hashlib.blake2b(sample.tobytes(), digest_size=8) for sample in levels]
    numbers = np.frombuffer(b"".join(one.digest() for one in digests), dtype="<u8")
    # Identities are not negative.
    return (numbers >> np.uint64(1)).astype(np.int64)
