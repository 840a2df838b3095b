"""The energy of a training, by price list, phase and kind of access."""

from collections.abc import Sequence
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
from spikejoule.energy.training.counting import count_training, way_of
from spikejoule.energy.training.history import energy_so_far
from spikejoule.energy.training.record import DATA, PHASES, TrainingRecord
from spikejoule.energy.training.step import StepVariant

WAYS: Final[dict[StepVariant, str]] = {
    "event": "event by event",
    "dense": "densely",
}
"""The variants of a training step, in words."""


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """The energy of a training, and of the same training run in other ways.

    Attributes:
        ledger: the variants: the spiking network, first as its engine trained it, then
            in other ways; and conventional networks. Their methods say how.
        prices: the price list of the headline.
        record: the training.
        inference: the energy of an inference under `prices`.
    """

    ledger: Ledger
    prices: HardwareProfile
    record: TrainingRecord
    inference: Energy

    def phases(self, profile: str) -> dict[str, Energy | None]:
        """Return the energy of each phase under a price list; None without a price."""
        return {
            phase: self.ledger.total_of_phase(0, profile, phase) for phase in PHASES
        }

    @property
    def total(self) -> Energy | None:
        """The energy under `prices`."""
        return self.total_of(self.prices.id)

    def total_of(self, profile: str) -> Energy | None:
        """Return the energy under a price list."""
        return None if self.unpriced(profile) else self.ledger.total(0, profile)

    def priced(self, profile: str) -> dict[str, Energy]:
        """Return the energies of the phases that a price list prices."""
        phases = self.phases(profile).items()
        return {phase: energy for phase, energy in phases if energy is not None}

    def unpriced(self, profile: str) -> list[str]:
        """Return the phases that a price list does not price.

        Without them there is no total. A list of arithmetic alone has no price for
        reading data, which computes nothing.
        """
        phases = self.phases(profile).items()
        return [phase for phase, energy in phases if energy is None and phase != DATA]

    @property
    def per_point(self) -> Energy | None:
        """`total` per percentage point by which the best accuracy exceeds chance.

        Of validation images; None if it does not exceed chance, or is not recorded.
        """
        best_percent = self.record.best_validation_accuracy_percent
        if self.total is None or best_percent is None:
            return None
        gained = best_percent - 100 / self.record.network.n_output
        return Energy.of(np.array(self.total.numbers) / gained) if gained > 0 else None

    @property
    def in_inferences(self) -> float | None:
        """Number of inferences with the same energy at the same prices.

        At the middle of ranges; None if an inference costs nothing.
        """
        if self.total is None or not self.inference.middle_pj:
            return None
        return self.total.middle_pj / self.inference.middle_pj

    @property
    def so_far_j(self) -> NDArray[np.float64]:
        """Joules up to each epoch under `prices`, low and high end, [2, E]."""
        counted = count_training(self.record, way_of(self.record))
        return energy_so_far(counted, self.prices)

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

    @property
    def conventional(self) -> tuple[Variant, Energy] | None:
        """The conventional network of equal accuracy that costs least to train.

        With the energy of its training under `prices`. If none is as accurate, or this
        network's accuracy is unknown, it is the cheapest of the most accurate ones;
        None if no training is recorded, or the spiking one has no total.
        """
        energies = {
            variant: energy
            for variant, energy in self.under_headline
            if variant.side == CONVENTIONAL
        }
        if not energies or self.total is None:
            return None
        percents = {variant: variant.validation_percent or 0.0 for variant in energies}
        best = max(percents.values())
        own_percent = self.ledger.variants[0].validation_percent
        level = best if own_percent is None else min(own_percent, best)
        reaching = [variant for variant in energies if percents[variant] >= level]
        cheapest = min(reaching, key=lambda variant: energies[variant].middle_pj)
        return cheapest, energies[cheapest]


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
    ways = sorted(WAYS, key=lambda way: way != own)
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
