"""The training loop: epochs of freshly drawn spikes, validation, best weights, early
stopping.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numba
import numpy as np
import psutil
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.data.images import Samples
from spikejoule.encoding.counting import predict
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import (
    BatchOutcome,
    Engine,
    Snapshot,
    exponents_of,
    with_exponents,
)
from spikejoule.network.checkpoint import EpochRecord
from spikejoule.network.network import Network
from spikejoule.network.pruning import pruning_masks
from spikejoule.network.trained import TrainedNetwork
from spikejoule.training import TrainingSettings
from spikejoule.training.epochs import RunningSchedule
from spikejoule.training.kernels.augment import augment
from spikejoule.training.teacher import TeacherAnswer

CORES_SECONDS = 0.5
"""How often free cores are counted; the counters of processors tick a hundred times a
second.
"""


class DivergedError(ParameterError):
    """The loss or a weight has become no finite number."""


class TrainingObserver(Protocol):
    """What follows a training: a progress bar, a tracker."""

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step; `samples` is the size of the batch."""

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """After each epoch's validation."""

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Before the first epoch of a training that resumes: the epochs that it has,
        with times.
        """


class FreeCores:
    """Lets the kernels use the cores that are idle or already theirs; results do not
    depend on it.

    Threads wait for each other after every kernel. Where one of them shares its core
    with another process, all are slower than a single thread is.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._n_cores = psutil.cpu_count() or 1
        self._process = psutil.Process()
        self._counted_at = time.perf_counter()
        # Both are means since the call before.
        psutil.cpu_percent()
        self._process.cpu_percent()

    def use(self) -> None:
        """Take the cores that are free; they are counted anew twice a second."""
        now = time.perf_counter()
        if now - self._counted_at < CORES_SECONDS:
            return
        self._counted_at = now
        idle = self._n_cores * (1 - psutil.cpu_percent() / 100)
        ours = self._process.cpu_percent() / 100
        numba.set_num_threads(min(max(round(idle + ours), 1), self._most))


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples to train on and events to validate on.

    Attributes:
        samples: images, or events that are read a batch at a time; draws depend on each
            one's identity.
        encoder: the encoding by which they become spikes.
        validation_events: encoded once.
        validation_labels: [N of validation].
        teacher: what a teacher answers to augmented images, uint8 [B, pixels]; None
            where the labels are all there is to learn from.
    """

    samples: Samples
    encoder: Encoder
    validation_events: EventList
    validation_labels: NDArray[np.integer]
    teacher: Callable[[NDArray[np.uint8]], TeacherAnswer] | None = None


def accuracy_percent(
    engine: Engine, events: EventList, labels: NDArray[np.integer]
) -> float:
    """Samples that the network classifies correctly, in percent."""
    predictions = predict(engine.run(events)[-1])
    return 100.0 * int((predictions == labels).sum()) / len(labels)


class Training:
    """A training so far, and how it continues: epoch after epoch, until there is a
    `stop_reason`.

    All that is here, with the engine's snapshot, is the state from which a training
    that was killed resumes. The schedule is not saved: it is replayed over the batches
    and epochs.

    Args:
        data: what to learn from.
        engine: the network with its optimizer.
        settings: how to train.
        seed: of every draw: shuffling, augmentation, spikes.
        observers: called after every batch and epoch.

    Attributes:
        history: every epoch.
        epoch_seconds: wall time of each, validation included.
        processor_seconds: of all cores together, of every process that the training was
            resumed in.
        best_epoch: the epoch with the best validation accuracy; 0 before there is one.
        state: parameters after that epoch.
        network: that learns; with the grids of these parameters if it is quantised.
    """

    def __init__(
        self,
        data: TrainingData,
        engine: Engine,
        settings: TrainingSettings,
        seed: int,
        observers: tuple[TrainingObserver, ...] = (),
    ) -> None:
        self._data = data
        self._engine = engine
        self._settings = settings
        self._seed = seed
        self._observers = observers
        self._n_batches = -(-len(data.samples) // settings.batch_size)
        n_steps = self._n_batches * settings.max_epochs
        self._schedule = RunningSchedule(settings.chosen_schedule, settings.lr, n_steps)
        self._sums: dict[str, NDArray[Any]] = {}
        self._averaged = 0
        self.history: list[EpochRecord] = []
        self.epoch_seconds: list[float] = []
        self.processor_seconds = 0.0
        self.best_epoch = 0
        self.state: dict[str, NDArray[Any]] = {}
        self.network: Network = engine.network

    @property
    def stop_reason(self) -> str:
        """Why training is to end, or has ended; empty while it is not."""
        settings = self._settings
        epoch = len(self.history)
        if self.best_epoch:
            target = settings.target_accuracy
            if (
                target is not None
                and self.history[-1].validation_accuracy_percent >= target
            ):
                return "target_accuracy"
            if settings.patience and epoch - self.best_epoch >= settings.patience:
                return "patience"
        return "max_epochs" if epoch >= settings.max_epochs else ""

    @property
    def best_validation_accuracy_percent(self) -> float:
        """That of the best epoch."""
        return self.history[self.best_epoch - 1].validation_accuracy_percent

    @property
    def optimizer_state(self) -> dict[str, Any]:
        """Adam's state after the last epoch."""
        return self._engine.optimizer_state(self._schedule.learning_rate)

    def trained_network(self, data: Mapping[str, Any]) -> TrainedNetwork:
        """The trained network and its provenance; `data` is the content of
        metrics/data.json.
        """
        # Whether a training resumes after a kill changes no result.
        config = self._settings.model_dump(mode="json", exclude={"resume"})
        return TrainedNetwork(
            network=self.network.learned_from(self.state),
            state=self.state,
            encoder=self._data.encoder,
            seed=self._seed,
            training_config={**config, "optimizer": "Adam"},
            history=tuple(record.entry() for record in self.history),
            best_epoch=self.best_epoch,
            data=dict(data),
            engine=self._engine.name,
            optimizer_state=self.optimizer_state,
        )

    def warm_up(self) -> None:
        """Compile before the clock of the first epoch starts; draws depend on their
        place alone.
        """
        few = np.arange(min(2, len(self._data.samples)))
        self._engine.warm_up(self._encoded(1, self._inputs(1, few), few))

    def run_epoch(self) -> None:
        """Train for an epoch, validate, and keep the weights if they are the best so
        far.
        """
        started = time.perf_counter()
        epoch = len(self.history) + 1
        fraction = self._prune(epoch)
        self._engine.choose_grids()
        learned = self._learn(epoch)
        state = self._engine.learned_state()
        self._check_finite(epoch, learned["train_loss"], state)
        runner = self._runner(epoch, state)
        accuracy = accuracy_percent(
            runner, self._data.validation_events, self._data.validation_labels
        )
        self._schedule.after_epoch(accuracy)
        record = EpochRecord(
            epoch=epoch,
            validation_accuracy_percent=accuracy,
            pruned_fraction=fraction,
            **learned,
        )
        self.history.append(record)
        self.epoch_seconds.append(time.perf_counter() - started)
        is_best = (
            not self.best_epoch or accuracy > self.best_validation_accuracy_percent
        )
        if is_best and self._settings.is_pruned_by(epoch, self._settings.max_epochs):
            self.best_epoch = epoch
            self.state = runner.state()
            self.network = runner.network

    def _inputs(self, epoch: int, chosen: NDArray[np.integer]) -> Any:
        """Some samples as an epoch shows them: images are augmented."""
        samples = self._data.samples
        inputs = samples.inputs[chosen]
        if not isinstance(inputs, np.ndarray):
            return inputs
        return augment(inputs, self._settings, self._seed, epoch, samples.index[chosen])

    def _encoded(
        self, epoch: int, inputs: Any, chosen: NDArray[np.integer]
    ) -> EventList:
        """The spikes of these samples."""
        key = self._data.encoder.draw_key(self._seed, "train", epoch)
        return self._data.encoder.encode(
            inputs, key, self._data.samples.index[chosen]
        ).events

    def _prune(self, epoch: int) -> float:
        """Remove the synapses that are due before an epoch; returns the fraction
        removed by now.
        """
        settings = self._settings
        fraction = settings.pruned_fraction_at(epoch, settings.max_epochs)
        if fraction > settings.pruned_fraction_at(epoch - 1, settings.max_epochs):
            self._engine.prune(pruning_masks(self._engine.learned_state(), fraction))
        return fraction

    def _learn(self, epoch: int) -> dict[str, Any]:
        """One pass over the training set in random order: what an `EpochRecord` says of
        it.
        """
        data = self._data
        schedule = self._schedule
        batch_size = self._settings.batch_size
        n_samples = len(data.samples)
        order = np.random.default_rng([self._seed, epoch]).permutation(n_samples)
        loss = 0.0
        rate = schedule.learning_rate
        outcomes: list[BatchOutcome] = []
        answers: list[TeacherAnswer] = []
        for first in range(0, n_samples, batch_size):
            chosen = order[first : first + batch_size]
            inputs = self._inputs(epoch, chosen)
            taught = None
            if data.teacher is not None:
                answers.append(data.teacher(inputs))
                taught = answers[-1].probabilities
            events = self._encoded(epoch, inputs, chosen)
            rate = schedule.learning_rate
            outcome = self._engine.train_batch(
                events, data.samples.labels[chosen], rate, taught
            )
            outcomes.append(outcome)
            schedule.after_batch()
            loss += outcome.mean_loss * chosen.size
            for observer in self._observers:
                observer.on_batch(epoch, int(chosen.size), outcome)
        macs = [
            outcome.input_macs for outcome in outcomes if outcome.input_macs is not None
        ]
        return {
            "learning_rate": rate,
            "train_loss": loss / n_samples,
            "train_accuracy_percent": 100.0
            * sum(outcome.correct for outcome in outcomes)
            / n_samples,
            "spikes": _sums(outcome.spikes for outcome in outcomes),
            "synaptic_events": _sums(outcome.synaptic_events for outcome in outcomes),
            "samples": n_samples,
            "teacher_macs": sum(answer.macs for answer in answers) if answers else None,
            "teacher_macs_nonzero": (
                sum(answer.macs_nonzero for answer in answers) if answers else None
            ),
            "input_macs": sum(macs) if macs else None,
        }

    def _check_finite(
        self, epoch: int, loss: float, state: Mapping[str, NDArray[Any]]
    ) -> None:
        """Raise DivergedError if training diverged: a loss or a weight that is no
        finite number.
        """
        if not np.isfinite(loss):
            diverged = "the loss is"
        elif not all(np.isfinite(values).all() for values in state.values()):
            diverged = "weights are"
        else:
            return
        raise DivergedError(
            f"training diverged in epoch {epoch}: {diverged} not finite; train.lr is "
            f"{self._settings.lr}, use a smaller one, or a smaller train.logit_scale"
        )

    def _runner(self, epoch: int, state: Mapping[str, NDArray[Any]]) -> Engine:
        """The network that is validated after an epoch: itself, or one of averaged
        weights.

        They are added up in float64; a removed synapse is zero in all epochs that are
        averaged.
        """
        most = self._settings.max_epochs
        is_late = epoch > most - self._settings.average_epochs
        if not (is_late and self._settings.is_pruned_by(epoch, most)):
            return self._engine
        self._averaged += 1
        means = {}
        for name, values in state.items():
            self._sums[name] = self._sums.get(name, 0) + values
            means[name] = (self._sums[name] / self._averaged).astype(values.dtype)
        return self._engine.with_parameters(means)

    def checkpoint(self) -> SavedState:
        """The state after the last epoch."""
        parts = {
            "engine": self._engine.snapshot().arrays(),
            "best": self.state,
            "average": self._sums,
        }
        plain = {
            "history": [record.entry() for record in self.history],
            "seconds": self.epoch_seconds,
            "processor_seconds": self.processor_seconds,
            "best_epoch": self.best_epoch,
            "best_exponents": exponents_of(self.network),
            "averaged_epochs": self._averaged,
        }
        arrays = {
            f"{part}.{name}": array
            for part, arrays_of_part in parts.items()
            for name, array in arrays_of_part.items()
        }
        return SavedState(plain, arrays)

    def resume_from(self, checkpoint: SavedState) -> None:
        """Restore `checkpoint`, written by another process, and notify observers."""
        plain = checkpoint.plain
        best = checkpoint.part("best.").arrays
        # Not strict: JSON has lists for tuples.
        self.history = [
            EpochRecord.model_validate(record, strict=False)
            for record in plain["history"]
        ]
        self.best_epoch = plain["best_epoch"]
        if self.best_epoch:
            # In the engine's order: files of it have the same bytes then.
            self.state = {name: best[name] for name in self._engine.state()}
        self.epoch_seconds = list(plain["seconds"])
        self.processor_seconds = plain["processor_seconds"]
        exponents = tuple(plain["best_exponents"])
        self.network = with_exponents(self._engine.network, exponents)
        self._sums = dict(checkpoint.part("average.").arrays)
        self._averaged = plain["averaged_epochs"]
        self._engine.restore(Snapshot.of_arrays(checkpoint.part("engine.").arrays))
        accuracies = [record.validation_accuracy_percent for record in self.history]
        self._schedule.after_epochs(accuracies, self._n_batches)
        for observer in self._observers:
            observer.on_resume(self.history, self.epoch_seconds)


def _sums(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def train(
    data: TrainingData,
    engine: Engine,
    settings: TrainingSettings,
    seed: int,
    observers: tuple[TrainingObserver, ...] = (),
    state_store: ResumeFile | None = None,
) -> Training:
    """Train a network.

    Every training spike is counted; those of validation are not. All arguments but the
    last are those of `Training`.

    Args:
        state_store: keeps the state after every epoch, and has that of a process which
            was killed: the result is the same to the bit as without the kill. Observers
            get its epochs again.

    Raises:
        ParameterError: the window is not that of the validation events.
        DivergedError: training diverged.
    """
    if data.validation_events.n_steps != data.encoder.time_window:
        raise ParameterError(
            f"time_window is {data.encoder.time_window}, but the validation events "
            "have "
            f"{data.validation_events.n_steps} steps; encode them again"
        )
    training = Training(data, engine, settings, seed, observers)
    checkpoint = state_store.load() if state_store is not None else None
    if checkpoint is not None:
        training.resume_from(checkpoint)
    training.warm_up()
    before = time.process_time() - training.processor_seconds
    while not training.stop_reason:
        training.run_epoch()
        training.processor_seconds = time.process_time() - before
        if state_store is not None:
            state_store.save(training.checkpoint())
        for observer in observers:
            observer.on_epoch(training.history[-1], training.epoch_seconds[-1])
    return training
