"""The energy of a training, by price list, phase and kind of access."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.energy.conventional import METHODS
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import (
    CONVENTIONAL,
    SPIKING,
    Ledger,
    Variant,
    baseline_variant,
)
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.training.conventional import count_conventional_training
from spikejoule.energy.training.counting import VARIANTS, count_training, way_of
from spikejoule.energy.training.history import energy_so_far
from spikejoule.energy.training.record import DATA, PHASES, TrainingRecord

WAYS: Final = {
    "event": "event by event",
    "dense": "densely",
    "dense_recompute": "densely, computing potentials twice",
}
"""The variants of a training step, in words."""


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """The energy of a training, and of the same training run in other ways.

    Attributes:
        ledger: the variants: the spiking network, first as its engine trained it, then
            in other ways; and conventional networks. Their methods say how.
        prices: the price list of the headline.
        phases: by price list, the energy of each phase; None if it has no price.
        totals: by price list, the energy of everything that has a price.
        per_point: `total` per percentage point by which the best validation accuracy
            exceeds chance; None if it does not, or is not recorded.
        in_inferences: number of inferences with the same energy at the same prices (the
            middle of ranges); None if an inference costs nothing.
        so_far_j: joules up to each epoch under `prices`, low and high end, [2, E].
    """

    ledger: Ledger
    prices: HardwareProfile
    phases: Mapping[str, Mapping[str, Energy | None]]
    totals: Mapping[str, Energy]
    per_point: Energy | None
    in_inferences: float | None
    so_far_j: NDArray[np.float64]

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

    @property
    def way(self) -> str:
        """How the network was trained, in words."""
        return self.ledger.variants[0].method

    @property
    def under_headline(self) -> list[tuple[Variant, Energy]]:
        """Each network and way of training it, with its energy under `prices`."""
        return [
            (variant, self.ledger.total(number, self.prices.id))
            for number, variant in enumerate(self.ledger.variants)
        ]

    @property
    def other_ways(self) -> dict[str, Energy]:
        """The energy of running the same steps in other ways, under `prices`."""
        return {
            variant.method: energy
            for variant, energy in self.under_headline[1:]
            if variant.side == SPIKING
        }

    def conventional(
        self, level_percent: float | None
    ) -> tuple[Variant, Energy] | None:
        """Return the cheapest training of a conventional network, and its energy.

        Args:
            level_percent: validation accuracy that the network must reach; None for
                any. If none reaches it, the most accurate ones count.
        """
        energies = {
            variant: energy
            for variant, energy in self.under_headline
            if variant.side == CONVENTIONAL
        }
        if not energies:
            return None
        best = max(_validated(variant) for variant in energies)
        level = best if level_percent is None else min(level_percent, best)
        reaching = [variant for variant in energies if _validated(variant) >= level]
        cheapest = min(reaching, key=lambda variant: energies[variant].middle_pj)
        return cheapest, energies[cheapest]


def _validated(variant: Variant) -> float:
    percent = variant.validation_percent
    return 0.0 if percent is None else percent


def training_ledger(
    trained: Variant,
    record: TrainingRecord,
    baselines: Sequence[BaselineCounts],
    profiles: Sequence[HardwareProfile],
    settings: BootstrapSettings,
) -> Ledger:
    """Count and price a training in all ways, and those of conventional networks.

    Args:
        trained: the network.
        record: its training.
        baselines: the conventional networks.
        profiles: the price lists.
        settings: how intervals are drawn; a training has none.
    """
    own = way_of(record)
    ways = sorted(VARIANTS, key=lambda way: way != own)
    variants = [
        replace(
            trained,
            method=WAYS[way],
            operations=_all_epochs(count_training(record, way)),
        )
        for way in ways
    ]
    for baseline in baselines:
        for method in METHODS:
            operations = count_conventional_training(baseline, record, method)
            if operations is not None:
                variants.append(baseline_variant(baseline, method, operations))
    return Ledger.of(variants, profiles, settings)


def _all_epochs(by_epoch: OperationCounts) -> OperationCounts:
    return replace(by_epoch, counts=by_epoch.counts.sum(axis=0)[None])


def training_energy(
    ledger: Ledger,
    inference: Energy,
    prices: HardwareProfile,
    record: TrainingRecord,
    n_classes: int,
) -> TrainingEnergy:
    """Price a training, which is the first variant of a ledger.

    Args:
        ledger: the training (`training_ledger`).
        inference: the energy of an inference under `prices`.
        prices: the price list of the headline.
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
    so_far_j = energy_so_far(record, prices)
    found = TrainingEnergy(ledger, prices, phases, totals, None, None, so_far_j)
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
