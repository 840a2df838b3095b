"""training.py: learning, counting, stopping, and which weights are kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import predict
from spikejoule.encoding.encoders.poisson import Poisson
from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.interface import BatchOutcome, Engine
from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import LearningSettings
from spikejoule.model.network import initial_state
from spikejoule.training.outcome import history_rows
from spikejoule.training.schedules import SCHEDULES
from spikejoule.training.settings import TrainingSettings
from spikejoule.training.teacher import TEACHER, TeacherAnswer, load_teacher
from spikejoule.training.training import (
    EpochRecord,
    TrainingData,
    TrainingResult,
    accuracy_percent,
    train,
)
from tests.tools.processes import exit_status_of
from tests.tools.settings import changed, draw_key, encode

N_STEPS = 12
ARCHITECTURE = Architecture(16, (12,), 2)
SEED = 3
SHAPES = ARCHITECTURE.parameter_shapes()
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


def problem(n_train: int = 44, n_validation: int = 20, n_steps: int = N_STEPS) -> TrainingData:
    images, labels = halves(n_train, 1)
    validation_images, validation_labels = halves(n_validation, 2)
    events = encode(validation_images, n_steps, 400.0, draw_key(3, "validation", 0))
    samples = np.random.default_rng(5).permutation(1000)[:n_train]
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
    seed: int = SEED,
    **others: Any,
) -> TrainingResult:
    return train(data or problem(), engine, settings, seed, **others)


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
    architecture = ARCHITECTURE

    def __init__(self, percentages: list[float], labels: np.ndarray) -> None:
        self._percentages = percentages
        self._labels = labels
        self.epoch = 0
        self.rates: list[float] = []
        self.trained: list[int] = []

    def train_batch(
        self, events: EventList, labels: np.ndarray, rate: float, teacher: None = None
    ) -> BatchOutcome:
        self.rates.append(rate)
        self.trained.append(events.n_samples)
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


def scripted(percentages: list[float], **changes: Any) -> tuple[TrainingResult, Scripted]:
    data = problem()
    engine = Scripted(percentages, data.validation_labels)
    settings = changed(SETTINGS, max_epochs=len(percentages), **changes)
    return trained(engine, settings, data), engine


class TestLearning:
    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_a_separable_problem(self, name: str) -> None:
        result = trained(fresh_engine(name))
        assert result.best_validation_accuracy_percent == 100.0
        assert result.history[-1].train_loss < 0.5 * result.history[0].train_loss
        assert result.history[-1].train_accuracy_percent > 95
        assert result.stop_reason == "max_epochs"
        assert [record.epoch for record in result.history] == [1, 2, 3, 4, 5, 6]


class TestKeepingAndStopping:
    def test_the_first_of_the_best_epochs_is_kept(self) -> None:
        result, _ = scripted([50.0, 75.0, 60.0, 75.0, 70.0])
        assert result.best_epoch == 2
        assert result.best_validation_accuracy_percent == 75.0
        assert result.state["weights"].tolist() == [2.0]
        assert result.optimizer_state["epoch"] == 5
        told = [record.validation_accuracy_percent for record in result.history]
        assert told == [50.0, 75.0, 60.0, 75.0, 70.0]

    @pytest.mark.parametrize(
        ("patience", "epochs", "reason"),
        [(0, 7, "max_epochs"), (1, 3, "patience"), (2, 6, "patience")],
    )
    def test_patience(self, patience: int, epochs: int, reason: str) -> None:
        percentages = [50.0, 75.0, 60.0, 80.0, 80.0, 75.0, 60.0]
        result, _ = scripted(percentages, patience=patience)
        assert len(result.history) == epochs
        assert result.stop_reason == reason
        assert len(result.epoch_seconds) == epochs

    @pytest.mark.parametrize(("target", "epochs"), [(75.0, 2), (76.0, 4), (99.0, 5), (None, 5)])
    def test_target_accuracy(self, target: float | None, epochs: int) -> None:
        percentages = [50.0, 75.0, 60.0, 80.0, 70.0]
        result, _ = scripted(percentages, target_accuracy=target)
        assert len(result.history) == epochs
        expected = "max_epochs" if target in (99.0, None) else "target_accuracy"
        assert result.stop_reason == expected


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
        self.architecture, self.state, self.run = engine.architecture, engine.state, engine.run
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
        recorder = Recorder()
        result = trained(engine, data=data, observers=(recorder,))
        assert result.spikes.layer_names == ("input", "hidden", "output")
        assert result.spikes.totals == tuple(engine.totals)
        assert all(total > 0 for total in result.spikes.totals)
        assert result.spikes.samples == 44 * SETTINGS.max_epochs
        by_epoch = np.array([record.spikes for record in result.history])
        assert tuple(by_epoch.sum(axis=0)) == result.spikes.totals
        by_batch = np.array([outcome.spikes for _, _, outcome in recorder.batches])
        assert tuple(by_batch.sum(axis=0)) == result.spikes.totals
        right = sum(record.train_accuracy_percent * 44 / 100 for record in result.history)
        assert right == pytest.approx(engine.correct)

    def test_each_epoch_sees_each_sample_once_in_another_order(self) -> None:
        data = problem()
        engine = Watched(fresh_engine())
        trained(engine, changed(SETTINGS, max_epochs=2), data)
        epochs = [np.concatenate(engine.seen[:6]), np.concatenate(engine.seen[6:])]
        for labels in epochs:
            assert np.array_equal(np.sort(labels), np.sort(data.samples.labels))
        assert not np.array_equal(epochs[0], epochs[1])


class TestObservers:
    def test_calls(self) -> None:
        one, other = Recorder(), Recorder()
        settings = changed(SETTINGS, max_epochs=2)
        result = trained(fresh_engine(), settings, observers=(one, other))
        assert one.order == (["batch"] * 6 + ["epoch"]) * 2 == other.order
        assert [(epoch, samples) for epoch, samples, _ in one.batches] == [
            (epoch, samples) for epoch in (1, 2) for samples in (8, 8, 8, 8, 8, 4)
        ]
        assert [record for record, _ in one.epochs] == list(result.history)
        assert tuple(seconds for _, seconds in one.epochs) == result.epoch_seconds
        for record in result.history:
            outcomes = [(n, o) for epoch, n, o in one.batches if epoch == record.epoch]
            mean = sum(n * outcome.mean_loss for n, outcome in outcomes) / 44
            assert record.train_loss == pytest.approx(mean)
            assert record.samples == 44


class TestRefusals:
    def test_a_rate_at_which_weights_overflow(self) -> None:
        settings = SETTINGS.model_copy(update={"lr": 1e30})
        learning = changed(LEARNING, weight_decay=0.1)
        with pytest.raises(ParameterError, match="training diverged in epoch 1.*smaller") as error:
            trained(fresh_engine(learning=learning), settings)
        assert "\n" not in str(error.value)
        assert "1e+30" in str(error.value)

    @pytest.mark.parametrize("window", [1, N_STEPS - 1, N_STEPS + 1])
    def test_validation_events_of_another_window(self, window: int) -> None:
        engine = Watched(fresh_engine())
        with pytest.raises(ParameterError, match=f"validation events have {window} steps"):
            trained(engine, data=problem(n_steps=window))
        assert not engine.seen


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

    def test_a_network_for_other_images_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "teacher.npz"
        state = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
        TEACHER.write(path, state)
        told = load_teacher(path, 16, 2)(np.zeros((3, 16), np.uint8))
        assert told.probabilities.tolist() == [[0.5, 0.5]] * 3
        for pixels, classes in ((17, 2), (16, 3)):
            with pytest.raises(ArtifactError, match="holds no teacher of this network"):
                load_teacher(path, pixels, classes)
        del state["layer2.synapses.bias"]
        TEACHER.write(path, state)
        with pytest.raises(ArtifactError, match="holds no teacher of this network"):
            load_teacher(path, 16, 2)


class TestPruning:
    def test_best_weights_are_those_of_a_pruned_epoch(self) -> None:
        settings = changed(
            SETTINGS, pruned_fraction=0.5, prune_start=0.2, prune_end=0.7, patience=1
        )
        engine = fresh_engine()
        result = trained(engine, settings)
        shares = [record.pruned_fraction for record in result.history]
        assert shares[0] == 0.0
        assert shares == sorted(shares)
        assert shares[-1] == 0.5
        assert shares[result.best_epoch - 1] == 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_event_engine_trains_without_torchs_compiler(schedule: str) -> None:
    code = (
        "import sys\n"
        "from tests.training.test_training import *\n"
        f"settings = changed(SETTINGS, max_epochs=1, schedule={schedule!r})\n"
        "trained(fresh_engine(), settings)\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert exit_status_of(code) == 0
