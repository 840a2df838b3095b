"""Inner loops of the forward and backward pass, held in vector registers (see emit.py).

All arrays are flat and contiguous, all positions are counted in elements, and nothing is checked:
the callers in this folder own the bounds. tests/engine/twins.py has each loop in plain Python.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, RESETS
from spikejoule.foundation.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    for_each_block_size,
    multiply_add,
    named_arguments,
    vector_intrinsic,
    zeros,
)

MAX_BLOCK = 8
"""Vectors of one block: they fit sixteen registers of 256 bits, or eight of 512."""

NARROW = 2
"""Vectors up to which a layer counts as narrow."""


@intrinsic
def integrate_and_fire(
    typing_context, spikes, parameters, layer, block, neuron, n_steps, potentials, fired
):
    """Run a block of LIF neurons over all steps of one sample (see neuron.py).

    For each step t: ``v = decay * u + bias``, then ``v += weights[source]`` for every source of
    row t of the spikes; neurons with ``v >= threshold`` fire and are reset, to zero or to
    ``v - threshold``. Writes v to ``potentials[t * stride + column]`` and one bit a neuron to
    ``fired[(t * stride + column) / 16]``.

    On a grid (model/quantisation.py) ``decay * u`` is rounded down to it, and u saturates after the
    reset. Both are exact for a potential of up to 24 bits.
    """
    signature = types.void(spikes, parameters, layer, block, neuron, types.int64, potentials, fired)

    def codegen(context, builder, signature, arguments):
        spikes, parameters, layer, block, neuron, n_steps, potentials, fired = named_arguments(
            context, builder, signature, arguments
        )
        vector = parameters.vector
        decays = broadcast(builder, neuron.decay)
        thresholds = broadcast(builder, neuron.threshold)
        weights = builder.add(layer.weight_start, block.column)
        biases = builder.add(layer.bias_start, block.column)

        def after_spike(value, reset):
            if reset == RESET_BY_SUBTRACTION:
                return builder.fsub(value, thresholds)
            return zeros(vector)

        def leaked_on_grid(value):
            units, per_unit = (broadcast(builder, one) for one in (neuron.unit, neuron.per_unit))
            value = builder.fmul(value, per_unit)
            lower = vector_intrinsic(builder, "floor", builder.fmul(value, decays))
            # What is left of a product that was rounded before it was rounded down.
            rest = multiply_add(builder, value, decays, builder.fneg(lower))
            lower = builder.fadd(lower, vector_intrinsic(builder, "floor", rest))
            return builder.fmul(lower, units)

        def saturated(value):
            lowest, highest = (broadcast(builder, one) for one in (neuron.lowest, neuron.highest))
            value = vector_intrinsic(builder, "maxnum", value, lowest)
            return vector_intrinsic(builder, "minnum", value, highest)

        def emit(size, reset, is_on_grid):
            places = [constant(LANES * k) for k in range(size)]
            membrane = [cgutils.alloca_once(builder, vector) for _ in places]
            for cell in membrane:
                builder.store(zeros(vector), cell)
            with cgutils.for_range(builder, n_steps) as step_loop:
                step = step_loop.index
                for place, cell in zip(places, membrane, strict=True):
                    bias = parameters.load_vector(builder.add(biases, place))
                    kept = builder.load(cell)
                    if is_on_grid:
                        membrane_now = builder.fadd(leaked_on_grid(kept), bias)
                    else:
                        membrane_now = multiply_add(builder, kept, decays, bias)
                    builder.store(membrane_now, cell)
                start = spikes.offsets.load(step)
                stop = spikes.offsets.load(builder.add(step, constant(1)))
                with cgutils.for_range_slice(builder, start, stop, constant(1), INDEX) as (e, _):
                    row = builder.mul(spikes.sources.load_index(e), layer.stride)
                    row = builder.add(weights, row)
                    for place, cell in zip(places, membrane, strict=True):
                        weight = parameters.load_vector(builder.add(row, place))
                        builder.store(builder.fadd(builder.load(cell), weight), cell)
                out = builder.add(builder.mul(step, layer.stride), block.column)
                words = builder.lshr(out, constant(4))
                for k, (place, cell) in enumerate(zip(places, membrane, strict=True)):
                    value = builder.load(cell)
                    potentials.store_vector(value, builder.add(out, place))
                    fires = builder.fcmp_ordered(">=", value, thresholds)
                    word = builder.bitcast(fires, ir.IntType(LANES))
                    fired.store(word, builder.add(words, constant(k)))
                    value = builder.select(fires, after_spike(value, reset), value)
                    builder.store(saturated(value) if is_on_grid else value, cell)

        def emit_variant(variant):
            is_on_grid, reset = divmod(variant, len(RESETS))
            sizes = range(1, MAX_BLOCK + 1)
            for_each_block_size(
                builder, block.vectors, sizes, lambda size: emit(size, reset, is_on_grid)
            )

        variant = builder.mul(neuron.on_grid, constant(len(RESETS)))
        variant = builder.add(variant, neuron.reset)
        for_each_block_size(builder, variant, range(2 * len(RESETS)), emit_variant)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def accumulate_rows(typing_context, gradient, start, stride, block, by_source, deltas):
    """Add the deltas of the rows in which each source fired to its row of the weight gradient.

    For each k below `n_active`: ``gradient[active[k]] += sum(deltas[steps[e]])`` over e from
    ``firsts[k]`` to ``firsts[k + 1]``, for the columns of a block. The gradient's rows begin at
    `start`, those of the deltas at 0, both `stride` apart.
    """
    signature = types.void(gradient, types.int64, types.int64, block, by_source, deltas)

    def codegen(context, builder, signature, arguments):
        gradient, start, stride, block, by_source, deltas = named_arguments(
            context, builder, signature, arguments
        )
        vector = gradient.vector
        base = builder.add(start, block.column)

        def emit(size):
            places = [constant(LANES * k) for k in range(size)]
            sums = [cgutils.alloca_once(builder, vector) for _ in places]
            with cgutils.for_range(builder, by_source.n_active) as loop:
                row = builder.mul(by_source.active.load_index(loop.index), stride)
                row = builder.add(base, row)
                for place, cell in zip(places, sums, strict=True):
                    builder.store(gradient.load_vector(builder.add(row, place)), cell)
                begin = by_source.firsts.load_index(loop.index)
                stop = by_source.firsts.load_index(builder.add(loop.index, constant(1)))
                with cgutils.for_range_slice(builder, begin, stop, constant(1), INDEX) as (e, _):
                    delta = builder.mul(by_source.steps.load_index(e), stride)
                    delta = builder.add(delta, block.column)
                    for place, cell in zip(places, sums, strict=True):
                        value = deltas.load_vector(builder.add(delta, place))
                        builder.store(builder.fadd(builder.load(cell), value), cell)
                for place, cell in zip(places, sums, strict=True):
                    gradient.store_vector(builder.load(cell), builder.add(row, place))

        for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def accumulate_narrow_rows(
    typing_context, gradient, start, stride, vectors, spikes, n_rows, deltas
):
    """Add each row of deltas to the gradient rows of the sources that fired then.

    ``gradient[source] += deltas[row]`` for every source of each row of the spikes. For rows of at
    most :data:`NARROW` vectors the whole gradient stays in the first cache, and there is nothing to
    gain from regrouping the events by source.
    """
    signature = types.void(
        gradient, types.int64, types.int64, types.int64, spikes, types.int64, deltas
    )

    def codegen(context, builder, signature, arguments):
        gradient, start, stride, vectors, spikes, n_rows, deltas = named_arguments(
            context, builder, signature, arguments
        )

        def emit(size):
            places = [constant(LANES * k) for k in range(size)]
            with cgutils.for_range(builder, n_rows) as loop:
                row = builder.mul(loop.index, stride)
                values = [deltas.load_vector(builder.add(row, place)) for place in places]
                begin = spikes.offsets.load(loop.index)
                stop = spikes.offsets.load(builder.add(loop.index, constant(1)))
                with cgutils.for_range_slice(builder, begin, stop, constant(1), INDEX) as (e, _):
                    into = builder.mul(spikes.sources.load_index(e), stride)
                    into = builder.add(start, into)
                    for place, value in zip(places, values, strict=True):
                        position = builder.add(into, place)
                        total = builder.fadd(gradient.load_vector(position), value)
                        gradient.store_vector(total, position)

        for_each_block_size(builder, vectors, range(1, NARROW + 1), emit)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def lowest_set_bit(typing_context, word):
    """Index of the lowest bit that is set in an integer; its width where none is."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return word(word), codegen


@intrinsic
def population_count(typing_context, word):
    """How many bits are set in an integer."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), codegen


WORDS_AT_ONCE = 4
"""Words of fired neurons that are searched for set bits together."""

USUAL_SPIKES = 4
"""Spikes of so many words that are written without asking whether there are as many."""


def list_bit_by_bit(fired, first_word, n_words, sources, place):
    """What :func:`list_fired` does, for a processor that cannot pack a vector."""
    place = np.uint64(place)
    for word in range(0, n_words, WORDS_AT_ONCE):
        bits = np.uint64(0)
        for k in range(min(WORDS_AT_ONCE, n_words - word)):
            bits |= np.uint64(fired[first_word + word + k]) << np.uint64(LANES * k)
        first, past = word * LANES, place + population_count(bits)
        # Without a branch up to a few: how many fire is what a processor cannot predict.
        for k in range(USUAL_SPIKES):
            sources[place + np.uint64(k)] = first + lowest_set_bit(bits)
            bits &= bits - np.uint64(1)
        place += np.uint64(USUAL_SPIKES)
        while bits != 0:
            sources[place] = first + lowest_set_bit(bits)
            bits &= bits - np.uint64(1)
            place += np.uint64(1)
        place = past
    return np.int64(place)


@intrinsic
def list_fired(typing_context, fired, first_word, n_words, sources, place):
    """Write the numbers of the bits that are set in some words, ascending; return where they end.

    ``sources[place]`` is the first, and up to SPARE_SPIKES places behind the last are overwritten.
    Where the processor can pack a vector by a mask (AVX-512 VBMI2), 32 bits are listed at once.
    """
    number = types.int64
    signature = number(fired, number, number, sources, number)

    def codegen(context, builder, signature, arguments):
        fired, first_word, n_words, sources, place = named_arguments(
            context, builder, signature, arguments
        )
        features = context.codegen().magic_tuple()[2]
        if "+avx512vbmi2" not in features or sources.element != ir.IntType(16):
            return context.compile_internal(builder, list_bit_by_bit, signature, arguments)
        count = cgutils.alloca_once_value(builder, place)

        def emit(word, width):
            address = builder.gep(fired.pointer, [builder.add(first_word, word)])
            kind = ir.IntType(width).as_pointer()
            mask = builder.load(builder.bitcast(address, kind), align=2)
            units = ir.VectorType(sources.element, width)
            lanes = ir.VectorType(ir.IntType(1), width)
            first = builder.trunc(builder.mul(word, constant(LANES)), sources.element)
            numbers = builder.add(
                broadcast(builder, first, width), ir.Constant(units, list(range(width)))
            )
            pack = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(units, [units, units, lanes]),
                f"llvm.x86.avx512.mask.compress.v{width}i16",
            )
            nothing = ir.Constant(units, ir.Undefined)
            packed = builder.call(pack, [numbers, nothing, builder.bitcast(mask, lanes)])
            into = builder.gep(sources.pointer, [builder.load(count)])
            builder.store(packed, builder.bitcast(into, units.as_pointer()), align=2)
            found = builder.zext(builder.ctpop(mask), INDEX)
            builder.store(builder.add(builder.load(count), found), count)

        with cgutils.for_range(builder, builder.lshr(n_words, constant(1)), intp=INDEX) as loop:
            emit(builder.shl(loop.index, constant(1)), 2 * LANES)
        odd = builder.trunc(n_words, ir.IntType(1))
        with builder.if_then(odd):
            emit(builder.sub(n_words, constant(1)), LANES)
        return builder.load(count)

    return signature, codegen
