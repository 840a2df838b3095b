"""NIRTorch 2.6: a NIR graph as a PyTorch module that takes one step.

NIRTorch's modules for stateless nodes are used, except two with bugs: its Affine drops
the bias, and its Flatten includes the batch axis. NIRTorch has no modules for neurons;
the ones here are as short as PyTorch allows.
"""

import nir
import nirtorch
import torch
from numpy.typing import NDArray
from torch import Tensor

State = tuple[Tensor, ...] | None


def _tensor(values: NDArray) -> Tensor:
    return torch.from_numpy(values).float()


class Affine(torch.nn.Module):
    """y = W x + b."""

    def __init__(self, node: nir.Affine | nir.Linear) -> None:
        super().__init__()
        self.weight = _tensor(node.weight)
        self.bias = _tensor(node.bias) if isinstance(node, nir.Affine) else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)


class Neurons(torch.nn.Module):
    """IF, LIF and CubaLIF by forward Euler.

    They fire at or above the threshold, and reset to zero.
    """

    def __init__(self, node: nir.IF | nir.LIF | nir.CubaLIF, dt: float) -> None:
        super().__init__()
        self.threshold = _tensor(node.v_threshold)
        if isinstance(node, nir.IF):
            self.keep = torch.ones(())
            self.gain = dt * _tensor(node.r)
        else:
            tau = _tensor(node.tau_mem if isinstance(node, nir.CubaLIF) else node.tau)
            self.keep = 1 - dt / tau
            self.gain = dt / tau * _tensor(node.r)
        self.keep_current: Tensor | None = None
        if isinstance(node, nir.CubaLIF):
            tau = _tensor(node.tau_syn)
            self.keep_current = 1 - dt / tau
            self.gain_current = dt / tau * _tensor(node.w_in)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        if state is None:
            state = (torch.zeros_like(x), torch.zeros_like(x))
        v, current = state
        if self.keep_current is not None:
            current = self.keep_current * current + self.gain_current * x
            x = current
        v = self.keep * v + self.gain * x
        spikes = (v >= self.threshold).to(v.dtype)
        return spikes, (v * (1 - spikes), current)


def module_of(graph: nir.NIRGraph, dt: float) -> torch.nn.Module:
    """Return a module that takes one step: (input, state) to (output, state)."""
    modules = {
        nir.Affine: Affine,
        nir.Linear: Affine,
        nir.Flatten: lambda node: torch.nn.Flatten(),
    }
    for neuron in (nir.IF, nir.LIF, nir.CubaLIF):
        modules[neuron] = lambda node: Neurons(node, dt)
    return nirtorch.nir_to_torch(graph, modules)


def run(module: torch.nn.Module, inputs: Tensor) -> Tensor:
    """Return the output spikes [T, B, n] for input spikes [T, B, ...]."""
    state = None
    outputs = []
    with torch.no_grad():
        for step in inputs:
            output, state = module(step, state)
            outputs.append(output)
    return torch.stack(outputs)
