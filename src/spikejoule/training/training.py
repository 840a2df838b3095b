"""The training loop: epochs of freshly drawn spikes, validation, best weights.

for each epoch until the patience, the target or the maximum is reached:
    remove the synapses that are due, choose the grids of integers
    for each batch in random order:
        augment the images, draw their spikes, take an optimizer step
    validate
    keep the weights if they are the best so far
    save the state, from which another process can resume
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.core.npz import in_parts, part_of
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.data.dataset import Samples
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList
from spikejoule.engine.learning.interface import (
    Snapshot,
    Trainer,
    adam_state,
    exponents_of,
    with_exponents,
)
from spikejoule.network.network import Network
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.sections import EpochRecord
from spikejoule.network.trained import TrainedNetwork
from spikejoule.training.batches import EpochBatches, EpochSums
from spikejoule.training.learning_rate import RunningSchedule
from spikejoule.training.observers import TrainingObserver
from spikejoule.training.settings import TrainingSettings


class DivergedError(ParameterError):
    """The loss or a weight is no longer a finite number."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples to train on and events to validate on.

    Attributes:
        samples: images, or recorded events; random draws depend on a sample's identity.
        encoder: the encoding of the samples into spikes.
        validation_events: the validation samples, encoded once.
        validation_labels: class of each validation sample, [N].
    """

    samples: Samples
    encoder: Encoder
    validation_events: EventList
    validation_labels: NDArray[np.integer]


def accuracy_percent(
    trainer: Trainer, events: EventList, labels: NDArray[np.integer]
) -> float:
    """Percentage of samples that the network classifies correctly."""
    output = trainer.run(events)[-1]
    predictions = trainer.network.readout.predict(output)
    return 100.0 * int((predictions == labels).sum()) / len(labels)


class Training:
    """A training in progress: it runs epoch after epoch until it has a `stop_reason`.

    Its attributes and the trainer's snapshot are the state from which a training
    resumes after a kill. The schedule is not saved: it is replayed over the batches
    and epochs.

    Args:
        data: the samples.
        trainer: the network with its optimizer.
        settings: how to train.
        seed: seed of all draws: shuffling, augmentation, spikes.
        observers: called after every batch and epoch.

    Attributes:
        history: all epochs.
        epoch_seconds: wall time of each epoch, validation included.
        processor_seconds: time of all cores, over all processes of a resumed training.
        best_epoch: the epoch with the best validation accuracy; 0 before there is one.
        state: the parameters after that epoch.
        network: the network after that epoch, with its grids if it is quantised.

    Raises:
        ParameterError: the validation events have another time window.
    """

    def __init__(
        self,
        data: TrainingData,
        trainer: Trainer,
        settings: TrainingSettings,
        seed: int,
        observers: tuple[TrainingObserver, ...] = (),
    ) -> None:
        if data.validation_events.n_steps != data.encoder.time_window:
            raise ParameterError(
                f"time_window is {data.encoder.time_window}, but the validation events "
                f"have {data.validation_events.n_steps} steps; encode them again"
            )
        self._data = data
        self._trainer = trainer
        self._settings = settings
        self._seed = seed
        self._n_batches = -(-len(data.samples) // settings.batch_size)
        n_steps = self._n_batches * settings.max_epochs
        self._schedule = RunningSchedule(settings.chosen_schedule, settings.lr, n_steps)
        self.observers = observers
        self.history: list[EpochRecord] = []
        self.epoch_seconds: list[float] = []
        self.processor_seconds = 0.0
        self.best_epoch = 0
        self.state: dict[str, NDArray[Any]] = {}
        self.network: Network = trainer.network

    @property
    def stop_reason(self) -> str:
        """Why training ends: target_accuracy, patience or max_epochs; else empty."""
        settings = self._settings
        epoch = len(self.history)
        if self.best_epoch:
            accuracy = self.history[-1].validation_accuracy_percent
            target = settings.target_accuracy
            if target is not None and accuracy >= target:
                return "target_accuracy"
            if settings.patience and epoch - self.best_epoch >= settings.patience:
                return "patience"
        return "max_epochs" if epoch >= settings.max_epochs else ""

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Validation accuracy of the best epoch."""
        return self.history[self.best_epoch - 1].validation_accuracy_percent

    @property
    def optimizer_state(self) -> dict[str, Any]:
        """Adam's state after the last epoch."""
        trainer = self._trainer
        return adam_state(
            trainer.network,
            trainer.snapshot(),
            self._schedule.learning_rate,
            self._settings.weight_decay,
        )

    def trained_network(self, data: Mapping[str, Any]) -> TrainedNetwork:
        """The best network and its provenance.

        Args:
            data: the content of metrics/data.json.
        """
        # `resume` changes no result.
        config = self._settings.model_dump(mode="json", exclude={"resume"})
        return TrainedNetwork(
            network=self.network.learned_from(self.state),
            state=self.state,
            encoder=self._data.encoder,
            seed=self._seed,
            training_config={**config, "optimizer": "Adam"},
            history=tuple(self.history),
            best_epoch=self.best_epoch,
            data=dict(data),
            engine=self._trainer.name,
            optimizer_state=self.optimizer_state,
        )

    def warm_up(self) -> None:
        """Compile the kernels before the clock of the first epoch starts.

        Random draws depend on seed, epoch and sample only, so this changes none.
        """
        few = np.arange(min(2, len(self._data.samples)))
        self._trainer.warm_up(self._batches(1).batch_of(few).events)

    def run_epoch(self) -> None:
        """Train for one epoch, validate, and keep the weights if they are the best."""
        started = time.perf_counter()
        epoch = len(self.history) + 1

        # Remove the synapses that are due, and fit the grids to the weights.
        fraction = self._prune(epoch)
        self._trainer.choose_grids()

        # Learn from every training sample once.
        sums = self._learn(epoch)
        self._check_finite(epoch, sums.mean_loss)

        # Validate.
        accuracy = accuracy_percent(
            self._trainer, self._data.validation_events, self._data.validation_labels
        )
        self._schedule.after_epoch(accuracy)

        # Keep the first of the best epochs in which pruning is complete.
        is_best = (
            not self.best_epoch or accuracy > self.best_validation_accuracy_percent
        )
        self.history.append(sums.record(epoch, accuracy, fraction))
        self.epoch_seconds.append(time.perf_counter() - started)
        if is_best and self._settings.is_pruned_by(epoch, self._settings.max_epochs):
            self.best_epoch = epoch
            self.state = self._trainer.state()
            self.network = self._trainer.network

    def _prune(self, epoch: int) -> float:
        """Remove the synapses that are due; returns the fraction removed so far."""
        settings = self._settings
        fraction = settings.pruned_fraction_at(epoch, settings.max_epochs)
        if fraction > settings.pruned_fraction_at(epoch - 1, settings.max_epochs):
            self._trainer.prune(pruning_masks(self._trainer.learned_state(), fraction))
        return fraction

    def _batches(self, epoch: int) -> EpochBatches:
        data = self._data
        return EpochBatches(
            data.samples, data.encoder, self._settings, self._seed, epoch
        )

    def _learn(self, epoch: int) -> EpochSums:
        """Learn from all training samples once."""
        sums = EpochSums()
        for batch in self._batches(epoch):
            rate = self._schedule.learning_rate
            outcome = self._trainer.train_batch(
                batch.events, batch.labels, rate, self._seed
            )
            self._schedule.after_batch()
            n_samples = len(batch.labels)
            sums.add(outcome, n_samples, rate)
            for observer in self.observers:
                observer.on_batch(epoch, n_samples, outcome)
        return sums

    def _check_finite(self, epoch: int, loss: float) -> None:
        """Raise DivergedError if the loss or a weight is not finite."""
        weights = self._trainer.learned_state().values()
        if not np.isfinite(loss):
            diverged = "the loss is"
        elif not all(np.isfinite(values).all() for values in weights):
            diverged = "weights are"
        else:
            return
        raise DivergedError(
            f"training diverged in epoch {epoch}: {diverged} not finite; train.lr is "
            f"{self._settings.lr}, use a smaller one, or a smaller train.logit_scale"
        )

    def saved_state(self) -> SavedState:
        """The state after the last epoch, for `resume_from`."""
        engine = self._trainer.snapshot().arrays()
        arrays = in_parts({"engine": engine, "best": self.state})
        plain = {
            "history": [record.entry() for record in self.history],
            "seconds": self.epoch_seconds,
            "processor_seconds": self.processor_seconds,
            "best_epoch": self.best_epoch,
            "best_exponents": exponents_of(self.network),
        }
        return SavedState(plain, arrays)

    def resume_from(self, saved: SavedState) -> None:
        """Restore the `saved_state` of another process, and notify observers."""
        # The epochs so far; not strict, because JSON turns tuples into lists.
        plain = saved.plain
        self.history = [
            EpochRecord.model_validate(record, strict=False)
            for record in plain["history"]
        ]
        self.epoch_seconds = list(plain["seconds"])
        self.processor_seconds = plain["processor_seconds"]

        # The best weights, in the trainer's order, so that files get the same bytes.
        best = part_of(saved.arrays, "best")
        self.best_epoch = plain["best_epoch"]
        if self.best_epoch:
            self.state = {name: best[name] for name in self._trainer.state()}
        exponents = tuple(plain["best_exponents"])
        self.network = with_exponents(self._trainer.network, exponents)

        # The trainer, and the schedule, which is replayed.
        self._trainer.restore(Snapshot.of_arrays(part_of(saved.arrays, "engine")))
        accuracies = [record.validation_accuracy_percent for record in self.history]
        self._schedule.after_epochs(accuracies, self._n_batches)
        for observer in self.observers:
            observer.on_resume(self.history, self.epoch_seconds)


def train(training: Training, state_store: ResumeFile | None = None) -> Training:
    """Run a training to its end.

    Every training spike is counted; those of validation are not.

    Args:
        training: a new training.
        state_store: stores the state after every epoch. If it holds the state of a
            killed process, training resumes there and ends with the same bits as
            without the kill; observers get the earlier epochs again.

    Returns:
        the finished training.

    Raises:
        DivergedError: training diverged.
    """
    saved = state_store.load() if state_store is not None else None
    if saved is not None:
        training.resume_from(saved)
    training.warm_up()
    before = time.process_time() - training.processor_seconds
    while not training.stop_reason:
        training.run_epoch()
        training.processor_seconds = time.process_time() - before
        if state_store is not None:
            state_store.save(training.saved_state())
        for observer in training.observers:
            observer.on_epoch(training.history[-1], training.epoch_seconds[-1])
    return training
