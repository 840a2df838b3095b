"""The inner loops of synapses that the engine's own lack, in vector registers.

Compiling/emit.py says how code is emitted; nothing is checked.
"""

from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    Registers,
    broadcast,
    constant,
    each_below,
    each_between,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
    prefetch,
    zeros,
)
from spikejoule.engine.kernels.patches import row_of_three
from spikejoule.engine.kernels.structures import Block
from spikejoule.engine.kernels.vector import MAX_BLOCK, WIDE_BLOCK
from spikejoule.engine.learning.kernels.patches import PlaceTaps


@emitted
def add_weight_rows(builder, spikes, n_steps, weights, biases, block, inputs):
    """Compute the inputs of a block of fully connected neurons in all steps.

    ``inputs[t] = biases + sum of weights[source]`` over the spikes of step t.

    Args:
        builder: receives the instructions.
        spikes: ``Spikes`` with T rows.
        n_steps: T.
        weights: ``Rows``, one per source.
        biases: ``Row`` of the same flat array.
        block: the columns, at most WIDE_BLOCK vectors.
        inputs: ``Rows``.
    """

    def emit(size):
        sums = Registers(builder, inputs.values.vector, size)
        with each_below(builder, n_steps) as step:
            sums.load(biases.values, biases.start + block.column)
            with each_of(builder, spikes.offsets, step) as event:
                source = spikes.sources.load_index(event)
                row = weights.start + source * weights.stride
                sums.add(weights.values, row + block.column)
            place = inputs.start + step * inputs.stride
            sums.store(inputs.values, place + block.column)

    sizes = range(1, WIDE_BLOCK + 1)
    for_each_block_size(builder, block.vectors, sizes, emit)


@emitted
def repeat_row(builder, row, vectors, into, times):
    """Write a row of whole vectors `times` times, one behind another.

    Args:
        builder: receives the instructions.
        row: ``Row``.
        vectors: how many it has.
        into: ``Row`` that receives.
        times: how often.
    """
    with each_below(builder, vectors) as number:
        column = number * LANES
        value = row.values.load_vector(row.start + column)
        with each_below(builder, times) as copy:
            place = into.start + copy * vectors * LANES + column
            into.values.store_vector(value, place)


PRODUCTS_AT_ONCE = 25
"""Sums of :func:`set_products` in registers, of 32 that some processors have."""

MOST_STEPS = 10
"""Time steps of :func:`set_products` that share a load of each weight."""


class PlaceProducts(NamedTuple):
    """What a place sends back, see :func:`set_products`.

    Attributes:
        taps: of the place, ``PlaceTaps``.
        block: the channels, at most MAX_BLOCK vectors.
        width: channels of the place, padded.
        n_steps: T.
    """

    taps: PlaceTaps
    block: Block
    width: int
    n_steps: int


@emitted
def set_products(builder, following, products, into):
    """Compute dL/ds of a block of channels at a place, from dL/dx of what it reaches.

    ``into[t] = sum of following[t, target] @ weights[tap]`` over the place's taps.

    Args:
        builder: receives the instructions.
        following: dL/dx of the next layer, ``Rows``.
        products: ``PlaceProducts``.
        into: ``Rows`` that receive, one per step, with all channels of the place.
    """
    taps = products.taps
    block = products.block

    def emit_steps(size, first_step, n_vectors):
        vector = into.values.vector
        sums = [Registers(builder, vector, n_vectors) for _ in range(size)]
        for step_sums in sums:
            step_sums.fill(zeros(vector))
        start = following.start + following.stride * first_step
        with each_between(builder, taps.first, taps.end) as tap:
            target, _, matrix = row_of_three(taps.taps, tap)
            with each_below(builder, taps.reach) as number:
                first_weight = matrix + number * products.width + block.column
                weights = load_row(taps.weights, first_weight, n_vectors)
                source = start + target + number
                for k, step_sums in enumerate(sums):
                    delta = following.values.load(source + following.stride * k)
                    step_sums.add_products(broadcast(builder, delta), weights)
        for k, step_sums in enumerate(sums):
            place = into.start + into.stride * (first_step + k) + block.column
            step_sums.store(into.values, place)

    def emit(n_vectors):
        most = min(MOST_STEPS, PRODUCTS_AT_ONCE // n_vectors)
        n_tiles = products.n_steps // most
        with each_below(builder, n_tiles) as number:
            emit_steps(most, number * most, n_vectors)
        with each_between(builder, n_tiles * most, products.n_steps) as step:
            emit_steps(1, step, n_vectors)

    for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)


@emitted
def mark_spikes(builder, values, first, n_vectors, marked, word) -> bool:
    """Set one bit for each of 16 `n_vectors` values that is not 0.

    The values begin at ``values[first]``, their bits at ``marked[word]``. As many
    values behind them are read next: fetched now, they are in the cache then.

    Returns:
        whether any value is neither 0 nor 1.
    """
    element = values.element
    is_integer = isinstance(element, ir.IntType)
    one = broadcast(builder, ir.Constant(element, 1))
    zero = broadcast(builder, ir.Constant(element, 0))

    def differ(vector, other):
        if is_integer:
            return builder.icmp_unsigned("!=", vector, other)
        # Unordered: "not a number" differs from both.
        return builder.fcmp_unordered("!=", vector, other)

    flags = ir.VectorType(ir.IntType(1), LANES)
    others = cgutils.alloca_once(builder, flags)
    builder.store(ir.Constant(flags, [0] * LANES), others)
    with each_below(builder, n_vectors) as number:
        vector = values.load_vector(first + number * LANES)
        prefetch(builder, values, first + (n_vectors + number) * LANES)
        fires = differ(vector, zero)
        marked.store(builder.bitcast(fires, ir.IntType(LANES)), word + number)
        wrong = builder.and_(fires, differ(vector, one))
        builder.store(builder.or_(builder.load(others), wrong), others)
    word = builder.bitcast(builder.load(others), ir.IntType(LANES))
    is_wrong: bool = builder.icmp_unsigned("!=", word, constant(0, LANES))
    return is_wrong
