"""The energy of a training by phase and by what is accessed."""

from typing import Final

import numpy as np

from spikejoule.energy.ledger import Ledger
from spikejoule.energy.operations import DATA, PHASES, Column
from spikejoule.energy.terms import TERMS

ARITHMETIC: Final = "arithmetic"

KINDS: Final = {
    ARITHMETIC: "arithmetic and addresses",
    "weights": "weights",
    "gradients": "gradients",
    "moments": "moments",
    "kept_potentials": "kept potentials",
    "deltas": "deltas",
    "states": "potentials or accumulators",
    "activations": "spikes or activations",
    DATA: "data",
}
"""Arithmetic, and the arrays that are accessed (`Term.accessed`), with their names."""


def kind_of(column: Column) -> str:
    """Return what a term accesses; everything that prepares samples is data."""
    if column.phase == DATA:
        return DATA
    return TERMS[column.term].accessed or ARITHMETIC


def pj_by_kind(
    ledger: Ledger, variant: int, profile: str
) -> dict[str, dict[str, float]]:
    """Return pJ by kind (a key of `KINDS`) and phase, the middle of price ranges.

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
