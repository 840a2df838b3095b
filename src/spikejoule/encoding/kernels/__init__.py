"""Kernels that emit spikes: what they write to, and what they share.

The spikes of a chunk of samples are collected in a buffer, since nobody knows
beforehand how many there will be.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from spikejoule.compiling import compiled
from spikejoule.compiling.bits import LISTED_AT_ONCE
from spikejoule.compiling.emit import broadcast, constant, emitted, even_parts
from spikejoule.encoding.events import EventList

SPARE_SPIKES = LISTED_AT_ONCE
"""Places behind the last spike of a buffer. A kernel may write to so many: it writes a
whole vector of units, of which those that fired are the first."""


class LaneSpikes(NamedTuple):
    """The spikes of N samples over T steps, written by lanes of consecutive samples.

    Attributes:
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64
            [K + 1].
        buffers: receives the units that fired, a row a lane, uint16
            [K, most spikes of a lane + SPARE_SPIKES].
        counts: receives the number of spikes of each lane, int64 [K].
        lengths: receives the number of spikes of each (sample, step), int64 [N * T].
    """

    bounds: NDArray[Any]
    buffers: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[Any]


@compiled
def order_by_step(steps, pixels, n_spikes, n_steps, lengths, places, sources):
    """Order the spikes of one image by step, then by pixel: a counting sort.

    Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        steps, pixels: of each spike, pixels in descending order, uint16.
        n_spikes: how many.
        n_steps: T.
        lengths: receives the number of spikes of each step, int64 [T].
        places: memory for the place of each step's next spike, int32 [T].
        sources: receives the pixels, uint16.

    Returns:
        the number of spikes.
    """
    count = np.uint64(n_spikes)
    lengths[:] = 0
    for k in range(count):
        lengths[np.uint64(steps[k])] += 1
    place = 0
    for step in range(n_steps):
        places[step] = place
        place += lengths[step]
    # From the last spike to the first: pixels came in descending order.
    for k in range(count):
        event = count - np.uint64(1) - k
        its_step = np.uint64(steps[event])
        sources[np.uint64(places[its_step])] = pixels[event]
        places[its_step] += 1
    return np.int64(count)


CHUNK_BYTES = 256 * 1024 * 1024
"""Address space reserved for the spikes of one chunk of samples: their upper bound, of
which only the pages that spikes are written to become memory."""


_kept = threading.local()


def _room(lanes: int, size: int) -> NDArray[np.uint16]:
    """Memory of the calling thread, uint16 [lanes, size], whatever is in it.

    It is kept from call to call: new tens of megabytes come from the operating system
    page by page, and while two threads write to them that takes longer than encoding.
    """
    if getattr(_kept, "buffer", np.empty(0)).size < lanes * size:
        _kept.buffer = np.empty(lanes * size, np.uint16)
    kept: NDArray[np.uint16] = _kept.buffer
    return kept[: lanes * size].reshape(lanes, size)


Fill = Callable[[slice, LaneSpikes], Any]
"""Emits the spikes of the samples of a chunk, ``fill(samples, out)``: bounds and
lengths of `out` count from the chunk's first sample."""


def collect_events(n_samples: int, n_steps: int, n_units: int, fill: Fill) -> EventList:
    """Event list of what `fill` emits for all samples, a lane a thread, chunk after
    chunk.

    Args:
        n_samples: N.
        n_steps: T.
        n_units: units of the layer that emits.
        fill: called once a chunk.
    """
    chunk = max(1, CHUNK_BYTES // (2 * n_units * n_steps))
    parts: list[NDArray[np.uint16]] = []
    offsets = np.zeros(n_samples * n_steps + 1, dtype=np.int64)
    lengths = offsets[1:]
    for first in range(0, n_samples, chunk):
        size = min(chunk, n_samples - first)
        lanes = min(numba.get_num_threads(), size)
        most_spikes = -(-size // lanes) * n_steps * n_units
        rows = slice(first * n_steps, (first + size) * n_steps)
        out = LaneSpikes(
            bounds=even_parts(size, lanes),
            buffers=_room(lanes, most_spikes + SPARE_SPIKES),
            counts=np.empty(lanes, dtype=np.int64),
            lengths=lengths[rows],
        )
        fill(slice(first, first + size), out)
        filled = zip(out.buffers, out.counts.tolist(), strict=True)
        parts.append(np.concatenate([buffer[:count] for buffer, count in filled]))
    np.cumsum(lengths, out=lengths)
    sources = (
        parts[0]
        if len(parts) == 1
        else np.concatenate([np.empty(0, np.uint16), *parts])
    )
    return EventList(sources, offsets, n_samples, n_steps, n_units)


GAPS_AT_ONCE = 8
"""Gaps of one call: the spikes of most pixels, and one vector of float64."""

_DOUBLES = ir.VectorType(ir.DoubleType(), GAPS_AT_ONCE)
_INTEGERS = ir.VectorType(ir.IntType(32), GAPS_AT_ONCE)
_HALVES = ir.VectorType(ir.IntType(16), GAPS_AT_ONCE)


def _sums(builder, values):
    """The sum of each lane and all before it."""
    distance = 1
    while distance < GAPS_AT_ONCE:
        # Lane k of the shifted vector is lane k - distance; below it are zeros.
        lanes = [max(0, GAPS_AT_ONCE + k - distance) for k in range(GAPS_AT_ONCE)]
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), GAPS_AT_ONCE), lanes)
        shifted = builder.shuffle_vector(ir.Constant(_INTEGERS, None), values, lanes)
        values = builder.add(values, shifted)
        distance *= 2
    return values


@emitted
def steps_after_gaps(
    builder, numbers, first, scale, start, n_steps, pixel, steps, pixels, place
) -> int:
    """Write the steps of GAPS_AT_ONCE spikes with ``floor(numbers[first + k] * scale)``
    steps between them, the first at `start` or later.

    Args:
        numbers: not negative, float64.
        scale: not negative, float64.
        n_steps: T, up to 65,535.
        steps, pixels: receive from `place` on, uint16; what lies at or beyond step T is
        no spike.

    Returns:
        bit k is set where the spike of gap k lies beyond the last step, and bit 8 + k
        where it is in the last.
    """

    def pointer(memory, index, kind):
        return builder.bitcast(builder.gep(memory.pointer, [index]), kind.as_pointer())

    def in_every_lane(value, bits):
        return broadcast(builder, builder.trunc(value, ir.IntType(bits)), GAPS_AT_ONCE)

    drawn = builder.load(pointer(numbers, first, _DOUBLES), align=8)
    gaps = builder.fmul(drawn, broadcast(builder, scale, GAPS_AT_ONCE))
    longest = builder.sitofp(n_steps, ir.DoubleType())
    longest = broadcast(builder, longest, GAPS_AT_ONCE)
    gaps = builder.select(builder.fcmp_ordered("<", gaps, longest), gaps, longest)
    whole = _sums(builder, builder.fptosi(gaps, _INTEGERS))
    # Each spike is one step after the one before, and the gap.
    lanes = ir.Constant(_INTEGERS, list(range(GAPS_AT_ONCE)))
    found = builder.add(whole, builder.add(in_every_lane(start, 32), lanes))
    builder.store(
        builder.trunc(found, _HALVES), pointer(steps, place, _HALVES), align=2
    )
    builder.store(in_every_lane(pixel, 16), pointer(pixels, place, _HALVES), align=2)
    past = in_every_lane(n_steps, 32)
    last = builder.sub(past, ir.Constant(_INTEGERS, [1] * GAPS_AT_ONCE))
    beyond = builder.icmp_signed(">=", found, past)
    in_last = builder.icmp_signed("==", found, last)
    words = [
        builder.zext(builder.bitcast(flag, ir.IntType(GAPS_AT_ONCE)), ir.IntType(64))
        for flag in (beyond, in_last)
    ]
    flags: int = builder.or_(words[0], builder.shl(words[1], constant(GAPS_AT_ONCE)))
    return flags
