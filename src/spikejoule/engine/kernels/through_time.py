"""The membrane potential's gradient from the last step to the first, in vector
registers.

The surrogate derivatives stand in spikejoule/network/surrogates.
"""

from functools import partial

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    Index,
    Lanes,
    Registers,
    broadcast,
    constant,
    each_below,
    emitted,
    for_each_block_size,
    load_row,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import (
    RESET_BY_SUBTRACTION,
    NeuronConstants,
    Surrogate,
)
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
"""Vectors that are computed together, the widest first: a tile's sums and weights fill
30 of 32 registers. Few widths, since each is compiled for every surrogate."""


_Constants = tuple[ir.Value, ir.Value, ir.Value, ir.Value, ir.Value]


def _broadcast_constants(
    builder: ir.IRBuilder, neuron: NeuronConstants, surrogate: Surrogate
) -> _Constants:
    """Vectors of dv[t+1]/dv[t] without and with a spike, the threshold, the surrogate's
    a and b.
    """
    subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
    of_spike = builder.select(
        subtracts, neuron.decay, ir.Constant(neuron.decay.type, 0.0)
    )
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
    """dL/dv of one step: ``own`` is its dL/ds, ``following`` dL/dv of the step after
    it.
    """
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

    With ``g[t] = costs + following[t] @ weights``, for t from the last step to the
    first: ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t + 1]``, where ``k[t]`` is
    the decay, but 0 in a step with a reset to zero. The block is one of TILE_VECTORS,
    and TILE_STEPS steps are computed together.

    ``following`` are the ``Rows`` of the next layer's dL/dv, of which the first
    `n_following` columns count; none for the output, whose g is the same in every step.
    ``weights`` is [n_following, stride of the deltas] and ``costs`` is [stride].
    ``deltas`` are ``Rows`` [T, stride] that receive d = dL/dv; ``potentials`` is flat,
    with the same stride, and may be the same memory. The sums go to
    ``sums[sums_start + column]``.
    """
    vector = deltas.values.vector
    stride = deltas.stride
    constants = _broadcast_constants(builder, neuron, surrogate)
    tile = cgutils.alloca_once(
        builder, vector, constant(TILE_STEPS * max(TILE_VECTORS))
    )

    def cell(row: Index, number: int, width: int) -> ir.Value:
        """Where dL/ds of a step of the tile lies."""
        return builder.gep(tile, [row * width + number])

    def emit_products(first_step: Index, size: int, width: int) -> None:
        products = [Registers(builder, vector, width) for _ in range(size)]
        for of_step in products:
            of_step.load(costs, block.column)
        first = following.start + first_step * following.stride
        next_rows = [first + following.stride * row for row in range(size)]
        with each_below(builder, n_following) as unit:
            of_unit = load_row(weights, unit * stride + block.column, width)
            for next_row, of_step in zip(next_rows, products, strict=True):
                delta = following.values.load(next_row + unit)
                of_step.add_products(broadcast(builder, delta), of_unit)
        for row, of_step in enumerate(products):
            for number, product in enumerate(of_step.cells):
                into = cell(Index(builder, constant(row)), number, width)
                builder.store(builder.load(product), into)

    def emit(width: int) -> None:
        later = Registers(builder, vector, width)
        totals = Registers(builder, vector, width)
        later.fill(zeros(vector))
        totals.fill(zeros(vector))

        def emit_steps(code: int, first_step: Index, size: int) -> None:
            # A loop, or this would be long: there is one for each surrogate.
            with each_below(builder, constant(size)) as number:
                row = Index(builder, constant(size - 1)) - number
                down = (first_step + row) * stride + block.column
                for k, (of_later, total) in enumerate(
                    zip(later.cells, totals.cells, strict=True)
                ):
                    position = down + LANES * k
                    membrane = potentials.load_vector(position)
                    own = builder.load(cell(row, k, width))
                    after = builder.load(of_later)
                    delta = _delta(builder, code, membrane, own, after, constants)
                    deltas.values.store_vector(delta, deltas.start + position)
                    builder.store(delta, of_later)
                    builder.store(builder.fadd(builder.load(total), delta), total)

        n_tiles = n_steps // TILE_STEPS
        rest = n_steps - n_tiles * TILE_STEPS
        codes = list(SURROGATE_CODES.values())
        for count, size, end in ((n_tiles, TILE_STEPS, n_steps), (rest, 1, rest)):
            with each_below(builder, count) as number:
                first_step = end - (number + 1) * size
                emit_products(first_step, size, width)
                steps = partial(emit_steps, first_step=first_step, size=size)
                for_each_block_size(builder, surrogate.code, codes, steps)
        totals.store(sums, sums_start + block.column)

    for_each_block_size(builder, block.vectors, TILE_VECTORS, emit)
