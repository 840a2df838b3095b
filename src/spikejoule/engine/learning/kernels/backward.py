"""Gradients of a batch: samples in lanes and groups, weight gradients by source.

Each lane adds up the gradient of its samples in their order, and the lanes are added in
theirs (optimizer.py), so no result depends on the number of threads. Within a lane,
samples form groups. First the deltas and spikes of a group's samples are prepared, then
they are added to the gradient, so each row of the gradient is fetched once per group.

With at most as many threads as lanes, one thread prepares and adds the groups of a lane
one by one, while they are in its cache. More threads prepare many groups at the same
time and then share the gradient by columns; every number is still added in the order of
the samples. The equations are in spikejoule/network/neurons/lif.py.
"""

import numpy as np

from spikejoule.compiling import (
    compiled,
    compiled_apart,
    compiled_inline,
    compiled_parallel,
)
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.forward import add_product, block_size
from spikejoule.engine.kernels.structures import (
    Block,
    Rows,
    Spikes,
    layer_at,
    neuron_at,
)
from spikejoule.engine.learning.kernels.deltas import (
    learned_gradients,
    sample_deltas,
    transpose_weights,
)
from spikejoule.engine.learning.kernels.structures import (
    BySource,
    Group,
    named_training,
    steps_of,
    synapses_touched,
)
from spikejoule.engine.learning.kernels.vector import (
    NARROW,
    accumulate_narrow_rows,
    accumulate_rows,
)

GROUP_SAMPLES = 4
"""Samples whose weight gradients are added together, while their deltas are still in
the cache.
"""


@compiled_inline
def group_by_source(spikes, n_rows, workspace, slot, by_source):
    """Reorder spikes from rows to sources: a counting sort.

    There are two loops over all spikes, and none over the spikes of each row: the end
    of such a short loop would be mispredicted in almost every row. Indices are
    unsigned, because numba checks the sign of every other index.

    Args:
        spikes: ``Spikes`` with `n_rows` rows.
        n_rows: steps of all samples of the group.
        workspace, slot: with the scratch memory, which is zero before and after.
        by_source: ``BySource`` that receives the sources in order of their first
            spike, the start of each one's rows, and the rows.

    Returns:
        the number of sources that fired.
    """
    sources = spikes.sources
    offsets = spikes.offsets
    places = workspace.places[slot]
    begins = workspace.begins[slot]
    active = by_source.active
    firsts = by_source.firsts
    steps = by_source.steps
    first = np.uint64(offsets[0])
    end = np.uint64(offsets[n_rows])
    # Count the spikes of each source, and list the sources that fired.
    n_active = np.uint64(0)
    for event in range(first, end):
        source = np.uint64(sources[event])
        # Without a branch, which would be mispredicted: the source is always written,
        # and overwritten by the next one unless it is new. `active` has one spare
        # element for that.
        active[n_active] = source
        n_active += np.uint64(places[source] == 0)
        places[source] += np.uint32(1)
    # Turn the counts into the position of each source's next row.
    place = np.uint32(0)
    for k in range(n_active):
        source = np.uint64(active[k])
        firsts[k] = place
        place += places[source]
        places[source] = firsts[k]
    firsts[n_active] = place
    # Mark the spike at which each row begins, so that one loop over all spikes knows
    # its row.
    for row in range(1, n_rows):
        begins[np.uint64(offsets[row]) - first] += np.uint32(1)
    current_row = np.uint32(0)
    for event in range(end - first):
        current_row += begins[event]
        begins[event] = 0
        source = np.uint64(sources[first + event])
        steps[np.uint64(places[source])] = current_row
        places[source] += np.uint32(1)
    # Empty rows at the end begin behind the last spike.
    begins[end - first] = 0
    for k in range(n_active):
        places[np.uint64(active[k])] = 0
    return np.int64(n_active)


@compiled_inline
def _spikes_into(number, group, training):
    """Return the spikes of a group's samples into a layer, ``Spikes`` by step."""
    batch = training.batch
    workspace = training.workspace
    n_steps = steps_of(batch)
    sources = batch.sources
    offsets = batch.offsets[group.first * n_steps : group.end * n_steps + 1]
    if number > 0:
        sources = workspace.sources[group.slot, number - 1]
        offsets = workspace.offsets[group.slot, number - 1]
    return Spikes(sources, offsets)


@compiled_inline
def _spikes_by_source(number, slot, workspace):
    """Return the memory of a slot for the spikes into a layer, as ``BySource``."""
    return BySource(
        active=workspace.active[slot, number],
        firsts=workspace.firsts[slot, number],
        steps=workspace.steps[slot, number],
        n_active=workspace.n_active[slot, number],
    )


@compiled_inline
def _prepare_weights(number, group, training):
    """Order the spikes of a group into a layer by source, unless it is narrow.

    Marks the rows of the lane's gradient that the spikes change, and adds their
    synaptic events and the synapses that they touch to the slot's counts.
    """
    network = training.network
    workspace = training.workspace
    slot = group.slot
    n_steps = steps_of(training.batch)
    n_samples = group.end - group.first
    n_rows = n_samples * n_steps
    n_layers = network.layers.shape[0]
    fan_outs = training.backward.fan_outs
    touched = training.gradient.touched[group.lane]
    synaptic_events = training.gradient.counts[slot, n_layers + 2 :]
    layer = layer_at(network.layers, number)
    spikes = _spikes_into(number, group, training)
    own = fan_outs[layer.first_row : layer.first_row + layer.n_sources]
    seen = workspace.seen[slot, : layer.n_sources]
    for sample in range(n_samples):
        training.gradient.counts[slot, 3 * n_layers + 2 + number] += synapses_touched(
            spikes, sample * n_steps, (sample + 1) * n_steps, own, seen
        )
    if layer.stride // LANES <= NARROW:
        sources = spikes.sources
        offsets = spikes.offsets
        for event in range(offsets[0], offsets[n_rows]):
            row = layer.first_row + sources[event]
            touched[row] = True
            synaptic_events[number] += fan_outs[row]
        return
    by_source = _spikes_by_source(number, slot, workspace)
    n_active = group_by_source(spikes, n_rows, workspace, slot, by_source)
    workspace.n_active[slot, number] = n_active
    active = by_source.active
    firsts = by_source.firsts
    for k in range(n_active):
        row = layer.first_row + active[k]
        touched[row] = True
        synaptic_events[number] += fan_outs[row] * (np.int64(firsts[k + 1]) - firsts[k])


@compiled_apart
def _prepare_group(group, training):
    """Run both passes of a group's samples, and order their spikes by source."""
    network = training.network
    labels = training.batch.labels
    losses = training.workspace.losses[group.slot]
    n_correct = 0
    for place in range(group.end - group.first):
        loss, predicted = sample_deltas(group, place, training)
        losses[place] = loss
        n_correct += predicted == labels[group.first + place]
        if training.backward.learned_start >= 0:
            learned_gradients(group, place, training)
    training.gradient.counts[group.slot, 0] += n_correct
    for number in range(network.layers.shape[0]):
        _prepare_weights(number, group, training)


@compiled_inline
def _add_current_gradients(group, block, training):
    """Add the weight gradients of constant inputs: ``dL/dw[i][j] = x[i] dL/dc[j]``.

    c is what replaces the biases of the first layer (forward.py), so dL/dc is the
    gradient of the biases.
    """
    currents = training.currents
    sources = currents.sources
    values = currents.values
    offsets = currents.offsets
    gradient = training.gradient.gradients[group.lane]
    touched = training.gradient.touched[group.lane]
    slopes = training.workspace.bias_gradients[group.slot, 0]
    layer = layer_at(training.network.layers, 0)
    size = block.vectors * LANES
    for sample in range(group.first, group.end):
        start = (sample - group.first) * layer.stride + block.column
        for k in range(offsets[sample], offsets[sample + 1]):
            source = np.int64(sources[k])
            if block.column == 0:
                touched[layer.first_row + source] = True
            weights = layer.weight_start + source * layer.stride + block.column
            add_product(gradient, weights, values[k], slopes, start, size)


@compiled_inline
def _add_others(number, group, training):
    """Add the gradients of a layer's biases and learned neurons, sample by sample.

    The losses are added with the last layer.
    """
    network = training.network
    backward = training.backward
    workspace = training.workspace
    slot = group.slot
    n_samples = group.end - group.first
    layer = layer_at(network.layers, number)
    sums = training.gradient.gradients[group.lane]
    touched = training.gradient.touched[group.lane]
    bias_gradients = workspace.bias_gradients[slot, number]
    learned = workspace.learned
    touched[layer.first_row + layer.n_sources] = True
    decay = neuron_at(network, number).decay
    deltas = workspace.deltas[slot, number]
    n_steps = steps_of(training.batch)
    for sample in range(n_samples):
        for unit in range(layer.stride):
            gradient = bias_gradients[sample * layer.stride + unit]
            if network.starts_at_bias:
                gradient = decay * deltas[sample * n_steps * layer.stride + unit]
            sums[layer.bias_start + unit] += gradient
    if backward.learned_start >= 0:
        touched[backward.learned_row + number] = True
        for sample in range(n_samples):
            for place in range(learned.shape[3]):
                start = backward.learned_start + number * LANES
                sums[start + place] += learned[slot, sample, number, place]
    if number == network.layers.shape[0] - 1:
        for sample in range(n_samples):
            training.gradient.losses[group.lane] += workspace.losses[slot, sample]


@compiled_apart
def _add_group(group, number, block, training):
    """Add a prepared group to some columns of a layer's gradient in its lane.

    Biases, learned neurons and losses are added together with the first column.

    Args:
        group: ``Group``.
        number: of the layer.
        block: the columns; all of them if the layer is narrow.
        training: ``TrainingArrays``.
    """
    workspace = training.workspace
    slot = group.slot
    layer = layer_at(training.network.layers, number)
    sums = training.gradient.gradients[group.lane]
    rows = Rows(sums, layer.weight_start, layer.stride)
    deltas = workspace.deltas[slot, number]
    vectors = layer.stride // LANES
    if vectors <= NARROW:
        spikes = _spikes_into(number, group, training)
        n_rows = (group.end - group.first) * steps_of(training.batch)
        accumulate_narrow_rows(rows, vectors, spikes, n_rows, deltas)
    else:
        by_source = _spikes_by_source(number, slot, workspace)
        accumulate_rows(rows, block, by_source, deltas)
    if number == 0 and training.currents.offsets.size > 0:
        _add_current_gradients(group, block, training)
    if block.column == 0:
        _add_others(number, group, training)


@compiled
def add_lanes(lanes, threads, arrays):
    """Transpose the weights, then add the gradients of all lanes.

    One call for both: passing the arrays takes as long as transposing a small network.

    Args:
        lanes: number of lanes.
        threads: number of parts in which the weights are transposed.
        arrays: as for :func:`add_lane`.
    """
    training = named_training(arrays)
    transposed = training.backward.transposed
    transpose_weights(threads, training.network, transposed, threads)
    add_lane(lanes, arrays)


@compiled_parallel
def add_lane(lane, arrays):
    """Add the gradient of the mean loss of one lane's samples.

    Args:
        lane: its number; its slot in the workspace has the same number.
        arrays: ``TrainingArrays`` as plain nested tuples. The transposed weights are up
            to date; gradients, touched rows, losses and counts are added to.
    """
    training = named_training(arrays)
    bounds = training.batch.bounds
    layers = training.network.layers
    stop = bounds[lane + 1]
    for first in range(bounds[lane], stop, GROUP_SAMPLES):
        group = Group(lane, lane, first, min(first + GROUP_SAMPLES, stop))
        _prepare_group(group, training)
        for number in range(layers.shape[0]):
            stride = layer_at(layers, number).stride
            vectors = stride // LANES
            size = block_size(stride) if vectors > NARROW else vectors
            for vector in range(0, vectors, size):
                block = Block(vector * LANES, min(size, vectors - vector))
                _add_group(group, number, block, training)


@compiled_inline
def _group_at(groups, slot):
    """Return the ``Group`` of a slot, from a table of lanes, first samples and ends."""
    return Group(slot, groups[slot, 0], groups[slot, 1], groups[slot, 2])


@compiled_parallel
def prepare_groups(slot, groups, arrays):
    """Run both passes of the samples of one group.

    Args:
        slot: of the group in the workspace.
        groups: lane, first sample and end of each slot's group, int64 [groups, 3].
        arrays: ``TrainingArrays`` as plain nested tuples. The transposed weights are up
            to date; counts and touched rows are added to.
    """
    _prepare_group(_group_at(groups, slot), named_training(arrays))


@compiled_parallel
def add_groups(part, groups, parts, arrays):
    """Add prepared groups to one part of the gradient.

    Args:
        part: of the gradient.
        groups: as for :func:`prepare_groups`; the groups of each lane are in the order
            of its samples.
        parts: lane, layer, first column and number of vectors of each part, int64
            [parts, 4]; together they are the gradient of every lane.
        arrays: ``TrainingArrays`` as plain nested tuples; gradients, touched rows and
            losses are added to.
    """
    training = named_training(arrays)
    lane = parts[part, 0]
    number = parts[part, 1]
    block = Block(column=parts[part, 2], vectors=parts[part, 3])
    for slot in range(groups.shape[0]):
        if groups[slot, 0] == lane:
            _add_group(_group_at(groups, slot), number, block, training)
