"""Both passes of chains of layers with convolution, pooling and recurrence; weight
gradients.

Forward, an event adds a patch of weights to the potentials. Backward, dL/dv of a layer
is dense in time. With W the weights between two layers and R those among the neurons of
the first,

    dL/ds[t] = W^T dL/dv_next[t] + R^T dL/dv[t + 1]        dL/dW = sum of dL/dv[t]
    s_before[t]^T

A layer is worked place by place of what reads it, all steps together while they are in
the first cache; a recurrent one step by step. Pooling renames: what is pooled together
is one place.

A lane's gradient is the sum over its samples in their order, a lane a thread, and lanes
are added in theirs (optimizer.py): a result knows nothing of threads. The equations of
the neurons are in spikejoule/network/neurons/lif.py, the shapes of what is received in
structures.py.
"""

from typing import NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_set_bits
from spikejoule.compiling.emit import CACHE_LINE_BYTES, LANES
from spikejoule.engine.kernels.deltas import above_targets, class_loss
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.patches import (
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
    sample_spikes,
    steps_of,
)


class Link(NamedTuple):
    """A connection, and the population behind it.

    The neurons of a population lie by position of its plane, and there by channel:
    `width` elements a position, the channels of each group padded to whole vectors.
    Spikes are of units in the order of the events, channel by channel.

    Attributes:
        n_units: neurons.
        positions: of the plane; 1 behind a fully connected layer.
        width: elements of a position.
        stride: elements of the population.
        vectors: that a tap of an event reaches.
        bias_start: of [width] biases among the parameters.
        first_source: of the connection in the table of sources.
        first_place: of those at which its sources stand, with pooling fewer than
            positions.
        n_places: how many.
        reach: elements of a position that are neurons, from the first to the last.
        first_unit: of the population in the tables of elements, and in the deltas of a
            step.
        is_ordered: whether the elements are in the order of the units.
        recurrent: the link of the population to itself; 0 if there is none.
        counted: place of the connection among the counts of synaptic events.
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
    """A network's parameters and where they lie, its neurons, and its tables.

    N sources of all links, Q places, A taps, U elements of all populations.

    Attributes:
        links: of each population, then one without taps that stands for what reads the
            output, then the recurrent ones, int64 [K, fields of Link].
        parameters: flat, real [P].
        transposed: weights of all links but the first, flat, real.
        transposed_from: the place of each among the parameters, int32.
        sources: of each unit that sends, its place, where its weights begin, and by how
            many elements its group is shifted, int32 [N * 3].
        taps_of: where those of each place begin, int32 [Q + 1].
        taps: where the target of each begins, its weights from those of the source on,
            and its transposed ones, [reach, width of what sends], int32 [A * 3].
        members_of: where those of each place begin, int32 [Q + 1].
        members: the positions that stand at a place.
        units: of each element, -1 in the padding, int32 [U].
        numbers: of the type that holds the number of an element; empty.
        fan_outs: synapses that each source reaches, int64 [N].
        factors: of the weights of each link; of averages, 1 / size of the window. Real
            [K].
        constants, reset, on_grid, learned_start, learned_row: as of ``NetworkArrays``.
    """

    links: Array
    parameters: Array
    transposed: Array
    transposed_from: Array
    sources: Array
    taps_of: Array
    taps: Array
    members_of: Array
    members: Array
    units: Array
    numbers: Array
    fan_outs: Array
    factors: Array
    constants: Array
    reset: int
    on_grid: int
    learned_start: int
    learned_row: int


class SampleMemory(NamedTuple):
    """What a sample is worked off in.

    Attributes:
        deltas: v, and then dL/dv, of each population, and a row behind, real
            [U * (T + 1)].
        sources: of the spikes of each population, [L, T * most units + SPARE_SPIKES].
        offsets: where their steps begin, int64 [L, T + 1].
        slopes: dL/ds of a place, real [T * most width].
        costs: what a spike of each element adds to the loss by itself, real [U].
        learned: sums for the gradients of what neurons learn, real [L * 2 * LANES].
        biases: of each element of a population, with what constant inputs give it,
            real.
        fired: one bit an element, uint16.
        listed: elements that fired.
        bits: one bit a unit, uint16; zero between steps.
        pair: where a row of one spike begins and ends, int64 [2].
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


@compiled_inline
def link_at(links, number):
    """The link of a number, counted from 0."""
    return Link(*to_fixed_tuple(links[number], N_FIELDS))


@compiled_inline
def _aligned_zeros(size, like):
    """Zeros of the type of an array, from the beginning of a cache line on."""
    zeros = np.zeros(size + LANES, like.dtype)
    start = (-zeros.ctypes.data % CACHE_LINE_BYTES) // zeros.itemsize
    return zeros[start : start + size]


@compiled_inline
def _new_memory(chain, n_steps, sources):
    """``SampleMemory`` of zeros, for spikes of the type of some sources."""
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
    numbers = chain.numbers
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
        listed=np.zeros(widest + LISTED_AT_ONCE, numbers.dtype),
        bits=np.zeros(widest // LANES + 1, np.uint16),
        pair=np.zeros(2, np.int64),
    )


@compiled_inline
def _single(currents, k, memory):
    """The source of a number among constant inputs, as a row of one spike."""
    pair = memory.pair
    pair[0] = k
    pair[1] = k + 1
    return Spikes(currents.sources, pair)


@compiled_inline
def _set_biases(number, sample, currents, chain, memory):
    """What is added to each element of a population in every step of a sample."""
    link = link_at(chain.links, number)
    parameters = chain.parameters
    biases = memory.biases
    for position in range(link.positions):
        for column in range(link.width):
            biases[position * link.width + column] = parameters[
                link.bias_start + column
            ]
    if number == 0 and currents.offsets.size > 0:
        for k in range(currents.offsets[sample], currents.offsets[sample + 1]):
            factor = chain.factors[0] * currents.values[k]
            source = _single(currents, k, memory)
            add_patches(source, 0, chain, link, factor, parameters, biases, 0)


@compiled_apart
def population_forward(number, sample, spikes, currents, chain, n_steps, memory, out):
    """One sample through one link and the population behind it.

    Args:
        number: of the link.
        sample: among those of the currents.
        spikes: what the link receives, ``Spikes`` of T rows.
        currents: ``ConstantInputs`` into the first link.
        chain: ``ChainArrays``.
        n_steps: T.
        memory: ``SampleMemory``, whose deltas receive v before the reset.
        out: ``Spikes`` of T rows that receive the population's from ``out.offsets[0]``
            on, which the caller has set; up to SPARE_SPIKES places behind the last are
            overwritten.

    Returns:
        the number of spikes emitted.
    """
    link = link_at(chain.links, number)
    neuron = neuron_at(chain, number)
    parameters = chain.parameters
    units = chain.units
    factor = chain.factors[number]
    own = link_at(chain.links, link.recurrent)
    own_factor = chain.factors[link.recurrent]
    biases = memory.biases
    fired = memory.fired
    listed = memory.listed
    bits = memory.bits
    sources = out.sources
    offsets = out.offsets
    potentials = memory.deltas
    words = link.stride // LANES
    unit_words = (link.n_units + LANES - 1) // LANES
    _set_biases(number, sample, currents, chain, memory)
    row = link.first_unit * (n_steps + 1)
    count = offsets[0]
    for element in range(link.stride):
        potentials[row + element] = biases[element]
    for step in range(n_steps):
        add_patches(spikes, step, chain, link, factor, parameters, potentials, row)
        if link.recurrent > 0 and step > 0:
            add_patches(
                out, step - 1, chain, own, own_factor, parameters, potentials, row
            )
        fire_and_leak(neuron, biases, potentials, row, link.stride, fired)
        row += link.stride
        if link.is_ordered:
            count = list_set_bits(fired, 0, words, sources, count)
        else:
            n_listed = list_set_bits(fired, 0, words, listed, 0)
            for k in range(np.uint64(n_listed)):
                unit = np.uint64(
                    units[np.uint64(link.first_unit) + np.uint64(listed[k])]
                )
                bits[unit >> np.uint64(4)] |= np.uint16(1) << np.uint16(
                    unit & np.uint64(15)
                )
            count = list_set_bits(bits, 0, unit_words, sources, count)
            bits[:unit_words] = 0
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_inline
def _add_all_products(
    following, place, chain, link, width, n_steps, slopes, slopes_start
):
    """Add dL/ds of all channels at a place, from dL/dv of what reads them; see
    `add_products`.
    """
    at = link.first_place + place
    first = np.int64(chain.taps_of[at])
    end = np.int64(chain.taps_of[at + 1])
    vectors = width // LANES
    size = block_size(width)
    for vector in range(0, vectors, size):
        add_products(
            following,
            chain.taps,
            first,
            end,
            chain.transposed,
            link.reach,
            width,
            Block(column=vector * LANES, vectors=min(size, vectors - vector)),
            n_steps,
            slopes,
            slopes_start,
        )


@compiled_apart
def population_backward(number, chain, n_steps, surrogate, memory, gradient):
    """dL/dv of a population from that of the next one, and the gradient of its biases.

    Args:
        number: of its link.
        chain: ``ChainArrays``.
        n_steps: T.
        surrogate: its constants.
        memory: ``SampleMemory`` with v of this population, whose place dL/dv takes;
            what neurons learn receives.
        gradient: the lane's, whose biases receive.
    """
    deltas = memory.deltas
    slopes = memory.slopes
    link = link_at(chain.links, number)
    neuron = neuron_at(chain, number)
    following = link_at(chain.links, number + 1)
    factor = chain.factors[number + 1]
    own = link_at(chain.links, link.recurrent)
    width = link.width
    stride = link.stride
    first_unit = link.first_unit
    start = first_unit * (n_steps + 1)
    after = Rows(deltas, following.first_unit * (n_steps + 1), following.stride)
    deltas[start + n_steps * stride : start + (n_steps + 1) * stride] = 0
    # A population that reads itself is worked a step at a time, and others all steps at
    # once.
    at_once = 1 if link.recurrent > 0 else n_steps
    for place in range(following.n_places):
        slopes[: n_steps * width] = 0
        _add_all_products(after, place, chain, following, width, n_steps, slopes, 0)
        at = following.first_place + place
        for last_step in range(n_steps - 1, -1, -at_once):
            if link.recurrent > 0 and last_step + 1 < n_steps:
                later = Rows(deltas, start + (last_step + 1) * stride, stride)
                _add_all_products(
                    later, 0, chain, own, width, 1, slopes, last_step * width
                )
            for member in range(chain.members_of[at], chain.members_of[at + 1]):
                first = np.int64(chain.members[member]) * width
                for column in range(0, width, LANES):
                    deltas_of_vector(
                        Rows(slopes, column, width),
                        factor,
                        Rows(memory.costs, first_unit + first + column, 0),
                        Rows(deltas, start + first + column, stride),
                        last_step,
                        at_once,
                        neuron,
                        surrogate,
                        Rows(gradient, link.bias_start + column, 0),
                        Rows(memory.learned, 2 * number * LANES, LANES),
                    )


@compiled_inline
def _add_learned(number, chain, memory, gradient):
    """Add the gradients of what a population's neurons learn; see
    ``deltas.learned_gradients``.
    """
    neuron = neuron_at(chain, number)
    learned = memory.learned
    decay = float(neuron.decay)
    threshold = float(neuron.threshold)
    first = 2 * number * LANES
    start = chain.learned_start + number * LANES
    by_decay = 0.0
    by_threshold = 0.0
    for lane in range(LANES):
        by_decay += learned[first + lane]
        by_threshold -= learned[first + LANES + lane]
    learned[first : first + 2 * LANES] = 0
    if chain.learned_start >= 0:
        gradient[start + DECAY_PLACE] += decay * (1.0 - decay) * by_decay
        gradient[start + THRESHOLD_PLACE] += threshold * by_threshold


@compiled_apart
def weight_gradient(number, target, delay, spikes, chain, n_steps, memory, gradient):
    """Add what a sample gives to the gradient of the weights of a link.

    Args:
        number: of the link.
        target: of the link of the population behind it; the same for one that is not
            recurrent.
        delay: steps after which spikes arrive, 0 or 1.
        spikes: what the link receives, ``Spikes`` of T rows.
        chain, n_steps, memory, gradient: as for :func:`population_backward`.

    Returns:
        the synaptic events, those of the last step included, whose spikes may arrive
        too late.
    """
    link = link_at(chain.links, number)
    factor = chain.factors[number]
    behind = link_at(chain.links, target)
    row = behind.first_unit * (n_steps + 1) + delay * behind.stride
    for step in range(n_steps - delay):
        add_patch_gradients(
            spikes, step, chain, link, factor, gradient, memory.deltas, row
        )
        row += behind.stride
    return _synaptic_events(link, spikes, chain, n_steps)


@compiled_inline
def _synaptic_events(link, spikes, chain, n_steps):
    """What the spikes into a link cause."""
    sources = spikes.sources
    offsets = spikes.offsets
    fan_outs = chain.fan_outs
    events = np.int64(0)
    first = np.uint64(link.first_source)
    for event in range(np.uint64(offsets[0]), np.uint64(offsets[n_steps])):
        events += fan_outs[first + np.uint64(sources[event])]
    return events


@compiled_inline
def _current_gradient(sample, currents, chain, n_steps, memory, gradient):
    """What a sample's constant inputs give to the gradient of the first link's
    weights.
    """
    link = link_at(chain.links, 0)
    deltas = memory.deltas
    sums = memory.biases
    sums[: link.stride] = 0
    for step in range(n_steps):
        for element in range(link.stride):
            sums[element] += deltas[step * link.stride + element]
    for k in range(currents.offsets[sample], currents.offsets[sample + 1]):
        factor = chain.factors[0] * currents.values[k]
        source = _single(currents, k, memory)
        add_patch_gradients(source, 0, chain, link, factor, gradient, sums, 0)


@compiled_inline
def _spike_costs(number, spikes, chain, n_steps, batch_size, penalties, costs):
    """The penalty of a population's spikes in a sample, and its derivative by each
    spike.

    As ``deltas.spike_costs``; `costs` are those of all elements, [U].
    """
    link = link_at(chain.links, number)
    units = chain.units
    fan_outs = chain.fan_outs
    # What reads the output has no units, and the link of one that is not recurrent no
    # number.
    following = link_at(chain.links, number + 1)
    own = link_at(chain.links, link.recurrent)
    n_events = np.int64(0)
    if following.n_units > 0:
        n_events += _synaptic_events(following, spikes, chain, n_steps)
    if link.recurrent > 0:
        n_events += _synaptic_events(own, spikes, chain, n_steps)
    n_spikes = spikes.offsets[n_steps] - spikes.offsets[0]
    penalty, by_spike, by_event = above_targets(n_spikes, n_events, penalties[number])
    for element in range(link.first_unit, link.first_unit + link.stride):
        unit = units[element]
        if unit >= 0:
            reached = np.int64(0)
            if following.n_units > 0:
                reached += fan_outs[following.first_source + unit]
            if link.recurrent > 0:
                reached += fan_outs[own.first_source + unit]
            costs[element] = (by_spike + by_event * reached) / batch_size
    return penalty


@compiled_inline
def _forward(sample, batch, currents, learning, chain, n_steps, memory, counts):
    """A sample through all populations; its penalty, and what spikes cost, is left."""
    penalty = 0.0
    into = sample_spikes(batch, sample, n_steps)
    sources = into.sources
    offsets = into.offsets
    counts[1] += offsets[n_steps] - offsets[0]
    for number in range(chain.constants.shape[0]):
        spikes = Spikes(sources, offsets)
        sources = memory.sources[number]
        offsets = memory.offsets[number]
        out = Spikes(sources, offsets)
        counts[2 + number] += population_forward(
            number, sample, spikes, currents, chain, n_steps, memory, out
        )
        if learning.penalised:
            penalty += _spike_costs(
                number,
                out,
                chain,
                n_steps,
                batch.labels.size,
                learning.penalties,
                memory.costs,
            )
    return penalty


@compiled_inline
def _loss(sample, batch, learning, chain, n_steps, memory, counts):
    """A sample's cross-entropy; its derivatives are added to what the output's spikes
    cost.
    """
    last = chain.constants.shape[0] - 1
    output = link_at(chain.links, last)
    class_counts = np.zeros(output.n_units, np.int64)
    count_gradient = np.zeros(output.n_units, chain.parameters.dtype)
    spikes = Spikes(memory.sources[last], memory.offsets[last])
    loss, found = class_loss(
        sample, spikes, n_steps, batch, learning, class_counts, count_gradient
    )
    counts[0] += found == batch.labels[sample]
    costs = memory.costs[output.first_unit :]
    for unit in range(output.n_units):
        costs[unit] = count_gradient[unit] + (costs[unit] if learning.penalised else 0)
    return loss


@compiled_inline
def _backward(
    sample, batch, currents, surrogate, chain, n_steps, memory, counts, gradient
):
    """Add what a sample gives to the gradient of its lane."""
    n_layers = chain.constants.shape[0]
    events = counts[2 + n_layers :]
    for number in range(n_layers - 1, -1, -1):
        population_backward(number, chain, n_steps, surrogate, memory, gradient)
        _add_learned(number, chain, memory, gradient)
        link = link_at(chain.links, number)
        spikes = sample_spikes(batch, sample, n_steps)
        if number > 0:
            spikes = Spikes(memory.sources[number - 1], memory.offsets[number - 1])
        events[link.counted] += weight_gradient(
            number, number, 0, spikes, chain, n_steps, memory, gradient
        )
        if link.recurrent > 0:
            own = link.recurrent
            counted = link_at(chain.links, link.recurrent).counted
            spikes = Spikes(memory.sources[number], memory.offsets[number])
            events[counted] += weight_gradient(
                own, number, 1, spikes, chain, n_steps, memory, gradient
            )
    if currents.offsets.size > 0:
        _current_gradient(sample, currents, chain, n_steps, memory, gradient)


@compiled_parallel
def add_lane(lane, batch, currents, learning, chain, gradient):
    """Add the gradient of the mean loss of the samples of one lane to its part.

    Args:
        lane: which one.
        batch, currents, learning, chain: the fields of ``LabelledBatch``,
            ``ConstantInputs``, ``Learning`` and ``ChainArrays``, whose transposed
            weights are up to date, as plain tuples.
        gradient: of ``BatchGradient``, likewise; gradients, touched rows, losses and
            counts receive.
    """
    named = LabelledBatch(*batch)
    inputs = ConstantInputs(*currents)
    loss_of = Learning(*learning)
    arrays = ChainArrays(*chain)
    total = BatchGradient(*gradient)
    surrogate = Surrogate(code=loss_of.surrogate, a=loss_of.a, b=loss_of.b)
    n_steps = steps_of(named)
    counts = total.counts[lane]
    memory = _new_memory(arrays, n_steps, named.sources)
    sums = total.gradients[lane]
    loss = 0.0
    total.touched[lane] = True
    for sample in range(named.bounds[lane], named.bounds[lane + 1]):
        loss += _forward(
            sample, named, inputs, loss_of, arrays, n_steps, memory, counts
        )
        loss += _loss(sample, named, loss_of, arrays, n_steps, memory, counts)
        _backward(
            sample, named, inputs, surrogate, arrays, n_steps, memory, counts, sums
        )
    total.losses[lane] = loss


@compiled_parallel
def run_population(lane, number, inputs, chain, out):
    """Samples through one link and its population; as ``forward.run_layer``.

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
    memory = _new_memory(chain, n_steps, buffer)
    offsets = memory.offsets[number]
    total = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        its_spikes = sample_spikes(inputs.spikes, sample, n_steps)
        into = Spikes(buffer[total:], offsets)
        total += population_forward(
            number,
            sample,
            its_spikes,
            inputs.currents,
            chain,
            n_steps,
            memory,
            into,
        )
        for step in range(n_steps):
            lengths[sample * n_steps + step] = offsets[step + 1] - offsets[step]
    out.counts[lane] = total
