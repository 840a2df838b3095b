"""The formulas of `estimators` against SpikingJelly's own estimate, item by item."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.interop import estimators
from tests.interop.estimators import Items, Layer

counter = pytest.importorskip(
    "spikingjelly.activation_based.op_counter", reason="needs the extra interop"
)
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STEPS = 20
NETWORKS: dict[str, dict[str, Any]] = {
    "integrate-and-fire without biases": {"leak": False, "bias": False},
    "two hidden layers": {"sizes": (60, 40, 30, 10)},
    "reset by subtraction, pruned": {"v_reset": None, "kept": 0.1},
}


def estimate(network: nn.Module, x: Tensor, strict: bool = True) -> Items:
    """What SpikingJelly says, under our names."""
    functional.reset_net(network)
    config = counter.LemaireEnergyConfig(strict=strict)
    report = counter.estimate_lemaire_energy(network, x, config=config)
    names = {
        "operations": "ops",
        "addressing": "addressing",
        "in_out": "inout",
        "parameters": "params",
        "potentials": "potential",
    }
    items = {
        ours: report.breakdown_pj[f"{theirs}_pj"] for ours, theirs in names.items()
    }
    assert sum(items.values()) == pytest.approx(report.total_pj, rel=1e-12)
    return items


@pytest.mark.parametrize("name", NETWORKS)
def test_a_spiking_network(name: str) -> None:
    """Sample by sample: its buffers and memories grow with the batch."""
    choice = dict(NETWORKS[name])
    sizes = choice.pop("sizes", (60, 40, 10))
    bias = choice.pop("bias", True)
    leak = choice.pop("leak", True)
    kept = choice.pop("kept", 1.0)
    torch.manual_seed(1)
    network = nn.Sequential()
    emitted: list[float] = []
    for n_in, n_out in pairwise(sizes):
        linear = layer.Linear(n_in, n_out, bias=bias, step_mode="m")
        linear.weight.data *= 5 * (torch.rand(n_out, n_in) < kept) / kept**0.5
        fields = {"v_reset": 0.0, "step_mode": "m", **choice}
        firing = (
            neuron.LIFNode(decay_input=False, **fields)
            if leak
            else neuron.IFNode(**fields)
        )
        firing.register_forward_hook(
            lambda _, args, out: emitted.append(float(out.sum()))
        )
        network.extend([linear, firing])
    for _ in range(3):
        x = (torch.rand(STEPS, 1, sizes[0]) < 0.2).float()
        emitted.clear()
        found = estimate(network.eval(), x)
        spikes = [float(x.sum()), *emitted[-len(sizes) + 1 :]]
        assert min(spikes) > 0
        layers = [
            Layer(
                sizes[k],
                sizes[k + 1],
                STEPS,
                spikes[k],
                spikes[k + 1],
                bias=bias,
                leak=leak,
            )
            for k in range(len(sizes) - 1)
        ]
        expected = estimators.network(estimators.spikingjelly_spiking, layers)
        assert found == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_convolution() -> None:
    torch.manual_seed(1)
    conv = layer.Conv2d(2, 6, 3, stride=2, padding=1, groups=2, step_mode="m")
    lif = neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.2, step_mode="m")
    emitted: list[float] = []
    lif.register_forward_hook(lambda _, args, out: emitted.append(float(out.sum())))
    spikes = (torch.rand(STEPS, 1, 2, 7, 7) < 0.2).float()
    found = estimate(nn.Sequential(conv, lif), spikes)
    ours = Layer(98, 96, STEPS, float(spikes.sum()), emitted[-1])
    expected = estimators.spikingjelly_convolution(ours, 3, (3, 3), (2, 2), 60)
    assert found == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("bias", [True, False])
def test_a_relu_network(bias: bool) -> None:
    sizes = (60, 40, 10)
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Linear(60, 40, bias=bias), nn.ReLU(), nn.Linear(40, 10, bias=bias)
    )
    layers = [Layer(sizes[n], sizes[n + 1], bias=bias) for n in (0, 1)]
    expected = estimators.network(estimators.spikingjelly_relu, layers)
    found = estimate(network, torch.rand(1, 60), strict=False)
    assert found == pytest.approx(expected, rel=1e-9, abs=0)
