"""What is done with the vector of a unit, in registers (core/compiling/emit.py).

Positions are counted in elements, and nothing is checked: the callers here own the bounds.
tests/graphs/naive_graph.py has what they compute in plain Python.
"""

from llvmlite import ir
from numba.core import cgutils

from spikejoule.core.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    emitted,
    for_each_block_size,
    multiply_add,
    splat,
    zeros,
)

TARGETS = (8, 4, 2, 1)
"""Units that one call computes: with eight, a machine of 512 bits waits for no addition."""

MOST_VECTORS = 4
"""Vectors of targets that one call sums."""


@emitted
def add_vector(builder, values, first, sums, place):
    """``sums[place + lane] += values[first + lane]``."""
    total = builder.fadd(sums.load_vector(place), values.load_vector(first))
    sums.store_vector(total, place)


@emitted
def count_vector(builder, values, first, weight, totals, place) -> bool:
    """``totals[place + lane] += weight`` where ``values[first + lane]`` is not 0; is any not?"""
    counted = builder.fcmp_unordered("!=", values.load_vector(first), zeros(values.vector))
    nothing = ir.Constant(totals.vector, [0] * LANES)
    added = builder.select(counted, broadcast(builder, weight), nothing)
    totals.store_vector(builder.add(totals.load_vector(place), added), place)
    word = builder.bitcast(counted, ir.IntType(LANES))
    any_lane: bool = builder.icmp_unsigned("!=", word, constant(0, LANES))
    return any_lane


@emitted
def follow_vectors(builder, keep, gain, arriving, current, first, n_units):
    """``current = keep * current + gain * arriving``, laid out as for `fire_vectors`."""
    with cgutils.for_range(builder, n_units, intp=INDEX) as loop:
        at = builder.add(first, builder.mul(loop.index, constant(LANES)))
        kept, gained = (broadcast(builder, of.load(loop.index)) for of in (keep, gain))
        gained = builder.fmul(gained, arriving.load_vector(at))
        total = multiply_add(builder, kept, current.load_vector(at), gained)
        current.store_vector(total, at)


@emitted
def fire_vectors(
    builder,
    membrane,
    subtracts,
    current,
    potential,
    amounts,
    active,
    totals,
    first,
    total_at,
    n_units,
):
    """A step of the neurons of a block, see `lists.integrate_and_fire`.

    The vectors of unit u begin at ``first + u * LANES``, of `totals` at `total_at`;
    ``active[first / LANES + u]`` receives whether it fires in any lane.
    """
    ones = splat(potential.vector, 1.0)
    total = cgutils.alloca_once(builder, totals.vector)
    builder.store(totals.load_vector(total_at), total)
    first_unit = builder.lshr(first, constant(LANES.bit_length() - 1))
    with cgutils.for_range(builder, n_units, intp=INDEX) as loop:

        def constants(of):
            return broadcast(builder, of.load(loop.index))

        at = builder.add(first, builder.mul(loop.index, constant(LANES)))
        kept = multiply_add(
            builder,
            constants(membrane.keep),
            potential.load_vector(at),
            constants(membrane.drive),
        )
        value = multiply_add(builder, constants(membrane.gain), current.load_vector(at), kept)
        fires = builder.fcmp_ordered(">=", value, constants(membrane.limit))
        lowered = builder.fsub(value, constants(membrane.threshold))
        after = builder.select(subtracts, lowered, constants(membrane.reset))
        potential.store_vector(builder.select(fires, after, value), at)
        amounts.store_vector(builder.select(fires, ones, zeros(amounts.vector)), at)
        counted = builder.zext(fires, totals.vector)
        builder.store(builder.add(builder.load(total), counted), total)
        word = builder.bitcast(fires, ir.IntType(LANES))
        any_lane = builder.icmp_unsigned("!=", word, constant(0, LANES))
        unit = builder.add(first_unit, loop.index)
        active.store(builder.zext(any_lane, ir.IntType(8)), unit)
    totals.store_vector(builder.load(total), total_at)


@emitted
def add_products(
    builder,
    amounts,
    first,
    units,
    rows,
    n_rows,
    weights,
    column,
    stride,
    n_targets,
    sums,
    place,
    apart,
):
    """Add what some units give to some targets, for all samples of a block.

    ``sums[place + k * apart + lane]`` grows by the sum of
    ``weights[column + rows[e] * stride + k] * amounts[first + units[e] * LANES + lane]`` over each
    e below `n_rows`, in their order, for each k below `n_targets`. `n_targets` is one of TARGETS.
    """
    lanes = constant(LANES)

    def emit(size):
        places = [builder.add(place, builder.mul(constant(k), apart)) for k in range(size)]
        cells = [cgutils.alloca_once(builder, sums.vector) for _ in places]
        for cell in cells:
            builder.store(zeros(sums.vector), cell)
        with cgutils.for_range(builder, n_rows, intp=INDEX) as loop:
            unit = builder.mul(units.load_index(loop.index), lanes)
            amount = amounts.load_vector(builder.add(first, unit))
            row = builder.add(column, builder.mul(rows.load_index(loop.index), stride))
            for k, cell in enumerate(cells):
                weight = weights.load(builder.add(row, constant(k)))
                total = multiply_add(
                    builder, broadcast(builder, weight), amount, builder.load(cell)
                )
                builder.store(total, cell)
        for at, cell in zip(places, cells, strict=True):
            sums.store_vector(builder.fadd(sums.load_vector(at), builder.load(cell)), at)

    for_each_block_size(builder, n_targets, TARGETS, emit)


@emitted
def sum_rows(
    builder, amounts, first, units, n_units, weights, column, stride, n_vectors, out, place
):
    """The same for one sample and whole vectors of targets, `n_vectors` of them up to MOST_VECTORS.

    ``out[place + k]`` becomes the sum of
    ``weights[column + units[e] * stride + k] * amounts[first + units[e] * LANES]`` over each e
    below `n_units`, in their order.
    """

    def emit(size):
        places = [constant(LANES * k) for k in range(size)]
        cells = [cgutils.alloca_once(builder, out.vector) for _ in places]
        for cell in cells:
            builder.store(zeros(out.vector), cell)
        with cgutils.for_range(builder, n_units, intp=INDEX) as loop:
            unit = units.load_index(loop.index)
            at = builder.add(first, builder.mul(unit, constant(LANES)))
            amount = broadcast(builder, amounts.load(at))
            row = builder.add(column, builder.mul(unit, stride))
            for k, cell in zip(places, cells, strict=True):
                weight = weights.load_vector(builder.add(row, k))
                builder.store(multiply_add(builder, weight, amount, builder.load(cell)), cell)
        for k, cell in zip(places, cells, strict=True):
            out.store_vector(builder.load(cell), builder.add(place, k))

    for_each_block_size(builder, n_vectors, range(1, MOST_VECTORS + 1), emit)


@emitted
def add_transposed(builder, rows, first, apart, sums, place):
    """``sums[place + k * LANES + lane] += rows[first + lane * apart + k]``, a square."""
    lanes = range(LANES)
    vectors = [
        rows.load_vector(builder.add(first, builder.mul(constant(lane), apart))) for lane in lanes
    ]
    kind = ir.VectorType(ir.IntType(32), LANES)
    # Squares of half the size change places, then those of a quarter, and so on.
    size = LANES // 2
    while size:
        upper = [k if not k & size else LANES + k - size for k in lanes]
        lower = [k + size if not k & size else LANES + k for k in lanes]
        for lane in lanes:
            if not lane & size:
                pair = vectors[lane], vectors[lane + size]
                for at, chosen in ((lane, upper), (lane + size, lower)):
                    vectors[at] = builder.shuffle_vector(*pair, ir.Constant(kind, chosen))
        size //= 2
    for k, vector in enumerate(vectors):
        at = builder.add(place, constant(k * LANES))
        sums.store_vector(builder.fadd(sums.load_vector(at), vector), at)
