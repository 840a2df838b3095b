"""Convolutions, pooling and recurrent layers: the engines against plain loops, in float64."""

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
from spikejoule.engine import choose_engine, engine_to_train, make_engine
from spikejoule.engine.interface import Engine, EngineSettings
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
from tests.tools.networks import spike_trains

TOLERANCE = 1e-10
LEARNING = LearningSettings(logit_scale=0.3)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[HiddenLayer]]:
    """Shapes of an input of planes, and layers that fit them."""
    shape = (draw(st.sampled_from([1, 2, 4])), draw(st.integers(4, 7)), draw(st.integers(4, 7)))
    planes, layers, size = shape, [], draw(st.integers(1, 3))
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
        padding, stride = draw(st.integers(0, kernel - 1)), draw(st.integers(1, 2))
        groups = draw(st.sampled_from([n for n in (1, 2) if planes[0] % n == 0]))
        channels = draw(st.sampled_from([2, 4]))
        layers.append(ConvolutionLayer(channels, kernel, stride, padding, groups))
        sides = ((side + 2 * padding - kernel) // stride + 1 for side in planes[1:])
        planes = (channels, *sides)
    if draw(st.booleans()) or not layers or all(isinstance(one, PoolingLayer) for one in layers):
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


def engines(network: Network, state: Any, learning: LearningSettings) -> list[Engine]:
    """Both engines, in float64."""
    names = ("dense", "event")
    return [make_engine(name, network, state, learning, dtype=np.float64) for name in names]


def assert_as_the_loops(
    shape: tuple[int, ...],
    layers: list[HiddenLayer],
    seed: int = 0,
    learning: LearningSettings = LEARNING,
    n_steps: int = 5,
    **neuron: Any,
) -> list[np.ndarray]:
    """Spikes, counts, loss and gradients of every engine are those of the loops."""
    lif, n_output = LeakyIntegrateAndFire(**neuron), 3
    network = Network.of_chain(shape, layers, n_output, lif)
    state = state_of(network, seed)
    dense = spike_trains(network.n_input, 2, n_steps, 0.3, seed)
    labels = np.random.default_rng(seed).integers(0, n_output, 2)
    populations = naive.chain(shape, described(layers, n_output))
    expected = naive.batch_gradient(
        state, dense, labels.tolist(), (lif.threshold, lif.decay, lif.reset),
        (learning.surrogate, learning.chosen_surrogate.slope), learning.logit_scale,
        penalties=((learning.spike_penalty, learning.spike_target),
                   (learning.event_penalty, learning.event_target)),
        populations=populations,
    )  # fmt: skip
    gradients = expected.gradients
    events = EventList.from_dense(dense)
    scale = max(np.abs(gradient).max() for gradient in gradients.values())
    for engine in engines(network, state, learning):
        for found, fired in zip(engine.run(events), expected.spikes, strict=True):
            found.check()
            assert np.array_equal(found.to_dense(np.int64), fired), engine.name
        outcome, by_name = engine.gradients(events, labels)
        assert outcome.spikes == expected.totals
        assert outcome.synaptic_events == expected.events
        assert outcome.mean_loss == pytest.approx(expected.loss, rel=TOLERANCE)
        assert by_name.keys() == gradients.keys()
        for name, gradient in gradients.items():
            np.testing.assert_allclose(
                by_name[name], gradient, rtol=TOLERANCE, atol=1e-13 * scale, err_msg=name
            )
    return expected.spikes


@settings(max_examples=40, deadline=None)
@given(
    chains(),
    st.integers(0, 10**6),
    st.sampled_from(["zero", "subtract"]),
    st.sampled_from([0.8, 1.0]),
    st.booleans(),
)
def test_any_chain(
    chain: tuple[tuple[int, ...], list[HiddenLayer]],
    seed: int,
    reset: str,
    decay: float,
    bias: bool,
) -> None:
    assert_as_the_loops(*chain, seed, reset=reset, decay=decay, bias=bias)


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
def test_all_layers_fire_and_penalties_reach_them(shape: tuple[int, ...], words: list[str]) -> None:
    learning = LearningSettings(spike_penalty=30.0, event_penalty=20.0, event_target=3.0)
    spikes = assert_as_the_loops(shape, [*layers_of(words)], 5, learning, 6, reset="subtract")
    assert all(layer.any() for layer in spikes)


@pytest.mark.parametrize("words", [["4c3p1g2", "2avg", "6r"], ["2avg", "5"]])
@pytest.mark.parametrize(
    "encoder", [Direct(time_window=4), Latency(time_window=4), Direct(time_window=1)]
)
def test_both_learn_alike(words: list[str], encoder: Encoder) -> None:
    neuron = LeakyIntegrateAndFire(learned="both", reset="subtract")
    network = Network.of_chain((2, 7, 6), layers_of(words), 3, neuron)
    state = state_of(network, 3)
    for name in state:
        if ".neurons." in name:
            state[name] = np.array([0.5])
    generator = np.random.default_rng(4)
    pair = engines(network, state, LearningSettings(logit_scale=0.3))
    for step in range(5):
        images = generator.integers(0, 256, (7, 84), dtype=np.uint8)
        events = encoder.encode(images, encoder.draw_key(1, "train", step)).events
        labels = generator.integers(0, 3, 7)
        dense, event = (engine.train_batch(events, labels, 0.01) for engine in pair)
        assert event.mean_loss == pytest.approx(dense.mean_loss, rel=1e-8)
        assert replace(event, mean_loss=0) == replace(dense, mean_loss=0)
        if step == 2:
            masks = {name: generator.random(of.shape) < 0.6 for name, of in state.items()}
            for engine in pair:
                engine.prune({name: masks[name] for name in network.weight_names})
    one, other = (engine.snapshot().first for engine in pair)
    assert one.keys() == other.keys() == state.keys()
    expected, found = (engine.state() for engine in pair)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-7, atol=1e-10, err_msg=name)


def test_a_pruned_convolution_carries_fewer_events() -> None:
    network = Network.of_chain((1, 6, 6), layers_of(["2c3", "2sum", "4r"]), 2)
    state = state_of(network, 1)
    engine = make_engine("dense", network, state, dtype=np.float64)
    masks = {name: np.random.default_rng(2).random(of.shape) < 0.5
             for name, of in state.items() if of.ndim > 1}  # fmt: skip
    engine.prune(masks)
    dense = spike_trains(36, 2, 5)
    outcome, _ = engine.gradients(EventList.from_dense(dense), np.array([0, 1]))
    populations = naive.chain((1, 6, 6), [("convolution", 2, 3, 1, 0, 1)])
    kept = masks["layer1.synapses.weight"].ravel()
    reached = np.zeros(36, int)
    for source, _, place, _ in populations[0][2]:
        reached[source] += kept[place]
    assert outcome.synaptic_events[0] == int((dense.sum(axis=(0, 1)) * reached).sum())
    assert len(outcome.synaptic_events) == 4


def test_threads_change_no_bit_of_integers_in_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 2)
    monkeypatch.setattr(numba, "set_num_threads", lambda threads: None)
    layers = layers_of(["12c5s2", "16c3", "40r"])
    network = Network.of_chain((1, 28, 28), layers, 10, None, Quantisation(6, 16))
    events = EventList.from_dense(spike_trains(784, 64, 6, 0.1))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            engine, granted = engine_to_train(EngineSettings(threads=threads), network, LEARNING, 1)
            assert (engine.name, granted) == ("dense", 1)
            engine.train_batch(events, np.arange(64) % 10, 0.01)
            found.append(engine.learned_state())
    finally:
        torch.set_num_threads(before)
    for name, values in found[0].items():
        assert np.array_equal(found[1][name], values), name


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_integers_are_those_of_the_loops(reset: str) -> None:
    shape, layers, bits = (2, 6, 6), [*layers_of(["4c3p1g2", "2sum", "6r"])], (4, 16)
    neuron = LeakyIntegrateAndFire(reset=reset, decay=0.9)
    network = Network.of_chain(shape, layers, 3, neuron, Quantisation(*bits))
    state = {name: of.astype(np.float32) for name, of in state_of(network, 3).items()}
    dense = spike_trains(network.n_input, 3, 6, 0.3, 3)
    engine = make_engine("dense", network, state)
    quantisation = engine.network.quantisation
    assert quantisation is not None
    labels = [0, 2, 1]
    expected = naive.integer_batch_gradient(
        state, quantisation.exponents, bits, ([1.0] * 3, [0.9] * 3, reset), dense, labels,
        ("arctangent", LEARNING.chosen_surrogate.slope), (LEARNING.logit_scale, 0.0),
        naive.chain(shape, described(layers, 3)),
    )  # fmt: skip
    for found, fired in zip(engine.run(EventList.from_dense(dense)), expected.spikes, strict=True):
        assert fired.any()
        assert np.array_equal(found.to_dense(np.int64), fired)
    # What a file keeps are the numbers that the integers stand for: they give the same spikes.
    again = make_engine("dense", engine.network, engine.state())
    events = EventList.from_dense(dense)
    for one, other in zip(engine.run(events), again.run(events), strict=True):
        assert np.array_equal(one.sources, other.sources)
    # The gradient goes through rounding and saturation as if they were not there.
    exact = make_engine("dense", engine.network, state, LEARNING, dtype=np.float64)
    outcome, by_name = exact.gradients(events, np.array(labels))
    assert outcome.synaptic_events == expected.events
    for name, gradient in expected.gradients.items():
        np.testing.assert_allclose(
            by_name[name], gradient, rtol=TOLERANCE, atol=1e-14, err_msg=name
        )


def test_integers_of_chains_are_the_dense_engine_s_and_average_nothing() -> None:
    assert choose_engine("auto", "cpu", "lif", integer_chain=True) == "dense"
    with pytest.raises(ParameterError, match="no kernels of integer weights in convolutions"):
        choose_engine("event", "cpu", "lif", integer_chain=True)
    with pytest.raises(ParameterError, match="the layer 2avg has no place on the grid"):
        Network.of_chain((1, 6, 6), layers_of(["2c3", "2avg"]), 2, None, Quantisation(8, 32))
