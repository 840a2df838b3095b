"""Count events in a running model by plain loops over recorded activations.

The inputs and outputs of all layers with weights and all neurons are recorded. Then the
loop visits each unit: a whole number is as many spikes, and each reaches the synapses
found by a loop over all outputs and all places of the kernel. It shares no code with
spikejoule.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
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


def by_sample(
    calls: list[Tensor], units: tuple[int, ...], order: str
) -> NDArray[np.float64]:
    """Recorded tensors as [N, steps, units...]."""
    parts = []
    for x in calls:
        values = x.double().numpy()
        if values.shape[0] == N * T:
            leading = (T, N) if order == "tb" else (N, T)
            values = values.reshape(*leading, *units)
        if values.shape[0] != N:
            values = np.moveaxis(values, 1, 0)
        parts.append(values.reshape(N, -1, *units))
    return np.concatenate(parts, axis=1)


def taps(size: int, layer: Any, axis: int) -> list[int]:
    """How often the kernel of a convolution meets each place of an axis."""
    kernel = layer.kernel_size[axis]
    stride = layer.stride[axis]
    dilation = layer.dilation[axis]
    before = 0
    after = 0
    if layer.padding == "same":
        total = dilation * (kernel - 1)
        before = total // 2
        after = total - before
    elif layer.padding != "valid":
        before = layer.padding[axis]
        after = before
    n_out = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    met = [0] * size
    for out, place in product(range(n_out), range(kernel)):
        at = out * stride + place * dilation - before
        if layer.padding_mode == "circular":
            at %= size
        elif layer.padding_mode == "replicate":
            at = min(max(at, 0), size - 1)
        elif layer.padding_mode == "reflect":
            at = -at if at < 0 else at
            at = 2 * (size - 1) - at if at >= size else at
        if 0 <= at < size:
            met[at] += 1
    return met


def reached(layer: Any, units: tuple[int, ...]) -> NDArray[np.int64]:
    """Synapses that each input unit of a layer reaches, in the input's shape."""
    if isinstance(layer, nn.Linear):
        return np.full(units, layer.out_features)
    synapses = np.full(units, layer.out_channels // layer.groups)
    for axis, size in enumerate(units[1:]):
        shape = [1] * len(units)
        shape[1 + axis] = size
        synapses = synapses * np.array(taps(size, layer, axis)).reshape(shape)
    return synapses


def counted(
    entered: NDArray[np.float64], fan_out: NDArray[np.int64], values: bool
) -> list[int]:
    """Events of each sample, or products of values, unit by unit."""
    totals = []
    for sample in entered:
        total = 0
        for step in sample:
            for place in zip(*np.nonzero(step), strict=True):
                amount = 1 if values else abs(int(step[place]))
                total += amount * int(fan_out[place])
        totals.append(total)
    return totals


def spikes_of(
    calls: list[Tensor], order: str, graded: bool
) -> tuple[NDArray[np.int64], bool]:
    """Spikes of each sample, and whether they are values.

    Graded spikes, and numbers that are not whole, are values: those that are not zero
    are counted.
    """
    parts = []
    for x in calls:
        values = np.abs(x.double().numpy())
        if values.shape[0] == N * T and order == "tb":
            values = values.reshape(T, N, -1)
        if values.shape[0] not in (N, N * T):
            values = np.moveaxis(values, 1, 0)
        parts.append(values.reshape(N, -1))
    spikes = np.concatenate(parts, axis=1)
    are_values = graded or bool((spikes != np.rint(spikes)).any())
    counted_spikes = spikes > 0 if are_values else spikes
    return counted_spikes.sum(axis=1).astype(np.int64), are_values
