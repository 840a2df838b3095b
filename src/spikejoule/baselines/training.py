"""Conventional networks to compare with: ReLU units in the places of the spiking
neurons.

One has the spiking network's layer sizes; the others are a family of one hidden layer
each, pruned and quantised. All see the same training images in the same order with the
same augmentation as the spiking network, and of each the weights with the best
validation accuracy are kept.

K networks of the same layers, all of floating point or all of integers, learn side by
side as one computation. Their first layers are one matrix product, the others products
of K matrices each; in what else they differ, pruning and width, stands in masks and
units. So an image is drawn, and an operation started, once for all.

A network of integers is trained as such: forward and backward pass see rounded weights
and activations and saturated sums, and the gradient goes straight through to the
weights in floating point that the optimizer keeps (Bengio, Leonard and Courville 2013,
arXiv:1308.3432). The ranges are those of least squared error, of weights and, on some
training images, of activations; they are chosen anew before each epoch, as the grids of
a spiking network of integers are.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    Widths,
    in_integers,
    least_error_unit,
    weight_unit,
)
from spikejoule.baselines.settings import BaselineTraining, BaselineVariant
from spikejoule.core.errors import ParameterError
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.data.images import LabelledImages
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.network.torch_twin import drawn_synapses
from spikejoule.training.epochs import RunningSchedule
from spikejoule.training.kernels.augment import augment
from spikejoule.training.teacher import intensities, one_thread

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""The entries of Adam's state."""


class TrainedBaseline:
    """The epochs of a network so far, and the best weights of them.

    Attributes:
        variant: which network.
        validation_accuracies_percent: after each epoch; of integers, as they are in
            floating point.
        best_epoch: that with the best validation accuracy (the first of equals), from 1
            on, of those in which its pruning was done; 0 before.
        weights: of that epoch: the parameters and, of integers, what they are multiples
            of.
    """

    def __init__(self, variant: BaselineVariant) -> None:
        self.variant = variant
        self.validation_accuracies_percent: list[float] = []
        self.best_epoch = 0
        self.weights: Mapping[str, NDArray[Any]] = {}

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Of the weights that were kept."""
        return self.validation_accuracies_percent[self.best_epoch - 1]

    @property
    def state(self) -> State:
        """The best parameters, in floating point."""
        return {
            name: self.weights[name] for name in self.variant.network.parameter_shapes()
        }

    @property
    def network(self) -> State | QuantisedNetwork:
        """The best network: its parameters, or its integers."""
        if self.variant.bits == FLOAT_BITS:
            return self.state
        return in_integers(
            self.state,
            self.weights["weight_units"].tolist(),
            self.weights["activation_units"].tolist(),
            Widths(
                self.variant.activation_bits, self.variant.bits, self.variant.sum_bits
            ),
        )

    def is_best(self, accuracy_percent: float, max_epochs: int) -> bool:
        """Add the accuracy of an epoch; whether its weights are the best until now."""
        best = self.best_validation_accuracy_percent if self.best_epoch else -1.0
        self.validation_accuracies_percent.append(accuracy_percent)
        epoch = len(self.validation_accuracies_percent)
        if (
            not self.variant.pruning.is_pruned_by(epoch, max_epochs)
            or accuracy_percent <= best
        ):
            return False
        self.best_epoch = epoch
        return True


class BatchedNetworks:
    """K networks that differ in pruning and width alone.

    Args:
        variants: the networks, all in floating point or all in integers; their layer
            sizes and the widths of their pixels and of their sums are the same.
        settings: how to train.
        n_batches: of an epoch.
        seed: of the first weights, which are the same in all.
        calibration: images uint8 [n, ...] by which the ranges of activations are
            chosen.
    """

    def __init__(
        self,
        variants: Sequence[BaselineVariant],
        settings: BaselineTraining,
        n_batches: int,
        seed: int,
        calibration: NDArray[np.uint8],
    ) -> None:
        self.variants = tuple(variants)
        self.trained = [TrainedBaseline(variant) for variant in variants]
        self._settings = settings
        self._calibration = calibration
        self._n_batches = n_batches
        self._integers = variants[0].bits != FLOAT_BITS
        self._sum_bits = variants[0].sum_bits
        self._n_hidden = len(variants[0].network.connections) - 1
        n_steps = n_batches * settings.max_epochs
        self._schedules = [
            RunningSchedule(settings.chosen_schedule, settings.lr, n_steps)
            for _ in variants
        ]
        shapes = variants[0].network.parameter_shapes()
        self._seen = {
            name: values.repeat(len(self.variants), *[1] * values.ndim).requires_grad_()
            for name, values in drawn_synapses(shapes, seed).items()
        }
        """What forward and backward pass see, [K, ...] each."""
        exact = {name: values.detach() for name, values in self._seen.items()}
        self._exact = (
            {name: of.clone() for name, of in exact.items()}
            if self._integers
            else exact
        )
        """The parameters in floating point, [K, ...]: the same, or those that are
        rounded.
        """
        self._kept = [
            {
                name: torch.nn.Parameter(values[k])
                for name, values in self._exact.items()
            }
            for k in range(len(self.variants))
        ]
        """By network, views of what the optimizer changes."""
        is_pruned = any(variant.pruning.pruned_fraction for variant in variants)
        self._masks = {
            name: torch.ones_like(of)
            for name, of in self._exact.items()
            if is_pruned and of.ndim == 3
        }
        self._optimizer = torch.optim.Adam(
            [{"params": list(kept.values())} for kept in self._kept],
            settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._moments = {
            f"{moment}.{name}": torch.zeros(
                of.shape[:1] if moment == "step" else of.shape
            )
            for name, of in self._exact.items()
            for moment in _MOMENTS
        }
        """The state of Adam, [K] or [K, ...]."""
        for k, kept in enumerate(self._kept):
            for name, parameter in kept.items():
                # As torch does before its first step.
                self._optimizer.state[parameter] = {
                    moment: self._moments[f"{moment}.{name}"][k] for moment in _MOMENTS
                }
        tops = [
            (2.0 ** (of.bits - 1) - 1, 2.0**of.activation_bits - 1) for of in variants
        ]
        self._weight_tops, self._activation_tops = torch.tensor(tops)[
            ..., None, None
        ].unbind(dim=1)
        """The largest integers of the widths, [K, 1, 1]."""
        self._weight_units: list[Tensor] = []
        self._activation_units: list[Tensor] = []

    def learn(self, epoch: int, images: Tensor, labels: Tensor) -> None:
        """Learn from the images of an epoch (from 1 on), uint8 [N, pixels], and their
        labels [N].

        Raises ParameterError if a network diverges.
        """
        self._prune(epoch)
        self._choose_units()
        for first in range(0, len(labels), self._settings.batch_size):
            chosen = slice(first, first + self._settings.batch_size)
            self._step(self._pixels(images[chosen]), labels[chosen])
        if not all(bool(values.isfinite().all()) for values in self._seen.values()):
            raise ParameterError(
                f"a ReLU network diverged in epoch {epoch}: its weights are not "
                "finite; "
                f"baseline.lr is {self._settings.lr}, use a smaller one"
            )

    def validate(self, images: NDArray[np.uint8], labels: Tensor) -> None:
        """Measure the accuracy of each network after an epoch, and keep those that are
        the best.
        """
        with torch.no_grad():
            answers = self._scores(self._pixels(images)).argmax(dim=2)
        correct = (answers == labels).sum(dim=1).tolist()
        for k, (trained, n_correct) in enumerate(
            zip(self.trained, correct, strict=True)
        ):
            accuracy = 100 * n_correct / len(labels)
            self._schedules[k].after_epoch(accuracy)
            if trained.is_best(accuracy, self._settings.max_epochs):
                trained.weights = self._weights(k)

    def _weights(self, k: int) -> dict[str, NDArray[Any]]:
        """A copy of network k as it is: parameters and, of integers, their units,
        float64.
        """
        weights = {
            name: values[k].numpy().copy() for name, values in self._exact.items()
        }
        if self._integers:
            weights["weight_units"] = np.array(
                [float(units[k]) for units in self._weight_units]
            )
            weights["activation_units"] = np.array(
                [float(units[k]) for units in self._activation_units]
            )
        return weights

    def _tensors(self) -> dict[str, Tensor]:
        """All that the next epoch depends on: parameters, masks, Adam's state."""
        learned = {f"learned.{name}": tensor for name, tensor in self._exact.items()}
        masks = {f"mask.{name}": mask for name, mask in self._masks.items()}
        return self._moments | learned | masks

    def state(self) -> dict[str, NDArray[Any]]:
        """What `resume_from` needs, a copy of it."""
        arrays = {
            name: tensor.numpy().copy() for name, tensor in self._tensors().items()
        }
        for k, trained in enumerate(self.trained):
            arrays |= {
                f"{k}.best.{name}": values for name, values in trained.weights.items()
            }
            arrays[f"{k}.accuracies"] = np.array(trained.validation_accuracies_percent)
            arrays[f"{k}.best_epoch"] = np.array([trained.best_epoch])
        return arrays

    def resume_from(self, state: SavedState) -> None:
        """Let fresh networks resume from the arrays of a `state`, to the same bits."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state.arrays[name]))
        for k, trained in enumerate(self.trained):
            accuracies = state.arrays[f"{k}.accuracies"].tolist()
            trained.validation_accuracies_percent = accuracies
            trained.best_epoch = int(state.arrays[f"{k}.best_epoch"][0])
            trained.weights = state.part(f"{k}.best.").arrays
            self._schedules[k].after_epochs(accuracies, self._n_batches)

    def _pixels(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        values = intensities(images)
        bits = self.variants[0].pixel_bits
        if bits == 8:
            return values
        top = 2**bits - 1
        return values.mul_(top).round_().div_(top)

    def _sums(self, layer: int, sources: Tensor) -> Tensor:
        """What reaches the units of a layer, [K, B, units], from pixels [B, I] or
        [K, B, units].
        """
        weight, bias = weights_and_biases(self._seen)[layer]
        if layer == 0:
            biases = None if bias is None else bias.flatten()
            of_all = functional.linear(sources, weight.flatten(0, 1), biases)
            sums = of_all.view(len(sources), *weight.shape[:2]).transpose(0, 1)
        elif bias is None:
            sums = torch.bmm(sources, weight.transpose(1, 2))
        else:
            sums = torch.baddbmm(bias[:, None], sources, weight.transpose(1, 2))
        if self._sum_bits < FLOAT_BITS:
            half = 2.0 ** (self._sum_bits - 1)
            units = self._sum_units(layer)
            # The values alone: their gradient goes straight through.
            sums.detach().clamp_(-half * units, (half - 1) * units)
        return sums

    def _activations(self, layer: int, sums: Tensor) -> Tensor:
        if not self._integers:
            return functional.relu(sums)
        activations: Tensor = _RoundedReLU.apply(  # type: ignore[no-untyped-call]
            sums, self._activation_units[layer], self._activation_tops
        )
        return activations

    def _scores(self, values: Tensor) -> Tensor:
        """Of the classes, [K, B, classes], from pixels [B, I]."""
        for layer in range(self._n_hidden):
            values = self._activations(layer, self._sums(layer, values))
        return self._sums(self._n_hidden, values)

    def _step(self, pixels: Tensor, labels: Tensor) -> None:
        loss = functional.cross_entropy(
            self._scores(pixels).flatten(0, 1),
            labels.repeat(len(self.variants)),
            label_smoothing=self._settings.label_smoothing,
            reduction="sum",
        )
        (loss / len(labels)).backward()  # type: ignore[no-untyped-call]
        for name, seen in self._seen.items():
            assert seen.grad is not None
            for kept, gradient in zip(self._kept, seen.grad, strict=True):
                kept[name].grad = gradient
            seen.grad = None
        for group, schedule in zip(
            self._optimizer.param_groups, self._schedules, strict=True
        ):
            group["lr"] = schedule.learning_rate
            schedule.after_batch()
        self._optimizer.step()
        self._remove()
        self._round()

    def _prune(self, epoch: int) -> None:
        for k, variant in enumerate(self.variants):
            fraction = variant.pruning.pruned_fraction_at(
                epoch, self._settings.max_epochs
            )
            if fraction:
                state = {name: of[k].numpy() for name, of in self._exact.items()}
                for name, mask in pruning_masks(state, fraction).items():
                    self._masks[name][k].copy_(
                        torch.from_numpy(mask.astype(np.float32))
                    )
        self._remove()

    def _remove(self) -> None:
        """Make removed weights 0 again, so that they are also the next to be
        removed.
        """
        for name, mask in self._masks.items():
            self._exact[name].mul_(mask)

    def _choose_units(self) -> None:
        """Those of least squared error: of weights, then of activations, layer by
        layer.
        """
        if not self._integers:
            return
        self._weight_units = []
        self._activation_units = []
        bits = [variant.bits for variant in self.variants]
        for of_all, _ in weights_and_biases(self._exact):
            self._weight_units.append(_units(weight_unit, of_all, bits))
        self._round()
        values = self._pixels(self._calibration)
        with torch.no_grad():
            for layer in range(self._n_hidden):
                sums = self._sums(layer, values)
                tops = map(int, self._activation_tops)
                self._activation_units.append(
                    _units(least_error_unit, functional.relu(sums), tops)
                )
                self._round()
                values = self._activations(layer, sums)

    def _round(self) -> None:
        """Let the passes see rounded parameters; biases are rounded to units of the
        sums, as far as the activations' units are chosen."""
        if not self._integers:
            return
        pairs = zip(
            weights_and_biases(self._exact), weights_and_biases(self._seen), strict=True
        )
        for layer, ((weight, bias), (seen_weight, seen_bias)) in enumerate(pairs):
            units = self._weight_units[layer]
            whole = _whole(weight, units, seen_weight)
            whole.clamp_(-self._weight_tops, self._weight_tops).mul_(units)
            if (
                bias is not None
                and seen_bias is not None
                and layer <= len(self._activation_units)
            ):
                units = self._sum_units(layer)[:, 0]
                half = 2.0 ** (self._sum_bits - 1)
                _whole(bias, units, seen_bias).clamp_(-half, half - 1).mul_(units)

    def _sum_units(self, layer: int) -> Tensor:
        """What an integer 1 stands for in the sums of a layer, [K, 1, 1]."""
        sources = [1 / self._activation_tops, *self._activation_units]
        return self._weight_units[layer] * sources[layer]


def _units(
    choose: Callable[[NDArray[np.float32], int], float],
    values: Tensor,
    sizes: Iterable[int],
) -> Tensor:
    """What an integer 1 stands for in each of K arrays of values, [K, 1, 1]."""
    units = [choose(of.numpy(), size) for of, size in zip(values, sizes, strict=True)]
    return torch.tensor(units)[:, None, None]


def _whole(exact: Tensor, units: Tensor, seen: Tensor) -> Tensor:
    """What the passes see of a parameter, which now holds whole numbers of units."""
    return torch.div(exact, units, out=seen.detach()).round_()


class _RoundedReLU(torch.autograd.Function):
    """ReLU of K networks, a multiple of a unit up to `top` of them.

    The gradient is that of the ReLU, and 0 beyond the range. `sums` are [K, ...],
    `unit` and `top` [K, 1, 1].
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, unit: Tensor, top: Tensor) -> Tensor:
        rounded = torch.minimum(sums.clamp(min=0).div_(unit), top)
        ctx.save_for_backward((rounded > 0) & (rounded < top))
        return rounded.round_().mul_(unit)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (passes,) = ctx.saved_tensors
        return gradient * passes, None, None


def checkpoint_of(
    groups: Sequence[BatchedNetworks],
    seconds: Sequence[float],
    processor_seconds: float,
) -> SavedState:
    """The state of all networks after epochs of so many seconds."""
    arrays = {
        f"{number}.{name}": values
        for number, networks in enumerate(groups)
        for name, values in networks.state().items()
    }
    return SavedState(
        {"seconds": list(seconds), "processor_seconds": processor_seconds}, arrays
    )


def resume_from(
    checkpoint: SavedState, groups: Sequence[BatchedNetworks]
) -> tuple[list[float], float]:
    """Let fresh networks resume from `checkpoint_of` some; returns the seconds of its
    epochs, and those of the processor."""
    for number, networks in enumerate(groups):
        networks.resume_from(checkpoint.part(f"{number}."))
    return list(checkpoint.plain["seconds"]), checkpoint.plain["processor_seconds"]


CALIBRATION_IMAGES = 500
"""The first training images, as they are: the ranges of activations come from them."""


@dataclass(frozen=True, eq=False)
class BaselinesTraining:
    """All networks, and how long they took.

    Attributes:
        baselines: in the order of the variants.
        epoch_seconds: wall time of each epoch of all networks, validation included.
        processor_seconds: of all cores and networks together, of every process that the
            training was resumed in.
    """

    baselines: tuple[TrainedBaseline, ...]
    epoch_seconds: tuple[float, ...]
    processor_seconds: float


def train_baselines(
    train: LabelledImages,
    validation: LabelledImages,
    variants: Sequence[BaselineVariant],
    settings: BaselineTraining,
    seed: int,
    on_epoch: Callable[[int], object] = lambda epoch: None,
    state_store: ResumeFile | None = None,
) -> BaselinesTraining:
    """Train ReLU networks side by side; the result does not depend on the number of
    cores.

    Networks of the same layers, all of floating point or of integers with one width of
    pixels and one of sums, are one computation on one thread; the threads share the
    images that are drawn.

    Args:
        train: images to learn from.
        validation: images whose accuracy chooses the epoch.
        variants: the networks.
        settings: how to train.
        seed: of the first weights, the order of the images and their augmentation.
        on_epoch: called after every epoch.
        state_store: keeps the state of all networks after every epoch, and has that of
            a process which was killed: the result is the same to the bit as without the
            kill.

    Raises:
        ParameterError: training diverged.
    """
    n_batches = -(-len(train) // settings.batch_size)
    calibration = train.images[:CALIBRATION_IMAGES]
    labels = _class_indices(validation.labels)

    def run(
        networks: BatchedNetworks, epoch: int, drawn: tuple[Tensor, Tensor]
    ) -> None:
        networks.learn(epoch, *drawn)
        networks.validate(validation.images, labels)

    # One thread each, however many cores there are: its rounding depends on the number.
    with (
        one_thread(),
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(
            len(variants), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        groups = [
            BatchedNetworks(members, settings, n_batches, seed, calibration)
            for members in _side_by_side(variants)
        ]
        seconds: list[float] = []
        processor_seconds = 0.0
        checkpoint = state_store.load() if state_store is not None else None
        if checkpoint is not None:
            seconds, processor_seconds = resume_from(checkpoint, groups)
        _drawn_epoch(
            train.select(slice(1)), settings, seed, 1
        )  # compiles before the clocks start
        before = time.process_time() - processor_seconds
        # The images of an epoch are drawn while the one before is learned.
        upcoming = drawer.submit(_drawn_epoch, train, settings, seed, len(seconds) + 1)
        for epoch in range(len(seconds) + 1, settings.max_epochs + 1):
            started = time.perf_counter()
            drawn = upcoming.result()
            if epoch < settings.max_epochs:
                upcoming = drawer.submit(_drawn_epoch, train, settings, seed, epoch + 1)
            jobs = [pool.submit(run, networks, epoch, drawn) for networks in groups]
            for job in jobs:
                job.result()
            seconds.append(time.perf_counter() - started)
            processor_seconds = time.process_time() - before
            if state_store is not None:
                state_store.save(checkpoint_of(groups, seconds, processor_seconds))
            on_epoch(epoch)
    by_variant = {
        trained.variant: trained for networks in groups for trained in networks.trained
    }
    baselines = tuple(by_variant[variant] for variant in variants)
    return BaselinesTraining(baselines, tuple(seconds), processor_seconds)


def _side_by_side(variants: Sequence[BaselineVariant]) -> list[list[BaselineVariant]]:
    """Members that are one computation."""
    groups: dict[tuple[Any, ...], list[BaselineVariant]] = {}
    for variant in variants:
        key = (
            variant.network,
            variant.bits == FLOAT_BITS,
            variant.pixel_bits,
            # As wide activations as pixels: whose sums need room is computed by itself.
            variant.activation_bits < variant.bits,
            variant.sum_bits,
            variant.equal_size,
        )
        groups.setdefault(key, []).append(variant)
    return [*groups.values()]


def _drawn_epoch(
    train: LabelledImages, settings: BaselineTraining, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The epoch's augmented images uint8 [N, pixels] and labels [N], in the spiking
    net's order.

    A draw depends on (seed, epoch, sample) alone, as in `training.train`.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    images = augment(train.images[order], settings, seed, epoch, train.index[order])
    return torch.from_numpy(images), _class_indices(train.labels[order])


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
