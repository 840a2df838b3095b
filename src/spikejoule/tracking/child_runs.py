"""The conventional networks of a result as child runs, which MLflow shows below its
run.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spikejoule.energy import HardwareProfile, price
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL, Variant, judges

if TYPE_CHECKING:
    from mlflow.entities import Run

_DIGITS = 6
PARENT_TAG: Final = "mlflow.parentRunId"

ChildRuns = Mapping[str, Mapping[str, float]]
"""Metrics of each child run, by its name."""


def is_child(run: "Run") -> bool:
    """Whether a run belongs to another, and is no result of its own."""
    return PARENT_TAG in run.data.tags


def conventional_runs(
    variants: Iterable[Variant], profile: HardwareProfile
) -> ChildRuns:
    """The conventional networks among the counted ones: accuracies, products, energy.

    Args:
        variants: as the stage `energy_report` counted them.
        profile: the price list of the energies; where it does not fit the numbers that
            a network computes in, that network has no energy.
    """
    return {
        variant.name: {
            **_accuracies(variant),
            "macs": _macs(variant),
            **_energies_nj(variant, profile),
        }
        for variant in variants
        if variant.side == CONVENTIONAL
    }


def _accuracies(variant: Variant) -> dict[str, float]:
    known = {
        "accuracy": variant.test_percent,
        "accuracy_val": variant.validation_percent,
    }
    return {name: percent for name, percent in known.items() if percent is not None}


def _macs(variant: Variant) -> float:
    """Multiply-accumulates per inference, mean."""
    operations = variant.operations
    of_products = [column.term == "mac" for column in operations.columns]
    return float(operations.counts[:, of_products].sum(axis=1).mean())


def _energies_nj(variant: Variant, profile: HardwareProfile) -> dict[str, float]:
    """Mean per inference; where prices are ranges alone, both of its ends."""
    if not judges(profile, variant):
        return {}
    low, value, high = price(variant.operations, profile)
    energies = {"energy_nj": value}
    if np.isnan(value).any():
        energies = {"energy_low_nj": low, "energy_high_nj": high}
    return {name: rounded(pj.mean() / 1000, _DIGITS) for name, pj in energies.items()}
