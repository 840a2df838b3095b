"""The inner loops of chains with convolution, in vector registers.

A spike adds a patch of weights: one row of weights for every output position that its
kernel window covers. The row holds the weights of all output channels at that position,
and the channels' membrane potentials are contiguous as well, so a patch is a few
additions of rows. A fully connected layer is the special case of one output position.

The words for it, here and in chain.py:

    position  (row, column) of a plane, with all its channels
    place     what the taps of a unit depend on: its position, or its pooling window
    tap       one (output position, kernel position) pair that a place reaches

All arrays are flat and contiguous, all offsets are counted in elements, and nothing is
checked: the callers in this folder guarantee the bounds. The code is emitted for the
reasons in compiling/emit.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from spikejoule.compiling.emit import (
    LANES,
    EmittedArray,
    Index,
    broadcast,
    constant,
    each_below,
    each_of,
    emitted,
    for_each_block_size,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, Array, Real

SHORT_ROWS = (1, 2)
"""Rows of so many vectors are added without a loop."""


class Row(NamedTuple):
    """One row of a flat array.

    Attributes:
        values: real, flat.
        start: its first element.
    """

    values: Array
    start: int


class Patches(NamedTuple):
    """The patches of one connection: which weights a spike adds, and where.

    Attributes:
        sources: for each sending unit its place, its first weight, and the shift of its
            group within a position, int32, flat [N * 3].
        taps_of: the first tap of each place, int32 [Q + 1].
        taps: for each tap the offset of its target, of its weights, and of its
            transposed weights, int32, flat [A * 3].
        first_source: row of the connection's first unit in `sources`.
        vectors: vectors of weights per tap.
        factor: factor on the weights, real.
    """

    sources: Array
    taps_of: Array
    taps: Array
    first_source: int
    vectors: int
    factor: Real


def row_of_three(table: EmittedArray, row: Index) -> list[Index]:
    """Load the three integers of a row of a flat table."""
    return [table.load_index(row * 3 + k) for k in range(3)]


def emit_patches(
    builder: ir.IRBuilder,
    spikes: Any,
    step: Index,
    patches: Any,
    add: Callable[[Index, Index], None],
) -> None:
    """Emit ``add(target, weight)`` for each vector of each tap of each spike in a step.

    `target` is the offset in the row of potentials, `weight` that in the weights.
    """

    def emit_row(size: int, target: Index, weight: Index) -> None:
        for k in range(size):
            add(target + LANES * k, weight + LANES * k)
        if size == 0:
            with each_below(builder, patches.vectors) as number:
                column = number * LANES
                add(target + column, weight + column)

    def emit_spikes(size: int) -> None:
        with each_of(builder, spikes.offsets, step) as event:
            unit = patches.first_source + spikes.sources.load_index(event)
            place, first_weight, shift = row_of_three(patches.sources, unit)
            with each_of(builder, patches.taps_of, place) as tap:
                target, weight, _ = row_of_three(patches.taps, tap)
                emit_row(size, target + shift, first_weight + weight)

    # One copy of the loops for rows of one vector, one for two, and one (size 0) with a
    # loop over the vectors: rows are mostly short, and a loop would cost more than its
    # additions.
    is_short = builder.icmp_signed("<=", patches.vectors, constant(SHORT_ROWS[-1]))
    size = builder.select(is_short, patches.vectors, constant(0))
    for_each_block_size(builder, size, (*SHORT_ROWS, 0), emit_spikes)


@emitted
def add_patches(builder, spikes, step, patches, weights, potentials):
    """Add the weights of a step's spikes to the potentials that they reach.

    For every tap of every spike, with ``potentials`` a :class:`Row`:
    ``potentials[target] += factor * weights``.
    """
    factors = broadcast(builder, patches.factor)

    def add(target: Index, weight: Index) -> None:
        place = potentials.start + target
        before = potentials.values.load_vector(place)
        after = multiply_add(builder, factors, weights.load_vector(weight), before)
        potentials.values.store_vector(after, place)

    emit_patches(builder, spikes, step, patches, add)


def subtracts(builder: ir.IRBuilder, neuron: Any) -> ir.Value:
    """Whether a spike lowers the potential by the threshold, rather than to zero."""
    return builder.icmp_signed("==", neuron.reset, constant(RESET_BY_SUBTRACTION))


def after_spike(
    builder: ir.IRBuilder, neuron: Any, value: ir.Value, threshold: ir.Value
) -> ir.Value:
    """The potential that the reset leaves in neurons that fired."""
    lowered = builder.fsub(value, threshold)
    return builder.select(subtracts(builder, neuron), lowered, zeros(value.type))


@emitted
def fire_and_leak(builder, neuron, biases, potentials, fired):
    """Fire, reset and leak one step of a population.

    Row 0 of `potentials`, a ``Rows``, holds v of this step. Row 1 receives
    ``decay * u + bias``, where u is v after the reset: the next step starts from it.
    `fired` receives one bit per neuron.
    """
    decays = broadcast(builder, neuron.decay)
    thresholds = broadcast(builder, neuron.threshold)
    with each_below(builder, potentials.stride // LANES) as number:
        column = number * LANES
        place = potentials.start + column
        value = potentials.values.load_vector(place)
        fires = builder.fcmp_ordered(">=", value, thresholds)
        # Sixteen booleans are sixteen bits: the comparison is stored as one word.
        fired.store(builder.bitcast(fires, ir.IntType(LANES)), number)
        reset = after_spike(builder, neuron, value, thresholds)
        left = builder.select(fires, reset, value)
        left = multiply_add(builder, left, decays, biases.load_vector(column))
        potentials.values.store_vector(left, place + potentials.stride)
