"""How threads share the gradient of a batch in fully connected layers.

No bit of a gradient depends on the number of threads. With at most one thread per lane
there is nothing to plan. More threads work in two phases (kernels/backward.py): first
they compute the deltas of many groups of samples side by side, then each adds up its
own columns of the gradient over these groups, always in the same order.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.vector import MAX_BLOCK
from spikejoule.engine.learning.kernels.backward import GROUP_SAMPLES
from spikejoule.engine.learning.kernels.vector import NARROW


class Sharing(NamedTuple):
    """The work of both phases.

    Attributes:
        turns: groups that are prepared together, one turn after another; for each group
            lane, first sample and end, int64 [groups, 3].
        parts: parts of the gradient, see `add_groups`, int64 [parts, 4].
    """

    turns: tuple[NDArray[np.int64], ...]
    parts: NDArray[np.int64]


# A training repeats the same few plans.
@functools.lru_cache(maxsize=64)
def share(
    strides: tuple[int, ...], bounds: tuple[int, ...], slots: int, threads: int
) -> Sharing:
    """Plan a batch.

    Args:
        strides: of each layer.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1] - 1``.
        slots: groups for which the workspace has memory, a multiple of the lanes.
        threads: number of threads.
    """
    lanes = [range(first, end) for first, end in itertools.pairwise(bounds)]
    size = _group_size(lanes, threads)
    groups = [
        [(lane, first, min(first + size, samples.stop)) for first in samples[::size]]
        for lane, samples in enumerate(lanes)
    ]
    at_once = slots // len(lanes)
    turns = []
    for first in range(0, max(map(len, groups)), at_once):
        turn = []
        for lane_groups in groups:
            turn += lane_groups[first : first + at_once]
        turns.append(np.array(turn, dtype=np.int64))
    parts = []
    for number, stride in enumerate(strides):
        for block in _blocks(stride // LANES, len(lanes), threads):
            parts += [(lane, number, *block) for lane in range(len(lanes))]
    return Sharing(tuple(turns), np.array(parts, dtype=np.int64))


def _group_size(lanes: list[range], threads: int) -> int:
    """Return the group size that gives the busiest thread the fewest samples."""

    def samples_of_busiest(size: int) -> int:
        n_groups = sum(-(-len(samples) // size) for samples in lanes)
        return size * -(-n_groups // threads)

    return min(range(GROUP_SAMPLES, 0, -1), key=samples_of_busiest)


def _blocks(vectors: int, lanes: int, threads: int) -> list[tuple[int, int]]:
    """Return first column and number of vectors of each block of a layer.

    A block costs one unit for the loop over the spikes, and one per vector. The size
    minimises the cost of the busiest thread. A narrow layer is a single block.
    """

    def cost_of_busiest(size: int) -> int:
        n_blocks = lanes * -(-vectors // size)
        return -(-n_blocks // threads) * (1 + size)

    sizes = range(min(vectors, MAX_BLOCK), 0, -1)
    size = vectors if vectors <= NARROW else min(sizes, key=cost_of_busiest)
    return [
        (first * LANES, min(size, vectors - first)) for first in range(0, vectors, size)
    ]
