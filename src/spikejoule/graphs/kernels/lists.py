"""What units give, what arrives, and one step of neurons.

Samples go sixteen abreast: an array of what n units have is real [B, n, LANES], its last axis being
the samples of one of B blocks, so that a vector holds what a unit has in all of them. "Real" is
float32 or float64. Each neuron has its own constants (graphs/conventions.py has the equations).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling import compiled, compiled_inline
from spikejoule.core.compiling.emit import LANES
from spikejoule.graphs.kernels.vectors import count_vector, fire_vectors, follow_vectors

Array = NDArray[Any]


class Given(NamedTuple):
    """What the units of a node give in a step, and which of them give something to any sample.

    Attributes:
        amounts: real [B, n, LANES]; zeros and ones for spikes.
        active: 1 for a unit that gives something to any sample of the block, uint8 [B, n].
        units: those that do, ascending, the first ``counts[b]`` of a row; int32 [B, n + 1].
        counts: int64 [B].
        totals: units that gave something in all steps so far, by sample, int64 [B, LANES].
    """

    amounts: Array
    active: Array
    units: Array
    counts: Array
    totals: Array


class Slide(NamedTuple):
    """How a window slides over (C, H, W), see model/network.py; all are int64.

    Attributes:
        height, width: H, W of the input.
        rows, columns: places of the window.
        kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x: of it.
        channels: C.
        per_group: channels of the input that see each other.
    """

    height: int
    width: int
    rows: int
    columns: int
    kernel_y: int
    kernel_x: int
    stride_y: int
    stride_x: int
    padding_y: int
    padding_x: int
    dilation_y: int
    dilation_x: int
    channels: int
    per_group: int


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
    """The input's spikes of one step: of sample s the row ``first_row + s * row_step``."""
    amounts, active, units = given.amounts, given.active, given.units
    counts, totals = given.counts, given.totals
    for b in range(counts.size):
        for k in range(counts[b]):
            active[b, units[b, k]] = False
            amounts[b, units[b, k]] = 0
        for lane in range(min(LANES, n_samples - b * LANES)):
            row = first_row + (b * LANES + lane) * row_step
            for event in range(offsets[row], offsets[row + 1]):
                amounts[b, sources[event], lane] = 1
                active[b, sources[event]] = True
            totals[b, lane] += offsets[row + 1] - offsets[row]
        counts[b] = list_active(active[b], units[b])


@compiled
def take_nonzero(given):
    """List what a node gives in its `amounts`: the numbers that are not zero."""
    amounts, active, units = given.amounts, given.active, given.units
    n_units = active.shape[1]
    for b in range(given.counts.size):
        for unit in range(n_units):
            first = (b * n_units + unit) * LANES
            active[b, unit] = count_vector(amounts, first, 1, given.totals, b * LANES)
        given.counts[b] = list_active(active[b], units[b])


@compiled
def add_scaled(given, scale, sums):
    """Add what is given times a number for each unit."""
    amounts, units, counts = given.amounts, given.units, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            unit = units[b, k]
            amount, row = amounts[b, unit], sums[b, unit]
            for lane in range(LANES):
                row[lane] += amount[lane] * scale[unit]


@compiled
def tally(given, weights, totals):
    """Add to ``totals[b, lane]`` the `weights` (int64 [n]) of the units that give something."""
    amounts, units, counts = given.amounts, given.units, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            unit = units[b, k]
            at = (b * weights.size + unit) * LANES
            count_vector(amounts, at, weights[unit], totals, b * LANES)


@compiled
def follow(keep, gain, arriving, current):
    """``current = keep * current + gain * arriving``; constants are [n]."""
    n_units = current.shape[1]
    for b in range(current.shape[0]):
        follow_vectors(keep, gain, arriving, current, b * n_units * LANES, n_units)


@compiled
def integrate(membrane, current, potential):
    """``potential = keep * potential + drive + gain * current``."""
    for b in range(potential.shape[0]):
        for unit in range(potential.shape[1]):
            row, arrives = potential[b, unit], current[b, unit]
            keep, gain, drive = membrane.keep[unit], membrane.gain[unit], membrane.drive[unit]
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
    amounts, active, n_units = given.amounts, given.active, potential.shape[1]
    for b in range(given.counts.size):
        fire_vectors(
            membrane,
            subtracts,
            current,
            potential,
            amounts,
            active,
            given.totals,
            b * n_units * LANES,
            b * LANES,
            n_units,
        )
        given.counts[b] = list_active(active[b], given.units[b])
