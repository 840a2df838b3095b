"""Collecting the spikes that kernels emit, when nobody knows beforehand how many there will be."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikejoule.foundation.compiling.arrays import even_parts
from spikejoule.spikes.events import EventList

CHUNK_BYTES = 256 * 1024 * 1024
"""Address space reserved for the spikes of one chunk of samples: their upper bound, of which only
the pages that spikes are written to become memory."""

Fill = Callable[
    [
        slice,
        NDArray[np.int64],
        NDArray[np.uint16],
        NDArray[np.int64],
        NDArray[np.int64],
    ],
    Any,
]
"""Emits the spikes of some samples: ``fill(samples, bounds, buffers, counts, lengths)``.

Lane l of a chunk emits those of samples ``bounds[l]`` to ``bounds[l + 1]`` (counted from the
chunk's first) into ``buffers[l]`` and says how many in ``counts[l]``; ``lengths`` receives the
number of spikes of each (sample, step) of the chunk.
"""


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
        buffers = np.empty((lanes, -(-size // lanes) * n_steps * n_units), dtype=np.uint16)
        counts = np.empty(lanes, dtype=np.int64)
        rows = slice(first * n_steps, (first + size) * n_steps)
        fill(slice(first, first + size), even_parts(size, lanes), buffers, counts, lengths[rows])
        parts += [buffers[lane, : counts[lane]].copy() for lane in range(lanes)]
    np.cumsum(lengths, out=lengths)
    sources = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)
    return EventList(sources, offsets, n_samples, n_steps, n_units)
