"""The sampled backward pass: plain loops with the same draws, no bias, no drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.compiling import compiled
from spikejoule.compiling.emit import LANES
from spikejoule.core.errors import ParameterError
from spikejoule.encoding.events import EventList
from spikejoule.engine.kernels.structures import Rows, Spikes
from spikejoule.engine.learning import make_trainer
from spikejoule.engine.learning.event import EventTrainer
from spikejoule.engine.learning.kernels.sampling import keep_deltas
from spikejoule.engine.learning.sampling import DeltaSampler
from spikejoule.network.layers import layers_of
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from tests import naive
from tests.engine.agreement import LEARNING, Case, assert_gradients
from tests.tools.networks import firing_network, firing_state, spike_trains
from tests.tools.settings import changed
from tests.tools.without_torch import needs_torch

pytestmark = pytest.mark.xdist_group("engines")

SAMPLED = changed(LEARNING, backward="sampled", backward_fraction=0.1)


def deep_case(*hidden: int, n_steps: int = 7, n_samples: int = 4) -> Case:
    """A network of some hidden layers, and a batch."""
    network, state = firing_network(9, *hidden, 5)
    dense = spike_trains(9, n_samples, n_steps)
    labels = np.random.default_rng(1).integers(0, 5, n_samples)
    return Case(network, state, dense, labels, SAMPLED)


def adapted_engine(case: Case, learning: LearningSettings) -> EventTrainer:
    """An engine whose scales keep the wanted fraction of a batch's deltas."""
    engine = EventTrainer(case.network, case.state, learning, np.float64)
    events = EventList.from_dense(case.dense)
    for seed in range(150):
        outcome, _ = engine.gradients(events, case.labels, seed=seed)
        kept = outcome.kept_deltas
        assert kept is not None
        engine._sampler.adapt(kept, events.n_samples * events.n_steps)
    return engine


@settings(max_examples=25)
@given(data=st.data())
def test_the_loops_agree_on_the_same_draws(data: st.DataObject) -> None:
    """In float64, for any widths, windows and batches."""
    widths = st.lists(st.sampled_from([1, 9, 16, 33, 50]), min_size=2, max_size=4)
    case = deep_case(
        *data.draw(widths),
        n_steps=data.draw(st.integers(1, 9)),
        n_samples=data.draw(st.integers(1, 6)),
    )
    engine = adapted_engine(case, SAMPLED)
    seed = data.draw(st.integers(0, 2**32 - 1))
    sampling = engine._sampler.draw(seed, 0)
    _, gradients = engine.gradients(
        EventList.from_dense(case.dense), case.labels, seed=seed
    )
    expected = case.by_loops(
        sampling=naive.Sampling(sampling.scales.tolist(), int(sampling.key))
    )
    assert_gradients(gradients, expected.gradients)


def test_no_bias() -> None:
    """The mean over draws approaches the exact gradient as 1 / sqrt(draws)."""
    case = deep_case(30, 40, 20)
    events = EventList.from_dense(case.dense)
    engine = adapted_engine(case, SAMPLED)
    exact_engine = EventTrainer(case.network, case.state, LEARNING, np.float64)
    name = "layer1.synapses.weight"
    _, exact = exact_engine.gradients(events, case.labels)
    n_draws = 2000
    draws = np.array(
        [
            engine.gradients(events, case.labels, seed=seed)[1][name].ravel()
            for seed in range(n_draws)
        ]
    )
    spread = draws.std(axis=0)
    varied = spread > 0
    assert varied.mean() > 0.5
    deviations = (draws.mean(axis=0) - exact[name].ravel())[varied]
    in_errors = deviations / (spread[varied] / np.sqrt(n_draws))
    # Standard errors: of a normal distribution, 0.3 % are beyond 3.
    assert 0.7 < np.sqrt(np.mean(in_errors**2)) < 1.3
    assert np.mean(np.abs(in_errors) > 4) < 0.005


def test_weights_of_the_last_hidden_layers_have_the_exact_gradient() -> None:
    """Only what goes through a sampled layer changes, and what was kept is counted."""
    case = deep_case(30, 40)
    events = EventList.from_dense(case.dense)
    _, exact = EventTrainer(case.network, case.state, LEARNING, np.float64).gradients(
        events, case.labels
    )
    outcome, sampled = adapted_engine(case, SAMPLED).gradients(events, case.labels)
    for layer in ("layer2", "layer3"):
        name = f"{layer}.synapses.weight"
        assert sampled[name].tobytes() == exact[name].tobytes()
    first = "layer1.synapses.weight"
    assert not np.allclose(sampled[first], exact[first])
    assert outcome.kept_deltas is not None
    kept = np.array(outcome.kept_deltas) / (4 * 7 * np.array([30, 40, 5]))
    assert kept.tolist() == [0, pytest.approx(0.1, rel=0.4), 0]


def test_a_snapshot_continues_with_the_same_draws() -> None:
    case = deep_case(30, 40, 20)
    events = EventList.from_dense(case.dense)
    engine = EventTrainer(case.network, case.state, SAMPLED)
    for _ in range(30):
        engine.train_batch(events, case.labels, 0.01, seed=3)
    resumed = EventTrainer(case.network, case.state, SAMPLED)
    resumed.restore(type(engine.snapshot()).of_arrays(engine.snapshot().arrays()))
    for _ in range(3):
        outcome = engine.train_batch(events, case.labels, 0.01, seed=3)
        assert resumed.train_batch(events, case.labels, 0.01, seed=3) == outcome
    for name, values in engine.snapshot().arrays().items():
        assert resumed.snapshot().arrays()[name].tobytes() == values.tobytes(), name


def test_the_scale_follows_the_deltas() -> None:
    """From far below, to the fraction wanted, and after deltas that grow."""
    sampler = DeltaSampler(0.05, [100, 200, 10], np.float32)
    generator = np.random.default_rng(0)
    for size in (1.0, 1.0, 30.0):
        for _ in range(200):
            deltas = size * generator.exponential(size=50 * 200)
            chances = np.minimum(1, deltas / sampler.scales[1])
            kept = int((generator.random(deltas.size) < chances).sum())
            sampler.adapt((0, kept, 0), 50)
        assert kept / deltas.size == pytest.approx(0.05, rel=0.2)
    # It recovers from batches without any delta.
    for n_batches, kept in ((1000, 0), (100, 50 * 200)):
        for _ in range(n_batches):
            sampler.adapt((0, kept, 0), 50)
    assert sampler.scales[1] > 1


@compiled
def _kept(values, scale, kept, amplitudes, marked):
    rows = Rows(values, 0, LANES)
    return keep_deltas(rows, 3, scale, np.uint64(1), kept, amplitudes, marked)


def test_an_odd_number_of_words_stays_in_its_memory() -> None:
    """Three steps of one vector; words are written in pairs."""
    values = np.ones(4 * LANES)
    kept = Spikes(np.zeros(4 * LANES, np.uint16), np.zeros(4, np.int64))
    marked = np.full(5, 12345, np.uint16)
    n_kept = _kept(values, 1e-9, kept, np.zeros(4 * LANES), marked)
    assert n_kept == 3 * LANES
    assert marked[4] == 12345
    case = deep_case(16, 16)
    engine = EventTrainer(case.network, case.state, SAMPLED)
    engine.train_batch(EventList.from_dense(case.dense), case.labels, 0.01)
    n_steps = case.dense.shape[1]
    assert n_steps % 2
    assert engine._gradients._workspace.marked.shape[1] >= n_steps + 1


@pytest.mark.parametrize("name", ["event", pytest.param("dense", marks=needs_torch)])
def test_where_it_is_not_supported(name: str) -> None:
    shallow = Network.of_layers(9, (20,), 5)
    recurrent = Network.of_chain((9,), layers_of(["20r", "20"]), 5)
    deep = Network.of_layers(9, (20, 20), 5)
    networks = [shallow, recurrent] if name == "event" else [deep]
    for network in networks:
        with pytest.raises(ParameterError, match="two or more fully connected"):
            make_trainer(name, network, firing_state(network, 0), SAMPLED)
