"""Both engines and the plain loops: three witnesses of a network and its gradients."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import PRODUCTS, Currents, EventList, Products
from spikejoule.engine import choose_engine, make_engine
from spikejoule.engine.learning import make_trainer
from spikejoule.engine.learning.event import EventTrainer
from spikejoule.engine.learning.interface import adam_state
from spikejoule.network.learning import LearningSettings
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.readout import Readout
from spikejoule.network.surrogates import SURROGATES
from tests import naive
from tests.engine.agreement import LEARNING, READOUTS, Case
from tests.tools.networks import firing_network, spike_trains
from tests.tools.settings import changed
from tests.tools.without_torch import needs_torch

# One worker for all: every worker would compile the float64 kernels.
pytestmark = pytest.mark.xdist_group("engines")

# After so many steps of plain Adam, weights of silent pixels are subnormal numbers.
DENORMAL_STEPS = 3000


def case_of(
    network: Network, state: dict[str, Any], n_steps: int, n_samples: int = 5
) -> Case:
    """Random spikes and labels for a network."""
    dense = spike_trains(network.n_input, n_samples, n_steps)
    labels = np.random.default_rng(1).integers(0, network.n_output, n_samples)
    return Case(network, state, dense, labels)


def with_currents(case: Case, products: Products = "once") -> tuple[Case, EventList]:
    """Replace the spikes by constant currents, of which some are zero."""
    n_samples, n_steps, n_inputs = case.dense.shape
    generator = np.random.default_rng([n_samples, n_steps])
    values = generator.random((n_samples, n_inputs), dtype=np.float32)
    values[generator.random(values.shape) < 0.4] = 0
    values[0] = 0
    currents = Currents.from_dense(values, products)
    dense = np.repeat(values[:, None].astype(np.float64), n_steps, axis=1)
    events = EventList.of_currents(currents, n_steps, n_inputs)
    return replace(case, dense=dense), events


def assert_spikes_agree(case: Case) -> naive.Batch:
    """Both engines agree with the loops on input spikes."""
    expected = case.by_loops()
    case.assert_engines_agree(EventList.from_dense(case.dense), expected)
    return expected


def assert_currents_agree(case: Case, events: EventList) -> None:
    """The same for constant currents: products in place of spikes and events."""
    assert events.currents is not None
    expected = case.by_loops()
    times = events.n_steps if events.currents.products == "every_step" else 1
    synapses = np.ones(case.state["layer1.synapses.weight"].shape, bool)
    if case.masks is not None:
        synapses = case.masks["layer1.synapses.weight"]
    # In every such step, each input that is not zero is multiplied at its synapses.
    macs = times * np.sum((case.dense[:, 0] != 0) @ synapses.sum(axis=0))
    counts = expected._replace(
        totals=(0, *expected.totals[1:]),
        events=(0, *expected.events[1:]),
        touched=(0, *expected.touched[1:]),
    )
    case.assert_engines_agree(events, counts, macs)


NEURONS = st.fixed_dictionaries(
    {},
    optional={
        "reset": st.just("subtract"),
        "bias": st.sampled_from([False, "initial"]),
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


def per_layer(values: list[float], n_layers: int) -> st.SearchStrategy[Any]:
    """One number for all layers, or one for each."""
    one = st.sampled_from(values)
    return one | st.lists(one, min_size=n_layers, max_size=n_layers).map(tuple)


def penalties(n_layers: int) -> st.SearchStrategy[dict[str, Any]]:
    """Penalties, with targets in the range of the samples' counts."""
    return st.fixed_dictionaries(
        {
            "spike_penalty": per_layer([0.0, 20.0, 50.0], n_layers),
            "spike_target": per_layer([0.0, 5.0, 22.0], n_layers),
        }
    )


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, dict[str, Any]]:
    """A network of 14 inputs and one to three hidden layers, with its parameters."""
    hidden = tuple(draw(st.lists(WIDTHS, min_size=1, max_size=3)))
    neuron = draw(NEURONS)
    if "learned" in neuron:
        neuron.pop("decay", None)
    elif draw(st.booleans()):
        decay = st.sampled_from([0.0, 0.6, 1.0])
        neuron["decay"] = tuple(draw(decay) for _ in (*hidden, "output"))
    # With a single class all gradients would be rounding errors.
    n_output = draw(st.sampled_from([2, 4, 17]))
    seed = draw(st.integers(0, 99))
    readout = draw(READOUTS)
    network, state = firing_network(
        14, *hidden, n_output, seed=seed, readout=readout, **neuron
    )
    for name, values in state.items():
        if ".neurons." in name:
            choices = [-0.2, 0.1] if "log_" in name else [-0.5, 2.0]
            values[:] = draw(st.sampled_from(choices))
    return network.learned_from(state), state


@settings(max_examples=80)
@given(data=st.data())
def test_all_agree(data: st.DataObject) -> None:
    """Three witnesses agree for any network, batch, loss and input."""
    draw = data.draw
    network, state = draw(networks())
    n_samples = draw(st.integers(1, 9))
    case = case_of(network, state, draw(st.integers(1, 13)), n_samples)
    loss = draw(SURROGATE)
    loss |= draw(st.sampled_from([{}, {"logit_scale": 5.0, "label_smoothing": 0.5}]))
    if draw(st.integers(0, 2)) == 0:
        loss |= draw(penalties(len(network.layers) - 1))
    case = replace(case, learning=changed(LEARNING, **loss))
    if draw(st.integers(0, 3)) == 0:
        case = case.pruned()
    if draw(st.integers(0, 3)) == 0:
        assert_currents_agree(*with_currents(case, draw(st.sampled_from(PRODUCTS))))
        return
    density = draw(st.sampled_from([0.0, 0.1, 0.3, 0.3, 1.0]))
    dense = spike_trains(14, *case.dense.shape[:2], density)
    dense[draw(st.lists(st.integers(0, n_samples - 1), max_size=3))] = 0
    assert_spikes_agree(replace(case, dense=dense))


@pytest.mark.parametrize("readout", Readout)
def test_a_network_that_fires_has_gradients_everywhere(readout: Readout) -> None:
    """What `test_all_agree` compares is not all zero.

    Only the threshold of an output that never fires has no gradient.
    """
    network, state = firing_network(14, 17, 9, 4, learned="both", readout=readout)
    expected = assert_spikes_agree(case_of(network, state, 9))
    silent = {name for name, values in expected.gradients.items() if not values.any()}
    unused = set() if readout.is_spiking else {"layer3.neurons.log_threshold"}
    assert silent == unused


@pytest.mark.parametrize("readout", [Readout.POTENTIAL, Readout.MAX_POTENTIAL])
def test_a_silent_output_is_read_by_hand(readout: Readout) -> None:
    """Its potentials leak, pass the threshold without a reset, and give the answer."""
    neuron = LeakyIntegrateAndFire(decay=0.5, bias=False)
    network = Network.of_layers(2, (2,), 2, neuron).with_readout(readout)
    state = {
        "layer1.synapses.weight": np.eye(2),
        "layer2.synapses.weight": np.diag([4.0, 3.0]),
    }
    # The first input fires once, in the first step; the second one in the last step.
    events = EventList.from_dense([[[1, 0], [0, 0], [0, 1]]])
    output = make_engine("event", network, state, np.float64).run(events)[-1]
    assert output.n_events == 0
    np.testing.assert_array_equal(output.potentials, [[[4, 0], [2, 0], [1, 3]]])
    answer = 1 if readout is Readout.POTENTIAL else 0
    assert readout.predict(output) == [answer]


def test_a_batch_leaves_nothing_behind() -> None:
    """Batches of other sizes, windows and kinds do not affect the next one."""
    network, state = firing_network(9, 33, 5, 3)
    engine = EventTrainer(network, state, LEARNING, np.float64)
    inputs = []
    for n_samples, n_steps in ((7, 6), (1, 6), (2, 9), (8, 1)):
        case = case_of(network, state, n_steps, n_samples)
        inputs.append((EventList.from_dense(case.dense), case.labels))
    case, currents = with_currents(case_of(network, state, 6, 8))
    inputs += [(currents, case.labels), inputs[0]]
    for events, labels in inputs:
        engine.warm_up(events)
        fresh = EventTrainer(network, engine.state(), LEARNING, np.float64)
        outcome, gradients = engine.gradients(events, labels)
        expected, fresh_gradients = fresh.gradients(events, labels)
        assert outcome == expected
        for name, gradient in fresh_gradients.items():
            assert gradients[name].tobytes() == gradient.tobytes(), name
        engine.train_batch(events, labels, 0.01)


@needs_torch
@pytest.mark.parametrize("name", ["event", "dense"])
@pytest.mark.parametrize(
    ("neuron", "clip_norm"), [({"bias": False}, 0.05), ({"learned": "both"}, 0.0)]
)
def test_adam_and_clipping_are_those_of_torch(
    name: str, clip_norm: float, neuron: dict[str, Any]
) -> None:
    """PyTorch takes the same steps, the last ones from an engine's state."""
    import torch

    rates = (0.01, 0.003, 0.02, 0.02, 0.001, 0.01)
    learning = LearningSettings(
        logit_scale=0.3, weight_decay=0.01, grad_clip_norm=clip_norm
    )
    network, state = firing_network(12, 17, 4, **neuron)
    engine = make_trainer(name, network, state, learning, np.float64)
    parameters = {
        key: torch.nn.Parameter(torch.tensor(value)) for key, value in state.items()
    }
    optimizer = torch.optim.Adam(parameters.values(), weight_decay=0.01)
    for step, rate in enumerate(rates, start=1):
        # Some inputs never fire, and some fire only in some batches.
        dense = spike_trains(12, 5, 6, 0.3, seed=step)
        dense[:, :, 0] = 0
        dense[:, :, 1] *= step % 2
        labels = np.random.default_rng(step).integers(0, 4, 5)
        events = EventList.from_dense(dense)
        _, gradients = engine.gradients(events, labels)
        for key, parameter in parameters.items():
            parameter.grad = torch.tensor(gradients[key])
        if clip_norm:
            norm = torch.nn.utils.clip_grad_norm_(parameters.values(), clip_norm)
            assert norm > clip_norm
        if step == 4:
            ours = adam_state(network, engine.snapshot(), rate, 0.01)
            tensors = {
                index: {kind: torch.as_tensor(value) for kind, value in entry.items()}
                for index, entry in ours["state"].items()
            }
            optimizer.load_state_dict({**ours, "state": tensors})
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        engine.train_batch(events, labels, rate)
        for key, value in engine.state().items():
            np.testing.assert_allclose(
                value, parameters[key].detach(), rtol=1e-9, atol=1e-15
            )


def test_weights_of_pixels_that_never_fire_do_not_slow_training_down() -> None:
    network, state = firing_network(60, 32, 10)
    engine = EventTrainer(network, state, LearningSettings(weight_decay=0.1))
    dense = np.zeros((4, 3, 60), dtype=np.uint8)
    dense[:, :, :5] = 1
    events = EventList.from_dense(dense)
    for _ in range(DENORMAL_STEPS):
        engine.train_batch(events, np.arange(4), 0.01)
    snapshot = engine.snapshot()
    for moments in (snapshot.first, snapshot.second):
        for moment in moments.values():
            values = np.abs(moment[moment != 0])
            assert (values >= np.finfo(np.float32).tiny).all()
    never = engine.state()["layer1.synapses.weight"][:, 5:]
    assert np.abs(never).max() < 1e-4


@pytest.mark.parametrize("name", ["event", pytest.param("dense", marks=needs_torch)])
def test_what_does_not_fit_is_refused(name: str) -> None:
    network, state = firing_network(9, 11, 3)
    engine = make_engine(name, network, state)
    with pytest.raises(ArtifactError, match="8 inputs, but the network has 9"):
        engine.run(EventList.from_dense(np.zeros((2, 5, 8))))
    integers, state = firing_network(9, 11, 3, bits=(8, 32))
    _, currents = with_currents(case_of(network, state, 6, 4))
    with pytest.raises(ArtifactError, match="do not support the encoding 'direct'"):
        make_engine(name, integers, state).run(currents)


def test_choice() -> None:
    for device, chosen in {"auto": "event", "cpu": "event", "cuda:1": "dense"}.items():
        assert choose_engine("auto", device, "lif") == chosen
        assert choose_engine("auto", device, "other") == "dense"
    assert choose_engine("dense", "cpu", "lif") == "dense"
    assert choose_engine("auto", "cpu", "lif", is_integer_chain=True) == "dense"
    with pytest.raises(
        ParameterError, match="no kernels for the neuron 'other', only for lif"
    ):
        choose_engine("event", "cpu", "other")
    with pytest.raises(
        ParameterError, match="no kernels for integer weights in convolutions"
    ):
        choose_engine("event", "cpu", "lif", is_integer_chain=True)
