"""Training of the conventional networks: ReLU units in place of spiking neurons.

One network has the layer sizes of the spiking network; the others are a family with one
hidden layer each, pruned and quantised. All see the same training images in the same
order with the same augmentation as the spiking network. Each keeps the weights of its
best validation accuracy.

    for each epoch:
        take the augmented images of the epoch, drawn during the previous one
        for each network, on a thread of its own:
            prune, choose the units of integers
            for each batch: take an optimizer step
            validate, and keep the network if it is the best so far
        save the state, from which another process can resume
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.learner import Learner
from spikejoule.baselines.quantised import QuantisedNetwork, Widths, in_integers
from spikejoule.baselines.settings import BaselineTraining, BaselineVariant
from spikejoule.core.npz import in_parts, part_of
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.counts.measurement import activity_of_products
from spikejoule.counts.training import TrainingRecord
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import best_class
from spikejoule.network.network import State
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.training.kernels.augment import augment
from spikejoule.training.learning_rate import RunningSchedule
from spikejoule.training.relu.running import pixels_of

CALIBRATION_IMAGES = 500
"""The number of first training images, unaugmented, that decide activation units."""


class LabelledPixels(NamedTuple):
    """Images uint8 [N, pixels] and their classes uint8 [N]."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]


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


class NetworkTraining:
    """The training of one network.

    Args:
        variant: the network.
        settings: how to train.
        n_batches: batches per epoch.
        seed: seed of the initial weights.
        calibration: pixels uint8 [n, pixels] that decide the units of activations.

    Attributes:
        trained: the epochs of the network.
        learner: the network and its optimizer.
    """

    def __init__(
        self,
        variant: BaselineVariant,
        settings: BaselineTraining,
        n_batches: int,
        seed: int,
        calibration: NDArray[np.uint8],
    ) -> None:
        self.trained = TrainedBaseline(variant)
        self._max_epochs = settings.max_epochs
        self._n_batches = n_batches
        self.learner = Learner(variant, settings, seed, calibration)
        n_steps = n_batches * settings.max_epochs
        schedule = settings.chosen_schedule
        self._schedule = RunningSchedule(schedule, settings.lr, n_steps)

    def run_epoch(
        self, epoch: int, drawn: LabelledPixels, validation: LabelledPixels
    ) -> None:
        """Learn, validate, and keep the parameters if they are the best.

        Raises:
            ParameterError: the network diverged.
        """
        rates = []
        for _ in range(self._n_batches):
            rates.append(self._schedule.learning_rate)
            self._schedule.after_batch()
        self.learner.learn(epoch, drawn.pixels, drawn.labels, rates)
        predictions = best_class(self.learner.scores(validation.pixels))
        n_correct = int((predictions == validation.labels).sum())
        accuracy = 100 * n_correct / len(validation.labels)
        self._schedule.after_epoch(accuracy)
        if self.trained.is_best(accuracy, self._max_epochs):
            self.trained.weights = {**self.state, **self.learner.units()}

    def warm_up(self) -> None:
        """Compile the kernels."""
        self.learner.warm_up()

    @property
    def state(self) -> State:
        """The parameters after the last epoch, in floating point."""
        return self.learner.state()

    def saved(self) -> dict[str, NDArray[Any]]:
        """A copy of all that `resume_from` needs."""
        trained = self.trained
        return {
            **self.learner.saved(),
            **in_parts({"best": trained.weights}),
            "accuracies": np.array(trained.validation_accuracies_percent),
            "best_epoch": np.array([trained.best_epoch]),
        }

    def resume_from(self, saved: Mapping[str, NDArray[Any]]) -> None:
        """Make a new network resume from what was `saved`, to the same bits."""
        self.learner.resume_from(saved)
        accuracies = saved["accuracies"].tolist()
        self.trained.validation_accuracies_percent = accuracies
        self.trained.best_epoch = int(saved["best_epoch"][0])
        self.trained.weights = part_of(saved, "best")
        self._schedule.after_epochs(accuracies, self._n_batches)


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
        self._validation = LabelledPixels(
            pixels_of(validation.images), validation.labels
        )
        self._seed = seed
        n_batches = -(-len(train) // settings.batch_size)
        calibration = pixels_of(train.images[:CALIBRATION_IMAGES])
        self.networks = [
            NetworkTraining(variant, settings, n_batches, seed, calibration)
            for variant in variants
        ]

    @property
    def baselines(self) -> tuple[TrainedBaseline, ...]:
        """The networks, in the order of the variants."""
        return tuple(network.trained for network in self.networks)

    def record_of(self, trained: TrainedBaseline) -> TrainingRecord:
        """Return the record of training one of `baselines`, in one row."""
        (learner,) = (one.learner for one in self.networks if one.trained is trained)
        variant = trained.variant
        network = replace(variant.network, weight_bits=variant.bits)
        n_epochs = len(self.epoch_seconds)
        seen = np.array([n_epochs * len(self._train)])
        products = learner.products[None]
        return TrainingRecord(
            activity=activity_of_products(network, products, samples=seen),
            # A value reaches each of its synapses once per sample.
            touched=products,
            n_epochs=n_epochs,
            batch_size=self.settings.batch_size,
            weight_decay=self.settings.weight_decay > 0,
            clipping=False,
            pruned=variant.pruning.pruned_fraction > 0,
            gradients_reached=learner.gradients_reached[None],
        )

    def warm_up(self) -> None:
        """Compile the kernels before the clock of the first epoch starts."""
        images = self._train.select(slice(1))
        augment(images.images, self.settings, self._seed, 1, images.index)
        self.networks[0].warm_up()

    def drawn(self, epoch: int) -> LabelledPixels:
        """Draw an epoch's augmented images and their labels.

        They are those of the spiking network, in the same order: draws depend on seed,
        epoch and sample only.
        """
        train = self._train
        order = np.random.default_rng([self._seed, epoch]).permutation(len(train))
        images = augment(
            train.images[order], self.settings, self._seed, epoch, train.index[order]
        )
        return LabelledPixels(images, train.labels[order])

    def run_epoch(self, drawn: LabelledPixels, pool: ThreadPoolExecutor) -> None:
        """Train and validate all networks, each on a thread of the pool."""
        epoch = len(self.epoch_seconds) + 1

        def run(network: NetworkTraining) -> None:
            network.run_epoch(epoch, drawn, self._validation)

        list(pool.map(run, self.networks))

    def saved_state(self) -> SavedState:
        """The state after the last epoch, for `resume_from`."""
        arrays = in_parts(
            {
                str(number): network.saved()
                for number, network in enumerate(self.networks)
            }
        )
        plain = {
            "seconds": self.epoch_seconds,
            "processor_seconds": self.processor_seconds,
        }
        return SavedState(plain, arrays)

    def resume_from(self, saved: SavedState) -> None:
        """Restore the `saved_state` of another process."""
        for number, network in enumerate(self.networks):
            network.resume_from(part_of(saved.arrays, str(number)))
        self.epoch_seconds = list(saved.plain["seconds"])
        self.processor_seconds = saved.plain["processor_seconds"]


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
    saved = state_store.load() if state_store is not None else None
    if saved is not None:
        training.resume_from(saved)
    training.warm_up()
    first = len(training.epoch_seconds) + 1
    max_epochs = training.settings.max_epochs
    before = time.process_time() - training.processor_seconds
    with (
        ThreadPoolExecutor(max_workers=1) as drawer,
        ThreadPoolExecutor(len(training.networks)) as pool,
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
                state_store.save(training.saved_state())
            on_epoch(epoch)
    return training
