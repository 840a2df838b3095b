"""Tracking an accelerated model: the counts of the model itself, on the same spikes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from spikejoule.core.errors import ParameterError
from spikejoule.pricing.modules.neurons import Known
from tests.tools.counted import by_kind

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 6
BATCH = 4
Make = Callable[[], nn.Module]


class SnnTorch(nn.Module):
    """snnTorch modules, in each step."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.each = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.each:
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        return torch.stack([self.each(step) for step in x])


def leaky(**settings: Any) -> nn.Module:
    package = pytest.importorskip("snntorch")
    return package.Leaky(beta=0.9, init_hidden=True, **settings)


def dense() -> nn.Module:
    return SnnTorch(nn.Linear(64, 20), leaky(), nn.Linear(20, 4), leaky())


def learned() -> nn.Module:
    hidden = leaky(learn_beta=True, learn_threshold=True)
    return SnnTorch(nn.Linear(64, 20), hidden, nn.Linear(20, 4), leaky())


def recurrent() -> nn.Module:
    package = pytest.importorskip("snntorch")
    hidden = package.RLeaky(beta=0.9, linear_features=20, init_hidden=True)
    return SnnTorch(nn.Linear(64, 20), hidden, nn.Linear(20, 4), leaky())


def spikingjelly(pooling: bool) -> nn.Module:
    pytest.importorskip("spikingjelly.activation_based")
    from spikingjelly.activation_based import functional, layer, neuron

    pool = [layer.AvgPool2d(2)] if pooling else []
    model = nn.Sequential(
        layer.Conv2d(1, 3, 3, padding=1),
        neuron.LIFNode(v_threshold=0.2),
        *pool,
        layer.Flatten(),
        layer.Linear(48 if pooling else 192, 4),
        neuron.IFNode(),
    )
    functional.set_step_mode(model, "m")
    return model


def norse() -> nn.Module:
    package = pytest.importorskip("norse.torch")
    first = nn.Linear(64, 20)
    first.weight.data.mul_(20)  # else hardly any neuron fires in so few steps
    return package.SequentialState(first, package.LIF(), nn.Linear(20, 4), package.LI())


def tracked(
    model: nn.Module, accelerates: bool, samples: list[Any]
) -> spikejoule.Tracker:
    """Train two epochs."""
    run: nn.Module = spikejoule.accelerate(model) if accelerates else model
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    with spikejoule.track(run, optimizer, time_axis=0) as tracker:
        for _ in range(2):
            for x in samples:
                optimizer.zero_grad()
                Known.of(model).reset(model)
                out = run(x)
                (out[0] if isinstance(out, tuple) else out).sum().backward()
                optimizer.step()
            tracker.end_epoch()
        run.eval()
        Known.of(model).reset(model)
        run(samples[0])
    return tracker


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (dense, (64,)),
        (learned, (64,)),
        (recurrent, (64,)),
        (norse, (64,)),
        (lambda: spikingjelly(False), (1, 8, 8)),
        (lambda: spikingjelly(True), (1, 8, 8)),
    ],
    ids=["dense", "learned", "recurrent", "norse", "convolution", "pooling"],
)
def test_counts_and_joules_are_those_of_the_model(
    make: Make, shape: tuple[int, ...], real: bool
) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (2, BATCH, *shape), dtype=np.uint8)
    encoded: list[Any] = [
        spikejoule.encode(batch, steps=STEPS, seed=seed, max_rate=500)
        for seed, batch in enumerate(images)
    ]
    spikes = [torch.from_numpy(batch.to_dense()) for batch in encoded]
    inputs = [spikes, encoded]
    if real:
        values = [batch * torch.rand(batch.shape) for batch in spikes]
        inputs = [[spikes[0], values[1]]]
    trackers = []
    for accelerates, samples in ((False, inputs[0]), *((True, x) for x in inputs)):
        torch.manual_seed(0)
        trackers.append(tracked(make(), accelerates, samples))
    theirs, *ours = trackers
    assert theirs.record.activity.spikes_of(theirs.record.network.layer_names[1]).all()
    for tracker in ours:
        check_same(tracker, theirs)


def check_same(ours: spikejoule.Tracker, theirs: spikejoule.Tracker) -> None:
    pairs = [(ours.record.activity, theirs.record.activity)]
    assert ours.evaluation is not None
    assert theirs.evaluation is not None
    pairs.append((ours.evaluation, theirs.evaluation))
    for own, expected in pairs:
        assert own.network.connection_names == expected.network.connection_names
        np.testing.assert_equal(by_kind(own), by_kind(expected))
        assert own.time_window == expected.time_window
    assert (ours.record.touched == theirs.record.touched).all()
    np.testing.assert_equal(
        ours.record.gradients_reached, theirs.record.gradients_reached
    )
    assert ours.table.equals(theirs.table)
    assert ours.not_counted == theirs.not_counted


def test_what_an_accelerated_model_does_not_take() -> None:
    model = dense()
    fast = spikejoule.accelerate(model)
    optimizer = torch.optim.SGD(model.parameters())
    x = torch.zeros(STEPS, BATCH, 64)
    with pytest.raises(ParameterError, match="leave loop_steps out"):
        spikejoule.track(fast, optimizer, time_axis="none", loop_steps=3)
    with (
        pytest.raises(ParameterError, match="takes samples with time_axis=0"),
        spikejoule.track(fast, optimizer, time_axis=1),
    ):
        fast(x)
    fast(x)  # the observer is gone
