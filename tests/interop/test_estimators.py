"""The formulas of `estimators` against the tools themselves.

One network in several simulators: random weights, and the spikes that all of them must emit.
"""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spikejoule.counts.measurement import Measurement
from spikejoule.data.images import Dataset
from spikejoule.engine import run_network
from spikejoule.network.network import Network, State
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.training.teacher import intensities
from tests.interop import estimators
from tests.interop.estimators import Items, Layer
from tests.tools.settings import draw_key, encode

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STEPS = 50
N_IMAGES = 64
RELU = Network.of_layers(784, (40,), 10)
NETWORKS: dict[str, dict[str, Any]] = {
    "integrate-and-fire": {"decay": 1},
    "without biases": {"bias": False},
    "two hidden layers": {"hidden": (40, 30)},
    "reset by subtraction": {"reset": "subtract"},
    "pruned": {"pruned": True},
}


def dense(measured: Measurement, layer: int) -> torch.Tensor:
    """Spikes of a layer, the input first, float32 [T, N, units]."""
    spikes = torch.from_numpy(measured.layers[layer].to_dense(np.float32))
    return spikes.transpose(0, 1).contiguous()


def random_state(architecture: Network, pruned: bool = False) -> State:
    """Weights that make every layer fire.

    They are multiples of 1/64, so that any order of sums is exact, and zero only where pruned.
    """
    generator = np.random.default_rng(1)
    state = {}
    for name, shape in architecture.parameter_shapes().items():
        values = np.rint(64 * generator.normal(0.05, 0.35, shape)) / 64
        values[values == 0] = 1 / 64
        if pruned and name.endswith("weight"):
            values = np.where(generator.random(shape) < 0.9, 0, 3 * values)
        state[name] = values.astype(np.float32)
    return state


def linear(of: Any, state: State, number: int, **arguments: Any) -> torch.nn.Module:
    """A linear layer of a simulator with the parameters of layer `number`."""
    parameters = {
        name: torch.from_numpy(state[key])
        for name in ("weight", "bias")
        if (key := f"layer{number}.synapses.{name}") in state
    }
    n_out, n_in = parameters["weight"].shape
    module: torch.nn.Module = of(n_in, n_out, bias="bias" in parameters, **arguments)
    module.load_state_dict(parameters)
    return module


@pytest.fixture(scope="module")
def digits(mnist5k: Dataset) -> NDArray[np.uint8]:
    return mnist5k.test.images[:N_IMAGES]


@pytest.fixture(scope="module", params=NETWORKS)
def example(request: pytest.FixtureRequest, digits: NDArray[np.uint8]) -> Measurement:
    """A network of 784-...-10 that has run over the images in this project's engine."""
    neuron = dict(NETWORKS[request.param])
    hidden, pruned = neuron.pop("hidden", (40,)), neuron.pop("pruned", False)
    architecture = Network.of_layers(784, hidden, 10, LeakyIntegrateAndFire(**neuron))
    state = random_state(architecture, pruned)
    events = encode(digits, STEPS, 80.0, draw_key(7, "test", 0))
    layers = (events, *run_network(state, architecture, events))
    ran = Measurement(state, architecture, layers, pruned)
    assert all(spikes > 2 * N_IMAGES for spikes in ran.counts.per_sample.sum(axis=0))
    return ran


def neurons_of(example: Measurement) -> list[LeakyIntegrateAndFire]:
    return [of for of in example.network.neurons if isinstance(of, LeakyIntegrateAndFire)]


def in_spikingjelly(example: Measurement) -> torch.nn.Sequential:
    """Linear layers and neurons in turn, in multi-step mode."""
    layer = pytest.importorskip("spikingjelly.activation_based.layer", reason="needs interop")
    from spikingjelly.activation_based import neuron

    modules: list[torch.nn.Module] = []
    for number, ours in enumerate(neurons_of(example), start=1):
        threshold, decay = ours.constants
        common = {
            "v_threshold": threshold,
            "v_reset": 0.0 if ours.reset == "zero" else None,
            "step_mode": "m",
        }
        modules += [
            linear(layer.Linear, example.state, number, step_mode="m"),
            neuron.LIFNode(tau=1 / (1 - decay), decay_input=False, **common)
            if decay < 1
            else neuron.IFNode(**common),
        ]
    return torch.nn.Sequential(*modules).eval()


def in_torch(bias: bool) -> torch.nn.Sequential:
    """The ReLU network."""
    state = {
        name: values
        for name, values in random_state(RELU).items()
        if bias or name.endswith("weight")
    }
    first, second = (linear(torch.nn.Linear, state, number) for number in (1, 2))
    return torch.nn.Sequential(first, torch.nn.ReLU(), second)


class TestSpikingJelly:
    @staticmethod
    def estimate(net: torch.nn.Module, x: torch.Tensor, strict: bool = True) -> Items:
        counter = pytest.importorskip(
            "spikingjelly.activation_based.op_counter", reason="needs the extra interop"
        )
        from spikingjelly.activation_based import functional

        functional.reset_net(net)
        config = counter.LemaireEnergyConfig(strict=strict)
        report = counter.estimate_lemaire_energy(net, x, config=config)
        names = {"operations": "ops", "addressing": "addressing", "in_out": "inout"}
        names |= {"parameters": "params", "potentials": "potential"}
        items = {ours: report.breakdown_pj[f"{theirs}_pj"] for ours, theirs in names.items()}
        assert sum(items.values()) == pytest.approx(report.total_pj, rel=1e-12)
        return items

    def test_a_spiking_network(self, example: Measurement) -> None:
        net, inputs = in_spikingjelly(example), dense(example, 0)
        sizes, neurons = example.network.layer_sizes, neurons_of(example)
        for n, spikes in enumerate(example.counts.per_sample):
            layers = [
                Layer(
                    sizes[k], sizes[k + 1], STEPS, float(spikes[k]), float(spikes[k + 1]),
                    bias=neuron.has_bias, leak=neuron.leaks,
                )
                for k, neuron in enumerate(neurons)
            ]  # fmt: skip
            expected = estimators.network(estimators.spikingjelly_spiking, layers)
            found = self.estimate(net, inputs[:, n : n + 1])
            assert found == pytest.approx(expected, rel=1e-9, abs=0)

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_convolution(self, bias: bool) -> None:
        """Its formula, and what a spike in a corner and one in the middle really reach."""
        layer = pytest.importorskip("spikingjelly.activation_based.layer", reason="needs interop")
        from spikingjelly.activation_based import neuron

        torch.manual_seed(1)
        lif = neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.2, step_mode="m")
        net = torch.nn.Sequential(
            layer.Conv2d(2, 6, 3, stride=2, padding=1, groups=2, bias=bias, step_mode="m"), lif
        )
        spikes = (torch.rand(STEPS, 1, 2, 7, 7) < 0.2).float()
        found = self.estimate(net, spikes)
        n_out = int(found["in_out"] / estimators.spikingjelly_byte_pj(4000) / 4 + 0.5)
        n_out -= int(spikes.sum())
        ours = Layer(98, 96, STEPS, float(spikes.sum()), n_out, bias=bias)
        expected = estimators.spikingjelly_convolution(ours, 3, (3, 3), (2, 2), 54 + 6 * bias)
        assert found == pytest.approx(expected, rel=1e-9, abs=0)
        for place, reached in ((0, 3), (3, 12)):
            one = torch.zeros(1, 2, 7, 7)
            one[0, 0, place, place] = 1
            weights = torch.ones(6, 1, 3, 3)
            made = torch.nn.functional.conv2d(one, weights, stride=2, padding=1, groups=2)
            assert int(made.sum()) == reached  # Lemaire's formula has 12 additions, and 27 reads

    @pytest.mark.parametrize("bias", [True, False])
    def test_a_relu_network(self, digits: NDArray[np.uint8], bias: bool) -> None:
        sizes = RELU.layer_sizes
        layers = [Layer(sizes[n], sizes[n + 1], bias=bias) for n in (0, 1)]
        expected = estimators.network(estimators.spikingjelly_relu, layers)
        for pixels in intensities(digits):
            found = self.estimate(in_torch(bias), pixels[None], strict=False)
            assert found == pytest.approx(expected, rel=1e-9, abs=0)
