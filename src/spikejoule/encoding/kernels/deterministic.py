"""Encodings without chance: the latency encoding and the regular rate encoding.

Latency: each bright pixel to one spike, by a table of steps. Regular: each pixel to evenly spaced
spikes, in whole numbers: it has an accumulator of 32 bits, which begins at the pixel's phase and
grows by the level's increment in every step; the pixel fires where it overflows.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling import compiled, compiled_parallel
from spikejoule.core.compiling.bits import LISTED_AT_ONCE, list_at_least
from spikejoule.encoding.kernels import order_by_step


class Scratch(NamedTuple):
    """Memory that encoding an image of P pixels over T steps needs.

    Attributes:
        places: where each step's next spike goes, int32 [T].
        bright: the pixels that fire, ascending, uint16 [P + LISTED_AT_ONCE].
        steps, pixels: of each spike, by pixel, uint16 [most spikes].
    """

    places: NDArray[Any]
    bright: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]


@compiled
def _scratch(n_pixels, n_steps, most_spikes):
    return Scratch(
        np.empty(n_steps, np.int32),
        np.empty(n_pixels + LISTED_AT_ONCE, np.uint16),
        np.empty(most_spikes, np.uint16),
        np.empty(most_spikes, np.uint16),
    )


@compiled
def latency_of_sample(levels, first_level, step_of_level, n_steps, scratch, sources, lengths):
    """Spikes of one image, ordered by step, then by pixel.

    Args:
        levels: index into `step_of_level` of each pixel, [P].
        first_level: the lowest level that fires.
        step_of_level: the step in which a level fires, uint16 [L].
        n_steps: T.
        scratch: ``Scratch``.
        sources: receives the pixels, uint16.
        lengths: receives the number of spikes of each step, int64 [T].

    Returns:
        the number of spikes.
    """
    places, bright, steps, pixels = scratch
    count = np.uint64(list_at_least(levels, levels.size, first_level, bright))
    for event in range(count):
        pixel = bright[count - np.uint64(1) - event]
        pixels[event] = pixel
        steps[event] = step_of_level[levels[np.uint64(pixel)]]
    return order_by_step(steps, pixels, count, n_steps, lengths, places, sources)


@compiled_parallel
def _latency_lane(
    lane, levels, first_level, step_of_level, n_steps, bounds, buffers, counts, lengths
):
    """The images of one lane; see :func:`latency_lanes`."""
    n_pixels = levels.shape[1]
    scratch = _scratch(n_pixels, n_steps, n_pixels)
    total = 0
    for image in range(bounds[lane], bounds[lane + 1]):
        total += latency_of_sample(
            levels[image],
            first_level,
            step_of_level,
            n_steps,
            scratch,
            buffers[lane, total:],
            lengths[image * n_steps : (image + 1) * n_steps],
        )
    counts[lane] = total


@compiled
def latency_lanes(levels, first_level, step_of_level, n_steps, bounds, buffers, counts, lengths):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `step_of_level` of each pixel, [N, P].
        first_level, step_of_level, n_steps: as for :func:`latency_of_sample`.
        bounds, buffers, counts, lengths: the fields of ``LaneSpikes``, which receive.
    """
    n_lanes = bounds.size - 1
    _latency_lane(
        n_lanes, levels, first_level, step_of_level, n_steps, bounds, buffers, counts, lengths
    )


_FULL = np.uint64(1 << 32)
"""What overflows."""
_PHASE_STEP = np.uint64(0x9E3779B9)
"""From a pixel's phase to the next pixel's: 2^32 divided by the golden ratio, which spreads the
phases of any run of pixels evenly (Knuth, The Art of Computer Programming, volume 3, section 6.4).
"""


@compiled
def regular_of_sample(levels, increments, n_steps, scratch, sources, lengths):
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
    places, _, steps, pixels = scratch
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
def _regular_lane(lane, levels, increments, n_steps, bounds, buffers, counts, lengths):
    """The images of one lane; see :func:`regular_lanes`."""
    n_pixels = levels.shape[1]
    scratch = _scratch(n_pixels, n_steps, n_pixels * n_steps)
    total = 0
    for image in range(bounds[lane], bounds[lane + 1]):
        total += regular_of_sample(
            levels[image],
            increments,
            n_steps,
            scratch,
            buffers[lane, total:],
            lengths[image * n_steps : (image + 1) * n_steps],
        )
    counts[lane] = total


@compiled
def regular_lanes(levels, increments, n_steps, bounds, buffers, counts, lengths):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `increments` of each pixel, [N, P].
        increments, n_steps: as for :func:`regular_of_sample`.
        bounds, buffers, counts, lengths: the fields of ``LaneSpikes``, which receive.
    """
    n_lanes = bounds.size - 1
    _regular_lane(n_lanes, levels, increments, n_steps, bounds, buffers, counts, lengths)
