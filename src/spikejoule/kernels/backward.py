"""Gradients through time (the equations are in spikejoule/neuron.py)."""

import math

import numba

from spikejoule.kernels.emit import LANES
from spikejoule.kernels.forward import block_size, layer_forward
from spikejoule.kernels.jit import compiled, compiled_parallel
from spikejoule.kernels.through_time import MAX_DELTA_BLOCK, membrane_deltas
from spikejoule.kernels.vector import (
    NARROW,
    accumulate_narrow_rows,
    accumulate_rows,
    multiply_tile,
)

TILE_STEPS = 6
GRADIENT_BLOCK = 5


@compiled
def layer_deltas_through_time(
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
def group_by_source(sources, offsets, n_steps, places, active, firsts, steps):
    """Regroup a sample's spikes from by-step to by-source order.

    Args:
        sources, offsets: spikes in step order; `offsets` [T + 1] points into `sources`.
        places: scratch, int32 [n_sources]; all zeros on entry and on return.
        active: receives the sources that fired, in order of their first spike, int32; it holds
            one element more than there are sources.
        firsts: receives where each one's steps begin, int32 [n_active + 1].
        steps: receives the steps, int32 [E].

    Returns:
        the number of sources that fired.
    """
    n_active = 0
    for event in range(offsets[0], offsets[n_steps]):
        source = sources[event]
        # Without a branch: whether a source fires again is what a processor cannot predict.
        active[n_active] = source
        n_active += places[source] == 0
        places[source] += 1
    firsts[0] = 0
    for k in range(n_active):
        firsts[k + 1] = firsts[k] + places[active[k]]
        places[active[k]] = firsts[k]
    for step in range(n_steps):
        for event in range(offsets[step], offsets[step + 1]):
            source = sources[event]
            steps[places[source]] = step
            places[source] += 1
    for k in range(n_active):
        places[active[k]] = 0
    return n_active


@compiled
def spikes_deltas(
    deltas,
    delta_start,
    n_units,
    unit_stride,
    transposed,
    start,
    stride,
    n_steps,
    products,
    product_start,
):
    """dL/ds of a layer from dL/dv of the next one: ``products = deltas @ transposed``.

    Args:
        deltas: dL/dv of the next layer, [T, unit_stride] from `delta_start` on, of which the first
            `n_units` columns count.
        transposed: weights as [n_units, stride] from `start` on.
        products: receives dL/ds, [T, stride] from `product_start` on.
    """
    weights = transposed[start:]
    vectors = stride // LANES
    for vector in range(0, vectors, 2):
        width = min(2, vectors - vector)
        step = 0
        while step < n_steps:
            rows = TILE_STEPS if n_steps - step >= TILE_STEPS else 1
            multiply_tile(
                deltas,
                delta_start + step * unit_stride,
                unit_stride,
                n_units,
                weights,
                stride,
                vector * LANES,
                products,
                product_start + step * stride,
                rows,
                width,
            )
            step += rows


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
def _sample_deltas(
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

    for layer in range(last, -1, -1):
        _, n_units, stride, _, bias_start, _ = layout[layer]
        layer_deltas_through_time(
            deltas[layer],
            rows * stride,
            potentials[layer],
            stride,
            n_steps,
            neuron,
            surrogate,
            gradient,
            bias_start,
        )
        if layer > 0:
            source_stride = layout[layer - 1, 2]
            spikes_deltas(
                deltas[layer],
                rows * stride,
                n_units,
                stride,
                transposed,
                transposed_starts[layer],
                source_stride,
                n_steps,
                deltas[layer - 1],
                rows * source_stride,
            )
    return loss, correct


@compiled
def _group_weights(
    sources,
    offsets,
    layout,
    n_rows,
    gradient,
    touched,
    group_scratch,
    deltas,
    layer_sources,
    layer_offsets,
):
    """Add the weight gradients of a group of samples, one row of weights at a time."""
    places, steps, active, firsts = group_scratch
    for layer in range(layout.shape[0]):
        n_sources, _, stride, weight_start, _, first_row = layout[layer]
        touched[first_row + n_sources] = True
        if layer == 0:
            in_sources, in_offsets = sources, offsets
        else:
            in_sources, in_offsets = layer_sources[layer - 1], layer_offsets[layer - 1]
        if stride <= NARROW * LANES:
            for event in range(in_offsets[0], in_offsets[n_rows]):
                touched[first_row + in_sources[event]] = True
            accumulate_narrow_rows(
                gradient,
                weight_start,
                stride,
                stride // LANES,
                in_sources,
                in_offsets,
                n_rows,
                deltas[layer],
            )
            continue
        n_active = group_by_source(in_sources, in_offsets, n_rows, places, active, firsts, steps)
        for k in range(n_active):
            touched[first_row + active[k]] = True
        block = block_size(stride, GRADIENT_BLOCK)
        for vector in range(0, stride // LANES, block):
            accumulate_rows(
                gradient,
                weight_start,
                stride,
                vector * LANES,
                min(block, stride // LANES - vector),
                active,
                firsts,
                n_active,
                steps,
                deltas[layer],
            )


@compiled_parallel
def batch_gradient(
    sources,
    offsets,
    labels,
    loss_settings,
    neuron,
    surrogate,
    layout,
    parameters,
    transposed,
    transposed_starts,
    n_steps,
    bounds,
    group_size,
    gradients,
    touched,
    scratch,
    spikes,
    losses,
    correct,
):
    """Gradient of the mean loss of a batch, in one part per lane.

    Lane l adds the gradients of samples bounds[l] to bounds[l + 1] to ``gradients[l]`` and marks
    the weight rows that it changed in ``touched[l]``. Which samples a lane has does not depend on
    the number of threads, and neither do the sums. Within a lane, samples go in groups: the deltas
    of a group are kept so that each row of the gradient is fetched once for all of its samples.
    """
    for lane in numba.prange(bounds.size - 1):
        potentials, fired, counts, count_gradient, deltas, layer_sources, layer_offsets = scratch[
            :7
        ]
        places, steps, active, firsts = scratch[7:]
        sample_scratch = (
            potentials[lane],
            fired[lane],
            counts[lane],
            count_gradient[lane],
            deltas[lane],
            layer_sources[lane],
            layer_offsets[lane],
        )
        group_scratch = (places[lane], steps[lane], active[lane], firsts[lane])
        losses[lane] = 0.0
        correct[lane] = 0
        spikes[lane] = 0
        for first in range(bounds[lane], bounds[lane + 1], group_size):
            end = min(first + group_size, bounds[lane + 1])
            for sample in range(first, end):
                loss, right = _sample_deltas(
                    sample - first,
                    sources,
                    offsets[sample * n_steps : (sample + 1) * n_steps + 1],
                    labels[sample],
                    loss_settings,
                    neuron,
                    surrogate,
                    layout,
                    parameters,
                    transposed,
                    transposed_starts,
                    n_steps,
                    gradients[lane],
                    sample_scratch,
                    spikes[lane],
                )
                losses[lane] += loss
                correct[lane] += right
            _group_weights(
                sources,
                offsets[first * n_steps : end * n_steps + 1],
                layout,
                (end - first) * n_steps,
                gradients[lane],
                touched[lane],
                group_scratch,
                deltas[lane],
                layer_sources[lane],
                layer_offsets[lane],
            )
