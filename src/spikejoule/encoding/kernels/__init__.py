"""Kernels that emit spikes: the memory they write to, and the sort they share.

The spikes of a chunk of samples are collected in a buffer, since their number is not
known beforehand.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled
from spikejoule.compiling.bits import LISTED_AT_ONCE
from spikejoule.compiling.emit import even_parts
from spikejoule.encoding.events import EventList

SPARE_SPIKES = LISTED_AT_ONCE
"""Places behind the last spike of a buffer. A kernel writes whole vectors of units, of
which only the first ones fired."""


class LaneSpikes(NamedTuple):
    """The spikes of N samples over T steps, written by lanes of consecutive samples.

    Attributes:
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64
            [K + 1].
        buffers: receives the units that fired, a row for each lane, uint16
            [K, most spikes of a lane + SPARE_SPIKES].
        counts: receives the number of spikes of each lane, int64 [K].
        lengths: receives the number of spikes of each (sample, step), int64 [N * T].
    """

    bounds: NDArray[Any]
    buffers: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[Any]


@compiled
def order_by_step(steps, pixels, places, lengths, sources):
    """Order the spikes of one image by step, then by pixel: a counting sort.

    Indices are unsigned, because numba checks the sign of every other index.

    Args:
        steps, pixels: of each of S spikes, pixels in descending order, uint16 [S].
        places: memory for the place of each step's next spike, int32 [T].
        lengths: receives the number of spikes of each step, int64 [T].
        sources: receives the pixels, uint16.

    Returns:
        S.
    """
    count = np.uint64(steps.size)
    lengths[:] = 0
    for k in range(count):
        lengths[np.uint64(steps[k])] += 1
    place = 0
    for step in range(places.size):
        places[step] = place
        place += lengths[step]
    # From the last spike to the first: pixels are in descending order.
    for k in range(count):
        event = count - np.uint64(1) - k
        its_step = np.uint64(steps[event])
        sources[np.uint64(places[its_step])] = pixels[event]
        places[its_step] += 1
    return np.int64(count)


@compiled
def _add_up(numbers):
    """Replace each number by the sum up to it; ten times as fast as np.cumsum."""
    total = 0
    for k in range(numbers.size):
        total += numbers[k]
        numbers[k] = total


CHUNK_BYTES = 256 * 1024 * 1024
"""Address space reserved for the spikes of one chunk of samples: their upper bound.
Only the pages that spikes are written to become memory."""


_kept = threading.local()


def _room(lanes: int, size: int) -> NDArray[np.uint16]:
    """Return uninitialised memory of the calling thread, uint16 [lanes, size].

    It is kept from call to call: the operating system hands out new tens of megabytes
    page by page, which takes longer than encoding while two threads write to them.
    """
    if getattr(_kept, "buffer", np.empty(0)).size < lanes * size:
        _kept.buffer = np.empty(lanes * size, np.uint16)
    kept: NDArray[np.uint16] = _kept.buffer
    return kept[: lanes * size].reshape(lanes, size)


Fill = Callable[[slice, LaneSpikes], Any]
"""Emits the spikes of a chunk's samples, ``fill(samples, out)``: bounds and lengths of
`out` count from the chunk's first sample."""


def collect_events(n_samples: int, n_steps: int, n_units: int, fill: Fill) -> EventList:
    """Make the event list of what `fill` emits, chunk by chunk, one lane per thread.

    Args:
        n_samples: N.
        n_steps: T.
        n_units: units of the layer that emits.
        fill: called once for each chunk.
    """
    chunk = max(1, CHUNK_BYTES // (2 * n_units * n_steps))
    parts = [np.empty(0, np.uint16)]
    offsets = np.zeros(n_samples * n_steps + 1, dtype=np.int64)
    lengths = offsets[1:]
    for first in range(0, n_samples, chunk):
        size = min(chunk, n_samples - first)
        lanes = min(numba.get_num_threads(), size)
        largest_lane = -(-size // lanes)  # rounded up
        most_spikes = largest_lane * n_steps * n_units
        rows = slice(first * n_steps, (first + size) * n_steps)
        out = LaneSpikes(
            bounds=even_parts(size, lanes),
            buffers=_room(lanes, most_spikes + SPARE_SPIKES),
            counts=np.empty(lanes, dtype=np.int64),
            lengths=lengths[rows],
        )
        fill(slice(first, first + size), out)
        filled = zip(out.buffers, out.counts.tolist(), strict=True)
        # Copied: the next chunk overwrites the buffers.
        parts.append(np.concatenate([buffer[:count] for buffer, count in filled]))
    # In place: `lengths` is a view of the offsets.
    _add_up(lengths)
    sources = np.concatenate(parts)
    return EventList(sources, offsets, n_samples, n_steps, n_units)
