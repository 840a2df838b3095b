"""Convolutions, pooling and recurrent layers: the engines against plain loops, in
float64.
"""

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.core.errors import ParameterError
from spikejoule.encoding.encoder import Encoder
from spikejoule.encoding.encoders.direct import Direct
from spikejoule.encoding.encoders.latency import Latency
from spikejoule.encoding.events import EventList
from spikejoule.engine import engine_to_train, make_engine
from spikejoule.engine.interface import EngineSettings
from spikejoule.network.layers import (
    ConvolutionLayer,
    DenseLayer,
    HiddenLayer,
    PoolingLayer,
    layers_of,
)
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.quantisation import Quantisation
from tests import naive
from tests.engine.agreement import (
    RELATIVE,
    assert_agrees,
    assert_gradients,
    assert_spikes,
    by_loops,
    engines,
)
from tests.tools.networks import spike_trains

LEARNING = LearningSettings(logit_scale=0.3)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[HiddenLayer]]:
    """Shapes of an input of planes, and layers that fit them."""
    shape = (
        draw(st.sampled_from([1, 2, 4])),
        draw(st.integers(4, 7)),
        draw(st.integers(4, 7)),
    )
    planes = shape
    layers: list[HiddenLayer] = []
    size = draw(st.integers(1, 3))
    while len(layers) < size:
        kinds = ["convolution", "pooling"] if min(planes[1:]) >= 2 else []
        if layers and isinstance(layers[-1], PoolingLayer):
            kinds = kinds[:1]
        kind = draw(st.sampled_from([*kinds, "dense"]))
        if kind == "dense":
            break
        if kind == "pooling":
            layers.append(PoolingLayer(2, draw(st.booleans())))
            planes = (planes[0], planes[1] // 2, planes[2] // 2)
            continue
        kernel = draw(st.integers(1, min(3, *planes[1:])))
        padding = draw(st.integers(0, kernel - 1))
        stride = draw(st.integers(1, 2))
        groups = draw(st.sampled_from([n for n in (1, 2) if planes[0] % n == 0]))
        channels = draw(st.sampled_from([2, 4]))
        layers.append(ConvolutionLayer(channels, kernel, stride, padding, groups))
        sides = ((side + 2 * padding - kernel) // stride + 1 for side in planes[1:])
        planes = (channels, *sides)
    if (
        draw(st.booleans())
        or not layers
        or all(isinstance(one, PoolingLayer) for one in layers)
    ):
        layers.append(DenseLayer(draw(st.integers(1, 6)), draw(st.booleans())))
    return shape, layers


def described(layers: list[HiddenLayer], n_output: int) -> list[tuple[Any, ...]]:
    """Layers as the loops take them, the output with them."""
    made: list[tuple[Any, ...]] = []
    for one in (*layers, DenseLayer(n_output)):
        if isinstance(one, DenseLayer):
            made.append(("dense", one.n_units, one.recurrent))
        elif isinstance(one, PoolingLayer):
            made.append(("pooling", one.window, one.average))
        else:
            sizes = (one.kernel, one.stride, one.padding, one.groups)
            made.append(("convolution", one.channels, *sizes))
    return made


def state_of(network: Network, seed: int) -> dict[str, np.ndarray]:
    """Weights with which the layers fire now and then, float64."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0.15, 1.5 / np.sqrt(max(np.prod(shape[1:]), 3)), shape)
        if len(shape) > 1
        else generator.normal(0.15, 0.1, shape)
        for name, shape in network.parameter_shapes().items()
    }


def assert_as_the_loops(
    shape: tuple[int, ...],
    layers: list[HiddenLayer],
    seed: int = 0,
    learning: LearningSettings = LEARNING,
    n_steps: int = 5,
    pruned: bool = False,
    **neuron: Any,
) -> list[np.ndarray]:
    """Spikes, counts, loss and gradients of every engine are those of the loops."""
    network = Network.of_chain(shape, layers, 3, LeakyIntegrateAndFire(**neuron))
    state = state_of(network, seed)
    generator = np.random.default_rng(seed)
    masks = {
        name: generator.random(state[name].shape) < 0.6 for name in network.weight_names
    }
    if pruned:
        state = {name: of * masks.get(name, True) for name, of in state.items()}
    dense = spike_trains(network.n_input, 2, n_steps, 0.3, seed)
    labels = generator.integers(0, 3, 2)
    populations = naive.chain(shape, described(layers, 3))
    expected = by_loops(
        network, state, dense, labels, learning, populations=populations, pruned=pruned
    )
    for engine in engines(network, state, learning):
        if pruned:
            engine.prune(masks)
        assert_agrees(engine, EventList.from_dense(dense), labels, expected)
    return expected.spikes


@settings(max_examples=40, deadline=None)
@given(
    chains(),
    st.integers(0, 10**6),
    st.sampled_from(["zero", "subtract"]),
    st.sampled_from([0.8, 1.0]),
    st.booleans(),
    st.booleans(),
)
def test_any_chain(
    chain: tuple[tuple[int, ...], list[HiddenLayer]],
    seed: int,
    reset: str,
    decay: float,
    bias: bool,
    pruned: bool,
) -> None:
    assert_as_the_loops(
        *chain, seed, pruned=pruned, reset=reset, decay=decay, bias=bias
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 7, 6), ["4c3s2p1g2", "2sum", "3"]),
        ((1, 6, 6), ["2c3", "2avg", "4c2", "5r"]),
        ((7,), ["6r", "5r"]),
        ((7,), ["6", "5r", "4"]),
        ((2, 6, 6), ["2sum", "5"]),
    ],
)
def test_all_layers_fire_and_penalties_reach_them(
    shape: tuple[int, ...], words: list[str]
) -> None:
    learning = LearningSettings(
        spike_penalty=30.0, event_penalty=20.0, event_target=3.0
    )
    spikes = assert_as_the_loops(
        shape, [*layers_of(words)], 5, learning, 6, reset="subtract"
    )
    assert all(layer.any() for layer in spikes)


@pytest.mark.parametrize(
    ("words", "encoder"),
    [
        (["4c3p1g2", "2avg", "6r"], Direct(time_window=4)),
        (["4c3p1g2", "2avg", "6r"], Direct(time_window=1)),
        (["2avg", "5"], Latency(time_window=4)),
    ],
)
def test_both_learn_alike(words: list[str], encoder: Encoder) -> None:
    neuron = LeakyIntegrateAndFire(learned="both", reset="subtract")
    network = Network.of_chain((2, 7, 6), layers_of(words), 3, neuron)
    state = state_of(network, 3)
    for name in state:
        if ".neurons." in name:
            state[name] = np.array([0.5])
    generator = np.random.default_rng(4)
    pair = engines(network, state, LEARNING)
    for step in range(5):
        images = generator.integers(0, 256, (7, 84), dtype=np.uint8)
        events = encoder.encode(images, encoder.draw_key(1, "train", step)).events
        labels = generator.integers(0, 3, 7)
        outcomes = [engine.train_batch(events, labels, 0.01) for engine in pair]
        assert outcomes[0].mean_loss == pytest.approx(outcomes[-1].mean_loss, rel=1e-8)
        assert replace(outcomes[0], mean_loss=0) == replace(outcomes[-1], mean_loss=0)
        if step == 2:
            masks = {
                name: generator.random(of.shape) < 0.6 for name, of in state.items()
            }
            for engine in pair:
                engine.prune({name: masks[name] for name in network.weight_names})
    states = [engine.state() for engine in pair]
    for name, values in states[-1].items():
        np.testing.assert_allclose(
            states[0][name], values, rtol=1e-7, atol=1e-10, err_msg=name
        )


def test_threads_change_no_bit_of_integers_in_a_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 2)
    monkeypatch.setattr(numba, "set_num_threads", lambda threads: None)
    layers = layers_of(["12c5s2", "16c3", "40r"])
    network = Network.of_chain((1, 28, 28), layers, 10, None, Quantisation(6, 16))
    events = EventList.from_dense(spike_trains(784, 64, 6, 0.1))
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            engine, granted = engine_to_train(
                EngineSettings(threads=threads), network, LEARNING, 1
            )
            assert (engine.name, granted) == ("dense", 1)
            engine.train_batch(events, np.arange(64) % 10, 0.01)
            found.append(engine.learned_state())
    finally:
        torch.set_num_threads(before)
    for name, values in found[0].items():
        assert np.array_equal(found[1][name], values), name


def test_integers_are_those_of_the_loops() -> None:
    pytest.importorskip("torch")
    shape = (2, 6, 6)
    layers = [*layers_of(["4c3p1g2", "2sum", "6r"])]
    bits = (4, 16)
    neuron = LeakyIntegrateAndFire(reset="subtract", decay=0.9)
    network = Network.of_chain(shape, layers, 3, neuron, Quantisation(*bits))
    state = {name: of.astype(np.float32) for name, of in state_of(network, 3).items()}
    dense = spike_trains(network.n_input, 3, 6, 0.3, 3)
    events = EventList.from_dense(dense)
    engine = make_engine("dense", network, state)
    quantisation = engine.network.quantisation
    assert quantisation is not None
    labels = np.array([0, 2, 1])
    model = naive.Model(
        naive.Neuron([1.0] * 3, [0.9] * 3, "subtract"),
        ("arctangent", LEARNING.chosen_surrogate.slope),
        naive.Loss(LEARNING.logit_scale),
        naive.chain(shape, described(layers, 3)),
    )
    grids = naive.Grids(quantisation.exponents, *bits)
    expected = naive.integer_batch_gradient(state, dense, labels.tolist(), model, grids)
    assert all(fired.any() for fired in expected.spikes)
    assert_spikes(engine.run(events), expected.spikes)
    # What a file keeps are the numbers that the integers stand for: they give the same
    # spikes.
    again = make_engine("dense", engine.network, engine.state())
    assert_spikes(again.run(events), expected.spikes)
    # The gradient goes through rounding and saturation as if they were not there.
    exact = make_engine("dense", engine.network, state, LEARNING, dtype=np.float64)
    outcome, gradients = exact.gradients(events, labels)
    assert outcome.synaptic_events == expected.events
    assert outcome.mean_loss == pytest.approx(expected.loss, rel=RELATIVE)
    assert_gradients(gradients, expected.gradients)


def test_integers_average_nothing() -> None:
    with pytest.raises(ParameterError, match="the layer 2avg has no place on the grid"):
        Network.of_chain(
            (1, 6, 6), layers_of(["2c3", "2avg"]), 2, None, Quantisation(8, 32)
        )
