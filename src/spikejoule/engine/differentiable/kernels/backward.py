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
    LayerBackward,
    Slopes,
    Span,
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
    Records,
    Tables,
    layer_place_at,
    named_tables,
    neurons_of,
    potentials_of,
)
from spikejoule.engine.differentiable.kernels.synapses import (
    PlaceProducts,
    set_products,
)
from spikejoule.engine.kernels.chain import (
    ChainArrays,
    aligned_zeros_like,
    link_at,
    patches_of,
)
from spikejoule.engine.kernels.forward import block_size, equal_parts
from spikejoule.engine.kernels.patches import Row
from spikejoule.engine.kernels.structures import Array, Block, Rows, Spikes
from spikejoule.engine.kernels.vector import MAX_BLOCK, WIDE_BLOCK
from spikejoule.engine.learning.kernels.backward import group_by_source
from spikejoule.engine.learning.kernels.chain import add_place_products
from spikejoule.engine.learning.kernels.patches import (
    PlaceTaps,
    add_patch_gradients,
)
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
        group: G, samples of a group.
    """

    tables: Tables
    kept: Kept
    inputs: Inputs
    batch: Batch
    slopes: Records
    gradients: Gradients
    group: int


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
    tables, kept, inputs, batch, slopes, gradients, group = arrays
    return BackwardPass(
        named_tables(tables),
        Kept(*kept),
        Inputs(*inputs),
        Batch(*batch),
        Records(*slopes),
        Gradients(*gradients),
        group,
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
        deltas=aligned_zeros_like(elements * work.group * n_steps, like),
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
    start = (link.first_unit * work.group + place * link.stride) * work.batch.n_steps
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


@compiled_inline
def _from_step(rows, step):
    """Return ``Rows`` from a step on."""
    return Rows(rows.values, rows.start + step * rows.stride, rows.stride)


@compiled_inline
def _set_products(following, place, number, block, work, into):
    """Compute dL/ds of a block of channels at a place, from dL/dx of what it reaches.

    Args:
        following: dL/dx of the link's population, ``Rows``.
        place: among those of all links.
        number: of the link.
        block: the channels, at most MAX_BLOCK vectors.
        work: ``BackwardPass``.
        into: receives dL/ds, ``Rows`` with all channels of the place.
    """
    chain = work.tables.chain
    first = chain.taps_of[place]
    end = chain.taps_of[place + 1]
    reach = link_at(chain.links, number).reach
    taps = PlaceTaps(chain.taps, first, end, work.tables.transposed, reach)
    products = PlaceProducts(taps, block, into.stride, work.batch.n_steps)
    set_products(following, products, into)


@compiled_inline
def _layer_backward(number, sample, place, lane, work, memory):
    """Return the ``LayerBackward`` of a layer; arguments as of `_layer_deltas`."""
    tables = work.tables
    n_steps = work.batch.n_steps
    link = link_at(tables.chain.links, number)
    is_last = number == tables.layers.shape[0] - 1
    has_recorded = is_last and work.slopes.potentials.size > 0
    recorded = memory.recorded if has_recorded else memory.nothing
    sums = work.gradients.neurons[lane]
    potentials = potentials_of(work.kept, tables, number, sample, n_steps)
    return LayerBackward(
        neurons_of(work.kept.constants, tables, link, number),
        potentials,
        Slopes(
            Rows(memory.slopes, 0, link.stride if is_last else link.width),
            tables.chain.factors[number + 1],
            Rows(recorded, 0, link.stride if has_recorded else 0),
            1 if has_recorded else 0,
            tables.records_after_reset,
        ),
        _deltas_of(number, place, work, memory),
        Through(
            Rows(memory.later, 0, link.stride),
            Rows(sums, N_SUMS * link.first_unit, link.stride),
            work.gradients.has_constants[number],
        ),
    )


@compiled_apart
def _whole_deltas(number, layer, work):
    """Compute dL/dx of a whole layer, whose slopes are set.

    Args:
        number: of the layer: the last one, or a recurrent one.
        layer: its ``LayerBackward``.
        work: ``BackwardPass``.
    """
    chain = work.tables.chain
    n_steps = work.batch.n_steps
    link = link_at(chain.links, number)
    own = link_at(chain.links, link.recurrent)
    leading = Leading(chain, Transposed(work.tables.transposed))
    slopes = layer.slopes.spikes
    vectors = link.stride // LANES
    size = block_size(link.stride)
    # In a recurrent layer dL/ds depends on dL/dx of the step after, so steps go one by
    # one.
    at_once = 1 if link.recurrent > 0 else n_steps
    for step in range(n_steps - at_once, -1, -at_once):
        if link.recurrent > 0 and step + 1 < n_steps:
            after = _from_step(layer.deltas, step + 1)
            add_place_products(after, 0, own, leading, 1, _from_step(slopes, step))
        for vector in range(0, vectors, size):
            column = vector * LANES
            some = min(size, vectors - vector)
            span = Span(column, column, some, LANES, LANES, step, at_once)
            neuron_gradients(layer, span)


@compiled_apart
def _deltas_by_place(number, layer, next_deltas, work):
    """Compute dL/dx of a layer place by place, from that of the next layer.

    Args:
        number: of the layer: neither the last one, nor recurrent.
        layer: its ``LayerBackward``.
        next_deltas: dL/dx of the next layer, ``Rows``.
        work: ``BackwardPass``.
    """
    tables = work.tables
    members_of = tables.members_of
    members = tables.members
    slopes = layer.slopes.spikes
    n_steps = work.batch.n_steps
    following = link_at(tables.chain.links, number + 1)
    width = link_at(tables.chain.links, number).width
    vectors = width // LANES
    # Block by block, so that dL/ds of a block stays in the first-level cache.
    size = block_size(width)
    for place in range(
        following.first_place, following.first_place + following.n_places
    ):
        if members_of[place] == members_of[place + 1]:
            continue
        for vector in range(0, vectors, size):
            block = Block(vector * LANES, min(size, vectors - vector))
            _set_products(next_deltas, place, number + 1, block, work, slopes)
            for member in range(members_of[place], members_of[place + 1]):
                element = np.int64(members[member]) * width + block.column
                neuron_gradients(layer, _row_span(element, block, n_steps))


@compiled_inline
def _row_span(element, block, n_steps):
    """Return the ``Span`` of a block of neighbouring neurons, over all steps."""
    return Span(element, block.column, block.vectors, LANES, LANES, 0, n_steps)


@compiled_apart
def _deltas_across_places(number, layer, next_deltas, work):
    """Do what `_deltas_by_place` does, for several places with few channels at a time.

    Each place is one position. A vector of neurons waits for its own step after, so the
    vectors of several positions take turns.
    """
    tables = work.tables
    n_steps = work.batch.n_steps
    slopes = layer.slopes.spikes
    following = link_at(tables.chain.links, number + 1)
    link = link_at(tables.chain.links, number)
    width = link.width
    vectors = width // LANES
    for first in range(0, link.positions, MAX_BLOCK):
        positions = min(MAX_BLOCK, link.positions - first)
        for k in range(positions):
            place = following.first_place + first + k
            of_place = Rows(slopes.values, k * n_steps * width, width)
            block = Block(0, vectors)
            _set_products(next_deltas, place, number + 1, block, work, of_place)
        for vector in range(vectors):
            column = vector * LANES
            neuron_gradients(
                layer,
                Span(
                    first * width + column,
                    column,
                    positions,
                    width,
                    n_steps * width,
                    0,
                    n_steps,
                ),
            )


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
    link = link_at(chain.links, number)
    last = tables.layers.shape[0] - 1
    layer = _layer_backward(number, sample, place, lane, work, memory)
    memory.later[: 2 * link.stride] = 0
    if number == last:
        memory.slopes[: work.batch.n_steps * link.stride] = 0
        if work.slopes.spikes.size > 0:
            _gather(sample, work.slopes.spikes, work, memory.slopes)
        if work.slopes.potentials.size > 0:
            _gather(sample, work.slopes.potentials, work, memory.recorded)
        _whole_deltas(number, layer, work)
        return
    next_deltas = _deltas_of(number + 1, place, work, memory)
    if link.recurrent == 0:
        # Without pooling, each position is a place; there is one more without taps.
        following = link_at(chain.links, number + 1)
        is_pooled = following.n_places != link.positions + 1
        if is_pooled or link.width // LANES > NARROW:
            _deltas_by_place(number, layer, next_deltas, work)
        else:
            _deltas_across_places(number, layer, next_deltas, work)
        return
    # A recurrent layer is flat, so it is one place.
    first_place = link_at(chain.links, number + 1).first_place
    slopes = layer.slopes.spikes
    vectors = link.stride // LANES
    size = block_size(link.stride)
    for vector in range(0, vectors, size):
        block = Block(vector * LANES, min(size, vectors - vector))
        _set_products(next_deltas, first_place, number + 1, block, work, slopes)
    _whole_deltas(number, layer, work)


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
    start = link.first_unit * work.group * work.batch.n_steps
    deltas = memory.deltas[start:]
    spikes = _received(number, group, work)
    vectors = link.stride // LANES
    if vectors <= NARROW:
        accumulate_narrow_rows(rows, vectors, spikes, n_rows, deltas)
        return
    empty = BySource(memory.active, memory.firsts, memory.steps, 0)
    n_active = group_by_source(spikes, n_rows, memory, 0, empty)
    by_source = BySource(memory.active, memory.firsts, memory.steps, n_active)
    size = equal_parts(vectors, WIDE_BLOCK)
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
        for first in range(batch.bounds[lane], batch.bounds[lane + 1], work.group):
            end = min(first + work.group, batch.bounds[lane + 1])
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
    for first in range(bounds[lane], bounds[lane + 1], work.group):
        group = GroupOfSamples(lane, first, min(first + work.group, bounds[lane + 1]))
        for sample in range(group.first, group.end):
            for number in range(n_layers - 1, -1, -1):
                _layer_deltas(number, sample, sample - first, lane, work, memory)
            if work.gradients.currents.size > 0:
                _scatter_currents(sample, sample - first, work, memory)
        for number in range(n_layers):
            _add_weights(number, group, work, memory)
