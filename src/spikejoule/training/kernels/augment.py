"""Augmentation: random maps of training images, drawn afresh for every epoch.

Small shifts, rotations and changes of size leave a digit what it is, and a network that
sees them generalises better (Simard, Steinkraus and Platt, ICDAR 2003,
doi:10.1109/ICDAR.2003.1227801).

Each image has one affine map, with bilinear interpolation.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.compiling.streams import GOLDEN, mix, stream_start
from spikejoule.training import Augmentation

_STATE_STEP = np.uint64(GOLDEN)
_UNIT = 1.0 / 9007199254740992.0


class Limits(NamedTuple):
    """Largest changes of an image, float64; each image draws its own between plus and
    minus these.

    Attributes:
        shift: whole pixels along each axis.
        rotation: about the centre, radians.
        scaling: relative change of size.
        shear: slant of the vertical, radians.
    """

    shift: float
    rotation: float
    scaling: float
    shear: float


@compiled
def symmetric_uniforms(state, numbers):
    """Fill `numbers` with uniform numbers in [-1, 1) that follow a state of a
    stream.
    """
    for k in range(numbers.size):
        state += _STATE_STEP
        numbers[k] = 2.0 * (float(mix(state) >> np.uint64(11)) * _UNIT) - 1.0


@compiled
def inverse_map(numbers, limits):
    """The affine map of five numbers in [-1, 1), float64 [5]: (a, b, c, d, down,
    right).

    An output pixel at (r, q) from the centre, less a shift of whole pixels, shows the
    input at (a r + b q, c r + d q) from it.
    """
    down = math.floor(numbers[0] * (limits.shift + 0.5) + 0.5)
    right = math.floor(numbers[1] * (limits.shift + 0.5) + 0.5)
    angle = limits.rotation * numbers[2]
    size = 1.0 + limits.scaling * numbers[3]
    slant = math.tan(limits.shear * numbers[4])
    cosine, sine = math.cos(angle) / size, math.sin(angle) / size
    return cosine, sine, -sine - slant * cosine, cosine - slant * sine, down, right


@compiled
def warp(image, transform, out):
    """Write ``image`` [height, width] under an affine map to `out`; black comes from
    outside.
    """
    a, b, c, d, down, right = transform
    height, width = image.shape
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    for row in range(height):
        for column in range(width):
            r, q = row - down - middle_row, column - right - middle_column
            y = a * r + b * q + middle_row
            x = c * r + d * q + middle_column
            top, left = math.floor(y), math.floor(x)
            total = 0.0
            for i in range(2):
                for j in range(2):
                    source_row, source_column = int(top) + i, int(left) + j
                    if 0 <= source_row < height and 0 <= source_column < width:
                        weight_row = y - top if i else 1.0 - (y - top)
                        weight_column = x - left if j else 1.0 - (x - left)
                        total += (
                            weight_row
                            * weight_column
                            * image[source_row, source_column]
                        )
            out[row * width + column] = int(total + 0.5)


@compiled
def move(image, down, right, out):
    """Write ``image`` moved by whole pixels to `out`."""
    height, width = image.shape
    for row in range(height):
        for column in range(width):
            inside = 0 <= row - down < height and 0 <= column - right < width
            out[row * width + column] = (
                image[row - down, column - right] if inside else 0
            )


@compiled_parallel
def augment_image(image, images, samples, key, limits, out):
    """Move an image by its own random map; called with the number of images, it moves
    all.

    Args:
        image: which.
        images: uint8 [N, height, width].
        samples: identity of each image, int64 [N].
        key: of the random streams, uint64.
        limits: ``Limits``.
        out: receives, uint8 [N, height * width].
    """
    numbers = np.empty(5, np.float64)
    symmetric_uniforms(stream_start(key, samples[image]), numbers)
    transform = inverse_map(numbers, limits)
    if limits.rotation == 0.0 and limits.scaling == 0.0 and limits.shear == 0.0:
        move(images[image], transform[4], transform[5], out[image])
    else:
        warp(images[image], transform, out[image])


def augment(
    images: NDArray[np.uint8],
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    samples: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Augment images; a draw depends on (seed, epoch, sample) alone.

    Args:
        images: uint8 [N, height, width].
        augmentation: largest changes.
        seed: the experiment's seed.
        epoch: from 1 on.
        samples: identity of each image, int64 [N].

    Returns:
        uint8 [N, height * width].
    """
    n_images, height, width = images.shape
    if not any(getattr(augmentation, name) for name in Augmentation.model_fields):
        return images.reshape(n_images, height * width)
    text = f"spikejoule augmentation {seed} {epoch}"
    key = np.uint64(
        int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    )
    out = np.empty((n_images, height * width), dtype=np.uint8)
    limits = Limits(
        float(augmentation.shift_pixels),
        math.radians(augmentation.rotate_degrees),
        float(augmentation.scale_fraction),
        math.radians(augmentation.shear_degrees),
    )
    samples = np.ascontiguousarray(samples, dtype=np.int64)
    augment_image(n_images, np.ascontiguousarray(images), samples, key, limits, out)
    return out
