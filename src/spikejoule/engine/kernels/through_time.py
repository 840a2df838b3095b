"""The membrane potential's gradient from the last step to the first, in vector registers.

The surrogate derivatives stand in spikejoule/network/surrogates.
"""

import functools

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    Lanes,
    broadcast,
    constant,
    emitted,
    for_each_block_size,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, NeuronConstants, Surrogate
from spikejoule.network.surrogates import SURROGATES

SURROGATE_CODES = {name: code for code, name in enumerate(SURROGATES)}
"""By which kernels know a surrogate: its place in the alphabet."""

_BY_CODE = tuple(SURROGATES.values())


def derivative_at(
    builder: ir.IRBuilder, code: int, x: ir.Value, a: ir.Value, b: ir.Value
) -> ir.Value:
    """The surrogate derivative at x = v - threshold."""
    return _BY_CODE[code].emit(Lanes(builder, x.type), x, a, b)


TILE_STEPS = 5
"""Steps that are computed together, from one load of the next layer's weights."""

TILE_VECTORS = (5, 2, 1)
"""Vectors that are computed together, the widest first: a tile's sums and weights fill 30 of 32
registers. Few widths, since each is compiled for every surrogate."""


_Constants = tuple[ir.Value, ir.Value, ir.Value, ir.Value, ir.Value]


def _broadcast_constants(
    builder: ir.IRBuilder, neuron: NeuronConstants, surrogate: Surrogate
) -> _Constants:
    """Vectors of dv[t+1]/dv[t] without and with a spike, the threshold, the surrogate's a and b."""
    subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
    of_spike = builder.select(subtracts, neuron.decay, ir.Constant(neuron.decay.type, 0.0))
    return (
        broadcast(builder, neuron.decay),
        broadcast(builder, of_spike),
        broadcast(builder, neuron.threshold),
        broadcast(builder, surrogate.a),
        broadcast(builder, surrogate.b),
    )


def _delta(
    builder: ir.IRBuilder,
    code: int,
    membrane: ir.Value,
    own: ir.Value,
    following: ir.Value,
    constants: _Constants,
) -> ir.Value:
    """dL/dv of one step: ``own`` is its dL/ds, ``following`` dL/dv of the step after it."""
    decays, of_spikes, thresholds, a, b = constants
    silent = builder.fcmp_ordered("<", membrane, thresholds)
    kept = builder.select(silent, decays, of_spikes)
    x = builder.fsub(membrane, thresholds)
    derivative = derivative_at(builder, code, x, a, b)
    return multiply_add(builder, own, derivative, builder.fmul(kept, following))


@emitted
def membrane_deltas(
    builder,
    following,
    n_following,
    weights,
    deltas,
    potentials,
    block,
    n_steps,
    neuron,
    surrogate,
    costs,
    sums,
    sums_start,
):
    """dL/dv of a block of units, and its sum over the steps.

    With ``g[t] = costs + following[t] @ weights``, for t from the last step to the first:
    ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t + 1]``, where ``k[t]`` is the decay, but 0 in a
    step with a reset to zero. The block is one of TILE_VECTORS, and TILE_STEPS steps are computed
    together.

    ``following`` are the ``Rows`` of the next layer's dL/dv, of which the first `n_following`
    columns count; none for the output, whose g is the same in every step. ``weights`` is
    [n_following, stride of the deltas] and ``costs`` is [stride]. ``deltas`` are ``Rows``
    [T, stride] that receive d = dL/dv; ``potentials`` is flat, with the same stride, and may be the
    same memory. The sums go to ``sums[sums_start + column]``.
    """
    vector = deltas.values.vector
    stride = deltas.stride
    constants = _broadcast_constants(builder, neuron, surrogate)
    tile = cgutils.alloca_once(builder, vector, constant(TILE_STEPS * max(TILE_VECTORS)))

    def cell(row: ir.Value, number: int, width: int) -> ir.Value:
        """Where dL/ds of a step of the tile lies."""
        place = builder.mul(row, constant(width))
        return builder.gep(tile, [builder.add(place, constant(number))])

    def emit_products(first_step: ir.Value, size: int, places: list[ir.Value]) -> None:
        products = [[cgutils.alloca_once(builder, vector) for _ in places] for _ in range(size)]
        for number, place in enumerate(places):
            cost = costs.load_vector(builder.add(block.column, place))
            for cells in products:
                builder.store(cost, cells[number])
        first = builder.mul(first_step, following.stride)
        first = builder.add(following.start, first)
        next_rows = [
            builder.add(first, builder.mul(following.stride, constant(row))) for row in range(size)
        ]
        with cgutils.for_range(builder, n_following) as loop:
            base = builder.add(builder.mul(loop.index, stride), block.column)
            weight_vectors = [weights.load_vector(builder.add(base, place)) for place in places]
            for next_row, cells in zip(next_rows, products, strict=True):
                delta = following.values.load(builder.add(next_row, loop.index))
                delta = broadcast(builder, delta)
                for weight, of_place in zip(weight_vectors, cells, strict=True):
                    total = multiply_add(builder, delta, weight, builder.load(of_place))
                    builder.store(total, of_place)
        for row, cells in enumerate(products):
            for number, of_place in enumerate(cells):
                into = cell(constant(row), number, len(places))
                builder.store(builder.load(of_place), into)

    def emit(width: int) -> None:
        places = [constant(LANES * k) for k in range(width)]
        later = [cgutils.alloca_once(builder, vector) for _ in places]
        totals = [cgutils.alloca_once(builder, vector) for _ in places]
        for of_place in later + totals:
            builder.store(zeros(vector), of_place)

        def emit_steps(code: int, first_step: ir.Value, size: int) -> None:
            # A loop, or this would be long: there is one for each surrogate.
            with cgutils.for_range(builder, constant(size), intp=INDEX) as loop:
                row = builder.sub(constant(size - 1), loop.index)
                down = builder.mul(builder.add(first_step, row), stride)
                down = builder.add(down, block.column)
                for k, place in enumerate(places):
                    position = builder.add(down, place)
                    membrane = potentials.load_vector(position)
                    own = builder.load(cell(row, k, width))
                    after = builder.load(later[k])
                    delta = _delta(builder, code, membrane, own, after, constants)
                    deltas.values.store_vector(delta, builder.add(deltas.start, position))
                    builder.store(delta, later[k])
                    builder.store(builder.fadd(builder.load(totals[k]), delta), totals[k])

        n_tiles = builder.udiv(n_steps, constant(TILE_STEPS))
        rest = builder.sub(n_steps, builder.mul(n_tiles, constant(TILE_STEPS)))
        for count, size in ((n_tiles, TILE_STEPS), (rest, 1)):
            end = n_steps if size == TILE_STEPS else rest
            with cgutils.for_range(builder, count) as loop:
                done = builder.mul(builder.add(loop.index, constant(1)), constant(size))
                first_step = builder.sub(end, done)
                emit_products(first_step, size, places)
                for_each_block_size(
                    builder,
                    surrogate.code,
                    list(SURROGATE_CODES.values()),
                    functools.partial(emit_steps, first_step=first_step, size=size),
                )
        first_sum = builder.add(sums_start, block.column)
        for place, total in zip(places, totals, strict=True):
            sums.store_vector(builder.load(total), builder.add(first_sum, place))

    for_each_block_size(builder, block.vectors, TILE_VECTORS, emit)
