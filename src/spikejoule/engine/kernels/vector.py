"""The emitted inner loop of fully connected layers: potentials in vector registers.

compiling/emit.py says how code is emitted. All arrays are flat and contiguous, and all
positions are counted in elements. Nothing is checked: the callers guarantee the bounds.
"""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features

from spikejoule.compiling.emit import (
    LANES,
    Registers,
    broadcast,
    each_below,
    each_of,
    emitted,
    for_each_block_size,
    multiply_add,
    vector_intrinsic,
    zeros,
)
from spikejoule.engine.kernels.structures import RESET_BY_SUBTRACTION, RESETS

MAX_BLOCK = 5
"""Vectors per block: in float32 they fill 10 registers of 256 bits, or 5 of 512."""

WIDE_BLOCK = 13 if get_host_cpu_features().get("avx512f") else MAX_BLOCK
"""Vectors per block of a plain sum. The processor mispredicts the end of each short
loop over spikes, so fewer and wider blocks are faster; 13 registers of 512 bits are
half of 400 neurons in float32."""


class _Lif:
    """Emits the arithmetic of a vector of LIF neurons (network/neurons/lif.py).

    Args:
        builder: receives the instructions.
        vector: type of the vectors.
        neuron: ``NeuronConstants`` of the layer.
        reset: RESET_TO_ZERO or RESET_BY_SUBTRACTION.
        is_on_grid: whether potentials are on a grid (network/quantisation.py).
    """

    def __init__(self, builder, vector, neuron, reset, is_on_grid):
        self._builder = builder
        self._vector = vector
        self._neuron = neuron
        self._subtracts = reset == RESET_BY_SUBTRACTION
        self._is_on_grid = is_on_grid
        self.thresholds = broadcast(builder, neuron.threshold)
        self._decays = broadcast(builder, neuron.decay)

    def leak(self, value, bias):
        """Return ``decay * value + bias``; on a grid the product is rounded down."""
        builder = self._builder
        if not self._is_on_grid:
            return multiply_add(builder, value, self._decays, bias)
        in_units = builder.fmul(value, broadcast(builder, self._neuron.per_unit))
        product = builder.fmul(in_units, self._decays)
        lower = vector_intrinsic(builder, "floor", product)
        # The product has been rounded and may have reached the next integer. A fused
        # multiply-add gives the exact distance of the true product from `lower`; its
        # floor is -1 there and 0 elsewhere. Exact for potentials of up to 24 bits.
        rest = multiply_add(builder, in_units, self._decays, builder.fneg(lower))
        lower = builder.fadd(lower, vector_intrinsic(builder, "floor", rest))
        leaked = builder.fmul(lower, broadcast(builder, self._neuron.unit))
        return builder.fadd(leaked, bias)

    def reset(self, value, fires):
        """Return the potential kept for the next step; on a grid it saturates."""
        builder = self._builder
        after_spike = zeros(self._vector)
        if self._subtracts:
            after_spike = builder.fsub(value, self.thresholds)
        value = builder.select(fires, after_spike, value)
        if not self._is_on_grid:
            return value
        lowest = broadcast(builder, self._neuron.lowest)
        highest = broadcast(builder, self._neuron.highest)
        value = vector_intrinsic(builder, "maxnum", value, lowest)
        return vector_intrinsic(builder, "minnum", value, highest)


@emitted
def integrate_and_fire(builder, spikes, forward, block):
    """Run a block of LIF neurons over all steps of one sample.

    From ``u = initial`` on, for each step t: ``v = decay * u + bias``, then ``v +=
    weights[source]`` for every source in row t of the spikes. Neurons with ``v >=
    threshold`` fire and are reset, to zero or to ``v - threshold``. Writes v to
    ``potentials[t * stride + column]`` and one bit per neuron to ``fired[(t * stride +
    column) / 16]``.

    The potentials of a block stay in registers over all spikes of a step. A plain loop
    loads and stores each of them for every spike, and took five times as long.
    """
    layer = forward.layer
    vector = forward.parameters.vector
    weights = layer.weight_start + block.column

    def emit(size, reset, is_on_grid):
        neurons = _Lif(builder, vector, forward.neuron, reset, is_on_grid)
        membrane = Registers(builder, vector, size)
        membrane.load(forward.initial, block.column)
        with each_below(builder, forward.n_steps) as step:
            for column, cell in membrane.by_column():
                bias = forward.biases.load_vector(block.column + column)
                builder.store(neurons.leak(builder.load(cell), bias), cell)
            with each_of(builder, spikes.offsets, step) as event:
                source = spikes.sources.load_index(event)
                membrane.add(forward.parameters, weights + source * layer.stride)
            out = step * layer.stride + block.column
            words = out // LANES
            for column, cell in membrane.by_column():
                value = builder.load(cell)
                forward.potentials.store_vector(value, out + column)
                fires = builder.fcmp_ordered(">=", value, neurons.thresholds)
                # 16 comparisons are 16 bits: one word of `fired`.
                word = builder.bitcast(fires, ir.IntType(LANES))
                forward.fired.store(word, words + column // LANES)
                builder.store(neurons.reset(value, fires), cell)

    def emit_variant(variant):
        is_on_grid, reset = divmod(variant, len(RESETS))
        sizes = range(1, MAX_BLOCK + 1)
        for_each_block_size(
            builder, block.vectors, sizes, lambda size: emit(size, reset, is_on_grid)
        )

    # Reset and grid are chosen once per call. As conditions within the loop they would
    # cost a selection for every vector and step.
    variant = forward.neuron.on_grid * len(RESETS) + forward.neuron.reset
    for_each_block_size(builder, variant, range(2 * len(RESETS)), emit_variant)
