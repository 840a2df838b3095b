"""The spiking network in torch: the reference for the compiled kernels, on any device.

Its parameters carry the names of the seed notebook's network (``layer1.synapses.weight``, ...), so
that the state dicts of the two fit each other. Autograd derives the backward pass here; the
kernels spell it out. Neither knows the other.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikejoule.model.architecture import Architecture

Derivative = Callable[[Tensor], Tensor]


def surrogate_derivative(name: str, slope: float) -> Derivative:
    """The surrogate derivative as a function of x = v - threshold (formulas in surrogate.py)."""

    def sigmoid(x: Tensor) -> Tensor:
        height = torch.sigmoid(slope * x)
        return slope * height * (1 - height)

    derivatives: dict[str, Derivative] = {
        "constant": lambda x: torch.full_like(x, slope),
        "arctangent": lambda x: (slope / 2) / (1 + (math.pi / 2 * slope * x) ** 2),
        "fast_sigmoid": lambda x: 1 / (1 + slope * x.abs()) ** 2,
        "sigmoid": sigmoid,
        "triangle": lambda x: slope * (1 - x.abs()).clamp(min=0),
        "boxcar": lambda x: slope * (x.abs() < 1 / (2 * slope)).to(x.dtype),
        "gaussian": lambda x: slope / math.sqrt(2 * math.pi) * torch.exp(-((slope * x) ** 2) / 2),
    }
    return derivatives[name]


class _Spike(torch.autograd.Function):
    """A step at the threshold whose derivative is the surrogate's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, derivative: Derivative) -> Tensor:
        ctx.save_for_backward(x)
        ctx.derivative = derivative
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.derivative(x), None


def fire(x: Tensor, derivative: Derivative) -> Tensor:
    """Spikes of x = v - threshold: 1 where x >= 0, with the surrogate as derivative."""
    spikes: Tensor = _Spike.apply(x, derivative)  # type: ignore[no-untyped-call]
    return spikes


class SpikingLayer(nn.Module):
    """Synapses and LIF neurons; all steps share one matrix product."""

    def __init__(self, n_source: int, n_target: int, threshold: float, decay: float) -> None:
        super().__init__()
        self.synapses = nn.Linear(n_source, n_target)
        self.threshold = threshold
        self.decay = decay

    def forward(self, spikes: Tensor, derivative: Derivative) -> Tensor:
        """Spikes [T, B, n_source] to spikes [T, B, n_target]."""
        current = self.synapses(spikes)
        membrane = torch.zeros_like(current[0])
        emitted = []
        for step in range(current.shape[0]):
            membrane = self.decay * membrane + current[step]
            spike = fire(membrane - self.threshold, derivative)
            membrane = membrane * (1 - spike.detach())
            emitted.append(spike)
        return torch.stack(emitted)


class SpikingNetwork(nn.Module):
    """A fully connected network of LIF layers ``layer1``, ``layer2``, ...

    Args:
        architecture: layer sizes and neuron constants.
        surrogate: name of the surrogate derivative.
        slope: its slope.
    """

    def __init__(self, architecture: Architecture, surrogate: str, slope: float) -> None:
        super().__init__()
        sizes = architecture.layer_sizes
        self._names = [f"layer{number}" for number in range(1, len(sizes))]
        for name, source, target in zip(self._names, sizes[:-1], sizes[1:], strict=True):
            layer = SpikingLayer(source, target, architecture.threshold, architecture.decay)
            self.add_module(name, layer)
        self._derivative = surrogate_derivative(surrogate, slope)

    def forward(self, spikes: Tensor) -> list[Tensor]:
        """Input spikes [T, B, I] to the spikes of every layer after it, [T, B, units] each."""
        layers = []
        for name in self._names:
            spikes = self.get_submodule(name)(spikes, self._derivative)
            layers.append(spikes)
        return layers


def initial_state(architecture: Architecture, seed: int) -> dict[str, Tensor]:
    """Fresh parameters as ``torch.nn.Linear`` draws them, from a generator of its own.

    Uniform in +-1/sqrt(number of sources), for weights and biases (LeCun et al. 1998, as in
    torch).
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in architecture.parameter_shapes().items():
        sources = shape[1] if len(shape) == 2 else state[name.replace("bias", "weight")].shape[1]
        bound = 1 / math.sqrt(sources)
        state[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return state
