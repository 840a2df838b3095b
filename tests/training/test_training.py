"""training.py: counting, stopping, averaging, teachers, and which weights are kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import predict
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.interface import BatchOutcome, Engine
from spikejoule.network.checkpoint import EpochRecord
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.torch_twin import initial_state
from spikejoule.training import TrainingSettings
from spikejoule.training.epochs import history_rows
from spikejoule.training.teacher import TEACHER, TeacherAnswer, load_teacher
from spikejoule.training.training import (
    FreeCores,
    Training,
    TrainingData,
    accuracy_percent,
    train,
)
from tests.tools.settings import changed, draw_key, encode

N_STEPS = 12
ARCHITECTURE = Network.of_layers(16, (12,), 2)
SEED = 3
SETTINGS = TrainingSettings(batch_size=8, max_epochs=6, lr=0.01)
LEARNING = LearningSettings(logit_scale=0.3, grad_clip_norm=1.0)


def halves(n_samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 4 x 4 whose left (0) or right (1) half is bright."""
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


def fresh_engine(name: str = "event", learning: LearningSettings = LEARNING) -> Engine:
    state = {key: value.numpy() for key, value in initial_state(ARCHITECTURE, 1).items()}
    return make_engine(name, ARCHITECTURE, state, learning)


def trained(
    engine: Any,
    settings: TrainingSettings = SETTINGS,
    data: TrainingData | None = None,
    **others: Any,
) -> Training:
    return train(data or problem(), engine, settings, SEED, **others)


class Recorder:
    """An observer that remembers every call."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int, BatchOutcome]] = []
        self.epochs: list[tuple[EpochRecord, float]] = []
        self.order: list[str] = []

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        self.batches.append((epoch, samples, outcome))
        self.order.append("batch")

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        self.epochs.append((record, seconds))
        self.order.append("epoch")


class Scripted:
    """An engine whose validation accuracy after each epoch is written down beforehand."""

    name = "scripted"
    device = "cpu"
    network = ARCHITECTURE

    def __init__(self, percentages: list[float], labels: np.ndarray) -> None:
        self._percentages = percentages
        self._labels = labels
        self.epoch = 0

    def train_batch(
        self, events: EventList, labels: np.ndarray, rate: float, teacher: None = None
    ) -> BatchOutcome:
        return BatchOutcome(1.0, 0, (events.n_events, 2, 1), (events.n_events * 3, 4))

    def warm_up(self, events: EventList) -> None:
        pass

    def run(self, events: EventList) -> list[EventList]:
        right = round(self._percentages[self.epoch] / 100 * len(self._labels))
        self.epoch += 1
        answers = self._labels.astype(int)
        answers[right:] = 1 - answers[right:]
        dense = np.zeros((len(answers), events.n_steps, 2))
        dense[np.arange(len(answers)), 0, answers] = 1
        return [EventList.from_dense(dense)]

    def choose_grids(self) -> None:
        pass

    def state(self) -> dict[str, np.ndarray]:
        return {"weights": np.array([float(self.epoch)])}

    learned_state = state

    def optimizer_state(self, learning_rate: float) -> dict[str, Any]:
        return {"lr": learning_rate, "epoch": self.epoch}


def scripted(percentages: list[float], **changes: Any) -> Training:
    data = problem()
    engine = Scripted(percentages, data.validation_labels)
    return trained(engine, changed(SETTINGS, max_epochs=len(percentages), **changes), data)


class TestKeepingAndStopping:
    def test_the_first_of_the_best_epochs_is_kept(self) -> None:
        result = scripted([50.0, 75.0, 60.0, 75.0, 70.0])
        assert result.best_epoch == 2
        assert result.best_validation_accuracy_percent == 75.0
        assert result.state["weights"].tolist() == [2.0]
        assert result.optimizer_state["epoch"] == 5
        told = [record.validation_accuracy_percent for record in result.history]
        assert told == [50.0, 75.0, 60.0, 75.0, 70.0]

    @pytest.mark.parametrize(
        ("settings", "epochs", "reason"),
        [
            ({"patience": 0}, 7, "max_epochs"),
            ({"patience": 1}, 3, "patience"),
            ({"patience": 2}, 6, "patience"),
            ({"target_accuracy": 75.0}, 2, "target_accuracy"),
            ({"target_accuracy": 76.0}, 4, "target_accuracy"),
            ({"target_accuracy": 99.0}, 7, "max_epochs"),
        ],
    )
    def test_stopping(self, settings: dict[str, float], epochs: int, reason: str) -> None:
        result = scripted([50.0, 75.0, 60.0, 80.0, 80.0, 75.0, 60.0], **settings)
        assert len(result.history) == len(result.epoch_seconds) == epochs
        assert result.stop_reason == reason


class Watched:
    """An engine that recounts every batch by itself, and keeps what it was given and learned."""

    name, device = "event", "cpu"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.totals = np.zeros(3, dtype=np.int64)
        self.correct = 0
        self.seen: list[np.ndarray] = []
        self.told: list[np.ndarray | None] = []
        self.states: list[dict[str, np.ndarray]] = []
        self.network, self.state, self.run = engine.network, engine.state, engine.run
        self.choose_grids, self.prune = engine.choose_grids, engine.prune
        self.with_parameters, self.optimizer_state = engine.with_parameters, engine.optimizer_state

    def warm_up(self, events: EventList) -> None:
        pass

    def train_batch(
        self, events: EventList, labels: np.ndarray, rate: float, teacher: Any = None
    ) -> BatchOutcome:
        layers = [layer.to_dense(np.int64) for layer in self._engine.run(events)]
        self.totals += [int(events.to_dense(np.int64).sum()), *(layer.sum() for layer in layers)]
        self.correct += int((layers[-1].sum(axis=1).argmax(axis=1) == labels).sum())
        self.seen.append(np.asarray(labels))
        self.told.append(teacher)
        return self._engine.train_batch(events, labels, rate, teacher)

    def learned_state(self) -> dict[str, np.ndarray]:
        self.states.append(self._engine.learned_state())
        return self.states[-1]


class TestCounting:
    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_equals_a_recount_without_validation(self, name: str) -> None:
        data = problem()
        engine = Watched(fresh_engine(name))
        recorder, other = Recorder(), Recorder()
        result = trained(engine, data=data, observers=(recorder, other))
        by_epoch = np.array([record.spikes for record in result.history])
        assert by_epoch.sum(axis=0).tolist() == engine.totals.tolist()
        assert by_epoch.all()
        by_batch = np.array([outcome.spikes for _, _, outcome in recorder.batches])
        assert by_batch.sum(axis=0).tolist() == engine.totals.tolist()
        right = sum(record.train_accuracy_percent * 44 / 100 for record in result.history)
        assert right == pytest.approx(engine.correct)
        # Both observers were told of every batch and epoch, in order.
        assert recorder.order == (["batch"] * 6 + ["epoch"]) * SETTINGS.max_epochs == other.order
        assert [n for _, n, _ in recorder.batches] == [8, 8, 8, 8, 8, 4] * SETTINGS.max_epochs
        assert recorder.epochs == list(zip(result.history, result.epoch_seconds, strict=True))
        for record in result.history:
            outcomes = [(n, o) for epoch, n, o in recorder.batches if epoch == record.epoch]
            mean = sum(n * outcome.mean_loss for n, outcome in outcomes) / 44
            assert record.train_loss == pytest.approx(mean)
            assert record.samples == 44

    def test_each_epoch_sees_each_sample_once_in_another_order(self) -> None:
        data = problem()
        engine = Watched(fresh_engine())
        trained(engine, changed(SETTINGS, max_epochs=2), data)
        epochs = [np.concatenate(engine.seen[:6]), np.concatenate(engine.seen[6:])]
        for labels in epochs:
            assert np.array_equal(np.sort(labels), np.sort(data.samples.labels))
        assert not np.array_equal(epochs[0], epochs[1])


def test_a_rate_at_which_weights_overflow() -> None:
    settings = SETTINGS.model_copy(update={"lr": 1e30})
    learning = changed(LEARNING, weight_decay=0.1)
    with pytest.raises(ParameterError, match="training diverged in epoch 1.*1e.30.*smaller"):
        trained(fresh_engine(learning=learning), settings)


class TestAveraging:
    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_the_mean_of_the_last_epochs_is_validated_and_kept(self, name: str) -> None:
        settings = changed(SETTINGS, average_epochs=3, lr=0.003)
        engine, data = Watched(fresh_engine(name)), problem()
        result = trained(engine, settings, data)
        assert len(engine.states) == 6
        for epoch in (4, 5, 6):
            seen = engine.states[3:epoch]
            mean = {
                key: np.mean([state[key].astype(np.float64) for state in seen], axis=0)
                for key in seen[0]
            }
            runner = make_engine(name, ARCHITECTURE, mean)
            accuracy = accuracy_percent(runner, data.validation_events, data.validation_labels)
            assert result.history[epoch - 1].validation_accuracy_percent == accuracy
            if result.best_epoch == epoch:
                for key, values in mean.items():
                    np.testing.assert_allclose(result.state[key], values, rtol=1e-6)
                    assert result.state[key].dtype == np.float32

    def test_only_epochs_that_removed_all(self) -> None:
        """Pruning ends with epoch 5 of 6: a synapse of the mean is one of the last epoch's."""
        settings = changed(
            SETTINGS, average_epochs=6, pruned_fraction=0.5, prune_start=0.2, prune_end=0.8
        )
        result = trained(fresh_engine(), settings)
        weights = [values for values in result.state.values() if values.ndim == 2]
        n_synapses = sum(values.size for values in weights)
        assert sum(np.count_nonzero(values) for values in weights) == n_synapses - n_synapses // 2


class TestTeacher:
    def test_it_sees_the_deformed_images_and_is_heard(self) -> None:
        asked: list[np.ndarray] = []

        def teacher(images: np.ndarray) -> TeacherAnswer:
            asked.append(images)
            n_images = len(images)
            return TeacherAnswer(np.tile([0.25, 0.75], (n_images, 1)), 10 * n_images, n_images)

        settings = changed(SETTINGS, shift_pixels=1, max_epochs=2)
        learning = changed(LEARNING, distillation=1.0)
        engine = Watched(fresh_engine(learning=learning))
        data = problem()
        names = ARCHITECTURE.layer_names
        result = trained(engine, settings, replace(data, teacher=teacher))
        for record in result.history:
            assert (record.teacher_macs, record.teacher_macs_nonzero) == (440, 44)
            assert record.entry()["teacher_macs"] == 440
        for row in history_rows(result.history, names):
            macs = [row[f"teacher_macs{which}_per_sample"] for which in ("", "_nonzero")]
            assert macs == [10, 1]
        assert [told.shape[0] for told in engine.told if told is not None] == [8, 8, 8, 8, 8, 4] * 2
        flat = data.samples.inputs.reshape(len(data.samples), -1)
        assert all(images.shape[1:] == (16,) and images.dtype == np.uint8 for images in asked)
        assert not all((flat == image).all(axis=1).any() for image in np.concatenate(asked))
        # All that it learned is the teacher's opinion: class 1, whatever is seen.
        events = data.validation_events
        assert predict(make_engine("event", ARCHITECTURE, engine.states[-1]).run(events)[-1]).all()

    def test_its_multiply_accumulates_by_hand(self, tmp_path: Path) -> None:
        path = tmp_path / "teacher.npz"
        state = {
            "layer1.synapses.weight": np.array([[1, -1], [-1, 0], [2, 1]], np.float32),
            "layer1.synapses.bias": np.array([0, 0, -0.5], np.float32),
            "layer2.synapses.weight": np.ones((2, 3), np.float32),
            "layer2.synapses.bias": np.zeros(2, np.float32),
        }
        TEACHER.write(path, state)
        # hidden: (1, 0, 1.5), (0, 0, 0.5) and none: 3 + 6 + 0 from pixels, 4 + 2 + 0 from units
        answer = load_teacher(path, 2, 2)(np.array([[255, 0], [0, 255], [0, 0]], np.uint8))
        assert (answer.macs, answer.macs_nonzero) == (3 * (6 + 6), 3 + 3 + 4 + 2)
        assert answer.probabilities.tolist() == [[0.5, 0.5]] * 3
        for pixels, classes in ((3, 2), (2, 3)):
            with pytest.raises(ArtifactError, match="holds no teacher of this network"):
                load_teacher(path, pixels, classes)
        del state["layer2.synapses.bias"]
        TEACHER.write(path, state)
        with pytest.raises(ArtifactError, match="holds no teacher of this network"):
            load_teacher(path, 2, 2)


def test_threads_are_those_of_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside busy processes one thread is used, and as many as before when they are gone."""
    before, most = numba.get_num_threads(), numba.config.NUMBA_NUM_THREADS
    clock, own = 0.0, 0.0

    class Times(list[float]):
        idle = 0.0

    times = Times([0.0])
    monkeypatch.setattr("time.perf_counter", lambda: clock)
    monkeypatch.setattr("time.process_time", lambda: own)
    monkeypatch.setattr("psutil.cpu_times", lambda: times)
    free = FreeCores(most)
    found = []
    try:
        for cores_idle, cores_own in ((0.0, most), (0.0, 0.6), (0.1, 1.0), (most - 1.0, 1.0)):
            clock, own = clock + 1.0, own + cores_own
            times.idle += cores_idle
            times[0] += 1.0
            free.use()
            found.append(numba.get_num_threads())
        clock, own = clock + 1.0, own + 0.5  # a system that counts nothing
        free.use()
        assert numba.get_num_threads() == most
    finally:
        numba.set_num_threads(before)
    assert found == [most, 1, 1, most]


def test_best_weights_are_those_of_a_pruned_epoch() -> None:
    settings = changed(SETTINGS, pruned_fraction=0.5, prune_start=0.2, prune_end=0.7, patience=1)
    result = trained(fresh_engine(), settings)
    shares = [record.pruned_fraction for record in result.history]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == shares[result.best_epoch - 1] == 0.5


# By default, and by every value that a setting names.
