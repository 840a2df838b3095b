"""Conventional networks to compare with: ReLU units in the places of the spiking neurons.

One has the spiking network's layer sizes; the others are a family of one hidden layer each, pruned
and quantised. All see the same training images in the same order with the same deformations as the
spiking network, and of each the weights with the best validation accuracy are kept.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikejoule.baselines.course import Course, Group, TrainedBaseline, go_on_from, kept_of
from spikejoule.baselines.members import Member
from spikejoule.baselines.settings import BaselineTraining
from spikejoule.baselines.stack import Stack
from spikejoule.core.errors import ArtifactError
from spikejoule.core.resume_files import Keeper
from spikejoule.data.images import LabelledImages
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.training.augmentation import augment
from spikejoule.training.relu_network import one_thread

CALIBRATION_IMAGES = 500
"""The first training images, as they are: the ranges of activations come from them."""


@dataclass(frozen=True, eq=False)
class BaselinesTraining:
    """All networks, and how long they took.

    Attributes:
        baselines: in the order of the members.
        epoch_seconds: wall time of each epoch of all networks, validation included.
    """

    baselines: tuple[TrainedBaseline, ...]
    epoch_seconds: tuple[float, ...]


def train_baselines(
    train: LabelledImages,
    validation: LabelledImages,
    members: Sequence[Member],
    settings: BaselineTraining,
    seed: int,
    on_epoch: Callable[[int], object] = lambda epoch: None,
    keeper: Keeper | None = None,
) -> BaselinesTraining:
    """Train ReLU networks side by side; the result does not depend on the number of cores.

    Networks of one architecture, whose pixels have one width, are one computation on one thread;
    the threads share the images that are drawn.

    Args:
        train: images to learn from.
        validation: images whose accuracy chooses the epoch.
        members: the networks.
        settings: how to train.
        seed: of the first weights, the order of the images and their deformations.
        on_epoch: told of every epoch that is done.
        keeper: keeps the state of all networks after every epoch, and has that of a process which
            was killed: the result is the same to the bit as without the kill.

    Raises:
        ParameterError: training diverged.
    """
    n_batches = -(-len(train) // settings.batch_size)
    calibration = train.images[:CALIBRATION_IMAGES]
    labels = _class_indices(validation.labels)

    def run(group: Group, epoch: int, drawn: tuple[Tensor, Tensor]) -> None:
        group.stack.learn(epoch, *drawn)
        accuracies = group.stack.validate(validation.images, labels)
        for k, (course, accuracy) in enumerate(zip(group.courses, accuracies, strict=True)):
            course.add(accuracy, epoch, settings.max_epochs, partial(group.stack.network, k))

    def start() -> list[Group]:
        return [
            Group(Stack(of, settings, n_batches, seed, calibration), [Course(one) for one in of])
            for of in _side_by_side(members)
        ]

    # One thread each, however many cores there are: its rounding depends on the number.
    with (
        one_thread(),
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(len(members), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        groups, seconds = start(), list[float]()
        kept = None if keeper is None else keeper.load()
        if keeper is not None and kept is not None:
            try:
                seconds = go_on_from(kept, groups)
            except ArtifactError as error:
                keeper.refuse(str(error))
                groups = start()
        epochs = range(len(seconds) + 1, settings.max_epochs + 1)
        upcoming = [drawer.submit(_drawn_epoch, train, settings, seed, of) for of in epochs[:1]]
        for epoch in epochs:
            started = time.perf_counter()
            drawn = upcoming.pop().result()
            if epoch < settings.max_epochs:
                upcoming.append(drawer.submit(_drawn_epoch, train, settings, seed, epoch + 1))
            jobs = [pool.submit(run, group, epoch, drawn) for group in groups]
            for job in jobs:
                job.result()
            seconds.append(time.perf_counter() - started)
            if keeper is not None:
                keeper.save(kept_of(groups, seconds))
            on_epoch(epoch)
    by_member = {course.member: course for group in groups for course in group.courses}
    return BaselinesTraining(tuple(by_member[of].ended() for of in members), tuple(seconds))


def _side_by_side(members: Sequence[Member]) -> list[list[Member]]:
    """Members that are one computation, those in floating point first."""
    groups: dict[tuple[Any, ...], list[Member]] = {}
    for of in members:
        key = (of.architecture.layer_sizes, of.pixel_bits, of.equal_size)
        groups.setdefault(key, []).append(of)
    return [sorted(group, key=lambda of: of.bits != FLOAT_BITS) for group in groups.values()]


def _drawn_epoch(
    train: LabelledImages, settings: BaselineTraining, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The epoch's deformed images uint8 [N, pixels] and labels [N], in the spiking network's order.

    A draw depends on (seed, epoch, sample) alone, as in `training.train`.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    images = augment(train.images[order], settings, seed, epoch, train.index[order])
    return torch.from_numpy(images), _class_indices(train.labels[order])


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
