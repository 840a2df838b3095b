"""The two engines and the plain loops: three witnesses of one network and its gradients."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.encoding.events import PRODUCTS, Currents, EventList, Products
from spikejoule.engine import choice, choose_engine, engine_to_train, make_engine, run_network
from spikejoule.engine.choice import resolve_device
from spikejoule.engine.event import EventEngine
from spikejoule.engine.interface import Engine
from spikejoule.engine.settings import EngineSettings
from spikejoule.model.architecture import Architecture
from spikejoule.model.integers import with_grids
from spikejoule.model.learning import LearningSettings
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.model.quantisation import Quantisation
from spikejoule.model.surrogates import SURROGATES
from tests import naive
from tests.tools.settings import changed, draw_key, encode
from tests.tools.without_torch import WITH_TORCH, needs_torch

if WITH_TORCH:
    import torch

    from spikejoule.engine.dense import DenseEngine
    from spikejoule.model.network import initial_state

# One worker for all: each would compile the kernels for double precision for itself.
pytestmark = pytest.mark.xdist_group("engines")

logger = logging.getLogger(__name__)

RELATIVE = 1e-9
MISMATCHES_ALLOWED = 1e-4
"""Share of float32 spikes on which the engines may differ: v rounds to the other side."""

SLOWDOWN_ALLOWED = 3.0
LEARNING = LearningSettings(logit_scale=0.3, label_smoothing=0.1)


@pytest.fixture
def set_threads() -> Iterator[Any]:
    kernels, products = numba.get_num_threads(), torch.get_num_threads() if WITH_TORCH else 0

    def set_both(count: int) -> None:
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
        if WITH_TORCH:
            torch.set_num_threads(count)

    yield set_both
    numba.set_num_threads(kernels)
    if WITH_TORCH:
        torch.set_num_threads(products)


def network(*sizes: int, seed: int = 0, **neuron: Any) -> tuple[Architecture, dict[str, Any]]:
    """A network whose every layer fires now and then, in float64; `neuron` has its parameters."""
    generator = np.random.default_rng(seed)
    architecture = Architecture(
        sizes[0], tuple(sizes[1:-1]), sizes[-1], LeakyIntegrateAndFire(**neuron)
    )
    state = {
        name: generator.normal(0.08, 1.2 / np.sqrt(max(shape[-1], 4)), shape)
        if len(shape) == 2
        else generator.normal(0.05, 0.1, shape)
        for name, shape in architecture.parameter_shapes().items()
    }
    return architecture, state


def batch(
    architecture: Architecture, n_samples: int, n_steps: int, density: float = 0.3, seed: int = 1
) -> tuple[np.ndarray, EventList, np.ndarray]:
    generator = np.random.default_rng([seed, n_samples, n_steps])
    dense = (generator.random((n_samples, n_steps, architecture.n_input)) < density).astype(int)
    labels = generator.integers(0, architecture.n_output, n_samples)
    return dense, EventList.from_dense(dense), labels


def witnesses(
    architecture: Architecture, state: dict[str, Any], settings: LearningSettings
) -> list[Engine]:
    """The same network in each engine, in float64; the event engine alone without PyTorch."""
    engines: list[Engine] = [EventEngine(architecture, state, settings, np.float64)]
    if WITH_TORCH:
        engines.append(DenseEngine(architecture, state, settings, "cpu", np.float64))
    return engines


def assert_gradients(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(
            found[name], gradient, rtol=RELATIVE, atol=1e-13 * scale, err_msg=name
        )


def assert_all_agree(
    architecture: Architecture,
    state: dict[str, Any],
    dense: np.ndarray,
    labels: np.ndarray,
    settings: LearningSettings = LEARNING,
    masks: dict[str, np.ndarray] | None = None,
    teacher: np.ndarray | None = None,
    given: EventList | None = None,
) -> dict[str, np.ndarray]:
    """Spikes, loss and gradients of both engines are those of the loops; returns the gradients.

    `given` is the input in the engines' form, if what it gives, `dense`, are no spikes.
    """
    neuron = architecture.neuron
    assert isinstance(neuron, LeakyIntegrateAndFire)
    constants = (neuron.threshold, neuron.decay, neuron.reset)
    spikes = naive.run(state, dense.tolist(), *constants)
    loss, correct, totals, gradients = naive.batch_gradient(
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
    totals = (events.n_events, *totals[1:])
    for engine in witnesses(architecture, state, settings):
        if masks is not None:
            engine.prune(masks)
        for layer, expected in zip(engine.run(events), spikes, strict=True):
            layer.check()
            assert np.array_equal(layer.to_dense(np.int64), expected), engine.name
        outcome, found = engine.gradients(events, labels, teacher)
        assert outcome.spikes == totals
        assert outcome.correct == correct
        assert outcome.mean_loss == pytest.approx(loss, rel=RELATIVE)
        assert_gradients(found, gradients)
        again, repeated = engine.gradients(events, labels, teacher)
        assert again == outcome
        assert all(np.array_equal(found[name], repeated[name]) for name in found)
    return gradients


def direct_batch(
    architecture: Architecture, n_samples: int, n_steps: int, products: Products = "once"
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


class TestConstantCurrents:
    """An input without spikes: the image in every step, as the loops see it."""

    @pytest.mark.parametrize("hidden", [(18,), (17, 9), (12, 20, 16)])
    @pytest.mark.parametrize("neuron", [{}, {"bias": False, "decay": 1.0, "reset": "subtract"}])
    def test_neurons_and_depths(self, hidden: tuple[int, ...], neuron: dict[str, Any]) -> None:
        architecture, state = network(14, *hidden, 4, seed=len(hidden), **neuron)
        dense, events, labels = direct_batch(architecture, 6, 7)
        gradients = assert_all_agree(architecture, state, dense, labels, given=events)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())

    def test_learned_constants_and_a_penalty(self) -> None:
        architecture, state = network(14, 11, 4, learned="both")
        state |= {
            f"layer{number}.neurons.{name}": np.array([value])
            for number in (1, 2)
            for name, value in (("decay_logit", 2.0), ("log_threshold", -0.1))
        }
        dense, events, labels = direct_batch(architecture, 5, 7)
        settings = changed(LEARNING, event_penalty=3.0, event_target=2.0)
        assert_all_agree(
            architecture.learned_from(state), state, dense, labels, settings, given=events
        )

    @pytest.mark.parametrize("products", PRODUCTS)
    def test_products_of_a_pruned_network(self, products: Products) -> None:
        architecture, state = network(14, 11, 5, 4)
        generator = np.random.default_rng(3)
        masks = {
            name: generator.random(values.shape) < 0.5
            for name, values in state.items()
            if values.ndim == 2
        }
        state = {name: values * masks.get(name, 1) for name, values in state.items()}
        dense, events, labels = direct_batch(architecture, 5, 7, products)
        assert_all_agree(architecture, state, dense, labels, masks=masks, given=events)
        times = 7 if products == "every_step" else 1
        weights = state["layer1.synapses.weight"].tolist()
        for pruned in (False, True):
            expected = sum(naive.input_macs(dense[:, 0].tolist(), weights, times, pruned))
            for engine in witnesses(architecture, state, LEARNING):
                if pruned:
                    engine.prune(masks)
                outcome, _ = engine.gradients(events, labels)
                assert outcome.input_macs == expected
                assert outcome.synaptic_events[0] == 0

    def test_spikes_have_no_products(self) -> None:
        architecture, state = network(10, 13, 3)
        _, events, labels = batch(architecture, 3, 6)
        for engine in witnesses(architecture, state, LEARNING):
            assert engine.gradients(events, labels)[0].input_macs is None

    def test_batches_of_both_kinds_one_after_the_other(self, set_threads: Any) -> None:
        """Training, to the bit, whatever the threads; nothing is left of the batch before."""
        architecture, state = network(30, 40, 4)
        _, events, labels = batch(architecture, 9, 6)
        _, currents, others = direct_batch(architecture, 8, 6)
        found = []
        for threads in (1, 2):
            set_threads(threads)
            engine = EventEngine(architecture, state, LEARNING, np.float32)
            for _ in range(3):
                engine.train_batch(currents, others, 0.01)
                engine.train_batch(events, labels, 0.01)
            spikes = engine.run(currents)
            found.append([*engine.state().values(), *(layer.sources for layer in spikes)])
        for one, other in zip(*found, strict=True):
            assert one.tobytes() == other.tobytes()
        fresh = EventEngine(architecture, engine.state(), LEARNING, np.float32)
        _, expected = fresh.gradients(currents, others)
        _, gradients = engine.gradients(currents, others)
        for name, gradient in gradients.items():
            assert gradient.tobytes() == expected[name].tobytes()

    def test_samples_apart_and_in_chunks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        architecture, state = network(14, 18, 4)
        _, events, _ = direct_batch(architecture, 7, 5)
        whole = [layer.to_dense() for layer in EventEngine(architecture, state).run(events)]
        monkeypatch.setattr("spikejoule.encoding.kernels.CHUNK_BYTES", 2 * 18 * 5 * 2)
        again = [layer.to_dense() for layer in EventEngine(architecture, state).run(events)]
        apart = EventEngine(architecture, state).run(events.select(np.array([5, 2])))
        for layer, other, of_two in zip(whole, again, apart, strict=True):
            assert np.array_equal(layer, other)
            assert np.array_equal(layer[[5, 2]], of_two.to_dense())

    def test_a_network_of_integers_refuses_them(self) -> None:
        architecture, state = network(14, 9, 4)
        integers = with_grids(replace(architecture, quantisation=Quantisation(8, 32)), state)
        _, events, labels = direct_batch(architecture, 3, 5)
        for engine in witnesses(integers, state, LEARNING):
            with pytest.raises(ArtifactError, match="integers have no product with"):
                engine.run(events)
            with pytest.raises(ArtifactError, match="integers have no product with"):
                engine.gradients(events, labels)
        with pytest.raises(ArtifactError, match="integers have no product with"):
            run_network(state, engine.architecture, events, "event")


class TestAgreement:
    @pytest.mark.parametrize("hidden", [(18,), (17, 9), (12, 20, 16)])
    @pytest.mark.parametrize("surrogate", list(SURROGATES))
    def test_surrogates_and_depths(self, surrogate: str, hidden: tuple[int, ...]) -> None:
        architecture, state = network(14, *hidden, 4, seed=len(hidden))
        dense, events, labels = batch(architecture, 5, 7)
        settings = changed(LEARNING, surrogate=surrogate)
        for layer in EventEngine(architecture, state).run(events):
            assert 0.01 < layer.density < 0.9
        gradients = assert_all_agree(architecture, state, dense, labels, settings)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())

    @pytest.mark.parametrize(
        ("surrogate", "slope"),
        [
            ("constant", 1.0),
            ("arctangent", 25.0),
            ("fast_sigmoid", 0.5),
            ("sigmoid", 40.0),
            ("triangle", 2.0),
            ("boxcar", 0.4),
            ("gaussian", 9.0),
        ],
    )
    def test_other_slopes(self, surrogate: str, slope: float) -> None:
        architecture, state = network(10, 13, 3)
        dense, _, labels = batch(architecture, 3, 6)
        settings = changed(LEARNING, surrogate=surrogate, surrogate_slope=slope)
        assert_all_agree(architecture, state, dense, labels, settings)

    @pytest.mark.parametrize("n_steps", [1, 2, 5, 6, 13])
    @pytest.mark.parametrize("n_samples", [1, 2, 3, 9, 11])
    def test_windows_and_batches(self, n_samples: int, n_steps: int) -> None:
        architecture, state = network(9, 11, 3)
        dense, _, labels = batch(architecture, n_samples, n_steps, 0.4)
        assert_all_agree(architecture, state, dense, labels)

    @pytest.mark.parametrize("n_hidden", [1, 15, 16, 17, 33, 50, 209])
    def test_widths(self, n_hidden: int) -> None:
        architecture, state = network(6, n_hidden, 3)
        dense, _, labels = batch(architecture, 3, 6, 0.4)
        assert_all_agree(architecture, state, dense, labels)

    @pytest.mark.parametrize("n_output", [1, 2, 17, 40])
    def test_output_widths(self, n_output: int) -> None:
        architecture, state = network(8, 12, n_output)
        dense, _, labels = batch(architecture, 3, 6, 0.4)
        assert_all_agree(architecture, state, dense, labels)

    @pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
    def test_decays(self, decay: float) -> None:
        architecture, state = network(9, 11, 3, decay=decay)
        dense, _, labels = batch(architecture, 3, 8)
        assert_all_agree(architecture, state, dense, labels)

    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"decay": 1.0},
            {"threshold": (0.8, 1.1, 0.7), "decay": (1.0, 0.9, 0.6)},
            {"threshold": (0.9, 1.0, 1.2)},
            {"decay": (0.5, 0.0, 1.0)},
        ],
    )
    @pytest.mark.parametrize("surrogate", ["arctangent", "triangle"])
    def test_neurons(self, reset: str, bias: bool, values: dict[str, Any], surrogate: str) -> None:
        architecture, state = network(14, 17, 9, 4, reset=reset, bias=bias, **values)
        assert any(name.endswith("bias") for name in state) == bias
        dense, events, labels = batch(architecture, 5, 9, 0.4)
        for layer in EventEngine(architecture, state).run(events):
            assert 0.01 < layer.density < 0.9
        settings = changed(LEARNING, surrogate=surrogate)
        gradients = assert_all_agree(architecture, state, dense, labels, settings)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())

    @pytest.mark.parametrize("learned", ["decay", "threshold", "both"])
    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("surrogate", ["arctangent", "gaussian"])
    def test_learned_constants(self, learned: str, reset: str, bias: bool, surrogate: str) -> None:
        architecture, state = network(14, 17, 9, 4, learned=learned, reset=reset, bias=bias)
        for layer, (logit, log) in enumerate(((2.0, 0.1), (-0.5, -0.2), (1.0, 0.0)), start=1):
            for name, value in (("decay_logit", logit), ("log_threshold", log)):
                if f"layer{layer}.neurons.{name}" in state:
                    state[f"layer{layer}.neurons.{name}"][:] = value
        dense, _, labels = batch(architecture, 5, 9, 0.4)
        settings = changed(LEARNING, surrogate=surrogate)
        gradients = assert_all_agree(architecture, state, dense, labels, settings)
        assert all(np.abs(gradient).max() > 0 for gradient in gradients.values())

    @pytest.mark.parametrize(("scale", "smoothing"), [(1.0, 0.0), (0.05, 0.0), (5.0, 0.5)])
    def test_losses(self, scale: float, smoothing: float) -> None:
        architecture, state = network(9, 11, 3)
        dense, _, labels = batch(architecture, 4, 8)
        settings = LearningSettings(logit_scale=scale, label_smoothing=smoothing)
        assert_all_agree(architecture, state, dense, labels, settings)

    @pytest.mark.parametrize("hidden", [(18,), (17, 9)])
    @pytest.mark.parametrize(
        "penalties",
        [
            {"spike_penalty": 50.0, "spike_target": 22.0},
            {"event_penalty": 20.0, "event_target": 90.0},
            {"spike_penalty": 30.0, "event_penalty": 10.0, "event_target": 1e9},
            {"spike_penalty": 30.0, "event_penalty": 10.0},
        ],
    )
    @pytest.mark.parametrize("pruned", [False, True])
    def test_penalties(
        self, penalties: dict[str, float], hidden: tuple[int, ...], pruned: bool
    ) -> None:
        architecture, state = network(14, *hidden, 4, seed=len(hidden))
        dense, _, labels = batch(architecture, 6, 7)
        generator = np.random.default_rng(5)
        masks = {
            name: generator.random(values.shape) < 0.7
            for name, values in state.items()
            if values.ndim == 2 and pruned
        }
        state = {name: values * masks.get(name, True) for name, values in state.items()}
        assert_all_agree(
            architecture,
            state,
            dense,
            labels,
            changed(LEARNING, **penalties),
            masks if pruned else None,
        )

    @pytest.mark.parametrize(
        "penalties",
        [
            {"spike_penalty": (50.0, 0.0, 20.0), "spike_target": (22.0, 0.0, 3.0)},
            {"event_penalty": (0.0, 30.0), "event_target": 20.0},
            {
                "spike_penalty": 10.0,
                "spike_target": (5.0, 10.0, 2.0),
                "event_penalty": (20.0, 40.0),
                "event_target": (200.0, 30.0),
            },
        ],
    )
    def test_penalties_by_layer(self, penalties: dict[str, Any]) -> None:
        architecture, state = network(14, 17, 9, 4, seed=2)
        dense, _, labels = batch(architecture, 6, 7)
        settings = changed(LEARNING, **penalties)
        found = assert_all_agree(architecture, state, dense, labels, settings)
        without = assert_all_agree(architecture, state, dense, labels)
        assert any(not np.array_equal(found[name], without[name]) for name in found)

    def test_equal_penalties_are_those_of_one_number(self) -> None:
        architecture, state = network(14, 17, 9, 4, seed=2)
        _, events, labels = batch(architecture, 6, 7)
        one = {"spike_penalty": 50.0, "event_penalty": 20.0, "event_target": 30.0}
        each = {name: (value,) * (2 + name.startswith("spike")) for name, value in one.items()}
        engines = [
            EventEngine(architecture, state, changed(LEARNING, **values), np.float64)
            for values in (one, each)
        ]
        (outcome, gradients), (other, others) = (e.gradients(events, labels) for e in engines)
        assert outcome == other
        assert all(np.array_equal(gradients[name], others[name]) for name in gradients)

    @pytest.mark.parametrize(
        ("penalty", "allowed"),
        [
            ({"spike_target": (1.0, 2.0)}, "spike_target must be .* 3, one for each layer after"),
            ({"event_penalty": (1.0,) * 3}, "event_penalty must be .* 2, one for each hidden"),
        ],
    )
    def test_penalties_of_other_layers(self, penalty: dict[str, Any], allowed: str) -> None:
        architecture, state = network(14, 17, 9, 4)
        with pytest.raises(ParameterError, match=allowed):
            witnesses(architecture, state, changed(LEARNING, **penalty))

    def test_a_target_frees_some_samples_and_not_others(self) -> None:
        """The targets of `test_penalties` lie among the samples' numbers."""
        architecture, state = network(14, 18, 4, seed=1)
        _, events, _ = batch(architecture, 6, 7)
        spikes = EventEngine(architecture, state).run(events)[0].counts_per_sample()
        assert spikes.min() < 22 < spikes.max()
        assert spikes.min() * 4 < 90 < spikes.max() * 4

    def test_a_teacher(self) -> None:
        architecture, state = network(9, 11, 3)
        dense, _, labels = batch(architecture, 4, 8)
        teacher = np.random.default_rng(3).dirichlet(np.ones(3), 4)
        settings = changed(LEARNING, distillation=0.6)
        assert_all_agree(architecture, state, dense, labels, settings, teacher=teacher)

    @pytest.mark.parametrize("density", [0.0, 1.0])
    @pytest.mark.parametrize("n_samples", [1, 6])
    def test_no_event_and_every_event(self, density: float, n_samples: int) -> None:
        architecture, state = network(9, 11, 3)
        state["layer1.synapses.bias"] += 0.3
        dense, events, labels = batch(architecture, n_samples, 8, density)
        assert events.density == density
        gradients = assert_all_agree(architecture, state, dense, labels)
        assert (np.abs(gradients["layer1.synapses.weight"]).max() > 0) == (density > 0)

    def test_silent_samples_among_others(self) -> None:
        architecture, state = network(9, 11, 3)
        dense, _, labels = batch(architecture, 9, 6)
        dense[[0, 3, 8]] = 0
        assert_all_agree(architecture, state, dense, labels)

    @needs_torch
    @pytest.mark.parametrize("lanes", [1, 2, 3, 8])
    def test_lanes_change_no_more_than_rounding(self, lanes: int) -> None:
        architecture, state = network(9, 11, 3)
        _, events, labels = batch(architecture, 7, 6)
        engine = EventEngine(architecture, state, LEARNING, np.float64, lanes)
        reference = DenseEngine(architecture, state, LEARNING, "cpu", np.float64)
        assert_gradients(
            engine.gradients(events, labels)[1], reference.gradients(events, labels)[1]
        )

    def test_one_engine_for_changing_batches_and_windows(self) -> None:
        """What one batch leaves behind in the scratch arrays never shows in the next."""
        architecture, state = network(9, 11, 5, 3)
        engine = EventEngine(architecture, state, LEARNING, np.float64)
        for n_samples, n_steps in ((7, 6), (1, 6), (2, 9), (8, 1), (7, 6)):
            _, events, labels = batch(architecture, n_samples, n_steps)
            fresh = EventEngine(architecture, state, LEARNING, np.float64)
            outcome, gradients = engine.gradients(events, labels)
            expected, expected_gradients = fresh.gradients(events, labels)
            assert outcome == expected
            for name, gradient in gradients.items():
                assert np.array_equal(gradient, expected_gradients[name])

    @needs_torch
    def test_running_no_sample(self) -> None:
        architecture, state = network(9, 11, 3)
        events = EventList.from_dense(np.zeros((0, 5, 9)))
        for name in ("event", "dense"):
            layers = make_engine(name, architecture, state).run(events)
            assert [layer.n_inputs for layer in layers] == [11, 3]
            for layer in layers:
                layer.check()
                assert (layer.n_samples, layer.n_steps, layer.n_events) == (0, 5, 0)


@needs_torch
def test_the_real_network_in_float32() -> None:
    """784-400-10 over 50 steps: the share of spikes on which the float32 engines differ."""
    architecture, state = network(784, 400, 10, seed=3)
    generator = np.random.default_rng(4)
    images = np.where(
        generator.random((96, 784)) < 0.19, generator.integers(0, 256, (96, 784)), 0
    ).astype(np.uint8)
    events = encode(images, 50, 80.0, draw_key(1, "test", 0))
    settings = LEARNING
    engines = {
        "event": EventEngine(architecture, state, settings),
        "dense": DenseEngine(architecture, state, settings),
        "float64": EventEngine(architecture, state, settings, np.float64),
    }
    spikes = {
        name: [layer.to_dense(np.bool_) for layer in engine.run(events)]
        for name, engine in engines.items()
    }
    for layer, name in enumerate(("hidden", "output")):
        fired = spikes["float64"][layer].sum()
        assert fired > 1000
        for one, other in (("event", "dense"), ("event", "float64"), ("dense", "float64")):
            rate = (spikes[one][layer] != spikes[other][layer]).sum() / fired
            logger.info("%s, %s against %s: %.1e mismatches a spike", name, one, other, rate)
            assert rate < MISMATCHES_ALLOWED, f"{name}, {one} against {other}: {rate:.2e}"
    labels = generator.integers(0, 10, 96)
    gradients = {name: engine.gradients(events, labels)[1] for name, engine in engines.items()}
    for name, expected in gradients["float64"].items():
        for which in ("event", "dense"):
            error = np.linalg.norm(gradients[which][name] - expected) / np.linalg.norm(expected)
            assert error < 0.02, f"{which} {name}: {error}"


class TestWhatMustDiffer:
    """The comparisons above would notice another network."""

    def test_surrogates(self) -> None:
        architecture, state = network(14, 18, 4)
        _, events, labels = batch(architecture, 5, 7)
        found = [
            EventEngine(architecture, state, changed(LEARNING, surrogate=name), np.float64)
            .gradients(events, labels)[1]["layer1.synapses.weight"]
            .ravel()
            for name in SURROGATES
        ]
        for place, one in enumerate(found):
            for other in found[place + 1 :]:
                assert np.linalg.norm(one - other) > 0.01 * np.linalg.norm(one)

    def test_decays(self) -> None:
        architecture, state = network(14, 18, 4)
        _, events, _ = batch(architecture, 5, 7)
        hidden = EventEngine(architecture, state).run(events)[0]
        other = EventEngine(
            replace(architecture, neuron=LeakyIntegrateAndFire(decay=0.8)), state
        ).run(events)[0]
        assert not np.array_equal(hidden.to_dense(), other.to_dense())

    def test_reset_by_subtraction(self) -> None:
        architecture, state = network(14, 18, 4)
        other = replace(architecture, neuron=LeakyIntegrateAndFire(reset="subtract"))
        dense, events, _ = batch(architecture, 5, 7)
        hidden = EventEngine(architecture, state, dtype=np.float64).run(events)[0]
        subtracted = EventEngine(other, state, dtype=np.float64).run(events)[0]
        expected = naive.run(state, dense.tolist(), 1.0, 0.9, "subtract")[0]
        assert np.array_equal(subtracted.to_dense(np.int64), expected)
        assert not np.array_equal(hidden.to_dense(np.int64), expected)

    def test_constants_of_another_layer(self) -> None:
        architecture, state = network(14, 18, 4, decay=(0.9, 0.5))
        swapped = replace(architecture, neuron=LeakyIntegrateAndFire(decay=(0.5, 0.9)))
        _, events, _ = batch(architecture, 5, 7)
        one, other = (EventEngine(which, state).run(events)[0] for which in (architecture, swapped))
        assert not np.array_equal(one.to_dense(), other.to_dense())

    @needs_torch
    def test_a_reset_that_is_not_detached(self) -> None:
        """Through the reset, autograd would find other gradients."""
        architecture, state = network(14, 18, 4)
        _, events, labels = batch(architecture, 5, 7)
        weights = {name: torch.tensor(value, requires_grad=True) for name, value in state.items()}
        slope = SURROGATES["arctangent"].default_slope

        class Fire(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
                ctx.save_for_backward(x)
                return (x >= 0).to(x.dtype)

            @staticmethod
            def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
                (x,) = ctx.saved_tensors
                return gradient * (slope / 2) / (1 + (torch.pi / 2 * slope * x) ** 2)

        def gradient(detach: bool) -> np.ndarray:
            spikes = torch.from_numpy(events.to_dense(np.float64))
            for layer in (1, 2):
                membrane, emitted = torch.zeros(()), []
                for step in range(events.n_steps):
                    current = torch.nn.functional.linear(
                        spikes[:, step],
                        weights[f"layer{layer}.synapses.weight"],
                        weights[f"layer{layer}.synapses.bias"],
                    )
                    membrane = architecture.neuron.decay * membrane + current
                    spike = Fire.apply(membrane - architecture.neuron.threshold)
                    membrane = membrane * (1 - (spike.detach() if detach else spike))
                    emitted.append(spike)
                spikes = torch.stack(emitted, dim=1)
            loss = torch.nn.functional.cross_entropy(
                LEARNING.logit_scale * spikes.sum(dim=1),
                torch.from_numpy(labels),
                label_smoothing=LEARNING.label_smoothing,
            )
            return torch.autograd.grad(loss, weights["layer1.synapses.weight"])[0].numpy()

        found = EventEngine(architecture, state, LEARNING, np.float64).gradients(events, labels)[1]
        ours = found["layer1.synapses.weight"]
        np.testing.assert_allclose(ours, gradient(True), rtol=1e-9, atol=1e-14)
        assert np.linalg.norm(ours - gradient(False)) > 0.01 * np.linalg.norm(ours)


class TestThreads:
    @pytest.mark.parametrize("batch_size", [1, 5, 64])
    def test_training_is_the_same_to_the_bit(self, set_threads: Any, batch_size: int) -> None:
        architecture, state = network(100, 65, 40, 10)
        settings = changed(LEARNING, weight_decay=1e-3, grad_clip_norm=0.5)
        results = []
        for threads in (1, 2):
            set_threads(threads)
            engine = EventEngine(architecture, state, settings)
            outcomes = []
            for step in range(6):
                _, events, labels = batch(architecture, batch_size, 10, 0.1, seed=step)
                outcomes.append(engine.train_batch(events, labels, 0.01))
            _, events, _ = batch(architecture, 31, 10, 0.1)
            told = b"".join(value.tobytes() for value in engine.state().values())
            moments = engine.optimizer_state(0.01)["state"]
            told += b"".join(moments[k]["exp_avg_sq"].tobytes() for k in sorted(moments))
            told += b"".join(
                layer.sources.tobytes() + layer.offsets.tobytes() for layer in engine.run(events)
            )
            results.append((outcomes, told))
        assert results[0] == results[1]


@needs_torch
class TestAdam:
    SETTINGS = LearningSettings(logit_scale=0.3, weight_decay=0.01, grad_clip_norm=0.05)
    RATES = (0.01, 0.003, 0.02, 0.02, 0.001, 0.01)

    @pytest.mark.parametrize("clip_norm", [0.05, 1e6, 0.0])
    @pytest.mark.parametrize("name", ["event", "dense"])
    @pytest.mark.parametrize("neuron", [{}, {"bias": False}, {"learned": "both"}])
    def test_against_torch_and_against_loops(
        self, name: str, clip_norm: float, neuron: dict[str, Any]
    ) -> None:
        settings = changed(self.SETTINGS, grad_clip_norm=clip_norm)
        architecture, state = network(12, 17, 4, **neuron)
        engine = (
            EventEngine(architecture, state, settings, np.float64)
            if name == "event"
            else DenseEngine(architecture, state, settings, "cpu", np.float64)
        )
        by_torch = {key: torch.nn.Parameter(torch.tensor(value)) for key, value in state.items()}
        optimizer = torch.optim.Adam(by_torch.values(), weight_decay=0.01)
        weights = {key: value.copy() for key, value in state.items()}
        first = {key: np.zeros_like(value) for key, value in state.items()}
        second = {key: np.zeros_like(value) for key, value in state.items()}
        clipped = 0
        for step, rate in enumerate(self.RATES, start=1):
            # Some inputs never fire, and some fire in some batches only.
            dense, _, labels = batch(architecture, 5, 6, 0.3, seed=step)
            dense[:, :, 0] = 0
            dense[:, :, 1] *= step % 2
            gradients = naive.batch_gradient(
                weights, dense, labels.tolist(), (1.0, 0.9), ("arctangent", 2.0), 0.3
            )[3]
            for key, parameter in by_torch.items():
                parameter.grad = torch.tensor(gradients[key])
            if clip_norm:
                norm = torch.nn.utils.clip_grad_norm_(by_torch.values(), clip_norm)
                clipped += int(norm > clip_norm)
                gradients = naive.clip(gradients, clip_norm)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            for key in weights:
                weights[key], first[key], second[key] = naive.adam(
                    weights[key],
                    gradients[key],
                    first[key],
                    second[key],
                    step,
                    rate,
                    0.01,
                )
            engine.train_batch(EventList.from_dense(dense), labels, rate)
            for key, value in engine.state().items():
                np.testing.assert_allclose(value, weights[key], rtol=1e-9, atol=1e-15)
                np.testing.assert_allclose(value, by_torch[key].detach(), rtol=1e-9, atol=1e-15)
        assert clipped == (len(self.RATES) if clip_norm == 0.05 else 0)
        told = engine.optimizer_state(self.RATES[-1])
        expected = optimizer.state_dict()
        assert set(told["state"]) == set(expected["state"])
        for index, key in enumerate(weights):
            entry = told["state"][index]
            assert entry["step"] == len(self.RATES)
            np.testing.assert_allclose(entry["exp_avg"], first[key], rtol=1e-9, atol=1e-15)
            np.testing.assert_allclose(entry["exp_avg_sq"], second[key], rtol=1e-9, atol=1e-30)
            for kind in ("exp_avg", "exp_avg_sq"):
                assert entry[kind].shape == tuple(expected["state"][index][kind].shape)
        group, torch_group = told["param_groups"][0], expected["param_groups"][0]
        for key in ("lr", "betas", "eps", "weight_decay", "amsgrad", "params"):
            assert group[key] == torch_group[key]

    def test_torch_goes_on_from_the_state(self) -> None:
        architecture, state = network(12, 17, 4)
        engine = EventEngine(architecture, state, self.SETTINGS, np.float64)
        _, events, labels = batch(architecture, 5, 6)
        assert engine.optimizer_state(0.01)["state"] == {}
        engine.train_batch(events, labels, 0.01)
        told = engine.optimizer_state(0.01)
        tensors = {
            index: {kind: torch.as_tensor(value) for kind, value in entry.items()}
            for index, entry in told["state"].items()
        }
        parameters = [torch.nn.Parameter(torch.tensor(v)) for v in engine.state().values()]
        optimizer = torch.optim.Adam(parameters)
        optimizer.load_state_dict({"state": tensors, "param_groups": told["param_groups"]})
        gradients = engine.gradients(events, labels)[1]
        for parameter, gradient in zip(parameters, gradients.values(), strict=True):
            parameter.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(parameters, self.SETTINGS.grad_clip_norm)
        optimizer.step()
        engine.train_batch(events, labels, 0.01)
        for parameter, value in zip(parameters, engine.state().values(), strict=True):
            np.testing.assert_allclose(parameter.detach(), value, rtol=1e-9, atol=1e-15)

    def test_gradients_apply_nothing(self) -> None:
        architecture, state = network(12, 17, 4)
        _, events, labels = batch(architecture, 5, 6)
        for name in ("event", "dense"):
            one = make_engine(name, architecture, state, self.SETTINGS)
            other = make_engine(name, architecture, state, self.SETTINGS)
            one.gradients(events, labels)
            for key, value in one.state().items():
                assert np.array_equal(value, np.asarray(state[key], np.float32))
            for engine in (one, other):
                engine.train_batch(events, labels, 0.01)
            for key, value in one.state().items():
                assert np.array_equal(value, other.state()[key])

    def test_the_state_is_a_copy(self) -> None:
        architecture, state = network(12, 17, 4)
        for name in ("event", "dense"):
            given = {key: np.asarray(value, np.float32) for key, value in state.items()}
            engine = make_engine(name, architecture, given, self.SETTINGS)
            engine.state()["layer1.synapses.bias"][:] = 99
            assert engine.state()["layer1.synapses.bias"].max() < 99
            _, events, labels = batch(architecture, 5, 6)
            engine.train_batch(events, labels, 0.1)
            for key, value in given.items():
                assert np.array_equal(value, np.asarray(state[key], np.float32))


class TestDenormals:
    STEPS = 3000
    SETTINGS = pytest.mark.parametrize(("rate", "decay"), [(0.01, 0.1), (0.001, 1e-4)])

    @SETTINGS
    def test_a_plain_adam_would_reach_denormal_numbers(self, rate: float, decay: float) -> None:
        """The scenario is real: float32 weights without a gradient, by the formula."""
        w = np.array([0.5, 0.1, 0.01], np.float32)
        gradient, m, v = (np.zeros_like(w) for _ in range(3))
        smallest = np.inf
        for step in range(1, self.STEPS + 1):
            w, m, v = naive.adam(w, gradient, m, v, step, rate, decay)
            values = np.abs(np.concatenate([w, m, v]))
            assert values.dtype == np.float32
            smallest = min(smallest, values[values != 0].min())
        assert smallest < np.finfo(np.float32).tiny

    @SETTINGS
    def test_weights_of_pixels_that_never_fire_do_not_slow_training_down(
        self, set_threads: Any, rate: float, decay: float
    ) -> None:
        set_threads(1)
        architecture, state = network(300, 128, 10)
        settings = LearningSettings(weight_decay=decay)
        engine = EventEngine(architecture, state, settings)
        dense = np.zeros((4, 3, 300), dtype=np.uint8)
        dense[:, :, :5] = 1
        events, labels = EventList.from_dense(dense), np.array([0, 1, 2, 3])
        seconds = np.empty(self.STEPS)
        for step in range(self.STEPS):
            started = time.perf_counter()
            engine.train_batch(events, labels, rate)
            seconds[step] = time.perf_counter() - started
        early, late = np.median(seconds[50:350]), np.median(seconds[-300:])
        assert late < SLOWDOWN_ALLOWED * early, f"{early * 1e6:.0f} to {late * 1e6:.0f} us"
        for entry in engine.optimizer_state(rate)["state"].values():
            for kind in ("exp_avg", "exp_avg_sq"):
                values = np.abs(entry[kind][entry[kind] != 0])
                assert (values >= np.finfo(np.float32).tiny).all()
        never = engine.state()["layer1.synapses.weight"][:, 5:]
        assert np.abs(never).max() < 1e-4


@needs_torch
class TestInterface:
    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_events_of_another_input_are_refused(self, name: str) -> None:
        architecture, state = network(9, 11, 3)
        engine = make_engine(name, architecture, state)
        events = EventList.from_dense(np.zeros((2, 5, 8)))
        for call in (engine.run, lambda e: engine.gradients(e, np.array([0, 1]))):
            with pytest.raises(ArtifactError, match="8 inputs, the network has 9"):
                call(events)

    @pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2, 0, 1], [0, 1, 2, 3], [0, 1, 2, -1]])
    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                "event",
            ),
            "dense",
        ],
    )
    def test_labels_that_do_not_fit_are_refused(self, name: str, labels: list[int]) -> None:
        architecture, state = network(9, 11, 3)
        _, events, _ = batch(architecture, 4, 6)
        with pytest.raises(Exception, match="."):
            make_engine(name, architecture, state).gradients(events, np.array(labels))

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param(
                "event",
            ),
            "dense",
        ],
    )
    @pytest.mark.parametrize("shape", [(1,), (1, 11)])
    def test_a_state_of_another_network_is_refused(self, name: str, shape: tuple[int, ...]) -> None:
        architecture, state = network(9, 11, 3)
        state["layer1.synapses.bias"] = np.zeros(shape)
        with pytest.raises(Exception, match="."):
            make_engine(name, architecture, state)

    def test_choice(self) -> None:
        assert choose_engine("auto", "auto", 0.01, "lif") == "event"
        assert choose_engine("event", "auto", 0.01, "lif") == "event"
        assert choose_engine("auto", "cpu", 1.0, "lif") == "event"
        assert choose_engine("auto", "cuda", 0.01, "lif") == "dense"
        assert choose_engine("auto", "cuda:1", 0.01, "lif") == "dense"
        assert choose_engine("event", "cpu", 1.0, "lif") == "event"
        assert choose_engine("dense", "cpu", 0.0, "lif") == "dense"
        with pytest.raises(ParameterError, match="engine is 'fast'; allowed are auto, event"):
            choose_engine("fast", "cpu", 0.01, "lif")
        with pytest.raises(ParameterError, match="CPU alone; device is cuda"):
            choose_engine("event", "cuda", 0.01, "lif")

    def test_a_neuron_without_kernels(self) -> None:
        assert choose_engine("auto", "cpu", 0.01, "other") == "dense"
        assert choose_engine("dense", "cpu", 0.01, "other") == "dense"
        with pytest.raises(ParameterError, match="no kernels of the neuron 'other', but of lif"):
            choose_engine("event", "cpu", 0.01, "other")

    def test_a_gpu_is_not_taken_on_trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        assert resolve_device("auto") == "cuda"
        architecture, _ = network(9, 11, 3)
        for settings in (EngineSettings(), EngineSettings(engine="event")):
            engine, _ = engine_to_train(settings, architecture, LearningSettings(), 1, 0.01)
            assert (engine.name, engine.device) == ("event", "cpu")

    def test_choice_follows_the_crossover(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choice, "CROSSOVER_DENSITY", 0.3)
        assert choose_engine("auto", "cpu", 0.3, "lif") == "event"
        assert choose_engine("auto", "cpu", 0.31, "lif") == "dense"

    def test_device(self) -> None:
        assert resolve_device("cpu") == "cpu"
        if not torch.cuda.is_available():
            assert resolve_device("auto") == "cpu"
        with pytest.raises(ParameterError, match="device is 'cuda:99'"):
            resolve_device("cuda:99")

    @pytest.mark.parametrize("engine", ["auto", "event", "dense"])
    def test_run_network(self, engine: str) -> None:
        architecture, state = network(9, 11, 3)
        dense, events, _ = batch(architecture, 4, 6)
        expected = naive.run(state, dense.tolist(), 1.0, 0.9)
        layers = run_network(state, architecture, events, engine)
        for layer, spikes in zip(layers, expected, strict=True):
            assert np.array_equal(layer.to_dense(np.int64), spikes)

    @pytest.mark.parametrize("name", ["event", "dense"])
    def test_fresh_network_learns_the_batch(self, name: str) -> None:
        architecture = Architecture(20, (30,), 4)
        state = {key: value.numpy() for key, value in initial_state(architecture, 1).items()}
        settings = LearningSettings(logit_scale=0.3, grad_clip_norm=1.0)
        engine = make_engine(name, architecture, state, settings)
        _, events, labels = batch(architecture, 12, 10)
        losses = [engine.train_batch(events, labels, 0.01).mean_loss for _ in range(60)]
        assert losses[-1] < 0.5 * losses[0]
        assert engine.train_batch(events, labels, 0.0).correct == 12
