"""Poisson rate encoding: pixels to spikes, about one random number a spike.

In each step a pixel fires with probability p, independently. The gap to its next spike
is then geometric, P(gap >= k) = (1 - p)^k, and is the whole part of an exponential
number divided by ``-log(1 - p)`` (Devroye, Non-Uniform Random Variate Generation, 1986,
section X.2).

The random stream of a sample starts at a hash of the sample's own key, so that a draw
depends on nothing but that key.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_at_least, lowest_set_bit
from spikejoule.compiling.emit import LANES
from spikejoule.compiling.streams import GOLDEN, fill_exponentials, stream_start
from spikejoule.encoding.kernels import GAPS_AT_ONCE, order_by_step, steps_after_gaps

AT_ONCE = 4
"""Images that are drawn side by side: each draw waits for the one before, so that one
image alone would leave the processor idle."""

ROOM = 1 << 24
"""Places for spikes that images which are drawn side by side may ask for together."""

NUMBER_VECTORS = 8
"""Vectors of random numbers that a stream makes at once."""

_NUMBERS = NUMBER_VECTORS * LANES
_STATE_STEP = np.uint64(GOLDEN)
_EVERY = (1 << GAPS_AT_ONCE) - 1


class Scratch(NamedTuple):
    """Memory that encoding A images of P pixels over T steps needs, each its own part
    of it.

    Attributes:
        states: of the random streams, uint64 [A].
        numbers: random numbers, float64 [A * _NUMBERS].
        used: how many of these each image used, int64 [A].
        lit: the pixels that are not black, ascending, uint16
            [A * (P + LISTED_AT_ONCE)].
        n_lit: how many there are, int64 [A].
        steps, pixels: of each spike, by pixel, uint16 [A * (P * T + GAPS_AT_ONCE)].
        counts: how many spikes there are, int64 [A].
        places: where each step's next spike goes, int32 [T].
    """

    states: NDArray[Any]
    numbers: NDArray[Any]
    used: NDArray[Any]
    lit: NDArray[Any]
    n_lit: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]
    counts: NDArray[Any]
    places: NDArray[Any]


@compiled
def _scratch(n_pixels, n_steps):
    images = max(1, min(AT_ONCE, ROOM // (n_pixels * n_steps)))
    room = images * (n_pixels * n_steps + GAPS_AT_ONCE)
    return Scratch(
        states=np.empty(images, np.uint64),
        numbers=np.empty(images * _NUMBERS, np.float64),
        used=np.empty(images, np.int64),
        lit=np.empty(images * (n_pixels + LISTED_AT_ONCE), np.uint16),
        n_lit=np.empty(images, np.int64),
        steps=np.empty(room, np.uint16),
        pixels=np.empty(room, np.uint16),
        counts=np.empty(images, np.int64),
        places=np.empty(n_steps, np.int32),
    )


@compiled
def _draw(levels, gap_scale, n_steps, scratch):
    """Spikes of a few images by pixel, from the last pixel to the first.

    Args:
        levels: index into `gap_scale` of each pixel, [up to A, P].
        gap_scale, n_steps: see :func:`encode_lanes`.
        scratch: ``Scratch``, with the states of the streams and the lit pixels; steps,
            pixels and counts receive.
    """
    states, numbers, used, lit, n_lit, steps, pixels, counts, _ = scratch
    n_images, n_pixels = levels.shape
    lit_room = n_pixels + LISTED_AT_ONCE
    room = n_pixels * n_steps + GAPS_AT_ONCE
    most = 0
    for image in range(n_images):
        used[image] = _NUMBERS
        counts[image] = 0
        most = max(most, n_lit[image])
    for k in range(most):
        for image in range(n_images):
            if k >= n_lit[image]:
                continue
            pixel = lit[np.uint64(image * lit_room + n_lit[image] - 1 - k)]
            scale = gap_scale[levels[np.uint64(image), np.uint64(pixel)]]
            start = 0
            first = used[image]
            count = counts[image]
            while True:
                if first > _NUMBERS - GAPS_AT_ONCE:
                    states[image] += np.uint64(first) * _STATE_STEP
                    fill_exponentials(
                        states[image], NUMBER_VECTORS, numbers, image * _NUMBERS
                    )
                    first = 0
                flags = steps_after_gaps(
                    numbers,
                    image * _NUMBERS + first,
                    scale,
                    start,
                    n_steps,
                    pixel,
                    steps,
                    pixels,
                    image * room + count,
                )
                beyond = flags & _EVERY
                in_last = flags >> GAPS_AT_ONCE
                spikes = lowest_set_bit(beyond | (_EVERY + 1))
                count += spikes
                # A spike in the last step leaves no step that another gap could lead
                # to.
                first += spikes + np.int64((beyond != 0) & (in_last == 0))
                if flags != 0:
                    break
                start = steps[image * room + count - 1] + 1
            used[image] = first
            counts[image] = count


@compiled_parallel
def _encode_lane(lane, levels, samples, key, gap_scale, first_lit, n_steps, out):
    """The images of one lane; see :func:`encode_lanes`."""
    first = out.bounds[lane]
    end = out.bounds[lane + 1]
    buffer = out.buffers[lane]
    n_pixels = levels.shape[1]
    scratch = _scratch(n_pixels, n_steps)
    lit_room = n_pixels + LISTED_AT_ONCE
    room = n_pixels * n_steps + GAPS_AT_ONCE
    total = 0
    at_once = scratch.states.size
    for image in range(first, end, at_once):
        n_images = min(at_once, end - image)
        for k in range(n_images):
            lit = scratch.lit[k * lit_room :]
            scratch.n_lit[k] = list_at_least(
                levels[image + k], n_pixels, first_lit, lit
            )
            # Before the first number, what is left of those before it is none.
            start = stream_start(key, samples[image + k])
            scratch.states[k] = start - np.uint64(_NUMBERS) * _STATE_STEP
        _draw(levels[image : image + n_images], gap_scale, n_steps, scratch)
        for k in range(n_images):
            its_first_step = (image + k) * n_steps
            total += order_by_step(
                scratch.steps[k * room :],
                scratch.pixels[k * room :],
                scratch.counts[k],
                n_steps,
                out.lengths[its_first_step : its_first_step + n_steps],
                scratch.places,
                buffer[total:],
            )
    out.counts[lane] = total


@compiled
def encode_lanes(levels, samples, key, gap_scale, first_lit, n_steps, out):
    """Encode images, a lane of them a thread.

    Args:
        levels: index into `gap_scale` of each pixel, [N, P].
        samples: identity of each image, int64 [N].
        key: of the random streams, uint64.
        gap_scale: -1 / log(1 - p) of each level; 0 where p = 1, negative where p = 0.
        first_lit: the lowest level that may fire.
        n_steps: T.
        out: receives, ``LaneSpikes``.
    """
    n_lanes = out.bounds.size - 1
    _encode_lane(n_lanes, levels, samples, key, gap_scale, first_lit, n_steps, out)
