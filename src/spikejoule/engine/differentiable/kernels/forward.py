"""The forward pass: each lane runs its samples through all layers.

Per layer, the synapses write the inputs of all steps, and the neurons turn them into
potentials and spikes. In a recurrent layer, both take turns step by step.
"""

from typing import NamedTuple

import numpy as np

from spikejoule.compiling import compiled_apart, compiled_inline, compiled_parallel
from spikejoule.compiling.bits import LISTED_AT_ONCE, list_set_bits
from spikejoule.compiling.emit import LANES
from spikejoule.encoding.kernels import SPARE_SPIKES
from spikejoule.engine.differentiable.kernels.neurons import (
    SUBTRACT,
    ZERO,
    NeuronSteps,
    run_neurons,
)
from spikejoule.engine.differentiable.kernels.structures import (
    CURRENTS,
    DENSE,
    PATCHES,
    ROWS,
    Batch,
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
    add_weight_rows,
    mark_spikes,
    repeat_row,
)
from spikejoule.engine.kernels.chain import (
    aligned_zeros_like,
    link_at,
    list_spikes,
    patches_of,
)
from spikejoule.engine.kernels.forward import block_size, equal_parts
from spikejoule.engine.kernels.patches import Row, add_patches
from spikejoule.engine.kernels.structures import Array, Block, Rows, Spikes
from spikejoule.engine.kernels.vector import WIDE_BLOCK


class ForwardMemory(NamedTuple):
    """Working memory for one sample and layer at a time.

    Attributes:
        inputs: what a layer receives in all steps, real [T * elements]. Memory of its
            own, which stays in the cache; the potentials of a batch do not.
        currents: synaptic currents, real.
        fired: one bit per neuron and step, uint16.
        listed: neurons that fired in a step.
        bits: one bit per unit, uint16; zero between steps.
        marked: one bit per value of a lane's dense input, uint16; else empty.
    """

    inputs: Array
    currents: Array
    fired: Array
    listed: Array
    bits: Array
    marked: Array


class FiredBits(NamedTuple):
    """What ``list_spikes`` takes of one step, see ``SampleMemory``."""

    fired: Array
    listed: Array
    bits: Array


class Pass(NamedTuple):
    """All that the forward pass of a batch reads and writes."""

    tables: Tables
    kept: Kept
    inputs: Inputs
    batch: Batch
    records: Records


@compiled_inline
def _named_pass(arrays):
    """Return plain nested tuples, as Python passes them, as ``Pass``."""
    tables, kept, inputs, batch, records = arrays
    return Pass(
        named_tables(tables),
        Kept(*kept),
        Inputs(*inputs),
        Batch(*batch),
        Records(*records),
    )


@compiled_inline
def _widest(tables):
    """Return the elements of the widest layer."""
    widest = np.int64(0)
    for number in range(tables.layers.shape[0]):
        widest = max(widest, link_at(tables.chain.links, number).stride)
    return widest


@compiled_inline
def _words_of_row(tables):
    """Return the words that mark the spikes of one row of the input."""
    n_inputs = layer_place_at(tables.layers, 0).units_before
    return (n_inputs + LANES - 1) // LANES


@compiled_inline
def _new_memory(lane, work):
    """Return ``ForwardMemory``."""
    tables = work.tables
    batch = work.batch
    widest = _widest(tables)
    elements = tables.chain.elements
    dense_rows = (batch.bounds[lane + 1] - batch.bounds[lane]) * batch.n_steps
    if work.inputs.kind != DENSE:
        dense_rows = 0
    return ForwardMemory(
        inputs=aligned_zeros_like(batch.n_steps * widest, tables.chain.parameters),
        currents=aligned_zeros_like(widest, tables.chain.parameters),
        fired=np.empty(batch.n_steps * (widest // LANES), np.uint16),
        listed=np.empty(widest + LISTED_AT_ONCE, elements.dtype),
        bits=np.zeros(widest // LANES + 1, np.uint16),
        marked=np.empty(dense_rows * _words_of_row(tables), np.uint16),
    )


@compiled_inline
def rows_of(offsets, sample, lane, batch, lane_rows):
    """Return the offsets of a sample's T rows."""
    first = sample * batch.n_steps + lane * lane_rows
    return offsets[first : first + batch.n_steps + 1]


@compiled_inline
def _start_lane(population, lane, work):
    """Set where the spikes of a lane of a population begin.

    Each lane has room for all its units to fire in every step.
    """
    tables = work.tables
    batch = work.batch
    lanes = batch.bounds.size - 1
    n_units = layer_place_at(tables.layers, 0).units_before
    units_before = np.int64(0)
    if population > 0:
        n_units = link_at(tables.chain.links, population - 1).n_units
        units_before = layer_place_at(tables.layers, population - 1).units_before
    rows = batch.bounds[lane] * batch.n_steps
    start = units_before * batch.n_samples * batch.n_steps + n_units * rows
    start += (population * lanes + lane) * SPARE_SPIKES
    work.kept.offsets[population, rows + lane] = start


@compiled_apart
def _mark_dense(lane, work, marked):
    """Mark the spikes of a lane's dense input.

    Step by step, as they are in memory: rows of one sample are far apart, and would
    arrive half as fast.

    Returns:
        whether any value is neither 0 nor 1.
    """
    batch = work.batch
    values = work.inputs.values
    n_inputs = layer_place_at(work.tables.layers, 0).units_before
    n_vectors = n_inputs // LANES
    words = _words_of_row(work.tables)
    first_sample = batch.bounds[lane]
    others = False
    for step in range(batch.n_steps):
        for sample in range(first_sample, batch.bounds[lane + 1]):
            first = (step * batch.n_samples + sample) * n_inputs
            row = ((sample - first_sample) * batch.n_steps + step) * words
            others |= mark_spikes(values, first, n_vectors, marked, row)
            if n_vectors == words:
                continue
            word = np.uint16(0)
            for k in range(n_inputs - n_vectors * LANES):
                value = values[first + n_vectors * LANES + k]
                others |= (value != 0) & (value != 1)
                word |= np.uint16(value != 0) << np.uint16(k)
            marked[row + n_vectors] = word
    return others


@compiled_apart
def _list_marked(first_row, work, marked, out):
    """Write the spikes of T rows of marked input, from `first_row` on, to `out`."""
    words = _words_of_row(work.tables)
    sources = out.sources
    offsets = out.offsets
    for step in range(work.batch.n_steps):
        of_row = marked[(first_row + step) * words :]
        offsets[step + 1] = list_set_bits(of_row, words, sources, offsets[step])


@compiled_apart
def _fill_currents(sample, work, inputs):
    """Write the currents of a sample as inputs of the first layer."""
    batch = work.batch
    units = work.tables.chain.units
    currents = work.inputs.values
    link = link_at(work.tables.chain.links, 0)
    for step in range(batch.n_steps):
        row = step * link.stride
        first = (step * batch.n_samples + sample) * link.n_units
        for element in range(link.stride):
            unit = units[link.first_unit + element]
            inputs[row + element] = currents[first + unit] if unit >= 0 else 0


@compiled_inline
def _add_patches(number, received, work, inputs):
    """Write the inputs of a layer in all steps: biases, and the patches of spikes."""
    chain = work.tables.chain
    parameters = chain.parameters
    link = link_at(chain.links, number)
    patches = patches_of(chain, link, chain.factors[number])
    biases = Row(parameters, link.bias_start)
    vectors = link.width // LANES
    for step in range(work.batch.n_steps):
        row = Row(inputs.values, inputs.start + step * inputs.stride)
        repeat_row(biases, vectors, row, link.positions)
        add_patches(received, step, patches, parameters, row)


@compiled_inline
def _add_rows(number, received, work, inputs):
    """Do what `_add_patches` does for a fully connected layer."""
    parameters = work.tables.chain.parameters
    link = link_at(work.tables.chain.links, number)
    place = layer_place_at(work.tables.layers, number)
    weights = Rows(parameters, place.weight_start, link.stride)
    biases = Row(parameters, link.bias_start)
    vectors = link.stride // LANES
    size = equal_parts(vectors, WIDE_BLOCK)
    for vector in range(0, vectors, size):
        block = Block(vector * LANES, min(size, vectors - vector))
        add_weight_rows(received, work.batch.n_steps, weights, biases, block, inputs)


@compiled_apart
def _run_layer(number, sample, received, work, memory, out):
    """Run one sample through one layer.

    Args:
        number: of the layer.
        sample: in the batch.
        received: its spikes, ``Spikes`` with T rows.
        work: ``Pass``.
        memory: ``ForwardMemory``.
        out: ``Spikes`` with T rows that receive the layer's.
    """
    chain = work.tables.chain
    units = chain.units
    n_steps = work.batch.n_steps
    link = link_at(chain.links, number)
    own = link_at(chain.links, link.recurrent)
    own_patches = patches_of(chain, own, chain.factors[link.recurrent])
    neurons = neurons_of(work.kept.constants, work.tables, link, number)
    rows = potentials_of(work.kept, work.tables, number, sample, n_steps)
    potentials = rows.values
    currents = memory.currents
    fired = memory.fired
    sources = out.sources
    offsets = out.offsets
    for element in range(link.stride):
        potentials[rows.start + element] = 0
        currents[element] = 0
    inputs = Rows(memory.inputs, 0, link.stride)
    place = layer_place_at(work.tables.layers, number)
    if place.synapses == PATCHES:
        _add_patches(number, received, work, inputs)
    if place.synapses == ROWS:
        _add_rows(number, received, work, inputs)
    words = link.stride // LANES
    # Block by block, so that the steps of a block are in the first-level cache.
    size = block_size(link.stride)
    if link.recurrent == 0:
        for vector in range(0, words, size):
            block = Block(vector * LANES, min(size, words - vector))
            steps = NeuronSteps(inputs, rows, n_steps, Row(currents, 0), fired)
            run_neurons(neurons, block, steps)
    count = offsets[0]
    for step in range(n_steps):
        bits = fired[step * words :]
        if link.recurrent > 0:
            of_step = Rows(inputs.values, step * link.stride, link.stride)
            if step > 0:
                row = Row(of_step.values, of_step.start)
                add_patches(out, step - 1, own_patches, chain.parameters, row)
            after = Rows(potentials, rows.start + step * rows.stride, rows.stride)
            steps = NeuronSteps(of_step, after, 1, Row(currents, 0), bits)
            for vector in range(0, words, size):
                block = Block(vector * LANES, min(size, words - vector))
                run_neurons(neurons, block, steps)
        fired_bits = FiredBits(bits, memory.listed, memory.bits)
        count = list_spikes(link, units, fired_bits, sources, count)
        offsets[step + 1] = count


@compiled_inline
def _after_spike(potential, threshold, reset):
    """Return u of a neuron that fired, from v."""
    if reset == ZERO:
        return potential * 0
    if reset == SUBTRACT:
        return potential - threshold
    return potential


@compiled_apart
def _record(sample, work):
    """Write a sample's output."""
    tables = work.tables
    batch = work.batch
    units = tables.chain.units
    last = tables.layers.shape[0] - 1
    link = link_at(tables.chain.links, last)
    neurons = neurons_of(work.kept.constants, tables, link, last)
    constants = neurons.constants
    rows = potentials_of(work.kept, tables, last, sample, batch.n_steps)
    values = rows.values
    spikes = work.records.spikes
    potentials = work.records.potentials
    for step in range(batch.n_steps):
        row = rows.start + (step + 1) * rows.stride
        first = (step * batch.n_samples + sample) * link.n_units
        for element in range(link.stride):
            unit = units[link.first_unit + element]
            if unit < 0:
                continue
            value = values[row + element]
            place = constants.start + element
            fires = value >= constants.values[place + 3 * constants.stride]
            if spikes.size > 0:
                spikes[first + unit] = fires
            if potentials.size > 0:
                if tables.records_after_reset and fires:
                    threshold = constants.values[place + 2 * constants.stride]
                    value = _after_spike(value, threshold, neurons.reset)
                potentials[first + unit] = value


@compiled_parallel
def run_lane(lane, arrays, wrong):
    """Run the samples of one lane.

    Args:
        lane: its number.
        arrays: ``Pass`` as plain nested tuples; spikes, potentials and records are
            written.
        wrong: receives 1 if a dense input has values other than 0 and 1, uint8 [K].
    """
    work = _named_pass(arrays)
    tables = work.tables
    batch = work.batch
    inputs = work.inputs
    kept = work.kept
    n_layers = tables.layers.shape[0]
    n_steps = batch.n_steps
    memory = _new_memory(lane, work)
    for population in range(n_layers + 1):
        _start_lane(population, lane, work)
    first_sample = batch.bounds[lane]
    if inputs.kind == DENSE:
        wrong[lane] = _mark_dense(lane, work, memory.marked)
    for sample in range(first_sample, batch.bounds[lane + 1]):
        sources = inputs.sources
        offsets = rows_of(inputs.offsets, sample, lane, batch, inputs.lane_rows)
        if inputs.kind == DENSE:
            first_row = (sample - first_sample) * n_steps
            _list_marked(first_row, work, memory.marked, Spikes(sources, offsets))
        if inputs.kind == CURRENTS:
            _fill_currents(sample, work, memory.inputs)
        for number in range(n_layers):
            received = Spikes(sources, offsets)
            sources = kept.sources
            offsets = rows_of(kept.offsets[number + 1], sample, lane, batch, 1)
            out = Spikes(sources, offsets)
            _run_layer(number, sample, received, work, memory, out)
        _record(sample, work)
