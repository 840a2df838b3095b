"""The operations of a training of either side, by epoch, phase, term and place.

    data       samples are read, augmented and encoded (below)
    forward    as inference, over the training samples (`step`)
    backward   gradients (`backward`)
    optimizer  Adam (`optimizer`)

These are the terms of the equations in `neuron` and of Adam, each counted once; an
optimized implementation may save some. Not counted: the loss on the outputs, some ten
operations per class and sample.

Of its data, a training takes for each sample and epoch:

    data reads        a byte for each input, from a memory of the whole training set;
                      for event data an address for each spike
    augmentation      a pixel is written for each input. A map by whole pixels reads one
                      for it; any other map reads four and blends them: 12
                      multiplications, 19 additions, floors included
    encoding          of an image that is white everywhere, an upper bound

Augmentation follows the kernel (`training.kernels.augment`), in which the origin of a
pixel takes 8 additions and 4 multiplications, the blend the others. The random numbers
of an image's map are not counted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from spikejoule.counts.training import Augmented, TrainingRecord
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.count import encoding_terms
from spikejoule.energy.dataflow import ZERO_SKIPPING, Dataflow
from spikejoule.energy.operations import (
    BACKWARD,
    DATA,
    FORWARD,
    OPTIMIZER,
    PHASES,
    PIXEL_BITS,
    Column,
    OperationCounts,
    Words,
    address_bits,
    block,
    joined,
)
from spikejoule.energy.training.backward import backward
from spikejoule.energy.training.optimizer import optimizer
from spikejoule.energy.training.step import Blocks, Counts, TrainingStep, forward

AUGMENTATION = "augmentation"

_WHITE = 255
_MULTIPLICATIONS_PER_PIXEL = 12
_ADDITIONS_PER_PIXEL = 19
_NEIGHBOURS = 4


def count_training(
    record: TrainingRecord,
    dataflow: Dataflow = ZERO_SKIPPING,
    phases: Collection[str] = PHASES,
) -> OperationCounts:
    """Count the operations of each row of a record, int64 [E, C].

    Args:
        record: the training, of a spiking or a conventional network.
        dataflow: how its steps are run.
        phases: the phases to count, if not all of them are known.
    """
    step = TrainingStep(record, dataflow)
    counted = {
        DATA: _data(record),
        FORWARD: forward(step),
        BACKWARD: backward(step),
        OPTIMIZER: optimizer(step),
    }
    chosen = {phase: blocks for phase, blocks in counted.items() if phase in phases}
    return _joined(chosen, len(record.batches), record.activity.time_window)


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


def _data(record: TrainingRecord) -> Blocks:
    """Count reading, augmenting and encoding the samples."""
    samples = record.activity.samples_of_row[:, None]
    node = record.network.input
    encoder = record.encoder
    if encoder is not None and encoder.takes == "events":
        spikes = record.activity.spikes_of(node.name)[:, None]
        # A row is an epoch, or all of them.
        n_stored = int(spikes.sum()) // record.n_epochs
        address = Words(address_bits(node.n_out), n_stored)
        yield block("data_read", [node.name], spikes, address)
        return
    n_pixels = node.n_out
    data_set = Words(PIXEL_BITS, n_pixels * record.set_size)
    yield block("data_read", [node.name], samples * n_pixels, data_set)
    yield from _augmentation(record.augmented, n_pixels, samples)
    if encoder is not None:
        yield from _encoding(encoder, node.name, n_pixels, samples)


def _augmentation(augmented: Augmented, n_pixels: int, samples: Counts) -> Blocks:
    """Count the map of each image; nothing if images stay as they are."""
    if augmented == "no":
        return
    is_shift = augmented == "shifted"
    place = [AUGMENTATION]
    pixels = samples * n_pixels
    image = Words(PIXEL_BITS, n_pixels)
    yield block("pixel_read", place, pixels * (1 if is_shift else _NEIGHBOURS), image)
    if not is_shift:
        multiplications = pixels * _MULTIPLICATIONS_PER_PIXEL
        yield block("augmentation_multiplication", place, multiplications)
        yield block("augmentation_addition", place, pixels * _ADDITIONS_PER_PIXEL)
    yield block("activation_write", place, pixels, image)


def _encoding(encoder: Encoder, place: str, n_pixels: int, samples: Counts) -> Blocks:
    """Count encoding images that are white everywhere."""
    white = np.full((1, n_pixels), _WHITE, dtype=np.uint8)
    operations = encoder.operations(white)
    if operations is None:
        return
    yield block("pixel_read", [place], samples * n_pixels, Words(PIXEL_BITS, n_pixels))
    for term, per_image in encoding_terms(operations).items():
        yield block(term, [place], samples * per_image)
