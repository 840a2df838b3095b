"""The membrane potential's gradient from the last step to the first, in vector registers."""

import itertools
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikejoule.engine.kernels.derivatives import SURROGATE_CODES, derivative_at
from spikejoule.foundation.compiling.emit import (
    LANES,
    broadcast,
    constant,
    for_each_block_size,
    memory_of_arrays,
    multiply_add,
    zeros,
)

MAX_DELTA_BLOCK = 4
"""Vectors whose chains through time run side by side, to hide the latency of the division."""

TILE_STEPS = 5
"""Steps of a hidden layer that are computed together, from one load of the next layer's weights."""

TILE_VECTORS = (5, 2, 1)
"""Vectors that are computed together, the widest first: a tile's sums and weights fill 30 of 32
registers. Few widths, since each is compiled for every surrogate."""


def _delta(
    builder: ir.IRBuilder,
    code: int,
    membrane: ir.Value,
    own: ir.Value,
    following: ir.Value,
    neuron: list[ir.Value],
) -> ir.Value:
    """dL/dv of one step: ``own`` is its dL/ds, ``following`` dL/dv of the step after it."""
    decays, thresholds, a, b = neuron
    silent = builder.fcmp_ordered("<", membrane, thresholds)
    kept = builder.select(silent, decays, zeros(membrane.type))
    x = builder.fsub(membrane, thresholds)
    derivative = derivative_at(builder, code, x, a, b)
    return multiply_add(builder, own, derivative, builder.fmul(kept, following))


@intrinsic
def membrane_deltas(
    typing_context,
    deltas,
    delta_start,
    potentials,
    stride,
    column,
    block,
    n_steps,
    decay,
    threshold,
    surrogate,
    a,
    b,
    gradient,
    bias_start,
):
    """Turn dL/ds into dL/dv in place for `block` vectors of units, and sum it into the bias.

    ``potentials`` is [T, stride], and so is ``deltas`` from `delta_start` on. For t from the last
    step to the first: ``d[t] = g[t] * f(v[t] - threshold) + decay * (1 - s[t]) * d[t + 1]``.
    """
    signature = types.void(
        deltas,
        types.int64,
        potentials,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        deltas.dtype,
        deltas.dtype,
        types.int64,
        deltas.dtype,
        deltas.dtype,
        gradient,
        types.int64,
    )

    def codegen(context, builder, signature, arguments):
        array = memory_of_arrays(context, builder, signature, arguments)
        deltas, delta_start, potentials, stride, column, block, n_steps = array[:7]
        decay, threshold, surrogate, a, b, gradient, bias_start = array[7:]
        vector = deltas.vector
        neuron = [broadcast(builder, x) for x in (decay, threshold, a, b)]
        first = builder.add(delta_start, column)
        bias = builder.add(bias_start, column)

        def emit_for(code: int) -> Callable[[int], None]:
            def emit(size: int) -> None:
                places = [constant(LANES * k) for k in range(size)]
                later = [cgutils.alloca_once(builder, vector) for _ in places]
                sums = [cgutils.alloca_once(builder, vector) for _ in places]
                for cell in later + sums:
                    builder.store(zeros(vector), cell)
                with cgutils.for_range(builder, n_steps) as loop:
                    back = builder.sub(builder.sub(n_steps, constant(1)), loop.index)
                    row = builder.mul(back, stride)
                    delta_row, membrane_row = builder.add(first, row), builder.add(column, row)
                    for place, next_delta, total in zip(places, later, sums, strict=True):
                        position = builder.add(delta_row, place)
                        membrane = potentials.load_vector(builder.add(membrane_row, place))
                        own = deltas.load_vector(position)
                        following = builder.load(next_delta)
                        delta = _delta(builder, code, membrane, own, following, neuron)
                        deltas.store_vector(delta, position)
                        builder.store(delta, next_delta)
                        builder.store(builder.fadd(builder.load(total), delta), total)
                for place, total in zip(places, sums, strict=True):
                    position = builder.add(bias, place)
                    value = builder.fadd(gradient.load_vector(position), builder.load(total))
                    gradient.store_vector(value, position)

            return emit

        def emit_surrogate(code: int) -> None:
            for_each_block_size(builder, block, range(1, MAX_DELTA_BLOCK + 1), emit_for(code))

        for_each_block_size(builder, surrogate, list(SURROGATE_CODES.values()), emit_surrogate)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def tile_deltas(
    typing_context,
    next_deltas,
    next_start,
    next_stride,
    n_next,
    weights,
    stride,
    column,
    deltas,
    delta_start,
    potentials,
    potential_start,
    decay,
    threshold,
    surrogate,
    a,
    b,
    later,
    sums,
    rows,
    vectors,
):
    """dL/dv of one tile of a hidden layer: 1 or TILE_STEPS steps by a few vectors of units.

    For the tile's steps from the last to the first, with ``g = next_deltas @ weights``:
    ``d[t] = g[t] * f(v[t] - threshold) + decay * (1 - s[t]) * d[t + 1]``. ``next_deltas`` is
    [rows, next_stride] from `next_start` on, of which the first `n_next` columns count; ``weights``
    is [n_next, stride]; ``deltas`` and ``potentials`` are [rows, stride]. ``later`` [vectors * 16]
    holds d[t + 1] of the tile after this one and receives d of this tile's first step; ``sums``
    collects d over the steps.
    """
    signature = types.void(
        next_deltas,
        types.int64,
        types.int64,
        types.int64,
        weights,
        types.int64,
        types.int64,
        deltas,
        types.int64,
        potentials,
        types.int64,
        deltas.dtype,
        deltas.dtype,
        types.int64,
        deltas.dtype,
        deltas.dtype,
        later,
        sums,
        types.int64,
        types.int64,
    )

    def codegen(context, builder, signature, arguments):
        array = memory_of_arrays(context, builder, signature, arguments)
        next_deltas, next_start, next_stride, n_next, weights, stride, column = array[:7]
        deltas, delta_start, potentials, potential_start = array[7:11]
        decay, threshold, surrogate, a, b, later, sums, rows, vectors = array[11:]
        vector = deltas.vector
        neuron = [broadcast(builder, x) for x in (decay, threshold, a, b)]
        first_delta = builder.add(delta_start, column)
        first_potential = builder.add(potential_start, column)

        def emit_products(size: int, places: list[ir.Constant]) -> list[list[ir.Value]]:
            products = [[cgutils.alloca_once(builder, vector) for _ in places] for _ in range(size)]
            for cell in itertools.chain.from_iterable(products):
                builder.store(zeros(vector), cell)
            next_rows = [
                builder.add(next_start, builder.mul(next_stride, constant(row)))
                for row in range(size)
            ]
            with cgutils.for_range(builder, n_next) as loop:
                base = builder.add(builder.mul(loop.index, stride), column)
                weight_vectors = [weights.load_vector(builder.add(base, place)) for place in places]
                for next_row, cells in zip(next_rows, products, strict=True):
                    delta = next_deltas.load(builder.add(next_row, loop.index))
                    delta = broadcast(builder, delta)
                    for weight, cell in zip(weight_vectors, cells, strict=True):
                        total = multiply_add(builder, delta, weight, builder.load(cell))
                        builder.store(total, cell)
            return [[builder.load(cell) for cell in cells] for cells in products]

        def emit_for(code: int) -> Callable[[int], None]:
            def emit(tile: int) -> None:
                size, width = divmod(tile, TILE_VECTORS[0] + 1)
                places = [constant(LANES * k) for k in range(width)]
                products = emit_products(size, places)
                next_delta = [later.load_vector(place) for place in places]
                totals = [sums.load_vector(place) for place in places]
                for row in range(size - 1, -1, -1):
                    down = builder.mul(stride, constant(row))
                    for k, place in enumerate(places):
                        position = builder.add(builder.add(first_potential, down), place)
                        membrane = potentials.load_vector(position)
                        own = products[row][k]
                        delta = _delta(builder, code, membrane, own, next_delta[k], neuron)
                        position = builder.add(builder.add(first_delta, down), place)
                        deltas.store_vector(delta, position)
                        next_delta[k] = delta
                        totals[k] = builder.fadd(totals[k], delta)
                for place, delta, total in zip(places, next_delta, totals, strict=True):
                    later.store_vector(delta, place)
                    sums.store_vector(total, place)

            return emit

        tiles = [
            size * (TILE_VECTORS[0] + 1) + width
            for size in (1, TILE_STEPS)
            for width in TILE_VECTORS
        ]
        tile = builder.add(builder.mul(rows, constant(TILE_VECTORS[0] + 1)), vectors)

        def emit_surrogate(code: int) -> None:
            for_each_block_size(builder, tile, tiles, emit_for(code))

        for_each_block_size(builder, surrogate, list(SURROGATE_CODES.values()), emit_surrogate)
        return context.get_dummy_value()

    return signature, codegen
