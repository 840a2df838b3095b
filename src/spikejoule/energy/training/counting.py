"""Operation counts of a training, by epoch, phase, term and place.

    data       samples are read, augmented and encoded (`data`)
    forward    as inference, over the training samples, and a teacher's answers
    backward   surrogate gradients (`step`, `step_event`, `step_dense`)
    optimizer  Adam (`optimizer`)

These are the terms of the equations in `neuron` and of Adam, each counted once; an
optimized implementation may save some. Not counted: the loss on the output counts, some
ten operations per class and sample.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from spikejoule.energy.operations import Column, OperationCounts, joined
from spikejoule.energy.training import step_dense, step_event
from spikejoule.energy.training.data import data, teacher
from spikejoule.energy.training.optimizer import Operations, adam, masks_read, optimizer
from spikejoule.energy.training.products import Counts
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.energy.training.step import TrainingStep

Variant = Literal["event", "dense", "dense_recompute"]
VARIANTS: Final[tuple[Variant, ...]] = get_args(Variant)
"""Ways of running a training step: event by event, densely, and densely with potentials
that are computed again in place of being stored."""


def way_of(record: TrainingRecord) -> Variant:
    """Return the variant that the engine of a training runs."""
    return "event" if record.engine == "event" else "dense"


def count_training(
    record: TrainingRecord, variant: Variant = "event"
) -> OperationCounts:
    """Count the operations of each epoch, int64 [E, C].

    Args:
        record: the training.
        variant: how its steps are run.
    """
    steps = _steps_of(record, variant)
    operations = adam(
        weight_decay=record.weight_decay,
        clipping=record.clipping,
        clears=variant == "event",
        rounds=record.network.quantisation is not None,
    )
    parts = [
        *in_phase(DATA, data(record)),
        *in_phase(FORWARD, steps.forward),
        *in_phase(FORWARD, teacher(record)),
        *in_phase(BACKWARD, steps.backward),
        *in_phase(OPTIMIZER, _optimizer(steps.sizes, operations, variant)),
    ]
    return added(joined(parts, len(record.batches), record.activity.time_window))


class _Steps(NamedTuple):
    """The sizes of a training step, and the counts of its two passes."""

    sizes: TrainingStep
    forward: Iterator[OperationCounts]
    backward: Iterator[OperationCounts]


def _steps_of(record: TrainingRecord, variant: Variant) -> _Steps:
    if variant == "event":
        step = TrainingStep(record)
        return _Steps(step, step_event.forward(step), step_event.backward(step))
    recomputes = variant == "dense_recompute"
    batch_size = record.batch_size
    step = TrainingStep(
        record,
        traced_samples=1 if recomputes else batch_size,
        held_samples=batch_size,
    )
    return _Steps(
        step,
        step_dense.forward(step, keeps=not recomputes),
        step_dense.backward(step, recomputes=recomputes),
    )


def _optimizer(
    step: TrainingStep, operations: Operations, variant: Variant
) -> Iterator[OperationCounts]:
    reached = step.record.gradients_reached if variant == "event" else None
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
