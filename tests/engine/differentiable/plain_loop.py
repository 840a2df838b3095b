"""A chain as a plain PyTorch loop over steps: what the event engine must agree with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from spikejoule.engine.differentiable.chain import (
    Chain,
    Convolution,
    Currents,
    Layer,
    Linear,
)
from spikejoule.engine.differentiable.dynamics import SurrogateShape
from spikejoule.engine.differentiable.function import LayerValues

DERIVATIVES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "arctangent": lambda y, floor: 1 / (1 + y**2),
    "boxcar": lambda y, floor: torch.where(y.abs() <= 1, 1.0, floor),
    "constant": lambda y, floor: torch.ones_like(y),
    "exponential": lambda y, floor: torch.exp(-y.abs()),
    "fast_sigmoid": lambda y, floor: 1 / (1 + y.abs()) ** 2,
    "gaussian": lambda y, floor: torch.exp(-(y**2)),
    "sides": lambda y, floor: torch.where(y >= 0, 1.0, floor),
    "sigmoid": lambda y, floor: y.sigmoid() * (1 - y.sigmoid()),
    "triangle": lambda y, floor: (1 - y.abs()).clamp(min=0),
}


class Spike(torch.autograd.Function):
    """The spike of a potential, with a surrogate derivative."""

    @staticmethod
    def forward(ctx, x: Tensor, shape: SurrogateShape, equal_fires: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.shape = shape
        return (x >= 0 if equal_fires else x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, slope: Tensor):
        (x,) = ctx.saved_tensors
        shape = ctx.shape
        derivative = DERIVATIVES[shape.shape](shape.slope * x, shape.floor)
        return shape.height * derivative.to(x.dtype) * slope, None, None


class LayerLoop:
    """One layer, step by step."""

    def __init__(self, layer: Layer, values: LayerValues) -> None:
        self.layer = layer
        self.values = values
        self.potential = self.current = self.spikes = torch.zeros(())

    def _input(self, received: Tensor) -> Tensor:
        connection = self.layer.connection
        values = self.values
        if self.layer.pooling is not None:
            window = self.layer.pooling.window
            received = functional.avg_pool2d(received, window)
            if not self.layer.pooling.average:
                received = received * window**2
        if isinstance(connection, Linear):
            total = functional.linear(received.flatten(1), values.weight, values.bias)
        elif isinstance(connection, Convolution):
            total = functional.conv2d(
                received,
                values.weight,
                values.bias,
                connection.stride,
                connection.padding,
                groups=connection.groups,
            )
        else:
            assert isinstance(connection, Currents)
            total = received
        if values.recurrent is not None and self.spikes.ndim:
            total = total + self.spikes @ values.recurrent.T
        return total

    def step(self, received: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return spikes, and potentials before and after the reset."""
        dynamics = self.layer.dynamics
        keep, gain = self.values.keep, self.values.gain
        threshold = self.values.threshold
        self.current = dynamics.keep_current * self.current + self._input(received)
        potential = keep * self.potential + gain * self.current
        earlier = self.spikes.detach()
        if dynamics.reset == "subtract_next":
            potential = potential - earlier * threshold
        if dynamics.reset == "zero_next":
            potential = potential * (1 - earlier)
        if dynamics.surrogate is None:
            spikes = torch.zeros_like(potential)
        else:
            spikes = Spike.apply(
                potential - threshold, dynamics.surrogate, dynamics.fires_at_threshold
            )
        reset = spikes.detach() if dynamics.detach_reset else spikes
        after = potential
        if dynamics.reset == "zero":
            after = (1 - reset) * potential
        if dynamics.reset == "subtract":
            after = potential - reset * threshold
        self.potential = after
        self.spikes = spikes
        return spikes, potential, after


def run(
    chain: Chain, inputs: Tensor, layers: Sequence[LayerValues]
) -> tuple[Tensor, Tensor, list[int]]:
    """Return spikes and recorded potentials of the last layer, and spike counts."""
    loops = [
        LayerLoop(layer, values)
        for layer, values in zip(chain.layers, layers, strict=True)
    ]
    counts = [0 if chain.takes_currents else int(inputs.sum()), *[0] * len(loops)]
    spikes, potentials = [], []
    for received in inputs:
        for number, loop in enumerate(loops, start=1):
            received, before, after = loop.step(received)
            counts[number] += int(received.sum())
        spikes.append(received)
        potentials.append(after if chain.potentials == "after_reset" else before)
    return torch.stack(spikes), torch.stack(potentials), counts
