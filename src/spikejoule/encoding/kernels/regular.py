"""Regular rate code: each pixel to evenly spaced spikes, in whole numbers.

A pixel has an accumulator of 32 bits, which begins at the pixel's phase and grows by the level's
increment in every step; the pixel fires where it overflows.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling.jit import compiled, compiled_parallel
from spikejoule.encoding.kernels.ordering import order_by_step

FULL = 1 << 32
"""What overflows."""
PHASE_STEP = 0x9E3779B9
"""From a pixel's phase to the next pixel's: 2^32 divided by the golden ratio, which spreads the
phases of any run of pixels evenly (Knuth, The Art of Computer Programming, volume 3, section 6.4).
"""
_FULL = np.uint64(FULL)
_PHASE_STEP = np.uint64(PHASE_STEP)


class Scratch(NamedTuple):
    """Memory that encoding an image of P pixels over T steps needs.

    Attributes:
        places: where each step's next spike goes, int32 [T].
        steps, pixels: of each spike, by pixel, uint16 [P * T].
    """

    places: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]


@compiled
def encode_sample(levels, increments, n_steps, scratch, sources, lengths):
    """Spikes of one image, ordered by step, then by pixel.

    Args:
        levels: index into `increments` of each pixel, [P].
        increments: what the accumulator grows by in a step, uint64 [L], 0 to 2^32.
        n_steps: T.
        scratch: ``Scratch``.
        sources: receives the pixels, uint16.
        lengths: receives the number of spikes of each step, int64 [T].

    Returns:
        the number of spikes.
    """
    places, steps, pixels = scratch
    one = np.uint64(1)
    window = np.uint64(n_steps)
    count = np.uint64(0)
    for k in range(levels.size):
        pixel = np.uint64(levels.size - 1 - k)
        increment = increments[levels[pixel]]
        if increment == 0:
            continue
        missing = _FULL - (pixel * _PHASE_STEP) % _FULL
        passed = np.uint64(0)
        while True:
            # From spike to spike: the fewest steps after which nothing is missing.
            gap = (missing + increment - one) // increment
            passed += gap
            if passed > window:
                break
            pixels[count] = pixel
            steps[count] = passed - one
            count += one
            missing += _FULL - gap * increment
    return order_by_step(steps, pixels, count, n_steps, lengths, places, sources)


@compiled_parallel
def encode_lanes(levels, increments, n_steps, bounds, buffers, counts, lengths):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `increments` of each pixel, [N, P].
        increments, n_steps: as for :func:`encode_sample`.
        bounds, buffers, counts, lengths: the fields of ``LaneSpikes``, which receive.
    """
    n_pixels = levels.shape[1]
    for lane in numba.prange(bounds.size - 1):
        scratch = Scratch(
            np.empty(n_steps, np.int32),
            np.empty(n_pixels * n_steps, np.uint16),
            np.empty(n_pixels * n_steps, np.uint16),
        )
        total = 0
        for image in range(bounds[lane], bounds[lane + 1]):
            total += encode_sample(
                levels[image],
                increments,
                n_steps,
                scratch,
                buffers[lane, total:],
                lengths[image * n_steps : (image + 1) * n_steps],
            )
        counts[lane] = total
