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
def fire(membrane, above, subtracts, potential, given):
    """Spikes and resets after `integrate`.

    Args:
        membrane: constants.
        above: whether a neuron fires above its threshold alone, or at it, too.
        subtracts: whether a reset lowers the potential by the threshold.
        potential: real [B, n].
        given: receives the spikes.
    """
    threshold, reset = membrane.threshold, membrane.reset
    units, counts = given.units, given.counts
    for b in range(counts.size):
        row = potential[b]
        count = 0
        for unit in range(row.size):
            value, limit = row[unit], threshold[unit]
            if value > limit or (value == limit and not above):
                units[b, count] = unit
                count += 1
                row[unit] = value - limit if subtracts else reset[unit]
        counts[b] = count


@compiled
def compare(threshold, above, values, given):
    """A spike where a value [B, n] is above its threshold [n], or at it, too."""
    units, counts = given.units, given.counts
    for b in range(counts.size):
        count = 0
        for unit in range(values.shape[1]):
            value, limit = values[b, unit], threshold[unit]
            if value > limit or (value == limit and not above):
                units[b, count] = unit
                count += 1
        counts[b] = count
