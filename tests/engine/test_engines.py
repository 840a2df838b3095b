"""The two engines and the plain loops: three witnesses of one network and its
gradients.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import PRODUCTS, Currents, EventList, Products
from spikejoule.engine import choose_engine, make_engine
from spikejoule.engine.event import EventEngine
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.engine.agreement import LEARNING, assert_agrees, by_loops, engines
from tests.tools.networks import firing_network, spike_trains
from tests.tools.settings import changed
from tests.tools.without_torch import needs_torch

# One worker for all: each would compile the kernels for double precision for itself.
pytestmark = pytest.mark.xdist_group("engines")

# Of a plain Adam, weights of pixels that never fire are denormal numbers by then.
DENORMAL_STEPS = 3000


def batch(
    network: Network, n_samples: int, n_steps: int, density: float = 0.3, seed: int = 1
) -> tuple[np.ndarray, EventList, np.ndarray]:
    dense = spike_trains(network.n_input, n_samples, n_steps, density, seed)
    labels = np.random.default_rng(seed).integers(0, network.n_output, n_samples)
    return dense, EventList.from_dense(dense), labels


def direct_batch(
    network: Network, n_samples: int, n_steps: int, products: Products = "once"
) -> tuple[np.ndarray, EventList, np.ndarray]:
    """Intensities, of which some are zero, in every step; the same as currents;
    labels.
    """
    generator = np.random.default_rng([n_samples, n_steps])
    values = generator.random((n_samples, network.n_input), dtype=np.float32)
    values[generator.random(values.shape) < 0.4] = 0
    values[0] = 0
    currents = Currents.from_dense(values, products)
    events = EventList.of_currents(currents, n_steps, network.n_input)
    dense = np.repeat(values[:, None].astype(np.float64), n_steps, axis=1)
    return dense, events, generator.integers(0, network.n_output, n_samples)


def assert_all_agree(
    network: Network,
    state: dict[str, Any],
    dense: np.ndarray,
    events: EventList,
    labels: np.ndarray,
    learning: LearningSettings = LEARNING,
    masks: dict[str, np.ndarray] | None = None,
    teacher: np.ndarray | None = None,
) -> naive.Batch:
    """Both engines agree with the loops about what the input gives, `dense`."""
    pruned = masks is not None
    expected = by_loops(network, state, dense, labels, learning, teacher, pruned=pruned)
    macs = None
    if events.currents is not None:
        # Constant inputs are no spikes and cause products instead of events.
        times = events.n_steps if events.currents.products == "every_step" else 1
        weights = state["layer1.synapses.weight"].tolist()
        macs = sum(naive.input_macs(dense[:, 0].tolist(), weights, times, pruned))
        totals = (0, *expected.totals[1:])
        expected = expected._replace(totals=totals, events=(0, *expected.events[1:]))
    for engine in engines(network, state, learning):
        if masks is not None:
            engine.prune(masks)
        assert_agrees(engine, events, labels, expected, teacher, macs)
    return expected


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
        {"surrogate": st.just(name)},
        optional={"surrogate_slope": st.sampled_from([0.7, 2.0, 9.0])},
    )
)


def of_layers(values: list[float], count: int) -> st.SearchStrategy[Any]:
    """One number for all layers, or one for each of so many."""
    one = st.sampled_from(values)
    return one | st.lists(one, min_size=count, max_size=count).map(tuple)


def penalties(hidden: int) -> st.SearchStrategy[dict[str, Any]]:
    """What spikes and events cost beside the loss, with targets among the samples'
    numbers.
    """
    return st.fixed_dictionaries(
        {
            "spike_penalty": of_layers([0.0, 20.0, 50.0], hidden + 1),
            "event_penalty": of_layers([0.0, 10.0, 40.0], hidden),
            "spike_target": of_layers([0.0, 5.0, 22.0], hidden + 1),
            "event_target": of_layers([0.0, 90.0, 1e9], hidden),
        }
    )


@settings(max_examples=80)
@given(data=st.data())
def test_all_agree(data: st.DataObject) -> None:
    """Any network, batch, loss and input: one result of three witnesses."""
    draw = data.draw
    hidden = tuple(draw(st.lists(WIDTHS, min_size=1, max_size=3)))
    neuron = draw(NEURONS)
    learned = neuron.get("learned", "none")
    if learned == "none" and draw(st.booleans()):
        neuron["decay"] = tuple(
            draw(st.sampled_from([0.0, 0.6, 1.0])) for _ in (*hidden, 1)
        )
    if learned != "none":
        neuron.pop("decay", None)
    n_output = draw(
        st.sampled_from([2, 4, 17])
    )  # the gradients of one class are rounding alone
    network, state = firing_network(
        14, *hidden, n_output, seed=draw(st.integers(0, 99)), **neuron
    )
    for name, values in state.items():
        if ".neurons." in name:
            values[:] = draw(
                st.sampled_from([-0.2, 0.1] if "log_" in name else [-0.5, 2.0])
            )
    network = network.learned_from(state)
    n_samples = draw(st.integers(1, 9))
    n_steps = draw(st.integers(1, 13))
    if draw(st.integers(0, 3)) == 0:
        products = draw(st.sampled_from(PRODUCTS))
        dense, events, labels = direct_batch(network, n_samples, n_steps, products)
    else:
        density = draw(st.sampled_from([0.0, 0.1, 0.3, 0.3, 1.0]))
        dense, _, labels = batch(network, n_samples, n_steps, density)
        dense[draw(st.lists(st.integers(0, n_samples - 1), max_size=3))] = 0
        events = EventList.from_dense(dense)
    masks = None
    if draw(st.integers(0, 3)) == 0:
        generator = np.random.default_rng(5)
        weights = {name: of for name, of in state.items() if of.ndim == 2}
        masks = {name: generator.random(of.shape) < 0.7 for name, of in weights.items()}
        state = {name: of * masks.get(name, True) for name, of in state.items()}
    teacher = None
    loss = draw(SURROGATE)
    loss |= draw(st.sampled_from([{}, {"logit_scale": 5.0, "label_smoothing": 0.5}]))
    if draw(st.integers(0, 3)) == 0:
        teacher = np.random.default_rng(3).dirichlet(np.ones(n_output), n_samples)
        loss["distillation"] = 0.6
    if draw(st.integers(0, 2)) == 0:
        loss |= draw(penalties(len(hidden)))
    learning = changed(LEARNING, **loss)
    assert_all_agree(network, state, dense, events, labels, learning, masks, teacher)


def test_a_network_that_fires_has_gradients_everywhere() -> None:
    """What `test_all_agree` compares is not all zero."""
    network, state = firing_network(14, 17, 9, 4, learned="both")
    for layer, (logit, log) in enumerate(
        ((2.0, 0.1), (-0.5, -0.2), (1.0, 0.0)), start=1
    ):
        state[f"layer{layer}.neurons.decay_logit"][:] = logit
        state[f"layer{layer}.neurons.log_threshold"][:] = log
    expected = assert_all_agree(network, state, *batch(network, 5, 9, 0.4))
    assert all(np.abs(gradient).max() > 0 for gradient in expected.gradients.values())


def test_nothing_of_a_batch_shows_in_the_next() -> None:
    """Of other sizes, windows and kinds; and warming up changes nothing."""
    network, state = firing_network(9, 33, 5, 3)
    engine = EventEngine(network, state, LEARNING, np.float64)
    inputs = [batch(network, *sizes)[1:] for sizes in ((7, 6), (1, 6), (2, 9), (8, 1))]
    inputs += [direct_batch(network, 8, 6)[1:], inputs[0]]
    for events, labels in inputs:
        engine.warm_up(events)
        fresh = EventEngine(network, engine.state(), LEARNING, np.float64)
        outcome, gradients = engine.gradients(events, labels)
        expected, fresh_gradients = fresh.gradients(events, labels)
        assert outcome == expected
        for name, gradient in fresh_gradients.items():
            assert gradients[name].tobytes() == gradient.tobytes()
        engine.train_batch(events, labels, 0.01)


@needs_torch
@pytest.mark.parametrize("name", ["event", "dense"])
@pytest.mark.parametrize(
    ("neuron", "clip_norm"), [({"bias": False}, 0.05), ({"learned": "both"}, 0.0)]
)
def test_adam_and_clipping_are_those_of_torch(
    name: str, clip_norm: float, neuron: dict[str, Any]
) -> None:
    """With the gradients of the loops, torch takes the same steps, also from an
    engine's state.
    """
    import torch

    rates = (0.01, 0.003, 0.02, 0.02, 0.001, 0.01)
    learning = LearningSettings(
        logit_scale=0.3, weight_decay=0.01, grad_clip_norm=clip_norm
    )
    network, state = firing_network(12, 17, 4, **neuron)
    engine = make_engine(name, network, state, learning, dtype=np.float64)
    parameters = {
        key: torch.nn.Parameter(torch.tensor(value)) for key, value in state.items()
    }
    optimizer = torch.optim.Adam(parameters.values(), weight_decay=0.01)
    for step, rate in enumerate(rates, start=1):
        # Some inputs never fire, and some fire in some batches only.
        dense, _, labels = batch(network, 5, 6, 0.3, seed=step)
        dense[:, :, 0] = 0
        dense[:, :, 1] *= step % 2
        weights = {key: value.detach().numpy() for key, value in parameters.items()}
        gradients = by_loops(network, weights, dense, labels, learning).gradients
        for key, parameter in parameters.items():
            parameter.grad = torch.tensor(gradients[key])
        if clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(parameters.values(), clip_norm)
            assert norm > clip_norm
        if step == 4:
            told = engine.optimizer_state(rate)
            tensors = {
                index: {kind: torch.as_tensor(value) for kind, value in entry.items()}
                for index, entry in told["state"].items()
            }
            optimizer.load_state_dict({**told, "state": tensors})
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        engine.train_batch(EventList.from_dense(dense), labels, rate)
        for key, value in engine.state().items():
            np.testing.assert_allclose(
                value, parameters[key].detach(), rtol=1e-9, atol=1e-15
            )
    entries = engine.optimizer_state(rates[-1])["state"]
    for index, wanted in optimizer.state_dict()["state"].items():
        assert entries[index]["step"] == wanted["step"] == len(rates)
        for kind, smallest in (("exp_avg", 1e-15), ("exp_avg_sq", 1e-30)):
            np.testing.assert_allclose(
                entries[index][kind], wanted[kind], rtol=1e-9, atol=smallest
            )


def test_weights_of_pixels_that_never_fire_do_not_slow_training_down() -> None:
    network, state = firing_network(60, 32, 10)
    engine = EventEngine(network, state, LearningSettings(weight_decay=0.1))
    dense = np.zeros((4, 3, 60), dtype=np.uint8)
    dense[:, :, :5] = 1
    events = EventList.from_dense(dense)
    for _ in range(DENORMAL_STEPS):
        engine.train_batch(events, np.arange(4), 0.01)
    for entry in engine.optimizer_state(0.01)["state"].values():
        for kind in ("exp_avg", "exp_avg_sq"):
            values = np.abs(entry[kind][entry[kind] != 0])
            assert (values >= np.finfo(np.float32).tiny).all()
    never = engine.state()["layer1.synapses.weight"][:, 5:]
    assert np.abs(never).max() < 1e-4


@pytest.mark.parametrize("name", ["event", pytest.param("dense", marks=needs_torch)])
def test_what_does_not_fit_is_refused(name: str) -> None:
    network, state = firing_network(9, 11, 3)
    engine = make_engine(name, network, state)
    _, events, labels = batch(network, 4, 6)
    with pytest.raises(ArtifactError, match="8 inputs, but the network has 9"):
        engine.run(EventList.from_dense(np.zeros((2, 5, 8))))
    for wrong in (labels[:2], np.arange(5) % 3, labels * 0 + 3, labels * 0 - 1):
        with pytest.raises(Exception, match="."):
            engine.gradients(events, wrong)
    integers, state = firing_network(9, 11, 3, bits=(8, 32))
    with pytest.raises(ArtifactError, match="integers have no product with"):
        make_engine(name, integers, state).run(direct_batch(integers, 3, 5)[1])


def test_choice() -> None:
    for device, chosen in {"auto": "event", "cpu": "event", "cuda:1": "dense"}.items():
        assert choose_engine("auto", device, "lif") == chosen
        assert choose_engine("auto", device, "other") == "dense"
    assert choose_engine("dense", "cpu", "lif") == "dense"
    assert choose_engine("auto", "cpu", "lif", integer_chain=True) == "dense"
    with pytest.raises(
        ParameterError, match="no kernels for the neuron 'other', only for lif"
    ):
        choose_engine("event", "cpu", "other")
    with pytest.raises(
        ParameterError, match="no kernels for integer weights in convolutions"
    ):
        choose_engine("event", "cpu", "lif", integer_chain=True)
