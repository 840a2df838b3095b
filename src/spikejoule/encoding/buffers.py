"""Collecting the spikes that kernels emit, when nobody knows beforehand how many there will be."""

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling.arrays import even_parts
from spikejoule.encoding.events import EventList
from spikejoule.encoding.kernels.structures import SPARE_SPIKES, LaneSpikes

CHUNK_BYTES = 256 * 1024 * 1024
"""Address space reserved for the spikes of one chunk of samples: their upper bound, of which only
the pages that spikes are written to become memory."""


class _Kept(threading.local):
    """The buffer of the calls before, which each thread keeps.

    A new one of tens of megabytes comes from the operating system page by page, and while two
    threads write to it that takes longer than encoding.
    """

    def __init__(self) -> None:
        self._buffer = np.empty(0, np.uint16)

    def room(self, lanes: int, size: int) -> NDArray[np.uint16]:
        """Uint16 [lanes, size], whatever is in it."""
        if self._buffer.size < lanes * size:
            self._buffer = np.empty(lanes * size, np.uint16)
        return self._buffer[: lanes * size].reshape(lanes, size)


_kept = _Kept()

Fill = Callable[[slice, LaneSpikes], Any]
"""Emits the spikes of the samples of a chunk, ``fill(samples, out)``: bounds and lengths of `out`
count from the chunk's first sample."""


def collect_events(n_samples: int, n_steps: int, n_units: int, fill: Fill) -> EventList:
    """Event list of what `fill` emits for all samples, a lane a thread, chunk after chunk.

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
            buffers=_kept.room(lanes, most_spikes + SPARE_SPIKES),
            counts=np.empty(lanes, dtype=np.int64),
            lengths=lengths[rows],
        )
        fill(slice(first, first + size), out)
        filled = zip(out.buffers, out.counts.tolist(), strict=True)
        parts.append(np.concatenate([buffer[:count] for buffer, count in filled]))
    np.cumsum(lengths, out=lengths)
    sources = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint16), *parts])
    return EventList(sources, offsets, n_samples, n_steps, n_units)
