"""The operations of a training of either side, by epoch, phase, term and place.

    data       samples are read, augmented and encoded (`data`)
    forward    as inference, over the training samples (`step`)
    backward   gradients (`backward`)
    optimizer  Adam (`optimizer`)

These are the terms of the equations in `neuron` and of Adam, each counted once; an
optimized implementation may save some. Not counted: the loss on the outputs, some ten
operations per class and sample.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from spikejoule.energy.dataflow import ZERO_SKIPPING, Dataflow
from spikejoule.energy.operations import Column, OperationCounts, joined
from spikejoule.energy.training.backward import backward
from spikejoule.energy.training.data import data
from spikejoule.energy.training.optimizer import optimizer
from spikejoule.energy.training.record import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    TrainingRecord,
)
from spikejoule.energy.training.step import TrainingStep, forward


def count_training(
    record: TrainingRecord, dataflow: Dataflow = ZERO_SKIPPING
) -> OperationCounts:
    """Count the operations of each row of a record, int64 [E, C].

    Args:
        record: the training, of a spiking or a conventional network.
        dataflow: how its steps are run.
    """
    step = TrainingStep(record, dataflow)
    phases = {
        DATA: data(record),
        FORWARD: forward(step),
        BACKWARD: backward(step),
        OPTIMIZER: optimizer(step),
    }
    return _joined(phases, len(record.batches), record.activity.time_window)


def _joined(
    phases: Mapping[str, Iterable[OperationCounts]], n_rows: int, time_window: int
) -> OperationCounts:
    """Join the counts of phases; equal columns are added, and empty ones left out."""
    operations = joined(
        [
            replace(part, columns=tuple(replace(c, phase=phase) for c in part.columns))
            for phase, parts in phases.items()
            for part in parts
        ],
        n_rows,
        time_window,
    )
    numbers: dict[Column, list[int]] = {}
    for number, column in enumerate(operations.columns):
        if operations.counts[:, number].any():
            numbers.setdefault(column, []).append(number)
    counts = [operations.counts[:, same].sum(axis=1) for same in numbers.values()]
    return replace(operations, columns=tuple(numbers), counts=np.stack(counts, axis=1))
