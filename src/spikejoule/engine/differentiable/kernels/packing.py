"""Copying weights into the flat array, and gradients out of it.

PyTorch stores weights as [group, target, column], the flat array as [group, column,
target], padded (engine/layout.py); a column is a source channel and a kernel position.
"""

from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_parallel

TILE = 16
"""Targets, or columns, that are copied together: a cache line of them is written."""


class Matrices(NamedTuple):
    """The place of one parameter in the flat array.

    Attributes:
        start: first element.
        groups, targets, columns: sizes of the parameter.
        width: elements from one column to the next.
    """

    start: int
    groups: int
    targets: int
    columns: int
    width: int


@compiled_parallel
def pack(part, parts, weights, place, flat):
    """Copy some targets of a parameter into the flat array.

    Args:
        part: of the targets.
        parts: number of parts.
        weights: real, flat [groups * targets * columns].
        place: ``Matrices`` as a plain tuple.
        flat: receives the weights.
    """
    matrices = Matrices(*place)
    n_tiles = (matrices.targets + TILE - 1) // TILE
    first = n_tiles * part // parts * TILE
    end = min(n_tiles * (part + 1) // parts * TILE, matrices.targets)
    columns = np.uint64(matrices.columns)
    width = np.uint64(matrices.width)
    for group in range(matrices.groups):
        source = np.uint64(group * matrices.targets * matrices.columns)
        target = np.uint64(matrices.start + group * matrices.columns * matrices.width)
        for tile in range(first, end, TILE):
            tile_end = min(tile + TILE, end)
            for column in range(columns):
                for row in range(np.uint64(tile), np.uint64(tile_end)):
                    value = weights[source + row * columns + column]
                    flat[target + column * width + row] = value


@compiled_parallel
def unpack(part, parts, lanes, place, out):
    """Add up the lanes' gradients of some columns of a parameter, in their order.

    Args:
        part: of the columns.
        parts: number of parts.
        lanes: gradients of each lane, real [K, P].
        place: ``Matrices`` as a plain tuple.
        out: receives, real, flat [groups * targets * columns].
    """
    matrices = Matrices(*place)
    first = matrices.columns * part // parts
    end = matrices.columns * (part + 1) // parts
    columns = np.uint64(matrices.columns)
    width = np.uint64(matrices.width)
    for group in range(matrices.groups):
        target = np.uint64(group * matrices.targets * matrices.columns)
        source = np.uint64(matrices.start + group * matrices.columns * matrices.width)
        for tile in range(first, end, TILE):
            tile_end = min(tile + TILE, end)
            for row in range(np.uint64(matrices.targets)):
                for column in range(np.uint64(tile), np.uint64(tile_end)):
                    place_of = source + column * width + row
                    total = lanes[0, place_of]
                    for lane in range(1, lanes.shape[0]):
                        total += lanes[lane, place_of]
                    out[target + row * columns + column] = total
