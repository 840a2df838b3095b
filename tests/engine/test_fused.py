"""All steps of a layer in one kernel, against the loop over the steps under autograd.

Without a GPU the kernels run in Triton's interpreter, and are compiled for GPUs that are not there.
"""

import importlib
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from spikejoule.encoding.currents import Currents  # noqa: E402
from spikejoule.encoding.events import EventList  # noqa: E402
from spikejoule.engine.dense import DenseEngine  # noqa: E402
from spikejoule.model.architecture import Architecture  # noqa: E402
from spikejoule.model.integers import with_grids  # noqa: E402
from spikejoule.model.learning import LearningSettings  # noqa: E402
from spikejoule.model.network import SpikingLayer, can_fuse, fire  # noqa: E402
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire  # noqa: E402
from spikejoule.model.quantisation import Quantisation  # noqa: E402
from spikejoule.model.surrogates import SURROGATES  # noqa: E402

MODULE = "spikejoule.model.fused_lif"
OLDEST = (3, 7)
"""Triton whose interpreter was tried with the NumPy of constraints.txt; 3.4's fails with it."""

MISMATCHES_ALLOWED = 1e-4
"""Differing spikes for each spike, in float32 on a GPU: sums in another order round differently."""

LEARNING = LearningSettings(
    logit_scale=0.3, label_smoothing=0.1, weight_decay=1e-3, grad_clip_norm=0.5, distillation=0.4,
    spike_penalty=2.0, event_penalty=3.0,
)  # fmt: skip
NEURONS: list[dict[str, Any]] = [
    {"reset": reset, **others}
    for reset in ("zero", "subtract")
    for others in ({}, {"decay": 1.0}, {"bias": False, "threshold": 0.7}, {"learned": "both"})
]
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"}
"""Operations of torch that make the host wait for a GPU."""


def with_module(monkeypatch: pytest.MonkeyPatch, interpreted: bool) -> Any:
    """The module, loaded anew: Triton decides at a decorator whether to compile or interpret."""
    triton = pytest.importorskip("triton", reason="needs Triton, of PyTorch's builds for CUDA")
    version = tuple(map(int, triton.__version__.split(".")[:2]))
    if interpreted and version < OLDEST:
        pytest.skip(f"needs the interpreter of Triton {OLDEST[0]}.{OLDEST[1]} or a later one")
    monkeypatch.setenv("TRITON_INTERPRET", str(int(interpreted)))
    sys.modules.pop(MODULE, None)
    return importlib.import_module(MODULE)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield with_module(monkeypatch, interpreted=True)
    sys.modules.pop(MODULE)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    yield with_module(monkeypatch, interpreted=False)
    sys.modules.pop(MODULE)


def by_steps(current: Any, neuron: LeakyIntegrateAndFire, derivative: Callable[[Any], Any]) -> Any:
    """Spikes [T, B, n] as the network's loop makes them."""
    membrane, emitted = torch.zeros_like(current[0]), []
    for of_step in current:
        spikes, membrane = neuron.step(membrane, of_step, lambda x: fire(x, derivative))
        emitted.append(spikes)
    return torch.stack(emitted)


def both(
    fused: Any, neuron: LeakyIntegrateAndFire, shape: tuple[int, ...], dtype: Any,
    derivative: Callable[[Any], Any],
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Spikes, gradients of the currents, and of what is learned: by the loop, then fused."""
    generator = torch.Generator().manual_seed(sum(shape))
    # Quarters, so that some potentials are the threshold.
    current = (4 * (0.3 + 0.8 * torch.randn(shape, generator=generator, dtype=dtype))).round() / 4
    weights = torch.randn(shape, generator=generator, dtype=dtype)
    found = []
    for is_fused in (False, True):
        given = current.clone().requires_grad_()
        learned = {
            name: torch.tensor([neuron.first_learned(name)], dtype=dtype, requires_grad=True)
            for name in neuron.learned_names
        }
        own = neuron.with_tensors(learned)
        spikes = (
            fused.integrate_and_fire(given, own.integration(), derivative)
            if is_fused
            else by_steps(given, own, derivative)
        )
        (spikes * weights).sum().backward()
        found.append((spikes.detach(), given.grad, *(each.grad for each in learned.values())))
    return found


class TestNeurons:
    # Columns that fill no block, one block and one more, one column; one step.
    SHAPES: ClassVar = [(7, 3, 11), (1, 5, 3), (4, 2, 64), (3, 3, 43), (6, 1, 1), (5, 13, 21)]

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("neuron", NEURONS)
    def test_against_the_loop(
        self, interpreted: Any, neuron: dict[str, Any], shape: tuple[int, ...]
    ) -> None:
        derivative = SURROGATES["arctangent"]().derivative
        model = LeakyIntegrateAndFire(**neuron)
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
            loop, fused = both(interpreted, model, shape, dtype, derivative)
            assert torch.equal(loop[0], fused[0])
            assert torch.equal(loop[1], fused[1])
            assert shape[1:] == (1, 1) or 0 < loop[0].mean() < 1
            for expected, gradient in zip(loop[2:], fused[2:], strict=True):
                assert gradient.shape == (1,)
                torch.testing.assert_close(gradient, expected, rtol=tolerance, atol=tolerance)
                assert shape[0] == 1 or expected != 0

    @pytest.mark.parametrize("reset", ["zero", "subtract"])
    @pytest.mark.parametrize("surrogate", list(SURROGATES))
    def test_surrogates(self, interpreted: Any, surrogate: str, reset: str) -> None:
        neuron = LeakyIntegrateAndFire(reset=reset, learned="both")
        derivative = SURROGATES[surrogate]().derivative
        loop, fused = both(interpreted, neuron, (8, 3, 9), torch.float64, derivative)
        for expected, found in zip(loop, fused, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
            assert expected.abs().max() > 0

    def test_currents_and_gradients_that_lie_otherwise(self, interpreted: Any) -> None:
        """As the direct code's, the same in every step; as a sum over the steps gives them."""
        neuron = LeakyIntegrateAndFire()
        derivative = SURROGATES["triangle"]().derivative
        gradients = []
        for function in (
            lambda current: by_steps(current, neuron, derivative),
            lambda current: interpreted.integrate_and_fire(
                current, neuron.integration(), derivative
            ),
        ):
            given = torch.linspace(0, 1, 15).reshape(5, 3).t().requires_grad_()
            spikes = function(given.expand(6, -1, -1))
            (spikes.sum(dim=0) * given.detach()).sum().backward()
            gradients.append(given.grad)
            assert spikes.sum() > 0
        assert torch.equal(*gradients)

    def test_nothing_to_run(self, interpreted: Any) -> None:
        integration = LeakyIntegrateAndFire().integration()
        spikes = interpreted.integrate_and_fire(torch.zeros(4, 0, 7), integration, torch.ones_like)
        assert spikes.shape == (4, 0, 7)


class TestCompiled:
    """For GPUs by their compute capability, as far as that goes without one: to machine code."""

    @pytest.mark.parametrize("capability", [75, 80, 90])
    @pytest.mark.parametrize("ones", [(), ("n_steps", "n_columns")], ids=["many", "one"])
    def test_rounds_each_product(
        self,
        compiled: Any,
        capability: int,
        ones: tuple[str, ...],
        tmp_path: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """So that a potential has the bits of torch's; Triton makes one of the numbers 1."""
        import triton
        from triton.backends.compiler import GPUTarget

        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        for kernel in (compiled.forward_kernel, compiled.backward_kernel):
            constants = {"SUBTRACTS": True, "BLOCK": compiled.BLOCK} | dict.fromkeys(ones, 1)
            types = {
                name: "i32" if name.startswith("n_") else "*fp32" for name in kernel.arg_names
            } | dict.fromkeys(constants, "constexpr")
            contracted = []
            for options in ({"enable_fp_fusion": True}, compiled.ROUNDING):
                made = triton.compile(
                    triton.compiler.ASTSource(kernel, types, constants),
                    target=GPUTarget("cuda", capability, 32),
                    options=options,
                )
                assert made.asm["cubin"]
                contracted.append(bool(re.search(r"\bfma\.", made.asm["ptx"])))
            assert contracted == [True, False]


def network(**neuron: Any) -> tuple[Architecture, dict[str, Any]]:
    """A network whose every layer fires now and then."""
    generator = np.random.default_rng(2)
    architecture = Architecture(14, (17, 9), 4, LeakyIntegrateAndFire(**neuron))
    state = {
        name: np.array([{"decay_logit": 2.0, "log_threshold": -0.1}[name.rpartition(".")[2]]])
        if ".neurons." in name
        else generator.normal(0.08, 1.2 / np.sqrt(shape[-1]), shape)
        for name, shape in architecture.parameter_shapes().items()
    }
    return architecture.learned_from(state), state


def batches(count: int) -> Iterator[tuple[EventList, np.ndarray, np.ndarray]]:
    """Events, or currents in every other batch, with labels and a teacher's probabilities."""
    generator = np.random.default_rng(5)
    for number in range(count):
        values = generator.random((6, 14), dtype=np.float32)
        spikes = generator.random((6, 8, 14)) < 0.3
        teacher = generator.random((6, 4))
        yield (
            EventList.of_currents(Currents.from_dense(values, "once"), 8, 14)
            if number % 2
            else EventList.from_dense(spikes.astype(int)),
            generator.integers(0, 4, 6),
            teacher / teacher.sum(axis=1, keepdims=True),
        )


def some_synapses(state: dict[str, Any]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {
        name: generator.random(values.shape) < 0.7
        for name, values in state.items()
        if values.ndim == 2
    }


@pytest.mark.usefixtures("interpreted")
class TestEngine:
    @pytest.mark.parametrize("neuron", NEURONS)
    @pytest.mark.parametrize("pruned", [False, True])
    def test_training(self, neuron: dict[str, Any], pruned: bool) -> None:
        architecture, state = network(**neuron)
        loop, fused = (
            DenseEngine(architecture, state, LEARNING, "cpu", np.float64, of_all)
            for of_all in (False, True)
        )
        if pruned:
            for engine in (loop, fused):
                engine.prune(some_synapses(state))
        for events, labels, teacher in batches(5):
            expected, gradients = loop.gradients(events, labels, teacher)
            outcome, found = fused.gradients(events, labels, teacher)
            assert outcome.spikes == expected.spikes
            assert outcome.synaptic_events == expected.synaptic_events
            assert len(outcome.synaptic_events) == 3
            assert outcome.input_macs == expected.input_macs
            assert found.keys() == gradients.keys()
            for name, gradient in gradients.items():
                np.testing.assert_allclose(found[name], gradient, rtol=1e-9, atol=1e-14)
            expected = loop.train_batch(events, labels, 0.01, teacher)
            outcome = fused.train_batch(events, labels, 0.01, teacher)
            assert outcome.mean_loss == pytest.approx(expected.mean_loss, rel=1e-9)
            for name, value in loop.state().items():
                np.testing.assert_allclose(fused.state()[name], value, rtol=1e-9, atol=1e-14)

    def test_running_in_float32(self) -> None:
        architecture, state = network(reset="subtract")
        engine = DenseEngine(architecture, state)
        fused = DenseEngine(architecture, state, fused=True).with_parameters(state)
        for events, _, _ in batches(2):
            for layer, expected in zip(fused.run(events), engine.run(events), strict=True):
                assert np.array_equal(layer.to_dense(), expected.to_dense())
                assert expected.n_events > 0
        nothing = EventList.from_dense(np.zeros((0, 5, 14)))
        assert [layer.n_inputs for layer in fused.run(nothing)] == [17, 9, 4]

    def test_goes_on_from_a_snapshot_to_the_same_bits(self) -> None:
        architecture, state = network(learned="both")
        first, *others = batches(4)
        engine = DenseEngine(architecture, state, LEARNING, fused=True)
        engine.train_batch(first[0], first[1], 0.01, first[2])
        again = DenseEngine(architecture, state, LEARNING, fused=True)
        again.restore(engine.snapshot())
        for events, labels, teacher in others:
            of_one, of_other = (
                each.train_batch(events, labels, 0.01, teacher) for each in (engine, again)
            )
            assert of_one == of_other
        for name, value in engine.state().items():
            assert value.tobytes() == again.state()[name].tobytes()

    def test_the_optimizer_state_does_not_tell(self) -> None:
        architecture, state = network()
        told = []
        for fused in (False, True):
            engine = DenseEngine(architecture, state, LEARNING, "cpu", np.float64, fused)
            for events, labels, teacher in batches(2):
                engine.train_batch(events, labels, 0.01, teacher)
            told.append(engine.optimizer_state(0.01))
        assert told[0]["param_groups"] == told[1]["param_groups"]
        for index, entry in told[0]["state"].items():
            for name, value in entry.items():
                found = told[1]["state"][index][name]
                assert found.dtype == value.dtype
                np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-14)

    @pytest.mark.parametrize("pruned", [False, True])
    def test_the_host_waits_for_nothing_but_the_outcome(self, pruned: bool) -> None:
        architecture, state = network(learned="both")
        engine = DenseEngine(architecture, state, LEARNING, fused=True)
        if pruned:
            engine.prune(some_synapses(state))
        for events, labels, teacher in batches(2):
            with _Operations() as operations:
                engine.train_batch(events, labels, 0.01, teacher)
            assert "_fused_adam_" in operations.names
            assert not operations.names & WAITING


class _Operations(TorchDispatchMode):
    """The names of the operations that torch carries out."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), settings: Any = None
    ) -> Any:
        self.names.add(operation.overloadpacket.__name__)
        return operation(*arguments, **(settings or {}))


class _Stubborn(LeakyIntegrateAndFire):
    """Fires at every step, whatever its potential."""

    def step(self, membrane: Any, current: Any, fire: Any) -> Any:
        spikes = fire(torch.ones_like(current))
        return spikes, membrane + current


class TestWithoutAKernel:
    """What goes through the loop all the same; none of these needs Triton."""

    def test_a_quantised_network(self) -> None:
        architecture, state = network()
        quantised = with_grids(replace(architecture, quantisation=Quantisation(8, 32)), state)
        events, labels, teacher = next(batches(1))
        (expected, gradients), (outcome, found) = (
            DenseEngine(quantised, state, LEARNING, fused=fused).gradients(events, labels, teacher)
            for fused in (False, True)
        )
        assert outcome == expected
        for name, gradient in gradients.items():
            assert np.array_equal(found[name], gradient)

    def test_a_neuron_with_another_step(self) -> None:
        layer = SpikingLayer(3, 5, _Stubborn(), fused=True)
        assert (layer(torch.zeros(4, 2, 3), torch.ones_like) == 1).all()

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_a_gpu_that_is_not_there(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            assert not can_fuse("cuda:7")
        (record,) = caplog.records
        assert record.getMessage().startswith("cuda:7: the neurons take one step after the other: ")

    def test_the_host_waits_for_nothing_but_the_outcome(self) -> None:
        architecture, state = network()
        engine = DenseEngine(architecture, state, LEARNING)
        for events, labels, teacher in batches(2):
            with _Operations() as operations:
                engine.gradients(events, labels, teacher)
            assert not operations.names & WAITING


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.usefixtures("compiled")
class TestOnAGpu:
    def test_spikes_of_the_cpu(self) -> None:
        architecture, state = network()
        assert can_fuse("cuda")
        for dtype, allowed in ((np.float64, 0.0), (np.float32, MISMATCHES_ALLOWED)):
            for events, _, _ in batches(20):
                for layer, expected in zip(
                    DenseEngine(architecture, state, device="cuda", dtype=dtype).run(events),
                    DenseEngine(architecture, state, dtype=dtype).run(events),
                    strict=True,
                ):
                    differing = (layer.to_dense() != expected.to_dense()).sum()
                    assert differing <= allowed * expected.n_events

    def test_one_wait_a_batch(self) -> None:
        architecture, state = network(learned="both")
        engine = DenseEngine(architecture, state, LEARNING, "cuda")
        for number, (events, labels, teacher) in enumerate(batches(6)):
            with warnings.catch_warnings(record=True) as waits:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                engine.train_batch(events, labels, 0.01, teacher)
                torch.cuda.set_sync_debug_mode("default")
            # The first batches compile and allocate.
            assert number < 2 or len(waits) == 1, [str(wait.message) for wait in waits]
