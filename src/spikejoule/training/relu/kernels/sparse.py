"""Sums of weighted rows of a matrix, by lists of the factors that are not zero."""

import numpy as np

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import (
    LANES,
    Registers,
    broadcast,
    each_between,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
    zeros,
)
from spikejoule.training.relu.kernels.arrays import Block

BLOCK = 5
"""Vectors whose sums are kept in registers."""


@emitted
def add_weighted_rows(builder, lists, first, end, rows, out, block):
    """Add rows, each times its factor, in the order of the lists.

    For each k from `first` to `end`, ``out[k - first] = sum of factor * rows[place]``
    over list k, in the columns of a block. `rows` and `out` are ``Rows``.

    Sums stay in registers over a list, so `out` is stored once.
    """
    column = block.column

    def emit(size):
        sums = Registers(builder, rows.values.vector, size)
        with each_between(builder, first, end) as number:
            sums.fill(zeros(rows.values.vector))
            with each_of(builder, lists.offsets, number) as event:
                place = lists.places.load_index(event) * rows.stride
                factor = broadcast(builder, lists.factors.load(event))
                row = load_row(rows.values, rows.start + place + column, size)
                sums.add_products(factor, row)
            sums.store(out.values, out.start + (number - first) * out.stride + column)

    for_each_block_size(builder, block.vectors, range(1, BLOCK + 1), emit)


@compiled
def add_all_columns(lists, n_rows, rows, out):
    """Call `add_weighted_rows` for the first lists and all columns."""
    vectors = rows.stride // LANES
    for vector in range(0, vectors, BLOCK):
        block = Block(vector * LANES, min(BLOCK, vectors - vector))
        add_weighted_rows(lists, 0, n_rows, rows, out, block)


@compiled_inline
def _append(lists, place, column, value):
    """List a value at `place`; return the next place.

    It is always written; the next value overwrites it if it is 0.
    """
    lists.places[place] = column
    lists.factors[place] = value
    return place + np.uint64(value != 0)


@compiled
def list_pixels(images, levels, n_rows, lists):
    """List the pixels of images uint8 [B, pixels] whose level is not 0.

    A source of the biases, if `n_rows` has one, is 1.
    """
    n_samples, n_pixels = images.shape
    place = np.uint64(0)
    lists.offsets[0] = 0
    for sample in range(n_samples):
        for pixel in range(n_pixels):
            place = _append(lists, place, pixel, levels[images[sample, pixel]])
        if n_rows > n_pixels:
            place = _append(lists, place, n_pixels, np.float32(1))
        lists.offsets[sample + 1] = place


@compiled
def list_values(rows, n_samples, n_columns, n_rows, lists):
    """List what is not 0 in the first columns of rows, as `list_pixels` does."""
    place = np.uint64(0)
    lists.offsets[0] = 0
    for sample in range(n_samples):
        start = rows.start + sample * rows.stride
        for column in range(n_columns):
            value = rows.values[np.uint64(start + column)]
            place = _append(lists, place, column, value)
        if n_rows > n_columns:
            place = _append(lists, place, n_columns, np.float32(1))
        lists.offsets[sample + 1] = place


@compiled
def list_by_source(lists, n_samples, n_sources, by_source):
    """Reorder lists of sources by sample to lists of samples by source."""
    offsets, places, factors = lists
    firsts, samples, values = by_source
    # The last loop moves the start of each list, one element late, to its end.
    firsts[: n_sources + 2] = 0
    for k in range(np.uint64(offsets[n_samples])):
        firsts[np.uint64(places[k]) + np.uint64(2)] += 1
    for source in range(1, n_sources + 2):
        firsts[source] += firsts[source - 1]
    for sample in range(n_samples):
        for k in range(np.uint64(offsets[sample]), np.uint64(offsets[sample + 1])):
            following = np.uint64(places[k]) + np.uint64(1)
            place = np.uint64(firsts[following])
            samples[place] = sample
            values[place] = factors[k]
            firsts[following] += 1
