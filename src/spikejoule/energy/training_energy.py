"""The energy of training: each phase under every price list, their sum, and what it compares to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import Ledger
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.training import PHASES, TrainingRecord

TRAINING: Final = "training"
"""All phases."""


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """What training takes.

    Attributes:
        prices: the price list of `total`.
        phases: by id of a price list, the energy of each phase; None where it has no price.
        totals: by id of a price list, of all that has a price.
        total: of all phases; None where one of them has no price.
        per_point: the same over the percentage points by which the best validation accuracy
            exceeds guessing; None if it does not, or is not recorded.
        in_inferences: inferences that take as much energy, under the same prices; None where the
            prices are ranges, or an inference costs nothing.
    """

    prices: HardwareProfile
    phases: Mapping[str, Mapping[str, Energy | None]]
    totals: Mapping[str, Energy]
    total: Energy | None
    per_point: Energy | None
    in_inferences: float | None

    def priced(self, profile: str) -> dict[str, Energy]:
        """The phases with a price under a price list, and their energies."""
        phases = self.phases[profile].items()
        return {phase: energy for phase, energy in phases if energy is not None}

    def unpriced(self, profile: str) -> list[str]:
        """The phases without."""
        return [phase for phase, energy in self.phases[profile].items() if energy is None]


def training_energy(
    ledger: Ledger, prices: HardwareProfile, record: TrainingRecord, n_classes: int
) -> TrainingEnergy:
    """The energy of training, the last variant of a ledger whose first is an inference.

    Args:
        ledger: of the network and its training.
        prices: the price list of the total.
        record: of the training, for the accuracy that it reached.
        n_classes: among which guessing is right by chance.
    """
    number = len(ledger.variants) - 1
    phases = {
        profile.id: {phase: ledger.total_of_phase(number, profile.id, phase) for phase in PHASES}
        for profile in ledger.profiles
    }
    totals = {profile.id: ledger.total(number, profile.id) for profile in ledger.profiles}
    total = None if None in phases[prices.id].values() else totals[prices.id]
    best_percent = record.best_validation_accuracy_percent
    gained = 0.0 if best_percent is None else best_percent - 100 / n_classes
    per_point = None
    if total is not None and gained > 0:
        per_point = Energy.of(np.array(total.numbers) / gained)
    inference_pj = ledger.total(0, prices.id).value_pj
    in_inferences = None
    if total is not None and total.value_pj is not None and inference_pj:
        in_inferences = total.value_pj / inference_pj
    return TrainingEnergy(prices, phases, totals, total, per_point, in_inferences)
