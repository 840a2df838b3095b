"""Emitted backward pass of one layer through time, which keeps sums in registers.

The surrogate derivatives are in spikejoule/network/surrogates.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    each_of,
    emitted,
    for_each_block_size,
    load_row,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION
from spikejoule.network.surrogates import SURROGATES

SURROGATE_CODES = {name: code for code, name in enumerate(SURROGATES)}
"""The number of each surrogate in kernels: its position in the alphabet."""

_BY_CODE = tuple(SURROGATES.values())


def derivative_at(
    builder: ir.IRBuilder, code: int, x: ir.Value, a: ir.Value, b: ir.Value
) -> ir.Value:
    """Emit the surrogate derivative at x = v - threshold."""
    return _BY_CODE[code].emit(Lanes(builder, x.type), x, a, b)


TILE_STEPS = 5
"""Steps that are multiplied together, from one load of the next layer's weights."""

TILE_VECTORS = (5, 2, 1)
"""Vectors that are computed together, the widest first. There are few widths because
each is compiled for every surrogate, for exact and for sampled deltas."""


class _Constants(NamedTuple):
    """Constants of a layer's neurons, the same number in all 16 lanes.

    Attributes:
        decay: dv[t+1]/dv[t] without a spike.
        after_spike: dv[t+1]/dv[t] with a spike: 0 for a reset to zero.
        threshold: of the potential.
        a, b: constants of the surrogate.
    """

    decay: ir.Value
    after_spike: ir.Value
    threshold: ir.Value
    a: ir.Value
    b: ir.Value


def _constants(builder: ir.IRBuilder, layer: Any) -> _Constants:
    neuron = layer.neuron
    subtracts = builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))
    zero = ir.Constant(neuron.decay.type, 0.0)
    after_spike = builder.select(subtracts, neuron.decay, zero)
    return _Constants(
        decay=broadcast(builder, neuron.decay),
        after_spike=broadcast(builder, after_spike),
        threshold=broadcast(builder, neuron.threshold),
        a=broadcast(builder, layer.surrogate.a),
        b=broadcast(builder, layer.surrogate.b),
    )


class _BlockEmitter:
    """Emits the backward pass of a block of units.

    Args:
        builder: receives the instructions.
        layer: ``LayerBackward`` with its arrays as ``EmittedArray``.
        column: first column of the block.
        tile: memory for dL/ds of TILE_STEPS steps of the widest block.
    """

    def __init__(
        self, builder: ir.IRBuilder, layer: Any, column: Index, tile: ir.Value
    ) -> None:
        self._builder = builder
        self._layer = layer
        self._column = column
        self._tile = tile
        self._vector = layer.deltas.values.vector
        self._constants = _constants(builder, layer)

    def emit(self, width: int) -> None:
        """Emit the backward pass of a block of `width` vectors."""

        def emit_loops(sampled: int) -> None:
            emit_slopes = self._emit_kept if sampled else self._emit_products
            self._emit_loops(emit_slopes, width)

        # Two copies of the loops: with the choice inside them, the backward pass takes
        # 2 % longer.
        for_each_block_size(self._builder, self._layer.sampled, (0, 1), emit_loops)

    def _emit_loops(
        self, emit_slopes: Callable[[Index, int, int], None], width: int
    ) -> None:
        """Emit all steps, from the last to the first.

        Args:
            emit_slopes: writes dL/ds of some steps to the tile, from the first step,
                the number of steps, and `width`.
            width: vectors of the block.
        """
        layer = self._layer
        builder = self._builder
        # dL/dv of the step after the current one, and its sum over the steps.
        later = Registers(builder, self._vector, width)
        totals = Registers(builder, self._vector, width)
        later.fill(zeros(self._vector))
        totals.fill(zeros(self._vector))
        n_tiles = layer.n_steps // TILE_STEPS
        rest = layer.n_steps - n_tiles * TILE_STEPS
        codes = list(SURROGATE_CODES.values())
        # Whole tiles from the last step down, then the remaining steps one by one.
        for count, size, end in ((n_tiles, TILE_STEPS, layer.n_steps), (rest, 1, rest)):
            with each_below(builder, count) as number:
                first_step = end - (number + 1) * size
                emit_slopes(first_step, size, width)

                def emit_steps(
                    code: int, first_step: Index = first_step, size: int = size
                ) -> None:
                    self._emit_steps(code, first_step, size, later, totals)

                for_each_block_size(builder, layer.surrogate.code, codes, emit_steps)
        totals.store(layer.sums, self._column)

    def _cell(self, row: Index, number: int, width: int) -> ir.Value:
        """Return the address of dL/ds of one step and vector in the tile."""
        return self._builder.gep(self._tile, [row * width + number])

    def _emit_kept(self, first_step: Index, size: int, width: int) -> None:
        """Write dL/ds: the weights of the kept deltas, times their amplitudes."""
        builder = self._builder
        layer = self._layer
        with each_below(builder, constant(size)) as row:
            slopes = Registers(builder, self._vector, width)
            slopes.load(layer.costs, self._column)
            with each_of(builder, layer.kept.offsets, first_step + row) as event:
                unit = layer.kept.sources.load_index(event)
                start = unit * layer.deltas.stride + self._column
                amplitude = broadcast(builder, layer.amplitudes.load(event))
                weights = load_row(layer.next_weights, start, width)
                slopes.add_products(amplitude, weights)
            for number, slope in enumerate(slopes.cells):
                builder.store(builder.load(slope), self._cell(row, number, width))

    def _emit_products(self, first_step: Index, size: int, width: int) -> None:
        """Write dL/ds: all deltas of the next layer times its weights, in registers."""
        # For TILE_STEPS steps, the sums and weights of 5 vectors fill 30 of the 32
        # registers of AVX-512, those of one vector 12 of the 16 of AVX2.
        together = width if self._layer.next_weights.has_avx512 else 1
        for first in range(0, width, together):
            vectors = range(first, first + together)
            self._emit_product_block(first_step, size, width, vectors)

    def _emit_product_block(
        self, first_step: Index, size: int, width: int, vectors: range
    ) -> None:
        """Multiply for some of the tile's vectors."""
        builder = self._builder
        layer = self._layer
        following = layer.next_deltas
        column = self._column + LANES * vectors.start
        products = [Registers(builder, self._vector, len(vectors)) for _ in range(size)]
        for step_products in products:
            step_products.load(layer.costs, column)
        first = following.start + first_step * following.stride
        next_rows = [first + following.stride * row for row in range(size)]
        with each_below(builder, layer.n_next) as unit:
            start = unit * layer.deltas.stride + column
            weights = load_row(layer.next_weights, start, len(vectors))
            for next_row, step_products in zip(next_rows, products, strict=True):
                delta = following.values.load(next_row + unit)
                step_products.add_products(broadcast(builder, delta), weights)
        for row, step_products in enumerate(products):
            for number, product in zip(vectors, step_products.cells, strict=True):
                cell = self._cell(Index(builder, constant(row)), number, width)
                builder.store(builder.load(product), cell)

    def _emit_steps(
        self,
        code: int,
        first_step: Index,
        size: int,
        later: Registers,
        totals: Registers,
    ) -> None:
        """Turn dL/ds in the tile into dL/dv, step by step, for one surrogate."""
        builder = self._builder
        layer = self._layer
        width = len(later.cells)
        # A loop of the kernel. Unrolled, this code would be five times as long, and
        # there is a copy of it for each surrogate.
        with each_below(builder, constant(size)) as number:
            row = Index(builder, constant(size - 1)) - number
            step_start = (first_step + row) * layer.deltas.stride + self._column
            cells = zip(later.cells, totals.cells, strict=True)
            for k, (later_cell, total) in enumerate(cells):
                position = step_start + LANES * k
                # Read before the delta is written, which may take its place.
                membrane = layer.potentials.load_vector(position)
                by_spike = builder.load(self._cell(row, k, width))
                after = builder.load(later_cell)
                delta = self._delta(code, membrane, by_spike, after)
                layer.deltas.values.store_vector(delta, layer.deltas.start + position)
                builder.store(delta, later_cell)
                builder.store(builder.fadd(builder.load(total), delta), total)

    def _delta(
        self, code: int, membrane: ir.Value, by_spike: ir.Value, later: ir.Value
    ) -> ir.Value:
        """Emit dL/dv of one step from its dL/ds and from dL/dv of the step after."""
        builder = self._builder
        decay, after_spike, threshold, a, b = self._constants
        silent = builder.fcmp_ordered("<", membrane, threshold)
        kept = builder.select(silent, decay, after_spike)
        x = builder.fsub(membrane, threshold)
        derivative = derivative_at(builder, code, x, a, b)
        return multiply_add(builder, by_spike, derivative, builder.fmul(kept, later))


@emitted
def membrane_deltas(builder, layer, block):
    """Compute dL/dv of a block of units, and its sum over the steps.

    With ``g[t] = costs + next_deltas[t] @ next_weights``, for t from the last step to
    the first: ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t + 1]``, where ``k[t]``
    is the decay, but 0 in a step with a reset to zero. The block is one of
    TILE_VECTORS. TILE_STEPS steps of g are computed together, so that a row of weights
    is loaded once for five steps; g then goes through time without leaving the L1
    cache.
    """
    tile_size = constant(TILE_STEPS * max(TILE_VECTORS))
    tile = cgutils.alloca_once(builder, layer.deltas.values.vector, tile_size)
    emitter = _BlockEmitter(builder, layer, block.column, tile)
    for_each_block_size(builder, block.vectors, TILE_VECTORS, emitter.emit)
