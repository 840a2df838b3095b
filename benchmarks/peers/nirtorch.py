"""NIRTorch 2.6: a graph as a module of torch, step by step.

Its own modules for nodes without a state are taken but for those with traps: its Affine
drops the bias, and its Flatten counts the samples' axis. Neurons have no module there;
these are as short as torch allows.
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
    """IF, LIF and CubaLIF by forward Euler; fires at or above the threshold, resets to
    zero.
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
        v, current = (
            (torch.zeros_like(x), torch.zeros_like(x)) if state is None else state
        )
        if self.keep_current is not None:
            current = self.keep_current * current + self.gain_current * x
            x = current
        v = self.keep * v + self.gain * x
        spikes = (v >= self.threshold).to(v.dtype)
        return spikes, (v * (1 - spikes), current)


def module_of(graph: nir.NIRGraph, dt: float) -> torch.nn.Module:
    """The graph as a module that takes one step: (input, state) to (output, state)."""
    neurons = dict.fromkeys(
        (nir.IF, nir.LIF, nir.CubaLIF), lambda node: Neurons(node, dt)
    )
    return nirtorch.nir_to_torch(
        graph,
        {
            nir.Affine: Affine,
            nir.Linear: Affine,
            nir.Flatten: lambda node: torch.nn.Flatten(),
            **neurons,
        },
    )


def run(module: torch.nn.Module, inputs: Tensor) -> Tensor:
    """Output spikes [T, B, n] of input spikes [T, B, ...]."""
    state = None
    outputs = []
    with torch.no_grad():
        for step in inputs:
            output, state = module(step, state)
            outputs.append(output)
    return torch.stack(outputs)
