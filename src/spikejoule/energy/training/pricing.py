"""The energy of a training, by price list and phase."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import Ledger
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.training.record import DATA, PHASES, TrainingRecord


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """The energy of a training.

    Attributes:
        ledger: the training as its first variant, under every price list.
        prices: the price list of the headline.
        phases: by price list, the energy of each phase; None if it has no price.
        totals: by price list, the energy of everything that has a price.
        per_point: `total` per percentage point by which the best validation accuracy
            exceeds guessing; None if it does not, or is not recorded.
        in_inferences: number of inferences with the same energy at the same prices (the
            middle of ranges); None if an inference costs nothing.
    """

    ledger: Ledger
    prices: HardwareProfile
    phases: Mapping[str, Mapping[str, Energy | None]]
    totals: Mapping[str, Energy]
    per_point: Energy | None
    in_inferences: float | None

    @property
    def total(self) -> Energy | None:
        """The energy under `prices`."""
        return self.total_of(self.prices.id)

    def total_of(self, profile: str) -> Energy | None:
        """Return the energy under a price list."""
        return None if self.unpriced(profile) else self.totals[profile]

    def priced(self, profile: str) -> dict[str, Energy]:
        """Return the energies of the phases that a price list prices."""
        phases = self.phases[profile].items()
        return {phase: energy for phase, energy in phases if energy is not None}

    def unpriced(self, profile: str) -> list[str]:
        """Return the phases that a price list does not price.

        Without them there is no total. A list of arithmetic alone has no price for
        reading data, which computes nothing.
        """
        phases = self.phases[profile].items()
        return [phase for phase, energy in phases if energy is None and phase != DATA]


def training_energy(
    ledger: Ledger,
    inference: Energy,
    prices: HardwareProfile,
    record: TrainingRecord,
    n_classes: int,
) -> TrainingEnergy:
    """Price a training, which is the first variant of a ledger.

    Args:
        ledger: the training.
        inference: the energy of an inference under `prices`.
        prices: the price list of the total.
        record: the training, for its best accuracy.
        n_classes: number of classes, for the accuracy of guessing.
    """
    phases = {
        profile.id: {
            phase: ledger.total_of_phase(0, profile.id, phase) for phase in PHASES
        }
        for profile in ledger.profiles
    }
    totals = {profile.id: ledger.total(0, profile.id) for profile in ledger.profiles}
    found = TrainingEnergy(ledger, prices, phases, totals, None, None)
    if found.total is None:
        return found
    best_percent = record.best_validation_accuracy_percent
    gained = 0.0 if best_percent is None else best_percent - 100 / n_classes
    per_point = None
    if gained > 0:
        per_point = Energy.of(np.array(found.total.numbers) / gained)
    in_inferences = None
    if inference.middle_pj:
        in_inferences = found.total.middle_pj / inference.middle_pj
    return replace(found, per_point=per_point, in_inferences=in_inferences)
