"""Each tool's own count, and ours by its convention, of the same networks: equal to the last digit.

Sums stay below 2**24, above which NeuroBench's, in float32, lose digits.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import AvgPool2d, Conv1d, Conv2d, Flatten, Linear, MaxPool2d, ReLU
from torch.utils.flop_counter import FlopCounterMode

from spikejoule import count_as, price
from spikejoule.core.errors import ParameterError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

N_SAMPLES, STEPS = 8, 12
Layers = list[nn.Module]
Shape = tuple[int, ...]


def prepared(layers: Layers) -> nn.Module:
    """Layers that fire, a fifth of whose weights are zero."""
    torch.manual_seed(3)
    network = nn.Sequential(*layers)
    for values in network.parameters():
        if values.dim() > 1:
            with torch.no_grad():
                values.mul_(3 * (torch.rand_like(values) > 0.2))
    return network.eval()


def ours(tool: str, network: nn.Module, run: Callable[[], Any]) -> dict[str, int]:
    with torch.no_grad(), count_as(tool, network) as found:
        run()
    return found


def leaky(**options: Any) -> nn.Module:
    import snntorch

    return snntorch.Leaky(beta=0.5, init_hidden=True, **options)


def recurrent(**options: Any) -> nn.Module:
    import snntorch

    return snntorch.RLeaky(beta=0.5, init_hidden=True, **options)


SNNTORCH: dict[str, tuple[Callable[[], Layers], Shape]] = {
    "fully connected": (lambda: [Linear(30, 40), leaky(), Linear(40, 10), leaky()], (30,)),
    "graded": (lambda: [Linear(30, 40), leaky(graded_spikes_factor=2.0), Linear(40, 9)], (30,)),
    "currents are pooled": (
        lambda: [Conv2d(2, 4, 3), AvgPool2d(2), leaky(), Flatten(), Linear(64, 9)], (2, 10, 10)
    ),
    "stride, padding": (
        lambda: [Conv2d(2, 8, 3, stride=2, padding=1), leaky(), MaxPool2d(2), Flatten(),
                 Linear(32, 9), leaky()], (2, 10, 10),
    ),
    "circular, averages": (
        lambda: [Conv2d(2, 8, 3, padding=1, padding_mode="circular"), leaky(), AvgPool2d(2),
                 Conv2d(8, 4, 3, bias=False), leaky()], (2, 10, 10),
    ),
    "groups, dilation": (
        lambda: [Conv2d(4, 8, 3, groups=2, dilation=2), leaky(), Conv2d(8, 8, 3, groups=8)],
        (4, 10, 10),
    ),
    "recurrent to zero": (
        lambda: [Linear(30, 40), recurrent(linear_features=40, reset_mechanism="zero"),
                 Linear(40, 9)], (30,),
    ),
    "recurrent convolution": (
        lambda: [Conv2d(1, 3, 3), recurrent(conv2d_channels=3, kernel_size=3), Flatten(),
                 Linear(192, 9)], (1, 10, 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SNNTORCH)
@torch.no_grad()
def test_neurobench(name: str) -> None:
    models = pytest.importorskip("neurobench.models", reason="needs the extra interop")
    from neurobench.metrics.workload import SynapticOperations
    from snntorch import utils

    make, shape = SNNTORCH[name]
    network = prepared(make())
    inputs = (torch.rand(N_SAMPLES, STEPS, *shape) < 0.2).float()

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            utils.reset(network)
            return torch.stack([network(x[:, step]) for step in range(STEPS)], 1)

    model = models.TorchModel(Steps())
    model.register_hooks()
    output = model(inputs)
    found = SynapticOperations()(model, output, (inputs, torch.zeros(N_SAMPLES)))
    model.cleanup_hooks()
    assert found["Effective_ACs"] > 1000
    assert ours("neurobench", network, lambda: Steps()(inputs)) == {
        count: N_SAMPLES * mean for count, mean in found.items()
    }


def lif(step_mode: str = "m") -> nn.Module:
    from spikingjelly.activation_based import neuron

    return neuron.LIFNode(tau=2.0, decay_input=False, step_mode=step_mode)


def of_jelly(kind: str, *args: Any, **options: Any) -> nn.Module:
    from spikingjelly.activation_based import layer

    made: nn.Module = getattr(layer, kind)(*args, step_mode="m", **options)
    return made


class Added(nn.Module):
    """What a layer takes is added to what it gives: SEW."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.layers(x)
        return found


SPIKINGJELLY: dict[str, tuple[Callable[[], Layers], Shape]] = {
    "fully connected": (
        lambda: [of_jelly("Linear", 30, 40), lif(), of_jelly("Linear", 40, 10), lif()], (30,)
    ),
    "step by step": (lambda: [Linear(30, 40), lif("s"), Linear(40, 10), lif("s")], (30,)),
    "stride, padding": (
        lambda: [of_jelly("Conv2d", 2, 8, 3, stride=2, padding=1), lif(), of_jelly("MaxPool2d", 2),
                 of_jelly("Flatten"), of_jelly("Linear", 32, 9)], (2, 10, 10),
    ),
    "averages": (
        lambda: [of_jelly("Conv2d", 2, 8, 3, bias=False), lif(), of_jelly("AvgPool2d", 2),
                 of_jelly("Conv2d", 8, 4, 3), lif(), of_jelly("Conv2d", 4, 4, 2)], (2, 10, 10),
    ),
    "circular, groups": (
        lambda: [of_jelly("Conv2d", 2, 8, 3, padding=1, padding_mode="circular", groups=2), lif(),
                 of_jelly("Conv2d", 8, 8, 3, dilation=2, groups=8)], (2, 10, 10),
    ),
    "SEW": (
        lambda: [of_jelly("Linear", 30, 40), lif(), Added([of_jelly("Linear", 40, 40), lif()]),
                 of_jelly("Linear", 40, 10), lif()], (30,),
    ),
    "recurrent": (
        lambda: [of_jelly("Linear", 30, 40),
                 of_jelly("LinearRecurrentContainer", lif("s"), 40, 40),
                 of_jelly("Linear", 40, 10)], (30,),
    ),
    "transposed": (
        lambda: [of_jelly("ConvTranspose2d", 2, 4, 3, stride=2), of_jelly("BatchNorm2d", 4), lif(),
                 of_jelly("Flatten"), of_jelly("Linear", 484, 9)], (2, 5, 5),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPIKINGJELLY)
@torch.no_grad()
def test_spikingjelly(name: str) -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    make, shape = SPIKINGJELLY[name]
    network, counter = prepared(make()), SynOpCounter()
    inputs = (torch.rand(STEPS, N_SAMPLES, *shape) < 0.2).float()

    def run() -> None:
        functional.reset_net(network)
        if name != "step by step":
            network(inputs)
        for spikes in inputs if name == "step by step" else ():
            network(spikes)

    with DispatchCounterMode([counter]):
        run()
    assert counter.get_total() > 1000
    assert ours("spikingjelly", network, run) == {"synaptic operations": counter.get_total()}


FEED_FORWARD: dict[str, tuple[Callable[[], Layers], Shape]] = {
    "fully connected": (lambda: [Linear(30, 40), ReLU(), Linear(40, 10)], (30,)),
    "without biases": (lambda: [Linear(30, 9, bias=False), ReLU(), Linear(9, 3)], (30,)),
    "of sequences": (lambda: [Linear(6, 9), ReLU(), Linear(9, 2)], (5, 6)),
    "stride, padding": (
        lambda: [Conv2d(2, 8, 3, stride=2, padding=1), ReLU(), MaxPool2d(2), Flatten(),
                 Linear(32, 9)], (2, 10, 10),
    ),
    "groups, dilation": (
        lambda: [Conv2d(4, 8, 3, groups=2, dilation=2), ReLU(), Conv2d(8, 8, 3, groups=8)],
        (4, 10, 10),
    ),
    "batch norm, circular": (
        lambda: [Conv2d(2, 4, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(4), ReLU(),
                 AvgPool2d(2), Conv2d(4, 4, 1)], (2, 8, 8),
    ),
    "one dimension": (lambda: [Conv1d(3, 6, 4, padding=2), ReLU(), Flatten(), Linear(66, 2)],
                      (3, 10)),
    "transposed": (lambda: [nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2), ReLU(),
                            nn.Conv3d(1, 2, 3)], (2, 5, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", FEED_FORWARD)
@torch.no_grad()
def test_torch(name: str) -> None:
    make, shape = FEED_FORWARD[name]
    layers = make()
    if name == "transposed":
        layers.insert(-1, nn.Unflatten(1, (1, 4)))
    network, inputs = prepared(layers), torch.randn(N_SAMPLES, *shape)
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    assert counter.get_total_flops() > 1000
    assert ours("torch", network, lambda: network(inputs)) == {"flops": counter.get_total_flops()}


class TestWhereTheyDiffer:
    """The small cases of docs/explanation/agreement.md."""

    def test_recurrent_weights_of_a_neuron_that_always_fires(self) -> None:
        pytest.importorskip("snntorch", reason="needs the extra interop")
        how = {"reset_mechanism": "zero", "reset_delay": False}
        network = nn.Sequential(Linear(1, 1, bias=False), recurrent(linear_features=1, **how))
        for values in network.parameters():
            nn.init.constant_(values, 2.0)
        found = ours("neurobench", network, lambda: [network(torch.ones(1, 1)) for _ in range(4)])
        assert found["Effective_ACs"] == 4 + 6
        report = price(network, torch.ones(1, 4, 1), time_axis=1, progress=False)
        assert report.activity.total("events").tolist() == [4 + 4]

    def test_a_sum_of_two_spikes(self) -> None:
        layer = Linear(1, 3)
        for tool, expected in (("spikingjelly", 0), ("neurobench", 3)):
            found = ours(tool, layer, lambda: layer(torch.tensor([[2.0]])))
            assert sum(count for name, count in found.items() if name != "Dense") == expected

    def test_padding(self) -> None:
        layer, x = Conv2d(1, 1, 3, padding=1), torch.randn(1, 1, 4, 4)
        assert ours("torch", layer, lambda: layer(x)) == {"flops": 288}
        found = ours("neurobench", layer, lambda: layer(x))
        assert found["Effective_MACs"] == 100


def test_another_name_is_refused() -> None:
    with (
        pytest.raises(ParameterError, match="allowed are neurobench, spikingjelly, torch"),
        count_as("keras", nn.Linear(1, 1)),
    ):
        pass
