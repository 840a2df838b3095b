"""The backward pass: each lane adds up the gradient of its samples, in their order.

As in engine/learning/kernels: within a lane, samples form groups. First the deltas
dL/dx of a group's samples are computed, layer by layer from the last one and place by
place, then they are added to the gradient of the weights, spike by spike.
"""

from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.emit import LANES
from spikejoule.engine.differentiable.kernels.neurons import (
    Slopes,
    Through,
    neuron_gradients,
)
from spikejoule.engine.differentiable.kernels.structures import (
    N_SUMS,
    NO_SYNAPSES,
    ROWS,
    Batch,
    Gradients,
    Inputs,
    Kept,
    Neurons,
    Records,
    Tables,
    layer_place_at,
    named_tables,
    neurons_of,
    potentials_of,
)
from spikejoule.engine.kernels.chain import (
    ChainArrays,
    aligned_zeros_like,
    link_at,
    patches_of,
)
from spikejoule.engine.kernels.forward import block_size
from spikejoule.engine.kernels.patches import Row
from spikejoule.engine.kernels.structures import Array, Block, Rows, Spikes
from spikejoule.engine.learning.kernels.backward import GROUP_SAMPLES, group_by_source
from spikejoule.engine.learning.kernels.chain import add_place_products
from spikejoule.engine.learning.kernels.patches import add_patch_gradients
from spikejoule.engine.learning.kernels.structures import BySource
from spikejoule.engine.learning.kernels.vector import (
    NARROW,
    accumulate_narrow_rows,
    accumulate_rows,
)


class BackwardMemory(NamedTuple):
    """Working memory of a lane.

    Attributes:
        deltas: dL/dx of a group's samples, a layer at a time, real [U * G * T].
        slopes: dL/ds of one place, or of the last layer, real [T * most elements].
        recorded: dL/dpotentials of the last layer, real [T * elements].
        nothing: a row of zeros, real.
        later: rows of what neurons carry through time, real [2 * most elements].
        steps, active, firsts: see ``BySource``.
        places, begins: see ``group_by_source``; one row.
    """

    deltas: Array
    slopes: Array
    recorded: Array
    nothing: Array
    later: Array
    steps: Array
    active: Array
    firsts: Array
    places: Array
    begins: Array


class BackwardPass(NamedTuple):
    """All that the backward pass of a batch reads and writes.

    Attributes:
        tables, kept, inputs, batch: those of the forward pass.
        slopes: the gradient of the loss by the output.
        gradients: receives.
    """

    tables: Tables
    kept: Kept
    inputs: Inputs
    batch: Batch
    slopes: Records
    gradients: Gradients


class Transposed(NamedTuple):
    """The transposed weights, as ``add_place_products`` takes them."""

    transposed: Array


class Leading(NamedTuple):
    """What ``add_place_products`` takes of ``BothPasses``."""

    chain: ChainArrays
    backward: Transposed


class GroupOfSamples(NamedTuple):
    """Consecutive samples of one lane, ``first`` to ``end - 1``."""

    lane: int
    first: int
    end: int


@compiled_inline
def _named_pass(arrays):
    """Return plain nested tuples, as Python passes them, as ``BackwardPass``."""
    tables, kept, inputs, batch, slopes, gradients = arrays
    return BackwardPass(
        named_tables(tables),
        Kept(*kept),
        Inputs(*inputs),
        Batch(*batch),
        Records(*slopes),
        Gradients(*gradients),
    )


@compiled_inline
def _new_memory(most_events, work):
    """Return ``BackwardMemory`` for groups of at most so many spikes into a layer."""
    tables = work.tables
    n_steps = work.batch.n_steps
    widest = np.int64(0)
    most_sources = np.int64(0)
    last = tables.layers.shape[0] - 1
    for number in range(last + 1):
        widest = max(widest, link_at(tables.chain.links, number).stride)
        most_sources = max(
            most_sources, layer_place_at(tables.layers, number).n_sources
        )
    link = link_at(tables.chain.links, last)
    elements = link.first_unit + link.stride
    like = tables.chain.parameters
    return BackwardMemory(
        deltas=aligned_zeros_like(elements * GROUP_SAMPLES * n_steps, like),
        slopes=aligned_zeros_like(n_steps * widest, like),
        recorded=aligned_zeros_like(n_steps * link.stride, like),
        nothing=aligned_zeros_like(widest, like),
        later=aligned_zeros_like(2 * widest, like),
        steps=np.empty(most_events + 1, np.uint32),
        active=np.empty(most_sources + 1, np.uint32),
        firsts=np.empty(most_sources + 1, np.uint32),
        places=np.zeros((1, most_sources), np.uint32),
        begins=np.zeros((1, most_events + 1), np.uint32),
    )


@compiled_inline
def _deltas_of(number, place, work, memory):
    """Return dL/dx of a layer and a sample of the group, ``Rows`` of T steps."""
    link = link_at(work.tables.chain.links, number)
    start = (link.first_unit * GROUP_SAMPLES + place * link.stride) * work.batch.n_steps
    return Rows(memory.deltas, start, link.stride)


@compiled_apart
def _gather(sample, values, work, out):
    """Copy the gradient by a sample's output to rows of elements."""
    chain = work.tables.chain
    batch = work.batch
    units = chain.units
    link = link_at(chain.links, work.tables.layers.shape[0] - 1)
    for step in range(batch.n_steps):
        first = (step * batch.n_samples + sample) * link.n_units
        row = step * link.stride
        for element in range(link.stride):
            unit = units[link.first_unit + element]
            if unit >= 0:
                out[row + element] = values[first + unit]


@compiled_apart
def _layer_deltas(number, sample, place, lane, work, memory):
    """Compute dL/dx of a sample and layer from that of the next layer.

    Args:
        number: of the layer.
        sample: in the batch.
        place: of the sample in its group.
        lane: that sums belong to.
        work: ``BackwardPass``.
        memory: ``BackwardMemory``.
    """
    tables = work.tables
    chain = tables.chain
    n_steps = work.batch.n_steps
    last = tables.layers.shape[0] - 1
    link = link_at(chain.links, number)
    following = link_at(chain.links, number + 1)
    own = link_at(chain.links, link.recurrent)
    surrogate = layer_place_at(tables.layers, number).surrogate
    neurons = neurons_of(work.kept.constants, tables.settings, link, number)
    constants = neurons.constants
    potentials = potentials_of(work.kept, tables, number, sample, n_steps)
    deltas = _deltas_of(number, place, work, memory)
    next_deltas = _deltas_of(min(number + 1, last), place, work, memory)
    leading = Leading(chain, Transposed(tables.transposed))
    slopes = memory.slopes
    later = memory.later
    sums = Rows(work.gradients.neurons[lane], N_SUMS * link.first_unit, link.stride)
    recorded = Rows(memory.nothing, 0, 0)
    factor = chain.factors[number + 1]
    after_reset = 0
    later[: 2 * link.stride] = 0
    # The last layer is one place as wide as the layer: what reads it is the output.
    n_places = following.n_places
    width = link.width
    if number == last:
        n_places = 1
        width = link.stride
        slopes[: n_steps * width] = 0
        if work.slopes.spikes.size > 0:
            _gather(sample, work.slopes.spikes, work, slopes)
        if work.slopes.potentials.size > 0:
            _gather(sample, work.slopes.potentials, work, memory.recorded)
            recorded = Rows(memory.recorded, 0, link.stride)
            after_reset = tables.records_after_reset
    # dL/ds of a recurrent layer depends on dL/dx of the step after, so its steps go one
    # by one.
    at_once = 1 if link.recurrent > 0 else n_steps
    for of_place in range(n_places):
        at = following.first_place + of_place
        first_member = tables.members_of[at]
        end_member = tables.members_of[at + 1]
        if number == last:
            first_member = 0
            end_member = 1
        elif first_member == end_member:
            continue
        else:
            slopes[: n_steps * width] = 0
            into = Rows(slopes, 0, width)
            add_place_products(next_deltas, of_place, following, leading, n_steps, into)
        for step in range(n_steps - at_once, -1, -at_once):
            if link.recurrent > 0 and step + 1 < n_steps:
                after = deltas.start + (step + 1) * deltas.stride
                add_place_products(
                    Rows(deltas.values, after, deltas.stride),
                    0,
                    own,
                    leading,
                    1,
                    Rows(slopes, step * width, width),
                )
            for member in range(first_member, end_member):
                element = np.int64(0)
                if number < last:
                    element = np.int64(tables.members[member]) * width
                neuron_gradients(
                    Neurons(
                        Rows(
                            constants.values,
                            constants.start + element,
                            constants.stride,
                        ),
                        neurons.settings,
                    ),
                    surrogate,
                    width // LANES,
                    Rows(
                        potentials.values,
                        potentials.start + step * potentials.stride + element,
                        potentials.stride,
                    ),
                    Slopes(
                        Rows(slopes, step * width, width),
                        factor,
                        Rows(
                            recorded.values,
                            recorded.start + step * recorded.stride,
                            recorded.stride,
                        ),
                        after_reset,
                    ),
                    Rows(
                        deltas.values,
                        deltas.start + step * deltas.stride + element,
                        deltas.stride,
                    ),
                    at_once,
                    Through(
                        Rows(later, element, link.stride),
                        Rows(sums.values, sums.start + element, sums.stride),
                    ),
                )


@compiled_inline
def _received(number, group, work):
    """Return the spikes of a group's samples into a layer, ``Spikes`` by step."""
    n_rows = (group.end - group.first) * work.batch.n_steps
    sources = work.inputs.sources
    offsets = work.inputs.offsets
    extra = work.inputs.lane_rows
    if number > 0:
        sources = work.kept.sources
        offsets = work.kept.offsets[number]
        extra = 1
    first = group.first * work.batch.n_steps + group.lane * extra
    return Spikes(sources, offsets[first : first + n_rows + 1])


@compiled_apart
def _add_rows(number, group, work, memory):
    """Add a group's gradient of fully connected weights, source by source."""
    tables = work.tables
    n_rows = (group.end - group.first) * work.batch.n_steps
    link = link_at(tables.chain.links, number)
    place = layer_place_at(tables.layers, number)
    gradient = work.gradients.parameters[group.lane]
    rows = Rows(gradient, place.weight_start, link.stride)
    start = link.first_unit * GROUP_SAMPLES * work.batch.n_steps
    deltas = memory.deltas[start:]
    spikes = _received(number, group, work)
    vectors = link.stride // LANES
    if vectors <= NARROW:
        accumulate_narrow_rows(rows, vectors, spikes, n_rows, deltas)
        return
    empty = BySource(memory.active, memory.firsts, memory.steps, 0)
    n_active = group_by_source(spikes, n_rows, memory, 0, empty)
    by_source = BySource(memory.active, memory.firsts, memory.steps, n_active)
    size = block_size(link.stride)
    for vector in range(0, vectors, size):
        block = Block(vector * LANES, min(size, vectors - vector))
        accumulate_rows(rows, block, by_source, deltas)


@compiled_apart
def _add_patches(number, delay, spikes, deltas, work, lane):
    """Add one sample's gradient of the weights of a link, spike by spike.

    Args:
        number: of the link.
        delay: steps after which spikes arrive: 1 for a recurrent link, else 0.
        spikes: what the link receives, ``Spikes`` with T rows.
        deltas: dL/dx of the link's population, ``Rows``.
        work: ``BackwardPass``.
        lane: that the gradient belongs to.
    """
    chain = work.tables.chain
    gradient = work.gradients.parameters[lane]
    link = link_at(chain.links, number)
    patches = patches_of(chain, link, chain.factors[number])
    for step in range(work.batch.n_steps - delay):
        row = deltas.start + (step + delay) * deltas.stride
        add_patch_gradients(spikes, step, patches, gradient, Row(deltas.values, row))


@compiled_inline
def _add_weights(number, group, work, memory):
    """Add a group's gradient of the weights into a layer, recurrent ones too."""
    tables = work.tables
    link = link_at(tables.chain.links, number)
    synapses = layer_place_at(tables.layers, number).synapses
    if synapses == ROWS:
        _add_rows(number, group, work, memory)
    for sample in range(group.first, group.end):
        deltas = _deltas_of(number, sample - group.first, work, memory)
        of_sample = GroupOfSamples(group.lane, sample, sample + 1)
        if synapses != ROWS and synapses != NO_SYNAPSES:
            spikes = _received(number, of_sample, work)
            _add_patches(number, 0, spikes, deltas, work, group.lane)
        if link.recurrent > 0:
            spikes = _received(number + 1, of_sample, work)
            _add_patches(link.recurrent, 1, spikes, deltas, work, group.lane)


@compiled_apart
def _scatter_currents(sample, place, work, memory):
    """Write the gradient by the currents of a sample."""
    chain = work.tables.chain
    batch = work.batch
    units = chain.units
    link = link_at(chain.links, 0)
    deltas = _deltas_of(0, place, work, memory)
    out = work.gradients.currents
    for step in range(batch.n_steps):
        first = (step * batch.n_samples + sample) * link.n_units
        row = deltas.start + step * deltas.stride
        for element in range(link.stride):
            unit = units[link.first_unit + element]
            if unit >= 0:
                out[first + unit] = deltas.values[row + element]


@compiled_inline
def _most_events(lane, work):
    """Return the most spikes that a group of a lane's samples sends into a layer."""
    batch = work.batch
    most = np.int64(0)
    for number in range(work.tables.layers.shape[0]):
        for first in range(batch.bounds[lane], batch.bounds[lane + 1], GROUP_SAMPLES):
            end = min(first + GROUP_SAMPLES, batch.bounds[lane + 1])
            spikes = _received(number, GroupOfSamples(lane, first, end), work)
            offsets = spikes.offsets
            most = max(most, offsets[offsets.size - 1] - offsets[0])
    return most


@compiled_parallel
def add_lane(lane, arrays):
    """Compute the gradient of one lane's samples.

    Args:
        lane: its number.
        arrays: ``BackwardPass`` as plain nested tuples; the gradients are written.
    """
    work = _named_pass(arrays)
    tables = work.tables
    bounds = work.batch.bounds
    n_layers = tables.layers.shape[0]
    memory = _new_memory(_most_events(lane, work), work)
    work.gradients.parameters[lane] = 0
    work.gradients.neurons[lane] = 0
    for first in range(bounds[lane], bounds[lane + 1], GROUP_SAMPLES):
        group = GroupOfSamples(
            lane, first, min(first + GROUP_SAMPLES, bounds[lane + 1])
        )
        for sample in range(group.first, group.end):
            for number in range(n_layers - 1, -1, -1):
                _layer_deltas(number, sample, sample - first, lane, work, memory)
            if work.gradients.currents.size > 0:
                _scatter_currents(sample, sample - first, work, memory)
        for number in range(n_layers):
            _add_weights(number, group, work, memory)
