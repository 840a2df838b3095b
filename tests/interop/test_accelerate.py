"""`spikejoule.accelerate` compared with the simulators' own autograd."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import spikejoule
from spikejoule.accelerating import passes
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
