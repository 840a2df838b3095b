"""Gradients of a batch: samples in lanes and groups, weight gradients by source.

A lane's gradient is the sum over its samples in their order, and lanes are added in theirs
(optimizer.py): a result knows nothing of threads. Within a lane, samples go in groups. What a group
adds is prepared first, its deltas above all, and then added, each row of the gradient being fetched
once for all of the group's samples.

Where there are no more threads than lanes, a thread prepares and adds the groups of its lane one by
one, while they are in its cache. More threads prepare many groups side by side and then share out
the gradient by columns: every number is still added in the order of
the samples. The equations are in spikejoule/network/neuron.py.
"""

import numpy as np

from spikejoule.compiling import compiled, compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.deltas import learned_gradients, sample_deltas, transpose_weights
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.structures import (
    Block,
    BySource,
    Kept,
    LabelledBatch,
    Learning,
    NetworkArrays,
    Spikes,
    Workspace,
    layer_at,
)
from spikejoule.engine.kernels.vector import NARROW, accumulate_narrow_rows, accumulate_rows


@compiled_inline
def group_by_source(spikes, n_steps, kept, active, firsts, steps):
    """Regroup spikes from by-step to by-source order.

    There is one loop over all spikes and none over those of a row, whose end is what a processor
    cannot predict. Indices are unsigned, because numba looks at the sign of every other index.

    Args:
        spikes: ``Spikes`` of `n_steps` rows.
        n_steps: how many rows.
        kept: ``Kept``, of which places and begins are used.
        active: receives the sources that fired, in order of their first spike, uint32; it holds
            one element more than there are sources.
        firsts: receives where each one's rows begin, uint32 [n_active + 1].
        steps: receives the rows, uint32 [E].

    Returns:
        the number of sources that fired.
    """
    places = kept.places
    begins = kept.begins
    sources = spikes.sources
    offsets = spikes.offsets
    first = np.uint64(offsets[0])
    end = np.uint64(offsets[n_steps])
    n_active = np.uint64(0)
    for event in range(first, end):
        source = np.uint64(sources[event])
        # Without a branch: whether a source fires again cannot be predicted either.
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
    for step in range(1, n_steps):
        begins[np.uint64(offsets[step]) - first] += np.uint32(1)
    row = np.uint32(0)
    for event in range(end - first):
        row += begins[event]
        begins[event] = 0
        source = np.uint64(sources[first + event])
        steps[np.uint64(places[source])] = row
        places[source] += np.uint32(1)
    # Rows without a spike at the end begin behind the last one.
    begins[end - first] = 0
    for k in range(n_active):
        places[np.uint64(active[k])] = 0
    return np.int64(n_active)


@compiled_inline
def _prepare_weights(spikes, n_rows, number, network, touched, kept, synaptic_events):
    """Mark the rows that a group's spikes change, count what they add, and order them by source.

    Args:
        spikes: into the layer, ``Spikes`` of `n_rows` rows.
        n_rows: steps of all samples of the group.
        number: of the layer.
        network: ``NetworkArrays``.
        touched: rows that the lane changed, bool [R].
        kept: ``Kept`` of the group; receives the spikes by source if the layer is not narrow.
        synaptic_events: receives what the group adds, int64 [L].
    """
    fan_outs = network.fan_outs
    layer = layer_at(network.layers, number)
    sources = spikes.sources
    offsets = spikes.offsets
    if layer.stride // LANES <= NARROW:
        for event in range(offsets[0], offsets[n_rows]):
            row = layer.first_row + sources[event]
            touched[row] = True
            synaptic_events[number] += fan_outs[row]
        return
    active = kept.active[number]
    firsts = kept.firsts[number]
    n_active = group_by_source(spikes, n_rows, kept, active, firsts, kept.steps[number])
    kept.n_active[number] = n_active
    for k in range(n_active):
        row = layer.first_row + active[k]
        touched[row] = True
        synaptic_events[number] += fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])


@compiled_inline
def _kept_of(slot, workspace):
    """The part of the workspace that belongs to the group in a slot."""
    return Kept(
        deltas=workspace.deltas[slot],
        sources=workspace.spikes[slot],
        offsets=workspace.offsets[slot],
        steps=workspace.steps[slot],
        active=workspace.active[slot],
        firsts=workspace.firsts[slot],
        n_active=workspace.n_active[slot],
        biases=workspace.biases[slot],
        learned=workspace.learned[slot],
        losses=workspace.group_losses[slot],
        potentials=workspace.potentials[slot],
        fired=workspace.fired[slot],
        class_counts=workspace.class_counts[slot],
        count_gradient=workspace.count_gradient[slot],
        costs=workspace.costs[slot],
        places=workspace.places[slot],
        begins=workspace.begins[slot],
    )


@compiled_apart
def _prepare_group(slot, lane, first, end, batch, learning, network, workspace):
    """Both passes of a group of samples, and its spikes by source; see :func:`prepare_groups`."""
    kept = _kept_of(slot, workspace)
    n_steps = workspace.n_steps
    n_layers = network.layers.shape[0]
    touched = workspace.touched[lane]
    counts = workspace.counts[slot]
    spike_counts = counts[1 : n_layers + 2]
    synaptic_events = counts[n_layers + 2 :]
    sources = batch.sources
    offsets = batch.offsets
    labels = batch.labels
    n_correct = 0
    for sample in range(first, end):
        loss, found = sample_deltas(
            sample - first,
            sample,
            Spikes(sources, offsets[sample * n_steps : (sample + 1) * n_steps + 1]),
            batch,
            n_steps,
            learning,
            network,
            kept,
            spike_counts,
        )
        kept.losses[sample - first] = loss
        n_correct += found == labels[sample]
        if network.learned_start >= 0:
            learned_gradients(sample - first, n_steps, network, kept)
    counts[0] += n_correct
    offsets = offsets[first * n_steps : end * n_steps + 1]
    for number in range(n_layers):
        _prepare_weights(
            Spikes(sources, offsets),
            (end - first) * n_steps,
            number,
            network,
            touched,
            kept,
            synaptic_events,
        )
        sources = kept.sources[number]
        offsets = kept.offsets[number]


@compiled_inline
def _add_others(n_samples, number, network, has_own, gradient, touched, kept, losses, lane):
    """Add what the samples of a group give beside the weights, sample after sample.

    These are the gradients of a layer's biases and of what its neurons learn, and with the last
    layer the losses.

    Args:
        n_samples: of the group.
        number, network, kept: as for :func:`_prepare_weights`.
        has_own: whether the first layer's biases are each sample's own (forward.py).
        gradient, touched: the lane's, real [P] and bool [R].
        losses: of each lane, float64 [K].
        lane: which one.
    """
    layer = layer_at(network.layers, number)
    touched[layer.first_row + layer.n_sources] = True
    if not (number == 0 and has_own):
        biases = kept.biases[number]
        for sample in range(n_samples):
            for unit in range(layer.stride):
                gradient[layer.bias_start + unit] += biases[sample * layer.stride + unit]
    if network.learned_start >= 0:
        touched[network.learned_row + number] = True
        for sample in range(n_samples):
            for place in range(kept.learned.shape[2]):
                start = network.learned_start + number * LANES
                gradient[start + place] += kept.learned[sample, number, place]
    if number == network.layers.shape[0] - 1:
        for sample in range(n_samples):
            losses[lane] += kept.losses[sample]


@compiled_apart
def _add_group(slot, lane, first, end, number, block, batch, network, workspace):
    """Add what a group has prepared for some columns of a layer to the gradient of its lane.

    What samples give beside the weights goes with the first column.

    Args:
        slot, lane: of the group.
        first, end: its samples.
        number: of the layer.
        block: the columns; of a narrow layer it is all of them.
        batch, network, workspace: see structures.py.
    """
    kept = _kept_of(slot, workspace)
    n_steps = workspace.n_steps
    gradient = workspace.gradients[lane]
    touched = workspace.touched[lane]
    sources = batch.sources
    offsets = batch.offsets[first * n_steps : end * n_steps + 1]
    if number > 0:
        sources = kept.sources[number - 1]
        offsets = kept.offsets[number - 1]
    layer = layer_at(network.layers, number)
    deltas = kept.deltas[number]
    vectors = layer.stride // LANES
    if vectors <= NARROW:
        spikes = Spikes(sources, offsets)
        n_rows = (end - first) * n_steps
        accumulate_narrow_rows(
            gradient, layer.weight_start, layer.stride, vectors, spikes, n_rows, deltas
        )
    else:
        by_source = BySource(
            active=kept.active[number],
            firsts=kept.firsts[number],
            steps=kept.steps[number],
            n_active=kept.n_active[number],
        )
        accumulate_rows(gradient, layer.weight_start, layer.stride, block, by_source, deltas)
    if block.column == 0:
        has_own = batch.own.size > 0
        losses = workspace.losses
        _add_others(end - first, number, network, has_own, gradient, touched, kept, losses, lane)


@compiled_parallel
def _gradient_of_lane(lane, batch, learning, network, workspace):
    """The samples of one lane; see :func:`batch_gradient`."""
    counts = workspace.counts
    losses = workspace.losses
    layers = network.layers
    counts[lane] = 0
    losses[lane] = 0.0
    stop = batch.bounds[lane + 1]
    for first in range(batch.bounds[lane], stop, workspace.group_size):
        end = min(first + workspace.group_size, stop)
        _prepare_group(lane, lane, first, end, batch, learning, network, workspace)
        for number in range(layers.shape[0]):
            stride = layer_at(layers, number).stride
            vectors = stride // LANES
            most = block_size(stride) if vectors > NARROW else vectors
            for vector in range(0, vectors, most):
                block = Block(column=vector * LANES, vectors=min(most, vectors - vector))
                _add_group(lane, lane, first, end, number, block, batch, network, workspace)


@compiled
def batch_gradient(batch, learning, network, workspace):
    """Gradient of the mean loss of a batch, in one part per lane, a lane a thread.

    Each lane adds the gradients of its samples to its part and marks the weight rows that it
    changed. Which samples a lane has does not depend on the number of threads.

    Args:
        batch, learning: the fields of ``LabelledBatch`` and ``Learning``, as plain tuples.
        network: of ``NetworkArrays``, likewise; the transposed weights receive.
        workspace: of ``Workspace``, likewise, with a slot for each lane; gradients, touched rows,
            losses and counts receive.
    """
    named = NetworkArrays(*network)
    of_lanes = LabelledBatch(*batch)
    n_lanes = of_lanes.bounds.size - 1
    transpose_weights(n_lanes, named, n_lanes)
    _gradient_of_lane(n_lanes, of_lanes, Learning(*learning), named, Workspace(*workspace))


@compiled
def transpose_in_parts(network, parts):
    """Bring the transposed weights of the network up to date, a part of them a thread."""
    transpose_weights(parts, network, parts)


@compiled_parallel
def _prepare_slot(slot, groups, batch, learning, network, workspace):
    """The group of one slot; see :func:`prepare_groups`."""
    lane = groups[slot, 0]
    first = groups[slot, 1]
    end = groups[slot, 2]
    _prepare_group(slot, lane, first, end, batch, learning, network, workspace)


@compiled
def prepare_groups(groups, batch, learning, network, workspace):
    """Both passes of the samples of many groups, each into its slot of the workspace.

    Args:
        groups: lane, first sample and end of each, int64 [groups, 3].
        batch, learning, network: see structures.py; the transposed weights are up to date.
        workspace: ``Workspace``, whose slots receive; counts and touched rows are added to.
    """
    _prepare_slot(groups.shape[0], groups, batch, learning, network, workspace)


@compiled_parallel
def _add_part(part, parts, groups, batch, network, workspace):
    """One part of the gradient, from all groups of its lane; see :func:`add_groups`."""
    lane = parts[part, 0]
    number = parts[part, 1]
    block = Block(column=parts[part, 2], vectors=parts[part, 3])
    for slot in range(groups.shape[0]):
        if groups[slot, 0] == lane:
            first = groups[slot, 1]
            end = groups[slot, 2]
            _add_group(slot, lane, first, end, number, block, batch, network, workspace)


@compiled
def add_groups(groups, parts, batch, network, workspace):
    """Add what groups have prepared to their lanes, the gradient in parts of its own.

    Args:
        groups: those of :func:`prepare_groups`, of each lane in the order of its samples.
        parts: lane, layer, first column and vectors of columns of each, int64 [parts, 4]; together
            they are the gradient of every lane.
        batch, network: see structures.py.
        workspace: ``Workspace``; gradients, touched rows and losses are added to.
    """
    _add_part(parts.shape[0], parts, groups, batch, network, workspace)
