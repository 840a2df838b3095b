"""How the gradient of a batch is shared out over threads.

No bit of a gradient depends on the number of threads. A thread a lane needs no plan.
More threads take many groups of samples at a time: first the deltas of each group, then
each part of the gradient (kernels/backward.py).
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.backward import GROUP_SAMPLES
from spikejoule.engine.kernels.vector import MAX_BLOCK, NARROW


class Sharing(NamedTuple):
    """Who does what.

    Attributes:
        turns: the groups that are worked at once, turn after turn: lane, first sample
            and end of each, int64 [groups, 3].
        parts: of the gradient, see `add_groups`, int64 [parts, 4].
    """

    turns: tuple[NDArray[np.int64], ...]
    parts: NDArray[np.int64]


@functools.lru_cache(maxsize=64)
def share(
    strides: tuple[int, ...], bounds: tuple[int, ...], slots: int, threads: int
) -> Sharing:
    """A plan for a batch.

    Args:
        strides: of each layer.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``.
        slots: groups that the workspace holds, a multiple of the lanes.
        threads: how many.
    """
    lanes = [range(first, stop) for first, stop in itertools.pairwise(bounds)]
    size = _group_size(lanes, threads)
    groups = [
        [(lane, first, min(first + size, samples.stop)) for first in samples[::size]]
        for lane, samples in enumerate(lanes)
    ]
    at_once = slots // len(lanes)
    turns = []
    for first in range(0, max(map(len, groups)), at_once):
        turn = [
            group for of_lane in groups for group in of_lane[first : first + at_once]
        ]
        turns.append(np.array(turn, dtype=np.int64))
    parts = [
        (lane, number, *block)
        for number, stride in enumerate(strides)
        for block in _blocks(stride // LANES, len(lanes), threads)
        for lane in range(len(lanes))
    ]
    return Sharing(tuple(turns), np.array(parts, dtype=np.int64))


def _group_size(lanes: list[range], threads: int) -> int:
    """The group size with which the busiest thread has least to do."""

    def samples_of_busiest(size: int) -> int:
        n_groups = sum(-(-len(samples) // size) for samples in lanes)
        return size * -(-n_groups // threads)

    return min(range(GROUP_SAMPLES, 0, -1), key=samples_of_busiest)


def _blocks(vectors: int, lanes: int, threads: int) -> list[tuple[int, int]]:
    """First column and vectors of each block of a layer; a narrow one is a single
    block.

    A block takes a step for each spike, and one for each of its vectors.
    """

    def steps_of_busiest(size: int) -> int:
        return -(-lanes * -(-vectors // size) // threads) * (1 + size)

    sizes = range(min(vectors, MAX_BLOCK), 0, -1)
    size = vectors if vectors <= NARROW else min(sizes, key=steps_of_busiest)
    return [
        (first * LANES, min(size, vectors - first)) for first in range(0, vectors, size)
    ]
