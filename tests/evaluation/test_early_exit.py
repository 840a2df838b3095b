"""Accuracy by step and early exit, against loops over the steps of a sample."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ParameterError
from spikejoule.counts.measurement import Measurement
from spikejoule.encoding.events import EventList
from spikejoule.evaluation import early_exit
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.early_exit import (
    EarlyExit,
    StepOutcomes,
    accuracy_by_step,
    choose_early_exit,
    exit_outcome,
    exit_steps,
    step_outcomes,
)
from spikejoule.network.network import Network
from spikejoule.network.readout import Readout


def random_measured(
    n_samples: int, n_steps: int = 12, seed: int = 0, classes: int = 4
) -> tuple[Measurement, np.ndarray]:
    """Return random spikes of a pruned network of three layers, and labels.

    The output of the first sample is silent.
    """
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, n_samples)
    inputs = generator.random((n_samples, n_steps, 9)) < 0.2
    hidden = generator.random((n_samples, n_steps, 6)) < 0.3
    chance = np.full((n_samples, 1, classes), 0.2)
    chance[np.arange(n_samples), 0, labels] = 0.45
    output = generator.random((n_samples, n_steps, classes)) < chance
    output[0] = False
    architecture = Network.of_layers(9, (6,), classes)
    state = {
        name: (generator.random(shape) < 0.5).astype(np.float32)
        for name, shape in architecture.parameter_shapes().items()
    }
    layers = [EventList.from_dense(layer) for layer in (inputs, hidden, output)]
    return Measurement(state, architecture, layers, pruned=True), labels


def with_potentials(
    readout: Readout, n_samples: int, seed: int
) -> tuple[Measurement, np.ndarray]:
    """The same with an output whose potentials favour the label more and more."""
    measured, labels = random_measured(n_samples, seed=seed)
    generator = np.random.default_rng(seed)
    potentials = generator.normal(0, 1, (n_samples, 12, 4)).astype(np.float32)
    potentials[np.arange(n_samples), :, labels] += np.linspace(0, 2, 12)
    output = EventList.of_potentials(potentials)
    layers = [*measured.layers[:-1], output]
    network = measured.network.with_readout(readout)
    return replace(measured, network=network, layers=layers), labels


def naive_course(
    measured: Measurement, sample: int
) -> list[tuple[int, int, int, bool]]:
    """Return (leading class, lead, synaptic events, any output spike) by step."""
    dense = [layer.to_dense(int)[sample].tolist() for layer in measured.layers]
    votes = [0] * measured.layers[-1].n_inputs
    fan_outs = [
        np.count_nonzero(values, axis=0)
        for values in measured.state.values()
        if values.ndim == 2
    ]
    spent = 0
    course = []
    for step in range(measured.time_window):
        for spikes, fan_out in zip(dense[:-1], fan_outs, strict=True):
            for source, spike in enumerate(spikes[step]):
                spent += spike * int(fan_out[source])
        for unit, spike in enumerate(dense[-1][step]):
            votes[unit] += spike
        leading = votes.index(max(votes))
        others = votes[:leading] + votes[leading + 1 :]
        course.append((leading, votes[leading] - max(others), spent, any(votes)))
    return course


class TestByStep:
    @pytest.mark.parametrize("at_once", [1, 10**9])
    def test_equals_a_loop(self, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(early_exit, "_COUNTS_AT_ONCE", at_once)
        measured, labels = random_measured(25)
        outcomes = step_outcomes(measured, labels)
        by_step = accuracy_by_step(outcomes, 0.9)
        courses = [naive_course(measured, sample) for sample in range(25)]
        for step, row in enumerate(by_step):
            leading, lead, spent, fired = zip(
                *(course[step] for course in courses), strict=True
            )
            n_correct = sum(a == b for a, b in zip(leading, labels, strict=True))
            assert outcomes.correct[:, step].tolist() == list(leading == labels)
            assert outcomes.margins[:, step].tolist() == [*lead]
            assert outcomes.synaptic_events[:, step].tolist() == [*spent]
            assert outcomes.fired[:, step].tolist() == [*fired]
            assert row.items() >= accuracy(n_correct, 25, 0.9).entries().items()
            mean = sum(spent) / 25
            assert row["synaptic_events_per_inference"] == pytest.approx(mean)


class TestExit:
    @pytest.mark.parametrize("margin", [None, 0, 2, 13])
    def test_equals_a_loop(self, margin: int | None) -> None:
        """None: at the first output spike."""
        measured, labels = random_measured(60)
        outcomes = step_outcomes(measured, labels)
        steps = []
        spent = []
        correct = 0
        for sample in range(60):
            course = naive_course(measured, sample)
            for step, (leading, lead, events, fired) in enumerate(course, start=1):
                if step == len(course) or (fired if margin is None else lead >= margin):
                    steps.append(step)
                    spent.append(events)
                    correct += leading == labels[sample]
                    break
        assert exit_steps(outcomes, margin).tolist() == steps
        mean = sum(spent) / 60
        deviation = math.sqrt(sum((value - mean) ** 2 for value in spent) / 59)
        half = 1.959963984540054 * deviation / math.sqrt(60)
        assert exit_outcome(outcomes, margin).model_dump() == pytest.approx(
            {
                **accuracy(int(correct), 60).entries(),
                "mean_exit_step": sum(steps) / 60,
                "synaptic_events_per_inference": mean,
                "synaptic_events_low": mean - half,
                "synaptic_events_high": mean + half,
            }
        )


class TestPotentials:
    @pytest.mark.parametrize("readout", [Readout.POTENTIAL, Readout.MAX_POTENTIAL])
    @pytest.mark.parametrize("tolerance", [5.0, 10.0])
    def test_the_margin_saves_events_and_keeps_the_accuracy(
        self, readout: Readout, tolerance: float
    ) -> None:
        measured, labels = with_potentials(readout, 300, seed=4)
        validation = step_outcomes(measured, labels)
        test = step_outcomes(*with_potentials(readout, 200, seed=5))
        chosen = choose_early_exit(validation, test, tolerance)
        margin = chosen.margin_potential
        assert chosen.margin_spikes is None
        assert margin is not None
        steps = []
        right = 0
        potentials = measured.layers[-1].potentials
        assert potentials is not None
        for sample, label in zip(potentials.tolist(), labels, strict=True):
            scores = sample[0]
            for step, row in enumerate(sample, start=1):
                scores = row
                if readout is Readout.MAX_POTENTIAL:
                    scores = np.max(sample[:step], axis=0).tolist()
                second, best = sorted(scores)[-2:]
                if np.float32(best) - np.float32(second) >= margin or step == 12:
                    break
            steps.append(step)
            right += scores.index(best) == label
        assert chosen.validation.mean_exit_step == np.mean(steps) < 12
        assert chosen.validation.accuracy_percent == pytest.approx(100 * right / 300)
        whole = chosen.whole_window.validation
        assert whole.mean_exit_step == 12
        lost = whole.accuracy_percent - chosen.validation.accuracy_percent
        assert lost <= tolerance + 1e-9
        # No other margin that was tried saves more.
        spent = chosen.validation.synaptic_events_per_inference
        for other in np.unique(validation.margins)[::40]:
            tried = exit_outcome(validation, float(other))
            lost = whole.accuracy_percent - tried.accuracy_percent
            if lost <= tolerance and other >= margin:
                assert tried.synaptic_events_per_inference >= spent

    def test_in_one_step_nothing_is_saved(self) -> None:
        measured, labels = with_potentials(Readout.POTENTIAL, 50, seed=1)
        outcomes = step_outcomes(measured, labels)
        first = StepOutcomes(
            outcomes.correct[:, :1],
            outcomes.margins[:, :1],
            outcomes.synaptic_events[:, :1],
            outcomes.fired[:, :1],
        )
        chosen = choose_early_exit(first, first, 0.0)
        assert chosen.margin == math.inf
        assert chosen.rule_in_words == "only at the end of the window"

    def test_a_first_spike_is_refused(self) -> None:
        outcomes = step_outcomes(*with_potentials(Readout.POTENTIAL, 50, seed=1))
        with pytest.raises(ParameterError, match="never spikes"):
            choose_early_exit(outcomes, outcomes, None)


class TestChoice:
    @pytest.mark.parametrize("tolerance", [0.0, 5.0, 100.0])
    def test_is_the_cheapest_that_keeps_the_accuracy(self, tolerance: float) -> None:
        validation = step_outcomes(*random_measured(200, seed=1))
        test = step_outcomes(*random_measured(150, seed=2))
        full = exit_outcome(validation, 13).accuracy_percent
        costs = {}
        for margin in range(1, 14):
            tried = exit_outcome(validation, margin)
            if full - tried.accuracy_percent <= tolerance + 1e-9:
                costs[margin] = tried.synaptic_events_per_inference
        chosen = choose_early_exit(validation, test, tolerance)
        assert chosen.margin_spikes is not None
        assert costs[chosen.margin_spikes] == min(costs.values())
        assert chosen.validation == exit_outcome(validation, chosen.margin_spikes)
        assert chosen.test == exit_outcome(test, chosen.margin_spikes)
        whole = chosen.whole_window.test
        assert whole.synaptic_events_per_inference == test.synaptic_events[:, -1].mean()
        assert whole.mean_exit_step == 12
        assert chosen.tolerance_percent == tolerance

    def test_tolerance_counts_whole_images(self) -> None:
        # 1 of 1,000 images is 0.1 %, slightly less in floating point.
        correct = np.ones((1000, 2), dtype=bool)
        correct[0, 0] = False
        margins = np.ones((1000, 2), dtype=np.int32)
        outcomes = StepOutcomes(correct, margins, margins.cumsum(axis=1), margins > 0)
        assert choose_early_exit(outcomes, outcomes, 0.1).margin_spikes == 1
        assert choose_early_exit(outcomes, outcomes, 0.0999).margin_spikes == 3


@pytest.mark.parametrize("tolerance", [1.5, None])
def test_only_a_lead_has_a_margin_in_the_file(
    tolerance: float | None, tmp_path: Path
) -> None:
    validation, test = (
        step_outcomes(*random_measured(n_samples)) for n_samples in (60, 40)
    )
    path = tmp_path / "early_exit.json"
    found = choose_early_exit(validation, test, tolerance, 0.9)
    if tolerance is None:  # nothing is chosen
        assert found.validation == exit_outcome(validation, None, 0.9)
        assert found.test == exit_outcome(test, None, 0.9)
    found.write(path)
    assert EarlyExit.read(path) == found
    content = json.loads(path.read_text(encoding="utf-8"))
    assert ("rule" in content) == (tolerance is None), "older files have no rule"
    assert ("margin_spikes" in content) == (tolerance is not None)
