"""Both passes of one sample, up to the gradient of every membrane potential.

The equations are in spikejoule/network/neurons/lif.py, and what spikes cost beside the
error that they make in spikejoule/network/learning.py. The gradients of the neurons'
own parameters, one leak and one threshold a layer, come from dL/dv and v, which the
backward pass leaves behind, since ``dL/ds[t] * f(v[t] - threshold)`` is what dL/dv[t]
has beyond ``k[t] * dL/dv[t+1]``.
"""

import math

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.forward import drive, layer_forward
from spikejoule.engine.kernels.structures import (
    DECAY_PLACE,
    RESET_BY_SUBTRACTION,
    THRESHOLD_PLACE,
    Block,
    Rows,
    Spikes,
    Surrogate,
    layer_at,
    neuron_at,
    sample_spikes,
    with_bias_at,
)
from spikejoule.engine.kernels.through_time import TILE_VECTORS, membrane_deltas


@compiled_inline
def above_targets(n_spikes, n_events, penalties):
    """What the spikes and synaptic events of a layer cost in one sample.

    Args:
        n_spikes, n_events: of the sample.
        penalties: of the layer: see ``Learning``.

    Returns:
        the penalty, and its derivatives by a spike and by an event.
    """
    spikes_above = n_spikes - penalties[1]
    events_above = n_events - penalties[3]
    by_spike = penalties[0] if spikes_above > 0.0 else 0.0
    by_event = penalties[2] if events_above > 0.0 else 0.0
    return by_spike * spikes_above + by_event * events_above, by_spike, by_event


@compiled_inline
def spike_costs(spikes, n_steps, number, network, batch_size, penalties, costs):
    """The penalty of one layer's spikes in one sample, and its derivative by each
    spike.

    Args:
        spikes: the layer's, ``Spikes`` of T rows.
        n_steps: T.
        number: of the layer, from 0 for the first after the input.
        network: ``NetworkArrays``; of a spike's synapses, it knows how many are left.
        batch_size: samples that the mean goes over.
        penalties: of each layer, see ``Learning``.
        costs: receives what a spike of each unit adds to the batch's mean loss, real
            [stride].

    Returns:
        the sample's penalty.
    """
    sources = spikes.sources
    offsets = spikes.offsets
    fan_outs = network.fan_outs
    # The output's spikes reach no synapse.
    has_synapses = number + 1 < network.layers.shape[0]
    first_row = (
        layer_at(network.layers, number + 1).first_row if has_synapses else np.int64(0)
    )
    n_events = np.int64(0)
    if has_synapses:
        for event in range(offsets[0], offsets[n_steps]):
            n_events += fan_outs[first_row + sources[event]]
    penalty, by_spike, by_event = above_targets(
        offsets[n_steps] - offsets[0], n_events, penalties[number]
    )
    for unit in range(layer_at(network.layers, number).n_units):
        cost = by_spike
        if has_synapses:
            cost += by_event * fan_outs[first_row + unit]
        costs[unit] = cost / batch_size
    return penalty


@compiled_apart
def deltas_through_time(
    following,
    n_following,
    weights,
    deltas,
    potentials,
    n_steps,
    neuron,
    surrogate,
    costs,
    sums,
    sums_start,
):
    """dL/dv of a layer from dL/dv of the next one, from the last step to the first, and
    its sum.

    ``dL/ds = costs + following @ weights`` is computed for a few steps at a time and
    goes through time while it is in registers.

    Args:
        following: dL/dv of the next layer, ``Rows`` of T steps.
        n_following: units of the next layer; 0 for the output.
        weights: of the next layer, transposed: [n_following, stride of the deltas].
        deltas: ``Rows`` [T, stride] that receive dL/dv.
        potentials: flat [T * stride]; the deltas may take their place.
        n_steps: T.
        neuron, surrogate: their constants.
        costs: what a spike of each unit adds to the loss by itself, [stride].
        sums: receives the sums, which are the sample's part of the biases' gradient.
        sums_start: where in it.
    """
    vectors = deltas.stride // LANES
    vector = 0
    while vector < vectors:
        width = 1
        for tile_width in TILE_VECTORS:
            if tile_width <= vectors - vector:
                width = tile_width
                break
        membrane_deltas(
            following,
            n_following,
            weights,
            deltas,
            potentials,
            Block(column=vector * LANES, vectors=width),
            n_steps,
            neuron,
            surrogate,
            costs,
            sums,
            sums_start,
        )
        vector += width


@compiled_inline
def cross_entropy(counts, target, batch_size, logit_scale, count_gradient):
    """Cross-entropy of the softmax of ``logit_scale * counts`` against a target.

    Args:
        counts: output spikes of one sample, int64 [classes].
        target: probability that each class should have, float64 [classes].
        batch_size: samples that the mean goes over.
        logit_scale: factor on the counts.
        count_gradient: receives dL/dcounts of the batch's mean loss, real [classes].

    Returns:
        the sample's loss and its class, the first maximum of the counts.
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
    log_total = math.log(total)
    for k in range(n_classes):
        log_probability = logit_scale * (counts[k] - counts[best]) - log_total
        loss -= target[k] * log_probability
        count_gradient[k] = (
            logit_scale * (math.exp(log_probability) - target[k]) / batch_size
        )
    return loss, best


@compiled_inline
def class_loss(sample, spikes, n_steps, batch, learning, counts, count_gradient):
    """A sample's cross-entropy and class, by the output's spikes; see
    :func:`cross_entropy`.

    Args:
        sample: its number in the batch.
        spikes: the output's, ``Spikes`` of T rows.
        n_steps: T.
        batch, learning: see structures.py.
        counts: receives the spikes of each class.
        count_gradient: receives dL/dcounts.
    """
    sources = spikes.sources
    offsets = spikes.offsets
    counts[:] = 0
    for event in range(offsets[0], offsets[n_steps]):
        counts[sources[event]] += 1
    target = batch.targets[batch.target_rows[sample]]
    return cross_entropy(
        counts, target, batch.labels.size, learning.logit_scale, count_gradient
    )


@compiled_parallel
def transpose_weights(part, network, parts):
    """Copy one part of the weights of every layer but the first as
    [target, source stride].

    Args:
        part: from 0.
        network: ``NetworkArrays``, whose transposed weights receive.
        parts: how many.
    """
    parameters = network.parameters
    transposed = network.transposed
    for number in range(1, network.layers.shape[0]):
        layer = layer_at(network.layers, number)
        source_stride = layer_at(network.layers, number - 1).stride
        for source in range(
            layer.n_sources * part // parts, layer.n_sources * (part + 1) // parts
        ):
            row = layer.weight_start + source * layer.stride
            for unit in range(layer.n_units):
                place = layer.transposed_start + unit * source_stride + source
                transposed[place] = parameters[row + unit]


@compiled_inline
def _potentials_of(slot, number, start, network, workspace):
    """Where a sample's potentials of a layer lie, whose deltas begin at `start`.

    The deltas take their place, which saves the cache a fifth of what a group needs,
    unless the gradients of what neurons learn need both.
    """
    if network.learned_start >= 0:
        return workspace.potentials[slot, number]
    return workspace.deltas[slot, number, start:]


@compiled_inline
def _sample_forward(
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
):
    """The spikes and potentials of a sample; returns the penalty; see
    :func:`sample_deltas`.
    """
    rows = place * n_steps
    penalty = 0.0
    into = sample_spikes(batch, sample, n_steps)
    sources = into.sources
    offsets = into.offsets
    spike_counts[0] += offsets[n_steps] - offsets[0]
    for number in range(network.layers.shape[0]):
        layer = layer_at(network.layers, number)
        parameters = network.parameters
        if number == 0 and currents.offsets.size > 0:
            parameters = workspace.driven[slot]
            drive(sample, currents, layer, network.parameters, parameters)
            layer = with_bias_at(layer, np.int64(0))
        out = Spikes(
            workspace.sources[slot, number],
            workspace.offsets[slot, number, rows : rows + n_steps + 1],
        )
        spike_counts[number + 1] += layer_forward(
            Spikes(sources, offsets),
            layer,
            parameters,
            neuron_at(network, number),
            n_steps,
            _potentials_of(slot, number, rows * layer.stride, network, workspace),
            workspace.fired[slot],
            out,
        )
        sources = out.sources
        offsets = out.offsets
        if learning.penalised:
            costs = workspace.costs[slot, number]
            penalty += spike_costs(
                out,
                n_steps,
                number,
                network,
                batch.labels.size,
                learning.penalties,
                costs,
            )
    return penalty


@compiled_apart
def sample_deltas(
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
):
    """Both passes of the sample at a place of its group, up to dL/dv of every layer.

    Leaves the deltas, the spikes and the bias gradients of the layers at that place of
    the group's slot, and adds to the spike counts.

    Args:
        slot: of the group.
        place: of the sample in its group, from 0.
        sample: its number in the batch.
        batch, currents, learning, network, workspace: see structures.py.
        n_steps: T.
        spike_counts: of each layer, the input first, int64 [L + 1].

    Returns:
        the sample's loss and its class.
    """
    last = network.layers.shape[0] - 1
    rows = place * n_steps
    surrogate = Surrogate(code=learning.surrogate, a=learning.a, b=learning.b)
    penalty = _sample_forward(
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
    output = Spikes(workspace.sources[slot, last], workspace.offsets[slot, last, rows:])
    counts = workspace.class_counts[slot]
    count_gradient = workspace.count_gradient[slot]
    loss, found = class_loss(
        sample, output, n_steps, batch, learning, counts, count_gradient
    )
    if learning.penalised:
        costs = workspace.costs[slot, last]
        for unit in range(counts.size):
            count_gradient[unit] += costs[unit]
    for number in range(last, -1, -1):
        layer = layer_at(network.layers, number)
        # Behind the last layer none follows, and an output spike costs what the loss
        # makes of it.
        after = min(number + 1, last)
        following = layer_at(network.layers, after)
        deltas_through_time(
            Rows(
                workspace.deltas[slot, after], rows * following.stride, following.stride
            ),
            following.n_units if number < last else 0,
            network.transposed[following.transposed_start :],
            Rows(workspace.deltas[slot, number], rows * layer.stride, layer.stride),
            _potentials_of(slot, number, rows * layer.stride, network, workspace),
            n_steps,
            neuron_at(network, number),
            surrogate,
            workspace.costs[slot, number] if number < last else count_gradient,
            workspace.biases[slot, number],
            place * layer.stride,
        )
    return loss + penalty, found


@compiled_apart
def learned_gradients(slot, place, n_steps, network, workspace):
    """The gradients of all leaks and thresholds from the sample at a place of its
    group.

    With ``decay = 1 / (1 + exp(-logit))`` and ``threshold = exp(log)``,

        dL/dlogit = decay * (1 - decay) * sum of dL/dv[t] * u[t-1]
        dL/dlog   = -threshold * sum of dL/ds[t] * f(v[t] - threshold)

    Args:
        slot: of the group.
        place: of the sample in its group, from 0.
        n_steps: T.
        network: see structures.py.
        workspace: with the deltas and potentials of the sample; its ``learned``
            receives.
    """
    learned = workspace.learned
    for number in range(network.layers.shape[0]):
        layer = layer_at(network.layers, number)
        neuron = neuron_at(network, number)
        deltas = workspace.deltas[slot, number]
        potentials = workspace.potentials[slot, number]
        threshold = float(neuron.threshold)
        decay = float(neuron.decay)
        subtracts = neuron.reset == RESET_BY_SUBTRACTION
        by_decay = 0.0
        by_threshold = 0.0
        for step in range(n_steps):
            row = (place * n_steps + step) * layer.stride
            for unit in range(layer.n_units):
                delta = float(deltas[row + unit])
                by_threshold += delta
                if step == 0:
                    continue
                before = float(potentials[(step - 1) * layer.stride + unit])
                left = decay
                if before >= threshold:
                    left = decay if subtracts else 0.0
                    before = before - threshold if subtracts else 0.0
                by_decay += delta * before
                by_threshold -= left * delta
        learned[slot, place, number, DECAY_PLACE] = decay * (1.0 - decay) * by_decay
        learned[slot, place, number, THRESHOLD_PLACE] = -threshold * by_threshold
