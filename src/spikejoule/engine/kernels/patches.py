"""Inner loops of layers that stand at places of a plane, in vector registers (see
emit.py).

What an event adds is a patch: for each tap, the weights of all channels that it reaches
at a place. They are one row of memory, as are these channels' potentials, so that a
patch is a few additions of rows. A fully connected layer is the case of one place and
one tap.

All arrays are flat and contiguous, all positions are counted in elements, and nothing
is checked: the callers in this folder own the bounds. The tables are those of
``ChainArrays``.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    EmittedArray,
    Index,
    Registers,
    broadcast,
    constant,
    each_below,
    each_between,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION
from spikejoule.engine.kernels.through_time import SURROGATE_CODES, derivative_at
from spikejoule.engine.kernels.vector import MAX_BLOCK

SHORT_ROWS = (1, 2)
"""Vectors of rows that are added without a loop."""

PRODUCT_STEPS = 5
"""Steps that are multiplied together, from one load of the weights: with MAX_BLOCK
vectors their sums and the weights fill 30 of 32 registers."""


def _emit_patches(
    builder: ir.IRBuilder,
    spikes: Any,
    step: Index,
    chain: Any,
    link: Any,
    add: Callable[[Index, Index], None],
) -> None:
    """Emit `add` for each vector of each tap of each spike of a step.

    `add` receives where the vector of potentials begins, from the row of the step on,
    and where that of weights does.
    """

    def emit_vectors(size: int, target: Index, weight: Index) -> None:
        for k in range(size):
            add(target + LANES * k, weight + LANES * k)
        if size == 0:
            with each_below(builder, link.vectors) as number:
                column = number * LANES
                add(target + column, weight + column)

    def emit(size: int) -> None:
        with each_of(builder, spikes.offsets, step) as event:
            unit = link.first_source + spikes.sources.load_index(event)
            place, weights, shift = _row(chain.sources, unit, 3)
            with each_of(builder, chain.taps_of, place) as tap:
                target, offset, _ = _row(chain.taps, tap, 3)
                emit_vectors(size, target + shift, weights + offset)

    is_short = builder.icmp_signed("<=", link.vectors, constant(SHORT_ROWS[-1]))
    size = builder.select(is_short, link.vectors, constant(0))
    for_each_block_size(builder, size, (*SHORT_ROWS, 0), emit)


def _row(table: EmittedArray, number: Index, fields: int) -> list[Index]:
    """The fields of a row of a flat table of integers."""
    return [table.load_index(number * fields + k) for k in range(fields)]


@emitted
def add_patches(
    builder, spikes, step, chain, link, factor, parameters, potentials, row_start
):
    """Add the weights of the spikes of a step to the potentials that they reach.

    For every tap of every spike:
    ``potentials[row_start + target] += factor * weights``.
    """
    factors = broadcast(builder, factor)

    def add(target: Index, weight: Index) -> None:
        place = row_start + target
        before = potentials.load_vector(place)
        after = multiply_add(builder, factors, parameters.load_vector(weight), before)
        potentials.store_vector(after, place)

    _emit_patches(builder, spikes, step, chain, link, add)


@emitted
def add_patch_gradients(
    builder, spikes, step, chain, link, factor, gradient, deltas, row_start
):
    """Add the deltas that the spikes of a step reached to the gradients of their
    weights.

    For every tap of every spike:
    ``gradient[weights] += factor * deltas[row_start + target]``.
    """
    factors = broadcast(builder, factor)

    def add(target: Index, weight: Index) -> None:
        delta = deltas.load_vector(row_start + target)
        after = multiply_add(builder, factors, delta, gradient.load_vector(weight))
        gradient.store_vector(after, weight)

    _emit_patches(builder, spikes, step, chain, link, add)


def _after_spike(
    builder: ir.IRBuilder, neuron: Any, value: ir.Value, threshold: Any
) -> ir.Value:
    """The potential after the reset of a neuron that fired."""
    subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
    return builder.select(subtracts, builder.fsub(value, threshold), zeros(value.type))


@emitted
def fire_and_leak(builder, neuron, biases, potentials, row_start, stride, fired):
    """Which neurons fire in a step, and what is left of their potentials in the next.

    The potentials v of a step lie from `row_start` on, and those of the next one behind
    them, which receive ``decay * u + bias`` with u = v after the reset. `fired`
    receives one bit a neuron.
    """
    decays = broadcast(builder, neuron.decay)
    thresholds = broadcast(builder, neuron.threshold)
    with each_below(builder, stride // LANES) as number:
        column = number * LANES
        place = row_start + column
        value = potentials.load_vector(place)
        fires = builder.fcmp_ordered(">=", value, thresholds)
        fired.store(builder.bitcast(fires, ir.IntType(LANES)), number)
        left = builder.select(
            fires, _after_spike(builder, neuron, value, thresholds), value
        )
        left = multiply_add(builder, left, decays, biases.load_vector(column))
        potentials.store_vector(left, place + stride)


@emitted
def add_products(
    builder,
    following,
    taps,
    first,
    end,
    weights,
    reach,
    width,
    block,
    n_steps,
    into,
    into_start,
):
    """Add dL/ds of a block of channels at a place, in some steps, from dL/dv of what it
    reaches.

    For every tap from `first` to `end`:
    ``into[t] += following[t, target] @ weights[tap]``, whose `reach` rows are `width`
    apart, as are those of `into`.
    """

    def emit_steps(size: int, first_step: Index, n_vectors: int) -> None:
        rows = [
            into_start + width * (first_step + k) + block.column for k in range(size)
        ]
        sums = [Registers(builder, into.vector, n_vectors) for _ in rows]
        for row, of_step in zip(rows, sums, strict=True):
            of_step.load(into, row)
        start = following.start + following.stride * first_step
        with each_between(builder, first, end) as tap:
            target, _, matrix = _row(taps, tap, 3)
            with each_below(builder, reach) as number:
                of_row = load_row(
                    weights, matrix + number * width + block.column, n_vectors
                )
                source = start + target + number
                for k, of_step in enumerate(sums):
                    delta = following.values.load(source + following.stride * k)
                    of_step.add_products(broadcast(builder, delta), of_row)
        for row, of_step in zip(rows, sums, strict=True):
            of_step.store(into, row)

    def emit(n_vectors: int) -> None:
        n_tiles = n_steps // PRODUCT_STEPS
        with each_below(builder, n_tiles) as number:
            emit_steps(PRODUCT_STEPS, number * PRODUCT_STEPS, n_vectors)
        with each_between(builder, n_tiles * PRODUCT_STEPS, n_steps) as step:
            emit_steps(1, step, n_vectors)

    for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)


@emitted
def deltas_of_vector(
    builder,
    slopes,
    factor,
    costs,
    deltas,
    last_step,
    n_steps,
    neuron,
    surrogate,
    sums,
    learned,
):
    """dL/dv of a vector of neurons in `n_steps` steps that end with `last_step`, and
    sums of it.

    For t from the last of them to the first:
    ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t+1]`` with
    ``g[t] = factor * slopes[t] + costs``. `slopes`, `costs` and `deltas` are ``Rows``
    that begin with the vector; the deltas take the place of the potentials, and behind
    the last step of all lies a row of zeros. Added up are d in the first row of `sums`,
    and in those of `learned` ``d[t+1] * u[t]`` and ``g[t] * f(v[t] - threshold)``
    (deltas.learned_gradients).
    """
    decays = broadcast(builder, neuron.decay)
    thresholds = broadcast(builder, neuron.threshold)
    a = broadcast(builder, surrogate.a)
    b = broadcast(builder, surrogate.b)
    factors = broadcast(builder, factor)
    vector = deltas.values.vector
    cost = costs.values.load_vector(costs.start)

    def row_at(rows: Any, step: Index | int) -> Index:
        place: Index = rows.start + rows.stride * step
        return place

    def emit(code: int) -> None:
        following = cgutils.alloca_once(builder, vector)
        after = row_at(deltas, last_step + 1)
        builder.store(deltas.values.load_vector(after), following)
        places = [(sums, sums.start), *((learned, row_at(learned, k)) for k in (0, 1))]
        totals = [cgutils.alloca_once(builder, vector) for _ in places]
        for total, (rows, place) in zip(totals, places, strict=True):
            builder.store(rows.values.load_vector(place), total)
        with each_below(builder, n_steps) as number:
            step = last_step - number
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
            # What does not change with the potential before a reset to zero passes
            # nothing on.
            subtracts = builder.icmp_signed(
                "==", neuron.reset, constant(RESET_BY_SUBTRACTION)
            )
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
