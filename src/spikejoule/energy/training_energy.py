"""Training in picojoules: by epoch and phase, and what its energy compares with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.comparison import Comparison
from spikejoule.energy.estimates import Amount, Energy
from spikejoule.energy.pricing import PriceVector, coverage, price_vector
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.energy.training_counts import (
    PHASES,
    TRAINING_ASSUMPTIONS,
    TrainingCounts,
    TrainingRecord,
    count_training,
)
from spikejoule.model.architecture import Architecture


@dataclass(frozen=True)
class TrainingTerm:
    """Operations of the whole training: one term at one place in one phase, an exact integer."""

    phase: str
    term: str
    place: str
    count: int


@dataclass(frozen=True)
class TrainingEpoch:
    """One epoch under one profile.

    Attributes:
        epoch: from 1 on.
        validation_accuracy_percent: after it.
        by_phase: energy of the epoch: ``forward``, ``backward``, ``optimizer``.
        cumulative: energy from the first epoch to this one: the cost to reach its accuracy.
    """

    epoch: int
    validation_accuracy_percent: float
    by_phase: dict[str, Amount]
    cumulative: Amount


@dataclass(frozen=True)
class ProfileTraining:
    """Training under one profile.

    Attributes:
        profile: the prices.
        epochs: in order; empty where spikes are known for the whole of training alone.
        total: energy of all that has a price.
        by_phase: ``forward``, ``backward``, ``optimizer``.
        by_term: each entry of `TrainingEnergy.terms` that has a price, and its energy.
        unpriced: terms without a price, not in the total.
        covered: terms whose cost lies within another price.
        contains: in words, what the total holds.
        per_percentage_point: the total over the percentage points by which the best validation
            accuracy exceeds guessing; None if it does not, or is not recorded.
        inferences_of_the_same_energy: the total over the energy of an inference; None where
            the prices are brackets alone, or an inference costs nothing.
        inferences_to_amortise: for each comparison, by its name, the inferences after which the
            saving has paid for the training; None where there is no saving.
    """

    profile: HardwareProfile
    epochs: tuple[TrainingEpoch, ...]
    total: Amount
    by_phase: dict[str, Amount]
    by_term: tuple[tuple[TrainingTerm, Amount], ...]
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    contains: str
    per_percentage_point: Amount | None
    inferences_of_the_same_energy: float | None
    inferences_to_amortise: dict[str, float | None]


@dataclass(frozen=True)
class TrainingEnergy:
    """Training: exact counts, and their price under every profile.

    Attributes:
        terms: all operations that were counted, priced or not.
        samples: forward and backward passes.
        optimizer_steps: updates of all parameters.
        n_epochs: passes over the training set.
        best_epoch: the epoch whose weights were kept; None where not recorded.
        best_validation_accuracy_percent: None where not recorded.
        assumptions: what is counted and what is assumed, a sentence each.
        profiles: the energy by profile.
    """

    terms: tuple[TrainingTerm, ...]
    samples: int
    optimizer_steps: int
    n_epochs: int
    best_epoch: int | None
    best_validation_accuracy_percent: float | None
    assumptions: tuple[str, ...]
    profiles: tuple[ProfileTraining, ...]


def training_energy(
    record: TrainingRecord,
    architecture: Architecture,
    inference: Sequence[tuple[HardwareProfile, Energy, Sequence[Comparison]]],
) -> TrainingEnergy:
    """Count and price a training.

    Args:
        record: what is known of it.
        architecture: of the network.
        inference: each profile with the energy of an inference and its comparisons.
    """
    counts = count_training(record, architecture)
    assumptions: tuple[str, ...] = TRAINING_ASSUMPTIONS
    if record.fewer_events:
        assumptions = (
            *assumptions,
            "Synapses were removed during training; events of training are counted with all "
            "synapses in place, which is an upper bound.",
        )
    if record.has_teacher:
        macs, left = (
            sum(getattr(epoch, name) or 0 for epoch in record.epochs)
            for name in ("teacher_macs", "teacher_macs_nonzero")
        )
        assumptions = (
            *assumptions,
            f"The ReLU teacher answers each training sample once: {macs:,} multiply-accumulates, "
            f"of which {left:,} would be left without those of a zero activation. All are priced; "
            "its biases and its softmax are not counted, and neither is its own training.",
        )
    if record.input_products is not None:
        assumptions = (
            *assumptions,
            "Each product of a constant current stands for another one in the backward pass: of "
            "the current and the sum of the deltas.",
        )
    totals = counts.counts.sum(axis=0)
    return TrainingEnergy(
        terms=tuple(
            TrainingTerm(entry.phase, entry.column.term, entry.column.place, int(total))
            for entry, total in zip(counts.columns, totals, strict=True)
        ),
        samples=record.samples,
        optimizer_steps=record.optimizer_steps,
        n_epochs=record.n_epochs,
        best_epoch=record.best_epoch,
        best_validation_accuracy_percent=record.best_validation_accuracy_percent,
        assumptions=assumptions,
        profiles=tuple(
            _under(profile, energy, comparisons, counts, record, architecture)
            for profile, energy, comparisons in inference
        ),
    )


def _under(
    profile: HardwareProfile,
    energy: Energy,
    comparisons: Sequence[Comparison],
    counts: TrainingCounts,
    record: TrainingRecord,
    architecture: Architecture,
) -> ProfileTraining:
    columns = [entry.column for entry in counts.columns]
    prices, held = price_vector(columns, profile), coverage(columns, profile)
    totals = counts.counts.sum(axis=0)
    total = _amount(totals, prices)
    best = record.best_validation_accuracy_percent
    gained = None if best is None else best - 100 / architecture.n_output
    value = None if energy.value is None else energy.value.mean
    return ProfileTraining(
        profile=profile,
        epochs=_epochs(counts, prices, record),
        total=total,
        by_phase=_by_phase(totals, counts, prices),
        by_term=tuple(
            (
                TrainingTerm(
                    entry.phase, entry.column.term, entry.column.place, int(totals[place])
                ),
                _amount(totals, prices, np.arange(totals.size) == place),
            )
            for place, entry in enumerate(counts.columns)
            if prices.priced[place]
        ),
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
        per_percentage_point=total.over(gained) if gained is not None and gained > 0 else None,
        inferences_of_the_same_energy=_quotient(total.value_pj, value),
        inferences_to_amortise=_amortised(total, value, comparisons),
    )


def _epochs(
    counts: TrainingCounts, prices: PriceVector, record: TrainingRecord
) -> tuple[TrainingEpoch, ...]:
    cumulative = np.cumsum(counts.counts, axis=0)
    return tuple(
        TrainingEpoch(
            epoch=epoch.epoch,
            validation_accuracy_percent=epoch.validation_accuracy_percent,
            by_phase=_by_phase(counts.counts[row], counts, prices),
            cumulative=_amount(cumulative[row], prices),
        )
        for row, epoch in enumerate(record.epochs)
    )


def _by_phase(
    row: NDArray[np.int64], counts: TrainingCounts, prices: PriceVector
) -> dict[str, Amount]:
    return {
        phase: _amount(row, prices, np.array([entry.phase == phase for entry in counts.columns]))
        for phase in PHASES
    }


def _amount(
    row: NDArray[np.int64], prices: PriceVector, chosen: NDArray[np.bool_] | None = None
) -> Amount:
    """The energy of counts [C], of all columns or of the chosen ones."""
    counts = row if chosen is None else row * chosen
    value = prices.value_pj
    return Amount(
        float(counts @ prices.low_pj),
        None if value is None else float(counts @ value),
        float(counts @ prices.high_pj),
    )


def _amortised(
    total: Amount, inference_pj: float | None, comparisons: Sequence[Comparison]
) -> dict[str, float | None]:
    amortised: dict[str, float | None] = {}
    for comparison in comparisons:
        ann = comparison.ann.value
        saving = None if ann is None or inference_pj is None else ann.mean - inference_pj
        amortised[comparison.name] = _quotient(total.value_pj, saving)
    return amortised


def _quotient(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or denominator is None or denominator <= 0:
        return None
    return numerator / denominator
