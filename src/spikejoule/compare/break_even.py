"""Break-even: the spikes per input at which both networks take equal energy.

The energy of an inference is split into E = E_spike + E_rest by the column ``grows`` of
the table of terms. To first order, at the trained weights, the spikes of all layers
grow in proportion to the spikes per input, so scaling them by k gives k E_spike +
E_rest. An active neuron update replaces an inactive one, whose cost belongs to E_rest.
"""

import numpy as np

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.compare.comparison import Comparison
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.terms import TERMS, UPDATES


def spikes_at_break_even(analysis: EnergyAnalysis, verdict: Comparison) -> float | None:
    """Return the spikes per input below which the network wins a comparison.

    None as in `break_even`, and for early exit and lazy updates.
    """
    if verdict.spiking.position != 0:
        return None
    return break_even(
        analysis.ledger.variants[0].operations,
        analysis.ledger.factors(0, verdict.profile)[1],
        verdict.conventional.energy.value_pj,
        analysis.inputs.spikes_per_input,
    )


def spike_energy(operations: OperationCounts, prices_pj: Floats) -> float:
    """Return the pJ of an inference that grow with its spikes.

    Args:
        operations: counts in C columns.
        prices_pj: price of one operation of each column, [C].
    """
    active, inactive = UPDATES
    inactive_pj = {
        column.place: price_pj
        for column, price_pj in zip(operations.columns, prices_pj, strict=True)
        if column.term == inactive
    }
    energy_pj = 0.0
    for column, count, price_pj in zip(
        operations.columns, operations.means, prices_pj, strict=True
    ):
        if TERMS[column.term].grows:
            energy_pj += count * price_pj
        if column.term == active:
            # Without the spike, an inactive update would be due.
            energy_pj -= count * inactive_pj.get(column.place, np.nan)
    return float(energy_pj)


def break_even(
    operations: OperationCounts,
    prices_pj: Floats,
    baseline_pj: float | None,
    spikes_per_input: float,
) -> float | None:
    """Return the spikes per input below which the spiking network wins.

    Args:
        operations: counts of the spiking network over its whole window, C columns.
        prices_pj: price of one operation of each column, [C].
        baseline_pj: energy per inference of the baseline; None if prices are ranges.
        spikes_per_input: mean spikes of an input unit over the window.

    Returns:
        0 if the network loses even with zero spikes. None if no energy grows with the
        spikes, the input emits none, or prices are ranges.
    """
    spike_pj = spike_energy(operations, prices_pj)
    if baseline_pj is None or spikes_per_input <= 0 or not spike_pj > 0:
        return None
    rest_pj = float(operations.means @ prices_pj) - spike_pj
    return max(0.0, spikes_per_input * (baseline_pj - rest_pj) / spike_pj)
