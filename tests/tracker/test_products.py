"""Dense products are those that PyTorch's own counter finds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import spikejoule
from spikejoule.energy.dataflow import DENSE
from spikejoule.energy.training.counting import count_training
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire
from spikejoule.network.surrogates import SURROGATES
from spikejoule.tracker.energies import COUNTED
from tests.tracker.chains import Neurons, neurons_of

STEPS = 5
BATCH = 6


def lif() -> Neurons:
    return Neurons(LeakyIntegrateAndFire(), SURROGATES["arctangent"](), {})


class InTime(nn.Module):
    """Runs its modules in each step."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.each = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.each:
            if isinstance(module, Neurons):
                module.v = 0.0
        return torch.stack([self.each(step) for step in x]).sum(dim=0)


def spiking_mlp() -> nn.Module:
    return InTime(nn.Linear(30, 20), lif(), nn.Linear(20, 10), lif(), nn.Linear(10, 4))


def spiking_cnn() -> nn.Module:
    # Neither padding, of which PyTorch counts products with zero, nor groups, whose
    # weight gradients it counts as those of a full matrix.
    return InTime(
        nn.Conv2d(2, 6, 3, stride=2),
        lif(),
        nn.Conv2d(6, 8, 2),
        nn.BatchNorm2d(8),
        lif(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 4),
        lif(),
    )


def relu_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 10),
        nn.ReLU(),
        nn.Linear(10, 4),
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("frozen", [(), (0,), (0, 1), (1,)])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (spiking_mlp, (STEPS, BATCH, 30)),
        (spiking_cnn, (STEPS, BATCH, 2, 8, 8)),
        (relu_cnn, (BATCH, 2, 8, 8)),
    ],
)
def test_dense_products_are_pytorchs(
    make: Callable[[], nn.Module], shape: Any, frozen: tuple[int, ...]
) -> None:
    model = make()
    layers = [one for one in model.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    for number in frozen:
        layers[number].requires_grad_(False)
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.requires_grad_(False)
    optimizer = torch.optim.SGD([x for x in model.parameters() if x.requires_grad])
    x = (torch.rand(shape) < 0.3).float()
    time_axis: Any = 0 if shape[0] == STEPS else "none"
    tracking = spikejoule.track(
        model, optimizer, time_axis=time_axis, neurons=neurons_of("arctangent")
    )

    def step() -> None:
        nn.functional.cross_entropy(model(x), torch.zeros(BATCH).long()).backward()
        optimizer.step()

    with tracking as tracker:
        # In the first step the tracker itself computes fan-outs.
        step()
        tracker.end_epoch()
        with FlopCounterMode(display=False) as flops:
            step()
    counted = count_training(tracker.record, DENSE, COUNTED)
    of_epochs = counted.of("mac", "gradient_mac", "backpropagation_mac").sum(axis=1)
    products = of_epochs[1]
    assert 2 * products == flops.get_total_flops()
