"""The formulas of `estimators` against the tools themselves, and the tools' counts against ours.

One network in several simulators: random weights, and the spikes that all of them must emit.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikejoule.baselines.counts import nonzero_macs
from spikejoule.data.images import Dataset
from spikejoule.energy import count_operations
from spikejoule.engine import run_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neurons.lif import LeakyIntegrateAndFire
from spikejoule.training.teacher import activations, intensities
from tests.interop import estimators
from tests.interop.estimators import Items, Layer
from tests.tools.settings import draw_key, encode

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STEPS = 50
N_IMAGES = 64
RELU = Architecture(784, (40,), 10)
NETWORKS: dict[str, dict[str, Any]] = {
    "lif": {},
    "integrate-and-fire": {"decay": 1},
    "without biases": {"bias": False},
    "integrate-and-fire without biases": {"decay": 1, "bias": False},
    "two hidden layers": {"hidden": (40, 30)},
    "reset by subtraction": {"reset": "subtract"},
    "pruned": {"pruned": True},
}


def dense(measured: Measurement, layer: int) -> torch.Tensor:
    """Spikes of a layer, the input first, float32 [T, N, units]."""
    spikes = torch.from_numpy(measured.layers[layer].to_dense(np.float32))
    return spikes.transpose(0, 1).contiguous()


def random_state(architecture: Architecture, pruned: bool, seed: int = 1) -> State:
    """Weights that make every layer fire.

    They are multiples of 1/64, so that any order of sums is exact, and zero only where pruned.
    """
    generator = np.random.default_rng(seed)
    state = {}
    for name, shape in architecture.parameter_shapes().items():
        values = np.rint(64 * generator.normal(0.05, 0.35, shape)) / 64
        values[values == 0] = 1 / 64
        if pruned and name.endswith("weight"):
            values = np.where(generator.random(shape) < 0.9, 0, 3 * values)
        state[name] = values.astype(np.float32)
    return state


def spiking_example(
    images: NDArray[np.uint8],
    hidden: tuple[int, ...] = (40,),
    pruned: bool = False,
    **neuron: Any,
) -> Measurement:
    """A network of 784-...-10 that has run over the images in this project's engine."""
    architecture = Architecture(784, hidden, 10, LeakyIntegrateAndFire(**neuron))
    state = random_state(architecture, pruned)
    events = encode(images, STEPS, 80.0, draw_key(7, "test", 0))
    layers = (events, *run_network(state, architecture, events))
    return Measurement(state, architecture, layers, pruned)


def weighted(
    linear: Any, state: State, number: int, shape: tuple[int, int], **arguments: Any
) -> torch.nn.Module:
    """A linear layer of a simulator with the parameters of layer `number`; `shape` [in, out]."""
    parameters = {
        name: torch.from_numpy(state[key])
        for name in ("weight", "bias")
        if (key := f"layer{number}.synapses.{name}") in state
    }
    module: torch.nn.Module = linear(*shape, bias="bias" in parameters, **arguments)
    module.load_state_dict(parameters)
    return module


def in_spikingjelly(example: Measurement) -> list[torch.nn.Module]:
    """Linear layers and neurons in turn, in multi-step mode."""
    from spikingjelly.activation_based import layer, neuron

    sizes = example.architecture.layer_sizes
    modules: list[torch.nn.Module] = []
    for number, ours in enumerate(example.architecture.neurons, start=1):
        assert isinstance(ours, LeakyIntegrateAndFire)
        threshold, decay = ours.constants
        common = {
            "v_threshold": threshold,
            "v_reset": 0.0 if ours.reset == "zero" else None,
            "step_mode": "m",
        }
        shape = (sizes[number - 1], sizes[number])
        modules += [
            weighted(layer.Linear, example.state, number, shape, step_mode="m"),
            neuron.LIFNode(tau=1 / (1 - decay), decay_input=False, **common)
            if decay < 1
            else neuron.IFNode(**common),
        ]
    return modules


def in_snntorch(example: Measurement) -> torch.nn.Sequential:
    """Linear layers and leaky neurons in turn, for NeuroBench's SNNTorchModel."""
    from snntorch import Leaky

    sizes, neurons = example.architecture.layer_sizes, example.architecture.neurons
    modules: list[torch.nn.Module] = []
    for number, ours in enumerate(neurons, start=1):
        assert isinstance(ours, LeakyIntegrateAndFire)
        threshold, decay = ours.constants
        modules += [
            weighted(torch.nn.Linear, example.state, number, (sizes[number - 1], sizes[number])),
            Leaky(
                beta=decay, threshold=threshold, reset_mechanism="zero", reset_delay=True,
                init_hidden=True, output=number == len(neurons),
                spike_grad=lambda x: (x >= 0).to(x.dtype),
            ),
        ]  # fmt: skip
    return torch.nn.Sequential(*modules)


@pytest.fixture(scope="module")
def digits(mnist5k: Dataset) -> NDArray[np.uint8]:
    return mnist5k.test.images[:N_IMAGES]


@pytest.fixture(scope="module", params=NETWORKS)
def example(request: pytest.FixtureRequest, digits: NDArray[np.uint8]) -> Measurement:
    ran = spiking_example(digits, **NETWORKS[request.param])
    assert all(spikes > 2 * N_IMAGES for spikes in ran.counts.per_sample.sum(axis=0))
    return ran


def layers_of(example: Measurement, spikes: NDArray[Any]) -> list[Layer]:
    """The layers after the input, from the spikes of every layer of one image or on average."""
    sizes, neurons = example.architecture.layer_sizes, example.architecture.neurons
    return [
        Layer(
            sizes[n], sizes[n + 1], STEPS, float(spikes[n]), float(spikes[n + 1]),
            bias=neuron.has_bias, leak=neuron.leaks,
        )
        for n, neuron in enumerate(neurons)
    ]  # fmt: skip


def relu_layers(architecture: Architecture, bias: bool = True) -> list[Layer]:
    sizes = architecture.layer_sizes
    return [Layer(sizes[n], sizes[n + 1], bias=bias) for n in range(len(sizes) - 1)]


def relu_modules(bias: bool) -> list[torch.nn.Module]:
    state = {
        name: values
        for name, values in random_state(RELU, pruned=False).items()
        if bias or name.endswith("weight")
    }
    sizes = RELU.layer_sizes
    modules = [weighted(torch.nn.Linear, state, n, (sizes[n - 1], sizes[n])) for n in (1, 2)]
    return [modules[0], torch.nn.ReLU(), modules[1]]


def assert_equal_items(found: Items, expected: Items) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=0)
    assert sum(found.values()) == pytest.approx(sum(expected.values()), rel=1e-9)


class TestSpikingJelly:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("spikingjelly", reason="needs the extra bench")

    @staticmethod
    def estimate(net: torch.nn.Module, x: torch.Tensor, strict: bool = True) -> Items:
        from spikingjelly.activation_based import functional
        from spikingjelly.activation_based.op_counter import (
            LemaireEnergyConfig,
            estimate_lemaire_energy,
        )

        functional.reset_net(net)
        report = estimate_lemaire_energy(net, x, config=LemaireEnergyConfig(strict=strict))
        parts = report.breakdown_pj
        items = {
            "operations": parts["ops_pj"],
            "addressing": parts["addressing_pj"],
            "in_out": parts["inout_pj"],
            "parameters": parts["params_pj"],
            "potentials": parts["potential_pj"],
        }
        assert sum(items.values()) == pytest.approx(report.total_pj, rel=1e-12)
        return items

    def test_a_spiking_network(self, example: Measurement) -> None:
        net = torch.nn.Sequential(*in_spikingjelly(example)).eval()
        spikes, inputs = example.counts.per_sample, dense(example, 0)
        for n in range(N_IMAGES):
            expected = estimators.network(
                estimators.spikingjelly_spiking, layers_of(example, spikes[n])
            )
            assert_equal_items(self.estimate(net, inputs[:, n : n + 1]), expected)

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_relu_network(self, digits: NDArray[np.uint8], bias: bool) -> None:
        net = torch.nn.Sequential(*relu_modules(bias))
        expected = estimators.network(estimators.spikingjelly_relu, relu_layers(RELU, bias))
        for pixels in intensities(digits):
            assert_equal_items(self.estimate(net, pixels[None], strict=False), expected)

    def test_synaptic_operations(self, example: Measurement) -> None:
        """Zero weights count there: ours and the zero synapses of each spike make up the sum."""
        from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

        net, counter = torch.nn.Sequential(*in_spikingjelly(example)).eval(), SynOpCounter()
        with torch.no_grad(), DispatchCounterMode([counter]):
            net(dense(example, 0))
        ours = int(count_operations(example).of("synaptic_event").sum())
        removed = 0
        if example.pruned:
            for number, spikes in enumerate(example.counts.per_neuron[:-1], start=1):
                weight = example.state[f"layer{number}.synapses.weight"]
                removed += int((spikes * (weight == 0).sum(axis=0)).sum())
            assert removed > ours
        assert counter.get_total() == ours + removed


class TestNeuroBench:
    """NeuroBench counts what its hooks see of the same network, run by snnTorch or by torch."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("neurobench", reason="needs the extra neurobench")

    @staticmethod
    def synaptic_operations(model: Any, inputs: torch.Tensor) -> tuple[torch.Tensor, Items]:
        from neurobench.metrics.workload import SynapticOperations

        model.register_hooks()
        with torch.no_grad():
            output = model(inputs)
        found = SynapticOperations()(model, output, (inputs, torch.zeros(len(inputs))))
        # 64 images: the mean of an integer is exact.
        return output, {name: len(inputs) * mean for name, mean in found.items()}

    @pytest.mark.parametrize("name", [name for name in NETWORKS if "reset" not in name])
    def test_effective_accumulates(self, digits: NDArray[np.uint8], name: str) -> None:
        pytest.importorskip("snntorch", reason="needs the extra neurobench")
        from neurobench.models import SNNTorchModel

        example = spiking_example(digits, **NETWORKS[name])
        spikes, found = self.synaptic_operations(
            SNNTorchModel(in_snntorch(example)), dense(example, 0).transpose(0, 1)
        )
        assert torch.equal(spikes, dense(example, -1).transpose(0, 1))
        ours = int(count_operations(example).of("synaptic_event").sum())
        every = N_IMAGES * STEPS * sum(example.architecture.synapses)
        assert found == {"Effective_ACs": ours, "Effective_MACs": 0, "Dense": every}

    def test_multiply_accumulates(self, digits: NDArray[np.uint8]) -> None:
        from neurobench.models import TorchModel

        net = torch.nn.Sequential(*relu_modules(bias=True))
        scores, found = self.synaptic_operations(TorchModel(net), intensities(digits))
        state = random_state(RELU, pruned=False)
        layers = activations(state, digits)
        np.testing.assert_array_equal(scores.numpy(), layers[-1])
        kept = [weights != 0 for weights in state.values() if weights.ndim == 2]
        ours = int(nonzero_macs(layers, kept).sum())
        every = N_IMAGES * sum(RELU.synapses)
        assert found == {"Effective_ACs": 0, "Effective_MACs": ours, "Dense": every}
        assert ours < every
