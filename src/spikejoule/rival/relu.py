"""A conventional network to compare with: ReLU units in the places of the spiking neurons.

It has the spiking network's layer sizes, sees the same training images in the same order with the
same deformations, and the weights with the best validation accuracy are kept. Pixels are uint8 /
255. Multiply-accumulates (MACs) of an inference are counted twice over: all of them (a dense
network uses each weight once), and those that are left if products with a zero activation are
skipped.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.data.images import LabelledImages
from spikejoule.foundation.errors import ParameterError
from spikejoule.learn.augmentation import augment
from spikejoule.learn.relu_network import intensities, one_thread, relu_layers
from spikejoule.learn.schedule import RunningSchedule
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.network import initial_state
from spikejoule.rival.settings import RivalTraining


@dataclass(frozen=True, eq=False)
class BaselineTraining:
    """The best weights and how they came about.

    Attributes:
        state: parameters after the epoch with the best validation accuracy (the first of equals).
        best_epoch: that epoch, from 1 on.
        validation_accuracies_percent: after each epoch.
        epoch_seconds: wall time of each epoch, validation included.
    """

    state: State
    best_epoch: int
    validation_accuracies_percent: tuple[float, ...]
    epoch_seconds: tuple[float, ...]

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Of the weights in `state`."""
        return self.validation_accuracies_percent[self.best_epoch - 1]


def train_baseline(
    train: LabelledImages,
    validation: LabelledImages,
    architecture: Architecture,
    settings: RivalTraining,
    seed: int,
    on_epoch: Callable[[int, float], object] = lambda epoch, accuracy_percent: None,
) -> BaselineTraining:
    """Train the ReLU network; the result does not depend on the number of cores.

    Args:
        train: images to learn from.
        validation: images whose accuracy chooses the epoch.
        architecture: layer sizes; the neuron's constants play no part.
        settings: how to train.
        seed: of the first weights, the order of the images and their deformations.
        on_epoch: told of every epoch and its validation accuracy in percent.

    Raises:
        ParameterError: training diverged.
    """
    with one_thread(), ThreadPoolExecutor(max_workers=1) as drawer:
        parameters = {
            name: torch.nn.Parameter(values)
            for name, values in initial_state(architecture, seed).items()
        }
        optimizer = torch.optim.Adam(
            parameters.values(),
            settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        n_batches = -(-len(train) // settings.batch_size)
        schedule = settings.chosen_schedule.start(settings.lr, n_batches * settings.max_epochs)
        validation_input = intensities(validation.images)
        validation_labels = _class_indices(validation.labels)
        accuracies: list[float] = []
        seconds: list[float] = []
        best_state: dict[str, NDArray[np.float32]] = {}
        upcoming = drawer.submit(_drawn_epoch, train, settings, seed, 1)
        for epoch in range(1, settings.max_epochs + 1):
            started = time.perf_counter()
            pixels, labels = upcoming.result()
            if epoch < settings.max_epochs:
                # On another core, while this one learns from the images already drawn.
                upcoming = drawer.submit(_drawn_epoch, train, settings, seed, epoch + 1)
            _train_epoch(pixels, labels, parameters, optimizer, schedule, settings)
            with torch.no_grad():
                scores = relu_layers(parameters, validation_input)[-1]
            correct = int((scores.argmax(dim=1) == validation_labels).sum())
            accuracies.append(100 * correct / len(validation))
            seconds.append(time.perf_counter() - started)
            _check_finite(parameters, epoch, settings.lr)
            schedule.after_epoch(accuracies[-1])
            on_epoch(epoch, accuracies[-1])
            if accuracies[-1] > max(accuracies[:-1], default=-1.0):
                best_state = {
                    name: values.detach().numpy().copy() for name, values in parameters.items()
                }
    best_epoch = 1 + accuracies.index(max(accuracies))
    return BaselineTraining(best_state, best_epoch, tuple(accuracies), tuple(seconds))


def _drawn_epoch(
    train: LabelledImages, settings: RivalTraining, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The epoch's deformed images uint8 [N, pixels] and labels [N], in the spiking network's order.

    A draw depends on (seed, epoch, sample) alone, as in `training.train`.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    images = augment(train.images[order], settings, seed, epoch, train.index[order])
    return torch.from_numpy(images), _class_indices(train.labels[order])


def _train_epoch(
    pixels: Tensor,
    labels: Tensor,
    parameters: Mapping[str, Tensor],
    optimizer: torch.optim.Adam,
    schedule: RunningSchedule,
    settings: RivalTraining,
) -> None:
    for first in range(0, len(labels), settings.batch_size):
        chosen = slice(first, first + settings.batch_size)
        scores = relu_layers(parameters, intensities(pixels[chosen]))[-1]
        loss = functional.cross_entropy(
            scores, labels[chosen], label_smoothing=settings.label_smoothing
        )
        optimizer.param_groups[0]["lr"] = schedule.learning_rate
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.after_batch()


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


def _check_finite(parameters: Mapping[str, Tensor], epoch: int, lr: float) -> None:
    if not all(bool(values.isfinite().all()) for values in parameters.values()):
        raise ParameterError(
            f"the ReLU network diverged in epoch {epoch}: its weights can no longer be told; "
            f"baseline.lr is {lr}, use a smaller one"
        )


def nonzero_macs(layers: Sequence[NDArray[Any]], architecture: Architecture) -> NDArray[np.int64]:
    """MACs of each image if products with a zero activation are skipped, int64 [N].

    Sum over the layers of (activations that are not zero) x (fan-out).

    Args:
        layers: activations [N, units] of every layer, the input first; the last reaches no weight.
        architecture: layer sizes.
    """
    total = np.zeros(len(layers[0]), dtype=np.int64)
    for values, fan_out in zip(layers[:-1], architecture.fan_outs, strict=True):
        total += np.count_nonzero(values, axis=1) * fan_out
    return total
