"""Poisson rate code: pixels to spikes, about one random number a spike.

In each step a pixel fires with probability p, independently. The gap to its next spike is then
geometric, P(gap >= k) = (1 - p)^k, and is the whole part of an exponential number divided by
``-log(1 - p)`` (Devroye, Non-Uniform Random Variate Generation, 1986, section X.2).

The random stream of a sample starts at a hash of the sample's own key, so that a draw depends on
nothing but that key.
"""

import numba
import numpy as np

from spikejoule.kernels.emit import LANES
from spikejoule.kernels.exponential import GOLDEN, fill_exponentials
from spikejoule.kernels.jit import compiled, compiled_parallel

BUFFER_VECTORS = 8
_BUFFER = BUFFER_VECTORS * LANES
_STATE_STEP = np.uint64(GOLDEN)
_BUFFER_STEP = np.uint64(_BUFFER * GOLDEN & (2**64 - 1))


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
def encode_sample(
    levels, gap_scale, n_steps, state, numbers, lit, heads, links, pixels, sources, lengths
):
    """Spikes of one image, ordered by step, then by pixel.

    Args:
        levels: index into `gap_scale` of each pixel, [P].
        gap_scale: -1 / log(1 - p) of each level; 0 where p = 1, negative where p = 0.
        n_steps: T.
        state: start of the sample's random stream.
        numbers: scratch, float64 [16 * BUFFER_VECTORS].
        lit: scratch, int32 [P].
        heads, links, pixels: scratch, int32 [T], int32 [P * T], uint16 [P * T].
        sources: receives the pixels, uint16.
        lengths: receives the number of spikes of each step, int64 [T].

    Returns:
        the number of spikes.
    """
    for step in range(n_steps):
        heads[step] = -1
        lengths[step] = 0
    # Without a branch: which pixels are black is what a processor cannot predict.
    n_lit = 0
    for pixel in range(levels.size):
        lit[n_lit] = pixel
        n_lit += gap_scale[levels[pixel]] >= 0.0
    count = 0
    used = _BUFFER
    # From the last pixel to the first: each step's linked list then holds pixels in order.
    for k in range(n_lit - 1, -1, -1):
        pixel = lit[k]
        scale = gap_scale[levels[pixel]]
        step = 0
        while True:
            if used == _BUFFER:
                fill_exponentials(state, BUFFER_VECTORS, numbers)
                state += _BUFFER_STEP
                used = 0
            gap = numbers[used] * scale
            used += 1
            if gap >= n_steps - step:
                break
            step += int(gap)
            pixels[count] = pixel
            links[count] = heads[step]
            heads[step] = count
            lengths[step] += 1
            count += 1
            step += 1
            if step == n_steps:
                break
    written = 0
    for step in range(n_steps):
        event = heads[step]
        while event >= 0:
            sources[written] = pixels[event]
            written += 1
            event = links[event]
    return count


@compiled_parallel
def encode_lanes(levels, samples, key, gap_scale, n_steps, bounds, buffers, counts, lengths):
    """Encode images; lane l handles images bounds[l] to bounds[l + 1] into buffers[l]."""
    n_pixels = levels.shape[1]
    for lane in numba.prange(bounds.size - 1):
        numbers = np.empty(_BUFFER, np.float64)
        lit = np.empty(n_pixels, np.int32)
        heads = np.empty(n_steps, np.int32)
        links = np.empty(n_pixels * n_steps, np.int32)
        pixels = np.empty(n_pixels * n_steps, np.uint16)
        total = 0
        for image in range(bounds[lane], bounds[lane + 1]):
            total += encode_sample(
                levels[image],
                gap_scale,
                n_steps,
                stream_start(key, samples[image]),
                numbers,
                lit,
                heads,
                links,
                pixels,
                buffers[lane, total:],
                lengths[image * n_steps : (image + 1) * n_steps],
            )
        counts[lane] = total
