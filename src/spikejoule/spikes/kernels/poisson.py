"""Poisson rate code: pixels to spikes, about one random number a spike.

In each step a pixel fires with probability p, independently. The gap to its next spike is then
geometric, P(gap >= k) = (1 - p)^k, and is the whole part of an exponential number divided by
``-log(1 - p)`` (Devroye, Non-Uniform Random Variate Generation, 1986, section X.2).

The random stream of a sample starts at a hash of the sample's own key, so that a draw depends on
nothing but that key.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.compiling.exponential import GOLDEN, fill_exponentials
from spikejoule.foundation.compiling.jit import compiled, compiled_parallel
from spikejoule.spikes.kernels.ordering import order_by_step

BUFFER_VECTORS = 8
_BUFFER = BUFFER_VECTORS * LANES
_STATE_STEP = np.uint64(GOLDEN)
_BUFFER_STEP = np.uint64(_BUFFER * GOLDEN & (2**64 - 1))


class Scratch(NamedTuple):
    """Memory that encoding an image of P pixels over T steps needs.

    Attributes:
        numbers: random numbers, float64 [16 * BUFFER_VECTORS].
        lit: the pixels that are not black, int32 [P].
        places: where each step's next spike goes, int32 [T].
        steps, pixels: of each spike, by pixel, uint16 [P * T].
    """

    numbers: NDArray[Any]
    lit: NDArray[Any]
    places: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]


@compiled
def mix(value):
    """SplitMix64's output function: a bijection of 64-bit integers."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def stream_start(key, sample):
    """State of the random stream of one sample under a key."""
    return mix(key ^ mix(np.uint64(sample) + _STATE_STEP))


@compiled
def encode_sample(levels, gap_scale, n_steps, state, scratch, sources, lengths):
    """Spikes of one image, ordered by step, then by pixel.

    Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        levels: index into `gap_scale` of each pixel, [P].
        gap_scale: -1 / log(1 - p) of each level; 0 where p = 1, negative where p = 0.
        n_steps: T.
        state: start of the sample's random stream.
        scratch: ``Scratch``.
        sources: receives the pixels, uint16.
        lengths: receives the number of spikes of each step, int64 [T].

    Returns:
        the number of spikes.
    """
    numbers, lit, places, steps, pixels = scratch
    one = np.uint64(1)
    for step in range(n_steps):
        lengths[step] = 0
    # Without a branch: which pixels are black is what a processor cannot predict.
    n_lit = np.uint64(0)
    for place in range(levels.size):
        lit[n_lit] = place
        n_lit += np.uint64(gap_scale[levels[place]] >= 0.0)
    count = np.uint64(0)
    used = np.uint64(_BUFFER)
    for k in range(n_lit):
        pixel = np.uint64(lit[n_lit - one - k])
        scale = gap_scale[levels[pixel]]
        step = 0
        while True:
            if used == np.uint64(_BUFFER):
                fill_exponentials(state, BUFFER_VECTORS, numbers)
                state += _BUFFER_STEP
                used = np.uint64(0)
            gap = numbers[used] * scale
            used += one
            if gap >= n_steps - step:
                break
            step += int(gap)
            pixels[count] = pixel
            steps[count] = step
            lengths[np.uint64(step)] += 1
            count += one
            step += 1
            if step == n_steps:
                break
    order_by_step(steps, pixels, count, n_steps, lengths, places, sources)
    return np.int64(count)


@compiled_parallel
def encode_lanes(levels, samples, key, gap_scale, n_steps, bounds, buffers, counts, lengths):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `gap_scale` of each pixel, [N, P].
        samples: identity of each image, int64 [N].
        key: of the random streams, uint64.
        gap_scale, n_steps: as for :func:`encode_sample`.
        bounds, buffers, counts, lengths: the fields of ``LaneSpikes``, which receive.
    """
    n_pixels = levels.shape[1]
    for lane in numba.prange(bounds.size - 1):
        scratch = Scratch(
            np.empty(_BUFFER, np.float64),
            np.empty(n_pixels, np.int32),
            np.empty(n_steps, np.int32),
            np.empty(n_pixels * n_steps, np.uint16),
            np.empty(n_pixels * n_steps, np.uint16),
        )
        total = 0
        for image in range(bounds[lane], bounds[lane + 1]):
            total += encode_sample(
                levels[image],
                gap_scale,
                n_steps,
                stream_start(key, samples[image]),
                scratch,
                buffers[lane, total:],
                lengths[image * n_steps : (image + 1) * n_steps],
            )
        counts[lane] = total
