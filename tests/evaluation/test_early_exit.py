"""Accuracy by step and early exit, against loops that follow one sample step by step."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import EventList
from spikejoule.evaluation import step_outcomes
from spikejoule.evaluation.early_exit import (
    choose_early_exit,
    exit_at_first_spike,
    exit_outcome,
    exit_steps,
)
from spikejoule.evaluation.early_exit_files import EarlyExitFile, ExitEntry
from spikejoule.evaluation.evaluation import accuracy
from spikejoule.evaluation.evaluation_tables import EvaluationMetrics
from spikejoule.evaluation.step_outcomes import (
    StepOutcomes,
    accuracy_by_step,
    outcomes_by_step,
    synaptic_events_by_step,
)
from spikejoule.model.fan_out import synaptic_events_per_sample


def random_layers(
    n_samples: int, n_steps: int = 12, seed: int = 0, classes: int = 4
) -> tuple[list[EventList], list[np.ndarray], np.ndarray]:
    """Spikes of three layers, fan-outs that differ by source, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n_samples)
    inputs = generator.random((n_samples, n_steps, 9)) < 0.2
    hidden = generator.random((n_samples, n_steps, 6)) < 0.3
    chance = np.full((n_samples, 1, classes), 0.2)
    chance[np.arange(n_samples), 0, labels] = 0.45
    output = generator.random((n_samples, n_steps, classes)) < chance
    fan_outs = [generator.integers(0, 7, 9), generator.integers(0, classes + 1, 6)]
    return [EventList.from_dense(layer) for layer in (inputs, hidden, output)], fan_outs, labels


def naive_course(
    layers: list[EventList], fan_outs: list[np.ndarray], sample: int
) -> list[tuple[int, int, int]]:
    """(leading class, lead, synaptic events so far) after each step of one sample."""
    dense = [layer.to_dense(int)[sample].tolist() for layer in layers]
    votes = [0] * layers[-1].n_inputs
    spent, course = 0, []
    for step in range(layers[0].n_steps):
        for spikes, fan_out in zip(dense[:-1], fan_outs, strict=True):
            for source, spike in enumerate(spikes[step]):
                spent += spike * int(fan_out[source])
        for unit, spike in enumerate(dense[-1][step]):
            votes[unit] += spike
        leading = votes.index(max(votes))
        others = votes[:leading] + votes[leading + 1 :]
        course.append((leading, votes[leading] - max(others), spent))
    return course


def outcomes_of(
    layers: list[EventList], fan_outs: list[np.ndarray], labels: np.ndarray
) -> StepOutcomes:
    return outcomes_by_step(layers[-1], labels, synaptic_events_by_step(layers, fan_outs))


def made(correct: np.ndarray, margins: np.ndarray) -> StepOutcomes:
    """Outcomes by hand, of one synaptic event in every step."""
    spent = np.cumsum(np.ones(margins.shape, np.int64), axis=1)
    return StepOutcomes(correct, margins, spent, margins > 0)


class TestByStep:
    @pytest.mark.parametrize("at_once", [1, 500, 10**9])
    def test_equals_a_loop(self, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(step_outcomes, "_COUNTS_AT_ONCE", at_once)
        layers, fan_outs, labels = random_layers(25)
        outcomes = outcomes_of(layers, fan_outs, labels)
        for sample in range(25):
            for step, (leading, lead, spent) in enumerate(naive_course(layers, fan_outs, sample)):
                assert outcomes.correct[sample, step] == (leading == labels[sample])
                assert outcomes.margins[sample, step] == lead
                assert outcomes.synaptic_events[sample, step] == spent

    def test_last_step_is_the_whole_window(self) -> None:
        layers, fan_outs, labels = random_layers(30)
        outcomes = outcomes_of(layers, fan_outs, labels)
        np.testing.assert_array_equal(
            outcomes.synaptic_events[:, -1],
            synaptic_events_per_sample(layers, fan_outs).sum(axis=1),
        )

    def test_accuracy_and_mean_of_each_step(self) -> None:
        layers, fan_outs, labels = random_layers(40)
        courses = [naive_course(layers, fan_outs, sample) for sample in range(40)]
        by_step = accuracy_by_step(outcomes_of(layers, fan_outs, labels), 0.9)
        for step, entry in enumerate(by_step.accuracies):
            correct = sum(
                course[step][0] == label for course, label in zip(courses, labels, strict=True)
            )
            assert entry == accuracy(correct, 40, 0.9)
            mean = sum(course[step][2] for course in courses) / 40
            assert by_step.mean_synaptic_events[step] == pytest.approx(mean)

    def test_no_spike_leaves_the_first_class_with_no_lead(self) -> None:
        silent = EventList.from_dense(np.zeros((2, 3, 4)))
        outcomes = outcomes_by_step(silent, np.array([0, 1]), np.zeros((2, 3), dtype=np.int64))
        assert outcomes.correct.tolist() == [[True] * 3, [False] * 3]
        assert not outcomes.margins.any()

    def test_a_single_class_leads_by_all_of_its_spikes(self) -> None:
        spikes = EventList.from_dense(np.ones((1, 3, 1)))
        outcomes = outcomes_by_step(spikes, np.array([0]), np.zeros((1, 3), dtype=np.int64))
        assert outcomes.margins.tolist() == [[1, 2, 3]]

    @pytest.mark.parametrize(
        ("n_labels", "events"), [(4, (5, 12)), (5, (5, 11)), (5, (4, 12)), (5, (60,))]
    )
    def test_what_does_not_belong_together_is_refused(
        self, n_labels: int, events: tuple[int, ...]
    ) -> None:
        output = random_layers(5)[0][-1]
        with pytest.raises(ArtifactError, match="5 samples over 12 steps"):
            outcomes_by_step(output, np.zeros(n_labels, int), np.zeros(events, np.int64))

    def test_no_sample_is_refused(self) -> None:
        output = random_layers(5)[0][-1].select(slice(0))
        with pytest.raises(ArtifactError, match="0 samples"):
            outcomes_by_step(output, np.zeros(0, int), np.zeros((0, 12), np.int64))


class TestExit:
    @pytest.mark.parametrize("margin", [0, 1, 2, 5, 13])
    @pytest.mark.parametrize("minimal_steps", [1, 4, 12])
    def test_equals_a_loop(self, margin: int, minimal_steps: int) -> None:
        layers, fan_outs, labels = random_layers(60)
        outcomes = outcomes_of(layers, fan_outs, labels)
        steps, correct, spent = [], 0, []
        for sample in range(60):
            course = naive_course(layers, fan_outs, sample)
            for step, (leading, lead, events) in enumerate(course, start=1):
                if (lead >= margin and step >= minimal_steps) or step == len(course):
                    steps.append(step)
                    spent.append(events)
                    correct += leading == labels[sample]
                    break
        assert exit_steps(outcomes, margin, minimal_steps).tolist() == steps
        result = exit_outcome(outcomes, margin, minimal_steps, 0.95)
        mean = sum(spent) / 60
        assert result.accuracy == accuracy(int(correct), 60)
        assert result.mean_exit_step == pytest.approx(sum(steps) / 60)
        assert result.mean_synaptic_events == pytest.approx(mean)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in spent) / 59)
        half = 1.959963984540054 * deviation / math.sqrt(60)
        assert result.low_synaptic_events == pytest.approx(mean - half)
        assert result.high_synaptic_events == pytest.approx(mean + half)

    def test_written_down(self) -> None:
        margins = np.array([[0, 1, 2, 3], [1, 0, 0, 1], [0, 0, 0, 0]], dtype=np.int32)
        outcomes = made(np.ones((3, 4), dtype=bool), margins)
        assert exit_steps(outcomes, 1).tolist() == [2, 1, 4]
        assert exit_steps(outcomes, 1, 2).tolist() == [2, 4, 4]
        assert exit_steps(outcomes, 2).tolist() == [3, 4, 4]
        assert exit_steps(outcomes, 5).tolist() == [4, 4, 4]

    def test_one_sample_has_no_spread(self) -> None:
        layers, fan_outs, labels = random_layers(1)
        result = exit_outcome(outcomes_of(layers, fan_outs, labels), 2)
        assert result.low_synaptic_events == result.high_synaptic_events


class TestChoice:
    @pytest.mark.parametrize("tolerance", [0.0, 1.0, 5.0, 20.0, 100.0])
    def test_is_the_cheapest_that_keeps_the_accuracy(self, tolerance: float) -> None:
        validation = outcomes_of(*random_layers(200, seed=1))
        test = outcomes_of(*random_layers(150, seed=2))
        full = int(validation.correct[:, -1].sum())
        costs = {}
        for margin in range(1, 14):
            tried = exit_outcome(validation, margin)
            if full - tried.accuracy.n_correct <= tolerance / 100 * 200 + 1e-9:
                costs[margin] = tried.mean_synaptic_events
        chosen = choose_early_exit(validation, test, tolerance)
        assert costs[chosen.margin] == min(costs.values())
        assert chosen.validation == exit_outcome(validation, chosen.margin)
        assert chosen.test == exit_outcome(test, chosen.margin)
        assert chosen.full_test.mean_synaptic_events == test.synaptic_events[:, -1].mean()
        assert chosen.full_test.mean_exit_step == 12
        assert chosen.tolerance_percent == tolerance

    def test_test_images_have_no_say(self) -> None:
        validation = outcomes_of(*random_layers(200, seed=1))
        margins = {
            choose_early_exit(validation, outcomes_of(*random_layers(50, seed=seed)), 2.0).margin
            for seed in range(5)
        }
        assert len(margins) == 1

    def test_more_tolerance_costs_no_more(self) -> None:
        validation = outcomes_of(*random_layers(300, seed=3))
        spent = [
            choose_early_exit(validation, validation, tolerance).validation.mean_synaptic_events
            for tolerance in (0, 1, 3, 10, 100)
        ]
        assert spent == sorted(spent, reverse=True)
        assert spent[-1] < validation.synaptic_events[:, -1].mean()

    def test_never_stopping_if_every_early_answer_is_wrong(self) -> None:
        correct = np.zeros((10, 5), dtype=bool)
        correct[:, -1] = True
        margins = np.tile(np.array([1, 2, 3, 4, 4], dtype=np.int32), (10, 1))
        outcomes = made(correct, margins)
        chosen = choose_early_exit(outcomes, outcomes, 0.0)
        assert chosen.margin == 6
        assert chosen.test == chosen.full_test

    def test_tolerance_counts_whole_images(self) -> None:
        # 1 of 1,000 images is 0.1 %, which in floating point is a trifle less.
        correct = np.ones((1000, 2), dtype=bool)
        correct[0, 0] = False
        margins = np.ones((1000, 2), dtype=np.int32)
        outcomes = made(correct, margins)
        assert choose_early_exit(outcomes, outcomes, 0.1).margin == 1
        assert choose_early_exit(outcomes, outcomes, 0.0999).margin == 3

    def test_other_windows_are_refused(self) -> None:
        validation = outcomes_of(*random_layers(5))
        with pytest.raises(ArtifactError, match="windows must be equal"):
            choose_early_exit(validation, outcomes_of(*random_layers(5, n_steps=11)), 1.0)
        for steps in (0, 13):
            with pytest.raises(ArtifactError, match=f"from step {steps} on"):
                choose_early_exit(validation, validation, 1.0, minimal_steps=steps)


class TestFirstSpike:
    def test_equals_a_loop(self) -> None:
        layers, fan_outs, labels = random_layers(80, classes=5)
        outcomes = outcomes_of(layers, fan_outs, labels)
        output = layers[-1].to_dense(int).tolist()
        steps, right, ties = [], 0, 0
        for sample, label in enumerate(labels):
            answer, stopped = 0, 12
            for step, fired in enumerate(output[sample], start=1):
                if sum(fired):
                    answer, stopped = fired.index(1), step
                    ties += sum(fired) > 1
                    break
            steps.append(stopped)
            right += answer == label
        assert ties, "two classes that fire first in one step"
        assert exit_steps(outcomes, None).tolist() == steps
        found = exit_at_first_spike(outcomes, outcomes, 0.9)
        assert found.margin is None
        assert found.tolerance_percent is None
        assert found.test == found.validation == exit_outcome(outcomes, None, confidence=0.9)
        assert found.test.accuracy == accuracy(int(right), 80, 0.9)
        assert found.full_test == exit_outcome(outcomes, 13, confidence=0.9)

    def test_a_tie_is_no_lead_but_a_first_spike(self) -> None:
        output = EventList.from_dense([[[0, 0, 0], [0, 1, 1], [0, 0, 1]]])
        outcomes = outcomes_by_step(output, np.array([1]), np.ones((1, 3), np.int64))
        assert exit_steps(outcomes, None).tolist() == [2]
        assert exit_steps(outcomes, 1).tolist() == [3]
        assert exit_outcome(outcomes, None).accuracy.n_correct == 1
        assert exit_outcome(outcomes, 1).accuracy.n_correct == 0

    def test_validation_and_test_images_are_told_apart(self, tmp_path: Path) -> None:
        """Accuracy, steps and events of each set stand where those of a lead do."""
        sets = []
        for n_samples in (60, 40):
            layers, fan_outs, labels = random_layers(n_samples, classes=5)
            sets.append(outcomes_of(layers, fan_outs, labels))
        expected = [exit_outcome(each, None) for each in sets]
        assert expected[0] != expected[1]
        by_spike, by_lead = exit_at_first_spike(*sets), choose_early_exit(*sets, 100.0)
        assert [by_spike.validation, by_spike.test] == expected
        files = [EarlyExitFile.of(each, False) for each in (by_spike, by_lead)]
        stated = [file.model_dump(exclude={"rule"}) for file in files]
        assert stated[0].keys() == stated[1].keys()
        assert files[0].validation == ExitEntry.of(expected[0])
        assert files[0].test == ExitEntry.of(expected[1])
        metrics = EvaluationMetrics.of(accuracy(7, 10), by_spike, "mnist5k")
        assert metrics.early_exit_validation_accuracy_percent == expected[0].accuracy.percent
        assert metrics.early_exit_test_accuracy_percent == expected[1].accuracy.percent
        assert metrics.early_exit_synaptic_events_per_inference == expected[1].mean_synaptic_events

    def test_without_a_spike_it_takes_the_whole_window(self) -> None:
        silent = EventList.from_dense(np.zeros((2, 3, 4)))
        outcomes = outcomes_by_step(silent, np.array([0, 1]), np.ones((2, 3), np.int64))
        found = exit_at_first_spike(outcomes, outcomes)
        assert found.test == found.full_test
        assert found.test.accuracy.n_correct == 1

    def test_other_windows_are_refused(self) -> None:
        validation = outcomes_of(*random_layers(5))
        with pytest.raises(ArtifactError, match="windows must be equal"):
            exit_at_first_spike(validation, outcomes_of(*random_layers(5, n_steps=11)))


class TestFile:
    @pytest.fixture
    def outcomes(self) -> StepOutcomes:
        return outcomes_of(*random_layers(60))

    def test_the_rule_of_before_is_not_named(self, outcomes: StepOutcomes, tmp_path: Path) -> None:
        written = EarlyExitFile.of(choose_early_exit(outcomes, outcomes, 1.5), False)
        written.write(tmp_path / "early_exit.json")
        content = json.loads((tmp_path / "early_exit.json").read_text(encoding="utf-8"))
        assert content.keys() >= {"margin_spikes", "tolerance_percent"}
        assert "rule" not in content
        assert EarlyExitFile.read(tmp_path / "early_exit.json") == written
        assert written.rule_in_words == f"at a lead of {written.margin_spikes} spikes"

    def test_the_first_spike_has_no_margin(self, outcomes: StepOutcomes, tmp_path: Path) -> None:
        written = EarlyExitFile.of(exit_at_first_spike(outcomes, outcomes), False)
        written.write(tmp_path / "early_exit.json")
        content = json.loads((tmp_path / "early_exit.json").read_text(encoding="utf-8"))
        assert content["rule"] == "first_spike"
        assert not content.keys() & {"margin_spikes", "tolerance_percent"}
        assert EarlyExitFile.read(tmp_path / "early_exit.json") == written
        assert written.rule_in_words == "at the first output spike"

    @pytest.mark.parametrize(
        "change", [{"rule": "first_spike"}, {"margin_spikes": None}, {"tolerance_percent": None}]
    )
    def test_a_margin_and_its_tolerance_belong_to_a_lead(
        self, outcomes: StepOutcomes, change: dict[str, object]
    ) -> None:
        written = EarlyExitFile.of(choose_early_exit(outcomes, outcomes, 1.5), False)
        content = written.model_dump(exclude_unset=True) | change
        with pytest.raises(ArtifactError, match="unless rule is first_spike"):
            EarlyExitFile.from_content("early_exit.json", content)


def test_full_size_takes_seconds() -> None:
    generator = np.random.default_rng(0)
    rows = np.repeat(np.arange(500_000), 8)
    sources = np.tile(np.arange(8), 500_000) * 98
    inputs = EventList.from_rows(rows, sources, 10_000, 50, 784)
    output = EventList.from_rows(rows[::8], generator.integers(0, 10, 500_000), 10_000, 50, 10)
    started = time.perf_counter()
    events = synaptic_events_by_step([inputs, output], [np.full(784, 400)])
    outcomes = outcomes_by_step(output, generator.integers(0, 10, 10_000), events)
    choose_early_exit(outcomes, outcomes, 0.1)
    assert time.perf_counter() - started < 20
