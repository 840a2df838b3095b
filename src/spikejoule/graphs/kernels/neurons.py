"""One step of neurons, each with its own constants (graphs/dynamics.py has the equations)."""

from spikejoule.core.compiling import compiled
from spikejoule.core.compiling.emit import LANES
from spikejoule.graphs.kernels.lists import list_active
from spikejoule.graphs.kernels.vectors import fire_vectors, follow_vectors


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


@compiled
def compare(limit, values, given):
    """A spike where a value is at or above its limit [n]."""
    amounts, active, totals = given.amounts, given.active, given.totals
    for b in range(given.counts.size):
        total = totals[b]
        for unit in range(values.shape[1]):
            row, spikes = values[b, unit], amounts[b, unit]
            n_spikes = 0
            for lane in range(LANES):
                fires = row[lane] >= limit[unit]
                spikes[lane] = fires
                total[lane] += fires
                n_spikes += fires
            active[b, unit] = n_spikes > 0
        given.counts[b] = list_active(active[b], given.units[b])
