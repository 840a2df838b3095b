"""Networks of integers: runs are those of plain loops on plain integers, bit for bit, and so is
what both engines learn in quantisation-aware training.
"""

from typing import Any

import numpy as np
import pytest

from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.event import run_integers
from spikejoule.engine.interface import Engine
from spikejoule.model.architecture import Architecture
from spikejoule.model.learning import LearningSettings
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import layer_constants, quantisation_of, with_grids
from tests import naive
from tests.tools.integers import integer_network, spike_trains
from tests.tools.without_torch import WITH_TORCH, needs_torch

pytestmark = pytest.mark.xdist_group("engines")

LEARNING = LearningSettings(logit_scale=0.3, label_smoothing=0.1)


def engines(
    architecture: Architecture,
    state: dict[str, Any],
    settings: LearningSettings = LEARNING,
    dtype: type = np.float64,
) -> list[Engine]:
    names = ("event", "dense") if WITH_TORCH else ("event",)
    return [make_engine(name, architecture, state, settings, "cpu", dtype) for name in names]


def expected_of(
    architecture: Architecture, state: dict[str, Any], dense: np.ndarray, labels: np.ndarray
) -> tuple[float, int, tuple[int, ...], dict[str, np.ndarray], list[np.ndarray]]:
    """Loss, correct, spikes, gradients and spike trains, by the loops on integers.

    Checks that the grids are the loops', and the spikes those of the compiled integers.
    """
    quantisation, neuron = quantisation_of(architecture), architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    thresholds, decays = zip(*(one.constants for one in architecture.neurons), strict=True)
    bits = (quantisation.weight_bits, quantisation.state_bits)
    assert quantisation.exponents == tuple(
        naive.grid_of(state[f"layer{number}.synapses.weight"], *bits, threshold)
        for number, threshold in enumerate(thresholds, start=1)
    )
    expected = naive.integer_batch_gradient(
        state,
        quantisation.exponents,
        bits,
        (thresholds, decays, neuron.reset),
        dense,
        labels.tolist(),
        (LEARNING.surrogate, LEARNING.chosen_surrogate.slope),
        (LEARNING.logit_scale, LEARNING.label_smoothing),
    )
    found = run_integers(architecture, state, EventList.from_dense(dense))
    for layer, fired in zip(found, expected[-1], strict=True):
        layer.check()
        assert np.array_equal(layer.to_dense(np.int64), fired)
    return expected


def assert_both_learn_alike(
    architecture: Architecture, state: dict[str, Any], dense: np.ndarray
) -> None:
    labels = np.arange(len(dense)) % architecture.n_output
    loss, correct, totals, gradients, spikes = expected_of(architecture, state, dense, labels)
    events = EventList.from_dense(dense)
    for engine in engines(architecture, state):
        for layer, fired in zip(engine.run(events), spikes, strict=True):
            assert np.array_equal(layer.to_dense(np.int64), fired), engine.name
        outcome, found = engine.gradients(events, labels)
        assert outcome.spikes == totals, engine.name
        assert outcome.correct == correct
        assert outcome.mean_loss == pytest.approx(loss, rel=1e-9)
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            scale = np.abs(gradient).max()
            assert scale > 0
            np.testing.assert_allclose(
                found[name], gradient, rtol=1e-9, atol=1e-13 * scale, err_msg=name
            )


class TestAgainstPlainLoops:
    @pytest.mark.parametrize("weight_bits", [2, 4, 5, 8])
    @pytest.mark.parametrize("state_bits", [16, 32])
    @pytest.mark.parametrize("decay", [1.0, 0.9, 0.5, 0.0])
    def test_widths_and_leaks(self, weight_bits: int, state_bits: int, decay: float) -> None:
        neuron = LeakyIntegrateAndFire(decay=decay)
        architecture, state = integer_network(
            14, 18, 4, weight_bits=weight_bits, state_bits=state_bits, neuron=neuron
        )
        assert_both_learn_alike(architecture, state, spike_trains(14, 5, 9))

    @pytest.mark.parametrize("hidden", [(1,), (17, 9), (12, 20, 16), (209,)])
    def test_depths_and_sizes(self, hidden: tuple[int, ...]) -> None:
        architecture, state = integer_network(9, *hidden, 3, weight_bits=4)
        expected_of(architecture, state, spike_trains(9, 3, 8), np.arange(3))

    @pytest.mark.parametrize("threshold", [1e-30, 0.37, 3.0, 1e30])
    def test_thresholds(self, threshold: float) -> None:
        neuron = LeakyIntegrateAndFire(threshold=threshold)
        architecture, state = integer_network(14, 18, 4, neuron=neuron)
        state = {name: threshold * values for name, values in state.items()}
        architecture = with_grids(architecture, state)
        *_, spikes = expected_of(architecture, state, spike_trains(14, 5, 9), np.arange(5) % 4)
        assert all(0.01 < layer.mean() < 0.9 for layer in spikes)

    @pytest.mark.parametrize(
        "neuron",
        [
            {"decay": 0.3, "reset": "subtract"},
            {"bias": False},
            {"decay": 1.0, "reset": "subtract", "bias": False},
            {"decay": (0.9, 1.0, 0.5), "threshold": (1.0, 0.7, 1.3)},
        ],
    )
    def test_neurons_of_two_hidden_layers(self, neuron: dict[str, Any]) -> None:
        architecture, state = integer_network(
            12, 18, 13, 4, weight_bits=6, neuron=LeakyIntegrateAndFire(**neuron)
        )
        assert_both_learn_alike(architecture, state, spike_trains(12, 5, 9))

    @pytest.mark.parametrize("decay", [1.0, 0.9])
    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    def test_potentials_that_saturate(self, reset: Any, decay: float) -> None:
        """The gradient goes through the bound as if there were none."""
        neuron = LeakyIntegrateAndFire(threshold=40.0, reset=reset, decay=decay)
        architecture, state = integer_network(200, 6, 3, state_bits=16, neuron=neuron)
        state["layer1.synapses.weight"] -= 0.6
        state["layer1.synapses.weight"][:2] += 2.0
        state["layer2.synapses.weight"] += 30.0
        architecture = with_grids(architecture, state)
        dense = spike_trains(200, 2, 40, 0.9)
        dense[:, 30:, :40] = 0
        exponents = quantisation_of(architecture).exponents
        constants = [(one.threshold, decay) for one in layer_constants(architecture)]
        layers = naive.quantise(state, exponents, 8, 16)
        potentials = naive.integer_run(layers, dense.tolist(), constants, 16, reset)[0][0]
        assert potentials.min() < -(2**15)
        assert_both_learn_alike(architecture, state, dense)


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
@pytest.mark.parametrize("state_bits", [16, 32])
@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_training_in_float32_sees_exact_integers(
    weight_bits: int, state_bits: int, decay: float
) -> None:
    """The forward pass of training, in floating point, fires as the network of integers does."""
    neuron = LeakyIntegrateAndFire(decay=decay)
    architecture, state = integer_network(
        300, 70, 10, weight_bits=weight_bits, state_bits=state_bits, neuron=neuron
    )
    events = EventList.from_dense(spike_trains(300, 40, 25, 0.1))
    for engine in engines(architecture, state, dtype=np.float32):
        fired = [layer.n_events for layer in engine.run(events)]
        outcome, _ = engine.gradients(events, np.arange(40) % 10)
        assert outcome.spikes == (events.n_events, *fired), engine.name
        assert min(fired) > 100
    if WITH_TORCH:
        event, dense = engines(architecture, state, dtype=np.float32)
        for one, other in zip(event.run(events), dense.run(events), strict=True):
            assert np.array_equal(one.to_dense(), other.to_dense())


class TestSteps:
    @needs_torch
    def test_both_engines_keep_what_is_not_rounded(self) -> None:
        """Steps far below a unit of the grid add up, and the weights that run follow."""
        architecture, state = integer_network(14, 18, 4, weight_bits=4)
        settings = LearningSettings(logit_scale=0.3, weight_decay=0.001, grad_clip_norm=0.5)
        event, dense = engines(architecture, state, settings)
        before, exponents = event.state(), quantisation_of(architecture).exponents
        for number in range(40):
            trains = spike_trains(14, 6, 6 + number % 5)
            events, labels = EventList.from_dense(trains), np.arange(6) % 4
            one, other = (engine.train_batch(events, labels, 0.004) for engine in (event, dense))
            assert one.spikes == other.spikes
            assert one.synaptic_events == other.synaptic_events
        changed, runs, theirs = 0, event.state(), dense.state()
        for name, learned in event.learned_state().items():
            np.testing.assert_allclose(learned, dense.learned_state()[name], rtol=1e-7, atol=1e-12)
            unit = 2.0 ** -exponents[int(name[5]) - 1]
            limit = 7 if name.endswith("weight") else 2**23 - 1
            assert np.array_equal(
                runs[name], np.clip(np.round(learned / unit), -limit, limit) * unit
            )
            assert np.array_equal(runs[name], theirs[name])
            changed += np.count_nonzero(runs[name] != before[name])
        assert changed > 20
        for engine in (event, dense):
            assert quantisation_of(engine.architecture).exponents == exponents
            engine.choose_grids()
            assert engine.architecture == with_grids(architecture, engine.learned_state())
        assert event.architecture == dense.architecture

    def test_a_pruned_weight_and_one_that_rounds_to_zero_carry_no_event(self) -> None:
        architecture, state = integer_network(14, 18, 4, weight_bits=2)
        mask = np.ones((18, 14), dtype=np.bool_)
        mask[:, 3] = mask[4] = False
        masks = {"layer1.synapses.weight": mask, "layer2.synapses.weight": np.ones((4, 18), bool)}
        trains = spike_trains(14, 6, 9)
        events, labels = EventList.from_dense(trains), np.arange(6) % 4
        for engine in engines(architecture, state):
            full, _ = engine.gradients(events, labels)
            assert full.synaptic_events[0] == 18 * events.n_events
            engine.prune(masks)
            outcome = engine.train_batch(events, labels, 0.0)
            weights = engine.state()["layer1.synapses.weight"]
            assert not weights[~mask].any()
            assert (weights[mask] == 0).any()
            present = np.count_nonzero(weights, axis=0)
            assert outcome.synaptic_events[0] == trains.sum(axis=(0, 1)) @ present
            hidden = engine.run(events)[0].to_dense(np.int64).sum(axis=(0, 1))
            present = np.count_nonzero(engine.state()["layer2.synapses.weight"], axis=0)
            assert outcome.synaptic_events[1] == hidden @ present
            for _ in range(5):
                engine.train_batch(events, labels, 0.05)
            assert not engine.learned_state()["layer1.synapses.weight"][~mask].any()
