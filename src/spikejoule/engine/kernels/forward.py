"""Spikes and constant currents through layers of LIF neurons.

The equations are in spikejoule/network/neuron.py. What a sample's constant inputs x add to the
potentials is the same in every step,

    c[j] = b[j] + sum over i of x[i] w[i][j]

so the layer runs on the sample's own bias row c, without spikes. Since dL/dc[j] is the sum of
dL/dv[j] over the steps, which the backward pass leaves in the place of the bias's gradient,

    dL/db[j] = dL/dc[j]        dL/dw[i][j] = x[i] dL/dc[j]
"""

import numpy as np

from spikejoule.compiling import compiled, compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import list_set_bits
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.structures import Block, Spikes, with_bias_at
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
            ``out.offsets[0]`` on, which the caller has set; what lies up to SPARE_SPIKES places
            behind the last one is overwritten.

    Returns:
        the number of spikes emitted.
    """
    words = layer.stride // LANES
    block = block_size(layer.stride)
    for vector in range(0, words, block):
        part = Block(column=vector * LANES, vectors=min(block, words - vector))
        integrate_and_fire(spikes, parameters, layer, part, neuron, n_steps, potentials, fired)
    sources = out.sources
    offsets = out.offsets
    count = offsets[0]
    for step in range(n_steps):
        count = list_set_bits(fired, step * words, words, sources, count)
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_parallel
def _forward_of_lane(lane, spikes, layer, parameters, bias_step, neuron, n_steps, out):
    """The samples of one lane; see :func:`layer_forward_lanes`."""
    potentials = np.empty(n_steps * layer.stride, parameters.dtype)
    fired = np.empty(n_steps * (layer.stride // LANES), np.uint16)
    out_offsets = np.empty(n_steps + 1, np.int64)
    buffer = out.buffers[lane]
    lengths = out.lengths
    total = 0
    out_offsets[0] = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        offsets = spikes.offsets[sample * n_steps : (sample + 1) * n_steps + 1]
        total += layer_forward(
            Spikes(spikes.sources, offsets),
            with_bias_at(layer, layer.bias_start + sample * bias_step),
            parameters,
            neuron,
            n_steps,
            potentials,
            fired,
            Spikes(buffer[total:], out_offsets),
        )
        for step in range(n_steps):
            lengths[sample * n_steps + step] = out_offsets[step + 1] - out_offsets[step]
    out.counts[lane] = total


@compiled
def layer_forward_lanes(spikes, layer, parameters, bias_step, neuron, n_steps, out):
    """Samples through one layer; lane l writes the spikes of its samples to ``out.buffers[l]``.

    Args:
        spikes: the input, ``Spikes`` of a row a (sample, step).
        layer, parameters, neuron, n_steps: as for :func:`layer_forward`.
        bias_step: from one sample's bias row to the next one's; 0 where all share the layer's.
        out: ``LaneSpikes`` that receive the layer's.
    """
    n_lanes = out.bounds.size - 1
    _forward_of_lane(n_lanes, spikes, layer, parameters, bias_step, neuron, n_steps, out)


@compiled_inline
def _add_product(into, start, factor, row, row_start, size):
    """``into[start + j] += factor * row[row_start + j]`` for j below `size`.

    Indices are unsigned, because numba looks at the sign of every other index.
    """
    into_place = np.uint64(start)
    row_place = np.uint64(row_start)
    for unit in range(np.uint64(size)):
        into[into_place + unit] += factor * row[row_place + unit]


@compiled_parallel
def _rows_of_lane(lane, currents, layer, parameters, bounds, rows):
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    stride = layer.stride
    for sample in range(bounds[lane], bounds[lane + 1]):
        row = sample * stride
        for unit in range(stride):
            rows[row + unit] = parameters[layer.bias_start + unit]
        for k in range(offsets[sample], offsets[sample + 1]):
            weights = layer.weight_start + np.int64(sources[k]) * stride
            _add_product(rows, row, values[k], parameters, weights, stride)


@compiled
def bias_rows(currents, layer, parameters, bounds, rows):
    """The bias row of each sample, in the order of its sources whatever the lanes.

    Args:
        currents: ``ConstantInputs`` of the samples.
        layer: where the first layer's parameters lie.
        parameters: flat.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64 [K + 1].
        rows: receives c, real, flat [S * stride].
    """
    _rows_of_lane(bounds.size - 1, currents, layer, parameters, bounds, rows)


@compiled_parallel
def _gradient_of_part(place, parts, currents, layer, bounds, own, workspace):
    lanes = bounds.size - 1
    lane = place % lanes
    part = place // lanes
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    gradient = workspace.gradients[lane]
    touched = workspace.touched[lane]
    stride = layer.stride
    column = stride * part // parts
    size = stride * (part + 1) // parts - column
    for sample in range(bounds[lane], bounds[lane + 1]):
        row = sample * stride + column
        for unit in range(size):
            gradient[layer.bias_start + column + unit] += own[row + unit]
        for k in range(offsets[sample], offsets[sample + 1]):
            source = np.int64(sources[k])
            if part == 0:
                touched[layer.first_row + source] = True
            weights = layer.weight_start + source * stride + column
            _add_product(gradient, weights, values[k], own, row, size)


@compiled
def add_current_gradients(currents, layer, bounds, parts, own, workspace):
    """Add the gradients of the first layer, each lane's samples to its part.

    Args:
        currents, layer, bounds: as for :func:`bias_rows`; the lanes are those of the gradient.
        parts: of the columns, which threads share out.
        own: dL/dc of each sample, real, flat [S * stride].
        workspace: ``Workspace``, whose gradients receive.
    """
    n_parts = (bounds.size - 1) * parts
    _gradient_of_part(n_parts, parts, currents, layer, bounds, own, workspace)
