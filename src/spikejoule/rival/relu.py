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

from spikejoule.data.images import LabelledImages
from spikejoule.learn.augmentation import augment
from spikejoule.learn.relu_network import one_thread
from spikejoule.model.architecture import State
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.rival.members import Member
from spikejoule.rival.quantised import QuantisedNetwork
from spikejoule.rival.settings import RivalTraining
from spikejoule.rival.stack import Stack

CALIBRATION_IMAGES = 500
"""The first training images, as they are: the ranges of activations come from them."""


@dataclass(frozen=True, eq=False)
class TrainedRival:
    """The best weights of a network, and how they came about.

    Attributes:
        member: which network.
        network: its parameters, or its integers, after the epoch with the best validation accuracy
            (the first of equals) of those in which its pruning was done.
        best_epoch: that epoch, from 1 on.
        validation_accuracies_percent: after each epoch; of integers, as they are in floating point.
    """

    member: Member
    network: State | QuantisedNetwork
    best_epoch: int
    validation_accuracies_percent: tuple[float, ...]

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Of the weights that were kept."""
        return self.validation_accuracies_percent[self.best_epoch - 1]


@dataclass(frozen=True, eq=False)
class RivalsTraining:
    """All networks, and how long they took.

    Attributes:
        rivals: in the order of the members.
        epoch_seconds: wall time of each epoch of all networks, validation included.
    """

    rivals: tuple[TrainedRival, ...]
    epoch_seconds: tuple[float, ...]


def train_rivals(
    train: LabelledImages,
    validation: LabelledImages,
    members: Sequence[Member],
    settings: RivalTraining,
    seed: int,
    on_epoch: Callable[[int], object] = lambda epoch: None,
) -> RivalsTraining:
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

    Raises:
        ParameterError: training diverged.
    """
    courses = [_Course(member) for member in members]
    groups: dict[tuple[Any, ...], list[_Course]] = {}
    for course in courses:
        of = course.member
        key = (of.architecture.layer_sizes, of.pixel_bits, of.equal_size)
        groups.setdefault(key, []).append(course)
    n_batches = -(-len(train) // settings.batch_size)
    calibration = train.images[:CALIBRATION_IMAGES]
    labels = _class_indices(validation.labels)

    def run(stack: Stack, group: list[_Course], epoch: int, drawn: tuple[Tensor, Tensor]) -> None:
        stack.learn(epoch, *drawn)
        accuracies = stack.validate(validation.images, labels)
        for k, (course, accuracy) in enumerate(zip(group, accuracies, strict=True)):
            course.add(accuracy, epoch, settings.max_epochs, partial(stack.network, k))

    seconds: list[float] = []
    # One thread each, however many cores there are: its rounding depends on the number.
    with (
        one_thread(),
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(len(groups), initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        stacks = []
        for group in groups.values():
            group.sort(key=lambda course: course.member.bits != FLOAT_BITS)
            its_members = [course.member for course in group]
            stacks.append((Stack(its_members, settings, n_batches, seed, calibration), group))
        upcoming = drawer.submit(_drawn_epoch, train, settings, seed, 1)
        for epoch in range(1, settings.max_epochs + 1):
            started = time.perf_counter()
            drawn = upcoming.result()
            if epoch < settings.max_epochs:
                upcoming = drawer.submit(_drawn_epoch, train, settings, seed, epoch + 1)
            jobs = [pool.submit(run, *stack, epoch, drawn) for stack in stacks]
            for job in jobs:
                job.result()
            seconds.append(time.perf_counter() - started)
            on_epoch(epoch)
    return RivalsTraining(tuple(course.ended() for course in courses), tuple(seconds))


class _Course:
    """What became of a network so far."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._accuracies: list[float] = []
        self._best_epoch = 0
        self._network: State | QuantisedNetwork = {}

    def add(
        self,
        accuracy: float,
        epoch: int,
        max_epochs: int,
        network: Callable[[], State | QuantisedNetwork],
    ) -> None:
        """Add an epoch, and keep the network if it is the best until now."""
        self._accuracies.append(accuracy)
        if not self.member.pruning.is_pruned_by(epoch, max_epochs):
            return
        if not self._best_epoch or accuracy > self._accuracies[self._best_epoch - 1]:
            self._best_epoch, self._network = epoch, network()

    def ended(self) -> TrainedRival:
        return TrainedRival(self.member, self._network, self._best_epoch, tuple(self._accuracies))


def _drawn_epoch(
    train: LabelledImages, settings: RivalTraining, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The epoch's deformed images uint8 [N, pixels] and labels [N], in the spiking network's order.

    A draw depends on (seed, epoch, sample) alone, as in `training.train`.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    images = augment(train.images[order], settings, seed, epoch, train.index[order])
    return torch.from_numpy(images), _class_indices(train.labels[order])


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
