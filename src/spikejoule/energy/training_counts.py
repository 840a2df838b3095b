"""Counting the operations of training: integers by epoch, phase, term and place.

With N samples of an epoch, T steps, layers of n_l units, E_l synaptic events from layer l on, P
parameters and U optimizer steps,

    forward     as in inference (`operations`), for the spikes of the training samples
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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.encoding.events import Products
from spikejoule.energy import terms
from spikejoule.energy.operations import Column
from spikejoule.energy.spiking_operations import (
    InputMacs,
    SpikingCounts,
    bias_additions,
    clocked_updates,
    count_spiking,
    leaks_by_layer,
)
from spikejoule.model.architecture import Architecture

FORWARD: Final = "forward"
BACKWARD: Final = "backward"
OPTIMIZER: Final = "optimizer"
PHASES: Final = (FORWARD, BACKWARD, OPTIMIZER)

# m = b1 m + (1 - b1) g: 2 multiplications, 1 addition; v = b2 v + (1 - b2) g g: 3 and 1;
# w -= rate m' / (sqrt(v') + e), where m' and v' are divided by their bias corrections: 1 and 2,
# 3 divisions, 1 root.
_ADAM = {
    terms.OPTIMIZER_MULTIPLICATION: 6,
    terms.OPTIMIZER_ADDITION: 4,
    terms.OPTIMIZER_DIVISION: 3,
    terms.OPTIMIZER_ROOT: 1,
}
_WEIGHT_DECAY = {terms.OPTIMIZER_MULTIPLICATION: 1, terms.OPTIMIZER_ADDITION: 1}  # g + decay w
_CLIPPING = {terms.OPTIMIZER_MULTIPLICATION: 2, terms.OPTIMIZER_ADDITION: 1}  # norm, scaling

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
    def fewer_events(self) -> bool:
        """Whether there were fewer synaptic events than are counted, by the full fan-outs."""
        return self.pruned and not self.events_counted

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


@dataclass(frozen=True)
class TrainingColumn:
    """One term at one place in one phase."""

    phase: str
    column: Column


@dataclass(frozen=True, eq=False)
class TrainingCounts:
    """Operations of training: `counts` int64 [epochs, C], one row for all of it if epochs are not
    known."""

    columns: tuple[TrainingColumn, ...]
    counts: NDArray[np.int64]


def count_training(record: TrainingRecord, architecture: Architecture) -> TrainingCounts:
    """Count the operations of training, by epoch where epochs are recorded."""
    rows = [(epoch.samples, epoch.spikes) for epoch in record.epochs]
    n_samples = np.array([samples for samples, _ in rows] or [record.samples], dtype=np.int64)
    spikes = np.array([layers for _, layers in rows] or [record.spikes], dtype=np.int64)
    steps = (
        np.array([_batches(samples, record.batch_size) for samples, _ in rows], dtype=np.int64)
        if rows
        else np.array([record.optimizer_steps], dtype=np.int64)
    )
    units = np.array(architecture.layer_sizes[1:], dtype=np.int64)
    if record.events_counted:
        events = np.array([epoch.synaptic_events for epoch in record.epochs], dtype=np.int64)
    else:
        events = spikes[:, :-1] * units
    updates = clocked_updates(architecture, record.time_window * n_samples)
    learned = len(architecture.neuron.learned_names)
    multiplications = updates * (1 + leaks_by_layer(architecture))
    inputs = _input_macs(record)
    macs = events[:, :0] if inputs is None else inputs.counts[:, None]
    has_macs = inputs is not None
    bias_gradients = bias_additions(architecture, updates, inputs)
    columns_forward, counted = count_spiking(
        architecture, SpikingCounts(spikes, events, updates, inputs=inputs, samples=n_samples)
    )
    blocks, forward = [counted], [*columns_forward]
    if record.has_teacher:
        of_teacher = [[epoch.teacher_macs or 0] for epoch in record.epochs]
        blocks.append(np.array(of_teacher, dtype=np.int64))
        forward.append(Column(terms.TEACHER_MAC, "teacher"))
    blocks += [events, macs, bias_gradients, updates[:, :-1] * units[1:]]
    blocks += [multiplications + learned * updates, (1 + learned) * updates, updates]
    optimizer = _optimizer_operations(record, architecture)
    blocks.append(steps[:, None] * np.array(list(optimizer.values()), dtype=np.int64))
    columns = [
        *(TrainingColumn(FORWARD, column) for column in forward),
        *(TrainingColumn(BACKWARD, column) for column in _backward_columns(architecture, has_macs)),
        *(TrainingColumn(OPTIMIZER, Column(term, "parameters")) for term in optimizer),
    ]
    return TrainingCounts(tuple(columns), np.concatenate(blocks, axis=1))


def _input_macs(record: TrainingRecord) -> InputMacs | None:
    """The products of constant currents by epoch; None for a code of spikes."""
    if record.input_products is None:
        return None
    macs = [epoch.input_macs or 0 for epoch in record.epochs]
    return InputMacs(np.array(macs, dtype=np.int64), record.input_products)


def _batches(samples: int, batch_size: int) -> int:
    return -(-samples // batch_size)


def _backward_columns(architecture: Architecture, has_macs: bool) -> Sequence[Column]:
    layers, connections = architecture.layer_names[1:], architecture.connection_names
    places = (
        (terms.GRADIENT_ACCUMULATION, connections),
        (terms.INPUT_GRADIENT_MAC, connections[:has_macs]),
        (terms.BIAS_GRADIENT_ACCUMULATION, layers),
        (terms.BACKPROPAGATION_MAC, connections[1:]),
        (terms.DELTA_MULTIPLICATION, layers),
        (terms.DELTA_ADDITION, layers),
        (terms.SURROGATE_EVALUATION, layers),
    )
    return [Column(term, place) for term, where in places for place in where]


def _optimizer_operations(record: TrainingRecord, architecture: Architecture) -> dict[str, int]:
    """Operations of one optimizer step by term."""
    parameters = sum(math.prod(shape) for shape in architecture.parameter_shapes().values())
    extras = [_WEIGHT_DECAY] * record.weight_decay + [_CLIPPING] * record.clipping
    return {
        term: parameters * (number + sum(extra.get(term, 0) for extra in extras))
        for term, number in _ADAM.items()
    }
