"""A step of a graph: what units give, what arrives through synapses and windows, and
neurons.

Samples go sixteen abreast: an array of what n units have is real [B, n, LANES], its
last axis being the samples of one of B blocks, so that a vector holds what a unit has
in all of them. "Real" is float32 or float64. Each neuron has its own constants
(nir/conventions.py has the equations).

Each sum takes one unit after another, in their order, so that it does not depend on the
other samples of its block: what a unit does not give is added as a zero, or not at all.

What is done with the vector of a unit is emitted (compiling/emit.py). Positions are
counted in elements there, and nothing is checked: the callers here own the bounds.
tests/nir/naive_graph.py has what they compute in plain Python.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    emitted,
    for_each_block_size,
    multiply_add,
    splat,
    zeros,
)

Array = NDArray[Any]

TARGETS = (8, 4, 2, 1)
"""Units that one call computes: with eight, a machine of 512 bits waits for no
addition.
"""


class Given(NamedTuple):
    """What the units of a node give in a step, and which of them give something to any
    sample.

    Attributes:
        amounts: real [B, n, LANES]; zeros and ones for spikes.
        active: 1 for a unit that gives something to any sample of the block, uint8
            [B, n].
        units: those that do, ascending, the first ``counts[b]`` of a row; int32
            [B, n + 1].
        counts: int64 [B].
        totals: steps so far in which a unit gave something, by sample, int32
            [B, n, LANES].
    """

    amounts: Array
    active: Array
    units: Array
    counts: Array
    totals: Array


class Slide(NamedTuple):
    """What a window meets at each of its P places.

    Attributes:
        units: of a channel, int32 [P, K]; first those that lie inside.
        taps: the places of the kernel that meet them, likewise.
        counts: how many lie inside, int64 [P].
    """

    units: Array
    taps: Array
    counts: Array


class Membrane(NamedTuple):
    """Constants of neurons with a potential, real [n] each.

    Attributes:
        keep: fraction of the potential that is left after a step.
        gain: of the current.
        drive: what is added in every step.
        threshold: what a reset by subtraction takes away.
        limit: the least potential of a spike: the threshold, or the number above it.
        reset: potential after it.
    """

    keep: Array
    gain: Array
    drive: Array
    threshold: Array
    limit: Array
    reset: Array


@emitted
def count_vector(builder, values, first, totals, place) -> bool:
    """``totals[place + lane] += 1`` where ``values[first + lane]`` is not 0; is any
    not?
    """
    counted = builder.fcmp_unordered(
        "!=", values.load_vector(first), zeros(values.vector)
    )
    added = builder.zext(counted, totals.vector)
    totals.store_vector(builder.add(totals.load_vector(place), added), place)
    word = builder.bitcast(counted, ir.IntType(LANES))
    any_lane: bool = builder.icmp_unsigned("!=", word, constant(0, LANES))
    return any_lane


@emitted
def fire_vectors(
    builder, membrane, subtracts, current, potential, amounts, active, first, n_units
):
    """A step of the neurons of a block, see `integrate_and_fire`.

    The vectors of unit u begin at ``first + u * LANES``; ``active[first / LANES + u]``
    receives whether it fires in any lane.
    """
    ones = splat(potential.vector, 1.0)
    first_unit = builder.lshr(first, constant(LANES.bit_length() - 1))
    with cgutils.for_range(builder, n_units, intp=INDEX) as loop:
        constants = [broadcast(builder, values.load(loop.index)) for values in membrane]
        keep, gain, drive, threshold, limit, reset = constants
        at = builder.add(first, builder.mul(loop.index, constant(LANES)))
        kept = multiply_add(builder, keep, potential.load_vector(at), drive)
        value = multiply_add(builder, gain, current.load_vector(at), kept)
        fires = builder.fcmp_ordered(">=", value, limit)
        after = builder.select(subtracts, builder.fsub(value, threshold), reset)
        potential.store_vector(builder.select(fires, after, value), at)
        amounts.store_vector(builder.select(fires, ones, zeros(amounts.vector)), at)
        word = builder.bitcast(fires, ir.IntType(LANES))
        any_lane = builder.icmp_unsigned("!=", word, constant(0, LANES))
        active.store(
            builder.zext(any_lane, ir.IntType(8)), builder.add(first_unit, loop.index)
        )


@emitted
def add_products(
    builder,
    amounts,
    first,
    units,
    rows,
    n_rows,
    weights,
    column,
    stride,
    n_targets,
    sums,
    place,
    apart,
):
    """Add what some units give to some targets, for all samples of a block.

    ``sums[place + k * apart + lane]`` grows by the sum of
    ``weights[column + rows[e] * stride + k]`` times
    ``amounts[first + units[e] * LANES + lane]`` over each e below `n_rows`, in their
    order, for each k below `n_targets`, which is one of TARGETS.
    """
    lanes = constant(LANES)

    def emit(size):
        places = [
            builder.add(place, builder.mul(constant(k), apart)) for k in range(size)
        ]
        cells = [cgutils.alloca_once(builder, sums.vector) for _ in places]
        for cell in cells:
            builder.store(zeros(sums.vector), cell)
        with cgutils.for_range(builder, n_rows, intp=INDEX) as loop:
            unit = builder.mul(units.load_index(loop.index), lanes)
            amount = amounts.load_vector(builder.add(first, unit))
            row = builder.add(column, builder.mul(rows.load_index(loop.index), stride))
            for k, cell in enumerate(cells):
                weight = weights.load(builder.add(row, constant(k)))
                total = multiply_add(
                    builder, broadcast(builder, weight), amount, builder.load(cell)
                )
                builder.store(total, cell)
        for at, cell in zip(places, cells, strict=True):
            sums.store_vector(
                builder.fadd(sums.load_vector(at), builder.load(cell)), at
            )

    for_each_block_size(builder, n_targets, TARGETS, emit)


@compiled_inline
def list_active(active, units):
    """Write the units that are active, and return how many there are."""
    count = np.uint64(0)
    for unit in range(active.size):
        # Without a branch: which units are active, no processor can guess.
        units[count] = unit
        count += np.uint64(active[unit])
    return np.int64(count)


@compiled
def take_events(sources, offsets, first_row, row_step, n_samples, given):
    """The input's spikes of one step: of sample s the row
    ``first_row + s * row_step``.
    """
    amounts = given.amounts
    active = given.active
    units = given.units
    counts = given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            active[b, units[b, k]] = False
            amounts[b, units[b, k]] = 0
        for lane in range(min(LANES, n_samples - b * LANES)):
            row = first_row + (b * LANES + lane) * row_step
            for event in range(offsets[row], offsets[row + 1]):
                amounts[b, sources[event], lane] = 1
                active[b, sources[event]] = True
                given.totals[b, sources[event], lane] += 1
        counts[b] = list_active(active[b], units[b])


@compiled
def take_nonzero(given):
    """List what a node gives in its `amounts`: the numbers that are not zero."""
    active = given.active
    n_units = active.shape[1]
    for b in range(given.counts.size):
        for unit in range(n_units):
            at = (b * n_units + unit) * LANES
            active[b, unit] = count_vector(given.amounts, at, given.totals, at)
        given.counts[b] = list_active(active[b], given.units[b])


@compiled
def follow(keep, gain, arriving, current):
    """``current = keep * current + gain * arriving``; constants are [n]."""
    for b in range(current.shape[0]):
        for unit in range(current.shape[1]):
            row = current[b, unit]
            arrives = arriving[b, unit]
            for lane in range(LANES):
                row[lane] = keep[unit] * row[lane] + gain[unit] * arrives[lane]


@compiled
def integrate(membrane, current, potential):
    """``potential = keep * potential + drive + gain * current``."""
    for b in range(potential.shape[0]):
        for unit in range(potential.shape[1]):
            row = potential[b, unit]
            arrives = current[b, unit]
            keep = membrane.keep[unit]
            gain = membrane.gain[unit]
            drive = membrane.drive[unit]
            for lane in range(LANES):
                row[lane] = keep * row[lane] + drive + gain * arrives[lane]


@compiled
def integrate_and_fire(membrane, subtracts, current, potential, given):
    """The same, and spikes and resets after it.

    Args:
        membrane: constants.
        subtracts: whether a reset lowers the potential by the threshold.
        current, potential: as above.
        given: receives the spikes.
    """
    amounts = given.amounts
    active = given.active
    n_units = potential.shape[1]
    for b in range(given.counts.size):
        fire_vectors(
            membrane,
            subtracts,
            current,
            potential,
            amounts,
            active,
            b * n_units * LANES,
            n_units,
        )
        given.counts[b] = list_active(active[b], given.units[b])
        for k in range(given.counts[b]):
            at = (b * n_units + given.units[b, k]) * LANES
            count_vector(amounts, at, given.totals, at)


@compiled_inline
def _add_targets(
    amounts, first, units, rows, count, weights, n_targets, sums, into, apart
):
    """Add what `count` units give to all targets, as many at once as `add_products`
    takes.
    """
    target = 0
    for size in TARGETS:
        while target + size <= n_targets:
            at = into + target * apart
            add_products(
                amounts,
                first,
                units,
                rows,
                count,
                weights,
                target,
                n_targets,
                size,
                sums,
                at,
                apart,
            )
            target += size


@compiled
def add_dense(given, weights, sums):
    """``sums[b, j] += amount * weights[unit, j]``; weights are real [n_in, n_out].

    Where few units give something, each sample by itself adds rows of weights; else all
    samples of a block add the units that give something to any.
    """
    amounts = given.amounts
    units = given.units
    n_out = weights.shape[1]
    rows = np.empty((LANES, n_out), sums.dtype)
    pairs = np.zeros(LANES, np.int32)
    for b in range(given.counts.size):
        count = given.counts[b]
        first = b * amounts.shape[1] * LANES
        into = b * n_out * LANES
        pairs[:] = 0
        for k in range(count):
            count_vector(amounts, first + units[b, k] * LANES, pairs, 0)
        # In multiply-adds of vectors, as measured.
        if 3 * pairs.sum() * n_out // LANES + LANES * (n_out + count) >= count * n_out:
            _add_targets(
                amounts,
                first,
                units[b],
                units[b],
                count,
                weights,
                n_out,
                sums,
                into,
                LANES,
            )
            continue
        rows[:] = 0
        for k in range(count):
            unit = units[b, k]
            for lane in range(LANES):
                amount = amounts[b, unit, lane]
                if amount != 0:
                    for j in range(n_out):
                        rows[lane, j] += amount * weights[unit, j]
        for j in range(n_out):
            for lane in range(LANES):
                sums[b, j, lane] += rows[lane, j]


@compiled
def add_windows(given, slide, weights, sums):
    """Add what arrives through a convolution.

    Args:
        given: of units (c, y, x).
        slide: of the window.
        weights: real [C_in, places of the kernel, channels of a group of the output].
        sums: receives; of units (channel, row, column).
    """
    active = given.active
    n_units = active.shape[1]
    n_places, taps = slide.units.shape
    apart = n_places * LANES
    n_in, _, n_channels = weights.shape
    n_out = sums.shape[1] // n_places
    n_groups = n_out // n_channels
    plane = n_units // n_in
    per_group = n_in // n_groups
    units = np.empty(per_group * taps + 1, np.int32)
    rows = np.empty(per_group * taps + 1, np.int32)
    for b in range(given.counts.size):
        first = b * n_units * LANES
        for place in range(n_places):
            for group in range(n_groups):
                count = np.uint64(0)
                for c in range(group * per_group, (group + 1) * per_group):
                    for k in range(slide.counts[place]):
                        unit = c * plane + slide.units[place, k]
                        # Without a branch: which units are active, no processor can
                        # guess.
                        units[count] = unit
                        rows[count] = c * taps + slide.taps[place, k]
                        count += np.uint64(active[b, unit])
                into = ((b * n_out + group * n_channels) * n_places + place) * LANES
                n = np.int64(count)
                _add_targets(
                    given.amounts,
                    first,
                    units,
                    rows,
                    n,
                    weights,
                    n_channels,
                    sums,
                    into,
                    apart,
                )


@compiled
def add_pooling(given, slide, sums):
    """Add to each window of a channel what lies in it; arguments as of
    `add_windows`.
    """
    n_places = slide.counts.size
    n_channels = sums.shape[1] // n_places
    plane = given.amounts.shape[1] // n_channels
    for b in range(given.counts.size):
        for channel in range(n_channels):
            for place in range(n_places):
                total = sums[b, channel * n_places + place]
                for k in range(slide.counts[place]):
                    amount = given.amounts[b, channel * plane + slide.units[place, k]]
                    for lane in range(LANES):
                        total[lane] += amount[lane]
