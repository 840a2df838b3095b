"""Attention, and neurons of simulators that a user has extended."""

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikejoule
from tests.interop.recorded_loop import N, T
from tests.tools.counted import by_kind

pytestmark = pytest.mark.filterwarnings("ignore")

K = 12


def recurrent(matrix: Any) -> Callable[..., nn.Module]:
    """A neuron class whose last spikes come back through a matrix."""

    def make(kind: Any, **settings: Any) -> nn.Module:
        class Recurrent(kind):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(**settings)
                self.back = matrix()
                self.last = torch.zeros(1, K)

            def forward(self, x: Tensor) -> Tensor:
                last = self.last.expand_as(x)
                is_layer = isinstance(self.back, nn.Module)
                back = self.back(last) if is_layer else last @ self.back
                self.last = super().forward(x + back)
                return self.last

        return Recurrent()

    return make


def replaced(kind: Any, **settings: Any) -> nn.Module:
    """Neurons whose `forward` was replaced, and scales its input."""
    neurons: nn.Module = kind(**settings)
    own = neurons.forward
    neurons.back = nn.Parameter(torch.randn(K, K))
    neurons.forward = types.MethodType(  # type: ignore[method-assign]
        lambda self, x: own(0.7 * x @ self.back), neurons
    )
    return neurons


MADE = {
    "matrix": recurrent(lambda: nn.Parameter(torch.randn(K, K))),
    "layer": recurrent(lambda: nn.Linear(K, K)),
    "replaced": replaced,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("simulator", ["snntorch", "spikingjelly"])
def test_work_that_a_user_adds_to_neurons(name: str, simulator: str) -> None:
    pytest.importorskip(simulator, reason="needs the extra interop")
    if simulator == "snntorch":
        from snntorch import Leaky as Kind

        settings: dict[str, Any] = {"beta": 0.9, "init_hidden": True}
    else:
        from spikingjelly.activation_based.neuron import LIFNode as Kind

        settings = {}
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(K, K), MADE[name](Kind, **settings))
    model.extend([nn.Linear(K, 3), Kind(**settings)])
    model[0].weight.data.mul_(5)
    neurons: Any = model[1]
    x = (torch.rand(T, N, K) < 0.4).float()
    report = spikejoule.price(
        model.eval(), x, time_axis=0, loop="price", progress=False
    )
    counts = by_kind(report.activity)
    called = f"{type(neurons).__name__} 1"
    products = counts["events"] | counts["macs"]
    (found,) = (products[key] for key in products if key.endswith("1.back"))
    if name == "replaced":
        assert found.tolist() == N * [T * K * K]
        assert report.not_counted == (f"{called} ({Kind.__name__}: mul)",)
    else:
        # The spikes of all steps but the last come back.
        spikes = counts["spikes"][called]
        assert spikes.sum() > 50
        assert found.tolist() == (K * (spikes - neurons.last.sum(1).numpy())).tolist()
        assert report.not_counted == ()
