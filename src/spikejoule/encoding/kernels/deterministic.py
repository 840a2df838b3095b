"""Encodings without randomness: latency, and regular rates.

Latency: each bright pixel becomes one spike, in a step from a table. Regular: each
pixel becomes evenly spaced spikes, in integer arithmetic. It has an accumulator of 32
bits, which starts at the pixel's phase and grows by the level's increment in every
step; the pixel fires where it overflows.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_at_least
from spikejoule.compiling.emit import LANES
from spikejoule.encoding.kernels import order_by_step


class LevelTable(NamedTuple):
    """What an encoding makes of the L levels of pixels; the other's array is empty.

    Attributes:
        first_level: the lowest level that fires in the latency encoding.
        step_of_level: the step in which a level fires in the latency encoding, uint16
            [L].
        increments: growth of the accumulator per step in the regular encoding, uint64
            [L], 0 to 2^32.
    """

    first_level: int = 0
    step_of_level: NDArray[np.uint16] = np.empty(0, np.uint16)
    increments: NDArray[np.uint64] = np.empty(0, np.uint64)


class Scratch(NamedTuple):
    """Memory for encoding an image of P pixels over T steps.

    Attributes:
        places: where each step's next spike goes, int32 [T].
        marked: scratch of ``list_at_least``, uint16 [P // 16].
        bright: the pixels that fire, ascending, uint16 [P + LISTED_AT_ONCE].
        steps, pixels: of each spike, by pixel, uint16 [most spikes].
    """

    places: NDArray[Any]
    marked: NDArray[Any]
    bright: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]


@compiled
def _latency_of_sample(levels, table, scratch, lengths, sources):
    """Write the spikes of one image, ordered by step, then by pixel.

    Args:
        levels: index into the arrays of `table` of each pixel, [P].
        table: ``LevelTable`` of the encoding.
        scratch: ``Scratch``.
        lengths: receives the number of spikes of each step, int64 [T].
        sources: receives the pixels, uint16.

    Returns:
        the number of spikes.
    """
    places, marked, bright, steps, pixels = scratch
    step_of_level = table.step_of_level
    n_bright = list_at_least(levels, levels.size, table.first_level, marked, bright)
    count = np.uint64(n_bright)
    for event in range(count):
        pixel = bright[count - np.uint64(1) - event]
        pixels[event] = pixel
        steps[event] = step_of_level[levels[np.uint64(pixel)]]
    return order_by_step(steps[: np.int64(count)], pixels, places, lengths, sources)


_FULL = np.uint64(1 << 32)
"""Where the accumulator overflows."""
_PHASE_STEP = np.uint64(0x9E3779B9)
"""Difference of the phases of neighbouring pixels: 2^32 divided by the golden ratio,
which spreads the phases of any run of pixels evenly (Knuth, The Art of Computer
Programming, volume 3, section 6.4).
"""


@compiled
def _regular_of_sample(levels, table, scratch, lengths, sources):
    """Write the spikes of one image, as :func:`_latency_of_sample` does."""
    places, _, _, steps, pixels = scratch
    one = np.uint64(1)
    window = np.uint64(places.size)
    count = np.uint64(0)
    for k in range(levels.size):
        pixel = np.uint64(levels.size - 1 - k)
        increment = table.increments[levels[pixel]]
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
    return order_by_step(steps[: np.int64(count)], pixels, places, lengths, sources)


@compiled_parallel
def _encode_lane(lane, levels, table, n_steps, out):
    """Encode the images of one lane; see :func:`encode_lanes`."""
    n_pixels = levels.shape[1]
    is_regular = table.increments.size > 0
    most_spikes = n_pixels * (n_steps if is_regular else 1)
    scratch = Scratch(
        places=np.empty(n_steps, np.int32),
        marked=np.empty(n_pixels // LANES, np.uint16),
        bright=np.empty(n_pixels + LISTED_AT_ONCE, np.uint16),
        steps=np.empty(most_spikes, np.uint16),
        pixels=np.empty(most_spikes, np.uint16),
    )
    total = 0
    for image in range(out.bounds[lane], out.bounds[lane + 1]):
        lengths = out.lengths[image * n_steps : (image + 1) * n_steps]
        sources = out.buffers[lane, total:]
        if is_regular:
            total += _regular_of_sample(levels[image], table, scratch, lengths, sources)
        else:
            total += _latency_of_sample(levels[image], table, scratch, lengths, sources)
    out.counts[lane] = total


@compiled
def encode_lanes(levels, table, n_steps, out):
    """Encode images, one lane of them per thread.

    Args:
        levels: index into the arrays of `table` of each pixel, [N, P].
        table: ``LevelTable`` of the encoding.
        n_steps: T.
        out: receives, ``LaneSpikes``.
    """
    _encode_lane(out.bounds.size - 1, levels, table, n_steps, out)
