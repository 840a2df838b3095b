"""The two engines and the plain loops: three witnesses of one network and its gradients."""

import logging
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import PRODUCTS, Currents, EventList, Products
from spikejoule.engine import choose_engine, make_engine, run_network
from spikejoule.engine.event import event_engine
from spikejoule.engine.interface import Engine
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.tools.networks import firing_network, spike_trains
from tests.tools.settings import changed
from tests.tools.without_torch import WITH_TORCH, needs_torch

if WITH_TORCH:
    import torch

    from spikejoule.engine.dense import DenseEngine

# One worker for all: each would compile the kernels for double precision for itself.
pytestmark = pytest.mark.xdist_group("engines")

logger = logging.getLogger(__name__)

RELATIVE = 1e-9
# Share of float32 spikes on which the engines may differ: v rounds to the other side.
MISMATCHES_ALLOWED = 1e-4

# Of a plain Adam, weights of pixels that never fire are denormal numbers by then.
DENORMAL_STEPS = 3000

LEARNING = LearningSettings(logit_scale=0.3, label_smoothing=0.1)


def batch(
    architecture: Network, n_samples: int, n_steps: int, density: float = 0.3, seed: int = 1
) -> tuple[np.ndarray, EventList, np.ndarray]:
    dense = spike_trains(architecture.n_input, n_samples, n_steps, density, seed)
    labels = np.random.default_rng(seed).integers(0, architecture.n_output, n_samples)
    return dense, EventList.from_dense(dense), labels


def witnesses(
    architecture: Network, state: dict[str, Any], settings: LearningSettings
) -> list[Engine]:
    """The same network in each engine, in float64; the event engine alone without PyTorch."""
    engines: list[Engine] = [event_engine(architecture, state, settings, np.float64)]
    if WITH_TORCH:
        engines.append(DenseEngine(architecture, state, settings, "cpu", np.float64))
    return engines


def assert_gradients(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    # Of the whole network: what reaches an early layer may be large terms that cancel to nothing.
    scale = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        np.testing.assert_allclose(
            found[name], gradient, rtol=RELATIVE, atol=1e-13 * scale + 1e-14, err_msg=name
        )


def assert_all_agree(
    architecture: Network,
    state: dict[str, Any],
    dense: np.ndarray,
    labels: np.ndarray,
    settings: LearningSettings = LEARNING,
    masks: dict[str, np.ndarray] | None = None,
    teacher: np.ndarray | None = None,
    given: EventList | None = None,
) -> dict[str, np.ndarray]:
    """Spikes, counts, loss and gradients of both engines are those of the loops.

    `given` is the input in the engines' form, if what it gives, `dense`, are no spikes. Returns the
    gradients.
    """
    neuron = architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    constants = (neuron.threshold, neuron.decay, neuron.reset)
    expected = naive.batch_gradient(
        state,
        dense,
        labels.tolist(),
        constants,
        (settings.surrogate, settings.chosen_surrogate.slope),
        settings.logit_scale,
        settings.label_smoothing,
        (settings.distillation, teacher),
        (
            (settings.spike_penalty, settings.spike_target),
            (settings.event_penalty, settings.event_target),
        ),
        pruned=masks is not None,
    )
    events = EventList.from_dense(dense) if given is None else given
    gradients, spikes = expected.gradients, expected.spikes
    totals = (events.n_events, *expected.totals[1:])
    matrices = [values for values in state.values() if values.ndim == 2]
    macs, sent = None, [dense, *spikes[:-1]]
    if events.currents is not None:
        times = events.n_steps if events.currents.products == "every_step" else 1
        weights, pruned = matrices[0].tolist(), masks is not None
        macs = sum(naive.input_macs(dense[:, 0].tolist(), weights, times, pruned))
        sent[0] = np.zeros_like(dense)
    synaptic_events = tuple(
        int((layer.sum(axis=(0, 1)) * (matrix != 0).sum(axis=0)).sum())
        for layer, matrix in zip(sent, matrices, strict=True)
    )
    for engine in witnesses(architecture, state, settings):
        if masks is not None:
            engine.prune(masks)
        for layer, fired in zip(engine.run(events), spikes, strict=True):
            layer.check()
            assert np.array_equal(layer.to_dense(np.int64), fired), engine.name
        outcome, found = engine.gradients(events, labels, teacher)
        assert outcome.spikes == totals
        assert (outcome.synaptic_events, outcome.input_macs) == (synaptic_events, macs)
        assert outcome.correct == expected.correct
        assert outcome.mean_loss == pytest.approx(expected.loss, rel=RELATIVE)
        assert_gradients(found, gradients)
        again, repeated = engine.gradients(events, labels, teacher)
        assert again == outcome
        assert all(np.array_equal(found[name], repeated[name]) for name in found)
    return gradients


def direct_batch(
    architecture: Network, n_samples: int, n_steps: int, products: Products = "once"
) -> tuple[np.ndarray, EventList, np.ndarray]:
    """Intensities, of which some are zero, in every step; the same as currents; labels."""
    generator = np.random.default_rng([n_samples, n_steps])
    values = generator.random((n_samples, architecture.n_input), dtype=np.float32)
    values[generator.random(values.shape) < 0.4] = 0
    values[0] = 0
    currents = Currents.from_dense(values, products)
    events = EventList.of_currents(currents, n_steps, architecture.n_input)
    dense = np.repeat(values[:, None].astype(np.float64), n_steps, axis=1)
    return dense, events, generator.integers(0, architecture.n_output, n_samples)


NEURONS = st.fixed_dictionaries(
    {},
    optional={
        "reset": st.just("subtract"),
        "bias": st.just(False),
        "decay": st.sampled_from([0.0, 0.5, 1.0]),
        "threshold": st.sampled_from([0.8, 1.3]),
        "learned": st.sampled_from(["decay", "threshold", "both"]),
    },
)
WIDTHS = st.sampled_from([1, 9, 15, 16, 17, 33, 50])
SURROGATE = st.sampled_from(list(SURROGATES)).flatmap(
    lambda name: st.fixed_dictionaries(
        {"surrogate": st.just(name)}, optional={"surrogate_slope": st.sampled_from([0.7, 2.0, 9.0])}
    )
)


def of_layers(values: list[float], count: int) -> st.SearchStrategy[Any]:
    """One number for all layers, or one for each of so many."""
    one = st.sampled_from(values)
    return one | st.lists(one, min_size=count, max_size=count).map(tuple)


@st.composite
def penalties(draw: st.DrawFn, hidden: int) -> dict[str, Any]:
    """What spikes and events cost beside the loss, with targets among the samples' numbers."""
    drawn = {
        "spike_penalty": draw(of_layers([0.0, 20.0, 50.0], hidden + 1)),
        "event_penalty": draw(of_layers([0.0, 10.0, 40.0], hidden)),
    }
    targets = {
        "spike_target": draw(of_layers([0.0, 5.0, 22.0], hidden + 1)),
        "event_target": draw(of_layers([0.0, 90.0, 1e9], hidden)),
    }
    return drawn | targets


@settings(max_examples=80)
@given(data=st.data())
def test_all_agree(data: st.DataObject) -> None:
    """Any network, batch, loss and input: one result of three witnesses."""
    draw = data.draw
    hidden = tuple(draw(st.lists(WIDTHS, min_size=1, max_size=3)))
    neuron = draw(NEURONS)
    learned = neuron.get("learned", "none")
    if learned == "none" and draw(st.booleans()):
        neuron["decay"] = tuple(draw(st.sampled_from([0.0, 0.6, 1.0])) for _ in (*hidden, 1))
    if learned != "none":
        neuron.pop("decay", None)
    n_output = draw(st.sampled_from([2, 4, 17]))  # the gradients of one class are rounding alone
    architecture, state = firing_network(
        14, *hidden, n_output, seed=draw(st.integers(0, 99)), **neuron
    )
    for name, values in state.items():
        if ".neurons." in name:
            values[:] = draw(st.sampled_from([-0.2, 0.1] if "log_" in name else [-0.5, 2.0]))
    architecture = architecture.learned_from(state)
    n_samples, n_steps = draw(st.integers(1, 9)), draw(st.integers(1, 13))
    given_events = None
    if draw(st.integers(0, 3)) == 0:
        products = draw(st.sampled_from(PRODUCTS))
        dense, given_events, labels = direct_batch(architecture, n_samples, n_steps, products)
    else:
        density = draw(st.sampled_from([0.0, 0.1, 0.3, 0.3, 1.0]))
        dense, _, labels = batch(architecture, n_samples, n_steps, density)
        dense[draw(st.lists(st.integers(0, n_samples - 1), max_size=3))] = 0
    masks = None
    if draw(st.integers(0, 3)) == 0:
        generator = np.random.default_rng(5)
        weights = {name: of for name, of in state.items() if of.ndim == 2}
        masks = {name: generator.random(of.shape) < 0.7 for name, of in weights.items()}
        state = {name: of * masks.get(name, True) for name, of in state.items()}
    teacher, loss = None, draw(SURROGATE)
    loss |= draw(st.sampled_from([{}, {"logit_scale": 5.0, "label_smoothing": 0.5}]))
    if draw(st.integers(0, 3)) == 0:
        teacher = np.random.default_rng(3).dirichlet(np.ones(n_output), n_samples)
        loss["distillation"] = 0.6
    if draw(st.integers(0, 2)) == 0:
        loss |= draw(penalties(len(hidden)))
    assert_all_agree(
        architecture, state, dense, labels, changed(LEARNING, **loss), masks, teacher, given_events
    )


def test_a_network_that_fires_has_gradients_everywhere() -> None:
    """What `test_all_agree` compares is not all zero."""
    architecture, state = firing_network(14, 17, 9, 4, learned="both")
    for layer, (logit, log) in enumerate(((2.0, 0.1), (-0.5, -0.2), (1.0, 0.0)), start=1):
        state[f"layer{layer}.neurons.decay_logit"][:] = logit
        state[f"layer{layer}.neurons.log_threshold"][:] = log
    dense, _, labels = batch(architecture, 5, 9, 0.4)
    gradients = assert_all_agree(architecture, state, dense, labels)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())


def test_a_network_of_integers_refuses_constant_currents() -> None:
    integers, state = firing_network(14, 9, 4, bits=(8, 32))
    _, events, labels = direct_batch(integers, 3, 5)
    calls: list[Any] = [lambda: run_network(state, integers, events, "event")]
    for engine in witnesses(integers, state, LEARNING):
        calls += [partial(engine.run, events), partial(engine.gradients, events, labels)]
    for call in calls:
        with pytest.raises(ArtifactError, match="integers have no product with"):
            call()


@pytest.mark.parametrize("lanes", [1, 8])
def test_nothing_of_a_batch_shows_in_the_next(lanes: int) -> None:
    """Of other sizes, windows and kinds; and warming up changes nothing."""
    architecture, state = firing_network(9, 33, 5, 3)
    engine = event_engine(architecture, state, LEARNING, np.float64, lanes)
    inputs = [batch(architecture, *sizes)[1:] for sizes in ((7, 6), (1, 6), (2, 9), (8, 1))]
    inputs += [direct_batch(architecture, 8, 6)[1:], inputs[0]]
    for events, labels in inputs:
        engine.warm_up(events)
        fresh = event_engine(architecture, engine.state(), LEARNING, np.float64, lanes)
        (outcome, found), (expected, gradients) = (
            one.gradients(events, labels) for one in (engine, fresh)
        )
        assert outcome == expected
        for name, gradient in gradients.items():
            assert found[name].tobytes() == gradient.tobytes()
        engine.train_batch(events, labels, 0.01)


def as_torch(told: dict[str, Any]) -> dict[str, Any]:
    tensors = {
        index: {kind: torch.as_tensor(value) for kind, value in entry.items()}
        for index, entry in told["state"].items()
    }
    return told | {"state": tensors}


@needs_torch
class TestAdam:
    RATES = (0.01, 0.003, 0.02, 0.02, 0.001, 0.01)

    @pytest.mark.parametrize("name", ["event", "dense"])
    @pytest.mark.parametrize(
        ("neuron", "clip_norm"),
        [({}, 1e6), ({"bias": False}, 0.05), ({"learned": "both"}, 0.05), ({}, 0.0)],
    )
    def test_against_torch(self, name: str, clip_norm: float, neuron: dict[str, Any]) -> None:
        """With the gradients of the loops, torch's own clipping and Adam take the same steps."""
        settings = LearningSettings(logit_scale=0.3, weight_decay=0.01, grad_clip_norm=clip_norm)
        architecture, state = firing_network(12, 17, 4, **neuron)
        engine = witnesses(architecture, state, settings)[int(name == "dense")]
        parameters = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in state.items()}
        optimizer = torch.optim.Adam(parameters.values(), weight_decay=0.01)
        clipped = 0
        for step, rate in enumerate(self.RATES, start=1):
            # Some inputs never fire, and some fire in some batches only.
            dense, _, labels = batch(architecture, 5, 6, 0.3, seed=step)
            dense[:, :, 0] = 0
            dense[:, :, 1] *= step % 2
            weights = {key: value.detach().numpy() for key, value in parameters.items()}
            gradients = naive.batch_gradient(
                weights, dense, labels.tolist(), (1.0, 0.9), ("arctangent", 2.0), 0.3
            ).gradients
            for key, parameter in parameters.items():
                parameter.grad = torch.tensor(gradients[key])
            if clip_norm:
                norm = torch.nn.utils.clip_grad_norm_(parameters.values(), clip_norm)
                clipped += int(norm > clip_norm)
            if step == 4:  # torch goes on from the state that the engine tells
                optimizer.load_state_dict(as_torch(engine.optimizer_state(rate)))
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            engine.train_batch(EventList.from_dense(dense), labels, rate)
            for key, value in engine.state().items():
                np.testing.assert_allclose(value, parameters[key].detach(), rtol=1e-9, atol=1e-15)
        assert clipped == (len(self.RATES) if clip_norm == 0.05 else 0)
        told, expected = engine.optimizer_state(self.RATES[-1]), optimizer.state_dict()
        assert told["state"].keys() == expected["state"].keys()
        for index, wanted in expected["state"].items():
            entry = told["state"][index]
            assert entry["step"] == wanted["step"] == len(self.RATES)
            for kind, smallest in (("exp_avg", 1e-15), ("exp_avg_sq", 1e-30)):
                np.testing.assert_allclose(entry[kind], wanted[kind], rtol=1e-9, atol=smallest)
        group, torch_group = told["param_groups"][0], expected["param_groups"][0]
        for key in ("lr", "betas", "eps", "weight_decay", "amsgrad", "params"):
            assert group[key] == torch_group[key]


def test_weights_of_pixels_that_never_fire_do_not_slow_training_down() -> None:
    architecture, state = firing_network(60, 32, 10)
    settings, rate = LearningSettings(weight_decay=0.1), 0.01
    engine = event_engine(architecture, state, settings)
    dense = np.zeros((4, 3, 60), dtype=np.uint8)
    dense[:, :, :5] = 1
    events, labels = EventList.from_dense(dense), np.array([0, 1, 2, 3])
    for _ in range(DENORMAL_STEPS):
        engine.train_batch(events, labels, rate)
    for entry in engine.optimizer_state(rate)["state"].values():
        for kind in ("exp_avg", "exp_avg_sq"):
            values = np.abs(entry[kind][entry[kind] != 0])
            assert (values >= np.finfo(np.float32).tiny).all()
    never = engine.state()["layer1.synapses.weight"][:, 5:]
    assert np.abs(never).max() < 1e-4


@needs_torch
class TestInterface:
    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_what_does_not_fit_is_refused(self, name: str) -> None:
        architecture, state = firing_network(9, 11, 3)
        engine = make_engine(name, architecture, state)
        _, events, labels = batch(architecture, 4, 6)
        narrow = EventList.from_dense(np.zeros((2, 5, 8)))
        for call in (engine.run, lambda e: engine.gradients(e, np.array([0, 1]))):
            with pytest.raises(ArtifactError, match="8 inputs, but the network has 9"):
                call(narrow)
        for wrong in (labels[:2], np.arange(5) % 3, labels * 0 + 3, labels * 0 - 1):
            with pytest.raises(Exception, match="."):
                engine.gradients(events, wrong)

    def test_choice(self) -> None:
        for device, chosen in {"auto": "event", "cpu": "event", "cuda:1": "dense"}.items():
            assert choose_engine("auto", device, "lif") == chosen
            assert choose_engine("auto", device, "other") == "dense"
        assert choose_engine("dense", "cpu", "lif") == "dense"
        with pytest.raises(ParameterError, match="no kernels of the neuron 'other', but of lif"):
            choose_engine("event", "cpu", "other")
