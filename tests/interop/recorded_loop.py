"""What happens in a running model, by a plain loop over recorded activations.

Every call of a layer with weights and of every neuron is recorded, what enters and what
leaves. Then each unit is looked at: a whole number is as many spikes, and each reaches
the synapses that a loop over all outputs and all places of the kernel finds. It shares
nothing with what it tests.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

# Samples and steps: primes that no layer has as its size, so that axes are told apart.
N, T = 7, 5

Counts = dict[str, NDArray[np.int64]]
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def tensor_of(values: Any) -> Tensor:
    """The first tensor of an output."""
    return values if isinstance(values, Tensor) else tensor_of(values[0])


def named(model: nn.Module) -> dict[str, nn.Module]:
    """Its modules by name; those of a sequence, which have numbers, with their class
    before it.
    """
    return {
        f"{type(one).__name__} {name}" if name.isdigit() else name: one
        for name, one in model.named_modules()
    }


class Recorder:
    """What enters and leaves modules, call by call."""

    def __init__(self, model: nn.Module, neurons: set[str]) -> None:
        self.entered: dict[str, list[Tensor]] = {}
        self.left: dict[str, list[Tensor]] = {}
        self.modules: dict[str, Any] = named(model)
        for name, module in self.modules.items():
            if isinstance(module, LAYERS) or name in neurons:
                module.register_forward_hook(self._recording(name, name in neurons))

    def _recording(self, name: str, is_neuron: bool) -> Callable[..., None]:
        def record(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
            self.entered.setdefault(name, []).append(tensor_of(given).detach().clone())
            if is_neuron:
                self.left.setdefault(name, []).append(tensor_of(out).detach().clone())

        return record


def by_sample(
    calls: list[Tensor], units: tuple[int, ...], order: str
) -> NDArray[np.float64]:
    """Recorded tensors as [N, steps, units...]."""
    found = []
    for x in calls:
        values = x.double().numpy()
        if values.shape[0] == N * T:
            values = values.reshape((T, N, *units) if order == "tb" else (N, T, *units))
        if values.shape[0] != N:
            values = np.moveaxis(values, 1, 0)
        found.append(values.reshape(N, -1, *units))
    return np.concatenate(found, axis=1)


def taps(size: int, layer: Any, axis: int) -> list[int]:
    """How often each place of an axis is met by the kernel of a convolution, border by
    border.
    """
    kernel, stride, dilation = (
        getattr(layer, name)[axis] for name in ("kernel_size", "stride", "dilation")
    )
    before = after = 0
    if layer.padding == "same":
        total = dilation * (kernel - 1)
        before, after = total // 2, total - total // 2
    elif layer.padding != "valid":
        before = after = layer.padding[axis]
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
    """Synapses of each unit of what enters a layer, in its shape."""
    if isinstance(layer, nn.Linear):
        return np.full(units, layer.out_features)
    found = np.full(units, layer.out_channels // layer.groups)
    for axis, size in enumerate(units[1:]):
        shape = [1] * len(units)
        shape[1 + axis] = size
        found = found * np.array(taps(size, layer, axis)).reshape(shape)
    return found


def counted(
    entered: NDArray[np.float64], fan_out: NDArray[np.int64], values: bool
) -> list[int]:
    """Events of each sample, or products, unit by unit."""
    found = []
    for sample in entered:
        total = 0
        for step in sample:
            for place in zip(*np.nonzero(step), strict=True):
                amount = 1 if values else abs(int(step[place]))
                total += amount * int(fan_out[place])
        found.append(total)
    return found


def spikes_of(
    calls: list[Tensor], order: str, graded: bool
) -> tuple[NDArray[np.int64], bool]:
    """Spikes of each sample in what neurons took or gave; if some are no whole numbers,
    or graded, those that are not zero, and True."""
    parts = []
    for x in calls:
        values = np.abs(x.double().numpy())
        if values.shape[0] == N * T and order == "tb":
            values = values.reshape(T, N, -1)
        if values.shape[0] not in (N, N * T):
            values = np.moveaxis(values, 1, 0)
        parts.append(values.reshape(N, -1))
    given = np.concatenate(parts, axis=1)
    graded = graded or bool((given != np.rint(given)).any())
    return (given > 0 if graded else given).sum(axis=1).astype(np.int64), graded
