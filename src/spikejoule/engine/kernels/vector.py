"""Inner loops of the forward and backward pass, held in vector registers (see emit.py).

All arrays are flat and contiguous, all positions are counted in elements, and nothing
is checked: the callers in this folder own the bounds.
"""

from llvmlite import ir

from spikejoule.compiling.emit import (
    LANES,
    Registers,
    broadcast,
    each_below,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
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
    """Run a block of LIF neurons over all steps of one sample (see
    network/neurons/lif.py).

    For each step t: ``v = decay * u + bias``, then ``v += weights[source]`` for every
    source of row t of the spikes; neurons with ``v >= threshold`` fire and are reset,
    to zero or to ``v - threshold``. Writes v to ``potentials[t * stride + column]`` and
    one bit a neuron to ``fired[(t * stride + column) / 16]``.

    On a grid (network/quantisation.py) ``decay * u`` is rounded down to it, and u
    saturates after the reset. Both are exact for a potential of up to 24 bits.
    """
    vector = parameters.vector
    decays = broadcast(builder, neuron.decay)
    thresholds = broadcast(builder, neuron.threshold)
    weights = layer.weight_start + block.column
    biases = layer.bias_start + block.column

    def after_spike(value, reset):
        if reset == RESET_BY_SUBTRACTION:
            return builder.fsub(value, thresholds)
        return zeros(vector)

    def leaked_on_grid(value):
        value = builder.fmul(value, broadcast(builder, neuron.per_unit))
        lower = vector_intrinsic(builder, "floor", builder.fmul(value, decays))
        # What is left of a product that was rounded before it was rounded down.
        rest = multiply_add(builder, value, decays, builder.fneg(lower))
        lower = builder.fadd(lower, vector_intrinsic(builder, "floor", rest))
        return builder.fmul(lower, broadcast(builder, neuron.unit))

    def saturated(value):
        value = vector_intrinsic(
            builder, "maxnum", value, broadcast(builder, neuron.lowest)
        )
        return vector_intrinsic(
            builder, "minnum", value, broadcast(builder, neuron.highest)
        )

    def emit(size, reset, is_on_grid):
        membrane = Registers(builder, vector, size)
        membrane.fill(zeros(vector))
        with each_below(builder, n_steps) as step:
            for column, cell in membrane.by_column():
                bias = parameters.load_vector(biases + column)
                kept = builder.load(cell)
                if is_on_grid:
                    membrane_now = builder.fadd(leaked_on_grid(kept), bias)
                else:
                    membrane_now = multiply_add(builder, kept, decays, bias)
                builder.store(membrane_now, cell)
            with each_of(builder, spikes.offsets, step) as event:
                source = spikes.sources.load_index(event)
                membrane.add(parameters, weights + source * layer.stride)
            out = step * layer.stride + block.column
            words = out // LANES
            for column, cell in membrane.by_column():
                value = builder.load(cell)
                potentials.store_vector(value, out + column)
                fires = builder.fcmp_ordered(">=", value, thresholds)
                fired.store(
                    builder.bitcast(fires, ir.IntType(LANES)), words + column // LANES
                )
                value = builder.select(fires, after_spike(value, reset), value)
                builder.store(saturated(value) if is_on_grid else value, cell)

    def emit_variant(variant):
        is_on_grid, reset = divmod(variant, len(RESETS))
        sizes = range(1, MAX_BLOCK + 1)
        for_each_block_size(
            builder, block.vectors, sizes, lambda size: emit(size, reset, is_on_grid)
        )

    variant = neuron.on_grid * len(RESETS) + neuron.reset
    for_each_block_size(builder, variant, range(2 * len(RESETS)), emit_variant)


@emitted
def accumulate_rows(builder, gradient, start, stride, block, by_source, deltas):
    """Add the deltas of the rows in which each source fired to its row of the weight
    gradient.

    For each k below `n_active`: ``gradient[active[k]] += sum(deltas[steps[e]])`` over e
    from ``firsts[k]`` to ``firsts[k + 1]``, for the columns of a block. The gradient's
    rows begin at `start`, those of the deltas at 0, both `stride` apart.
    """
    base = start + block.column

    def emit(size):
        sums = Registers(builder, gradient.vector, size)
        with each_below(builder, by_source.n_active) as number:
            row = base + by_source.active.load_index(number) * stride
            sums.load(gradient, row)
            with each_of(builder, by_source.firsts, number) as event:
                delta = by_source.steps.load_index(event) * stride
                sums.add(deltas, delta + block.column)
            sums.store(gradient, row)

    for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)


@emitted
def accumulate_narrow_rows(
    builder, gradient, start, stride, vectors, spikes, n_rows, deltas
):
    """Add each row of deltas to the gradient rows of the sources that fired then.

    ``gradient[source] += deltas[row]`` for every source of each row of the spikes. For
    rows of at most :data:`NARROW` vectors the whole gradient stays in the first cache,
    and there is nothing to gain from regrouping the events by source.
    """

    def emit(size):
        with each_below(builder, n_rows) as row:
            values = load_row(deltas, row * stride, size)
            with each_of(builder, spikes.offsets, row) as event:
                into = start + spikes.sources.load_index(event) * stride
                for k, value in enumerate(values):
                    place = into + LANES * k
                    total = builder.fadd(gradient.load_vector(place), value)
                    gradient.store_vector(total, place)

    for_each_block_size(builder, vectors, range(1, NARROW + 1), emit)
