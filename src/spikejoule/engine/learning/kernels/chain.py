"""The gradient of chains with convolution, pooling and recurrence.

The forward pass is that of engine/kernels/chain.py. Backward, dL/dv of a population is
dense in time. With W the weights to the next population and R the recurrent weights,

    dL/ds[t] = W^T dL/dv_next[t] + R^T dL/dv[t + 1]
    dL/dW    = sum over t of dL/dv_next[t] s[t]^T

The backward pass goes through a population place by place, so that dL/ds of one place
over all steps stays in the first-level cache. A recurrent population needs dL/dv of the
step after, so it goes step by step.

The gradient of a lane is the sum over its samples in their order. A lane is worked by
one thread, and lanes are added in order (optimizer.py), so results do not depend on the
number of threads.
"""

import math
from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE
from spikejoule.compiling.emit import LANES
from spikejoule.engine.kernels.chain import (
    ChainArrays,
    SampleMemory,
    SamplePass,
    aligned_zeros_like,
    link_at,
    new_memory,
    patches_of,
    population_forward,
    single_input,
)
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.patches import Row
from spikejoule.engine.kernels.structures import (
    DECAY_PLACE,
    THRESHOLD_PLACE,
    Array,
    Block,
    ConstantInputs,
    Rows,
    Spikes,
    neuron_at,
    sample_currents,
    sample_spikes,
)
from spikejoule.engine.learning.kernels.deltas import (
    above_target,
    count_classes,
    potential_deltas,
    read_potentials,
    sample_loss,
)
from spikejoule.engine.learning.kernels.patches import (
    Membrane,
    MembraneSums,
    PlaceTaps,
    SpikeGradients,
    add_patch_gradients,
    add_products,
    deltas_of_vector,
)
from spikejoule.engine.learning.kernels.structures import (
    SPIKES_READ,
    BatchGradient,
    LabelledBatch,
    Learning,
    Surrogate,
    steps_of,
    synapses_touched,
)


class ChainBackward(NamedTuple):
    """What the backward pass reads besides ``ChainArrays``; shapes as there.

    Attributes:
        transposed: weights of all links but the first, flat, real.
        members_of: first member of each place, int32 [Q + 1].
        members: positions of the sending population that belong to each place, int32.
        fan_outs: synapses that each source reaches, int64 [N].
        learned_start: as in ``BackwardArrays``.
    """

    transposed: Array
    members_of: Array
    members: Array
    fan_outs: Array
    learned_start: int


class BackwardMemory(NamedTuple):
    """Working memory for one sample at a time, besides ``SampleMemory``.

    Attributes:
        sources: spikes of each population, [L, T * most units + LISTED_AT_ONCE].
        slopes: dL/ds of one place, real [T * most width].
        costs: what a spike of each element adds to the loss by itself, real [U].
        learned: sums for the gradients of learned neuron parameters, real
            [L * 2 * LANES].
        seen: 1 for each source of a link that fires, uint8; zero between calls.
        peaks: as in ``Workspace``, int64 [classes].
        unused: receives what is not needed, real [most width].
    """

    sources: Array
    slopes: Array
    costs: Array
    learned: Array
    seen: Array
    peaks: Array
    unused: Array


class BothPasses(NamedTuple):
    """What both passes of a sample work with.

    One record without nested ones: numba counts the references of all arrays in a
    record each time that it is read.

    Attributes:
        chain, n_steps: as in ``SamplePass``.
        memory: as there; potentials are replaced by dL/dv.
        backward: ``ChainBackward``.
        scratch: ``BackwardMemory``.
    """

    chain: ChainArrays
    memory: SampleMemory
    n_steps: int
    backward: ChainBackward
    scratch: BackwardMemory


class ChainTraining(NamedTuple):
    """All that a training step of a chain reads and writes."""

    batch: LabelledBatch
    currents: ConstantInputs
    learning: Learning
    chain: ChainArrays
    backward: ChainBackward
    gradient: BatchGradient


@compiled_inline
def _named_training(arrays):
    """Return plain nested tuples, as Python passes them, as ``ChainTraining``."""
    batch, currents, learning, chain, backward, gradient = arrays
    return ChainTraining(
        LabelledBatch(*batch),
        ConstantInputs(*currents),
        Learning(*learning),
        ChainArrays(*chain),
        ChainBackward(*backward),
        BatchGradient(*gradient),
    )


@compiled_inline
def _new_backward_memory(chain, backward, n_steps, sources):
    """Return zeroed ``BackwardMemory``, for spikes of the dtype of `sources`."""
    n_layers = chain.constants.shape[0]
    elements = 0
    most_units = 0
    width = 0
    for number in range(n_layers):
        link = link_at(chain.links, number)
        elements += link.stride
        width = max(width, link.width)
        most_units = max(most_units, link.n_units)
    parameters = chain.parameters
    return BackwardMemory(
        sources=np.zeros(
            (n_layers, n_steps * most_units + LISTED_AT_ONCE), sources.dtype
        ),
        slopes=aligned_zeros_like(n_steps * width, parameters),
        costs=aligned_zeros_like(elements, parameters),
        learned=aligned_zeros_like(2 * n_layers * LANES, parameters),
        seen=np.zeros(backward.fan_outs.size, np.uint8),
        peaks=np.zeros(link_at(chain.links, n_layers - 1).n_units, np.int64),
        unused=aligned_zeros_like(width, parameters),
    )


@compiled_inline
def add_place_products(following, place, link, work, n_steps, into):
    """Add dL/ds of all channels at a place, from dL/dv of what the place reaches.

    Args:
        following: dL/dv of the link's population, ``Rows``.
        place: among those of the link.
        link: whose taps lead back.
        work: ``BothPasses``.
        n_steps: steps to do.
        into: receives dL/ds, ``Rows`` with all channels of the place.
    """
    chain = work.chain
    at = link.first_place + place
    place_taps = PlaceTaps(
        chain.taps,
        chain.taps_of[at],
        chain.taps_of[at + 1],
        work.backward.transposed,
        link.reach,
    )
    vectors = into.stride // LANES
    size = block_size(into.stride)
    for vector in range(0, vectors, size):
        block = Block(column=vector * LANES, vectors=min(size, vectors - vector))
        add_products(following, place_taps, block, n_steps, into)


@compiled_apart
def population_backward(number, work, surrogate, gradient):
    """Compute dL/dv of a population from that of the next, and its bias gradients.

    Args:
        number: of the population's link.
        work: ``BothPasses``, whose potentials hold v of this population and receive
            dL/dv in its place; ``scratch.learned`` receives sums as well.
        surrogate: ``Surrogate``.
        gradient: the lane's, flat [P]; its biases receive.
    """
    chain = work.chain
    backward = work.backward
    scratch = work.scratch
    n_steps = work.n_steps
    deltas = work.memory.potentials
    slopes = scratch.slopes
    link = link_at(chain.links, number)
    following = link_at(chain.links, number + 1)
    own = link_at(chain.links, link.recurrent)
    membrane = Membrane(neuron_at(chain, number), surrogate)
    factor = chain.factors[number + 1]
    width = link.width
    stride = link.stride
    start = link.first_unit * (n_steps + 1)
    next_deltas = Rows(deltas, following.first_unit * (n_steps + 1), following.stride)
    learned = Rows(scratch.learned, 2 * number * LANES, LANES)
    # Initial potentials have gradients of their own.
    biases = scratch.unused if chain.starts_at_bias else gradient
    bias_start = 0 if chain.starts_at_bias else link.bias_start
    # No step follows the last one.
    deltas[start + n_steps * stride : start + (n_steps + 1) * stride] = 0
    # dL/ds of a recurrent population depends on dL/dv of the step after, so its steps
    # go one by one. All others go through all steps at once, with fewer calls.
    at_once = 1 if link.recurrent > 0 else n_steps
    for place in range(following.n_places):
        slopes[: n_steps * width] = 0
        of_place = Rows(slopes, 0, width)
        add_place_products(next_deltas, place, following, work, n_steps, of_place)
        at = following.first_place + place
        for step in range(n_steps - at_once, -1, -at_once):
            if link.recurrent > 0 and step + 1 < n_steps:
                later = Rows(deltas, start + (step + 1) * stride, stride)
                of_step = Rows(slopes, step * width, width)
                add_place_products(later, 0, own, work, 1, of_step)
            for member in range(backward.members_of[at], backward.members_of[at + 1]):
                first = np.int64(backward.members[member]) * width
                for column in range(0, width, LANES):
                    element = first + column
                    deltas_of_vector(
                        SpikeGradients(
                            Rows(slopes, step * width + column, width),
                            factor,
                            Row(scratch.costs, link.first_unit + element),
                        ),
                        Rows(deltas, start + step * stride + element, stride),
                        at_once,
                        membrane,
                        MembraneSums(Row(biases, bias_start + column), learned),
                    )


@compiled_inline
def _output_backward(work, gradient):
    """Compute dL/dv of an output that integrates, and its bias gradients.

    See `population_backward`; ``scratch.costs`` are dL/dscores.
    """
    chain = work.chain
    n_steps = work.n_steps
    number = chain.constants.shape[0] - 1
    link = link_at(chain.links, number)
    potentials = work.memory.potentials
    start = link.first_unit * (n_steps + 1)
    # The deltas replace v, which the gradient of the leak needs.
    before = potentials[start : start + n_steps * link.stride].copy()
    potential_deltas(
        work.scratch.costs[link.first_unit :],
        work.scratch.peaks,
        neuron_at(chain, number).decay,
        n_steps,
        Rows(potentials, start, link.stride),
        work.scratch.unused if chain.starts_at_bias else gradient[link.bias_start :],
    )
    for place in range(before.size - link.stride):
        after = start + link.stride + place
        work.scratch.learned[2 * number * LANES] += potentials[after] * before[place]


@compiled_inline
def _add_initial(number, work, gradient):
    """Add the gradients of biases that are initial potentials, and of their leak."""
    chain = work.chain
    link = link_at(chain.links, number)
    deltas = work.memory.potentials
    start = link.first_unit * (work.n_steps + 1)
    decay = neuron_at(chain, number).decay
    for element in range(link.stride):
        place = link.bias_start + element % link.width
        delta = deltas[start + element]
        gradient[place] += decay * delta
        work.scratch.learned[2 * number * LANES] += delta * chain.parameters[place]


@compiled_inline
def _add_learned(number, work, gradient):
    """Add the gradients of a population's learned leak and threshold.

    The formulas are those of ``deltas.learned_gradients``. The sums are zeroed for the
    next sample, also where nothing is learned.
    """
    learned_start = work.backward.learned_start
    neuron = neuron_at(work.chain, number)
    learned = work.scratch.learned
    decay = float(neuron.decay)
    threshold = float(neuron.threshold)
    first = 2 * number * LANES
    by_decay = 0.0
    by_threshold = 0.0
    for lane in range(LANES):
        by_decay += learned[first + lane]
        by_threshold -= learned[first + LANES + lane]
    learned[first : first + 2 * LANES] = 0
    if learned_start >= 0:
        start = learned_start + number * LANES
        gradient[start + DECAY_PLACE] += decay * (1.0 - decay) * by_decay
        # An output that integrates does not use its threshold.
        if threshold < math.inf:
            gradient[start + THRESHOLD_PLACE] += threshold * by_threshold


@compiled_apart
def weight_gradient(number, delay, spikes, work, gradient):
    """Add one sample's gradient of the weights of a link.

    Args:
        number: of the link.
        delay: steps after which spikes arrive: 1 for a recurrent link, else 0.
        spikes: what the link receives, ``Spikes`` with T rows.
        work: ``BothPasses``, whose potentials hold dL/dv of the link's population.
        gradient: the lane's, flat [P].

    Returns:
        the synaptic events, including those of spikes in the last step, which a
        recurrent link would deliver after the end.
    """
    chain = work.chain
    n_steps = work.n_steps
    link = link_at(chain.links, number)
    patches = patches_of(chain, link, chain.factors[number])
    deltas = work.memory.potentials
    row = link.first_unit * (n_steps + 1) + delay * link.stride
    for step in range(n_steps - delay):
        add_patch_gradients(spikes, step, patches, gradient, Row(deltas, row))
        row += link.stride
    return _synaptic_events(link, spikes, work)


@compiled_inline
def _synaptic_events(link, spikes, work):
    """Count the synaptic events that spikes cause through a link."""
    sources = spikes.sources
    offsets = spikes.offsets
    fan_outs = work.backward.fan_outs
    events = np.int64(0)
    first = np.uint64(link.first_source)
    for event in range(np.uint64(offsets[0]), np.uint64(offsets[work.n_steps])):
        events += fan_outs[first + np.uint64(sources[event])]
    return events


@compiled_inline
def _synapses_touched(link, n_sources, spikes, work):
    """Count the synapses of a link that a sample's spikes reach, each once."""
    end = link.first_source + n_sources
    fan_outs = work.backward.fan_outs[link.first_source : end]
    seen = work.scratch.seen[:n_sources]
    return synapses_touched(spikes, 0, work.n_steps, fan_outs, seen)


@compiled_inline
def _current_gradient(currents, work, gradient):
    """Add the gradient of the first link's weights from a sample's constant inputs.

    A constant input x acts in every step, so its weights receive x times the sum of
    dL/dv over the steps.
    """
    chain = work.chain
    link = link_at(chain.links, 0)
    deltas = work.memory.potentials
    sums = work.memory.biases
    sums[: link.stride] = 0
    for step in range(work.n_steps):
        for element in range(link.stride):
            sums[element] += deltas[step * link.stride + element]
    for k in range(currents.offsets[0], currents.offsets[1]):
        patches = patches_of(chain, link, chain.factors[0] * currents.values[k])
        source = single_input(currents, k, work.memory)
        add_patch_gradients(source, 0, patches, gradient, Row(sums, 0))


@compiled_inline
def _spike_costs(number, n_spikes, work, penalties, batch_size):
    """Set the cost of each spike of a population, and return the sample's penalty.

    See ``deltas._spike_costs``. The costs of all elements are ``scratch.costs``, [U].
    """
    chain = work.chain
    costs = work.scratch.costs
    link = link_at(chain.links, number)
    units = chain.units
    penalty, by_spike = above_target(n_spikes, penalties[number])
    for element in range(link.first_unit, link.first_unit + link.stride):
        if units[element] >= 0:
            costs[element] = by_spike / batch_size
    return penalty


@compiled_inline
def _forward(sample, training, forward, work, counts):
    """Run a sample through all populations; return its penalty.

    Leaves the cost of each spike in ``scratch.costs`` where spikes are penalised.
    """
    scratch = work.scratch
    memory = forward.memory
    n_steps = forward.n_steps
    learning = training.learning
    batch_size = training.batch.labels.size
    penalty = 0.0
    spikes = sample_spikes(training.batch, sample, n_steps)
    currents = sample_currents(training.currents, sample)
    # Two arrays and not one tuple change from layer to layer: numba finds one type for
    # slightly different arrays, but not for the named tuples that hold them.
    sources = spikes.sources
    offsets = spikes.offsets
    counts[1] += offsets[n_steps] - offsets[0]
    for number in range(forward.chain.constants.shape[0]):
        received = Spikes(sources, offsets)
        sources = scratch.sources[number]
        offsets = memory.offsets[number]
        out = Spikes(sources, offsets)
        n_spikes = population_forward(number, received, currents, forward, out)
        counts[2 + number] += n_spikes
        if learning.penalised:
            penalty += _spike_costs(
                number, n_spikes, work, learning.penalties, batch_size
            )
    return penalty


@compiled_inline
def _loss(sample, training, work, counts):
    """Return a sample's cross-entropy; add its derivatives to the output's costs."""
    scratch = work.scratch
    learning = training.learning
    last = work.chain.constants.shape[0] - 1
    output = link_at(work.chain.links, last)
    scores = np.zeros(output.n_units)
    score_gradient = np.zeros(output.n_units, work.chain.parameters.dtype)
    if learning.readout == SPIKES_READ:
        spikes = Spikes(scratch.sources[last], work.memory.offsets[last])
        count_classes(spikes, work.n_steps, scores)
    else:
        start = output.first_unit * (work.n_steps + 1)
        read_potentials(
            learning.readout,
            Rows(work.memory.potentials, start, output.stride),
            work.n_steps,
            neuron_at(work.chain, last),
            scores,
            scratch.peaks,
        )
    loss, predicted = sample_loss(
        sample, training.batch, learning, scores, score_gradient
    )
    counts[0] += predicted == training.batch.labels[sample]
    costs = scratch.costs[output.first_unit :]
    for unit in range(output.n_units):
        costs[unit] = score_gradient[unit] + (costs[unit] if learning.penalised else 0)
    return loss


@compiled_inline
def _backward(sample, training, work, counts, gradient):
    """Add a sample's gradient to that of its lane, and count what its spikes reach."""
    chain = work.chain
    sources = work.scratch.sources
    offsets = work.memory.offsets
    n_steps = work.n_steps
    learning = training.learning
    surrogate = Surrogate(code=learning.surrogate, a=learning.a, b=learning.b)
    n_layers = chain.constants.shape[0]
    events = counts[2 + n_layers :]
    n_connections = (counts.size - 2 * n_layers - 2) // 2
    touched = counts[counts.size - n_connections :]
    for number in range(n_layers - 1, -1, -1):
        if number == n_layers - 1 and learning.readout != SPIKES_READ:
            _output_backward(work, gradient)
        else:
            population_backward(number, work, surrogate, gradient)
        if chain.starts_at_bias:
            _add_initial(number, work, gradient)
        _add_learned(number, work, gradient)
        link = link_at(chain.links, number)
        received = sample_spikes(training.batch, sample, n_steps)
        if number > 0:
            received = Spikes(sources[number - 1], offsets[number - 1])
        events[link.counted] += weight_gradient(number, 0, received, work, gradient)
        if number > 0:
            n_sources = link_at(chain.links, number - 1).n_units
        else:
            n_sources = link_at(chain.links, 1).first_source
        touched[link.counted] += _synapses_touched(link, n_sources, received, work)
        if link.recurrent > 0:
            counted = link_at(chain.links, link.recurrent).counted
            emitted = Spikes(sources[number], offsets[number])
            events[counted] += weight_gradient(
                link.recurrent, 1, emitted, work, gradient
            )
            own = link_at(chain.links, link.recurrent)
            touched[counted] += _synapses_touched(own, own.n_units, emitted, work)
    currents = sample_currents(training.currents, sample)
    if currents.offsets.size > 0:
        _current_gradient(currents, work, gradient)


@compiled_parallel
def add_lane(lane, arrays):
    """Add the gradient of the mean loss of one lane's samples.

    Args:
        lane: its number.
        arrays: ``ChainTraining`` as plain nested tuples. The transposed weights are up
            to date; gradients, touched rows, losses and counts are written.
    """
    training = _named_training(arrays)
    batch = training.batch
    chain = training.chain
    total = training.gradient
    n_steps = steps_of(batch)
    backward = training.backward
    memory = new_memory(chain, n_steps)
    scratch = _new_backward_memory(chain, backward, n_steps, batch.sources)
    forward = SamplePass(chain, memory, n_steps)
    work = BothPasses(chain, memory, n_steps, backward, scratch)
    counts = total.counts[lane]
    gradient = total.gradients[lane]
    loss = 0.0
    total.touched[lane] = True
    for sample in range(batch.bounds[lane], batch.bounds[lane + 1]):
        loss += _forward(sample, training, forward, work, counts)
        loss += _loss(sample, training, work, counts)
        _backward(sample, training, work, counts, gradient)
    total.losses[lane] = loss
