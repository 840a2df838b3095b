"""Training: its operations as integers by epoch, phase, term and place, and their energy.

With N samples of an epoch, T steps, layers of n_l units, E_l synaptic events from layer l on, P
parameters and U optimizer steps,

    forward     as in inference (`counting`), for the spikes of the training samples
                teacher MACs              as recorded, dense; where there is a teacher
    backward    gradient accumulations    E_l            a delta for each synapse of a spike
                bias gradients            N T n_l        an addition per neuron and step, if any
                backpropagation MACs      N T n_l n_l+1  between neurons, dense; none to the input
                delta multiplications     2 N T n_l      by the surrogate's derivative, by the decay
                                                         (not by a decay of 1)
                delta additions           N T n_l        the delta of the step after
                surrogate evaluations     N T n_l
                learned constants         N T n_l        for each of a layer's, a multiplication
                                                         and an addition to its gradient
                input gradient MACs   as many as input MACs, of an input of constant currents
    optimizer   Adam: P U times the operations of `_ADAM`

These are the terms of the equations in `neuron` and of Adam (Kingma and Ba 2015, arXiv:1412.6980,
algorithm 1), each counted once; a clever implementation may save some. The bias correction's
scalars, the loss at the output counts, and the augmentation and encoding of images are not counted.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import Products
from spikejoule.energy.comparison import Comparison
from spikejoule.energy.counting import (
    Block,
    Column,
    InputMacs,
    SpikingCounts,
    bias_additions,
    block,
    clocked_updates,
    count_spiking,
    joined,
    leaks_by_layer,
)
from spikejoule.energy.estimates import Amount, Energy
from spikejoule.energy.prices import HardwareProfile, coverage, price_vector
from spikejoule.model.architecture import Architecture

PHASES: Final = ("forward", "backward", "optimizer")

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition; v = b2 v + (1 - b2) g g: 3 and 1;
# w -= rate m' / (sqrt(v') + e), where m' and v' are divided by their bias corrections: 1 and 2,
# 3 divisions, 1 root.
_ADAM = {
    "optimizer_multiplication": 6,
    "optimizer_addition": 4,
    "optimizer_division": 3,
    "optimizer_root": 1,
}
_WEIGHT_DECAY = {"optimizer_multiplication": 1, "optimizer_addition": 1}  # g + decay w
_CLIPPING = {"optimizer_multiplication": 2, "optimizer_addition": 1}  # norm, scaling

TRAINING_ASSUMPTIONS: Final = (
    "Training counts the forward and backward passes of all training samples; validation, encoding "
    "and augmentation are not counted.",
    "Backward: one gradient accumulation per synaptic event; deltas, surrogate derivatives and "
    "bias gradients once per neuron and step; deltas travel back through every synapse between "
    "neurons in every step, none to the input.",
    "Optimizer: Adam on every parameter in every step, with weight decay and gradient clipping "
    "where they were on; divisions, roots and surrogate evaluations are counted, but no profile "
    "prices them.",
    "Pruned synapses keep their place in the backward pass between neurons and in the optimizer: "
    "an upper bound. They keep it in memory, too, so that no index of a target is read.",
    "A saving pays for the spiking network's training alone: a baseline's own training is not "
    "counted. Percentage points are those by which the best validation accuracy exceeds guessing.",
)


@dataclass(frozen=True)
class EpochSpikes:
    """One epoch: its samples, the spikes of each layer over them, and the accuracy after it.

    `synaptic_events` are those of each weight matrix, as counted; None where only the spikes were.
    `teacher_macs` are the multiply-accumulates of a teacher, and `teacher_macs_nonzero` those of
    them without a zero activation; None where there was none.
    `input_macs` are the products of constant currents; None for an input of spikes.
    """

    epoch: int
    samples: int
    spikes: tuple[int, ...]
    validation_accuracy_percent: float
    synaptic_events: tuple[int, ...] | None = None
    teacher_macs: int | None = None
    teacher_macs_nonzero: int | None = None
    input_macs: int | None = None


@dataclass(frozen=True)
class TrainingRecord:
    """What is known of a training.

    Attributes:
        epochs: each epoch; empty where spikes are known for the whole of training alone.
        samples: forward passes of all epochs.
        spikes: of each layer over them.
        n_epochs: passes over the training set.
        time_window: T.
        batch_size: samples an optimizer step.
        weight_decay, clipping: whether they were on.
        best_epoch: the epoch whose weights were kept; None where not recorded.
        best_validation_accuracy_percent: None where not recorded.
        pruned: whether synapses were removed in training.
        input_products: how often hardware multiplies constant currents; None for a code of spikes.
    """

    epochs: tuple[EpochSpikes, ...]
    samples: int
    spikes: tuple[int, ...]
    n_epochs: int
    time_window: int
    batch_size: int
    weight_decay: bool
    clipping: bool
    best_epoch: int | None
    best_validation_accuracy_percent: float | None
    pruned: bool = False
    input_products: Products | None = None

    @property
    def events_counted(self) -> bool:
        """Whether every epoch's synaptic events were counted."""
        return bool(self.epochs) and all(epoch.synaptic_events for epoch in self.epochs)

    @property
    def has_teacher(self) -> bool:
        """Whether every epoch's answers of a teacher were counted."""
        return bool(self.epochs) and all(epoch.teacher_macs is not None for epoch in self.epochs)

    @property
    def optimizer_steps(self) -> int:
        """Updates of all parameters: batches of an epoch, the last one smaller, times epochs."""
        return self.n_epochs * _batches(self.samples // self.n_epochs, self.batch_size)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and what is assumed, a sentence each."""
        found = list(TRAINING_ASSUMPTIONS)
        if self.pruned and not self.events_counted:
            found.append(
                "Synapses were removed during training; events of training are counted with all "
                "synapses in place, which is an upper bound."
            )
        if self.has_teacher:
            macs = sum(epoch.teacher_macs or 0 for epoch in self.epochs)
            left = sum(epoch.teacher_macs_nonzero or 0 for epoch in self.epochs)
            found.append(
                f"The ReLU teacher answers each training sample once: {macs:,} "
                f"multiply-accumulates, of which {left:,} would be left without those of a zero "
                "activation. All are priced; its biases and its softmax are not counted, and "
                "neither is its own training."
            )
        if self.input_products is not None:
            found.append(
                "Each product of a constant current stands for another one in the backward pass: "
                "of the current and the sum of the deltas."
            )
        return tuple(found)


@dataclass(frozen=True, eq=False)
class TrainingCounts:
    """Operations of training.

    Attributes:
        phases: of each column, one of `PHASES`.
        columns: C columns.
        counts: int64 [epochs, C], one row for all of it if epochs are not known.
    """

    phases: tuple[str, ...]
    columns: tuple[Column, ...]
    counts: NDArray[np.int64]


def count_training(record: TrainingRecord, architecture: Architecture) -> TrainingCounts:
    """Count the operations of training, by epoch where epochs are recorded."""
    rows = [(epoch.samples, epoch.spikes) for epoch in record.epochs]
    n_samples = np.array([samples for samples, _ in rows] or [record.samples], dtype=np.int64)
    spikes = np.array([layers for _, layers in rows] or [record.spikes], dtype=np.int64)
    events = spikes[:, :-1] * np.array(architecture.layer_sizes[1:], dtype=np.int64)
    if record.events_counted:
        events = np.array([epoch.synaptic_events for epoch in record.epochs], dtype=np.int64)
    inputs = None
    if record.input_products is not None:
        macs = [epoch.input_macs or 0 for epoch in record.epochs]
        inputs = InputMacs(np.array(macs, dtype=np.int64), record.input_products)
    updates = clocked_updates(architecture, record.time_window * n_samples)
    counts = SpikingCounts(spikes, events, updates, inputs=inputs, samples=n_samples)
    columns, counted = count_spiking(architecture, counts)
    forward = [Block(columns, counted)]
    if record.has_teacher:
        of_teacher = [[epoch.teacher_macs or 0] for epoch in record.epochs]
        forward.append(block("teacher_mac", ["teacher"], of_teacher))
    blocks = {
        "forward": forward,
        "backward": [*_backward(architecture, counts)],
        "optimizer": [*_optimizer(record, architecture)],
    }
    listed = [each for phase in PHASES for each in blocks[phase]]
    return TrainingCounts(
        tuple(phase for phase in PHASES for each in blocks[phase] for _ in each.columns),
        *joined(listed, len(spikes)),
    )


def _backward(architecture: Architecture, counts: SpikingCounts) -> Iterator[Block]:
    neurons, connections = architecture.layer_names[1:], architecture.connection_names
    updates, targets = counts.updates, np.array(architecture.layer_sizes[1:], dtype=np.int64)
    learned = len(architecture.neuron.learned_names)
    yield block("gradient_accumulation", connections, counts.events)
    if counts.inputs is not None:
        yield block("input_gradient_mac", connections[:1], counts.inputs.counts[:, None])
    additions = bias_additions(architecture, updates, counts.inputs)
    yield block("bias_gradient_accumulation", neurons, additions)
    yield block("backpropagation_mac", connections[1:], updates[:, :-1] * targets[1:])
    multiplications = 1 + leaks_by_layer(architecture) + learned
    yield block("delta_multiplication", neurons, updates * multiplications)
    yield block("delta_addition", neurons, (1 + learned) * updates)
    yield block("surrogate_evaluation", neurons, updates)


def _optimizer(record: TrainingRecord, architecture: Architecture) -> Iterator[Block]:
    parameters = sum(math.prod(shape) for shape in architecture.parameter_shapes().values())
    extras = [_WEIGHT_DECAY] * record.weight_decay + [_CLIPPING] * record.clipping
    steps = [[_batches(epoch.samples, record.batch_size)] for epoch in record.epochs]
    made = np.array(steps or [[record.optimizer_steps]], dtype=np.int64)
    for term, number in _ADAM.items():
        each = parameters * (number + sum(extra.get(term, 0) for extra in extras))
        yield block(term, ["parameters"], made * each)


def _batches(samples: int, batch_size: int) -> int:
    return -(-samples // batch_size)


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
    terms = tuple(
        TrainingTerm(phase, column.term, column.place, int(total))
        for phase, column, total in zip(
            counts.phases, counts.columns, counts.counts.sum(axis=0), strict=True
        )
    )
    best = record.best_validation_accuracy_percent
    gained = None if best is None else best - 100 / architecture.n_output
    return TrainingEnergy(
        terms=terms,
        samples=record.samples,
        optimizer_steps=record.optimizer_steps,
        n_epochs=record.n_epochs,
        best_epoch=record.best_epoch,
        best_validation_accuracy_percent=best,
        assumptions=record.assumptions,
        profiles=tuple(
            _under(profile, energy, comparisons, counts, terms, record.epochs, gained)
            for profile, energy, comparisons in inference
        ),
    )


def _under(
    profile: HardwareProfile,
    energy: Energy,
    comparisons: Sequence[Comparison],
    counts: TrainingCounts,
    terms: Sequence[TrainingTerm],
    epochs: Sequence[EpochSpikes],
    gained: float | None,
) -> ProfileTraining:
    prices, held = price_vector(counts.columns, profile), coverage(counts.columns, profile)
    weights, phases = prices.weights, np.array(counts.phases)

    def amount(row: NDArray[np.int64]) -> Amount:
        return Amount.of(np.array([row @ each for each in weights]))

    def by_phase(row: NDArray[np.int64]) -> dict[str, Amount]:
        return {phase: amount(row * (phases == phase)) for phase in PHASES}

    totals, cumulative = counts.counts.sum(axis=0), counts.counts.cumsum(axis=0)
    total = amount(totals)
    inference_pj = energy.value_pj
    amortised = {}
    for one in comparisons:
        ann = one.ann.value_pj
        saving = None if ann is None or inference_pj is None else ann - inference_pj
        amortised[one.name] = _quotient(total.value_pj, saving)
    return ProfileTraining(
        profile=profile,
        epochs=tuple(
            TrainingEpoch(
                epoch=epoch.epoch,
                validation_accuracy_percent=epoch.validation_accuracy_percent,
                by_phase=by_phase(counts.counts[row]),
                cumulative=amount(cumulative[row]),
            )
            for row, epoch in enumerate(epochs)
        ),
        total=total,
        by_phase=by_phase(totals),
        by_term=tuple(
            (term, Amount.of(weights[:, place] * totals[place]))
            for place, term in enumerate(terms)
            if prices.priced[place]
        ),
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
        per_percentage_point=Amount.of(total.ends / gained) if gained and gained > 0 else None,
        inferences_of_the_same_energy=_quotient(total.value_pj, inference_pj),
        inferences_to_amortise=amortised,
    )


def _quotient(numerator: float | None, denominator: float | None) -> float | None:
    if numerator is None or denominator is None or denominator <= 0:
        return None
    return numerator / denominator
