"""Between lists of what is given and arrays of what arrives."""

import numpy as np

from spikejoule.foundation.compiling.jit import compiled


@compiled
def take_events(sources, offsets, first_row, row_step, given):
    """The input's spikes of one step: of sample b the row ``first_row + b * row_step``."""
    units, counts, totals = given.units, given.counts, given.totals
    for b in range(counts.size):
        row = first_row + b * row_step
        start, end = offsets[row], offsets[row + 1]
        for k in range(end - start):
            units[b, k] = sources[start + k]
        counts[b] = end - start
        totals[b] += end - start


@compiled
def take_nonzero(values, given):
    """What an array [B, n] gives: its numbers that are not zero."""
    units, amounts = given.units, given.amounts
    counts, totals = given.counts, given.totals
    for b in range(counts.size):
        count = 0
        for unit in range(values.shape[1]):
            value = values[b, unit]
            if value != 0:
                units[b, count] = unit
                amounts[b, count] = value
                count += 1
        counts[b] = count
        totals[b] += count


@compiled
def add_given(given, sums):
    """Add what is given to an array [B, n]."""
    units, amounts, counts = given.units, given.amounts, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            sums[b, units[b, k]] += amounts[b, k]


@compiled
def add_scaled(given, scale, sums):
    """Add what is given times a number for each unit."""
    units, amounts, counts = given.units, given.amounts, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            unit = units[b, k]
            sums[b, unit] += amounts[b, k] * scale[unit]


@compiled
def tally(given, weights, totals):
    """Add to ``totals[b]`` the `weights` (int64 [n]) of the units that give something."""
    units, counts = given.units, given.counts
    for b in range(counts.size):
        total = np.int64(0)
        for k in range(counts[b]):
            total += weights[units[b, k]]
        totals[b] += total


@compiled
def count_units(given, totals):
    """Add 1 to ``totals[b, unit]`` (int64 [B, n]) for each unit that gives something."""
    units, counts = given.units, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            totals[b, units[b, k]] += 1


@compiled
def mark(given, step, marks):
    """Set ``marks[b, step, unit]`` (bool [B, T, n]) for each unit that gives something."""
    units, counts = given.units, given.counts
    for b in range(counts.size):
        for k in range(counts[b]):
            marks[b, step, units[b, k]] = True


@compiled
def take_delayed(ring, slot, steps, values):
    """``values[b, i] = ring[slot - steps[i], b, i]``, around a ring real [D, B, n]."""
    depth = ring.shape[0]
    for b in range(values.shape[0]):
        for unit in range(values.shape[1]):
            values[b, unit] = ring[(slot + depth - steps[unit]) % depth, b, unit]
