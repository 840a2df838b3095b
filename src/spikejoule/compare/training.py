"""The energy of a training by price list, phase and dataflow, next to others'.

A training is counted in every dataflow of `TRAINING_RANGE`, and its energy is the range
over them. Conventional networks are counted in the same dataflows, so the ratio of both
sides is a range, too. The dense dataflow is given beside them, for both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.comparison import Comparison, outcome_of, side_of
from spikejoule.compare.front import Side
from spikejoule.counts.training import TrainingRecord
from spikejoule.energy.dataflow import DENSE, TRAINING_RANGE, Dataflow
from spikejoule.energy.estimates import BootstrapSettings, Energy
from spikejoule.energy.ledger import CONVENTIONAL, Ledger, Variant
from spikejoule.energy.operations import DATA, PHASES, OperationCounts
from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.training.by_epoch import energy_so_far
from spikejoule.energy.training.counting import count_training

WAYS: dict[bool, tuple[Dataflow, ...]] = {True: TRAINING_RANGE, False: (DENSE,)}
"""The dataflows of a training that skips zeros, and of one that does not."""


class Range(NamedTuple):
    """Both ends of a number over dataflows and prices."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TrainingEnergy:
    """The energy of a training, and of others beside it.

    Attributes:
        ledger: a variant for each network and dataflow; first the spiking network, as
            it was trained.
        prices: the price list of the headline.
        record: the training.
        inference: the energy of an inference under `prices`.
    """

    ledger: Ledger
    prices: HardwareProfile
    record: TrainingRecord
    inference: Energy

    def phases(self, profile: str) -> dict[str, Energy | None]:
        """Return the energy of each phase in the first dataflow; None without a price.

        Args:
            profile: id of the price list.
        """
        return {
            phase: self.ledger.total_of_phase(0, profile, phase) for phase in PHASES
        }

    @property
    def total(self) -> Energy | None:
        """The energy under `prices`."""
        return self.total_of(self.prices.id)

    def total_of(self, profile: str) -> Energy | None:
        """Return the energy under a price list, over dataflows."""
        return None if self.unpriced(profile) else self._over(self.own, profile)

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

    def _over(self, numbers: Sequence[int], profile: str) -> Energy:
        """Return the range over variants, given by their positions."""
        energies = [self.ledger.total(number, profile) for number in numbers]
        if len(energies) == 1:
            return energies[0]
        low_pj = min(energy.low_pj for energy in energies)
        high_pj = max(energy.high_pj for energy in energies)
        return Energy(low_pj, None, high_pj)

    @cached_property
    def networks(self) -> list[dict[Dataflow, int]]:
        """The positions of each network's variants, by dataflow; first the spiking one.

        Names do not tell networks apart: two may have the same.
        """
        networks: list[dict[Dataflow, int]] = []
        first = self.ledger.variants[0].dataflow
        for number, variant in enumerate(self.ledger.variants):
            if variant.dataflow == first:
                networks.append({})
            networks[-1][variant.dataflow] = number
        return networks

    def _in_range(self, network: Mapping[Dataflow, int]) -> list[int]:
        """Return the positions of a network's variants in `dataflows`."""
        return [network[dataflow] for dataflow in self.dataflows]

    @property
    def dataflows(self) -> tuple[Dataflow, ...]:
        """The dataflows of the training's way: skipping zeros, or dense."""
        return WAYS[self.ledger.variants[0].dataflow.skips_zeros]

    @property
    def own(self) -> list[int]:
        """The positions of the training's variants in these dataflows."""
        return self._in_range(self.networks[0])

    @property
    def by_dataflow(self) -> dict[Dataflow, Energy]:
        """The energy of the training in each dataflow under `prices`, dense included.

        The first is that of the engine.
        """
        return {
            dataflow: self.ledger.total(number, self.prices.id)
            for dataflow, number in self.networks[0].items()
        }

    @property
    def under_headline(self) -> list[tuple[Variant, Energy]]:
        """Each network and dataflow, with the energy of its training under `prices`."""
        return [
            (variant, self.ledger.total(number, self.prices.id))
            for number, variant in enumerate(self.ledger.variants)
        ]

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
    def in_inferences(self) -> Range | None:
        """Number of inferences with the same energy at the same prices.

        None if an inference costs nothing, or the training has no total.
        """
        if self.total is None or not self.inference.low_pj:
            return None
        # The same price is low or high for both.
        ends = (
            self.total.low_pj / self.inference.low_pj,
            self.total.high_pj / self.inference.high_pj,
        )
        return Range(min(ends), max(ends))

    @property
    def so_far_j(self) -> NDArray[np.float64]:
        """Joules up to each epoch under `prices`, low and high end, [2, E]."""
        ends = [
            energy_so_far(count_training(self.record, dataflow), self.prices)
            for dataflow in self.dataflows
        ]
        return np.stack([np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]])

    @property
    def conventional(self) -> Comparison | None:
        """The conventional network of equal accuracy that costs least to train.

        If none is as accurate, or this network's accuracy is unknown, it is the
        cheapest of the most accurate ones; None if no training is recorded, or the
        spiking one has no total.
        """
        if len(self.networks) == 1 or self.total is None:
            return None
        trained = [self._compared(network) for network in self.networks[1:]]
        own_percent = self.ledger.variants[0].validation_percent
        level = max(one.conventional.percent for one in trained)
        if own_percent is not None:
            level = min(own_percent, level)
        reaching = [one for one in trained if one.conventional.percent >= level]
        return min(reaching, key=lambda one: one.conventional.energy.middle_pj)

    def _compared(self, network: Mapping[Dataflow, int]) -> Comparison:
        """Compare with the training of a conventional network, over dataflows."""
        theirs = self._in_range(network)
        ratios = []
        for own, their in zip(self.own, theirs, strict=True):
            spiking = self.ledger.total(own, self.prices.id)
            other = self.ledger.total(their, self.prices.id)
            # The same price is low or high for both sides.
            ratios += [spiking.low_pj / other.low_pj, spiking.high_pj / other.high_pj]
        return Comparison(
            profile=self.prices.id,
            level_percent=0.0,
            outcome=outcome_of(min(ratios), max(ratios)),
            ratio=None,
            ratio_low=min(ratios),
            ratio_high=max(ratios),
            ratio_bound="",
            spiking=self._side(self.own),
            conventional=self._side(theirs),
        )

    def _side(self, numbers: Sequence[int]) -> Side:
        """Return the training of a network over dataflows, by their positions."""
        profile = self.prices.id
        side = side_of(self.ledger, numbers[0], profile)
        return replace(side, energy=self._over(numbers, profile))


def training_ledger(
    trained: Variant,
    record: TrainingRecord,
    baselines: Sequence[CountedBaseline],
    profiles: Sequence[HardwareProfile],
    settings: BootstrapSettings,
) -> Ledger:
    """Count and price trainings of both sides in all dataflows.

    Args:
        trained: the network.
        record: its training.
        baselines: the conventional networks, trained on the same images, augmented
            alike.
        profiles: the price lists.
        settings: how intervals are drawn; a training has none.
    """
    is_dense = record.engine == "dense"
    ways = sorted((*TRAINING_RANGE, DENSE), key=lambda way: (way == DENSE) != is_dense)
    records = {trained: record}
    for baseline in baselines:
        if baseline.training is not None:
            variant = replace(
                trained,
                side=CONVENTIONAL,
                network=baseline.name,
                validation_percent=baseline.validation_accuracy_percent,
                test_percent=baseline.accuracy_percent,
                weight_bits=baseline.network.weight_bits,
                weights_sha256=baseline.weights_sha256,
            )
            records[variant] = replace(baseline.training, augmented=record.augmented)
    variants = [
        replace(
            variant,
            method="training",
            dataflow=dataflow,
            operations=_all_epochs(count_training(of_variant, dataflow)),
        )
        for variant, of_variant in records.items()
        for dataflow in ways
    ]
    return Ledger.of(variants, profiles, settings)


def _all_epochs(by_epoch: OperationCounts) -> OperationCounts:
    return replace(by_epoch, counts=by_epoch.counts.sum(axis=0)[None])
