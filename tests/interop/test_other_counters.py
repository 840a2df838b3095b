"""`count_as` counts what each tool counts in the same network, to the last digit.

Sums stay below 2**24, above which NeuroBench's, in float32, lose digits.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU
from torch.utils.flop_counter import FlopCounterMode

from spikejoule import count_as, price
from spikejoule.core.errors import ParameterError
from spikejoule.pricing.neurons import Known
from tests.interop.networks import Case, made
from tests.interop.recorded_loop import N

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def prepared(module: nn.Module) -> Any:
    """The module with a fifth of its weights set to zero."""
    torch.manual_seed(3)
    for values in module.parameters():
        if values.dim() > 1:
            values.mul_(torch.rand_like(values) > 0.2)
    return module.eval()


def ours(tool: str, network: nn.Module, run: Callable[[], Any]) -> dict[str, int]:
    with count_as(tool, network) as counts:
        run()
    return counts


def running(case: Case, model: nn.Module, samples: torch.Tensor) -> torch.Tensor:
    """Reset the model, take all steps, and return the last output."""
    Known.of(model).reset(model)
    if not case.stepwise:
        return model(samples)  # type: ignore[no-any-return]
    outputs: list[torch.Tensor] = [model(step) for step in samples]
    return outputs[-1]


@pytest.mark.parametrize(
    "name",
    ["Leaky graded 2", "RLeaky", "currents in time", "max pooling of currents"],
)
@torch.no_grad()
def test_neurobench(name: str) -> None:
    models = pytest.importorskip("neurobench.models", reason="needs the extra interop")
    from neurobench.metrics.workload import SynapticOperations

    case, model, samples = made(f"snntorch: {name}")
    network = prepared(model)

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return running(case, network, x)

    watched = models.TorchModel(Steps())
    watched.register_hooks()
    output = watched(samples)
    found = SynapticOperations()(watched, output, (samples[0], torch.zeros(N)))
    watched.cleanup_hooks()
    assert found["Dense"] > 500
    assert ours("neurobench", network, lambda: running(case, network, samples)) == {
        count: round(N * mean) for count, mean in found.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "multi-step groups",
        "SEW ADD",
        "SEW AND",
        "linear feedback m",
        "element-wise feedback",
    ],
)
@torch.no_grad()
def test_spikingjelly(name: str) -> None:
    case, model, samples = made(f"spikingjelly: {name}")
    network = prepared(model)
    from spikingjelly.activation_based.op_counter import (
        DispatchCounterMode,
        SynOpCounter,
    )

    counter = SynOpCounter()
    with DispatchCounterMode([counter]):
        running(case, network, samples)
    assert counter.get_total() > 1000
    found = ours("spikingjelly", network, lambda: running(case, network, samples))
    assert found == {"synaptic operations": counter.get_total()}


Layers = list[nn.Module]
FEED_FORWARD: dict[str, tuple[Callable[[], Layers], tuple[int, ...]]] = {
    "of sequences": (lambda: [Linear(6, 9), ReLU(), Linear(9, 2)], (5, 6)),
    "convolutions": (
        lambda: [
            Conv2d(2, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            ReLU(),
            MaxPool2d(2),
            Conv2d(8, 8, 3, groups=4, dilation=2, padding=2, padding_mode="circular"),
            AvgPool2d(2),
            Flatten(),
            Linear(32, 9),
        ],
        (2, 16, 16),
    ),
    "transposed": (
        lambda: [
            nn.ConvTranspose2d(2, 4, 3, stride=2, groups=2),
            ReLU(),
            nn.Unflatten(1, (1, 4)),
            nn.Conv3d(1, 2, 3),
        ],
        (2, 5, 5),
    ),
}


@pytest.mark.parametrize("name", FEED_FORWARD)
@torch.no_grad()
def test_torch(name: str) -> None:
    make, shape = FEED_FORWARD[name]
    network = prepared(nn.Sequential(*make()))
    inputs = torch.randn(N, *shape)
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    assert counter.get_total_flops() > 1000
    assert ours("torch", network, lambda: network(inputs)) == {
        "flops": counter.get_total_flops()
    }


class TestWhereTheyDiffer:
    """The small cases of docs/explanation/agreement.md."""

    def test_recurrent_weights_of_a_neuron_that_always_fires(self) -> None:
        snntorch = pytest.importorskip("snntorch", reason="needs the extra interop")
        how = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
        network = nn.Sequential(
            Linear(1, 1, bias=False), snntorch.RLeaky(0.5, linear_features=1, **how)
        )
        for values in network.parameters():
            nn.init.constant_(values, 2.0)
        found = ours(
            "neurobench", network, lambda: [network(torch.ones(1, 1)) for _ in range(4)]
        )
        assert found["Effective_ACs"] == 4 + 6
        report = price(network, torch.ones(1, 4, 1), time_axis=1, progress=False)
        assert report.activity.events.tolist() == [4 + 4]

    def test_a_sum_of_two_spikes(self) -> None:
        layer = Linear(1, 3)
        for tool, expected in (("spikingjelly", 0), ("neurobench", 3)):
            found = ours(tool, layer, lambda: layer(torch.tensor([[2.0]])))
            assert (
                sum(count for name, count in found.items() if name != "Dense")
                == expected
            )

    def test_padding(self) -> None:
        layer = Conv2d(1, 1, 3, padding=1)
        x = torch.randn(1, 1, 4, 4)
        assert ours("torch", layer, lambda: layer(x)) == {"flops": 288}
        found = ours("neurobench", layer, lambda: layer(x))
        assert found["Effective_MACs"] == 100


def test_another_name_is_refused() -> None:
    allowed = "allowed are neurobench, spikingjelly, torch"
    with (
        pytest.raises(ParameterError, match=allowed),
        count_as("keras", Linear(1, 1)),
    ):
        pass
