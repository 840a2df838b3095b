"""Both passes of one sample, up to the gradient of every membrane potential.

The equations are in spikejoule/network/neurons/lif.py, the spike penalties in
spikejoule/network/learning.py. Learned neuron parameters (one leak and one threshold
per layer) get their gradients from dL/dv and v, which the backward pass leaves in
memory: ``dL/ds[t] * f(v[t] - threshold) = dL/dv[t] - k[t] * dL/dv[t+1]``.
"""

import math

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES
from spikejoule.compiling.streams import stream_start
from spikejoule.engine.kernels.forward import layer_forward, set_biases
from spikejoule.engine.kernels.structures import (
    DECAY_PLACE,
    RESET_BY_SUBTRACTION,
    THRESHOLD_PLACE,
    Block,
    LayerForward,
    Rows,
    Spikes,
    layer_at,
    neuron_at,
    sample_spikes,
)
from spikejoule.engine.learning.kernels.sampling import keep_deltas
from spikejoule.engine.learning.kernels.structures import (
    LAST_READ,
    SPIKES_READ,
    LayerBackward,
    Surrogate,
    steps_of,
)
from spikejoule.engine.learning.kernels.through_time import (
    TILE_VECTORS,
    membrane_deltas,
)


@compiled_inline
def above_target(n_spikes, penalty):
    """Compute the penalty of the spikes of one layer and sample.

    Args:
        n_spikes: of the sample.
        penalty: of the layer: see ``Learning``.

    Returns:
        the penalty, and its derivative by a spike.
    """
    spikes_above = n_spikes - penalty[1]
    by_spike = penalty[0] if spikes_above > 0.0 else 0.0
    return by_spike * spikes_above, by_spike


@compiled_inline
def _spike_costs(n_spikes, number, training, costs):
    """Compute the penalty of one layer's spikes in one sample, and its derivative.

    Args:
        n_spikes: of the sample.
        number: of the layer, from 0 for the first after the input.
        training: ``TrainingArrays``.
        costs: receives the derivative of the batch's mean loss by a spike of each unit,
            real [stride].

    Returns:
        the sample's penalty.
    """
    penalty, by_spike = above_target(n_spikes, training.learning.penalties[number])
    batch_size = training.batch.labels.size
    costs[: layer_at(training.network.layers, number).n_units] = by_spike / batch_size
    return penalty


@compiled_apart
def deltas_through_time(layer):
    """Compute dL/dv of a layer from that of the next one, from the last step to the
    first.

    Args:
        layer: ``LayerBackward``; its deltas and their sums, which are the sample's bias
            gradient, are written.
    """
    vectors = layer.deltas.stride // LANES
    vector = 0
    while vector < vectors:
        # The widest block that fits into the rest of the row.
        width = 1
        for tile_width in TILE_VECTORS:
            if tile_width <= vectors - vector:
                width = tile_width
                break
        membrane_deltas(layer, Block(column=vector * LANES, vectors=width))
        vector += width


@compiled_inline
def cross_entropy(scores, target, batch_size, logit_scale, score_gradient):
    """Compute the cross-entropy of softmax(logit_scale * scores) against a target.

    Args:
        scores: of the classes of one sample, float64 [classes].
        target: target probability of each class, float64 [classes].
        batch_size: number of samples in the mean.
        logit_scale: factor on the scores.
        score_gradient: receives dL/dscores of the batch's mean loss, real [classes].

    Returns:
        the sample's loss and its class, the first maximum of the scores.
    """
    n_classes = scores.size
    best = 0
    for k in range(1, n_classes):
        if scores[k] > scores[best]:
            best = k
    # Relative to the largest score, so that no exponential overflows.
    total = 0.0
    for k in range(n_classes):
        total += math.exp(logit_scale * (scores[k] - scores[best]))
    loss = 0.0
    log_total = math.log(total)
    for k in range(n_classes):
        log_probability = logit_scale * (scores[k] - scores[best]) - log_total
        loss -= target[k] * log_probability
        score_gradient[k] = (
            logit_scale * (math.exp(log_probability) - target[k]) / batch_size
        )
    return loss, best


@compiled_inline
def count_classes(spikes, n_steps, scores):
    """Count the output spikes of each class, ``Spikes`` with T rows, as its score."""
    sources = spikes.sources
    offsets = spikes.offsets
    scores[:] = 0
    for event in range(offsets[0], offsets[n_steps]):
        scores[sources[event]] += 1


@compiled_inline
def read_potentials(readout, potentials, n_steps, neuron, scores, peaks):
    """Take the potential of each class in one step as its score.

    Args:
        readout: a code; not SPIKES_READ.
        potentials: v of the output, ``Rows`` of T steps.
        n_steps: T.
        neuron: ``NeuronConstants`` of the output.
        scores: receives the potentials; on a grid they are saturated.
        peaks: receives the steps: the last, or the first of those with the largest.
    """
    values = potentials.values
    first = 0 if readout != LAST_READ else n_steps - 1
    for k in range(scores.size):
        for step in range(first, n_steps):
            value = values[potentials.start + step * potentials.stride + k]
            if neuron.on_grid:
                value = min(max(value, neuron.lowest), neuron.highest)
            if step == first or value > scores[k]:
                scores[k] = value
                peaks[k] = step


@compiled_inline
def potential_deltas(score_gradient, peaks, decay, n_steps, deltas, sums):
    """Compute dL/dv of an output whose potentials are the scores.

    With g the gradient of a score that was read in step p, from the last step to the
    first: ``d[t] = (g if t == p else 0) + decay * d[t + 1]``.

    Args:
        score_gradient: g of each class, real.
        peaks: p of each class.
        decay: of the output's neurons, real.
        n_steps: T.
        deltas: ``Rows`` of T steps that receive d.
        sums: real; the sum of d over the steps is added for each class.
    """
    values = deltas.values
    nothing = decay * 0
    # Indices are unsigned: numba checks the sign of signed ones.
    n_classes = np.uint64(peaks.size)
    stride = np.uint64(deltas.stride)
    row = np.uint64(deltas.start) + np.uint64(n_steps - 1) * stride
    for step in range(n_steps - 1, -1, -1):
        for k in range(n_classes):
            delta = score_gradient[k] if step == peaks[k] else nothing
            if step < n_steps - 1:
                delta += decay * values[row + stride + k]
            values[row + k] = delta
            sums[k] += delta
        row -= stride


@compiled_inline
def sample_loss(sample, batch, learning, scores, score_gradient):
    """Compute a sample's cross-entropy and class from its scores.

    Args:
        sample: its number in the batch.
        batch, learning: ``LabelledBatch`` and ``Learning``.
        scores: of the classes, float64 [classes].
        score_gradient: receives dL/dscores, real [classes].

    Returns:
        the loss and the class, see :func:`cross_entropy`.
    """
    target = batch.targets[batch.target_rows[sample]]
    return cross_entropy(
        scores, target, batch.labels.size, learning.logit_scale, score_gradient
    )


@compiled_parallel
def transpose_weights(part, network, transposed, parts):
    """Copy one part of the weights of every layer but the first as [target, source].

    Args:
        part: from 0.
        network: ``NetworkArrays``.
        transposed: receives the transposed weights, see ``BackwardArrays``.
        parts: number of parts.
    """
    parameters = network.parameters
    for number in range(1, network.layers.shape[0]):
        layer = layer_at(network.layers, number)
        source_stride = layer_at(network.layers, number - 1).stride
        first = layer.n_sources * part // parts
        end = layer.n_sources * (part + 1) // parts
        for source in range(first, end):
            row = layer.weight_start + source * layer.stride
            for unit in range(layer.n_units):
                place = layer.transposed_start + unit * source_stride + source
                transposed[place] = parameters[row + unit]


@compiled_inline
def _potentials(slot, number, start, training):
    """Return the memory for a sample's potentials of a layer.

    The deltas, which begin at `start`, replace the potentials. That saves a fifth of
    the cache that a group needs. The gradients of learned neurons need both.
    """
    workspace = training.workspace
    if training.backward.learned_start >= 0:
        return workspace.potentials[slot, number]
    return workspace.deltas[slot, number, start:]


@compiled_inline
def _forward(group, place, training):
    """Compute the spikes and potentials of a sample; return its spike penalty.

    Spikes are added to the counts of the group's slot.
    """
    batch = training.batch
    network = training.network
    workspace = training.workspace
    slot = group.slot
    sample = group.first + place
    n_steps = steps_of(batch)
    first_row = place * n_steps
    spike_counts = training.gradient.counts[slot, 1:]
    biases = workspace.biases[slot]
    initial = workspace.initial[slot]
    penalty = 0.0
    own_input = sample_spikes(batch, sample, n_steps)
    sources = own_input.sources
    offsets = own_input.offsets
    spike_counts[0] += offsets[n_steps] - offsets[0]
    for number in range(network.layers.shape[0]):
        layer = layer_at(network.layers, number)
        set_biases(number, sample, training.currents, network, biases, initial)
        forward = LayerForward(
            n_steps=n_steps,
            layer=layer,
            parameters=network.parameters,
            biases=biases,
            initial=initial,
            neuron=neuron_at(network, number),
            potentials=_potentials(slot, number, first_row * layer.stride, training),
            fired=workspace.fired[slot],
        )
        out = Spikes(
            workspace.sources[slot, number],
            workspace.offsets[slot, number, first_row : first_row + n_steps + 1],
        )
        n_spikes = layer_forward(Spikes(sources, offsets), forward, out)
        spike_counts[number + 1] += n_spikes
        if training.learning.penalised:
            penalty += _spike_costs(
                n_spikes, number, training, workspace.costs[slot, number]
            )
        sources = out.sources
        offsets = out.offsets
    return penalty


@compiled_inline
def _backward(group, place, training):
    """Compute dL/dv of every layer of a sample, from the output back."""
    learning = training.learning
    network = training.network
    workspace = training.workspace
    slot = group.slot
    n_steps = steps_of(training.batch)
    first_row = place * n_steps
    last = network.layers.shape[0] - 1
    surrogate = Surrogate(code=learning.surrogate, a=learning.a, b=learning.b)
    scales = training.sampling.scales
    kept = Spikes(workspace.kept[slot], workspace.kept_offsets[slot])
    amplitudes = workspace.amplitudes[slot]
    marked = workspace.marked[slot]
    counts = training.gradient.counts[slot, 2 * network.layers.shape[0] + 2 :]
    for number in range(last, -1, -1):
        layer = layer_at(network.layers, number)
        start = first_row * layer.stride
        # The output has no next layer: n_next is 0, and dL/ds is dL/dscores.
        after = min(number + 1, last)
        following = layer_at(network.layers, after)
        backward = LayerBackward(
            n_steps=n_steps,
            next_deltas=Rows(
                workspace.deltas[slot, after],
                first_row * following.stride,
                following.stride,
            ),
            n_next=following.n_units if number < last else 0,
            sampled=1 if number + 1 < last and scales.size > 0 else 0,
            kept=kept,
            amplitudes=amplitudes,
            next_weights=training.backward.transposed[following.transposed_start :],
            neuron=neuron_at(network, number),
            surrogate=surrogate,
            costs=workspace.costs[slot, number]
            if number < last
            else workspace.score_gradient[slot],
            potentials=_potentials(slot, number, start, training),
            deltas=Rows(workspace.deltas[slot, number], start, layer.stride),
            sums=workspace.bias_gradients[slot, number, place * layer.stride :],
        )
        if number == last and learning.readout != SPIKES_READ:
            _output_deltas(slot, training, backward)
        else:
            deltas_through_time(backward)
        if 0 < number < last and scales.size > 0:
            counts[number] += keep_deltas(
                backward.deltas,
                n_steps,
                scales[number],
                stream_start(
                    training.sampling.key, (group.first + place) * (last + 1) + number
                ),
                kept,
                amplitudes,
                marked,
            )


@compiled_inline
def _read_output(group, place, training):
    """Read the scores of a sample from its output, see ``Workspace``."""
    network = training.network
    workspace = training.workspace
    slot = group.slot
    n_steps = steps_of(training.batch)
    last = network.layers.shape[0] - 1
    scores = workspace.scores[slot]
    if training.learning.readout == SPIKES_READ:
        offsets = workspace.offsets[slot, last, place * n_steps :]
        count_classes(Spikes(workspace.sources[slot, last], offsets), n_steps, scores)
        return
    stride = layer_at(network.layers, last).stride
    read_potentials(
        training.learning.readout,
        Rows(_potentials(slot, last, place * n_steps * stride, training), 0, stride),
        n_steps,
        neuron_at(network, last),
        scores,
        workspace.peaks[slot],
    )


@compiled_inline
def _output_deltas(slot, training, output):
    """Compute dL/dv of an output that integrates, and its bias gradients.

    `output` is its ``LayerBackward``.
    """
    peaks = training.workspace.peaks[slot]
    output.sums[: peaks.size] = 0
    potential_deltas(
        output.costs,
        peaks,
        output.neuron.decay,
        output.n_steps,
        output.deltas,
        output.sums,
    )


@compiled_apart
def sample_deltas(group, place, training):
    """Run both passes of one sample of a group, up to dL/dv of every layer.

    The deltas, spikes and bias gradients of all layers are written to the sample's
    place in the group's slot; spikes are added to the slot's counts.

    Args:
        group: ``Group``.
        place: of the sample in its group, from 0.
        training: ``TrainingArrays``.

    Returns:
        the sample's loss and its class.
    """
    batch = training.batch
    learning = training.learning
    workspace = training.workspace
    slot = group.slot
    penalty = _forward(group, place, training)
    last = training.network.layers.shape[0] - 1
    scores = workspace.scores[slot]
    score_gradient = workspace.score_gradient[slot]
    _read_output(group, place, training)
    loss, predicted = sample_loss(
        group.first + place, batch, learning, scores, score_gradient
    )
    if learning.penalised:
        costs = workspace.costs[slot, last]
        for unit in range(scores.size):
            score_gradient[unit] += costs[unit]
    _backward(group, place, training)
    return loss + penalty, predicted


@compiled_apart
def learned_gradients(group, place, training):
    """Compute one sample's gradients of all leaks and thresholds.

    With ``decay = 1 / (1 + exp(-logit))`` and ``threshold = exp(log)``,

        dL/dlogit = decay * (1 - decay) * sum of dL/dv[t] * u[t-1]
        dL/dlog   = -threshold * sum of dL/ds[t] * f(v[t] - threshold)

    Args:
        group: ``Group``.
        place: of the sample in its group, from 0.
        training: ``TrainingArrays``, whose workspace has the deltas and potentials of
            the sample, and receives the gradients in ``learned``.
    """
    network = training.network
    workspace = training.workspace
    slot = group.slot
    n_steps = steps_of(training.batch)
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
                    if network.starts_at_bias:
                        bias = network.parameters[layer.bias_start + unit]
                        by_decay += delta * float(bias)
                    continue
                # u of the step before, and k of the module text.
                before = float(potentials[(step - 1) * layer.stride + unit])
                left = decay
                if before >= threshold:
                    left = decay if subtracts else 0.0
                    before = before - threshold if subtracts else 0.0
                by_decay += delta * before
                by_threshold -= left * delta
        learned[slot, place, number, DECAY_PLACE] = decay * (1.0 - decay) * by_decay
        # An output that integrates does not use its threshold.
        has_threshold = threshold < math.inf
        by_log = -threshold * by_threshold if has_threshold else 0.0
        learned[slot, place, number, THRESHOLD_PLACE] = by_log
