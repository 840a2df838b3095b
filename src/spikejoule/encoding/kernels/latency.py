"""Latency code: each bright pixel to one spike, by a table of steps."""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling.bits import LISTED_AT_ONCE, list_at_least
from spikejoule.core.compiling.jit import compiled, compiled_parallel
from spikejoule.encoding.kernels.ordering import order_by_step


class Scratch(NamedTuple):
    """Memory that encoding an image of P pixels over T steps needs.

    Attributes:
        places: where each step's next spike goes, int32 [T].
        bright: the pixels that fire, ascending, uint16 [P + LISTED_AT_ONCE].
        steps, pixels: of each spike, by pixel, uint16 [P].
    """

    places: NDArray[Any]
    bright: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]


@compiled
def encode_sample(levels, first_level, step_of_level, n_steps, scratch, sources, lengths):
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
def encode_lanes(levels, first_level, step_of_level, n_steps, bounds, buffers, counts, lengths):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `step_of_level` of each pixel, [N, P].
        first_level, step_of_level, n_steps: as for :func:`encode_sample`.
        bounds, buffers, counts, lengths: the fields of ``LaneSpikes``, which receive.
    """
    n_pixels = levels.shape[1]
    for lane in numba.prange(bounds.size - 1):
        scratch = Scratch(
            np.empty(n_steps, np.int32),
            np.empty(n_pixels + LISTED_AT_ONCE, np.uint16),
            np.empty(n_pixels, np.uint16),
            np.empty(n_pixels, np.uint16),
        )
        total = 0
        for image in range(bounds[lane], bounds[lane + 1]):
            total += encode_sample(
                levels[image],
                first_level,
                step_of_level,
                n_steps,
                scratch,
                buffers[lane, total:],
                lengths[image * n_steps : (image + 1) * n_steps],
            )
        counts[lane] = total
