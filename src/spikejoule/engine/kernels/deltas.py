"""Both passes of one sample, up to the gradient of every membrane potential.

The equations are in spikejoule/model/neuron.py.
"""

import math

import numpy as np

from spikejoule.engine.kernels.forward import layer_forward
from spikejoule.engine.kernels.through_time import (
    MAX_DELTA_BLOCK,
    TILE_STEPS,
    TILE_VECTORS,
    membrane_deltas,
    tile_deltas,
)
from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.compiling.jit import compiled


@compiled
def output_deltas_through_time(
    deltas, start, potentials, stride, n_steps, neuron, surrogate, gradient, bias_start
):
    """Turn a layer's dL/ds into dL/dv in place and add it up in the bias gradient."""
    decay, threshold, a, b = neuron
    vectors = stride // LANES
    for vector in range(0, vectors, MAX_DELTA_BLOCK):
        membrane_deltas(
            deltas,
            start,
            potentials,
            stride,
            vector * LANES,
            min(MAX_DELTA_BLOCK, vectors - vector),
            n_steps,
            decay,
            threshold,
            surrogate,
            a,
            b,
            gradient,
            bias_start,
        )


@compiled
def hidden_deltas_through_time(
    next_layer,
    weights,
    deltas,
    start,
    potentials,
    stride,
    n_steps,
    neuron,
    surrogate,
    gradient,
    bias_start,
):
    """dL/dv of a layer from dL/dv of the next one, from the last step to the first.

    ``dL/ds = next_deltas @ weights`` is computed for a few steps at a time and goes through time
    while it is in registers.

    Args:
        next_layer: (dL/dv of the next layer, its start, its stride, its number of units).
        weights: of the next layer, transposed: [units of the next layer, stride].
        deltas: receives dL/dv, [T, stride] from `start` on.
    """
    next_deltas, next_start, next_stride, n_next = next_layer
    decay, threshold, a, b = neuron
    vectors = stride // LANES
    later = np.empty(TILE_VECTORS[0] * LANES, deltas.dtype)
    sums = np.empty(TILE_VECTORS[0] * LANES, deltas.dtype)
    vector = 0
    while vector < vectors:
        width = 1
        for tile_width in TILE_VECTORS:
            if tile_width <= vectors - vector:
                width = tile_width
                break
        later[:] = 0
        sums[:] = 0
        step = n_steps
        while step > 0:
            rows = TILE_STEPS if step >= TILE_STEPS else 1
            step -= rows
            tile_deltas(
                next_deltas,
                next_start + step * next_stride,
                next_stride,
                n_next,
                weights,
                stride,
                vector * LANES,
                deltas,
                start + step * stride,
                potentials,
                step * stride,
                decay,
                threshold,
                surrogate,
                a,
                b,
                later,
                sums,
                rows,
                width,
            )
        for k in range(width * LANES):
            gradient[bias_start + vector * LANES + k] += sums[k]
        vector += width


@compiled
def cross_entropy(counts, label, logit_scale, smoothing, batch_size, count_gradient):
    """Cross-entropy of the softmax of ``logit_scale * counts`` against a (smoothed) label.

    ``count_gradient`` receives dL/dcounts of the batch's mean loss.

    Returns:
        the sample's loss and whether the first maximum of the counts is the label.
    """
    n_classes = counts.size
    best = 0
    for k in range(1, n_classes):
        if counts[k] > counts[best]:
            best = k
    total = 0.0
    for k in range(n_classes):
        total += math.exp(logit_scale * (counts[k] - counts[best]))
    loss = 0.0
    for k in range(n_classes):
        log_probability = logit_scale * (counts[k] - counts[best]) - math.log(total)
        target = smoothing / n_classes
        if k == label:
            target += 1.0 - smoothing
        loss -= target * log_probability
        count_gradient[k] = logit_scale * (math.exp(log_probability) - target) / batch_size
    return loss, best == label


@compiled
def transpose_weights(parameters, layout, transposed_starts, transposed):
    """Copy the weights of every layer but the first as [target, source stride]."""
    for layer in range(1, layout.shape[0]):
        n_sources, n_units, stride, weight_start = layout[layer, :4]
        source_stride = layout[layer - 1, 2]
        start = transposed_starts[layer]
        for source in range(n_sources):
            row = weight_start + source * stride
            for unit in range(n_units):
                transposed[start + unit * source_stride + source] = parameters[row + unit]


@compiled
def sample_deltas(
    place,
    sources,
    offsets,
    label,
    loss_settings,
    neuron,
    surrogate,
    layout,
    parameters,
    transposed,
    transposed_starts,
    n_steps,
    gradient,
    scratch,
    spikes,
):
    """Both passes of the sample at a place of its group, up to dL/dv of every layer.

    Leaves the deltas and the spikes of the layers at that place of the group's arrays, adds to
    the biases' gradient and to `spikes`, and returns (loss, correct).
    """
    decay, threshold, _, _ = neuron
    logit_scale, smoothing, batch_size = loss_settings
    potentials, fired, counts, count_gradient, deltas, layer_sources, layer_offsets = scratch
    n_layers = layout.shape[0]
    last = n_layers - 1
    rows = place * n_steps

    spikes[0] += offsets[n_steps] - offsets[0]
    for layer in range(n_layers):
        _, _, stride, weight_start, bias_start, _ = layout[layer]
        if layer == 0:
            in_sources, in_offsets = sources, offsets
        else:
            in_sources = layer_sources[layer - 1]
            in_offsets = layer_offsets[layer - 1, rows : rows + n_steps + 1]
        spikes[layer + 1] += layer_forward(
            in_sources,
            in_offsets,
            parameters,
            weight_start,
            bias_start,
            stride,
            decay,
            threshold,
            n_steps,
            potentials[layer],
            fired,
            layer_sources[layer],
            layer_offsets[layer, rows : rows + n_steps + 1],
        )

    counts[:] = 0
    for event in range(layer_offsets[last, rows], layer_offsets[last, rows + n_steps]):
        counts[layer_sources[last, event]] += 1
    loss, correct = cross_entropy(counts, label, logit_scale, smoothing, batch_size, count_gradient)
    stride = layout[last, 2]
    for row in range(rows, rows + n_steps):
        for unit in range(counts.size):
            deltas[last, row * stride + unit] = count_gradient[unit]
        for unit in range(counts.size, stride):
            deltas[last, row * stride + unit] = 0

    output_deltas_through_time(
        deltas[last],
        rows * stride,
        potentials[last],
        stride,
        n_steps,
        neuron,
        surrogate,
        gradient,
        layout[last, 4],
    )
    for layer in range(last - 1, -1, -1):
        next_stride, stride = layout[layer + 1, 2], layout[layer, 2]
        hidden_deltas_through_time(
            (deltas[layer + 1], rows * next_stride, next_stride, layout[layer + 1, 1]),
            transposed[transposed_starts[layer + 1] :],
            deltas[layer],
            rows * stride,
            potentials[layer],
            stride,
            n_steps,
            neuron,
            surrogate,
            gradient,
            layout[layer, 4],
        )
    return loss, correct
