"""`spikejoule.accelerate` compared with the simulators' own autograd."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikejoule
from spikejoule.accelerating import passes
from spikejoule.core.errors import ParameterError
from spikejoule.engine.differentiable.function import (
    ChainOutputs,
    EventFunction,
    LayerValues,
)
from tests.engine.differentiable.plain_loop import LayerLoop
from tests.interop.random_networks import Drawn, built, networks, simulated

pytestmark = pytest.mark.slow
NEAR = {torch.float32: 1e-5, torch.float64: 1e-12}
"""How close to a threshold a potential may not come: rounding would decide."""


def gradients(
    model: nn.Module, outputs: tuple[Tensor, ...], seed: int
) -> dict[str, Tensor]:
    """The gradients of a random loss."""
    generator = torch.Generator().manual_seed(seed)
    model.zero_grad()
    loss = sum(
        (out * torch.randn(out.shape, generator=generator, dtype=out.dtype)).sum()
        for out in outputs
    )
    loss.backward()
    return {
        name: torch.zeros_like(parameter)
        if parameter.grad is None
        else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


@pytest.mark.parametrize("simulator", ["snntorch", "spikingjelly", "norse", "sinabs"])
@settings(max_examples=60)
@given(data=st.data())
def test_outputs_and_gradients_are_the_simulators(
    simulator: str, data: st.DataObject
) -> None:
    pytest.importorskip(simulator, reason="needs the extra interop")
    drawn = data.draw(networks(simulator))
    model = built(drawn)
    x = drawn.spikes()
    given_x = x.transpose(0, 1) if simulator == "sinabs" else x
    example = drawn.example() if drawn.form == "loop" else None
    with pytest.MonkeyPatch.context() as patch:
        if drawn.double:
            # Simulators convert spikes to float32.
            patch.setattr(Tensor, "float", Tensor.double)
        expected = simulated(drawn, model, given_x)
        expected_gradients = gradients(model, expected, drawn.seed)
        patch.setattr(passes, "EventFunction", Watched)
        fast = spikejoule.accelerate(model, example)
        outputs = fast(given_x)
    assume(Watched.margin > NEAR[drawn.dtype])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    ours = gradients(model, outputs, drawn.seed)
    check_outputs(drawn, outputs, expected)
    largest = max(float(g.abs().max()) for g in expected_gradients.values())
    for name, theirs in expected_gradients.items():
        difference = (ours[name] - theirs).abs().max()
        assert difference <= drawn.tolerance * max(1, largest), name


class Watched(EventFunction):
    """The engine's function, which also runs a plain loop.

    Attributes:
        margin: how close to a threshold a potential of the last pass came.
    """

    margin = math.inf

    def __call__(self, inputs: Tensor, layers: Sequence[LayerValues]) -> ChainOutputs:
        loops = [*map(LayerLoop, self.chain.layers, layers)]
        distances = []
        for out in inputs:
            for loop in loops:
                out, before, _ = loop.step(out)
                if loop.layer.dynamics.surrogate is not None:
                    distances.append((before - loop.values.threshold).abs().min())
        Watched.margin = float(torch.stack(distances).min().detach())
        return super().__call__(inputs, layers)


def check_outputs(
    drawn: Drawn, ours: tuple[Tensor, ...], theirs: tuple[Tensor, ...]
) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        scale = max(1, float(other.detach().abs().max()))
        assert (one - other).abs().max() <= drawn.tolerance * scale


def snn(**settings: Any) -> nn.Module:
    import snntorch

    return snntorch.Leaky(beta=0.9, init_hidden=True, **settings)


def custom_surrogate() -> nn.Module:
    return snn(spike_grad=lambda x: (x > 0).float())


def stochastic() -> nn.Module:
    import snntorch

    return snn(spike_grad=snntorch.surrogate.SSO())


def jelly(kind: str, **settings: Any) -> nn.Module:
    from spikingjelly.activation_based import neuron

    return getattr(neuron, kind)(**settings)


def unknown_surrogate() -> nn.Module:
    from spikingjelly.activation_based import surrogate

    return jelly("LIFNode", surrogate_function=surrogate.NonzeroSignLogAbs())


def norse_cell(kind: str, **constants: float) -> nn.Module:
    import norse.torch as norse
    from norse.torch.functional.lif_box import LIFBoxParameters

    tensors = {name: torch.tensor(value) for name, value in constants.items()}
    return getattr(norse, kind)(p=LIFBoxParameters(**tensors))


def sinabs_neurons(**settings: Any) -> nn.Module:
    import sinabs.activation as activation
    from sinabs.layers import LIF

    single = {"spike_fn": activation.SingleSpike}
    return LIF(tau_mem=10.0, **{**single, **settings})


REFUSALS: dict[str, tuple[str, Any, str]] = {
    "two resets": (
        "snntorch",
        partial(snn, reset_delay=False),
        "Leaky has reset_mechanism='subtract' with reset_delay=False; allowed is "
        "reset_delay=True, or 'zero'.",
    ),
    "graded spikes": (
        "snntorch",
        partial(snn, graded_spikes_factor=2.0),
        "Leaky has a graded_spikes_factor other than 1; allowed is 1.",
    ),
    "a surrogate of one's own": (
        "snntorch",
        custom_surrogate,
        "Leaky has the surrogate custom_surrogate, which is not snnTorch's own; "
        "allowed is atan, fast_sigmoid,",
    ),
    "a random surrogate": ("snntorch", stochastic, "Leaky has the surrogate SSO;"),
    "another surrogate": (
        "spikingjelly",
        unknown_surrogate,
        "LIFNode has the surrogate NonzeroSignLogAbs; allowed is ATan, ",
    ),
    "other neurons": (
        "spikingjelly",
        partial(jelly, "QIFNode"),
        "1 (QIFNode) is not known; allowed are Linear, ",
    ),
    "a reset below rest": (
        "norse",
        partial(norse_cell, "LIFBoxCell", v_reset=-0.5),
        "LIFBoxCell has a v_reset other than v_leak; allowed is the same.",
    ),
    "several spikes in a step": (
        "sinabs",
        lambda: sinabs_neurons(spike_fn=sinabs_multi_spike()),
        "LIF has the spike_fn MultiSpike; allowed is SingleSpike.",
    ),
    "a bound": (
        "sinabs",
        partial(sinabs_neurons, min_v_mem=-1.0),
        "LIF has min_v_mem; allowed is None.",
    ),
    "a learned current": (
        "sinabs",
        partial(sinabs_neurons, tau_syn=5.0),
        "LIF has a learned tau_syn; allowed is one without a gradient.",
    ),
}


def sinabs_multi_spike() -> Any:
    from sinabs.activation import MultiSpike

    return MultiSpike


@pytest.mark.parametrize("name", REFUSALS)
def test_settings_that_the_engine_does_not_compute_are_refused(name: str) -> None:
    simulator, make, said = REFUSALS[name]
    pytest.importorskip(simulator, reason="needs the extra interop")
    with pytest.raises(ParameterError) as refusal:
        spikejoule.accelerate(nn.Sequential(nn.Linear(5, 4), make()))
    assert str(refusal.value).startswith(said)
