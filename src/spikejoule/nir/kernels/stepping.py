"""The step of a graph: spikes of the input, sums through synapses and windows, neurons.

Sixteen samples (LANES) are stepped together, as a block: an array for n units is real
[B, n, LANES] for B blocks, so that one vector holds a unit's numbers in all samples of
a block. "Real" is float32 or float64. Each neuron has its own constants
(nir/conventions.py has the equations).

Every sum adds units in their order, so that a result does not depend on the other
samples of the block: a unit that is silent in a sample adds a zero there, or is skipped
for the whole block.

What is done with a vector is emitted as LLVM instructions (compiling/emit.py). Such
code counts positions in elements of the flat array, and checks no bounds: the callers
here keep within them. tests/nir/naive_graph.py has the same computations as plain
loops.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import (
    LANES,
    broadcast,
    constant,
    each_below,
    emitted,
    for_each_block_size,
    multiply_add,
    splat,
    zeros,
)

Array = NDArray[Any]

TARGETS = (8, 4, 2, 1)
"""Targets that one call of `add_products` computes, most first.

An addition takes several cycles, and the next one into the same register has to wait.
With eight registers no addition waits on a machine with 512-bit vectors.
"""


class Spikes(NamedTuple):
    """Input spikes; a row is one step of one sample (encoding/events.py).

    Attributes:
        sources: the units that fire, row after row, uint16 [E].
        offsets: where each row begins, int64 [rows + 1].
        n_steps: rows of a sample.
    """

    sources: Array
    offsets: Array
    n_steps: int


class Signals(NamedTuple):
    """What the units of a node send in a step, and which of them are active.

    A unit is active if it sends anything but zero in any sample of a block.

    Attributes:
        amounts: real [B, n, LANES]; zeros and ones for spikes.
        active: 1 for an active unit, uint8 [B, n].
        units: the active units, ascending, the first ``counts[b]`` of a row; int32
            [B, n + 1]. `list_active` writes one place beyond the last.
        counts: active units of each block, int64 [B].
        totals: for each sample, steps so far in which a unit sent something, int32
            [B, n, LANES].
    """

    amounts: Array
    active: Array
    units: Array
    counts: Array
    totals: Array


class Slide(NamedTuple):
    """The units under a window at each of its P places.

    Attributes:
        units: of one channel, int32 [P, K]; those inside the plane come first.
        taps: for each of them, its place in the kernel, int32 [P, K].
        counts: units inside the plane, int64 [P].
    """

    units: Array
    taps: Array
    counts: Array


class Membrane(NamedTuple):
    """Constants of neurons with a potential, real [n] each.

    Attributes:
        keep: fraction of the potential that is left after a step.
        gain: of the current.
        drive: added in every step.
        threshold: subtracted by a reset by subtraction.
        limit: the least potential that spikes: the threshold, or the number above it.
        reset: potential after a spike.
    """

    keep: Array
    gain: Array
    drive: Array
    threshold: Array
    limit: Array
    reset: Array


class Neurons(NamedTuple):
    """A population of neurons.

    Attributes:
        membrane: its constants.
        subtracts: whether a reset lowers the potential by the threshold.
        current: what moves the potentials in this step, real [B, n, LANES].
        potential: real [B, n, LANES].
    """

    membrane: Membrane
    subtracts: bool
    current: Array
    potential: Array


class Senders(NamedTuple):
    """Active units of one block, and the rows of weights that belong to them.

    Attributes:
        amounts: real, flat; the vector of unit u begins at ``first + u * LANES``.
        first: where the block begins.
        units: the units, int32 [n or more].
        rows: their rows of weights, int32 [n or more].
        n: number of units.
    """

    amounts: Array
    first: int
    units: Array
    rows: Array
    n: int


class Targets(NamedTuple):
    """Units of one block that receive sums through weights.

    Attributes:
        weights: real [rows, n], flat: one row per sender.
        n: number of targets.
        sums: real, flat; the vector of target k begins at ``first + k * apart``.
        first: where target 0 begins.
        apart: elements from one target to the next.
    """

    weights: Array
    n: int
    sums: Array
    first: int
    apart: int


@emitted
def count_vector(builder, values, first, totals, place) -> bool:
    """Count the lanes of a vector that are not zero.

    ``totals[place + lane] += 1`` where ``values[first + lane]`` is not 0.

    Returns:
        whether any lane is not 0.
    """
    is_nonzero = builder.fcmp_unordered(
        "!=", values.load_vector(first), zeros(values.vector)
    )
    ones = builder.zext(is_nonzero, totals.vector)
    totals.store_vector(builder.add(totals.load_vector(place), ones), place)
    any_lane: bool = _any_lane(builder, is_nonzero)
    return any_lane


def _any_lane(builder, lanes):
    """Emit whether any of LANES bits is set: as one integer they are not 0."""
    word = builder.bitcast(lanes, ir.IntType(LANES))
    return builder.icmp_unsigned("!=", word, constant(0, LANES))


@emitted
def fire_vectors(builder, neurons, signals, block, n_units):
    """Step the neurons of a block, see `integrate_and_fire`."""
    potential = neurons.potential
    one = splat(potential.vector, 1.0)
    zero = zeros(potential.vector)
    first_unit = block * n_units
    with each_below(builder, n_units) as unit:
        # A unit's constants are the same in all lanes.
        membrane = Membrane(
            *(broadcast(builder, values.load(unit)) for values in neurons.membrane)
        )
        at = (first_unit + unit) * LANES
        kept = multiply_add(
            builder, membrane.keep, potential.load_vector(at), membrane.drive
        )
        current = neurons.current.load_vector(at)
        value = multiply_add(builder, membrane.gain, current, kept)
        fires = builder.fcmp_ordered(">=", value, membrane.limit)
        lowered = builder.fsub(value, membrane.threshold)
        after = builder.select(neurons.subtracts, lowered, membrane.reset)
        potential.store_vector(builder.select(fires, after, value), at)
        signals.amounts.store_vector(builder.select(fires, one, zero), at)
        is_active = builder.zext(_any_lane(builder, fires), ir.IntType(8))
        signals.active.store(is_active, first_unit + unit)


@emitted
def add_products(builder, senders, targets, target, size):
    """Add products to some targets, in all samples of a block.

    For each k below `size`, which is one of TARGETS, the vector of ``target + k`` grows
    by the sum over e of the amounts of ``units[e]`` times
    ``weights[rows[e], target + k]``, with e from 0 to ``n - 1`` in order.
    """

    def emit(n_targets):
        # The sums stay in registers until all senders are added; LLVM's own code would
        # load and store them for every sender.
        cells = [
            cgutils.alloca_once(builder, targets.sums.vector) for _ in range(n_targets)
        ]
        for cell in cells:
            builder.store(zeros(targets.sums.vector), cell)
        with each_below(builder, senders.n) as number:
            unit = senders.units.load_index(number)
            amount = senders.amounts.load_vector(senders.first + unit * LANES)
            row = senders.rows.load_index(number) * targets.n + target
            for k, cell in enumerate(cells):
                weight = broadcast(builder, targets.weights.load(row + k))
                total = multiply_add(builder, weight, amount, builder.load(cell))
                builder.store(total, cell)
        for k, cell in enumerate(cells):
            at = targets.first + (target + k) * targets.apart
            total = builder.fadd(targets.sums.load_vector(at), builder.load(cell))
            targets.sums.store_vector(total, at)

    for_each_block_size(builder, size, TARGETS, emit)


@compiled_inline
def list_active(active, units):
    """Write the active units into `units`, and return how many there are."""
    count = np.uint64(0)
    for unit in range(active.size):
        # Every unit is written, but only an active one moves the end of the list on:
        # no branch, since no processor can guess which units are active.
        units[count] = unit
        count += np.uint64(active[unit])
    return np.int64(count)


@compiled
def take_events(spikes, first_sample, n_samples, step, signals):
    """Send the input's spikes of one step.

    Args:
        spikes: of all samples.
        first_sample: of the batch.
        n_samples: of the batch.
        step: whose spikes are sent.
        signals: receives them.
    """
    amounts = signals.amounts
    active = signals.active
    units = signals.units
    counts = signals.counts
    totals = signals.totals
    sources = spikes.sources
    offsets = spikes.offsets
    for b in range(counts.size):
        # Remove the spikes of the last step: fewer writes than filling with zeros.
        for k in range(counts[b]):
            active[b, units[b, k]] = False
            amounts[b, units[b, k]] = 0
        for lane in range(min(LANES, n_samples - b * LANES)):
            sample = first_sample + b * LANES + lane
            row = sample * spikes.n_steps + step
            for event in range(offsets[row], offsets[row + 1]):
                unit = sources[event]
                amounts[b, unit, lane] = 1
                active[b, unit] = True
                totals[b, unit, lane] += 1
        counts[b] = list_active(active[b], units[b])


@compiled
def take_nonzero(signals):
    """List the active units of a node whose amounts are computed."""
    active = signals.active
    n_units = active.shape[1]
    for b in range(signals.counts.size):
        for unit in range(n_units):
            at = (b * n_units + unit) * LANES
            active[b, unit] = count_vector(signals.amounts, at, signals.totals, at)
        signals.counts[b] = list_active(active[b], signals.units[b])


@compiled
def follow(keep, gain, arriving, current):
    """Compute ``current = keep * current + gain * arriving``; constants are [n]."""
    for b in range(current.shape[0]):
        for unit in range(current.shape[1]):
            row = current[b, unit]
            arrives = arriving[b, unit]
            for lane in range(LANES):
                row[lane] = keep[unit] * row[lane] + gain[unit] * arrives[lane]


@compiled
def integrate(membrane, current, potential):
    """Compute ``potential = keep * potential + drive + gain * current``."""
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
def integrate_and_fire(membrane, subtracts, current, potential, signals):
    """Integrate, fire, and reset the neurons that fired.

    Args:
        membrane: constants.
        subtracts: whether a reset lowers the potential by the threshold.
        current, potential: see :class:`Neurons`.
        signals: receives the spikes.
    """
    neurons = Neurons(membrane, subtracts, current, potential)
    amounts = signals.amounts
    active = signals.active
    totals = signals.totals
    n_units = potential.shape[1]
    for b in range(signals.counts.size):
        fire_vectors(neurons, signals, b, n_units)
        signals.counts[b] = list_active(active[b], signals.units[b])
        for k in range(signals.counts[b]):
            at = (b * n_units + signals.units[b, k]) * LANES
            count_vector(amounts, at, totals, at)


@compiled_inline
def add_to_all(senders, targets):
    """Add the products of all senders to all targets."""
    target = 0
    for size in TARGETS:
        while target + size <= targets.n:
            add_products(senders, targets, target, size)
            target += size


@compiled
def add_dense(signals, weights, sums):
    """Add what arrives through full connections.

    ``sums[b, j] += amount * weights[unit, j]``; weights are real [n_in, n_out].

    Two ways, whichever takes fewer vector operations. Together: all samples of a block
    add every active unit. Apart: each sample adds the rows of weights of its own active
    units, which is less work where few samples share a unit.
    """
    amounts = signals.amounts
    units = signals.units
    n_out = weights.shape[1]
    rows = np.empty((LANES, n_out), sums.dtype)
    active_pairs = np.zeros(LANES, np.int32)
    for b in range(signals.counts.size):
        count = signals.counts[b]
        first = b * amounts.shape[1] * LANES
        active_pairs[:] = 0
        for k in range(count):
            count_vector(amounts, first + units[b, k] * LANES, active_pairs, 0)
        # In multiply-adds of vectors. The factor 3 for a row that is added apart was
        # measured; the second term is for clearing, testing and transposing.
        apart = 3 * active_pairs.sum() * n_out // LANES + LANES * (n_out + count)
        together = count * n_out
        if apart >= together:
            senders = Senders(amounts, first, units[b], units[b], count)
            targets = Targets(weights, n_out, sums, b * n_out * LANES, LANES)
            add_to_all(senders, targets)
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


class Channels(NamedTuple):
    """Input channels that a group of output channels sees.

    Attributes:
        first, end: numbers of the first channel, and of the one after the last.
        plane: units of a channel.
    """

    first: int
    end: int
    plane: int


@compiled_inline
def list_in_window(active, slide, place, channels, listed):
    """List the active units under a window, with their rows of weights.

    Args:
        active: of all units of a block, uint8 [n].
        slide: of the window.
        place: of the window.
        channels: whose units are listed.
        listed: receives units, and rows of weights (channel, place in the kernel), as
            two int32 arrays.

    Returns:
        how many there are.
    """
    units, rows = listed
    taps = slide.units.shape[1]
    count = np.uint64(0)
    for channel in range(channels.first, channels.end):
        for k in range(slide.counts[place]):
            unit = channel * channels.plane + slide.units[place, k]
            # Without a branch, see `list_active`.
            units[count] = unit
            rows[count] = channel * taps + slide.taps[place, k]
            count += np.uint64(active[unit])
    return np.int64(count)


@compiled
def add_windows(signals, slide, weights, sums):
    """Add what arrives through a convolution.

    Args:
        signals: of units (channel, y, x).
        slide: of the window.
        weights: real [C_in, places of the kernel, output channels of a group].
        sums: receives the sums of units (channel, row, column).
    """
    active = signals.active
    n_units = active.shape[1]
    n_places, taps = slide.units.shape
    n_in, _, n_channels = weights.shape
    n_out = sums.shape[1] // n_places
    n_groups = n_out // n_channels
    plane = n_units // n_in
    per_group = n_in // n_groups
    # One place more than units, see `Signals.units`.
    units = np.empty(per_group * taps + 1, np.int32)
    rows = np.empty(per_group * taps + 1, np.int32)
    for b in range(signals.counts.size):
        for place in range(n_places):
            for group in range(n_groups):
                channels = Channels(group * per_group, (group + 1) * per_group, plane)
                count = list_in_window(active[b], slide, place, channels, (units, rows))
                senders = Senders(
                    signals.amounts, b * n_units * LANES, units, rows, count
                )
                channel = b * n_out + group * n_channels
                first = (channel * n_places + place) * LANES
                # From one output channel to the next all places of a plane are passed.
                targets = Targets(weights, n_channels, sums, first, n_places * LANES)
                add_to_all(senders, targets)


@compiled
def add_pooling(signals, slide, sums):
    """Add to each window of a channel the units in it; see `add_windows`."""
    n_places = slide.counts.size
    n_channels = sums.shape[1] // n_places
    plane = signals.amounts.shape[1] // n_channels
    for b in range(signals.counts.size):
        for channel in range(n_channels):
            for place in range(n_places):
                total = sums[b, channel * n_places + place]
                for k in range(slide.counts[place]):
                    amount = signals.amounts[b, channel * plane + slide.units[place, k]]
                    for lane in range(LANES):
                        total[lane] += amount[lane]
