"""The formulas of `estimators` against the tools themselves, and the tools' counts against ours."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikejoule.baselines.counts import nonzero_macs
from spikejoule.data.images import Dataset
from spikejoule.energy import count_operations
from spikejoule.model.architecture import Architecture
from spikejoule.training.teacher import activations, intensities
from tests.interop import estimators
from tests.interop.estimators import Items, Layer
from tests.interop.networks import (
    STEPS,
    Example,
    in_snntorch,
    in_spikingjelly,
    random_state,
    spiking_example,
    weighted,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

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


@pytest.fixture(scope="module")
def digits(mnist5k: Dataset) -> NDArray[np.uint8]:
    return mnist5k.test.images[:N_IMAGES]


@pytest.fixture(scope="module", params=NETWORKS)
def example(request: pytest.FixtureRequest, digits: NDArray[np.uint8]) -> Example:
    ran = spiking_example(digits, **NETWORKS[request.param])
    assert all(spikes > 2 * N_IMAGES for spikes in ran.measured().counts.per_sample.sum(axis=0))
    return ran


def layers_of(example: Example, spikes: NDArray[Any]) -> list[Layer]:
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

    def test_the_same_spikes(self, example: Example) -> None:
        spikes = example.dense(0)
        modules = in_spikingjelly(example)
        with torch.no_grad():
            for number in range(len(modules) // 2):
                spikes = modules[2 * number + 1](modules[2 * number](spikes))
                assert torch.equal(spikes, example.dense(number + 1))

    def test_a_spiking_network(self, example: Example) -> None:
        net = torch.nn.Sequential(*in_spikingjelly(example)).eval()
        spikes, inputs = example.measured().counts.per_sample, example.dense(0)
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

    def test_a_binary_image_is_taken_for_spikes(self) -> None:
        net = torch.nn.Sequential(*relu_modules(bias=True))
        expected = estimators.network(estimators.spikingjelly_relu, relu_layers(RELU))
        found = self.estimate(net, torch.ones(1, 784), strict=False)
        assert found["operations"] < expected["operations"]
        assert found["potentials"] > 0

    def test_synaptic_operations(self, example: Example) -> None:
        """Zero weights count there: ours and the zero synapses of each spike make up the sum."""
        from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

        net, counter = torch.nn.Sequential(*in_spikingjelly(example)).eval(), SynOpCounter()
        with torch.no_grad(), DispatchCounterMode([counter]):
            net(example.dense(0))
        measured = example.measured()
        ours = int(count_operations(measured).of("synaptic_event").sum())
        removed = 0
        if example.pruned:
            for number, spikes in enumerate(measured.counts.per_neuron[:-1], start=1):
                weight = example.state[f"layer{number}.synapses.weight"]
                removed += int((spikes * (weight == 0).sum(axis=0)).sum())
            assert removed > ours
        assert counter.get_total() == ours + removed


class TestQualia:
    """`pip install qualia-plugin-snn qualia-codegen-plugin-snn`, which no extra asks for."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        for name in ("qualia_plugin_snn", "qualia_codegen_plugin_snn"):
            pytest.importorskip(name, reason=f"needs {name.replace('_', '-')} from PyPI")

    @staticmethod
    def estimate(
        model: torch.nn.Module,
        inputs: torch.Tensor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Items:
        from qualia_plugin_snn.learningframework.SpikingJelly import SpikingJelly
        from qualia_plugin_snn.postprocessing import EnergyEstimationMetric

        class Framework(SpikingJelly):
            def __init__(self) -> None:
                pass

            def predict(self, model: Any, **_: Any) -> torch.Tensor:
                with torch.no_grad():
                    return torch.as_tensor(model(inputs))

        metric = EnergyEstimationMetric(mem_width=32, fifo_size=estimators.FIFO_WORDS)
        kept: list[Any] = []
        summary = metric._energy_summary
        monkeypatch.setattr(
            metric, "_energy_summary", lambda rows: kept.extend(rows) or summary(rows)
        )
        result = SimpleNamespace(
            model=model, framework=Framework(), testset=None, batch_size=N_IMAGES,
            dataaugmentations=[], name="example",
        )  # fmt: skip
        metric(result, {})
        total = kept[-1]
        assert total.name == "Total"
        return {
            "operations": total.ops,
            "addressing": total.addr,
            "in_out": total.mem_io,
            "weights": total.mem_weights,
            "biases": total.mem_bias,
            "potentials": total.mem_pot,
        }

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # it writes logs/ where it runs

    # Qualia-CodeGen reads no layer without biases.
    @pytest.mark.parametrize("name", [name for name in NETWORKS if "biases" not in name])
    def test_a_spiking_network(
        self, digits: NDArray[np.uint8], name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from qualia_plugin_snn.learningmodel.pytorch.SNN import SNN

        example = spiking_example(digits, **NETWORKS[name])

        class Spiking(SNN):
            def __init__(self) -> None:
                super().__init__(
                    input_shape=(784,), output_shape=(10,), timesteps=STEPS,
                    neuron={"kind": "IFNode", "params": {"step_mode": "m"}},
                )  # fmt: skip
                self.layers = torch.nn.Sequential(*in_spikingjelly(example))

            def forward(self, spikes: torch.Tensor) -> torch.Tensor:
                for module in self.layers:
                    spikes = module(spikes)
                return spikes

        found = self.estimate(Spiking().eval(), example.dense(0), monkeypatch)
        means = example.measured().counts.per_sample.mean(axis=0)
        expected = estimators.network(estimators.qualia_spiking, layers_of(example, means))
        assert_equal_items(found, expected)

    def test_a_relu_network(
        self, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net = torch.nn.Sequential(*relu_modules(bias=True))
        net.input_shape = (784,)
        found = self.estimate(net, intensities(digits), monkeypatch)
        expected = estimators.network(estimators.qualia_relu, relu_layers(RELU))
        assert_equal_items(found, expected)

    def test_a_layer_without_biases_reads_none_and_adds_them(self) -> None:
        from qualia_plugin_snn.postprocessing import EnergyEstimationMetric

        metric = EnergyEstimationMetric(mem_width=32, fifo_size=estimators.FIFO_WORDS)
        dense = SimpleNamespace(input_shape=((1, 6),), output_shape=((1, 4),), use_bias=False)
        spiking = estimators.qualia_spiking(Layer(6, 4, STEPS, 12.0, 8.0, bias=False))
        relu = estimators.qualia_relu(Layer(6, 4, bias=False))
        assert metric._e_ops_fc_snn(dense, 2.0, 2.0, STEPS, True) == spiking["operations"]
        assert metric._e_ops_fc_fnn(dense) == relu["operations"]
        assert metric._e_rdbias_fc_snn(dense, STEPS, float) == spiking["biases"] == 0
        assert metric._e_rdbias_fc_fnn(dense, float) == relu["biases"] == 0


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
            SNNTorchModel(in_snntorch(example)), example.dense(0).transpose(0, 1)
        )
        assert torch.equal(spikes, example.dense(-1).transpose(0, 1))
        ours = int(count_operations(example.measured()).of("synaptic_event").sum())
        dense = N_IMAGES * STEPS * sum(example.architecture.synapses)
        assert found == {"Effective_ACs": ours, "Effective_MACs": 0, "Dense": dense}

    def test_multiply_accumulates(self, digits: NDArray[np.uint8]) -> None:
        from neurobench.models import TorchModel

        net = torch.nn.Sequential(*relu_modules(bias=True))
        scores, found = self.synaptic_operations(TorchModel(net), intensities(digits))
        state = random_state(RELU, pruned=False)
        layers = activations(state, digits)
        np.testing.assert_array_equal(scores.numpy(), layers[-1])
        kept = [weights != 0 for weights in state.values() if weights.ndim == 2]
        ours = int(nonzero_macs(layers, kept).sum())
        dense = N_IMAGES * sum(RELU.synapses)
        assert found == {"Effective_ACs": 0, "Effective_MACs": ours, "Dense": dense}
        assert ours < dense
