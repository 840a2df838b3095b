"""Models of simulators: the counts of `price`, and what learns in them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from tests.tools.counted import by_kind

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 6
BATCH = 4


class Loop(nn.Module):
    """snnTorch modules, in each step."""

    def __init__(self, hidden: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(30, 20)
        self.hidden = hidden
        self.second = nn.Linear(20, 4)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        neurons: tuple[Any, ...] = (self.hidden, self.last)
        for module in neurons:
            module.reset_mem()
        for step in x:
            outputs.append(self.last(self.second(self.hidden(self.first(step)))))
        return torch.stack(outputs)


def snntorch(kind: str, **settings: Any) -> nn.Module:
    package = pytest.importorskip("snntorch")
    hidden = getattr(package, kind)(beta=0.9, init_hidden=True, **settings)
    return Loop(hidden, package.Leaky(beta=0.9, init_hidden=True))


def spikingjelly() -> nn.Module:
    pytest.importorskip("spikingjelly.activation_based")
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    model = nn.Sequential(
        layer.Linear(30, 20),
        neuron.ParametricLIFNode(surrogate_function=surrogate.ATan()),
        layer.Linear(20, 4),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
    )
    functional.set_step_mode(model, "m")
    model.register_forward_pre_hook(lambda *_: functional.reset_net(model))
    return model


def sinabs() -> nn.Module:
    layers = pytest.importorskip("sinabs.layers")
    model = nn.Sequential(
        nn.Linear(30, 20), layers.LIF(tau_mem=10.0), nn.Linear(20, 4), layers.IAF()
    )

    def reset(*_: Any) -> None:
        for module in (model[1], model[3]):
            if module.is_state_initialised():
                module.reset_states()

    model.register_forward_pre_hook(reset)
    return model


def norse() -> nn.Module:
    package = pytest.importorskip("norse.torch")
    first = nn.Linear(30, 20)
    first.weight.data.mul_(20)  # else hardly any neuron fires in so few steps
    return package.SequentialState(first, package.LIF(), nn.Linear(20, 4), package.LI())


LEARNS_BOTH = {"learn_beta": True, "learn_threshold": True}


@pytest.mark.parametrize(
    ("make", "constants", "surrogate"),
    [
        (lambda: snntorch("Leaky"), {}, "arctangent"),
        (
            lambda: snntorch("Leaky", **LEARNS_BOTH),
            {"hidden": {"decay_logit", "log_threshold"}},
            "arctangent",
        ),
        (lambda: snntorch("RLeaky", linear_features=20), {}, "arctangent"),
        (lambda: snntorch("Synaptic", alpha=0.8), {}, "arctangent"),
        (spikingjelly, {"ParametricLIFNode 1": {"decay_logit"}}, "arctangent"),
        (sinabs, {"LIF 1": {"decay_logit"}}, None),
        (norse, {}, "fast_sigmoid"),
    ],
    ids=[
        "leaky",
        "learned",
        "recurrent",
        "synaptic",
        "spikingjelly",
        "sinabs",
        "norse",
    ],
)
def test_counts_are_those_of_price(
    make: Callable[[], nn.Module],
    constants: Mapping[str, set[str]],
    surrogate: str | None,
) -> None:
    torch.manual_seed(0)
    model = make()
    time_axis: Any = 1 if make is sinabs else 0
    x = (torch.rand(STEPS, BATCH, 30) < 0.4).float()
    x = x.transpose(0, 1).contiguous() if time_axis else x
    priced = spikejoule.price(model, x, time_axis=time_axis, progress=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0)
    with spikejoule.track(model, optimizer, time_axis=time_axis) as tracker:
        for _ in range(2):
            optimizer.zero_grad()
            out = model(x)
            (out[0] if isinstance(out, tuple) else out).sum().backward()
            optimizer.step()
    found = by_kind(tracker.record.activity)
    expected = by_kind(priced.activity)
    for kind in ("spikes", "events", "updates", "reads", "leaks", "resets", "biases"):
        for name, counts in expected[kind].items():
            total = 2 * np.sum(counts)
            assert np.sum(found[kind][name]) == total, (kind, name)
    learned = tracker.record.learned
    assert learned is not None
    kinds = {name: {*own} for name, own in learned.constants.items()}
    assert kinds == constants
    assert tracker.record.surrogate == surrogate
    assert len(tracker.not_counted) == 1 + (surrogate is None)
