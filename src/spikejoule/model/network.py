"""The spiking network in torch: the reference for the compiled kernels, on any device.

Its parameters carry the names of the seed notebook's network (``layer1.synapses.weight``, ...), so
that the state dicts of the two fit each other. Autograd derives the backward pass here; the
kernels spell it out. Neither knows the other.
"""

import logging
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from spikejoule.model.architecture import Architecture
from spikejoule.model.fake_quantisation import LayerGrid, layer_grids
from spikejoule.model.neuron import LeakyIntegration, Neuron
from spikejoule.model.surrogate import Surrogate

logger = logging.getLogger(__name__)

Derivative = Callable[[Tensor], Tensor]


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
    """Synapses and neurons; all steps share one matrix product.

    Attributes:
        grid: on which the layer computes if the network is quantised.

    Args:
        fused: whether the neurons take all steps in one kernel, if they can.
    """

    def __init__(self, n_source: int, n_target: int, neuron: Neuron, fused: bool = False) -> None:
        super().__init__()
        self._fused = fused
        self.synapses = nn.Linear(n_source, n_target, bias=neuron.has_bias)
        self.neurons = nn.ParameterDict(
            {name: torch.tensor([neuron.first_learned(name)]) for name in neuron.learned_names}
        )
        self.neuron = neuron
        self.grid: LayerGrid | None = None

    def _current(self, spikes: Tensor) -> Tensor:
        grid = self.grid
        if grid is None:
            current: Tensor = self.synapses(spikes)
            return current
        bias = grid.biases(self.synapses.bias) if self.neuron.has_bias else None
        return nn.functional.linear(spikes, grid.weights(self.synapses.weight), bias)

    def forward(self, spikes: Tensor, derivative: Derivative) -> Tensor:
        """Spikes [T, B, n_source] to spikes [T, B, n_target]."""
        current, grid = self._current(spikes), self.grid
        neuron = self.neuron if grid is None else grid.neuron
        neuron = neuron.with_tensors(dict(self.neurons.items()))
        # The rounding to a grid between two steps is no part of the kernel.
        if self._fused and grid is None and (integration := neuron.integration()) is not None:
            from spikejoule.model.fused_lif import integrate_and_fire

            return integrate_and_fire(current, integration, derivative)
        membrane = torch.zeros_like(current[0])
        emitted = []
        for step in range(current.shape[0]):
            if grid is not None:
                membrane = grid.leaked(membrane)
            spikes, membrane = neuron.step(membrane, current[step], lambda x: fire(x, derivative))
            if grid is not None:
                membrane = grid.saturated(membrane)
            emitted.append(spikes)
        return torch.stack(emitted)


class SpikingNetwork(nn.Module):
    """A fully connected network of spiking layers ``layer1``, ``layer2``, ...

    Args:
        architecture: layer sizes and neurons.
        surrogate: the surrogate derivative, with its slope.
        fused: whether neurons that can take all steps in one kernel, on a GPU and with Triton; the
            others, and those of a quantised network, go through a loop over the steps.
    """

    def __init__(
        self, architecture: Architecture, surrogate: Surrogate, fused: bool = False
    ) -> None:
        super().__init__()
        sizes = architecture.layer_sizes
        self._names = [f"layer{number}" for number in range(1, len(sizes))]
        for name, source, target, neuron in zip(
            self._names, sizes[:-1], sizes[1:], architecture.neurons, strict=True
        ):
            self.add_module(name, SpikingLayer(source, target, neuron, fused))
        self._derivative = surrogate.derivative

    def use_grids(self, architecture: Architecture) -> None:
        """Compute on the grids of a quantised network from now on."""
        for name, grid in zip(self._names, layer_grids(architecture), strict=True):
            self.layer(name).grid = grid

    def layer(self, name: str) -> SpikingLayer:
        """The layer of a name."""
        layer = self.get_submodule(name)
        assert isinstance(layer, SpikingLayer)
        return layer

    def forward(self, spikes: Tensor) -> list[Tensor]:
        """Input spikes [T, B, I] to the spikes of every layer after it, [T, B, units] each."""
        layers = []
        for name in self._names:
            spikes = self.get_submodule(name)(spikes, self._derivative)
            layers.append(spikes)
        return layers


@cache
def can_fuse(device: str) -> bool:
    """Whether a network with fused neurons runs on a GPU; if not, the reason is logged.

    Triton compiles for the GPU at hand when a kernel is first launched. That takes a C compiler and
    a GPU that it knows, so it is tried and not guessed.
    """
    try:
        from spikejoule.model.fused_lif import integrate_and_fire

        current = torch.zeros((1, 1, 1), device=device, requires_grad=True)
        spikes = integrate_and_fire(current, LeakyIntegration(1.0, 0.9, False), torch.ones_like)
        torch.autograd.grad(spikes.sum(), current)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        logger.warning("%s: the neurons take one step after the other: %s", device, reason)
        return False
    return True


def initial_state(architecture: Architecture, seed: int) -> dict[str, Tensor]:
    """Fresh parameters as ``torch.nn.Linear`` draws them, from a generator of its own.

    Uniform in +-1/sqrt(number of sources), for weights and biases (LeCun et al. 1998, as in
    torch). What neurons learn begins with their parameters.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in architecture.parameter_shapes().items():
        layer, _, parameter = name.partition(".neurons.")
        if parameter:
            neuron = architecture.neurons[int(layer.removeprefix("layer")) - 1]
            state[name] = torch.tensor([neuron.first_learned(parameter)])
            continue
        sources = shape[1] if len(shape) == 2 else state[name.replace("bias", "weight")].shape[1]
        bound = 1 / math.sqrt(sources)
        state[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
    return state
