"""Conventional networks to compare with: ReLU units in the places of the spiking neurons.

One has the spiking network's layer sizes; the others are a family of one hidden layer each, pruned
and quantised. All see the same training images in the same order with the same augmentation as the
spiking network, and of each the weights with the best validation accuracy are kept.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikejoule.baselines.batched import BatchedNetworks, TrainedBaseline
from spikejoule.baselines.settings import BaselineTraining, Variant
from spikejoule.core.errors import ArtifactError
from spikejoule.core.resume import Checkpoint, StateStore
from spikejoule.data.images import LabelledImages
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.training.kernels.augment import augment
from spikejoule.training.teacher import one_thread


def checkpoint_of(
    groups: Sequence[BatchedNetworks], seconds: Sequence[float], processor_seconds: float
) -> Checkpoint:
    """The state of all networks after epochs of so many seconds."""
    arrays = {
        f"{number}.{name}": values
        for number, networks in enumerate(groups)
        for name, values in networks.state().items()
    }
    return Checkpoint({"seconds": list(seconds), "processor_seconds": processor_seconds}, arrays)


def resume_from(
    checkpoint: Checkpoint, groups: Sequence[BatchedNetworks]
) -> tuple[list[float], float]:
    """Let fresh networks resume from `checkpoint_of` some; returns the seconds of its epochs, and
    those of the processor.

    Raises ArtifactError if it is of other networks; some may have resumed from it then.
    """
    try:
        for number, networks in enumerate(groups):
            networks.resume_from(checkpoint.part(f"{number}."))
        seconds = [float(of) for of in checkpoint.plain["seconds"]]
        return seconds, float(checkpoint.plain["processor_seconds"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ArtifactError(f"the state lacks what belongs to it ({error})") from error


CALIBRATION_IMAGES = 500
"""The first training images, as they are: the ranges of activations come from them."""


@dataclass(frozen=True, eq=False)
class BaselinesTraining:
    """All networks, and how long they took.

    Attributes:
        baselines: in the order of the variants.
        epoch_seconds: wall time of each epoch of all networks, validation included.
        processor_seconds: of all cores and networks together, of every process that the training
            was resumed in.
    """

    baselines: tuple[TrainedBaseline, ...]
    epoch_seconds: tuple[float, ...]
    processor_seconds: float


def train_baselines(
    train: LabelledImages,
    validation: LabelledImages,
    variants: Sequence[Variant],
    settings: BaselineTraining,
    seed: int,
    on_epoch: Callable[[int], object] = lambda epoch: None,
    state_store: StateStore | None = None,
) -> BaselinesTraining:
    """Train ReLU networks side by side; the result does not depend on the number of cores.

    Networks of one architecture, all of floating point or of integers with one width of pixels and
    one of sums, are one computation on one thread; the threads share the images that are drawn.

    Args:
        train: images to learn from.
        validation: images whose accuracy chooses the epoch.
        variants: the networks.
        settings: how to train.
        seed: of the first weights, the order of the images and their augmentation.
        on_epoch: called after every epoch.
        state_store: keeps the state of all networks after every epoch, and has that of a process
            which was killed: the result is the same to the bit as without the kill.

    Raises:
        ParameterError: training diverged.
    """
    n_batches = -(-len(train) // settings.batch_size)
    calibration = train.images[:CALIBRATION_IMAGES]
    labels = _class_indices(validation.labels)

    def run(networks: BatchedNetworks, epoch: int, drawn: tuple[Tensor, Tensor]) -> None:
        networks.learn(epoch, *drawn)
        networks.validate(validation.images, labels)

    def start() -> list[BatchedNetworks]:
        return [
            BatchedNetworks(of, settings, n_batches, seed, calibration)
            for of in _side_by_side(variants)
        ]

    # One thread each, however many cores there are: its rounding depends on the number.
    with (
        one_thread(),
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(len(variants), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        groups, seconds, processor_seconds = start(), list[float](), 0.0
        kept = None if state_store is None else state_store.load()
        if state_store is not None and kept is not None:
            try:
                seconds, processor_seconds = resume_from(kept, groups)
            except ArtifactError as error:
                state_store.refuse(str(error))
                groups = start()
        epochs = range(len(seconds) + 1, settings.max_epochs + 1)
        _drawn_epoch(train.select(slice(1)), settings, seed, 1)  # compiles before the clocks start
        before = time.process_time() - processor_seconds
        upcoming = [drawer.submit(_drawn_epoch, train, settings, seed, of) for of in epochs[:1]]
        for epoch in epochs:
            started = time.perf_counter()
            drawn = upcoming.pop().result()
            if epoch < settings.max_epochs:
                upcoming.append(drawer.submit(_drawn_epoch, train, settings, seed, epoch + 1))
            jobs = [pool.submit(run, networks, epoch, drawn) for networks in groups]
            for job in jobs:
                job.result()
            seconds.append(time.perf_counter() - started)
            processor_seconds = time.process_time() - before
            if state_store is not None:
                state_store.save(checkpoint_of(groups, seconds, processor_seconds))
            on_epoch(epoch)
    by_variant = {trained.variant: trained for networks in groups for trained in networks.trained}
    return BaselinesTraining(
        tuple(by_variant[of] for of in variants), tuple(seconds), processor_seconds
    )


def _side_by_side(variants: Sequence[Variant]) -> list[list[Variant]]:
    """Members that are one computation."""
    groups: dict[tuple[Any, ...], list[Variant]] = {}
    for of in variants:
        # As wide activations as pixels: whose sums need room is computed by itself.
        narrower = of.activation_bits < of.bits
        is_float = of.bits == FLOAT_BITS
        key = (of.architecture, is_float, of.pixel_bits, narrower, of.sum_bits, of.equal_size)
        groups.setdefault(key, []).append(of)
    return [*groups.values()]


def _drawn_epoch(
    train: LabelledImages, settings: BaselineTraining, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The epoch's augmented images uint8 [N, pixels] and labels [N], in the spiking net's order.

    A draw depends on (seed, epoch, sample) alone, as in `training.train`.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    images = augment(train.images[order], settings, seed, epoch, train.index[order])
    return torch.from_numpy(images), _class_indices(train.labels[order])


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
