"""One step of neurons, each with its own constants (graphs/dynamics.py has the equations)."""

from spikejoule.foundation.compiling.jit import compiled


@compiled
def follow(keep, gain, arriving, current):
    """``current = keep * current + gain * arriving``, real [B, n]; constants are [n]."""
    for b in range(current.shape[0]):
        row, arrives = current[b], arriving[b]
        for unit in range(row.size):
            row[unit] = keep[unit] * row[unit] + gain[unit] * arrives[unit]


@compiled
def integrate(membrane, current, potential):
    """``potential = keep * potential + drive + gain * current``, real [B, n]."""
    keep, gain, drive = membrane.keep, membrane.gain, membrane.drive
    for b in range(potential.shape[0]):
        row, arrives = potential[b], current[b]
        for unit in range(row.size):
            row[unit] = keep[unit] * row[unit] + drive[unit] + gain[unit] * arrives[unit]


@compiled
def integrate_and_fire(membrane, subtracts, current, potential, given):
    """The same, and spikes and resets after it.

    Args:
        membrane: constants.
        subtracts: whether a reset lowers the potential by the threshold.
        current: real [B, n].
        potential: real [B, n].
        given: receives the spikes.
    """
    keep, gain, drive = membrane.keep, membrane.gain, membrane.drive
    threshold, limit, reset = membrane.threshold, membrane.limit, membrane.reset
    units, counts, totals = given.units, given.counts, given.totals
    for b in range(counts.size):
        row, arrives = potential[b], current[b]
        for unit in range(row.size):
            row[unit] = keep[unit] * row[unit] + drive[unit] + gain[unit] * arrives[unit]
        count = 0
        # Without a branch: which neurons fire, no processor can guess.
        for unit in range(row.size):
            value = row[unit]
            after = value - threshold[unit] if subtracts else reset[unit]
            fires = value >= limit[unit]
            units[b, count] = unit
            count += fires
            row[unit] = after if fires else value
        counts[b] = count
        totals[b] += count


@compiled
def compare(limit, values, given):
    """A spike where a value [B, n] is at or above its limit [n]."""
    units, counts, totals = given.units, given.counts, given.totals
    for b in range(counts.size):
        count = 0
        for unit in range(values.shape[1]):
            if values[b, unit] >= limit[unit]:
                units[b, count] = unit
                count += 1
        counts[b] = count
        totals[b] += count
