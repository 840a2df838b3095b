"""Augmentation: random maps of training images, drawn anew in every epoch.

Small shifts, rotations and changes of size do not change which digit an image shows,
and a network trained on them generalises better (Simard, Steinkraus and Platt, ICDAR
2003, doi:10.1109/ICDAR.2003.1227801).

Each image gets one affine map, with bilinear interpolation.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.compiling.streams import GOLDEN, mix, stream_start
from spikejoule.training.settings import Augmentation

_STATE_STEP = np.uint64(GOLDEN)
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


class RandomMaps(NamedTuple):
    """The distribution of the maps: each image draws uniformly within plus-minus.

    Attributes:
        key: of the random streams, uint64.
        shift: whole pixels along each axis, float64.
        rotation: about the centre, radians.
        scaling: relative change of size.
        shear: slant of the vertical, radians.
    """

    key: np.uint64
    shift: float
    rotation: float
    scaling: float
    shear: float


class AffineMap(NamedTuple):
    """One map: the input pixel that an output pixel shows.

    After subtracting the shift of whole pixels, an output pixel at (r, q) from the
    centre shows the input at (row_by_row r + row_by_column q, column_by_row r +
    column_by_column q) from it.
    """

    row_by_row: float
    row_by_column: float
    column_by_row: float
    column_by_column: float
    down: float
    right: float


@compiled
def symmetric_uniforms(state, numbers):
    """Fill `numbers` with uniform numbers in [-1, 1) from a stream's state."""
    for k in range(numbers.size):
        state += _STATE_STEP
        numbers[k] = 2.0 * (float(mix(state) >> np.uint64(11)) * _UNIT) - 1.0


@compiled
def inverse_map(numbers, maps):
    """Return the ``AffineMap`` of five numbers in [-1, 1)."""
    down = math.floor(numbers[0] * (maps.shift + 0.5) + 0.5)
    right = math.floor(numbers[1] * (maps.shift + 0.5) + 0.5)
    angle = maps.rotation * numbers[2]
    size = 1.0 + maps.scaling * numbers[3]
    slant = math.tan(maps.shear * numbers[4])
    cosine = math.cos(angle) / size
    sine = math.sin(angle) / size
    return AffineMap(
        cosine, sine, -sine - slant * cosine, cosine - slant * sine, down, right
    )


@compiled
def warp(image, transform, out):
    """Write ``image`` [height, width] under an affine map to `out`; black outside."""
    height, width = image.shape
    middle_row = (height - 1) / 2
    middle_column = (width - 1) / 2
    for row in range(height):
        for column in range(width):
            # The origin of the output pixel in the input image.
            r = row - transform.down - middle_row
            q = column - transform.right - middle_column
            y = transform.row_by_row * r + transform.row_by_column * q + middle_row
            x = (
                transform.column_by_row * r
                + transform.column_by_column * q
                + middle_column
            )
            top = math.floor(y)
            left = math.floor(x)
            # Bilinear interpolation between its four neighbours.
            total = 0.0
            for i in range(2):
                for j in range(2):
                    source_row = int(top) + i
                    source_column = int(left) + j
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
    """Write ``image`` shifted by whole pixels to `out`."""
    height, width = image.shape
    for row in range(height):
        for column in range(width):
            inside = 0 <= row - down < height and 0 <= column - right < width
            out[row * width + column] = (
                image[row - down, column - right] if inside else 0
            )


@compiled_parallel
def augment_image(image, images, samples, maps, out):
    """Apply its own random map to an image; called with the number of images.

    Args:
        image: index of the image.
        images: uint8 [N, height, width].
        samples: identity of each image, int64 [N].
        maps: ``RandomMaps``.
        out: output, uint8 [N, height * width].
    """
    numbers = np.empty(5, np.float64)
    symmetric_uniforms(stream_start(maps.key, samples[image]), numbers)
    transform = inverse_map(numbers, maps)
    if maps.rotation == 0.0 and maps.scaling == 0.0 and maps.shear == 0.0:
        move(images[image], transform.down, transform.right, out[image])
    else:
        warp(images[image], transform, out[image])


def augment(
    images: NDArray[np.uint8],
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    samples: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Augment images; a draw depends on (seed, epoch, sample) only.

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
    digest = hashlib.sha256(text.encode()).digest()
    maps = RandomMaps(
        key=np.uint64(int.from_bytes(digest[:8], "little")),
        shift=float(augmentation.shift_pixels),
        rotation=math.radians(augmentation.rotate_degrees),
        scaling=float(augmentation.scale_fraction),
        shear=math.radians(augmentation.shear_degrees),
    )
    out = np.empty((n_images, height * width), dtype=np.uint8)
    samples = np.ascontiguousarray(samples, dtype=np.int64)
    augment_image(n_images, np.ascontiguousarray(images), samples, maps, out)
    return out
