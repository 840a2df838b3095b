"""Images as every encoder takes them: pixels as levels of intensity, and identities."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import MAX_SOURCES

BYTE_INTENSITIES: NDArray[np.float64] = np.arange(256) / 255
"""Intensity of each 8-bit level, float64 [256]."""
BYTE_INTENSITIES.flags.writeable = False


class Levels(NamedTuple):
    """Images whose pixels are few distinct intensities, so that a code is a table of these.

    Attributes:
        levels: place of each pixel's intensity in `intensities`, uint8 or uint16 [N, P].
        intensities: float64 [L], in [0, 1]; `BYTE_INTENSITIES` itself for 8-bit images.
    """

    levels: NDArray[np.uint8] | NDArray[np.uint16]
    intensities: NDArray[np.float64]


def levels_of(images: NDArray[np.generic]) -> Levels:
    """The levels of images.

    Args:
        images: [N, ...]; uint8 (0 to 255) or floating point in [0, 1].

    Raises:
        ParameterError: a pixel out of range, too many or no pixels, too many intensities.
    """
    if images.ndim < 2:
        raise ParameterError(f"images have {images.ndim} dimensions; [N, pixels...] is needed")
    n_pixels = math.prod(images.shape[1:])
    if not 1 <= n_pixels <= MAX_SOURCES - 1:
        raise ParameterError(f"images have {n_pixels} pixels; allowed are 1 to {MAX_SOURCES - 1}")
    flat = np.ascontiguousarray(images.reshape(images.shape[0], n_pixels))
    if flat.dtype == np.uint8:
        return Levels(flat.view(np.uint8), BYTE_INTENSITIES)
    pixels = flat.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise ParameterError("pixels must be finite numbers in [0, 1]; some are not finite")
    intensities, levels = np.unique(pixels, return_inverse=True)
    if intensities.size > MAX_SOURCES:
        raise ParameterError(
            f"the images have {intensities.size} distinct intensities; at most {MAX_SOURCES} are "
            "allowed: quantise them (8-bit images have 256)"
        )
    if intensities.size and not (intensities[0] >= 0 and intensities[-1] <= 1):
        raise ParameterError(
            f"pixels run from {intensities[0]} to {intensities[-1]}; intensities must lie in [0, 1]"
        )
    return Levels(levels.reshape(flat.shape).astype(np.uint16), intensities)


def identities_of(samples: NDArray[np.integer] | None, n_images: int) -> NDArray[np.int64]:
    """The identity of each image within its split, int64 [N]: its position if none is given.

    Raises:
        ParameterError: as many identities as images are needed.
    """
    identities = np.arange(n_images) if samples is None else np.asarray(samples)
    if identities.shape != (n_images,):
        raise ParameterError(
            f"samples name {identities.size} images, but there are {n_images}: one identity an "
            "image is needed"
        )
    return np.ascontiguousarray(identities, dtype=np.int64)
