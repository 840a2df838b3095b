"""Gradients of a batch: samples shared out over lanes, weight gradients by source.

The equations are in spikejoule/model/neuron.py.
"""

import numba
import numpy as np

from spikejoule.engine.kernels.deltas import sample_deltas
from spikejoule.engine.kernels.forward import block_size
from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.compiling.jit import compiled, compiled_parallel
from spikejoule.foundation.compiling.vector import NARROW, accumulate_narrow_rows, accumulate_rows

GRADIENT_BLOCK = 5


@compiled
def group_by_source(sources, offsets, n_steps, places, active, firsts, steps):
    """Regroup a sample's spikes from by-step to by-source order.

    Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        sources, offsets: spikes in step order; `offsets` [T + 1] points into `sources`.
        places: scratch, uint32 [n_sources]; all zeros on entry and on return.
        active: receives the sources that fired, in order of their first spike, uint32; it holds
            one element more than there are sources.
        firsts: receives where each one's steps begin, uint32 [n_active + 1].
        steps: receives the steps, uint32 [E].

    Returns:
        the number of sources that fired.
    """
    one = np.uint64(1)
    n_active = np.uint64(0)
    for event in range(np.uint64(offsets[0]), np.uint64(offsets[n_steps])):
        source = np.uint64(sources[event])
        # Without a branch: whether a source fires again is what a processor cannot predict.
        active[n_active] = source
        n_active += np.uint64(places[source] == 0)
        places[source] += np.uint32(1)
    place = np.uint32(0)
    for k in range(n_active):
        source = np.uint64(active[k])
        firsts[k] = place
        place += places[source]
        places[source] = firsts[k]
    firsts[n_active] = place
    position = np.uint64(offsets[0])
    for step in range(n_steps):
        stop = np.uint64(offsets[step + 1])
        while position < stop:
            source = np.uint64(sources[position])
            steps[np.uint64(places[source])] = step
            places[source] += np.uint32(1)
            position += one
    for k in range(n_active):
        places[np.uint64(active[k])] = 0
    return np.int64(n_active)


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
    fan_outs,
    synaptic_events,
):
    """Add the weight gradients of a group of samples, one row of weights at a time.

    Adds the group's synaptic events to ``synaptic_events`` [layers]; ``fan_outs`` holds the
    synapses that each row's source reaches.
    """
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
                row = first_row + in_sources[event]
                touched[row] = True
                synaptic_events[layer] += fan_outs[row]
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
            row = first_row + active[k]
            touched[row] = True
            synaptic_events[layer] += fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])
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
    fan_outs,
    spikes,
    synaptic_events,
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
        synaptic_events[lane] = 0
        for first in range(bounds[lane], bounds[lane + 1], group_size):
            end = min(first + group_size, bounds[lane + 1])
            for sample in range(first, end):
                loss, right = sample_deltas(
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
                fan_outs,
                synaptic_events[lane],
            )
