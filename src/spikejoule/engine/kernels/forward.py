"""The forward pass of layers of LIF neurons, with spikes or constant inputs.

The equations are in spikejoule/network/neurons/lif.py. The constant inputs x of a
sample (encoding ``direct``) add the same amount to the potentials in every step,

    c[j] = b[j] + sum over i of x[i] w[i][j]

so the first layer runs with c in place of its biases, and without input spikes.
"""

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import list_set_bits
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.structures import (
    Block,
    LayerForward,
    Spikes,
    layer_at,
    neuron_at,
    sample_spikes,
)
from spikejoule.engine.kernels.vector import MAX_BLOCK, integrate_and_fire


@compiled_inline
def equal_parts(vectors, most):
    """Return the size of parts of at most `most` vectors that are most equal."""
    parts = (vectors + most - 1) // most
    return (vectors + parts - 1) // parts


@compiled_inline
def block_size(stride):
    """Return the vectors per block with which the blocks of a row are most equal."""
    return equal_parts(stride // LANES, MAX_BLOCK)


@compiled_apart
def layer_forward(spikes, layer, out):
    """Run one sample through one layer.

    Args:
        spikes: the sample's input, ``Spikes`` with T rows.
        layer: ``LayerForward``, whose potentials and fired bits are written.
        out: ``Spikes`` with T rows that receive the layer's spikes, from
            ``out.offsets[0]`` on, which the caller has set; up to SPARE_SPIKES elements
            behind the last spike are overwritten.

    Returns:
        the number of spikes emitted.
    """
    n_steps = layer.n_steps
    stride = layer.layer.stride
    fired = layer.fired
    vectors = stride // LANES
    size = block_size(stride)
    for vector in range(0, vectors, size):
        block = Block(column=vector * LANES, vectors=min(size, vectors - vector))
        integrate_and_fire(spikes, layer, block)
    sources = out.sources
    offsets = out.offsets
    count = offsets[0]
    # One word of 16 bits per vector.
    for step in range(n_steps):
        words = fired[step * vectors :]
        count = list_set_bits(words, vectors, sources, count)
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_inline
def add_product(into, start, factor, row, row_start, size):
    """Add ``factor * row[row_start + j]`` to ``into[start + j]`` for each j < size.

    Indices are unsigned: for a signed index, numba emits a comparison and a selection
    that handle Python's negative indices, for every element.
    """
    into_place = np.uint64(start)
    row_place = np.uint64(row_start)
    for unit in range(np.uint64(size)):
        into[into_place + unit] += factor * row[row_place + unit]


@compiled_inline
def set_biases(number, sample, currents, network, biases, initial):
    """Compute what every step adds to the potentials of a layer: c in the module text.

    Biases are initial potentials instead if ``network.starts_at_bias``.

    Args:
        number: of the layer, from 0.
        sample: its number among those of the currents.
        currents: ``ConstantInputs`` into the first layer.
        network: ``NetworkArrays``.
        biases: receives c, real [stride].
        initial: receives the potentials before the first step, real [stride].
    """
    layer = layer_at(network.layers, number)
    parameters = network.parameters
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    for unit in range(layer.stride):
        bias = parameters[layer.bias_start + unit]
        biases[unit] = 0 if network.starts_at_bias else bias
        initial[unit] = bias if network.starts_at_bias else 0
    if number == 0 and offsets.size > 0:
        for k in range(offsets[sample], offsets[sample + 1]):
            weights = layer.weight_start + np.int64(sources[k]) * layer.stride
            add_product(biases, 0, values[k], parameters, weights, layer.stride)


@compiled_inline
def copy_potentials(values, start, stride, potentials):
    """Copy v of one sample, which begins at ``values[start]``, to real [T, units]."""
    for step in range(potentials.shape[0]):
        for unit in range(potentials.shape[1]):
            potentials[step, unit] = values[start + step * stride + unit]


@compiled_parallel
def run_layer(lane, number, inputs, network, out, potentials):
    """Run the samples of one lane through one layer.

    Args:
        lane: its number; its spikes are written to ``out.buffers[lane]``.
        number: of the layer, from 0.
        inputs: ``LayerInput``.
        network: ``NetworkArrays``.
        out: ``LaneSpikes`` that receive the layer's spikes.
        potentials: receives v of every step, real [N, T, units]; of size 0 if v is not
            needed.
    """
    n_steps = inputs.n_steps
    currents = inputs.currents
    layer = layer_at(network.layers, number)
    real = network.parameters.dtype
    biases = np.empty(layer.stride, real)
    initial = np.empty(layer.stride, real)
    forward = LayerForward(
        n_steps=n_steps,
        layer=layer,
        parameters=network.parameters,
        biases=biases,
        initial=initial,
        neuron=neuron_at(network, number),
        potentials=np.empty(n_steps * layer.stride, real),
        fired=np.empty(n_steps * (layer.stride // LANES), np.uint16),
    )
    out_offsets = np.empty(n_steps + 1, np.int64)
    buffer = out.buffers[lane]
    lengths = out.lengths
    total = 0
    out_offsets[0] = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        set_biases(number, sample, currents, network, biases, initial)
        total += layer_forward(
            sample_spikes(inputs.spikes, sample, n_steps),
            forward,
            Spikes(buffer[total:], out_offsets),
        )
        for step in range(n_steps):
            lengths[sample * n_steps + step] = out_offsets[step + 1] - out_offsets[step]
        if potentials.size > 0:
            copy_potentials(forward.potentials, 0, layer.stride, potentials[sample])
    out.counts[lane] = total
