"""Poisson rate encoding: pixels to spikes with about one random number per spike.

In each step a pixel fires with probability p, independently. The gap to its next spike
is then geometric, P(gap >= k) = (1 - p)^k, and is the integer part of an exponential
number divided by ``-log(1 - p)`` (Devroye, Non-Uniform Random Variate Generation, 1986,
section X.2).

The random stream of a sample starts at a hash of the sample's own key, so a draw
depends on that key only.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_at_least, lowest_set_bit
from spikejoule.compiling.emit import LANES, broadcast, constant, emitted
from spikejoule.compiling.streams import GOLDEN, fill_exponentials, stream_start
from spikejoule.encoding.kernels import order_by_step

AT_ONCE = 4
"""Images that are drawn side by side: each draw waits for the one before, so one image
alone would leave the processor idle."""

ROOM = 1 << 24
"""Most places for spikes of the images that are drawn side by side, together."""

NUMBER_VECTORS = 8
"""Vectors of random numbers that a stream makes at once."""

_NUMBERS = NUMBER_VECTORS * LANES
_STATE_STEP = np.uint64(GOLDEN)

GAPS_AT_ONCE = 8
"""Gaps of one call: the spikes of most pixels, and one vector of float64."""

_EVERY = (1 << GAPS_AT_ONCE) - 1
_DOUBLES = ir.VectorType(ir.DoubleType(), GAPS_AT_ONCE)
_INTEGERS = ir.VectorType(ir.IntType(32), GAPS_AT_ONCE)
_HALVES = ir.VectorType(ir.IntType(16), GAPS_AT_ONCE)


class Images(NamedTuple):
    """N images of P pixels, and where their random numbers come from.

    Attributes:
        levels: index into the table of each pixel, [N, P].
        samples: identity of each image, int64 [N].
        key: key of the random streams, uint64.
    """

    levels: NDArray[Any]
    samples: NDArray[Any]
    key: Any


class GapTable(NamedTuple):
    """What the encoding makes of the L levels of pixels.

    Attributes:
        gap_scale: -1 / log(1 - p) of each level, float64 [L]; 0 where p = 1, negative
            where p = 0.
        first_lit: the lowest level that may fire.
    """

    gap_scale: NDArray[Any]
    first_lit: Any


class Scratch(NamedTuple):
    """Memory for encoding A images of P pixels over T steps, each in its own part.

    Attributes:
        lit_room: room for the lit pixels of an image, P + LISTED_AT_ONCE.
        room: room for the spikes of an image, P * T + GAPS_AT_ONCE.
        states: of the random streams, uint64 [A].
        numbers: random numbers, float64 [A * _NUMBERS].
        used: how many of these each image has used, int64 [A].
        marked: scratch of ``list_at_least``, uint16 [P // 16].
        lit: the pixels that are not black, ascending, uint16 [A * lit_room].
        n_lit: how many there are, int64 [A].
        steps, pixels: of each spike, by pixel, uint16 [A * room].
        counts: how many spikes there are, int64 [A].
        places: where each step's next spike goes, int32 [T].
    """

    lit_room: int
    room: int
    states: NDArray[Any]
    numbers: NDArray[Any]
    used: NDArray[Any]
    marked: NDArray[Any]
    lit: NDArray[Any]
    n_lit: NDArray[Any]
    steps: NDArray[Any]
    pixels: NDArray[Any]
    counts: NDArray[Any]
    places: NDArray[Any]


class PixelGaps(NamedTuple):
    """The gaps of a pixel that are turned to steps together.

    Attributes:
        pixel: its number.
        scale: its gap scale, not negative.
        number: place of the first random number in `Scratch.numbers`.
        start: the first step that may have a spike.
        place: place of the first spike in `Scratch.steps` and `Scratch.pixels`.
    """

    pixel: Any
    scale: Any
    number: Any
    start: Any
    place: Any


@compiled
def _scratch(n_pixels, n_steps):
    images = max(1, min(AT_ONCE, ROOM // (n_pixels * n_steps)))
    lit_room = n_pixels + LISTED_AT_ONCE
    room = n_pixels * n_steps + GAPS_AT_ONCE
    return Scratch(
        lit_room=lit_room,
        room=room,
        states=np.empty(images, np.uint64),
        numbers=np.empty(images * _NUMBERS, np.float64),
        used=np.empty(images, np.int64),
        marked=np.empty(n_pixels // LANES, np.uint16),
        lit=np.empty(images * lit_room, np.uint16),
        n_lit=np.empty(images, np.int64),
        steps=np.empty(images * room, np.uint16),
        pixels=np.empty(images * room, np.uint16),
        counts=np.empty(images, np.int64),
        places=np.empty(n_steps, np.int32),
    )


def _prefix_sums(builder, values):
    """Emit the sum of each lane and all lanes before it."""
    distance = 1
    while distance < GAPS_AT_ONCE:
        # Lane k of the shifted vector is lane k - distance; below it are zeros.
        lanes = [max(0, GAPS_AT_ONCE + k - distance) for k in range(GAPS_AT_ONCE)]
        mask = ir.Constant(_INTEGERS, lanes)
        shifted = builder.shuffle_vector(ir.Constant(_INTEGERS, None), values, mask)
        values = builder.add(values, shifted)
        distance *= 2
    return values


@emitted
def _steps_after_gaps(builder, scratch, gaps, n_steps) -> int:
    """Write the steps of GAPS_AT_ONCE spikes of a pixel.

    Between them are ``floor(numbers[number + k] * scale)`` steps.

    Args:
        scratch: ``Scratch``; steps and pixels receive, and what is at or beyond step T
            is not a spike.
        gaps: ``PixelGaps``.
        n_steps: T, up to 65,535.

    Returns:
        bit k is set where the spike of gap k is beyond the last step, and bit 8 + k
        where it is in the last.
    """

    def pointer(memory, index, vector):
        place = builder.gep(memory.pointer, [index])
        return builder.bitcast(place, vector.as_pointer())

    def in_every_lane(value, bits):
        return broadcast(builder, builder.trunc(value, ir.IntType(bits)), GAPS_AT_ONCE)

    # Places are not multiples of the vector: only elements are aligned.
    drawn = builder.load(pointer(scratch.numbers, gaps.number, _DOUBLES), align=8)
    lengths = builder.fmul(drawn, broadcast(builder, gaps.scale, GAPS_AT_ONCE))
    # A gap of T steps is long enough, and its sums fit into 32 bits.
    longest = builder.sitofp(n_steps, ir.DoubleType())
    longest = broadcast(builder, longest, GAPS_AT_ONCE)
    is_short = builder.fcmp_ordered("<", lengths, longest)
    lengths = builder.select(is_short, lengths, longest)
    whole = _prefix_sums(builder, builder.fptosi(lengths, _INTEGERS))
    # Each spike is one step, and the gap, after the one before.
    lanes = ir.Constant(_INTEGERS, list(range(GAPS_AT_ONCE)))
    first_steps = builder.add(in_every_lane(gaps.start, 32), lanes)
    steps = builder.add(whole, first_steps)
    to_steps = pointer(scratch.steps, gaps.place, _HALVES)
    builder.store(builder.trunc(steps, _HALVES), to_steps, align=2)
    to_pixels = pointer(scratch.pixels, gaps.place, _HALVES)
    builder.store(in_every_lane(gaps.pixel, 16), to_pixels, align=2)
    past = in_every_lane(n_steps, 32)
    last = builder.sub(past, ir.Constant(_INTEGERS, [1] * GAPS_AT_ONCE))

    def as_bits(flags):
        bits = builder.bitcast(flags, ir.IntType(GAPS_AT_ONCE))
        return builder.zext(bits, ir.IntType(64))

    beyond = as_bits(builder.icmp_signed(">=", steps, past))
    in_last = as_bits(builder.icmp_signed("==", steps, last))
    flags: int = builder.or_(beyond, builder.shl(in_last, constant(GAPS_AT_ONCE)))
    return flags


@compiled_inline
def _draw_pixel(image, pixel, scale, n_steps, scratch):
    """Draw the spikes of a pixel, after those that its image already has."""
    start = 0
    first = scratch.used[image]
    count = scratch.counts[image]
    while True:
        if first > _NUMBERS - GAPS_AT_ONCE:
            # Draw new numbers in place of those that are used.
            scratch.states[image] += np.uint64(first) * _STATE_STEP
            state = scratch.states[image]
            fill_exponentials(state, NUMBER_VECTORS, scratch.numbers, image * _NUMBERS)
            first = 0
        number = image * _NUMBERS + first
        place = image * scratch.room + count
        gaps = PixelGaps(pixel, scale, number, start, place)
        flags = _steps_after_gaps(scratch, gaps, n_steps)
        beyond = flags & _EVERY
        in_last = flags >> GAPS_AT_ONCE
        # The lowest set bit is the number of spikes before the first that is beyond the
        # window; the bit above all is set for the case of none.
        spikes = lowest_set_bit(beyond | (_EVERY + 1))
        count += spikes
        # After a spike in the last step, no further gap is drawn.
        first += spikes + np.int64((beyond != 0) & (in_last == 0))
        if flags != 0:
            break
        start = scratch.steps[image * scratch.room + count - 1] + 1
    scratch.used[image] = first
    scratch.counts[image] = count


@compiled
def _draw(levels, gap_scale, n_steps, scratch):
    """Draw the spikes of a few images, from the last pixel to the first.

    Args:
        levels: index into `gap_scale` of each pixel, [up to A, P].
        gap_scale: see ``GapTable``.
        n_steps: T.
        scratch: ``Scratch``, with the states of the streams and the lit pixels; steps,
            pixels and counts receive.
    """
    n_lit = scratch.n_lit
    n_images = levels.shape[0]
    most = 0
    for image in range(n_images):
        scratch.used[image] = _NUMBERS
        scratch.counts[image] = 0
        most = max(most, n_lit[image])
    for k in range(most):
        # Images take turns with each pixel, so their draws overlap in the processor.
        for image in range(n_images):
            if k < n_lit[image]:
                # Unsigned indices, as in `order_by_step`.
                place = np.uint64(image * scratch.lit_room + n_lit[image] - 1 - k)
                pixel = scratch.lit[place]
                scale = gap_scale[levels[np.uint64(image), np.uint64(pixel)]]
                _draw_pixel(image, pixel, scale, n_steps, scratch)


@compiled_parallel
def _encode_lane(lane, images, table, n_steps, out):
    """Encode the images of one lane; see :func:`encode_lanes`."""
    levels, samples, key = images
    buffer = out.buffers[lane]
    end = out.bounds[lane + 1]
    n_pixels = levels.shape[1]
    scratch = _scratch(n_pixels, n_steps)
    total = 0
    at_once = scratch.states.size
    for image in range(out.bounds[lane], end, at_once):
        n_images = min(at_once, end - image)
        for k in range(n_images):
            lit = scratch.lit[k * scratch.lit_room :]
            scratch.n_lit[k] = list_at_least(
                levels[image + k], n_pixels, table.first_lit, scratch.marked, lit
            )
            # As if all numbers before the stream's first had been used.
            start = stream_start(key, samples[image + k])
            scratch.states[k] = start - np.uint64(_NUMBERS) * _STATE_STEP
        _draw(levels[image : image + n_images], table.gap_scale, n_steps, scratch)
        for k in range(n_images):
            first = k * scratch.room
            spikes = slice(first, first + scratch.counts[k])
            row = (image + k) * n_steps
            total += order_by_step(
                scratch.steps[spikes],
                scratch.pixels[spikes],
                scratch.places,
                out.lengths[row : row + n_steps],
                buffer[total:],
            )
    out.counts[lane] = total


@compiled
def encode_lanes(images, table, n_steps, out):
    """Encode images, one lane of them per thread.

    Args:
        images: ``Images``.
        table: ``GapTable`` of the encoding.
        n_steps: T.
        out: receives, ``LaneSpikes``.
    """
    _encode_lane(out.bounds.size - 1, images, table, n_steps, out)
