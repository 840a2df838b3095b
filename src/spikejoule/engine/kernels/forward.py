"""Spikes and constant currents through layers of LIF neurons.

The equations are in spikejoule/network/neurons/lif.py. What a sample's constant inputs
x add to the potentials is the same in every step,

    c[j] = b[j] + sum over i of x[i] w[i][j]

so the layer runs on c in place of its biases, without spikes. Since dL/dc[j] is the sum
of dL/dv[j] over the steps, which the backward pass leaves as the gradient of the
biases,

    dL/db[j] = dL/dc[j]        dL/dw[i][j] = x[i] dL/dc[j]
"""

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import list_set_bits
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.structures import (
    Block,
    Spikes,
    layer_at,
    neuron_at,
    sample_spikes,
    with_bias_at,
)
from spikejoule.engine.kernels.vector import MAX_BLOCK, integrate_and_fire


@compiled_inline
def block_size(stride):
    """Vectors of a block, such that the blocks of a row are as equal as can be."""
    vectors = stride // LANES
    blocks = (vectors + MAX_BLOCK - 1) // MAX_BLOCK
    return (vectors + blocks - 1) // blocks


@compiled_apart
def layer_forward(spikes, layer, parameters, neuron, n_steps, potentials, fired, out):
    """One sample through one layer.

    Args:
        spikes: the sample's input, ``Spikes`` of T rows.
        layer: where its parameters lie.
        parameters: flat.
        neuron: the neuron's constants.
        n_steps: T.
        potentials: receives v before the reset, flat [T * stride].
        fired: receives one bit a neuron, uint16, flat [T * stride / 16].
        out: ``Spikes`` of T rows that receive the layer's; they are written from
            ``out.offsets[0]`` on, which the caller has set; what lies up to
            SPARE_SPIKES places behind the last one is overwritten.

    Returns:
        the number of spikes emitted.
    """
    words = layer.stride // LANES
    block = block_size(layer.stride)
    for vector in range(0, words, block):
        part = Block(column=vector * LANES, vectors=min(block, words - vector))
        integrate_and_fire(
            spikes, parameters, layer, part, neuron, n_steps, potentials, fired
        )
    sources = out.sources
    offsets = out.offsets
    count = offsets[0]
    for step in range(n_steps):
        count = list_set_bits(fired, step * words, words, sources, count)
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_inline
def _add_product(into, start, factor, row, row_start, size):
    """``into[start + j] += factor * row[row_start + j]`` for j below `size`.

    Indices are unsigned, because numba looks at the sign of every other index.
    """
    into_place = np.uint64(start)
    row_place = np.uint64(row_start)
    for unit in range(np.uint64(size)):
        into[into_place + unit] += factor * row[row_place + unit]


@compiled_inline
def drive(sample, currents, layer, parameters, driven):
    """The biases of the first layer with what the constant inputs of a sample give.

    Args:
        sample: among those of the currents.
        currents: ``ConstantInputs``.
        layer: where the first layer's parameters lie.
        parameters: flat.
        driven: receives c, real [stride].
    """
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    stride = layer.stride
    for unit in range(stride):
        driven[unit] = parameters[layer.bias_start + unit]
    for k in range(offsets[sample], offsets[sample + 1]):
        weights = layer.weight_start + np.int64(sources[k]) * stride
        _add_product(driven, 0, values[k], parameters, weights, stride)


@compiled_inline
def add_current_gradients(
    sample, currents, layer, block, gradient, touched, slopes, start
):
    """Add what the constant inputs of a sample give to the gradient of some columns of
    weights.

    Args:
        sample, currents, layer: as for :func:`drive`.
        block: the columns; rows are marked with the first.
        gradient, touched: the lane's, real [P] and bool [R].
        slopes: dL/dc, real.
        start: of the sample's in them.
    """
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    for k in range(offsets[sample], offsets[sample + 1]):
        source = np.int64(sources[k])
        if block.column == 0:
            touched[layer.first_row + source] = True
        weights = layer.weight_start + source * layer.stride + block.column
        size = block.vectors * LANES
        _add_product(gradient, weights, values[k], slopes, start + block.column, size)


@compiled_parallel
def run_layer(lane, number, inputs, network, out):
    """Samples through one layer; lane l writes the spikes of its samples to
    ``out.buffers[l]``.

    Args:
        lane: which one.
        number: of the layer, counted from 0.
        inputs: ``LayerInput``.
        network: ``NetworkArrays``.
        out: ``LaneSpikes`` that receive the layer's.
    """
    layer = layer_at(network.layers, number)
    neuron = neuron_at(network, number)
    parameters = network.parameters
    spikes = inputs.spikes
    currents = inputs.currents
    n_steps = inputs.n_steps
    potentials = np.empty(n_steps * layer.stride, parameters.dtype)
    fired = np.empty(n_steps * (layer.stride // LANES), np.uint16)
    driven = np.empty(layer.stride, parameters.dtype)
    out_offsets = np.empty(n_steps + 1, np.int64)
    buffer = out.buffers[lane]
    lengths = out.lengths
    total = 0
    out_offsets[0] = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        its_layer = layer
        its_parameters = parameters
        if currents.offsets.size > 0:
            drive(sample, currents, layer, parameters, driven)
            its_layer = with_bias_at(layer, np.int64(0))
            its_parameters = driven
        total += layer_forward(
            sample_spikes(spikes, sample, n_steps),
            its_layer,
            its_parameters,
            neuron,
            n_steps,
            potentials,
            fired,
            Spikes(buffer[total:], out_offsets),
        )
        for step in range(n_steps):
            lengths[sample * n_steps + step] = out_offsets[step + 1] - out_offsets[step]
    out.counts[lane] = total
