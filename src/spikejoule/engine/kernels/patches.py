"""Inner loops of layers that stand at places of a plane, in vector registers (see emit.py).

What an event adds is a patch: for each tap, the weights of all channels that it reaches at a
place. They are one row of memory, as are these channels' potentials, so that a patch is a few
additions of rows. A fully connected layer is the case of one place and one tap.

All arrays are flat and contiguous, all positions are counted in elements, and nothing is checked:
the callers in this folder own the bounds. The tables are those of ``ChainArrays``.
"""

import itertools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    EmittedArray,
    broadcast,
    constant,
    emitted,
    for_each_block_size,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION
from spikejoule.engine.kernels.through_time import SURROGATE_CODES, derivative_at
from spikejoule.engine.kernels.vector import MAX_BLOCK

SHORT_ROWS = (1, 2)
"""Vectors of rows that are added without a loop."""

PRODUCT_STEPS = 5
"""Steps that are multiplied together, from one load of the weights: with MAX_BLOCK vectors their
sums and the weights fill 30 of 32 registers."""


def _emit_patches(
    builder: ir.IRBuilder,
    spikes: Any,
    step: ir.Value,
    chain: Any,
    vectors: ir.Value,
    first_source: ir.Value,
    add: Callable[[ir.Value, ir.Value], None],
) -> None:
    """Emit `add` for each vector of each tap of each spike of a step.

    `add` receives where the vector of potentials begins, from the row of the step on, and where
    that of weights does.
    """

    def emit_vectors(size: int, target: ir.Value, weight: ir.Value) -> None:
        for k in range(size):
            column = constant(LANES * k)
            add(builder.add(target, column), builder.add(weight, column))
        if size == 0:
            with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
                column = builder.mul(loop.index, constant(LANES))
                add(builder.add(target, column), builder.add(weight, column))

    def emit(size: int) -> None:
        begin, stop = _bounds(builder, spikes.offsets, step)
        with cgutils.for_range_slice(builder, begin, stop, constant(1), INDEX) as (event, _):
            unit = builder.add(first_source, spikes.sources.load_index(event))
            place, weights, shift = _row(builder, chain.sources, unit, 3)
            first, end = _bounds(builder, chain.taps_of, place)
            with cgutils.for_range_slice(builder, first, end, constant(1), INDEX) as (tap, _):
                target, offset, _ = _row(builder, chain.taps, tap, 3)
                emit_vectors(size, builder.add(target, shift), builder.add(weights, offset))

    is_short = builder.icmp_signed("<=", vectors, constant(SHORT_ROWS[-1]))
    size = builder.select(is_short, vectors, constant(0))
    for_each_block_size(builder, size, (*SHORT_ROWS, 0), emit)


def _row(
    builder: ir.IRBuilder, table: EmittedArray, number: ir.Value, fields: int
) -> list[ir.Value]:
    """The fields of a row of a flat table of integers."""
    first = builder.mul(number, constant(fields))
    return [table.load_index(builder.add(first, constant(k))) for k in range(fields)]


def _bounds(builder: ir.IRBuilder, bounds: EmittedArray, number: ir.Value) -> list[ir.Value]:
    """Where what belongs to a number begins and ends."""
    return [bounds.load_index(builder.add(number, constant(k))) for k in range(2)]


@emitted
def add_patches(builder, spikes, step, chain, link, factor, parameters, potentials, row_start):
    """Add the weights of the spikes of a step to the potentials that they reach.

    For every tap of every spike: ``potentials[row_start + target] += factor * weights``.
    """
    factors = broadcast(builder, factor)

    def add(target: ir.Value, weight: ir.Value) -> None:
        target = builder.add(row_start, target)
        before = potentials.load_vector(target)
        after = multiply_add(builder, factors, parameters.load_vector(weight), before)
        potentials.store_vector(after, target)

    _emit_patches(builder, spikes, step, chain, link.vectors, link.first_source, add)


@emitted
def add_patch_gradients(builder, spikes, step, chain, link, factor, gradient, deltas, row_start):
    """Add the deltas that the spikes of a step reached to the gradients of their weights.

    For every tap of every spike: ``gradient[weights] += factor * deltas[row_start + target]``.
    """
    factors = broadcast(builder, factor)

    def add(target: ir.Value, weight: ir.Value) -> None:
        delta = deltas.load_vector(builder.add(row_start, target))
        after = multiply_add(builder, factors, delta, gradient.load_vector(weight))
        gradient.store_vector(after, weight)

    _emit_patches(builder, spikes, step, chain, link.vectors, link.first_source, add)


def _after_spike(builder: ir.IRBuilder, neuron: Any, value: ir.Value, threshold: Any) -> ir.Value:
    """The potential after the reset of a neuron that fired."""
    subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
    return builder.select(subtracts, builder.fsub(value, threshold), zeros(value.type))


@emitted
def fire_and_leak(builder, neuron, biases, potentials, row_start, stride, fired):
    """Which neurons fire in a step, and what is left of their potentials in the next.

    The potentials v of a step lie from `row_start` on, and those of the next one behind them, which
    receive ``decay * u + bias`` with u = v after the reset. `fired` receives one bit a neuron.
    """
    decays, thresholds = (broadcast(builder, of) for of in (neuron.decay, neuron.threshold))
    with cgutils.for_range(builder, builder.udiv(stride, constant(LANES)), intp=INDEX) as loop:
        column = builder.mul(loop.index, constant(LANES))
        place = builder.add(row_start, column)
        value = potentials.load_vector(place)
        fires = builder.fcmp_ordered(">=", value, thresholds)
        fired.store(builder.bitcast(fires, ir.IntType(LANES)), loop.index)
        left = builder.select(fires, _after_spike(builder, neuron, value, thresholds), value)
        left = multiply_add(builder, left, decays, biases.load_vector(column))
        potentials.store_vector(left, builder.add(place, stride))


@emitted
def add_products(
    builder, following, taps, first, end, weights, reach, width, block, n_steps, into, into_start
):
    """Add dL/ds of a block of channels at a place, in some steps, from dL/dv of what it reaches.

    For every tap from `first` to `end`: ``into[t] += following[t, target] @ weights[tap]``, whose
    `reach` rows are `width` apart, as are those of `into`.
    """
    vector = into.vector
    flat = itertools.chain.from_iterable

    def emit_steps(size: int, first_step: ir.Value, n_vectors: int) -> None:
        columns = [builder.add(block.column, constant(LANES * k)) for k in range(n_vectors)]
        starts = [builder.add(first_step, constant(k)) for k in range(size)]
        starts = [builder.add(into_start, builder.mul(width, start)) for start in starts]
        places = [[builder.add(start, column) for column in columns] for start in starts]
        cells = [[cgutils.alloca_once(builder, vector) for _ in columns] for _ in starts]
        for place, cell in zip(flat(places), flat(cells), strict=True):
            builder.store(into.load_vector(place), cell)
        start = builder.add(following.start, builder.mul(following.stride, first_step))
        with cgutils.for_range_slice(builder, first, end, constant(1), INDEX) as (tap, _):
            target, _, matrix = _row(builder, taps, tap, 3)
            target = builder.add(start, target)
            with cgutils.for_range(builder, reach, intp=INDEX) as loop:
                base = builder.add(matrix, builder.mul(loop.index, width))
                of_row = [weights.load_vector(builder.add(base, column)) for column in columns]
                source = builder.add(target, loop.index)
                for k, of_step in enumerate(cells):
                    delta = builder.mul(following.stride, constant(k))
                    delta = following.values.load(builder.add(source, delta))
                    delta = broadcast(builder, delta)
                    for weight, cell in zip(of_row, of_step, strict=True):
                        total = multiply_add(builder, delta, weight, builder.load(cell))
                        builder.store(total, cell)
        for place, cell in zip(flat(places), flat(cells), strict=True):
            into.store_vector(builder.load(cell), place)

    def emit(n_vectors: int) -> None:
        n_tiles = builder.udiv(n_steps, constant(PRODUCT_STEPS))
        with cgutils.for_range(builder, n_tiles, intp=INDEX) as loop:
            first_step = builder.mul(loop.index, constant(PRODUCT_STEPS))
            emit_steps(PRODUCT_STEPS, first_step, n_vectors)
        done = builder.mul(n_tiles, constant(PRODUCT_STEPS))
        with cgutils.for_range_slice(builder, done, n_steps, constant(1), INDEX) as (step, _):
            emit_steps(1, step, n_vectors)

    for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)


@emitted
def deltas_of_vector(
    builder, slopes, factor, costs, deltas, last_step, n_steps, neuron, surrogate, sums, learned
):
    """dL/dv of a vector of neurons in `n_steps` steps that end with `last_step`, and sums of it.

    For t from the last of them to the first: ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t+1]``
    with ``g[t] = factor * slopes[t] + costs``. `slopes`, `costs` and `deltas` are ``Rows`` that
    begin with the vector; the deltas take the place of the potentials, and behind the last step of
    all lies a row of zeros. Added up are d in the first row of `sums`, and in those of `learned`
    ``d[t+1] * u[t]`` and ``g[t] * f(v[t] - threshold)`` (deltas.learned_gradients).
    """
    decays, thresholds, a, b, factors = (
        broadcast(builder, of)
        for of in (neuron.decay, neuron.threshold, surrogate.a, surrogate.b, factor)
    )
    vector = deltas.values.vector
    cost = costs.values.load_vector(costs.start)

    def row_at(rows: Any, step: ir.Value) -> ir.Value:
        return builder.add(rows.start, builder.mul(rows.stride, step))

    def emit(code: int) -> None:
        following = cgutils.alloca_once(builder, vector)
        after = row_at(deltas, builder.add(last_step, constant(1)))
        builder.store(deltas.values.load_vector(after), following)
        places = [(sums, sums.start), *((learned, row_at(learned, constant(k))) for k in (0, 1))]
        totals = [cgutils.alloca_once(builder, vector) for _ in places]
        for total, (rows, place) in zip(totals, places, strict=True):
            builder.store(rows.values.load_vector(place), total)
        with cgutils.for_range(builder, n_steps, intp=INDEX) as loop:
            step = builder.sub(last_step, loop.index)
            place = row_at(deltas, step)
            own = slopes.values.load_vector(row_at(slopes, step))
            own = multiply_add(builder, factors, own, cost)
            value = deltas.values.load_vector(place)
            later = builder.load(following)
            x = builder.fsub(value, thresholds)
            by_spike = builder.fmul(own, derivative_at(builder, code, x, a, b))
            silent = builder.fcmp_ordered("<", value, thresholds)
            reset = _after_spike(builder, neuron, value, thresholds)
            left = builder.select(silent, value, reset)
            # What does not change with the potential before a reset to zero passes nothing on.
            subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
            of_spike = builder.select(subtracts, decays, zeros(vector))
            kept = builder.select(silent, decays, of_spike)
            delta = multiply_add(builder, kept, later, by_spike)
            deltas.values.store_vector(delta, place)
            builder.store(delta, following)
            added = (delta, builder.fmul(later, left), by_spike)
            for total, of_step in zip(totals, added, strict=True):
                builder.store(builder.fadd(builder.load(total), of_step), total)
        for total, (rows, place) in zip(totals, places, strict=True):
            rows.values.store_vector(builder.load(total), place)

    for_each_block_size(builder, surrogate.code, list(SURROGATE_CODES.values()), emit)
