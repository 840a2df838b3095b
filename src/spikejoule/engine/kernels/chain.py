"""The forward pass of chains with convolution, pooling and recurrence.

A spike adds a patch of weights to the potentials of the next population (patches.py).
Pooling takes no kernel of its own: all positions of a pooling window are one place, and
reach the same taps. The neuron's equations are in spikejoule/network/neurons/lif.py.
"""

from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_set_bits
from spikejoule.compiling.emit import CACHE_LINE_BYTES, LANES
from spikejoule.compiling.numba_private import to_fixed_tuple
from spikejoule.engine.kernels.forward import copy_potentials
from spikejoule.engine.kernels.patches import Patches, Row, add_patches, fire_and_leak
from spikejoule.engine.kernels.structures import (
    Array,
    Rows,
    Spikes,
    neuron_at,
    sample_currents,
    sample_spikes,
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
        sources, taps_of, taps: see :class:`patches.Patches`.
        units: the unit of each element, -1 in the padding, int32 [U].
        elements: empty; its dtype holds the number of any element of a population.
        factors: factor on the weights of each link: 1, or 1 / window size behind
            average pooling, real [K].
        constants, reset, on_grid, starts_at_bias: as in ``NetworkArrays``.
    """

    links: Array
    parameters: Array
    sources: Array
    taps_of: Array
    taps: Array
    units: Array
    elements: Array
    factors: Array
    constants: Array
    reset: int
    on_grid: int
    starts_at_bias: int


class SampleMemory(NamedTuple):
    """Working memory for one sample at a time.

    Attributes:
        potentials: v of each population, with one row behind the last step, real
            [U * (T + 1)].
        offsets: where the steps of each population's spikes begin, int64 [L, T + 1].
        biases: what each element of a population receives in every step, real.
        fired: one bit per element, uint16.
        listed: elements that fired.
        bits: one bit per unit, uint16; zero between steps.
        pair: first and end of a row with one spike, int64 [2].
    """

    potentials: Array
    offsets: Array
    biases: Array
    fired: Array
    listed: Array
    bits: Array
    pair: Array


class SamplePass(NamedTuple):
    """What the forward pass of a sample works with.

    Attributes:
        chain: the network.
        memory: working memory.
        n_steps: T.
    """

    chain: ChainArrays
    memory: SampleMemory
    n_steps: int


@compiled_inline
def link_at(links, number):
    """Return link `number`, counted from 0."""
    return Link(*to_fixed_tuple(links[number], N_FIELDS))


@compiled_inline
def aligned_zeros_like(size, like):
    """Return zeros of the dtype of `like` that start on a cache line."""
    # numba has no aligned allocation. A vector that straddles two cache lines costs two
    # accesses.
    zeros = np.zeros(size + LANES, like.dtype)
    start = (-zeros.ctypes.data % CACHE_LINE_BYTES) // zeros.itemsize
    return zeros[start : start + size]


@compiled_inline
def new_memory(chain, n_steps):
    """Return zeroed ``SampleMemory``."""
    n_layers = chain.constants.shape[0]
    elements = 0
    widest = 0
    for number in range(n_layers):
        link = link_at(chain.links, number)
        elements += link.stride
        widest = max(widest, link.stride)
    parameters = chain.parameters
    element_type = chain.elements
    return SampleMemory(
        potentials=aligned_zeros_like(elements * (n_steps + 1), parameters),
        offsets=np.zeros((n_layers, n_steps + 1), np.int64),
        biases=aligned_zeros_like(widest, parameters),
        fired=np.zeros(widest // LANES, np.uint16),
        listed=np.zeros(widest + LISTED_AT_ONCE, element_type.dtype),
        bits=np.zeros(widest // LANES + 1, np.uint16),
        pair=np.zeros(2, np.int64),
    )


@compiled_inline
def patches_of(chain, link, factor):
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
def single_input(currents, k, memory):
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

    That is its bias, unless it is the initial potential, and in the first population
    the constant inputs as well.
    """
    chain = work.chain
    link = link_at(chain.links, number)
    parameters = chain.parameters
    biases = work.memory.biases
    for position in range(link.positions):
        for column in range(link.width):
            bias = parameters[link.bias_start + column]
            added = 0 if chain.starts_at_bias else bias
            biases[position * link.width + column] = added
    if number == 0 and currents.offsets.size > 0:
        for k in range(currents.offsets[0], currents.offsets[1]):
            patches = patches_of(chain, link, chain.factors[0] * currents.values[k])
            source = single_input(currents, k, work.memory)
            add_patches(source, 0, patches, parameters, Row(biases, 0))


@compiled_inline
def list_spikes(link, units, memory, sources, count):
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
        work: ``SamplePass``; its potentials receive v before the reset.
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
    patches = patches_of(chain, link, chain.factors[number])
    own_link = link_at(chain.links, link.recurrent)
    own_patches = patches_of(chain, own_link, chain.factors[link.recurrent])
    biases = memory.biases
    fired = memory.fired
    potentials = memory.potentials
    sources = out.sources
    offsets = out.offsets
    _set_biases(number, currents, work)
    row = link.first_unit * (n_steps + 1)
    for element in range(link.stride):
        potentials[row + element] = biases[element]
        if chain.starts_at_bias:
            bias = parameters[link.bias_start + element % link.width]
            potentials[row + element] += neuron.decay * bias
    count = offsets[0]
    for step in range(n_steps):
        target = Row(potentials, row)
        add_patches(spikes, step, patches, parameters, target)
        if link.recurrent > 0 and step > 0:
            add_patches(out, step - 1, own_patches, parameters, target)
        fire_and_leak(neuron, biases, Rows(potentials, row, link.stride), fired)
        row += link.stride
        count = list_spikes(link, units, memory, sources, count)
        offsets[step + 1] = count
    return count - offsets[0]


@compiled_parallel
def run_population(lane, number, inputs, chain, out, potentials):
    """Run one lane's samples through one link and its population.

    Args:
        lane: which one.
        number: of the link.
        inputs: ``LayerInput``.
        chain: ``ChainArrays``.
        out: ``LaneSpikes`` that receive the population's.
        potentials: receives v of every step of an output, real [N, T, units]; of size 0
            if v is not needed.
    """
    n_steps = inputs.n_steps
    buffer = out.buffers[lane]
    lengths = out.lengths
    work = SamplePass(chain, new_memory(chain, n_steps), n_steps)
    offsets = work.memory.offsets[number]
    link = link_at(chain.links, number)
    start = link.first_unit * (n_steps + 1)
    total = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        spikes = sample_spikes(inputs.spikes, sample, n_steps)
        currents = sample_currents(inputs.currents, sample)
        into = Spikes(buffer[total:], offsets)
        total += population_forward(number, spikes, currents, work, into)
        for step in range(n_steps):
            lengths[sample * n_steps + step] = offsets[step + 1] - offsets[step]
        if potentials.size > 0:
            values = work.memory.potentials
            copy_potentials(values, start, link.stride, potentials[sample])
    out.counts[lane] = total
