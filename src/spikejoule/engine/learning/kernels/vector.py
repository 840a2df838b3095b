"""Emitted inner loops for weight gradients, which keep sums in vector registers.

compiling/emit.py says how code is emitted. All arrays are flat and contiguous, and all
positions are counted in elements. Nothing is checked: the callers guarantee the bounds.
"""

from spikejoule.compiling.emit import (
    LANES,
    Registers,
    each_below,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
)
from spikejoule.engine.kernels.vector import WIDE_BLOCK

NARROW = 2
"""A layer of up to this many vectors is narrow: its weight gradient stays in the L1
cache, and regrouping its spikes by source gains nothing."""


@emitted
def accumulate_rows(builder, gradient, block, by_source, deltas):
    """Add the deltas of the rows in which each source fired to its weight gradient.

    For each k below `n_active`: ``gradient[active[k]] += sum(deltas[steps[e]])`` over e
    from ``firsts[k]`` to ``firsts[k + 1]``, for the columns of a block of at most
    WIDE_BLOCK vectors. The gradient is ``Rows``; the deltas are flat, with the same
    stride.

    The sum of a source stays in registers, so each row of the gradient is loaded and
    stored once, not once per spike. A plain loop took eight times as long.
    """
    column = block.column
    stride = gradient.stride

    def emit(size):
        sums = Registers(builder, gradient.values.vector, size)
        with each_below(builder, by_source.n_active) as number:
            source = by_source.active.load_index(number)
            row = gradient.start + column + source * stride
            sums.load(gradient.values, row)
            with each_of(builder, by_source.firsts, number) as event:
                delta = by_source.steps.load_index(event) * stride
                sums.add(deltas, delta + column)
            sums.store(gradient.values, row)

    for_each_block_size(builder, block.vectors, range(1, WIDE_BLOCK + 1), emit)


@emitted
def accumulate_narrow_rows(builder, gradient, vectors, spikes, n_rows, deltas):
    """Add each row of deltas to the gradient rows of the sources that fired then.

    ``gradient[source] += deltas[row]`` for every source in each row of the spikes. The
    gradient is ``Rows`` of at most NARROW vectors; the deltas have the same stride.
    """
    stride = gradient.stride

    def emit(size):
        with each_below(builder, n_rows) as row:
            values = load_row(deltas, row * stride, size)
            with each_of(builder, spikes.offsets, row) as event:
                into = gradient.start + spikes.sources.load_index(event) * stride
                for k, value in enumerate(values):
                    place = into + LANES * k
                    total = builder.fadd(gradient.values.load_vector(place), value)
                    gradient.values.store_vector(total, place)

    for_each_block_size(builder, vectors, range(1, NARROW + 1), emit)
