"""Updates of neurons with equations of their own, against plain loops.

A loop updates one neuron after another, and counts each operation as it computes it.
"""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikejoule
from tests.interop.recorded_loop import N, T
from tests.tools.counted import by_kind

pytestmark = pytest.mark.filterwarnings("ignore")

F = 6
H = 4

Loop = Callable[[Any, list[float], Counter[str]], list[float]]
"""Returns the spikes of a neuron for its inputs, and counts."""


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def leaky(keep: float, resets: str) -> Loop:
    """LIF; `resets` is ``none``, ``zero`` or ``subtract``, by a threshold of 1."""

    def run(neuron: Any, inputs: list[float], counts: Counter[str]) -> list[float]:
        v = 0.0
        spikes = []
        for x in inputs:
            v = keep * v + x
            counts["leaks"] += 1
            spike = float(v >= 1)
            counts["comparisons"] += 1
            if spike and resets != "none":
                v = 0.0 if resets == "zero" else v - 1
                counts["resets"] += 1
            spikes.append(spike)
        return spikes

    return run


def complementary(
    neuron: Any, inputs: list[float], counts: Counter[str]
) -> list[float]:
    v = m = 0.0
    spikes = []
    for x in inputs:
        h = (1 - 1 / neuron.tau) * v + x
        scaled = h * (1 / neuron.tau)
        m = m * sigmoid(scaled)
        counts["leaks"] += 3
        spike = float(h >= neuron.v_threshold)
        counts["comparisons"] += 1
        m += spike
        v = h
        if spike:
            v -= neuron.v_threshold
            v -= sigmoid(m)
            counts["resets"] += 2
        spikes.append(spike)
    return spikes


def gated(neuron: Any, inputs: list[float], counts: Counter[str]) -> list[float]:
    names = [
        "alpha",
        "beta",
        "gamma",
        "tau",
        "v_threshold",
        "linear_decay",
        "v_subreset",
    ]
    alpha, beta, gamma, tau, threshold, constant, lowering = (
        sigmoid(float(getattr(neuron, name))) for name in names
    )
    v = spike = 0.0
    spikes = []
    for x, conduct in zip(inputs, neuron.conduct.tolist(), strict=True):
        kept = (1 - alpha * (1 - tau)) * v
        current = x * (1 - beta * (1 - sigmoid(conduct)))
        counts["leaks"] += 2
        after = kept - (1 - alpha) * constant + current
        counts["biases"] += 1
        if spike:
            # The module resets in the next step; the count is with the spike.
            after -= kept * gamma
            after -= (1 - gamma) * lowering
        v = after
        spike = float(v >= threshold)
        counts["comparisons"] += 1
        counts["resets"] += 2 * int(spike)
        counts["leaks"] += int(spike)
        spikes.append(spike)
    return spikes


def over_time(weights: Callable[[Any], Any]) -> Loop:
    """A sum of inputs over time; `weights` returns a matrix, None for no weight."""

    def run(neuron: Any, inputs: list[float], counts: Counter[str]) -> list[float]:
        spikes = []
        bias = neuron.bias.reshape(-1).tolist() if hasattr(neuron, "bias") else [-1.0]
        for step, row in enumerate(weights(neuron)):
            h = bias[step % len(bias)]
            for weight, x in zip(row, inputs, strict=True):
                if weight is not None and x != 0:
                    h += weight * x
                    counts["products"] += 1
            spikes.append(float(h >= 0))
            counts["comparisons"] += 1
        return spikes

    return run


def last(taps: list[float]) -> list[list[float | None]]:
    """The matrix of weights of the last steps, the newest input's last."""
    ages = [[step - earlier for earlier in range(T)] for step in range(T)]
    return [
        [taps[-1 - age] if 0 <= age < len(taps) else None for age in row]
        for row in ages
    ]


def made(kind: str, mode: str = "m", **settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        neurons = pytest.importorskip("spikingjelly.activation_based.neuron")
        neuron: nn.Module = getattr(neurons, kind)(**settings)
        for parameter in neuron.parameters():
            parameter.data += 0.3 * torch.rand_like(parameter)
        neuron.step_mode = mode
        return neuron

    return make


def snntorch_leaky(**settings: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        snntorch = pytest.importorskip("snntorch")
        return snntorch._neurons.stateleaky.StateLeaky(0.6, H, **settings)  # type: ignore[no-any-return]

    return make


# With beta 0.6, tau is 2.5.
KEEP = math.exp(-1 / 2.5)
CASES: dict[str, tuple[Callable[[], nn.Module], Loop]] = {
    "StateLeaky": (snntorch_leaky(), leaky(KEEP, "none")),
    "StateLeaky, truncated": (
        snntorch_leaky(kernel_truncation_steps=3),
        over_time(lambda neuron: last([KEEP**2, KEEP, 1.0])),
    ),
    "OTTTLIF": (made("OTTTLIFNode", "s", tau=1.6), leaky(1 - 1 / 1.6, "subtract")),
    "SLTTLIF": (
        made("SLTTLIFNode", "s", tau=1.6, decay_input=False),
        leaky(1 - 1 / 1.6, "zero"),
    ),
    "CLIF": (made("ComplementaryLIFNode", tau=1.7), complementary),
    "CLIF, step by step": (made("ComplementaryLIFNode", "s"), complementary),
    "GLIF": (made("GatedLIFNode", T=T), gated),
    "PSN": (made("PSN", T=T), over_time(lambda neuron: neuron.weight.tolist())),
    "MaskedPSN": (
        made("MaskedPSN", k=2, T=T, lambda_init=1.0),
        over_time(
            lambda neuron: [
                [w if 0 <= row - column < 2 else None for column, w in enumerate(ws)]
                for row, ws in enumerate(neuron.weight.tolist())
            ]
        ),
    ),
    "MaskedPSN, in training": (
        made("MaskedPSN", k=2, T=T, lambda_init=0.5),
        over_time(lambda neuron: neuron.masked_weight().tolist()),
    ),
    "SlidingPSN": (
        made("SlidingPSN", k=3),
        over_time(lambda neuron: last(neuron.weight.tolist())),
    ),
}


class Network(nn.Module):
    """A layer, neurons, and a layer; GLIF needs axes of a plane."""

    def __init__(self, neurons: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Linear(F, H)
        self.fc1.weight.data.mul_(2)
        self.neurons = neurons
        self.fc2 = nn.Linear(H, 3)

    def forward(self, x: Tensor) -> Tensor:
        currents = self.fc1(x)
        is_plane = "Gated" in type(self.neurons).__name__
        out = self.neurons(currents[..., None, None] if is_plane else currents)
        self.spikes = out if isinstance(out, Tensor) else out[0]
        self.spikes = self.spikes.flatten(-2 - is_plane) if is_plane else self.spikes
        return self.fc2(self.spikes.reshape(currents.shape))  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CASES)
def test_updates(name: str) -> None:
    make, loop = CASES[name]
    torch.manual_seed(4)
    np.random.seed(4)
    neurons = make()
    model = Network(neurons).eval()
    x = (torch.rand(T, N, F) < 0.5).float()
    report = spikejoule.price(model, x, time_axis=0, progress=False)
    uncounted = {"CLIF": ("sigmoid",)}.get(name.partition(",")[0], ())
    assert report.not_counted == tuple(
        f"neurons ({type(neurons).__name__}: {words})" for words in uncounted
    )
    found = by_kind(report.activity)
    assert [*found["events"]] == ["fc1", "fc2"]
    with torch.no_grad():
        currents = model.fc1(x)
    for sample in range(N):
        counts: Counter[str] = Counter()
        spikes = 0
        for unit in range(H):
            inputs = currents[:, sample, unit].tolist()
            spikes += int(sum(loop(neurons, inputs, counts)))
        assert found["spikes"]["neurons"][sample] == spikes
        assert found["events"]["fc2"][sample] == 3 * spikes
        assert found["updates"]["neurons"][sample] == T * H
        for kind in ("leaks", "biases", "comparisons", "resets"):
            ours = found[kind].get("neurons", np.zeros(N))[sample]
            assert ours == counts[kind], kind
        products = found["macs"].get("neurons.over_time", np.zeros(N))[sample]
        assert products == counts["products"]
    assert found["spikes"]["neurons"].sum() > 0


def test_a_layer_of_its_own_before_the_neurons() -> None:
    """LinearLeaky is StateLeaky after a layer."""
    snntorch = pytest.importorskip("snntorch")
    torch.manual_seed(4)
    neurons = snntorch._neurons.linearleaky.LinearLeaky(0.6, F, H)
    neurons.linear.weight.data.mul_(3)
    x = (torch.rand(T, N, F) < 0.5).float()
    model = nn.Sequential(neurons).eval()
    activity = spikejoule.price(model, x, time_axis=0, progress=False).activity
    found = by_kind(activity)
    (name,) = found["updates"]
    assert (found["events"][f"{name}.input"] == H * x.sum(dim=(0, 2)).numpy()).all()
    assert (found["biases"][f"{name}.input"] == T * H).all()
    with torch.no_grad():
        spikes, _ = neurons(x)
    assert (found["spikes"][name] == spikes.sum(dim=(0, 2)).numpy()).all()


@pytest.mark.parametrize("kind", ["MaskedPSN", "SlidingPSN"])
def test_sums_over_time_step_by_step_are_named(kind: str) -> None:
    settings = {"T": T, "lambda_init": 1.0} if kind == "MaskedPSN" else {}
    neurons = made(kind, "s", k=2, **settings)()
    x = (torch.rand(T, N, F) < 0.5).float()
    report = spikejoule.price(Network(neurons).eval(), x, time_axis=0, progress=False)
    assert report.not_counted == (f"neurons ({kind}: products with its last inputs)",)
    assert "fc2" in by_kind(report.activity)["events"]


def test_removed_weights_over_time_are_no_products() -> None:
    neurons = made("SlidingPSN", k=3)()
    weights: Any = neurons.weight
    weights.data[1] = 0
    model = Network(neurons).eval()
    x = (torch.rand(T, N, F) < 0.5).float()
    whole, pruned = (
        spikejoule.price(model, x, time_axis=0, pruned=pruned, progress=False).activity
        for pruned in (False, True)
    )
    name = "neurons.over_time"
    # The middle weight meets all inputs of a neuron but the last.
    middle = (T - 1) * H
    removed = by_kind(whole)["macs"][name] - by_kind(pruned)["macs"][name]
    assert (removed == middle).all()
