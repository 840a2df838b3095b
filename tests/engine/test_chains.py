"""Convolution, pooling and recurrence: both engines against plain loops, in float64."""

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.events import EventList
from spikejoule.engine.interface import EngineSettings
from spikejoule.engine.learning import chosen_trainer
from spikejoule.network.layers import (
    layers_of,
)
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.readout import Readout
from tests.engine.agreement import READOUTS, Case, engines
from tests.engine.test_quantised_training import assert_integers_agree
from tests.tools.networks import (
    Chain,
    chains,
    firing_state,
    populations_of,
    spike_trains,
)

LEARNING = LearningSettings(logit_scale=0.3)


def state_of(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Weights with which convolutions fire too."""
    state = firing_state(network, seed)
    return state | {name: state[name] + 0.1 for name in network.weight_names}


def case_of(
    chain: Chain, seed: int, readout: Readout = Readout.SPIKES, **neuron: Any
) -> Case:
    """A network with 3 outputs, and two samples of 6 steps."""
    shape, layers = chain
    network = Network.of_chain(shape, layers, 3, LeakyIntegrateAndFire(**neuron))
    network = network.with_readout(readout)
    dense = spike_trains(network.n_input, 2, 6, 0.3, seed)
    labels = np.random.default_rng(seed).integers(0, 3, 2)
    return Case(network, state_of(network, seed), dense, labels, LEARNING)


NEURONS = st.fixed_dictionaries(
    {
        "reset": st.sampled_from(["zero", "subtract"]),
        "decay": st.sampled_from([0.8, 1.0]),
        "bias": st.sampled_from([True, False, "initial"]),
        "readout": READOUTS,
    }
)


PENALTIES = LearningSettings(spike_penalty=30.0, spike_target=3.0)


@settings(max_examples=35, deadline=None)
@given(
    chains(largest=7),
    st.integers(0, 10**6),
    NEURONS,
    st.booleans(),
    st.sampled_from([LEARNING, PENALTIES]),
)
def test_any_chain(
    chain: Chain,
    seed: int,
    neuron: dict[str, Any],
    pruned: bool,
    learning: LearningSettings,
) -> None:
    case = replace(case_of(chain, seed, **neuron), learning=learning)
    if pruned:
        case = case.pruned(seed)
    expected = case.by_loops(populations_of(*chain, 3))
    case.assert_engines_agree(EventList.from_dense(case.dense), expected)


@pytest.mark.parametrize(
    ("words", "encoder", "readout"),
    [
        (["4c3p1g2", "2avg", "6r"], Direct(time_window=4), Readout.SPIKES),
        (["2avg", "5"], Latency(time_window=4), Readout.SPIKES),
        (["4c3", "5r"], Latency(time_window=4), Readout.MAX_POTENTIAL),
    ],
)
def test_both_engines_train_alike(
    words: list[str], encoder: Encoder, readout: Readout
) -> None:
    neuron = LeakyIntegrateAndFire(learned="both", reset="subtract")
    network = Network.of_chain((2, 7, 6), layers_of(words), 3, neuron)
    network = network.with_readout(readout)
    state = state_of(network, 3)
    generator = np.random.default_rng(4)
    pair = engines(network, state, LEARNING)
    for step in range(5):
        images = generator.integers(0, 256, (7, 84), dtype=np.uint8)
        events = encoder.encode(images, encoder.draw_key(1, "train", step)).events
        labels = generator.integers(0, 3, 7)
        outcomes = [engine.train_batch(events, labels, 0.01) for engine in pair]
        assert outcomes[0].mean_loss == pytest.approx(outcomes[-1].mean_loss, rel=1e-8)
        counts = [
            replace(outcome, mean_loss=0, gradients_reached=None)
            for outcome in outcomes
        ]
        assert counts[0] == counts[-1]
        fired = [count > 0 for count in outcomes[0].spikes[1:]]
        assert fired == [True] * (len(fired) - 1) + [readout.is_spiking]
        if step == 2:
            masks = {
                name: generator.random(state[name].shape) < 0.6
                for name in network.weight_names
            }
            for engine in pair:
                engine.prune(masks)
    states = [engine.state() for engine in pair]
    for name, mask in masks.items():
        assert (states[0][name][~mask] == 0).all()
        assert (states[0][name][mask] != 0).all()
    for name, values in states[-1].items():
        np.testing.assert_allclose(
            states[0][name], values, rtol=1e-7, atol=1e-10, err_msg=name
        )


def test_integers_in_a_chain_train_on_one_thread() -> None:
    """The last bits of PyTorch's sums depend on the number of threads."""
    torch = pytest.importorskip("torch")
    network = Network.of_chain((9,), layers_of(["5r"]), 3, None, Quantisation(6, 16))
    before = (torch.get_num_threads(), numba.get_num_threads())
    try:
        engine, threads = chosen_trainer(EngineSettings(), network, LEARNING, 1)
        assert (engine.name, threads, torch.get_num_threads()) == ("dense", 1, 1)
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


def test_integers_are_those_of_the_loops() -> None:
    pytest.importorskip("torch")
    shape = (2, 6, 6)
    layers = [*layers_of(["4c3p1g2", "2sum", "6r"])]
    neuron = LeakyIntegrateAndFire(reset="subtract", decay=0.9)
    network = Network.of_chain(shape, layers, 3, neuron, Quantisation(4, 16))
    state = state_of(network, 3)
    # The grid must have room for the largest weight of the layer.
    state["layer2.recurrent.weight"] *= 4
    dense = spike_trains(network.n_input, 3, 6, 0.3, 3)
    case = Case(network, state, dense, np.arange(3))
    spikes = assert_integers_agree(case, populations_of(shape, layers, 3))
    assert all(fired.any() for fired in spikes)
