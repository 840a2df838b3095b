"""The training loop: epochs of freshly drawn spikes, validation, best weights, early stopping."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numba
import numpy as np
import psutil
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.resume import StateStore
from spikejoule.data.images import Samples
from spikejoule.encoding.counting import TrainingSpikes, predict
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import BatchOutcome, Engine
from spikejoule.model.network import Network
from spikejoule.model.pruning import pruning_masks
from spikejoule.training import TrainingSettings
from spikejoule.training.epochs import RunningSchedule
from spikejoule.training.kernels.augment import augment
from spikejoule.training.state import EpochRecord, TrainingState
from spikejoule.training.teacher import TeacherAnswer

TRAFFIC_SAMPLES = 1000
"""Validation images on which the spikes of every synapse's source are counted, to prune by."""

CORES_SECONDS = 0.5
"""How often free cores are counted; the counters of processors tick a hundred times a second."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The best weights and how they came about.

    Attributes:
        state: parameters after the epoch with the best validation accuracy.
        architecture: of the network; with the grids of these parameters if it is quantised.
        best_epoch: that epoch.
        best_validation_accuracy_percent: its accuracy.
        history: every epoch.
        spikes: of all forward passes of training.
        optimizer_state: Adam's state after the last epoch.
        stop_reason: why training ended.
        epoch_seconds: wall time of each epoch, validation included.
        processor_seconds: of all cores together, of every process that the training was resumed in.
    """

    state: dict[str, NDArray[Any]]
    architecture: Network
    best_epoch: int
    best_validation_accuracy_percent: float
    history: tuple[EpochRecord, ...]
    spikes: TrainingSpikes
    optimizer_state: dict[str, Any]
    stop_reason: str
    epoch_seconds: tuple[float, ...]
    processor_seconds: float


class DivergedError(ParameterError):
    """The loss or a weight has become no finite number."""


class TrainingObserver(Protocol):
    """What follows a training: a progress bar, a tracker."""

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step; `samples` is the size of the batch."""

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """After each epoch's validation."""

    def on_resume(self, history: Sequence[EpochRecord], seconds: Sequence[float]) -> None:
        """Before the first epoch of a training that resumes: the epochs that it has, with times."""


class FreeCores:
    """Lets the kernels use the cores that are idle or already theirs; results do not depend on it.

    Threads wait for each other after every kernel. Where one of them shares its core with another
    process, all are slower than a single thread is.
    """

    def __init__(self, threads: int) -> None:
        self._most = threads
        self._seen = self._clocks()

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        """Seconds until now: of the wall; of all cores; of those that were idle or this process's.

        A system that does not count what its cores do gives the same number again and again.
        """
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return time.perf_counter(), sum(times), idle + time.process_time()

    def use(self) -> None:
        """Take the cores that are free; they are counted anew twice a second."""
        if time.perf_counter() - self._seen[0] < CORES_SECONDS:
            return
        before, self._seen = self._seen, self._clocks()
        wall, counted, free = np.subtract(self._seen, before).tolist()
        if counted > 0:
            numba.set_num_threads(min(max(round(free / wall), 1), self._most))


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples to train on and events to validate on.

    Attributes:
        samples: images, or events that are read a batch at a time; draws depend on each one's
            identity.
        encoder: the encoding by which they become spikes.
        validation_events: encoded once.
        validation_labels: [N of validation].
        teacher: what a teacher answers to augmented images, uint8 [B, pixels]; None where the
            labels are all there is to learn from.
    """

    samples: Samples
    encoder: Encoder
    validation_events: EventList
    validation_labels: NDArray[np.integer]
    teacher: Callable[[NDArray[np.uint8]], TeacherAnswer] | None = None


def accuracy_percent(engine: Engine, events: EventList, labels: NDArray[np.integer]) -> float:
    """Samples that the network classifies correctly, in percent."""
    predictions = predict(engine.run(events)[-1])
    return 100.0 * int((predictions == labels).sum()) / len(labels)


def train(
    data: TrainingData,
    engine: Engine,
    settings: TrainingSettings,
    seed: int,
    observers: tuple[TrainingObserver, ...] = (),
    state_store: StateStore | None = None,
) -> TrainingResult:
    """Train a network.

    Every training spike is counted; those of validation are not.

    Args:
        data: what to learn from.
        engine: the network with its optimizer.
        settings: how to train.
        seed: of every draw: shuffling, augmentation, spikes.
        observers: called after every batch and epoch.
        state_store: keeps the state after every epoch, and has that of a process which was killed:
            the result is the same to the bit as without the kill. Observers get its epochs
            again.

    Raises:
        ParameterError: the window is not that of the validation events.
        DivergedError: training diverged.
    """
    if data.validation_events.n_steps != data.encoder.time_window:
        raise ParameterError(
            f"time_window is {data.encoder.time_window}, but the validation events have "
            f"{data.validation_events.n_steps} steps; encode them again"
        )
    n_batches = -(-len(data.samples) // settings.batch_size)
    n_steps = n_batches * settings.max_epochs
    schedule = RunningSchedule(settings.chosen_schedule, settings.lr, n_steps)
    training_state = TrainingState(engine, schedule, settings, n_batches)
    if state_store is not None:
        _resume(training_state, state_store, observers)
    _warm_up(data, engine, settings, seed)
    before = time.process_time() - training_state.processor_seconds
    for epoch in training_state.epochs_left():
        started = time.perf_counter()
        fraction = _prune(epoch, engine, settings, data.validation_events)
        engine.choose_grids()
        learned = _train_epoch(epoch, data, engine, schedule, settings, seed, fraction, observers)
        state = engine.learned_state()
        _check_finite(learned, state, settings)
        runner = training_state.runner(epoch, state)
        accuracy = accuracy_percent(runner, data.validation_events, data.validation_labels)
        schedule.after_epoch(accuracy)
        record = replace(learned, validation_accuracy_percent=accuracy)
        training_state.add(record, time.perf_counter() - started, runner)
        training_state.processor_seconds = time.process_time() - before
        if state_store is not None:
            state_store.save(training_state.checkpoint())
        for observer in observers:
            observer.on_epoch(record, training_state.seconds[-1])
    best, history = training_state.best, training_state.history
    assert best is not None
    totals = _sums(record.spikes for record in history)
    return TrainingResult(
        training_state.best_state,
        training_state.best_architecture,
        best.epoch,
        best.validation_accuracy_percent,
        tuple(history),
        TrainingSpikes(
            engine.architecture.layer_names, totals, sum(record.samples for record in history)
        ),
        engine.optimizer_state(schedule.learning_rate),
        training_state.stop_reason,
        tuple(training_state.seconds),
        training_state.processor_seconds,
    )


def _warm_up(data: TrainingData, engine: Engine, settings: TrainingSettings, seed: int) -> None:
    """Compile before the clock of the first epoch starts; every draw depends on its place alone."""
    few = np.arange(min(2, len(data.samples)))
    inputs, samples = data.samples.inputs[few], data.samples.index[few]
    if isinstance(inputs, np.ndarray):
        inputs = augment(inputs, settings, seed, 1, samples)
    key = data.encoder.draw_key(seed, "train", 1)
    engine.warm_up(data.encoder.encode(inputs, key, samples).events)


def _resume(
    training_state: TrainingState, state_store: StateStore, observers: tuple[TrainingObserver, ...]
) -> None:
    """Resume from what the store has, if it is sound, and tell the observers."""
    checkpoint = state_store.load()
    if checkpoint is None:
        return
    try:
        training_state.resume_from(checkpoint)
    except ArtifactError as error:
        state_store.refuse(str(error))
        return
    for observer in observers:
        observer.on_resume(training_state.history, training_state.seconds)


def _prune(epoch: int, engine: Engine, settings: TrainingSettings, events: EventList) -> float:
    """Remove the synapses that are due before an epoch; returns the fraction removed by now.

    Where the traffic of synapses counts, it is that of the first `events`.
    """
    fraction = settings.pruned_fraction_at(epoch, settings.max_epochs)
    if fraction > settings.pruned_fraction_at(epoch - 1, settings.max_epochs):
        traffic = None
        if settings.prune_by == "events":
            seen = events.select(slice(TRAFFIC_SAMPLES))
            layers = [seen, *engine.run(seen)[:-1]]
            traffic = [(of.uses_per_source() + 1) / seen.n_samples for of in layers]
        engine.prune(pruning_masks(engine.learned_state(), fraction, traffic))
    return fraction


def _check_finite(
    record: EpochRecord, state: Mapping[str, NDArray[Any]], settings: TrainingSettings
) -> None:
    """Raise DivergedError if training diverged: a loss or a weight that is no finite number."""
    finite = np.isfinite(record.train_loss)
    if not (finite and all(np.isfinite(values).all() for values in state.values())):
        raise DivergedError(
            f"training diverged in epoch {record.epoch}: "
            f"{'weights are' if finite else 'the loss is'} not finite; train.lr is {settings.lr}, "
            "use a smaller one, or a smaller train.logit_scale"
        )


def _train_epoch(
    epoch: int,
    data: TrainingData,
    engine: Engine,
    schedule: RunningSchedule,
    settings: TrainingSettings,
    seed: int,
    pruned_fraction: float,
    observers: tuple[TrainingObserver, ...],
) -> EpochRecord:
    """One pass over the training set in random order; of its validation nothing is known yet."""
    n_samples = len(data.samples)
    order = np.random.default_rng([seed, epoch]).permutation(n_samples)
    key = data.encoder.draw_key(seed, "train", epoch)
    loss = 0.0
    outcomes: list[BatchOutcome] = []
    answers: list[TeacherAnswer] = []
    rate = schedule.learning_rate
    for first in range(0, n_samples, settings.batch_size):
        chosen = order[first : first + settings.batch_size]
        samples, inputs = data.samples.index[chosen], data.samples.inputs[chosen]
        taught = None
        if isinstance(inputs, np.ndarray):
            inputs = augment(inputs, settings, seed, epoch, samples)
            if data.teacher is not None:
                answers.append(data.teacher(inputs))
                taught = answers[-1].probabilities
        events = data.encoder.encode(inputs, key, samples).events
        rate = schedule.learning_rate
        outcome = engine.train_batch(events, data.samples.labels[chosen], rate, taught)
        outcomes.append(outcome)
        schedule.after_batch()
        loss += outcome.mean_loss * chosen.size
        for observer in observers:
            observer.on_batch(epoch, int(chosen.size), outcome)
    macs = [outcome.input_macs for outcome in outcomes if outcome.input_macs is not None]
    return EpochRecord(
        epoch,
        rate,
        loss / n_samples,
        100.0 * sum(outcome.correct for outcome in outcomes) / n_samples,
        math.nan,
        _sums(outcome.spikes for outcome in outcomes),
        _sums(outcome.synaptic_events for outcome in outcomes),
        pruned_fraction,
        n_samples,
        sum(answer.macs for answer in answers) if answers else None,
        sum(answer.macs_nonzero for answer in answers) if answers else None,
        sum(macs) if macs else None,
    )


def _sums(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))
