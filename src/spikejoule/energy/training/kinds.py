"""The energy of a training by phase and by what is accessed."""

from typing import Final

import numpy as np

from spikejoule.energy.ledger import Ledger
from spikejoule.energy.operations import Column
from spikejoule.energy.training.record import DATA, PHASES

ARITHMETIC: Final = "arithmetic and addresses"
_KIND_OF: Final = {
    "weight_read": "weights",
    "weight_write": "weights",
    "bias_read": "weights",
    "index_read": "weights",
    "mask_read": "weights",
    "gradient_access": "gradients",
    "moment_access": "moments",
    "trace_write": "kept potentials",
    "trace_read": "kept potentials",
    "delta_write": "deltas",
    "delta_read": "deltas",
    "state_access": "potentials or accumulators",
    "state_access_per_event": "potentials or accumulators",
    "sum_access": "potentials or accumulators",
    "sum_access_per_mac": "potentials or accumulators",
    "spike_read": "spikes or activations",
    "spike_write": "spikes or activations",
    "activation_read": "spikes or activations",
    "activation_write": "spikes or activations",
    "data_read": "data",
}
KINDS: Final = (ARITHMETIC, *dict.fromkeys(_KIND_OF.values()))
"""Kinds of access, and arithmetic."""


def kind_of(column: Column) -> str:
    """Return what a term accesses; everything that prepares samples is data."""
    if column.phase == DATA:
        return "data"
    return _KIND_OF.get(column.term, ARITHMETIC)


def pj_by_kind(
    ledger: Ledger, variant: int, profile: str
) -> dict[str, dict[str, float]]:
    """Return pJ by kind and phase, the middle of price ranges.

    Args:
        ledger: the ledger of a training.
        variant: position of the variant.
        profile: id of the price list.
    """
    operations = ledger.variants[variant].operations
    low_pj, _, high_pj = np.nan_to_num(ledger.prices[profile][variant])
    energies_pj = operations.means * (low_pj + high_pj) / 2
    found = {kind: dict.fromkeys(PHASES, 0.0) for kind in KINDS}
    for column, energy_pj in zip(operations.columns, energies_pj, strict=True):
        found[kind_of(column)][column.phase] += float(energy_pj)
    return found
