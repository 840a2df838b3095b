"""Inner loops of the forward and backward pass, held in vector registers (see emit.py).

All arrays are flat and contiguous, all positions are counted in elements, and nothing is checked:
the callers in this folder own the bounds.
"""

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    emitted,
    for_each_block_size,
    multiply_add,
    vector_intrinsic,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, RESETS

MAX_BLOCK = 5
"""Vectors of one block: they fit ten registers of 256 bits, or five of 512."""

NARROW = 2
"""Vectors up to which a layer counts as narrow."""


@emitted
def integrate_and_fire(
    builder, spikes, parameters, layer, block, neuron, n_steps, potentials, fired
):
    """Run a block of LIF neurons over all steps of one sample (see network/neurons/lif.py).

    For each step t: ``v = decay * u + bias``, then ``v += weights[source]`` for every source of
    row t of the spikes; neurons with ``v >= threshold`` fire and are reset, to zero or to
    ``v - threshold``. Writes v to ``potentials[t * stride + column]`` and one bit a neuron to
    ``fired[(t * stride + column) / 16]``.

    On a grid (network/quantisation.py) ``decay * u`` is rounded down to it, and u saturates after
    the reset. Both are exact for a potential of up to 24 bits.
    """
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


@emitted
def accumulate_rows(builder, gradient, start, stride, block, by_source, deltas):
    """Add the deltas of the rows in which each source fired to its row of the weight gradient.

    For each k below `n_active`: ``gradient[active[k]] += sum(deltas[steps[e]])`` over e from
    ``firsts[k]`` to ``firsts[k + 1]``, for the columns of a block. The gradient's rows begin at
    `start`, those of the deltas at 0, both `stride` apart.
    """
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


@emitted
def accumulate_narrow_rows(builder, gradient, start, stride, vectors, spikes, n_rows, deltas):
    """Add each row of deltas to the gradient rows of the sources that fired then.

    ``gradient[source] += deltas[row]`` for every source of each row of the spikes. For rows of at
    most :data:`NARROW` vectors the whole gradient stays in the first cache, and there is nothing to
    gain from regrouping the events by source.
    """

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
