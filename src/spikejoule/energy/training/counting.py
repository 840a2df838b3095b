"""Operation counts of a training, by epoch, phase, term and place.

    data       samples are read, augmented and encoded (`data`)
    forward    as inference, over the training samples
    backward   surrogate gradients (`step`, `step_event`, `step_dense`)
    optimizer  Adam (`optimizer`)

These are the terms of the equations in `neuron` and of Adam, each counted once; an
optimized implementation may save some. Not counted: the loss on the output counts, some
ten operations per class and sample.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from spikejoule.energy.operations import Column, OperationCounts, joined
from spikejoule.energy.training import step_dense, step_event
from spikejoule.energy.training.data import data
from spikejoule.energy.training.optimizer import Operations, adam, masks_read, optimizer
from spikejoule.energy.training.products import Counts
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.energy.training.step import StepVariant, TrainingStep


def way_of(record: TrainingRecord) -> StepVariant:
    """Return the variant that the engine of a training runs."""
    return "event" if record.engine == "event" else "dense"


def count_training(
    record: TrainingRecord, variant: StepVariant = "event"
) -> OperationCounts:
    """Count the operations of each epoch, int64 [E, C].

    Args:
        record: the training.
        variant: how its steps are run.
    """
    step = TrainingStep(record, variant)
    passes = step_event if variant == "event" else step_dense
    operations = adam(
        weight_decay=record.weight_decay,
        clipping=record.clipping,
        clears=variant == "event",
        rounds=record.network.quantisation is not None,
    )
    phases = {
        DATA: data(record),
        FORWARD: passes.forward(step),
        BACKWARD: passes.backward(step),
        OPTIMIZER: _optimizer(step, operations),
    }
    return joined_phases(phases, len(record.batches), record.activity.time_window)


def _optimizer(step: TrainingStep, operations: Operations) -> Iterator[OperationCounts]:
    reached = step.record.gradients_reached if step.variant == "event" else None
    for number, connection in enumerate(step.connections):
        gradients = None
        if reached is not None:
            # Those of biases and learned constants are read in every step.
            others = step.batches * (connection.biases + connection.constants)
            gradients = reached[:, number : number + 1] + others
        yield from optimizer(connection, operations, step.batches, gradients)
        if step.record.pruned:
            yield masks_read(connection, _batches_with_masks(step))


def _batches_with_masks(step: TrainingStep) -> Counts:
    """Return the optimizer steps of each epoch from where pruning starts, [E, 1]."""
    removed = step.record.removed_fractions
    return step.batches if removed is None else step.batches * (removed[:, None] > 0)


def joined_phases(
    phases: Mapping[str, Iterable[OperationCounts]], n_epochs: int, time_window: int = 1
) -> OperationCounts:
    """Join the counts of phases; those of equal columns are added."""
    operations = joined(
        [
            replace(part, columns=tuple(replace(c, phase=phase) for c in part.columns))
            for phase, parts in phases.items()
            for part in parts
        ],
        n_epochs,
        time_window,
    )
    numbers: dict[Column, list[int]] = {}
    for number, column in enumerate(operations.columns):
        numbers.setdefault(column, []).append(number)
    counts = [operations.counts[:, same].sum(axis=1) for same in numbers.values()]
    return replace(operations, columns=tuple(numbers), counts=np.stack(counts, axis=1))
