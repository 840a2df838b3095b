"""Count events in a running model from recorded activations.

The inputs and outputs of all layers with weights and all neurons are recorded. A whole
number is as many spikes, and the synapses that they reach are the sum of the layer's
output with all weights 1. It shares no code with spikejoule.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# Samples and steps: primes that are no layer's size, so that axes cannot be confused.
N = 7
T = 5

Counts = dict[str, NDArray[np.int64]]
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def tensor_of(values: Any) -> Tensor:
    """The first tensor of an output."""
    return values if isinstance(values, Tensor) else tensor_of(values[0])


def named(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by name; the numbers of a Sequential get the class before them."""
    return {
        f"{type(module).__name__} {name}" if name.isdigit() else name: module
        for name, module in model.named_modules()
    }


class Recorder:
    """Records what enters and leaves modules, call by call."""

    def __init__(self, model: nn.Module, neurons: set[str]) -> None:
        self.entered: dict[str, list[Tensor]] = {}
        self.left: dict[str, list[Tensor]] = {}
        self.modules: dict[str, Any] = named(model)
        for name, module in self.modules.items():
            if isinstance(module, LAYERS) or name in neurons:
                module.register_forward_hook(self._recording(name, name in neurons))

    def _recording(self, name: str, is_neuron: bool) -> Callable[..., None]:
        def record(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            self.entered.setdefault(name, []).append(tensor_of(args).detach().clone())
            if is_neuron:
                self.left.setdefault(name, []).append(tensor_of(out).detach().clone())

        return record


def by_sample(calls: list[Tensor], order: str) -> NDArray[np.int64]:
    """The sum of each sample over all steps, units and calls, [N]."""
    total = torch.zeros(N, dtype=torch.float64)
    for x in calls:
        if len(x) == N * T:
            x = x.unflatten(0, (T, N) if order == "tb" else (N, T))
        if len(x) != N:
            x = x.transpose(0, 1)
        total += x.reshape(N, -1).sum(dim=1)
    return total.numpy().astype(np.int64)


def counted(
    calls: list[Tensor], order: str, graded: bool, layer: Any = None
) -> tuple[NDArray[np.int64], bool]:
    """Spikes of each sample, and whether they are values, which count as one each.

    Args:
        calls: what was recorded.
        order: of steps and samples in one axis, ``tb`` or ``bt``.
        graded: whether whole numbers are values, too.
        layer: whose synapses are counted instead.
    """
    are_values = graded or any(bool((x != x.round()).any()) for x in calls)
    sent = [(x != 0 if are_values else x.abs()).double() for x in calls]
    if layer is not None:
        ones = deepcopy(layer).double()
        nn.init.ones_(ones.weight)
        if ones.bias is not None:
            nn.init.zeros_(ones.bias)
        with torch.no_grad():
            sent = [ones.forward(x) for x in sent]  # without the hooks of the layer
    return by_sample(sent, order), are_values
