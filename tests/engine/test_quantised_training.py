"""Quantised networks equal plain loops on integers, in inference and in training."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.encoding.events import EventList
from spikejoule.engine import make_engine
from spikejoule.engine.learning import make_trainer
from spikejoule.engine.quantised import run_integers
from spikejoule.network.integers import layer_constants, quantisation_of, with_grids
from spikejoule.network.learning import LearningSettings
from spikejoule.network.readout import Readout
from tests import naive
from tests.engine.agreement import (
    LEARNING,
    READOUTS,
    Case,
    assert_agrees,
    assert_potentials,
    assert_spikes,
    engines,
)
from tests.tools.networks import firing_network, spike_trains
from tests.tools.without_torch import needs_torch

pytestmark = pytest.mark.xdist_group("engines")


def weights_into(layer: int, state: Mapping[str, Any]) -> np.ndarray:
    """All weights of a layer, the recurrent ones too."""
    return np.concatenate(
        [
            values.ravel()
            for name, values in state.items()
            if naive.layer_number(name) == layer and name.endswith("weight")
        ]
    )


def assert_integers_agree(case: Case, populations: Any = None) -> list[np.ndarray]:
    """Assert that grids, spikes, loss and gradients equal the loops'; return spikes.

    With `populations` the network has more than full connections, which the event
    engine does not run in integers.
    """
    state = case.state
    network = with_grids(case.network, state)
    quantisation = quantisation_of(network)
    bits = (quantisation.weight_bits, quantisation.state_bits)
    assert quantisation.exponents == tuple(
        naive.grid_of(weights_into(number, state), *bits, neuron.constants[0])
        for number, neuron in enumerate(network.neurons)
    )
    case = replace(case, network=network)
    expected = case.by_loops(populations)
    events = EventList.from_dense(case.dense)
    if populations is None:
        layers = run_integers(network, state, events)
        assert_spikes(layers, expected.spikes)
        assert_potentials(layers, network, expected)
        case.assert_engines_agree(events, expected)
    else:
        engine = make_trainer("dense", network, state, LEARNING, np.float64)
        assert_agrees(engine, events, case.labels, expected)
        # A file holds the rounded weights; they give the same spikes.
        reloaded = make_engine("dense", network, engine.state())
        assert_spikes(reloaded.run(events), expected.spikes)
    return expected.spikes


@settings(max_examples=40)
@given(data=st.data())
def test_both_engines_learn_as_the_loops_on_integers(data: st.DataObject) -> None:
    """For any integer widths, leaks, resets, depths, sizes and scales.

    In a pruned network, a weight that rounds to zero carries no event.
    """
    draw = data.draw
    hidden = draw(st.lists(st.sampled_from([1, 9, 16, 17, 20]), min_size=1, max_size=3))
    n_layers = len(hidden) + 1
    scale = draw(st.sampled_from([1.0, 1.0, 1.0, 1e-29, 1e29]))
    decay = st.sampled_from([1.0, 0.9, 0.5, 0.3, 0.0])
    threshold = st.sampled_from([0.7 * scale, scale, 1.3 * scale])
    network, state = firing_network(
        14,
        *hidden,
        4,
        bits=draw(
            st.tuples(st.sampled_from([2, 4, 5, 6, 8]), st.sampled_from([16, 32]))
        ),
        decay=draw(decay | st.tuples(*[decay] * n_layers)),
        threshold=draw(threshold | st.tuples(*[threshold] * n_layers)),
        reset=draw(st.sampled_from(["zero", "subtract"])),
        bias=draw(st.sampled_from([True, False, "initial"])),
        readout=draw(READOUTS),
    )
    state = {name: scale * values for name, values in state.items()}
    n_samples = draw(st.integers(1, 5))
    case = Case(
        network, state, spike_trains(14, n_samples, 9), np.arange(n_samples) % 4
    )
    assert_integers_agree(case.pruned() if draw(st.booleans()) else case)


@pytest.mark.parametrize("readout", Readout)
def test_potentials_that_saturate(readout: Readout) -> None:
    """The gradient ignores the bounds of the potential."""
    network, state = firing_network(
        *(200, 6, 3),
        seed=8,
        bits=(8, 16),
        threshold=40.0,
        reset="subtract",
        decay=0.9,
        readout=readout,
    )
    state["layer1.synapses.weight"] -= 0.6
    state["layer1.synapses.weight"][:2] += 2.0
    state["layer2.synapses.weight"] += 30.0
    network = with_grids(network, state)
    dense = spike_trains(200, 2, 40, 0.9)
    dense[:, 30:, :40] = 0
    exponents = quantisation_of(network).exponents
    thresholds = [layer.threshold for layer in layer_constants(network)]
    integers = naive.quantise(state, exponents, 8, 16)
    constants = (thresholds, [0.9] * 2, "subtract")
    lowest = 0
    for sample in dense.tolist():
        (potentials, _), *_ = naive.forward(integers, sample, constants, None, 16)
        lowest = min(lowest, np.min(potentials))
    assert lowest < -(2**15)
    assert_integers_agree(Case(network, state, dense, np.arange(2)))


@pytest.mark.parametrize(("bits", "decay"), [((2, 16), 1.0), ((8, 16), 0.9)])
def test_training_in_float32_sees_exact_integers(
    bits: tuple[int, int], decay: float
) -> None:
    """The floating-point forward pass of training fires as the integer network does."""
    network, state = firing_network(300, 70, 10, bits=bits, decay=decay)
    events = EventList.from_dense(spike_trains(300, 40, 25, 0.1))
    exact = [layer.to_dense(np.int64) for layer in run_integers(network, state, events)]
    assert min(layer.sum() for layer in exact) > 100
    for engine in engines(network, state, dtype=np.float32):
        assert_spikes(engine.run(events), exact)
        outcome, _ = engine.gradients(events, np.arange(40) % 10)
        assert outcome.spikes == (events.n_events, *(layer.sum() for layer in exact))


@needs_torch
def test_steps_below_a_unit_of_the_grid_add_up() -> None:
    """Both engines keep unrounded parameters and run with rounded ones."""
    network, state = firing_network(14, 18, 4, bits=(4, 32))
    learning = LearningSettings(logit_scale=0.3, weight_decay=0.001, grad_clip_norm=0.5)
    event, dense = engines(network, state, learning)
    before = event.state()
    exponents = quantisation_of(network).exponents
    for number in range(40):
        events = EventList.from_dense(spike_trains(14, 6, 6 + number % 5))
        labels = np.arange(6) % 4
        outcome = event.train_batch(events, labels, 0.004)
        dense_outcome = dense.train_batch(events, labels, 0.004)
        assert outcome.spikes == dense_outcome.spikes
        assert outcome.synaptic_events == dense_outcome.synaptic_events
    running = event.state()
    dense_running = dense.state()
    dense_learned = dense.learned_state()
    for name, learned in event.learned_state().items():
        np.testing.assert_allclose(learned, dense_learned[name], rtol=1e-7, atol=1e-12)
        unit = 2.0 ** -exponents[naive.layer_number(name)]
        limit = 7 if name.endswith("weight") else 2**23 - 1
        rounded = np.clip(np.round(learned / unit), -limit, limit) * unit
        assert np.array_equal(running[name], rounded)
        assert np.array_equal(running[name], dense_running[name])
        assert not np.array_equal(running[name], before[name])
    for engine in (event, dense):
        engine.choose_grids()
        assert engine.network == with_grids(network, engine.learned_state())
    assert event.network == dense.network
