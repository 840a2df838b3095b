"""Random small deformations of images: one affine map an image, bilinear interpolation."""

import math

import numba
import numpy as np

from spikejoule.foundation.compiling.exponential import GOLDEN
from spikejoule.foundation.compiling.jit import compiled, compiled_parallel
from spikejoule.spikes.kernels.encode import mix, stream_start

_STATE_STEP = np.uint64(GOLDEN)
_UNIT = 1.0 / 9007199254740992.0


@compiled
def symmetric_uniforms(state, numbers):
    """Fill `numbers` with uniform numbers in [-1, 1) that follow a state of a stream."""
    for k in range(numbers.size):
        state += _STATE_STEP
        numbers[k] = 2.0 * (float(mix(state) >> np.uint64(11)) * _UNIT) - 1.0


@compiled
def inverse_map(numbers, shift, rotation, scaling, shear):
    """The map from an output pixel to its place in the input, both relative to the centre.

    Returns:
        (a, b, c, d, down, right): an output pixel at (r, q) from the centre, less the shift of
        (down, right) pixels, shows the input at (a r + b q, c r + d q).
    """
    down = math.floor(numbers[0] * (shift + 0.5) + 0.5)
    right = math.floor(numbers[1] * (shift + 0.5) + 0.5)
    angle = rotation * numbers[2]
    size = 1.0 + scaling * numbers[3]
    slant = math.tan(shear * numbers[4])
    cosine, sine = math.cos(angle) / size, math.sin(angle) / size
    return cosine, sine, -sine - slant * cosine, cosine - slant * sine, down, right


@compiled
def warp(image, transform, out):
    """Write ``image`` [height, width] under an affine map to `out`; black comes from outside."""
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
                        total += weight_row * weight_column * image[source_row, source_column]
            out[row * width + column] = int(total + 0.5)


@compiled
def move(image, down, right, out):
    """Write ``image`` moved by whole pixels to `out`."""
    height, width = image.shape
    for row in range(height):
        for column in range(width):
            inside = 0 <= row - down < height and 0 <= column - right < width
            out[row * width + column] = image[row - down, column - right] if inside else 0


@compiled_parallel
def augment_images(images, samples, key, shift, rotation, scaling, shear, out):
    """Deform each image [N, height, width] by its own random map into `out` [N, pixels]."""
    only_moves = rotation == 0.0 and scaling == 0.0 and shear == 0.0
    for image in numba.prange(images.shape[0]):
        numbers = np.empty(5, np.float64)
        symmetric_uniforms(stream_start(key, samples[image]), numbers)
        transform = inverse_map(numbers, shift, rotation, scaling, shear)
        if only_moves:
            move(images[image], int(transform[4]), int(transform[5]), out[image])
        else:
            warp(images[image], transform, out[image])
