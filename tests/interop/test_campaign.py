"""116 networks: every product of PyTorch is counted, or what is missing is named.

Bodies with the neurons of four simulators, neurons that a user has changed among them,
and some that were once refused. SPIKEJOULE_CAMPAIGN=1 runs all; without it, one
simulator per body.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import Conv2d, Linear, functional
from torch.nn.utils import parametrizations, prune

import spikejoule
from tests.interop.compared_counts import RUNS_ALL, compared_report
from tests.interop.networks import PLANE, C, F, H, jelly, leaky, sinabs
from tests.interop.recorded_loop import N, T

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class Sinabs(nn.Module):
    """A Sinabs layer takes all steps, but may be given one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.neurons = sinabs("IAF", spike_threshold=torch.tensor(0.5))()

    def forward(self, x: Tensor) -> Tensor:
        return self.neurons(x.unsqueeze(1)).squeeze(1)  # type: ignore[no-any-return]


class Norse(nn.Module):
    """A Norse cell, whose state is kept here."""

    def __init__(self) -> None:
        super().__init__()
        from norse.torch import LIFBoxCell, LIFBoxParameters

        self.cell = LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.1)), dt=0.003)
        self.state: Any = None

    def reset(self) -> None:
        self.state = None

    def forward(self, x: Tensor) -> Tensor:
        spikes, self.state = self.cell(x, self.state)
        return spikes  # type: ignore[no-any-return]


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "snntorch": leaky(threshold=0.4),
    "spikingjelly": jelly("LIFNode", tau=1.6, v_threshold=0.3),
    "sinabs": Sinabs,
    "norse": Norse,
}


class Network(nn.Module):
    """Layers by name, populations `lif0` to `lif3`, and a function that runs a step."""

    def __init__(self, body: "Body", neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        for name, layer in body.layers().items():
            setattr(self, name, layer)
        self.lif0, self.lif1, self.lif2, self.lif3 = (neuron() for _ in range(4))
        body.change(self.lif0)
        self.step = body.step

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.step(self, step) for step in x])


Step = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Body:
    """What a network is besides its neurons.

    Attributes:
        layers: makes its layers.
        step: runs them.
        shape: of a sample in one step.
        change: changes the neurons after the first layer.
    """

    layers: Callable[[], dict[str, Any]]
    step: Step
    shape: tuple[int, ...] = (F,)
    change: Callable[[Any], None] = lambda neurons: None


def two_layers(m: Any, x: Tensor) -> Tensor:
    return m.lif1(m.fc2(m.lif0(m.fc1(x))))  # type: ignore[no-any-return]


def changed(change: Callable[[Linear], Any]) -> Body:
    """Two layers, both changed."""
    return Body(
        lambda: {"fc1": change(Linear(F, H)), "fc2": change(Linear(H, C))}, two_layers
    )


def after_one(step: Callable[[Any, Tensor], Tensor], **layers: Any) -> Body:
    """A layer, neurons, and a function of their spikes that ends in currents.

    Args:
        step: the function.
        layers: by name, what makes them.
    """
    return Body(
        lambda: {"fc1": Linear(F, H)} | {name: make() for name, make in layers.items()},
        lambda m, x: m.lif3(step(m, m.lif0(m.fc1(x)))),
    )


def attention(product: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Body:
    """Spikes of queries, keys and values of five tokens are multiplied."""

    def step(m: Any, x: Tensor) -> Tensor:
        queries = m.lif0(m.q(x))
        keys = m.lif1(m.k(x))
        values = m.lif2(m.v(x))
        return m.lif3(m.out(product(queries, keys, values)))  # type: ignore[no-any-return]

    return Body(
        lambda: {name: Linear(F, H) for name in "qkv"} | {"out": Linear(H, C)},
        step,
        (5, F),
    )


def on_planes(step: Step, n_units: int, **layers: Callable[[], Any]) -> Body:
    """Layers of planes; the units that `step` returns enter a dense layer."""
    return Body(
        lambda: (
            {"fc": Linear(n_units, C)} | {name: make() for name, make in layers.items()}
        ),
        lambda m, x: m.lif3(m.fc(step(m, x).flatten(1))),
        PLANE,
    )


def feed_back(neurons: Any) -> None:
    """Make their class one whose last spikes come back through a matrix."""

    class Recurrent(type(neurons)):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            self.last = super().forward(x + self.last.expand_as(x) @ self.back)
            return self.last

    neurons.__class__ = Recurrent
    neurons.back = nn.Parameter(torch.randn(H, H))
    neurons.last = torch.zeros(1, H)


def replace_forward(neurons: Any) -> None:
    """Replace `forward` on the instance: its input passes a matrix."""
    own = neurons.forward
    neurons.back = Linear(H, H)
    neurons.forward = lambda x: own(neurons.back(x))


class FourBits(Linear):
    """Weights of four bits, made anew in each step."""

    def __init__(self, layer: Linear) -> None:
        super().__init__(layer.in_features, layer.out_features)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs().max() / 7
        weight = torch.round(self.weight / scale) * scale
        return functional.linear(x, weight, self.bias)


class WithGraph(Linear):
    """A layer that holds a graph, as graph networks do."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out)
        self.register_buffer("graph", torch.eye(n_in).to_sparse())


def excited(m: Any, x: Tensor) -> Tensor:
    """Squeeze and excite: a factor for each channel, from the mean of its spikes."""
    spikes = m.lif0(m.conv(x))
    factors = torch.sigmoid(m.up(torch.relu(m.down(spikes.mean(dim=(2, 3))))))
    return spikes * factors[:, :, None, None]  # type: ignore[no-any-return]


def by_expert(m: Any, spikes: Tensor) -> Tensor:
    """The expert with the highest score on average takes the whole batch."""
    best = int(m.router(spikes).mean(dim=0).argmax())
    return m.experts[best](spikes)  # type: ignore[no-any-return]


def per_sample(m: Any, spikes: Tensor) -> Tensor:
    """Each sample takes the expert with its highest score."""
    best = m.router(spikes).argmax(dim=1)
    chosen = zip(best.tolist(), spikes, strict=True)
    return torch.stack([m.experts[number](sample) for number, sample in chosen])


def masked(m: Any, spikes: Tensor) -> Tensor:
    """Samples in which the first neuron fires take one layer, others another."""
    fires = spikes[:, 0] != 0
    out = torch.zeros(len(spikes), C)
    out[fires] = m.fc2(spikes[fires])
    out[fires == 0] = m.fc3(spikes[fires == 0])
    return out


def with_positions(m: Any, spikes: Tensor) -> Tensor:
    """A learned position is projected, and added."""
    return m.fc2(spikes) + m.fc3(m.position)  # type: ignore[no-any-return]


def harmless(m: Any, x: Tensor) -> Tensor:
    """What a user writes as functions instead of modules."""
    spikes = m.lif0(functional.relu(m.conv(x)))
    pooled = functional.max_pool2d(functional.interpolate(spikes, scale_factor=2), 3)
    return (pooled * 0.5).mean(dim=(2, 3))


def by_hypernetwork(m: Any, spikes: Tensor) -> Tensor:
    """The weights of each sample are computed from its spikes."""
    weights = m.maker(spikes).reshape(-1, C, H)
    return torch.bmm(weights, spikes.unsqueeze(2)).squeeze(2)


BODIES = {
    "attention, quadratic": attention(lambda q, k, v: (q @ k.mT) @ v),
    "attention, linear": attention(lambda q, k, v: q @ (k.mT @ v)),
    "attention, bmm": attention(lambda q, k, v: torch.bmm(torch.bmm(q, k.mT), v)),
    "attention, einsum": attention(
        lambda q, k, v: torch.einsum(
            "bij,bjd->bid", torch.einsum("bid,bjd->bij", q, k), v
        )
    ),
    "attention, softmax": attention(lambda q, k, v: torch.softmax(q @ k.mT, -1) @ v),
    "quantised": changed(FourBits),
    "pruned": changed(lambda fc: prune.random_unstructured(fc, "weight", 0.5)),
    "weight norm": changed(parametrizations.weight_norm),
    "orthogonal": changed(parametrizations.orthogonal),
    "spectral norm": changed(parametrizations.spectral_norm),
    "scripted": Body(
        lambda: {"fc1": Linear(F, H), "fc2": torch.jit.script(Linear(H, C))}, two_layers
    ),
    "recurrent subclass": Body(
        lambda: {"fc1": Linear(F, H), "fc2": Linear(H, C)}, two_layers, change=feed_back
    ),
    "replaced forward": Body(
        lambda: {"fc1": Linear(F, H), "fc2": Linear(H, C)},
        two_layers,
        change=replace_forward,
    ),
    "tokens": Body(
        lambda: {"fc1": Linear(4, H), "fc2": Linear(H, C)}, two_layers, (3, 4)
    ),
    "gated": Body(
        lambda: (
            {name: Linear(F, H) for name in ("gate", "fc1")} | {"fc2": Linear(H, C)}
        ),
        lambda m, x: m.lif1(m.fc2(m.lif0(torch.sigmoid(m.gate(x)) * m.fc1(x)))),
    ),
    "shared layer": after_one(
        lambda m, spikes: m.fc(m.lif1(m.fc(spikes))), fc=lambda: Linear(H, H)
    ),
    "tied weights": after_one(
        lambda m, spikes: functional.linear(spikes, m.fc1.weight.t())
    ),
    "hypernetwork": after_one(by_hypernetwork, maker=lambda: Linear(H, C * H)),
    "experts": after_one(
        by_expert,
        router=lambda: Linear(H, 2),
        experts=lambda: nn.ModuleList(Linear(H, C) for _ in range(2)),
    ),
    "an expert per sample": after_one(
        per_sample,
        router=lambda: Linear(H, 2),
        experts=lambda: nn.ModuleList(Linear(H, C) for _ in range(2)),
    ),
    "masked samples": after_one(
        masked, fc2=lambda: Linear(H, C), fc3=lambda: Linear(H, C)
    ),
    "positions": after_one(
        with_positions,
        fc2=lambda: Linear(H, C),
        fc3=lambda: Linear(F, C),
        position=lambda: nn.Parameter(torch.randn(F)),
    ),
    "compiled": Body(
        lambda: {"fc1": Linear(F, H), "fc2": Linear(H, C)},
        torch.compile(two_layers),
        change=lambda neurons: neurons.compile(),
    ),
    "sparse buffer": Body(
        lambda: {"fc1": WithGraph(F, H), "fc2": Linear(H, C)}, two_layers
    ),
    "functions": on_planes(harmless, 4, conv=lambda: Conv2d(2, 4, 3)),
    "function of a kernel": on_planes(
        lambda m, x: m.lif0(functional.conv2d(x, m.kernel, stride=2, padding=1)),
        64,
        kernel=lambda: nn.Parameter(torch.randn(4, 2, 3, 3)),
    ),
    "separable": on_planes(
        lambda m, x: m.lif1(m.pointwise(m.lif0(m.depthwise(x)))),
        256,
        depthwise=lambda: Conv2d(2, 6, 3, padding=1, groups=2),
        pointwise=lambda: Conv2d(6, 4, 1),
    ),
    "branches": on_planes(
        lambda m, x: m.lif0(torch.cat([m.narrow(x), m.wide(x)], dim=1)),
        384,
        narrow=lambda: Conv2d(2, 3, 1),
        wide=lambda: Conv2d(2, 3, 5, padding=2),
    ),
    "squeeze and excite": on_planes(
        excited,
        144,
        conv=lambda: Conv2d(2, 4, 3),
        down=lambda: Linear(4, 2),
        up=lambda: Linear(2, 4),
    ),
}

NOT_COUNTED = {
    "attention, softmax": {"Network (softmax)"},
    "gated": {"Network (sigmoid, mul)"},
    "squeeze and excite": {"Network (sigmoid, mul)"},
    "scripted": {"fc2 (scripted)"},
}
"""What of a body computes, but is not counted."""

PAIRS = [
    (name, simulator)
    for number, name in enumerate(BODIES)
    for place, simulator in enumerate(NEURONS)
    if RUNS_ALL or place == number % len(NEURONS)
]


@pytest.mark.parametrize(("name", "simulator"), PAIRS)
def test_a_network_of_a_simulator(name: str, simulator: str) -> None:
    pytest.importorskip(simulator, reason="needs the extra interop")
    torch.manual_seed(3)
    body = BODIES[name]
    model = Network(body, NEURONS[simulator]).eval()
    samples = (torch.rand(T, N, *body.shape) < 0.4).float()
    report = compared_report(model, samples)
    named = set(report.not_counted)
    expected = NOT_COUNTED.get(name, set())
    if name == "scripted":  # what uses its values is named, too
        assert expected <= named
    else:
        assert expected == named


@pytest.mark.parametrize("name", ["functions", "positions", "an expert per sample"])
def test_nothing_is_named_that_is_harmless(name: str) -> None:
    pytest.importorskip("spikingjelly", reason="needs the extra interop")
    model = Network(BODIES[name], NEURONS["spikingjelly"]).eval()
    samples = (torch.rand(T, N, *BODIES[name].shape) < 0.4).float()
    report = spikejoule.price(model, samples, time_axis=0, progress=False)
    assert report.not_counted == ()
