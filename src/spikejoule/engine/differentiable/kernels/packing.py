"""Copying weights into the flat array, and gradients out of it.

PyTorch stores weights as [group, target, column], the flat array as [group, column,
target], padded (engine/layout.py); a column is a source channel and a kernel position.
So both copies transpose matrices. They do it by tiles, in vector registers.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling import compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES, constant, each_between, emitted
from spikejoule.engine.kernels.structures import Rows


class Matrices(NamedTuple):
    """Where the matrices of one parameter are, one for each group.

    Attributes:
        start: first element.
        stride: elements from one row to the next.
        group: elements from one matrix to the next.
    """

    start: int
    stride: int
    group: int


class Transposition(NamedTuple):
    """What is transposed.

    Attributes:
        groups, rows, columns: number and size of the matrices.
        source: where they are.
        target: where the transposed ones belong.
        copies: how often all matrices are there; the copies are added up, in order.
        distance: elements from one copy to the next.
    """

    groups: int
    rows: int
    columns: int
    source: Matrices
    target: Matrices
    copies: int = 1
    distance: int = 0


class Copies(NamedTuple):
    """Equal parts of an array that are added up, see :class:`Transposition`."""

    number: int
    distance: int


@emitted
def _transpose_tile(builder, source, copies, target):
    """Transpose 16 rows of 16 numbers: ``target[c, r] = sum of source[r, c]``.

    Args:
        builder: receives the instructions.
        source: ``Rows``.
        copies: ``Copies`` of these rows.
        target: ``Rows``.
    """
    values = source.values
    cells = [cgutils.alloca_once(builder, values.vector) for _ in range(LANES)]
    places = [source.start + source.stride * row for row in range(LANES)]
    for cell, place in zip(cells, places, strict=True):
        builder.store(values.load_vector(place), cell)
    with each_between(builder, constant(1), copies.number) as number:
        for cell, place in zip(cells, places, strict=True):
            copy = values.load_vector(place + copies.distance * number)
            builder.store(builder.fadd(builder.load(cell), copy), cell)
    vectors = [builder.load(cell) for cell in cells]
    distance = LANES // 2
    while distance:
        vectors = _swap_blocks(builder, vectors, distance)
        distance //= 2
    for row, vector in enumerate(vectors):
        target.values.store_vector(vector, target.start + target.stride * row)


def _swap_blocks(builder, vectors, size):
    """Emit one stage: in blocks of 2 x 2 blocks of `size`, swap the two off-diagonal.

    After stages of all sizes, 16 rows are transposed.
    """
    upper = [k if k & size == 0 else LANES + k - size for k in range(LANES)]
    lower = [k + size if k & size == 0 else LANES + k for k in range(LANES)]
    kind = ir.VectorType(ir.IntType(32), LANES)
    swapped = list(vectors)
    for row in range(LANES):
        if row & size == 0:
            pair = vectors[row], vectors[row + size]
            for place, mask in ((row, upper), (row + size, lower)):
                swapped[place] = builder.shuffle_vector(*pair, ir.Constant(kind, mask))
    return swapped


@compiled_inline
def _transpose_edge(source, copies, target, n_rows, n_columns):
    """Transpose a tile with fewer rows or columns, number by number."""
    values = source.values
    out = target.values
    for row in range(n_rows):
        for column in range(n_columns):
            place = np.uint64(source.start + row * source.stride + column)
            total = values[place]
            for _ in range(1, copies.number):
                place += np.uint64(copies.distance)
                total += values[place]
            out[np.uint64(target.start + column * target.stride + row)] = total


@compiled_parallel
def transpose(part, parts, values, task, out):
    """Transpose some tiles of matrices.

    Args:
        part: of the tiles.
        parts: number of parts.
        values: real, flat.
        task: ``Transposition`` as nested plain tuples.
        out: receives, real, flat.
    """
    groups, rows, columns, of_source, of_target, number, distance = task
    source = Matrices(*of_source)
    target = Matrices(*of_target)
    copies = Copies(number, distance)
    across = (columns + LANES - 1) // LANES
    tiles = (rows + LANES - 1) // LANES * across
    for tile in range(
        groups * tiles * part // parts, groups * tiles * (part + 1) // parts
    ):
        group = tile // tiles
        row = tile % tiles // across * LANES
        column = tile % tiles % across * LANES
        first = source.start + group * source.group + row * source.stride + column
        into = target.start + group * target.group + column * target.stride + row
        from_rows = Rows(values, first, source.stride)
        into_rows = Rows(out, into, target.stride)
        n_rows = min(LANES, rows - row)
        n_columns = min(LANES, columns - column)
        if n_rows == LANES and n_columns == LANES:
            _transpose_tile(from_rows, copies, into_rows)
        else:
            _transpose_edge(from_rows, copies, into_rows, n_rows, n_columns)


@compiled_parallel
def take(part, parts, values, places, out):
    """Set ``out[k] = values[places[k]]`` for one part of all k."""
    size = places.size
    for k in range(
        np.uint64(size * part // parts), np.uint64(size * (part + 1) // parts)
    ):
        out[k] = values[np.uint64(places[k])]
