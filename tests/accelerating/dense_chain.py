"""A chain of the differentiable engine in plain PyTorch, step by step."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from spikejoule.encoding.events import EventList
from spikejoule.engine.differentiable.chain import Chain, Convolution, Currents
from spikejoule.engine.differentiable.dynamics import Dynamics, SurrogateShape
from spikejoule.engine.differentiable.function import ChainOutputs, LayerValues


def derivative(x: Tensor, surrogate: SurrogateShape) -> Tensor:
    y = surrogate.slope * x
    floor = torch.full_like(y, surrogate.floor)
    one = torch.ones_like(y)
    shapes = {
        "arctangent": lambda: 1 / (1 + y**2),
        "boxcar": lambda: torch.where(y.abs() <= 1, one, floor),
        "constant": lambda: one,
        "exponential": lambda: (-y.abs()).exp(),
        "fast_sigmoid": lambda: 1 / (1 + y.abs()) ** 2,
        "gaussian": lambda: (-(y**2)).exp(),
        "sigmoid": lambda: y.sigmoid() * (1 - y.sigmoid()),
        "sides": lambda: torch.where(y >= 0, one, floor),
        "triangle": lambda: (1 - y.abs()).clamp(min=0),
    }
    return surrogate.height * shapes[surrogate.shape]()


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, dynamics):
        ctx.save_for_backward(x)
        ctx.surrogate = dynamics.surrogate
        fires = x >= 0 if dynamics.fires_at_threshold else x > 0
        return fires.to(x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * derivative(x, ctx.surrogate), None


class Neurons:
    """The state of a layer."""

    def __init__(self, dynamics: Dynamics, values: LayerValues) -> None:
        self.dynamics = dynamics
        self.values = values
        self.u: Tensor | float = 0.0
        self.i: Tensor | float = 0.0
        self.s: Tensor | float = 0.0
        self.margin = math.inf

    def step(self, x: Tensor) -> Tensor:
        values = self.values
        reset = self.dynamics.reset
        if values.recurrent is not None and isinstance(self.s, Tensor):
            x = x + self.s @ values.recurrent.T
        self.i = self.dynamics.keep_current * self.i + x
        v = values.keep * self.u + values.gain * self.i
        last = self.s.detach() if isinstance(self.s, Tensor) else self.s
        if reset == "subtract_next":
            v = v - last * values.threshold
        if reset == "zero_next":
            v = v * (1 - last)
        self.s = torch.zeros_like(v)
        distance = (v - values.threshold).detach().abs().min()
        self.margin = min(self.margin, float(distance))
        if self.dynamics.surrogate is not None:
            self.s = Spike.apply(v - values.threshold, self.dynamics)
        s = self.s.detach() if self.dynamics.detach_reset else self.s
        self.u = v
        if reset == "zero":
            self.u = (1 - s) * v
        if reset == "subtract":
            self.u = v - s * values.threshold
        return v


class DenseFunction:
    """Stands in for `EventFunction`.

    Attributes:
        margin: how close a potential of the last pass came to its threshold.
    """

    margin = math.inf

    def __init__(self, chain: Chain, dtype: torch.dtype = torch.float32) -> None:
        self.chain = chain
        self.dtype = dtype

    def __call__(self, inputs, layers) -> ChainOutputs:
        chain = self.chain
        if isinstance(inputs, EventList):
            dense = torch.from_numpy(inputs.to_dense()).transpose(0, 1)
            inputs = dense.reshape(*dense.shape[:2], *chain.in_shape)
        is_current = isinstance(chain.layers[0].connection, Currents)
        if not is_current and not ((inputs == 0) | (inputs == 1)).all():
            from spikejoule.core.errors import ArtifactError

            raise ArtifactError("spikes must be 0 or 1")
        assert tuple(inputs.shape[2:]) == chain.in_shape
        inputs = inputs.to(self.dtype)
        neurons = [
            Neurons(layer.dynamics, values)
            for layer, values in zip(chain.layers, layers, strict=True)
        ]
        spikes, potentials = [], []
        counts = [0] * (len(neurons) + 1)
        for step in inputs:
            out = step
            counts[0] += 0 if is_current else int(step.sum())
            for number, (layer, one) in enumerate(
                zip(chain.layers, neurons, strict=True)
            ):
                v = one.step(self._received(layer, one.values, out))
                out = one.s
                counts[number + 1] += int(out.sum())
            spikes.append(out)
            before = chain.potentials == "before_reset"
            potentials.append(v if before else neurons[-1].u)
        DenseFunction.margin = min(
            one.margin for one in neurons if one.dynamics.surrogate is not None
        )
        return ChainOutputs(
            torch.stack(spikes) if chain.records_spikes else None,
            torch.stack(potentials) if chain.potentials else None,
            tuple(counts),
        )

    def _received(self, layer, values, x: Tensor) -> Tensor:
        if layer.pooling is not None:
            window = layer.pooling.window
            x = F.avg_pool2d(x, window)
            if not layer.pooling.average:
                x = x * window**2
        connection = layer.connection
        if isinstance(connection, Currents):
            return x
        if isinstance(connection, Convolution):
            return F.conv2d(
                x,
                values.weight,
                values.bias,
                connection.stride,
                connection.padding,
                1,
                connection.groups,
            )
        return F.linear(x.flatten(1), values.weight, values.bias)
