"""Gradients of a batch: samples shared out over lanes, weight gradients by source.

The equations are in spikejoule/model/neuron.py.
"""

import numba
import numpy as np

from spikejoule.engine.kernels.deltas import sample_deltas, transpose_weights
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.learned import learned_gradients
from spikejoule.engine.kernels.structures import (
    Block,
    BySource,
    Scratch,
    Spikes,
    layer_at,
)
from spikejoule.engine.kernels.through_time import TILE_VECTORS
from spikejoule.engine.kernels.vector import NARROW, accumulate_narrow_rows, accumulate_rows
from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.compiling.jit import compiled, compiled_inline, compiled_parallel

GRADIENT_BLOCK = 5


@compiled_inline
def group_by_source(spikes, n_steps, places, active, firsts, steps):
    """Regroup spikes from by-step to by-source order.

    Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        spikes: ``Spikes`` of `n_steps` rows.
        n_steps: how many rows.
        places: scratch, uint32 [n_sources]; all zeros on entry and on return.
        active: receives the sources that fired, in order of their first spike, uint32; it holds
            one element more than there are sources.
        firsts: receives where each one's rows begin, uint32 [n_active + 1].
        steps: receives the rows, uint32 [E].

    Returns:
        the number of sources that fired.
    """
    sources, offsets = spikes.sources, spikes.offsets
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


@compiled_inline
def _group_weights(spikes, n_rows, network, gradient, touched, scratch, synaptic_events):
    """Add the weight gradients of a group of samples, one row of weights at a time.

    Args:
        spikes: the group's input, ``Spikes`` of `n_rows` rows.
        n_rows: steps of all samples of the group.
        network: ``Network``.
        gradient: the lane's, real [P].
        touched: rows that it changed, bool [R].
        scratch: ``Scratch`` with the group's deltas and spikes.
        synaptic_events: receives what the group adds, int64 [L].
    """
    fan_outs = network.fan_outs
    active, firsts, steps = scratch.active, scratch.firsts, scratch.steps
    sources, offsets = spikes.sources, spikes.offsets
    for number in range(network.layers.shape[0]):
        into = Spikes(sources, offsets)
        layer, deltas = layer_at(network.layers, number), scratch.deltas[number]
        touched[layer.first_row + layer.n_sources] = True
        vectors = layer.stride // LANES
        if vectors <= NARROW:
            for event in range(offsets[0], offsets[n_rows]):
                row = layer.first_row + sources[event]
                touched[row] = True
                synaptic_events[number] += fan_outs[row]
            accumulate_narrow_rows(
                gradient, layer.weight_start, layer.stride, vectors, into, n_rows, deltas
            )
        else:
            n_active = group_by_source(into, n_rows, scratch.places, active, firsts, steps)
            for k in range(n_active):
                row = layer.first_row + active[k]
                touched[row] = True
                n_spikes = np.int64(firsts[k + 1]) - firsts[k]
                synaptic_events[number] += fan_outs[row] * n_spikes
            by_source = BySource(active=active, firsts=firsts, steps=steps, n_active=n_active)
            most = block_size(layer.stride, GRADIENT_BLOCK)
            for vector in range(0, vectors, most):
                block = Block(column=vector * LANES, vectors=min(most, vectors - vector))
                accumulate_rows(
                    gradient, layer.weight_start, layer.stride, block, by_source, deltas
                )
        sources, offsets = scratch.sources[number], scratch.offsets[number]


@compiled_inline
def _scratch_of_lane(lane, network, workspace):
    """The lane's part of the workspace, and what is small enough to be allocated for a batch."""
    potentials, n_steps = workspace.potentials[lane], workspace.n_steps
    n_layers, size = potentials.shape
    kind = potentials.dtype
    output = layer_at(network.layers, n_layers - 1)
    most_sources = network.layers[:, 0].max()
    most_units = TILE_VECTORS[0] * LANES
    return Scratch(
        potentials=potentials,
        deltas=workspace.deltas[lane],
        steps=workspace.steps[lane],
        sources=workspace.spikes[lane],
        offsets=np.zeros((n_layers, workspace.group_size * n_steps + 1), np.int64),
        fired=np.empty(size // LANES, np.uint16),
        counts=np.empty(output.n_units, np.int64),
        count_gradient=np.zeros(output.stride, kind),
        costs=np.zeros((n_layers, size // n_steps), kind),
        later=np.empty(most_units, kind),
        sums=np.empty(most_units, kind),
        places=np.zeros(most_sources, np.uint32),
        active=np.empty(most_sources + 1, np.uint32),
        firsts=np.empty(most_sources + 1, np.uint32),
    )


@compiled
def _gradient_of_lane(lane, batch, learning, network, workspace):
    """The samples of one lane; see :func:`batch_gradient`."""
    n_steps = workspace.n_steps
    scratch = _scratch_of_lane(lane, network, workspace)
    gradient, touched = workspace.gradients[lane], workspace.touched[lane]
    counts, n_layers = workspace.counts[lane], network.layers.shape[0]
    counts[:] = 0
    spike_counts, synaptic_events = counts[1 : n_layers + 2], counts[n_layers + 2 :]
    total_loss, n_correct = 0.0, 0
    sources, offsets, labels = batch.sources, batch.offsets, batch.labels
    stop = batch.bounds[lane + 1]
    for first in range(batch.bounds[lane], stop, workspace.group_size):
        end = min(first + workspace.group_size, stop)
        for sample in range(first, end):
            loss, found = sample_deltas(
                sample - first,
                sample,
                Spikes(sources, offsets[sample * n_steps : (sample + 1) * n_steps + 1]),
                batch,
                n_steps,
                learning,
                network,
                gradient,
                scratch,
                spike_counts,
            )
            total_loss += loss
            n_correct += found == labels[sample]
            if network.learned_start >= 0:
                place = sample - first
                learned_gradients(place, n_steps, network, gradient, touched, scratch)
        _group_weights(
            Spikes(sources, offsets[first * n_steps : end * n_steps + 1]),
            (end - first) * n_steps,
            network,
            gradient,
            touched,
            scratch,
            synaptic_events,
        )
    workspace.losses[lane] = total_loss
    counts[0] = n_correct


@compiled_parallel
def batch_gradient(batch, learning, network, workspace):
    """Gradient of the mean loss of a batch, in one part per lane.

    Each lane adds the gradients of its samples to its part and marks the weight rows that it
    changed. Which samples a lane has does not depend on the number of threads, and neither do the
    sums. Within a lane, samples go in groups: the deltas of a group are kept so that each row of
    the gradient is fetched once for all of its samples.

    Args:
        batch, learning: see structures.py.
        network: see structures.py; the transposed weights receive.
        workspace: see structures.py; gradients, touched rows, losses and counts receive.
    """
    transpose_weights(network)
    for lane in numba.prange(batch.bounds.size - 1):
        # Of one type, or numba compiles the lane twice: prange counts without a sign.
        _gradient_of_lane(np.int64(lane), batch, learning, network, workspace)
