"""Training of the conventional networks: ReLU units in place of spiking neurons.

One network has the layer sizes of the spiking network; the others are a family with one
hidden layer each, pruned and quantised. All see the same training images in the same
order with the same augmentation as the spiking network. Each keeps the weights of its
best validation accuracy.

    for each epoch:
        take the augmented images of the epoch, drawn during the previous one
        for each group of networks, on a thread of its own:
            prune, choose the units of integers
            for each batch: take an optimizer step
            validate, and keep the networks that are the best so far
        save the state, from which another process can resume
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.baselines.quantised import QuantisedNetwork, Widths, in_integers
from spikejoule.baselines.settings import BaselineTraining, BaselineVariant
from spikejoule.baselines.side_by_side import FloatPasses, IntegerPasses
from spikejoule.core.errors import ParameterError
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.data.images import LabelledImages
from spikejoule.network.network import State
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.network.torch_twin import drawn_synapses
from spikejoule.training.epochs import RunningSchedule
from spikejoule.training.kernels.augment import augment
from spikejoule.training.teacher import one_thread

CALIBRATION_IMAGES = 500
"""The number of first training images, unaugmented, that decide activation units."""


class TrainedBaseline:
    """The epochs of one network, and its best weights so far.

    Attributes:
        variant: the network.
        validation_accuracies_percent: after each epoch; an integer network is validated
            as it is trained, in floating point.
        best_epoch: the first epoch (from 1 on) of the best validation accuracy after
            pruning is complete; 0 before there is one.
        weights: the parameters of that epoch, and the units of an integer network.
    """

    def __init__(self, variant: BaselineVariant) -> None:
        self.variant = variant
        self.validation_accuracies_percent: list[float] = []
        self.best_epoch = 0
        self.weights: Mapping[str, NDArray[Any]] = {}

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Validation accuracy of the best epoch."""
        return self.validation_accuracies_percent[self.best_epoch - 1]

    @property
    def state(self) -> State:
        """The best parameters in floating point."""
        names = self.variant.network.parameter_shapes()
        return {name: self.weights[name] for name in names}

    @property
    def network(self) -> State | QuantisedNetwork:
        """The best network: its parameters, or its integers."""
        variant = self.variant
        if variant.bits == FLOAT_BITS:
            return self.state
        return in_integers(
            self.state,
            self.weights["weight_units"].tolist(),
            self.weights["activation_units"].tolist(),
            Widths(variant.activation_bits, variant.bits, variant.sum_bits),
            variant.pixel_threshold,
        )

    def is_best(self, accuracy_percent: float, max_epochs: int) -> bool:
        """Record the accuracy of an epoch; returns whether it is the best so far."""
        best = self.best_validation_accuracy_percent if self.best_epoch else -1.0
        self.validation_accuracies_percent.append(accuracy_percent)
        epoch = len(self.validation_accuracies_percent)
        is_pruned = self.variant.pruning.is_pruned_by(epoch, max_epochs)
        if not is_pruned or accuracy_percent <= best:
            return False
        self.best_epoch = epoch
        return True


class SharedAdam:
    """Adam for K networks whose parameters are slices of shared tensors.

    Each network has a parameter group, and so a learning rate, of its own.

    Args:
        parameters: of all networks by name, [K, ...] each, changed in place.
        settings: learning rate and weight decay.

    Attributes:
        moments: Adam's state, [K] or [K, ...].
    """

    _MOMENTS = ("step", "exp_avg", "exp_avg_sq")

    def __init__(
        self, parameters: Mapping[str, Tensor], settings: BaselineTraining
    ) -> None:
        n_networks = len(next(iter(parameters.values())))
        self.moments: dict[str, Tensor] = {}
        for name, values in parameters.items():
            self.moments[f"step.{name}"] = torch.zeros(n_networks)
            self.moments[f"exp_avg.{name}"] = torch.zeros(values.shape)
            self.moments[f"exp_avg_sq.{name}"] = torch.zeros(values.shape)
        # Views of the shared tensors, by network.
        self._slices = [
            {name: torch.nn.Parameter(values[k]) for name, values in parameters.items()}
            for k in range(n_networks)
        ]
        self._optimizer = torch.optim.Adam(
            [{"params": list(slices.values())} for slices in self._slices],
            settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # PyTorch creates this state in its first step; here it is views, too, so that
        # a checkpoint is one tensor for all networks.
        for k, slices in enumerate(self._slices):
            for name, parameter in slices.items():
                self._optimizer.state[parameter] = {
                    moment: self.moments[f"{moment}.{name}"][k]
                    for moment in self._MOMENTS
                }

    def step(self, seen: Mapping[str, Tensor], rates: Sequence[float]) -> None:
        """Take a step with the gradients of `seen`, [K, ...] each, and clear them."""
        for name, values in seen.items():
            assert values.grad is not None
            for slices, gradient in zip(self._slices, values.grad, strict=True):
                slices[name].grad = gradient
            values.grad = None
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._optimizer.step()


class BatchedNetworks:
    """K networks that differ only in pruning and width, and learn together.

    Args:
        variants: the networks, all in floating point or all in integers, with the same
            layers and widths of pixels and sums.
        settings: how to train.
        n_batches: batches per epoch.
        seed: seed of the initial weights, which are the same in all networks.
        calibration: images uint8 [n, ...] that decide the units of activations.

    Attributes:
        trained: the epochs of each network.
    """

    def __init__(
        self,
        variants: Sequence[BaselineVariant],
        settings: BaselineTraining,
        n_batches: int,
        seed: int,
        calibration: NDArray[np.uint8],
    ) -> None:
        n_networks = len(variants)
        self.trained = [TrainedBaseline(variant) for variant in variants]
        self._settings = settings
        self._calibration = calibration
        self._n_batches = n_batches
        n_steps = n_batches * settings.max_epochs
        self._schedules = [
            RunningSchedule(settings.chosen_schedule, settings.lr, n_steps)
            for _ in variants
        ]
        drawn = drawn_synapses(variants[0].network.parameter_shapes(), seed)
        self._parameters = {
            name: values.repeat(n_networks, *[1] * values.ndim)
            for name, values in drawn.items()
        }
        is_pruned = any(variant.pruning.pruned_fraction for variant in variants)
        self._masks = {
            name: torch.ones_like(values)
            for name, values in self._parameters.items()
            if is_pruned and values.ndim == 3
        }
        self._adam = SharedAdam(self._parameters, settings)
        passes = FloatPasses if variants[0].bits == FLOAT_BITS else IntegerPasses
        self._passes = passes(variants, self._parameters)

    def learn(self, epoch: int, images: Tensor, labels: Tensor) -> None:
        """Learn from the images of an epoch.

        Args:
            epoch: from 1 on.
            images: uint8 [N, pixels].
            labels: [N].

        Raises:
            ParameterError: a network diverged.
        """
        self._prune(epoch)
        self._passes.choose_units(self._calibration)
        for first in range(0, len(labels), self._settings.batch_size):
            chosen = slice(first, first + self._settings.batch_size)
            self._step(self._passes.pixels(images[chosen]), labels[chosen])
        seen = self._passes.seen.values()
        if not all(bool(values.isfinite().all()) for values in seen):
            raise ParameterError(
                f"a ReLU network diverged in epoch {epoch}: its weights are not "
                f"finite; baseline.lr is {self._settings.lr}, use a smaller one"
            )

    def _prune(self, epoch: int) -> None:
        """Mask the synapses that are due in each network."""
        max_epochs = self._settings.max_epochs
        for k, trained in enumerate(self.trained):
            pruning = trained.variant.pruning
            fraction = pruning.pruned_fraction_at(epoch, max_epochs)
            if fraction:
                state = {name: v[k].numpy() for name, v in self._parameters.items()}
                for name, mask in pruning_masks(state, fraction).items():
                    kept = torch.from_numpy(mask.astype(np.float32))
                    self._masks[name][k].copy_(kept)
        self._remove()

    def _remove(self) -> None:
        """Set removed weights to 0; being smallest, they stay removed."""
        for name, mask in self._masks.items():
            self._parameters[name].mul_(mask)

    def _step(self, pixels: Tensor, labels: Tensor) -> None:
        """Take one optimizer step on a batch, pixels [B, I] and labels [B]."""
        # The sum over networks: no network's gradient depends on another's loss.
        loss = functional.cross_entropy(
            self._passes.scores(pixels).flatten(0, 1),
            labels.repeat(len(self.trained)),
            label_smoothing=self._settings.label_smoothing,
            reduction="sum",
        )
        (loss / len(labels)).backward()  # type: ignore[no-untyped-call]
        rates = [schedule.learning_rate for schedule in self._schedules]
        self._adam.step(self._passes.seen, rates)
        for schedule in self._schedules:
            schedule.after_batch()
        self._remove()
        self._passes.refresh()

    def validate(self, images: NDArray[np.uint8], labels: Tensor) -> None:
        """Measure all networks after an epoch, and keep those that are the best."""
        with torch.no_grad():
            scores = self._passes.scores(self._passes.pixels(images))
        correct = (scores.argmax(dim=2) == labels).sum(dim=1).tolist()
        for k, trained in enumerate(self.trained):
            accuracy = 100 * correct[k] / len(labels)
            self._schedules[k].after_epoch(accuracy)
            if trained.is_best(accuracy, self._settings.max_epochs):
                parameters = {
                    name: values[k].numpy().copy()
                    for name, values in self._parameters.items()
                }
                trained.weights = parameters | self._passes.units(k)

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors that the next epoch depends on."""
        learned = {
            f"learned.{name}": values for name, values in self._parameters.items()
        }
        masks = {f"mask.{name}": mask for name, mask in self._masks.items()}
        return self._adam.moments | learned | masks

    def state(self) -> dict[str, NDArray[Any]]:
        """A copy of all that `resume_from` needs."""
        arrays: dict[str, NDArray[Any]] = {
            name: tensor.numpy().copy() for name, tensor in self._tensors().items()
        }
        for k, trained in enumerate(self.trained):
            for name, values in trained.weights.items():
                arrays[f"{k}.best.{name}"] = values
            arrays[f"{k}.accuracies"] = np.array(trained.validation_accuracies_percent)
            arrays[f"{k}.best_epoch"] = np.array([trained.best_epoch])
        return arrays

    def resume_from(self, state: SavedState) -> None:
        """Make new networks resume from a `state`, to the same bits."""
        for name, tensor in self._tensors().items():
            tensor.copy_(torch.from_numpy(state.arrays[name]))
        for k, trained in enumerate(self.trained):
            accuracies = state.arrays[f"{k}.accuracies"].tolist()
            trained.validation_accuracies_percent = accuracies
            trained.best_epoch = int(state.arrays[f"{k}.best_epoch"][0])
            trained.weights = state.part(f"{k}.best.").arrays
            self._schedules[k].after_epochs(accuracies, self._n_batches)


class BaselinesTraining:
    """The training of all networks, epoch after epoch.

    Args:
        train: images to learn from.
        validation: images whose accuracy chooses the epoch.
        variants: the networks.
        settings: how to train.
        seed: seed of the initial weights, the order of images and their augmentation.

    Attributes:
        settings: as above.
        epoch_seconds: wall time of each epoch of all networks, validation included.
        processor_seconds: time of all cores, over all processes of a resumed training.
    """

    def __init__(
        self,
        train: LabelledImages,
        validation: LabelledImages,
        variants: Sequence[BaselineVariant],
        settings: BaselineTraining,
        seed: int,
    ) -> None:
        self.settings = settings
        self.epoch_seconds: list[float] = []
        self.processor_seconds = 0.0
        self._train = train
        self._validation = validation
        self._variants = tuple(variants)
        self._seed = seed
        n_batches = -(-len(train) // settings.batch_size)
        calibration = train.images[:CALIBRATION_IMAGES]
        self._groups = [
            BatchedNetworks(members, settings, n_batches, seed, calibration)
            for members in _groups_of(variants)
        ]

    @property
    def baselines(self) -> tuple[TrainedBaseline, ...]:
        """The networks, in the order of the variants."""
        trained = {
            baseline.variant: baseline
            for group in self._groups
            for baseline in group.trained
        }
        return tuple(trained[variant] for variant in self._variants)

    def warm_up(self) -> None:
        """Compile the augmentation before the clock of the first epoch starts."""
        images = self._train.select(slice(1))
        augment(images.images, self.settings, self._seed, 1, images.index)

    def drawn(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Draw an epoch's augmented images uint8 [N, pixels] and labels [N].

        They are those of the spiking network, in the same order: draws depend on seed,
        epoch and sample only.
        """
        train = self._train
        order = np.random.default_rng([self._seed, epoch]).permutation(len(train))
        images = augment(
            train.images[order], self.settings, self._seed, epoch, train.index[order]
        )
        return torch.from_numpy(images), _class_indices(train.labels[order])

    def run_epoch(self, drawn: tuple[Tensor, Tensor], pool: ThreadPoolExecutor) -> None:
        """Train and validate all networks, each group on a thread of the pool."""
        epoch = len(self.epoch_seconds) + 1
        images, labels = drawn
        validation_labels = _class_indices(self._validation.labels)

        def run(group: BatchedNetworks) -> None:
            group.learn(epoch, images, labels)
            group.validate(self._validation.images, validation_labels)

        list(pool.map(run, self._groups))

    def checkpoint(self) -> SavedState:
        """The state after the last epoch."""
        arrays = {
            f"{number}.{name}": values
            for number, group in enumerate(self._groups)
            for name, values in group.state().items()
        }
        plain = {
            "seconds": self.epoch_seconds,
            "processor_seconds": self.processor_seconds,
        }
        return SavedState(plain, arrays)

    def resume_from(self, checkpoint: SavedState) -> None:
        """Restore a `checkpoint` of another process."""
        for number, group in enumerate(self._groups):
            group.resume_from(checkpoint.part(f"{number}."))
        self.epoch_seconds = list(checkpoint.plain["seconds"])
        self.processor_seconds = checkpoint.plain["processor_seconds"]


def train_baselines(
    training: BaselinesTraining,
    state_store: ResumeFile | None = None,
    on_epoch: Callable[[int], object] = lambda epoch: None,
) -> BaselinesTraining:
    """Run a training to its end; the result does not depend on the number of cores.

    Args:
        training: a new training.
        state_store: stores the state after every epoch. If it holds the state of a
            killed process, training resumes there and ends with the same bits as
            without the kill.
        on_epoch: called with the number of every finished epoch.

    Returns:
        the finished training.

    Raises:
        ParameterError: training diverged.
    """
    checkpoint = state_store.load() if state_store is not None else None
    if checkpoint is not None:
        training.resume_from(checkpoint)
    training.warm_up()
    first = len(training.epoch_seconds) + 1
    max_epochs = training.settings.max_epochs
    before = time.process_time() - training.processor_seconds
    # PyTorch's rounding depends on the number of threads: one in every worker.
    with (
        one_thread(),
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(
            len(training.baselines), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        # The images of an epoch are drawn while the previous epoch learns.
        upcoming = drawer.submit(training.drawn, first)
        for epoch in range(first, max_epochs + 1):
            started = time.perf_counter()
            drawn = upcoming.result()
            if epoch < max_epochs:
                upcoming = drawer.submit(training.drawn, epoch + 1)
            training.run_epoch(drawn, pool)
            training.epoch_seconds.append(time.perf_counter() - started)
            training.processor_seconds = time.process_time() - before
            if state_store is not None:
                state_store.save(training.checkpoint())
            on_epoch(epoch)
    return training


def _groups_of(variants: Sequence[BaselineVariant]) -> list[list[BaselineVariant]]:
    """Group the networks that can be one computation."""
    groups: dict[tuple[Any, ...], list[BaselineVariant]] = {}
    for variant in variants:
        key = (
            variant.network,
            variant.bits == FLOAT_BITS,
            variant.pixel_bits,
            variant.pixel_threshold,
            variant.shifts,
            # Networks with narrower activations than weights, to leave room for sums.
            variant.activation_bits < variant.bits,
            variant.sum_bits,
            # By itself, so that the family does not change a teacher's last digits.
            variant.equal_size,
        )
        groups.setdefault(key, []).append(variant)
    return [*groups.values()]


def _class_indices(labels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))
