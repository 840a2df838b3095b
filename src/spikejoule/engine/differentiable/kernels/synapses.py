"""The inner loops of synapses that the engine's own lack, in vector registers.

Compiling/emit.py says how code is emitted; nothing is checked.
"""

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    Registers,
    broadcast,
    constant,
    each_below,
    each_of,
    emitted,
    for_each_block_size,
    prefetch,
)
from spikejoule.engine.kernels.vector import MAX_BLOCK


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
        block: the columns.
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

    sizes = range(1, MAX_BLOCK + 1)
    for_each_block_size(builder, block.vectors, sizes, emit)


@emitted
def mark_spikes(builder, values, first, following, n_vectors, marked) -> bool:
    """Set one bit of `marked` for each of 16 `n_vectors` values that is not 0.

    The values begin at ``values[first]``. Those from ``values[following]`` on are read
    next: fetched now, they are in the cache then.

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
        prefetch(builder, values, following + number * LANES)
        fires = differ(vector, zero)
        marked.store(builder.bitcast(fires, ir.IntType(LANES)), number)
        wrong = builder.and_(fires, differ(vector, one))
        builder.store(builder.or_(builder.load(others), wrong), others)
    word = builder.bitcast(builder.load(others), ir.IntType(LANES))
    is_wrong: bool = builder.icmp_unsigned("!=", word, constant(0, LANES))
    return is_wrong
