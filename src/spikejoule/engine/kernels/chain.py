"""Forward and backward pass of chains with convolution, pooling and recurrence.

Forward, a spike adds a patch of weights to the potentials of the next population
(patches.py). Backward, dL/dv of a population is dense in time. With W the weights to
the next population and R the recurrent weights,

    dL/ds[t] = W^T dL/dv_next[t] + R^T dL/dv[t + 1]
    dL/dW    = sum over t of dL/dv_next[t] s[t]^T

The backward pass goes through a population place by place, so that dL/ds of one place
over all steps stays in the first-level cache. A recurrent population needs dL/dv of the
step after, so it goes step by step. Pooling takes no kernel of its own: all positions
of a pooling window are one place, and reach the same taps.

The gradient of a lane is the sum over its samples in their order. A lane is worked by
one thread, and lanes are added in order (optimizer.py), so results do not depend on the
number of threads. The neuron's equations are in spikejoule/network/neurons/lif.py.
"""

from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_set_bits
from spikejoule.compiling.emit import CACHE_LINE_BYTES, LANES
from spikejoule.compiling.numba_private import to_fixed_tuple
from spikejoule.engine.kernels.deltas import above_target, class_loss
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.patches import (
    Membrane,
    MembraneSums,
    Patches,
    PlaceTaps,
    Row,
    SpikeGradients,
    add_patch_gradients,
    add_patches,
    add_products,
    deltas_of_vector,
    fire_and_leak,
)
from spikejoule.engine.kernels.structures import (
    DECAY_PLACE,
    THRESHOLD_PLACE,
    Array,
    BatchGradient,
    Block,
    ConstantInputs,
    LabelledBatch,
    Learning,
    Rows,
    Spikes,
    Surrogate,
    neuron_at,
    sample_currents,
    sample_spikes,
    steps_of,
    synapses_touched,
)


class Link(NamedTuple):
    """A connection and the population that it leads to.

    The neurons of a population are stored by position of its plane, and within a
    position by channel: `width` elements, the channels of each group padded to whole
    vectors. Events number the neurons as units instead, channel by channel.

    Attributes:
        n_units: neurons.
        positions: positions of the plane; 1 for a fully connected layer.
        width: elements per position.
        stride: elements of the population.
        vectors: vectors of weights per tap.
        bias_start: the [width] biases among the parameters.
        first_source: the connection's first row in the table of sources.
        first_place: the connection's first place; with pooling there are fewer places
            than positions.
        n_places: number of places.
        reach: elements of a position up to its last neuron.
        first_unit: the population's first element in tables of all elements.
        is_ordered: whether elements are in the order of the units.
        recurrent: the link from the population to itself; 0 if there is none.
        counted: the connection's index among the counts of synaptic events.
    """

    n_units: int
    positions: int
    width: int
    stride: int
    vectors: int
    bias_start: int
    first_source: int
    first_place: int
    n_places: int
    reach: int
    first_unit: int
    is_ordered: int
    recurrent: int
    counted: int


N_FIELDS = len(Link._fields)


class ChainArrays(NamedTuple):
    """The parameters, neurons and tables of a network.

    N sources of all links, Q places, A taps, U elements of all populations.

    Attributes:
        links: the link to each population, then one without taps for the reader of the
            output, then the recurrent ones, int64 [K, fields of Link].
        parameters: flat, real [P].
        transposed: weights of all links but the first, flat, real.
        sources, taps_of, taps: see :class:`patches.Patches`.
        members_of: first member of each place, int32 [Q + 1].
        members: positions of the sending population that belong to each place, int32.
        units: the unit of each element, -1 in the padding, int32 [U].
        elements: empty; its dtype holds the number of any element of a population.
        fan_outs: synapses that each source reaches, int64 [N].
        factors: factor on the weights of each link: 1, or 1 / window size behind
            average pooling, real [K].
        constants, reset, on_grid, learned_start: as in ``NetworkArrays``.
    """

    links: Array
    parameters: Array
    transposed: Array
    sources: Array
    taps_of: Array
    taps: Array
    members_of: Array
    members: Array
    units: Array
    elements: Array
    fan_outs: Array
    factors: Array
    constants: Array
    reset: int
    on_grid: int
    learned_start: int


class SampleMemory(NamedTuple):
    """Working memory for one sample at a time.

    Attributes:
        deltas: v, and later dL/dv, of each population, with one row behind the last
            step, real [U * (T + 1)].
        sources: spikes of each population, [L, T * most units + LISTED_AT_ONCE].
        offsets: where their steps begin, int64 [L, T + 1].
        slopes: dL/ds of one place, real [T * most width].
        costs: what a spike of each element adds to the loss by itself, real [U].
        learned: sums for the gradients of learned neuron parameters, real
            [L * 2 * LANES].
        biases: what each element of a population receives in every step, real.
        fired: one bit per element, uint16.
        listed: elements that fired.
        bits: one bit per unit, uint16; zero between steps.
        pair: first and end of a row with one spike, int64 [2].
        seen: 1 for each source of a link that fires, uint8; zero between calls.
    """

    deltas: Array
    sources: Array
    offsets: Array
    slopes: Array
    costs: Array
    learned: Array
    biases: Array
    fired: Array
    listed: Array
    bits: Array
    pair: Array
    seen: Array


class SamplePass(NamedTuple):
    """What both passes of a sample work with.

    Attributes:
        chain: the network.
        memory: working memory.
        n_steps: T.
    """

    chain: ChainArrays
    memory: SampleMemory
    n_steps: int


class ChainTraining(NamedTuple):
    """All that a training step of a chain reads and writes."""

    batch: LabelledBatch
    currents: ConstantInputs
    learning: Learning
    chain: ChainArrays
    gradient: BatchGradient


@compiled_inline
def _named_training(arrays):
    """Return plain nested tuples, as Python passes them, as ``ChainTraining``."""
    batch, currents, learning, chain, gradient = arrays
    return ChainTraining(
        LabelledBatch(*batch),
        ConstantInputs(*currents),
        Learning(*learning),
        ChainArrays(*chain),
        BatchGradient(*gradient),
    )


@compiled_inline
def link_at(links, number):
    """Return link `number`, counted from 0."""
    return Link(*to_fixed_tuple(links[number], N_FIELDS))


@compiled_inline
def _aligned_zeros(size, like):
    """Return zeros of the dtype of `like` that start on a cache line."""
    # numba has no aligned allocation. A vector that straddles two cache lines costs two
    # accesses.
    zeros = np.zeros(size + LANES, like.dtype)
    start = (-zeros.ctypes.data % CACHE_LINE_BYTES) // zeros.itemsize
    return zeros[start : start + size]


@compiled_inline
def _new_memory(chain, n_steps, sources):
    """Return zeroed ``SampleMemory``, for spikes of the dtype of `sources`."""
    n_layers = chain.constants.shape[0]
    elements = 0
    widest = 0
    most_units = 0
    width = 0
    for number in range(n_layers):
        link = link_at(chain.links, number)
        elements += link.stride
        widest = max(widest, link.stride)
        width = max(width, link.width)
        most_units = max(most_units, link.n_units)
    parameters = chain.parameters
    element_type = chain.elements
    return SampleMemory(
        deltas=_aligned_zeros(elements * (n_steps + 1), parameters),
        sources=np.zeros(
            (n_layers, n_steps * most_units + LISTED_AT_ONCE), sources.dtype
        ),
        offsets=np.zeros((n_layers, n_steps + 1), np.int64),
        slopes=_aligned_zeros(n_steps * width, parameters),
        costs=_aligned_zeros(elements, parameters),
        learned=_aligned_zeros(2 * n_layers * LANES, parameters),
        biases=_aligned_zeros(widest, parameters),
        fired=np.zeros(widest // LANES, np.uint16),
        listed=np.zeros(widest + LISTED_AT_ONCE, element_type.dtype),
        bits=np.zeros(widest // LANES + 1, np.uint16),
        pair=np.zeros(2, np.int64),
        seen=np.zeros(chain.fan_outs.size, np.uint8),
    )


@compiled_inline
def _patches(chain, link, factor):
    """Return the ``Patches`` of a link, with its weights times `factor`."""
    return Patches(
        chain.sources,
        chain.taps_of,
        chain.taps,
        link.first_source,
        link.vectors,
        factor,
    )


@compiled_inline
def _single(currents, k, memory):
    """Return constant input `k` as a row with one spike.

    A constant input adds the same patch as a spike, only with another factor.
    """
    pair = memory.pair
    pair[0] = k
    pair[1] = k + 1
    return Spikes(currents.sources, pair)


@compiled_inline
def _set_biases(number, currents, work):
    """Set what each element of a population receives in every step.

    That is its bias, and in the first population the constant inputs as well.
    """
    chain = work.chain
    link = link_at(chain.links, number)
    parameters = chain.parameters
    biases = work.memory.biases
    for position in range(link.positions):
        for column in range(link.width):
            bias = parameters[link.bias_start + column]
            biases[position * link.width + column] = bias
    if number == 0 and currents.offsets.size > 0:
        for k in range(currents.offsets[0], currents.offsets[1]):
            patches = _patches(chain, link, chain.factors[0] * currents.values[k])
            source = _single(currents, k, work.memory)
            add_patches(source, 0, patches, parameters, Row(biases, 0))


@compiled_inline
def _list_spikes(link, units, memory, sources, count):
    """Write the units whose elements fired to `sources` from `count` on.

    Returns:
        the end of the list.
    """
    fired = memory.fired
    words = link.stride // LANES
    if link.is_ordered:
        return list_set_bits(fired, words, sources, count)
    # Elements are ordered by position, events by channel. Setting one bit per unit and
    # listing those bits sorts the units without a comparison.
    listed = memory.listed
    bits = memory.bits
    n_listed = list_set_bits(fired, words, listed, 0)
    # Indices are unsigned: numba checks the sign of signed ones, for negative indices.
    for k in range(np.uint64(n_listed)):
        element = np.uint64(link.first_unit) + np.uint64(listed[k])
        unit = np.uint64(units[element])
        bit = np.uint16(1) << np.uint16(unit & np.uint64(15))
        bits[unit >> np.uint64(4)] |= bit
    unit_words = (link.n_units + LANES - 1) // LANES
    count = list_set_bits(bits, unit_words, sources, count)
    bits[:unit_words] = 0
    return count


@compiled_apart
def population_forward(number, spikes, currents, work, out):
    """Run one sample through one link and its population.

    Args:
        number: of the link.
        spikes: what the link receives, ``Spikes`` with T rows.
        currents: the sample's ``ConstantInputs`` into the first link.
        work: ``SamplePass``; its deltas receive v before the reset.
        out: ``Spikes`` with T rows that receive the population's spikes from
            ``out.offsets[0]`` on, which the caller has set. LISTED_AT_ONCE elements
            behind the last spike are overwritten.

    Returns:
        the number of spikes emitted.
    """
    chain = work.chain
    memory = work.memory
    n_steps = work.n_steps
    link = link_at(chain.links, number)
    neuron = neuron_at(chain, number)
    parameters = chain.parameters
    units = chain.units
    patches = _patches(chain, link, chain.factors[number])
    own_link = link_at(chain.links, link.recurrent)
    own_patches = _patches(chain, own_link, chain.factors[link.recurrent])
    biases = memory.biases
    fired = memory.fired
    potentials = memory.deltas
    sources = out.sources
    offsets = out.offsets
    _set_biases(number, currents, work)
    row = link.first_unit * (n_steps + 1)
    for element in range(link.stride):
        potentials[row + element] = biases[element]
    count = offsets[0]
    for step in range(n_steps):
        target = Row(potentials, row)
        add_patches(spikes, step, patches, parameters, target)
        if link.recurrent > 0 and step > 0:
            add_patches(out, step - 1, own_patches, parameters, target)
        fire_and_leak(neuron, biases, Rows(potentials, row, link.stride), fired)
        row += link.stride
        count = _list_spikes(link, units, memory, sources, count)
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_inline
def _add_place_products(following, place, link, chain, n_steps, into):
    """Add dL/ds of all channels at a place, from dL/dv of what the place reaches.

    Args:
        following: dL/dv of the link's population, ``Rows``.
        place: among those of the link.
        link: whose taps lead back.
        chain: ``ChainArrays``.
        n_steps: steps to do.
        into: receives dL/ds, ``Rows`` with all channels of the place.
    """
    at = link.first_place + place
    place_taps = PlaceTaps(
        chain.taps,
        chain.taps_of[at],
        chain.taps_of[at + 1],
        chain.transposed,
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
        work: ``SamplePass``, whose deltas hold v of this population and receive dL/dv
            in its place; ``memory.learned`` receives sums as well.
        surrogate: ``Surrogate``.
        gradient: the lane's, flat [P]; its biases receive.
    """
    chain = work.chain
    memory = work.memory
    n_steps = work.n_steps
    deltas = memory.deltas
    slopes = memory.slopes
    link = link_at(chain.links, number)
    following = link_at(chain.links, number + 1)
    own = link_at(chain.links, link.recurrent)
    membrane = Membrane(neuron_at(chain, number), surrogate)
    factor = chain.factors[number + 1]
    width = link.width
    stride = link.stride
    start = link.first_unit * (n_steps + 1)
    next_deltas = Rows(deltas, following.first_unit * (n_steps + 1), following.stride)
    learned = Rows(memory.learned, 2 * number * LANES, LANES)
    # No step follows the last one.
    deltas[start + n_steps * stride : start + (n_steps + 1) * stride] = 0
    # dL/ds of a recurrent population depends on dL/dv of the step after, so its steps
    # go one by one. All others go through all steps at once, with fewer calls.
    at_once = 1 if link.recurrent > 0 else n_steps
    for place in range(following.n_places):
        slopes[: n_steps * width] = 0
        of_place = Rows(slopes, 0, width)
        _add_place_products(next_deltas, place, following, chain, n_steps, of_place)
        at = following.first_place + place
        for step in range(n_steps - at_once, -1, -at_once):
            if link.recurrent > 0 and step + 1 < n_steps:
                later = Rows(deltas, start + (step + 1) * stride, stride)
                of_step = Rows(slopes, step * width, width)
                _add_place_products(later, 0, own, chain, 1, of_step)
            for member in range(chain.members_of[at], chain.members_of[at + 1]):
                first = np.int64(chain.members[member]) * width
                for column in range(0, width, LANES):
                    element = first + column
                    deltas_of_vector(
                        SpikeGradients(
                            Rows(slopes, step * width + column, width),
                            factor,
                            Row(memory.costs, link.first_unit + element),
                        ),
                        Rows(deltas, start + step * stride + element, stride),
                        at_once,
                        membrane,
                        MembraneSums(Row(gradient, link.bias_start + column), learned),
                    )


@compiled_inline
def _add_learned(number, work, gradient):
    """Add the gradients of a population's learned leak and threshold.

    The formulas are those of ``deltas.learned_gradients``. The sums are zeroed for the
    next sample, also where nothing is learned.
    """
    chain = work.chain
    neuron = neuron_at(chain, number)
    learned = work.memory.learned
    decay = float(neuron.decay)
    threshold = float(neuron.threshold)
    first = 2 * number * LANES
    by_decay = 0.0
    by_threshold = 0.0
    for lane in range(LANES):
        by_decay += learned[first + lane]
        by_threshold -= learned[first + LANES + lane]
    learned[first : first + 2 * LANES] = 0
    if chain.learned_start >= 0:
        start = chain.learned_start + number * LANES
        gradient[start + DECAY_PLACE] += decay * (1.0 - decay) * by_decay
        gradient[start + THRESHOLD_PLACE] += threshold * by_threshold


@compiled_apart
def weight_gradient(number, delay, spikes, work, gradient):
    """Add one sample's gradient of the weights of a link.

    Args:
        number: of the link.
        delay: steps after which spikes arrive: 1 for a recurrent link, else 0.
        spikes: what the link receives, ``Spikes`` with T rows.
        work: ``SamplePass``, whose deltas hold dL/dv of the link's population.
        gradient: the lane's, flat [P].

    Returns:
        the synaptic events, including those of spikes in the last step, which a
        recurrent link would deliver after the end.
    """
    chain = work.chain
    n_steps = work.n_steps
    link = link_at(chain.links, number)
    patches = _patches(chain, link, chain.factors[number])
    deltas = work.memory.deltas
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
    fan_outs = work.chain.fan_outs
    events = np.int64(0)
    first = np.uint64(link.first_source)
    for event in range(np.uint64(offsets[0]), np.uint64(offsets[work.n_steps])):
        events += fan_outs[first + np.uint64(sources[event])]
    return events


@compiled_inline
def _synapses_touched(link, n_sources, spikes, work):
    """Count the synapses of a link that a sample's spikes reach, each once."""
    end = link.first_source + n_sources
    fan_outs = work.chain.fan_outs[link.first_source : end]
    seen = work.memory.seen[:n_sources]
    return synapses_touched(spikes, 0, work.n_steps, fan_outs, seen)


@compiled_inline
def _current_gradient(currents, work, gradient):
    """Add the gradient of the first link's weights from a sample's constant inputs.

    A constant input x acts in every step, so its weights receive x times the sum of
    dL/dv over the steps.
    """
    chain = work.chain
    link = link_at(chain.links, 0)
    deltas = work.memory.deltas
    sums = work.memory.biases
    sums[: link.stride] = 0
    for step in range(work.n_steps):
        for element in range(link.stride):
            sums[element] += deltas[step * link.stride + element]
    for k in range(currents.offsets[0], currents.offsets[1]):
        patches = _patches(chain, link, chain.factors[0] * currents.values[k])
        source = _single(currents, k, work.memory)
        add_patch_gradients(source, 0, patches, gradient, Row(sums, 0))


@compiled_inline
def _spike_costs(number, n_spikes, work, penalties, batch_size):
    """Set the cost of each spike of a population, and return the sample's penalty.

    See ``deltas._spike_costs``. The costs of all elements are in ``memory.costs``, [U].
    """
    chain = work.chain
    costs = work.memory.costs
    link = link_at(chain.links, number)
    units = chain.units
    penalty, by_spike = above_target(n_spikes, penalties[number])
    for element in range(link.first_unit, link.first_unit + link.stride):
        if units[element] >= 0:
            costs[element] = by_spike / batch_size
    return penalty


@compiled_inline
def _forward(sample, training, work, counts):
    """Run a sample through all populations; return its penalty.

    Leaves the cost of each spike in ``memory.costs`` where spikes are penalised.
    """
    memory = work.memory
    learning = training.learning
    batch_size = training.batch.labels.size
    penalty = 0.0
    spikes = sample_spikes(training.batch, sample, work.n_steps)
    currents = sample_currents(training.currents, sample)
    # Two arrays and not one tuple change from layer to layer: numba finds one type for
    # slightly different arrays, but not for the named tuples that hold them.
    sources = spikes.sources
    offsets = spikes.offsets
    counts[1] += offsets[work.n_steps] - offsets[0]
    for number in range(work.chain.constants.shape[0]):
        received = Spikes(sources, offsets)
        sources = memory.sources[number]
        offsets = memory.offsets[number]
        out = Spikes(sources, offsets)
        n_spikes = population_forward(number, received, currents, work, out)
        counts[2 + number] += n_spikes
        if learning.penalised:
            penalty += _spike_costs(
                number, n_spikes, work, learning.penalties, batch_size
            )
    return penalty


@compiled_inline
def _loss(sample, training, work, counts):
    """Return a sample's cross-entropy; add its derivatives to the output's costs."""
    memory = work.memory
    learning = training.learning
    last = work.chain.constants.shape[0] - 1
    output = link_at(work.chain.links, last)
    class_counts = np.zeros(output.n_units, np.int64)
    count_gradient = np.zeros(output.n_units, work.chain.parameters.dtype)
    loss, predicted = class_loss(
        sample,
        Spikes(memory.sources[last], memory.offsets[last]),
        training.batch,
        learning,
        class_counts,
        count_gradient,
    )
    counts[0] += predicted == training.batch.labels[sample]
    costs = memory.costs[output.first_unit :]
    for unit in range(output.n_units):
        costs[unit] = count_gradient[unit] + (costs[unit] if learning.penalised else 0)
    return loss


@compiled_inline
def _backward(sample, training, work, counts, gradient):
    """Add a sample's gradient to that of its lane, and count what its spikes reach."""
    chain = work.chain
    memory = work.memory
    learning = training.learning
    surrogate = Surrogate(code=learning.surrogate, a=learning.a, b=learning.b)
    n_layers = chain.constants.shape[0]
    events = counts[2 + n_layers :]
    n_connections = (counts.size - 2 * n_layers - 2) // 2
    touched = counts[counts.size - n_connections :]
    for number in range(n_layers - 1, -1, -1):
        population_backward(number, work, surrogate, gradient)
        _add_learned(number, work, gradient)
        link = link_at(chain.links, number)
        received = sample_spikes(training.batch, sample, work.n_steps)
        if number > 0:
            received = Spikes(memory.sources[number - 1], memory.offsets[number - 1])
        events[link.counted] += weight_gradient(number, 0, received, work, gradient)
        if number > 0:
            n_sources = link_at(chain.links, number - 1).n_units
        else:
            n_sources = link_at(chain.links, 1).first_source
        touched[link.counted] += _synapses_touched(link, n_sources, received, work)
        if link.recurrent > 0:
            counted = link_at(chain.links, link.recurrent).counted
            emitted = Spikes(memory.sources[number], memory.offsets[number])
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
    work = SamplePass(chain, _new_memory(chain, n_steps, batch.sources), n_steps)
    counts = total.counts[lane]
    gradient = total.gradients[lane]
    loss = 0.0
    total.touched[lane] = True
    for sample in range(batch.bounds[lane], batch.bounds[lane + 1]):
        loss += _forward(sample, training, work, counts)
        loss += _loss(sample, training, work, counts)
        _backward(sample, training, work, counts, gradient)
    total.losses[lane] = loss


@compiled_parallel
def run_population(lane, number, inputs, chain, out):
    """Run one lane's samples through one link and its population.

    Args:
        lane: which one.
        number: of the link.
        inputs: ``LayerInput``.
        chain: ``ChainArrays``.
        out: ``LaneSpikes`` that receive the population's.
    """
    n_steps = inputs.n_steps
    buffer = out.buffers[lane]
    lengths = out.lengths
    work = SamplePass(chain, _new_memory(chain, n_steps, buffer), n_steps)
    offsets = work.memory.offsets[number]
    total = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        spikes = sample_spikes(inputs.spikes, sample, n_steps)
        currents = sample_currents(inputs.currents, sample)
        into = Spikes(buffer[total:], offsets)
        total += population_forward(number, spikes, currents, work, into)
        for step in range(n_steps):
            lengths[sample * n_steps + step] = offsets[step + 1] - offsets[step]
    out.counts[lane] = total
