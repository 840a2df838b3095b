"""The training loop: counts, stopping, pruning, the best weights."""

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.engine.learning import make_trainer
from spikejoule.engine.learning.interface import BatchOutcome, Trainer
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord
from spikejoule.network.torch_twin import initial_state
from spikejoule.training.free_cores import FreeCores
from spikejoule.training.settings import TrainingSettings
from spikejoule.training.training import (
    Training,
    TrainingData,
    train,
)
from tests.tools.settings import changed, draw_key, encode

N_STEPS = 12
ARCHITECTURE = Network.of_layers(16, (12,), 2)
SEED = 3
SETTINGS = TrainingSettings(batch_size=8, max_epochs=6, lr=0.01)
LEARNING = LearningSettings(logit_scale=0.3, grad_clip_norm=1.0)


def halves(n_samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 4 x 4 whose left (0) or right (1) half is bright."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n_samples).astype(np.uint8)
    images = generator.integers(0, 60, (n_samples, 4, 4)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label : 2 * label + 2] += 180
    return images, labels


def problem() -> TrainingData:
    images, labels = halves(44, 1)
    validation_images, validation_labels = halves(20, 2)
    events = encode(validation_images, N_STEPS, 400.0, draw_key(3, "validation", 0))
    samples = np.random.default_rng(5).permutation(1000)[:44]
    encoder = Poisson(time_window=N_STEPS, max_rate=400.0)
    chosen = LabelledImages(images, labels, samples)
    return TrainingData(chosen, encoder, events, validation_labels)


def fresh_engine(name: str = "event", learning: LearningSettings = LEARNING) -> Trainer:
    state = {
        key: value.numpy() for key, value in initial_state(ARCHITECTURE, 1).items()
    }
    return make_trainer(name, ARCHITECTURE, state, learning)


def trained(
    engine: Any,
    settings: TrainingSettings = SETTINGS,
    data: TrainingData | None = None,
    observers: tuple[Any, ...] = (),
) -> Training:
    return train(Training(data or problem(), engine, settings, SEED, observers))


class Recorder:
    """An observer that records every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        self.calls.append((epoch, samples, outcome))

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        self.calls.append((record, seconds))


class TestKeepingAndStopping:
    """Compared with a loop over the accuracies of a training that never stops."""

    SETTINGS = changed(SETTINGS, max_epochs=10, lr=0.1)

    @pytest.fixture(scope="class")
    def data(self) -> TrainingData:
        """Random labels, so that the accuracy goes up and down."""
        labels = np.random.default_rng(9).integers(0, 2, 64).astype(np.uint8)
        data = problem()
        samples = replace(data.samples, labels=labels[:44])
        return replace(data, samples=samples, validation_labels=labels[44:])

    @pytest.fixture(scope="class")
    def whole(self, data: TrainingData) -> Training:
        return trained(fresh_engine(), self.SETTINGS, data)

    def test_the_first_of_the_best_epochs_is_kept(
        self, data: TrainingData, whole: Training
    ) -> None:
        accuracies = [record.validation_accuracy_percent for record in whole.history]
        assert 1 < whole.best_epoch == 1 + accuracies.index(max(accuracies)) < 10
        assert whole.best_validation_accuracy_percent == max(accuracies)
        settings = changed(self.SETTINGS, max_epochs=whole.best_epoch)
        shorter = trained(fresh_engine(), settings, data)
        for name, values in shorter.state.items():
            assert whole.state[name].tobytes() == values.tobytes()

    @pytest.mark.parametrize(("patience", "target"), [(2, None), (0, 50.0), (9, 100.0)])
    def test_stopping(
        self, data: TrainingData, whole: Training, patience: int, target: float | None
    ) -> None:
        settings = changed(self.SETTINGS, patience=patience, target_accuracy=target)
        result = trained(fresh_engine(), settings, data)
        accuracies = [record.validation_accuracy_percent for record in whole.history]
        expected = stop_by_loop(accuracies, patience, target)
        assert (len(result.history), result.stop_reason) == expected


def stop_by_loop(
    accuracies: list[float], patience: int, target: float | None
) -> tuple[int, str]:
    """The number of epochs of a training, and why it ends."""
    best = -1.0
    without_better = 0
    for epoch, accuracy in enumerate(accuracies, start=1):
        without_better += 1
        if accuracy > best:
            best = accuracy
            without_better = 0
        if target is not None and accuracy >= target:
            return epoch, "target_accuracy"
        if patience and without_better >= patience:
            return epoch, "patience"
    return len(accuracies), "max_epochs"


class Watched:
    """An engine that recounts every batch."""

    def __init__(self, engine: Trainer) -> None:
        self._engine = engine
        self.totals = np.zeros(3, dtype=np.int64)
        self.correct = 0
        self.labels: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def warm_up(self, events: EventList) -> None:
        pass

    def train_batch(
        self,
        events: EventList,
        labels: np.ndarray,
        rate: float,
        seed: int = 0,
    ) -> BatchOutcome:
        layers = [layer.to_dense(np.int64) for layer in self._engine.run(events)]
        self.totals += [
            int(events.to_dense(np.int64).sum()),
            *(layer.sum() for layer in layers),
        ]
        self.correct += int((layers[-1].sum(axis=1).argmax(axis=1) == labels).sum())
        self.labels.append(np.asarray(labels))
        return self._engine.train_batch(events, labels, rate, seed)


@pytest.mark.parametrize("name", ["event", "dense"])
def test_counts_equal_a_recount_without_validation(name: str) -> None:
    data = problem()
    engine = Watched(fresh_engine(name))
    recorder = Recorder()
    result = trained(engine, data=data, observers=(recorder,))
    by_epoch = np.array([record.spikes for record in result.history])
    assert by_epoch.sum(axis=0).tolist() == engine.totals.tolist()
    assert by_epoch.all()
    right = sum(record.train_accuracy_percent * 44 / 100 for record in result.history)
    assert right == pytest.approx(engine.correct)
    # The observer follows every batch and epoch, in order.
    for number, record in enumerate(result.history):
        *batches, last = recorder.calls[7 * number : 7 * number + 7]
        assert last == (record, result.epoch_seconds[number])
        assert [epoch for epoch, _, _ in batches] == [record.epoch] * 6
        assert [n_samples for _, n_samples, _ in batches] == [8, 8, 8, 8, 8, 4]
        losses = [n_samples * outcome.mean_loss for _, n_samples, outcome in batches]
        assert record.train_loss == pytest.approx(sum(losses) / 44)
    # Every epoch sees each sample once, in another order.
    first = np.concatenate(engine.labels[:6])
    second = np.concatenate(engine.labels[6:12])
    for labels in (first, second):
        assert np.array_equal(np.sort(labels), np.sort(data.samples.labels))
    assert not np.array_equal(first, second)


def test_a_rate_at_which_weights_overflow() -> None:
    settings = SETTINGS.model_copy(update={"lr": 1e30})
    learning = changed(LEARNING, weight_decay=0.1)
    with pytest.raises(
        ParameterError, match="training diverged in epoch 1.*1e.30.*smaller"
    ):
        trained(fresh_engine(learning=learning), settings)


def test_only_epochs_after_pruning_are_kept() -> None:
    """Pruning ends with epoch 5 of 6."""
    settings = changed(SETTINGS, pruned_fraction=0.5, prune_start=0.2, prune_end=0.8)
    result = trained(fresh_engine(), settings)
    weights = [values for values in result.state.values() if values.ndim == 2]
    n_synapses = sum(values.size for values in weights)
    n_kept = sum(np.count_nonzero(values) for values in weights)
    assert n_kept == n_synapses - n_synapses // 2
    fractions = [record.pruned_fraction for record in result.history]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[result.best_epoch - 1]) == (0.0, 0.5)


def test_validation_events_of_another_window_are_refused() -> None:
    data = problem()
    longer = Poisson(time_window=N_STEPS + 1, max_rate=400.0)
    with pytest.raises(ParameterError, match=r"time_window is .*encode them again"):
        Training(replace(data, encoder=longer), fresh_engine(), SETTINGS, SEED)


def test_kernels_use_the_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread while other processes are busy, all threads when they have ended."""
    before = numba.get_num_threads()
    monkeypatch.setattr("psutil.cpu_count", lambda: 2)
    # The first values are of the time before the first call.
    system = iter([0.0, 100.0, 100.0, 75.0, 0.0])
    process = iter([0.0, 200.0, 60.0, 30.0, 0.0])
    monkeypatch.setattr("psutil.cpu_percent", lambda: next(system))
    monkeypatch.setattr("psutil.Process.cpu_percent", lambda _: next(process))
    monkeypatch.setattr("spikejoule.training.free_cores.COUNT_EVERY_SECONDS", 0)
    most = min(2, numba.config.NUMBA_NUM_THREADS)
    free = FreeCores(most)
    try:
        for threads in (most, 1, 1, most):
            free.adapt()
            assert numba.get_num_threads() == threads
    finally:
        numba.set_num_threads(before)
