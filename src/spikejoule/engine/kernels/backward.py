"""Gradients of a batch: samples in lanes and groups, weight gradients by source.

A lane's gradient is the sum over its samples in their order, and lanes are added in
theirs (optimizer.py): a result knows nothing of threads. Within a lane, samples go in
groups. What a group adds is prepared first, its deltas above all, and then added, each
row of the gradient being fetched once for all of the group's samples.

Where there are no more threads than lanes, a thread prepares and adds the groups of its
lane one by one, while they are in its cache. More threads prepare many groups side by
side and then share out the gradient by columns: every number is still added in the
order of the samples. The equations are in spikejoule/network/neurons/lif.py.
"""

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.deltas import learned_gradients, sample_deltas
from spikejoule.engine.kernels.forward import add_current_gradients, block_size
from spikejoule.engine.kernels.structures import (
    BatchGradient,
    Block,
    BySource,
    ConstantInputs,
    LabelledBatch,
    Learning,
    NetworkArrays,
    Spikes,
    Workspace,
    layer_at,
    steps_of,
)
from spikejoule.engine.kernels.vector import (
    NARROW,
    accumulate_narrow_rows,
    accumulate_rows,
)

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in
the cache.
"""


@compiled_inline
def group_by_source(spikes, n_steps, places, begins, active, firsts, steps):
    """Regroup spikes from by-step to by-source order.

    There is one loop over all spikes and none over those of a row, whose end is what a
    processor cannot predict. Indices are unsigned, because numba looks at the sign of
    every other index.

    Args:
        spikes: ``Spikes`` of `n_steps` rows.
        n_steps: how many rows.
        places, begins: of the workspace's slot.
        active: receives the sources that fired, in order of their first spike, uint32;
            it holds one element more than there are sources.
        firsts: receives where each one's rows begin, uint32 [n_active + 1].
        steps: receives the rows, uint32 [E].

    Returns:
        the number of sources that fired.
    """
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
def _spikes_into(number, slot, first, end, n_steps, batch, workspace):
    """The spikes that a group's samples send into a layer, ``Spikes`` of a row a
    step.
    """
    sources = batch.sources
    offsets = batch.offsets[first * n_steps : end * n_steps + 1]
    if number > 0:
        sources = workspace.sources[slot, number - 1]
        offsets = workspace.offsets[slot, number - 1]
    return Spikes(sources, offsets)


@compiled_inline
def _prepare_weights(
    spikes, n_rows, number, slot, network, touched, workspace, synaptic_events
):
    """Mark the rows that a group's spikes change, count what they add, and order them
    by source.

    Args:
        spikes: into the layer, ``Spikes`` of `n_rows` rows.
        n_rows: steps of all samples of the group.
        number: of the layer.
        slot: of the group.
        network: ``NetworkArrays``.
        touched: rows that the lane changed, bool [R].
        workspace: receives the spikes by source if the layer is not narrow.
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
    active = workspace.active[slot, number]
    firsts = workspace.firsts[slot, number]
    n_active = group_by_source(
        spikes,
        n_rows,
        workspace.places[slot],
        workspace.begins[slot],
        active,
        firsts,
        workspace.steps[slot, number],
    )
    workspace.n_active[slot, number] = n_active
    for k in range(n_active):
        row = layer.first_row + active[k]
        touched[row] = True
        synaptic_events[number] += fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])


@compiled_apart
def _prepare_group(
    slot, lane, first, end, batch, currents, learning, network, workspace, gradient
):
    """Both passes of a group of samples, and its spikes by source; see
    :func:`prepare_groups`.
    """
    n_steps = steps_of(batch)
    n_layers = network.layers.shape[0]
    touched = gradient.touched[lane]
    counts = gradient.counts[slot]
    spike_counts = counts[1 : n_layers + 2]
    synaptic_events = counts[n_layers + 2 :]
    labels = batch.labels
    losses = workspace.losses[slot]
    n_correct = 0
    for sample in range(first, end):
        place = sample - first
        loss, found = sample_deltas(
            slot,
            place,
            sample,
            batch,
            currents,
            n_steps,
            learning,
            network,
            workspace,
            spike_counts,
        )
        losses[place] = loss
        n_correct += found == labels[sample]
        if network.learned_start >= 0:
            learned_gradients(slot, place, n_steps, network, workspace)
    counts[0] += n_correct
    for number in range(n_layers):
        _prepare_weights(
            _spikes_into(number, slot, first, end, n_steps, batch, workspace),
            (end - first) * n_steps,
            number,
            slot,
            network,
            touched,
            workspace,
            synaptic_events,
        )


@compiled_inline
def _add_others(n_samples, number, slot, lane, network, workspace, gradient):
    """Add what the samples of a group give beside the weights, sample after sample.

    These are the gradients of a layer's biases and of what its neurons learn, and with
    the last layer the losses.

    Args:
        n_samples: of the group.
        number: of the layer.
        slot, lane: of the group.
        network, workspace: see structures.py.
        gradient: ``BatchGradient``, whose lane receives.
    """
    layer = layer_at(network.layers, number)
    sums = gradient.gradients[lane]
    touched = gradient.touched[lane]
    biases = workspace.biases[slot, number]
    learned = workspace.learned
    touched[layer.first_row + layer.n_sources] = True
    for sample in range(n_samples):
        for unit in range(layer.stride):
            sums[layer.bias_start + unit] += biases[sample * layer.stride + unit]
    if network.learned_start >= 0:
        touched[network.learned_row + number] = True
        for sample in range(n_samples):
            for place in range(learned.shape[3]):
                start = network.learned_start + number * LANES
                sums[start + place] += learned[slot, sample, number, place]
    if number == network.layers.shape[0] - 1:
        for sample in range(n_samples):
            gradient.losses[lane] += workspace.losses[slot, sample]


@compiled_apart
def _add_group(
    slot, lane, first, end, number, block, batch, currents, network, workspace, gradient
):
    """Add what a group has prepared for some columns of a layer to the gradient of its
    lane.

    What samples give beside the weights goes with the first column.

    Args:
        slot, lane: of the group.
        first, end: its samples.
        number: of the layer.
        block: the columns; of a narrow layer it is all of them.
        batch, currents, network, workspace, gradient: see structures.py.
    """
    n_steps = steps_of(batch)
    sums = gradient.gradients[lane]
    layer = layer_at(network.layers, number)
    deltas = workspace.deltas[slot, number]
    vectors = layer.stride // LANES
    if vectors <= NARROW:
        spikes = _spikes_into(number, slot, first, end, n_steps, batch, workspace)
        n_rows = (end - first) * n_steps
        accumulate_narrow_rows(
            sums, layer.weight_start, layer.stride, vectors, spikes, n_rows, deltas
        )
    else:
        by_source = BySource(
            active=workspace.active[slot, number],
            firsts=workspace.firsts[slot, number],
            steps=workspace.steps[slot, number],
            n_active=workspace.n_active[slot, number],
        )
        accumulate_rows(
            sums, layer.weight_start, layer.stride, block, by_source, deltas
        )
    if number == 0 and currents.offsets.size > 0:
        touched = gradient.touched[lane]
        slopes = workspace.biases[slot, 0]
        for sample in range(first, end):
            start = (sample - first) * layer.stride
            add_current_gradients(
                sample, currents, layer, block, sums, touched, slopes, start
            )
    if block.column == 0:
        _add_others(end - first, number, slot, lane, network, workspace, gradient)


@compiled_parallel
def add_lane(lane, batch, currents, learning, network, workspace, gradient):
    """Add the gradient of the mean loss of the samples of one lane to its part.

    Which samples a lane has does not depend on the number of threads.

    Args:
        lane: which one.
        batch, currents, learning, network: the fields of ``LabelledBatch``,
            ``ConstantInputs``, ``Learning`` and ``NetworkArrays``, whose transposed
            weights are up to date, as plain tuples.
        workspace: of ``Workspace``, likewise, with a slot for each lane.
        gradient: of ``BatchGradient``, likewise; gradients, touched rows, losses and
            counts receive.
    """
    named = LabelledBatch(*batch)
    inputs = ConstantInputs(*currents)
    loss = Learning(*learning)
    arrays = NetworkArrays(*network)
    memory = Workspace(*workspace)
    total = BatchGradient(*gradient)
    stop = named.bounds[lane + 1]
    for first in range(named.bounds[lane], stop, GROUP_SAMPLES):
        end = min(first + GROUP_SAMPLES, stop)
        _prepare_group(
            lane, lane, first, end, named, inputs, loss, arrays, memory, total
        )
        for number in range(arrays.layers.shape[0]):
            stride = layer_at(arrays.layers, number).stride
            vectors = stride // LANES
            most = block_size(stride) if vectors > NARROW else vectors
            for vector in range(0, vectors, most):
                block = Block(
                    column=vector * LANES, vectors=min(most, vectors - vector)
                )
                _add_group(
                    lane,
                    lane,
                    first,
                    end,
                    number,
                    block,
                    named,
                    inputs,
                    arrays,
                    memory,
                    total,
                )


@compiled_parallel
def prepare_groups(
    slot, groups, batch, currents, learning, network, workspace, gradient
):
    """Both passes of the samples of many groups, each into its slot of the workspace.

    Args:
        slot: of a group.
        groups: lane, first sample and end of each, int64 [groups, 3].
        batch, currents, learning, network: see structures.py; the transposed weights
            are up to date.
        workspace: ``Workspace``, whose slots receive.
        gradient: ``BatchGradient``; counts and touched rows are added to.
    """
    lane = groups[slot, 0]
    first = groups[slot, 1]
    end = groups[slot, 2]
    _prepare_group(
        slot, lane, first, end, batch, currents, learning, network, workspace, gradient
    )


@compiled_parallel
def add_groups(part, groups, parts, batch, currents, network, workspace, gradient):
    """Add what groups have prepared to their lanes, the gradient in parts of its own.

    Args:
        part: of the gradient.
        groups: those of :func:`prepare_groups`, of each lane in the order of its
            samples.
        parts: lane, layer, first column and vectors of columns of each, int64
            [parts, 4]; together they are the gradient of every lane.
        batch, currents, network, workspace: see structures.py.
        gradient: ``BatchGradient``; gradients, touched rows and losses are added to.
    """
    lane = parts[part, 0]
    number = parts[part, 1]
    block = Block(column=parts[part, 2], vectors=parts[part, 3])
    for slot in range(groups.shape[0]):
        if groups[slot, 0] == lane:
            first = groups[slot, 1]
            end = groups[slot, 2]
            _add_group(
                slot,
                lane,
                first,
                end,
                number,
                block,
                batch,
                currents,
                network,
                workspace,
                gradient,
            )
