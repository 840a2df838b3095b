"""Operation counts of a training, by epoch, phase, term and place.

    data       samples are read, augmented and encoded (`data`)
    forward    as inference, over the training samples, and a teacher's answers
    backward   surrogate gradients (`step`, `step_event`)
    optimizer  Adam (`optimizer`)

These are the terms of the equations in `neuron` and of Adam, each counted once; an
optimized implementation may save some. Not counted: the loss on the output counts, some
ten operations per class and sample.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from spikejoule.energy.operations import Column, OperationCounts, joined
from spikejoule.energy.training import step_event
from spikejoule.energy.training.data import data, teacher
from spikejoule.energy.training.optimizer import adam, optimizer
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.energy.training.step import TrainingStep


def count_training(record: TrainingRecord) -> OperationCounts:
    """Count the operations of each epoch, int64 [E, C]."""
    step = TrainingStep(record)
    operations = adam(
        weight_decay=record.weight_decay,
        clipping=record.clipping,
        clears=True,
        pruned=record.pruned,
        rounds=record.network.quantisation is not None,
    )
    parts = [
        *in_phase(DATA, data(record)),
        *in_phase(FORWARD, step_event.forward(step)),
        *in_phase(FORWARD, teacher(record)),
        *in_phase(BACKWARD, step_event.backward(step)),
        *in_phase(OPTIMIZER, _optimizer(step, operations)),
    ]
    return added(joined(parts, len(record.batches), record.activity.time_window))


def _optimizer(
    step: TrainingStep, operations: Counter[str]
) -> Iterator[OperationCounts]:
    for connection in step.connections:
        yield from optimizer(connection, operations, step.batches)


def in_phase(phase: str, parts: Iterable[OperationCounts]) -> Iterator[OperationCounts]:
    """Assign counts to a phase."""
    for counted in parts:
        columns = tuple(replace(column, phase=phase) for column in counted.columns)
        yield replace(counted, columns=columns)


def added(operations: OperationCounts) -> OperationCounts:
    """Add the counts of equal columns, so that each column is there once."""
    numbers: dict[Column, list[int]] = {}
    for number, column in enumerate(operations.columns):
        numbers.setdefault(column, []).append(number)
    counts = [operations.counts[:, same].sum(axis=1) for same in numbers.values()]
    return replace(operations, columns=tuple(numbers), counts=np.stack(counts, axis=1))
