"""Inner loops of the forward and backward pass, held in vector registers (see emit.py).

All arrays are flat and contiguous, all positions are counted in elements, and nothing is checked:
the callers in this folder own the bounds.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikejoule.foundation.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    for_each_block_size,
    memory_of_arrays,
    multiply_add,
    zeros,
)

MAX_BLOCK = 8
"""Vectors of one block: they fit sixteen registers of 256 bits, or eight of 512."""

NARROW = 2
"""Vectors up to which a layer counts as narrow."""


@intrinsic
def integrate_and_fire(
    typing_context,
    sources,
    offsets,
    parameters,
    weight_start,
    bias_start,
    stride,
    column,
    block,
    decay,
    threshold,
    n_steps,
    potentials,
    fired,
):
    """Run `block` vectors of LIF neurons over all steps of one sample (see neuron.py).

    For each step t: ``v = decay * u + bias``, then ``v += weights[source]`` for every source in
    ``sources[offsets[t] : offsets[t + 1]]``; neurons with ``v >= threshold`` fire and are reset.
    Writes v to ``potentials[t * stride + column]`` and one bit a neuron to
    ``fired[(t * stride + column) / 16]``.
    """
    signature = types.void(
        sources,
        offsets,
        parameters,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        parameters.dtype,
        parameters.dtype,
        types.int64,
        potentials,
        fired,
    )

    def codegen(context, builder, signature, arguments):
        array = memory_of_arrays(context, builder, signature, arguments)
        sources, offsets, parameters = array[:3]
        weight_start, bias_start, stride, column, block, decay, threshold, n_steps = array[3:11]
        potentials, fired = array[11:]
        vector = parameters.vector
        decays, thresholds = broadcast(builder, decay), broadcast(builder, threshold)
        weights = builder.add(weight_start, column)
        biases = builder.add(bias_start, column)

        def emit(size):
            places = [constant(LANES * k) for k in range(size)]
            membrane = [cgutils.alloca_once(builder, vector) for _ in places]
            for cell in membrane:
                builder.store(zeros(vector), cell)
            with cgutils.for_range(builder, n_steps) as step_loop:
                step = step_loop.index
                for place, cell in zip(places, membrane, strict=True):
                    bias = parameters.load_vector(builder.add(biases, place))
                    membrane_now = multiply_add(builder, builder.load(cell), decays, bias)
                    builder.store(membrane_now, cell)
                start = offsets.load(step)
                stop = offsets.load(builder.add(step, constant(1)))
                with cgutils.for_range_slice(builder, start, stop, constant(1), INDEX) as (e, _):
                    row = builder.mul(sources.load_index(e), stride)
                    row = builder.add(weights, row)
                    for place, cell in zip(places, membrane, strict=True):
                        weight = parameters.load_vector(builder.add(row, place))
                        builder.store(builder.fadd(builder.load(cell), weight), cell)
                out = builder.add(builder.mul(step, stride), column)
                words = builder.lshr(out, constant(4))
                for k, (place, cell) in enumerate(zip(places, membrane, strict=True)):
                    value = builder.load(cell)
                    potentials.store_vector(value, builder.add(out, place))
                    spikes = builder.fcmp_ordered(">=", value, thresholds)
                    word = builder.bitcast(spikes, ir.IntType(LANES))
                    fired.store(word, builder.add(words, constant(k)))
                    builder.store(builder.select(spikes, zeros(vector), value), cell)

        for_each_block_size(builder, block, range(1, MAX_BLOCK + 1), emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def accumulate_rows(
    typing_context,
    gradient,
    gradient_start,
    stride,
    column,
    block,
    active,
    firsts,
    n_active,
    steps,
    deltas,
):
    """Add the deltas of the steps at which each source fired to its row of the weight gradient.

    For each k below `n_active`: ``gradient[active[k]] += sum(deltas[steps[e]])`` over e from
    ``firsts[k]`` to ``firsts[k + 1]``, for `block` vectors from `column` on.
    """
    signature = types.void(
        gradient,
        types.int64,
        types.int64,
        types.int64,
        types.int64,
        active,
        firsts,
        types.int64,
        steps,
        deltas,
    )

    def codegen(context, builder, signature, arguments):
        array = memory_of_arrays(context, builder, signature, arguments)
        gradient, gradient_start, stride, column, block = array[:5]
        active, firsts, n_active, steps, deltas = array[5:]
        vector = gradient.vector
        base = builder.add(gradient_start, column)

        def emit(size):
            places = [constant(LANES * k) for k in range(size)]
            sums = [cgutils.alloca_once(builder, vector) for _ in places]
            with cgutils.for_range(builder, n_active) as loop:
                row = builder.mul(active.load_index(loop.index), stride)
                row = builder.add(base, row)
                for place, cell in zip(places, sums, strict=True):
                    builder.store(gradient.load_vector(builder.add(row, place)), cell)
                start = firsts.load_index(loop.index)
                stop = firsts.load_index(builder.add(loop.index, constant(1)))
                with cgutils.for_range_slice(builder, start, stop, constant(1), INDEX) as (e, _):
                    delta = builder.mul(steps.load_index(e), stride)
                    delta = builder.add(delta, column)
                    for place, cell in zip(places, sums, strict=True):
                        value = deltas.load_vector(builder.add(delta, place))
                        builder.store(builder.fadd(builder.load(cell), value), cell)
                for place, cell in zip(places, sums, strict=True):
                    gradient.store_vector(builder.load(cell), builder.add(row, place))

        for_each_block_size(builder, block, range(1, MAX_BLOCK + 1), emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def accumulate_narrow_rows(
    typing_context, gradient, gradient_start, stride, block, sources, offsets, n_rows, deltas
):
    """Add each row of deltas to the gradient rows of the sources that fired then.

    ``gradient[sources[e]] += deltas[row]`` for e from ``offsets[row]`` to ``offsets[row + 1]``.
    For rows of at most :data:`NARROW` vectors the whole gradient stays in the first cache, and
    there is nothing to gain from regrouping the events by source.
    """
    signature = types.void(
        gradient,
        types.int64,
        types.int64,
        types.int64,
        sources,
        offsets,
        types.int64,
        deltas,
    )

    def codegen(context, builder, signature, arguments):
        array = memory_of_arrays(context, builder, signature, arguments)
        gradient, gradient_start, stride, block, sources, offsets, n_rows, deltas = array

        def emit(size):
            places = [constant(LANES * k) for k in range(size)]
            with cgutils.for_range(builder, n_rows) as loop:
                row = builder.mul(loop.index, stride)
                values = [deltas.load_vector(builder.add(row, place)) for place in places]
                start = offsets.load(loop.index)
                stop = offsets.load(builder.add(loop.index, constant(1)))
                with cgutils.for_range_slice(builder, start, stop, constant(1), INDEX) as (e, _):
                    into = builder.mul(sources.load_index(e), stride)
                    into = builder.add(gradient_start, into)
                    for place, value in zip(places, values, strict=True):
                        position = builder.add(into, place)
                        total = builder.fadd(gradient.load_vector(position), value)
                        gradient.store_vector(total, position)

        for_each_block_size(builder, block, range(1, NARROW + 1), emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def lowest_set_bit(typing_context, word):
    """Index of the lowest bit that is set in a non-zero integer."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return word(word), codegen
