"""Known PyTorch layers, and exact fan-outs of input units.

A layer whose weights are all 1 computes y = A x, where A[j, i] is 1 if input i reaches
output j. Its transpose applied to ones gives the fan-out of each input, for any
padding, stride, groups and dilation. Autograd computes the transpose.
"""

from functools import reduce
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.network.nodes import Node, Shape, Windows

LayerT = TypeVar("LayerT", bound=nn.Module)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WEIGHTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    *TRANSPOSED,
)
"""PyTorch layers with weights that are counted."""


class Mean(nn.Module):
    """A mean over any axes, which functions compute, as pooling with one window."""


class Scale(nn.Module):
    """A multiplication of all units by one number, which functions compute."""


AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
SUMS = (nn.LPPool1d, nn.LPPool2d, nn.LPPool3d)
_ADAPTIVE_AVERAGES = (
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
)
_ADAPTIVE_MAXIMA = (
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
)
ADAPTIVE = (*_ADAPTIVE_AVERAGES, *_ADAPTIVE_MAXIMA)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, *_ADAPTIVE_MAXIMA)
MAKE_VALUES = (*AVERAGES, *_ADAPTIVE_AVERAGES, Mean)
"""Pooling whose results are values, even those that happen to be whole."""
POOLING = (*AVERAGES, *SUMS, *ADAPTIVE, *MAXIMA, Mean)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
COUNTED = (*WEIGHTED, *POOLING, *NORMS, nn.ReLU)
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, *DROPOUT)
"""Modules that change no number in evaluation mode."""


class OverTime(nn.Linear):
    """Weights with which neurons sum inputs over time, as a layer that never runs.

    Attributes:
        weight: [step, step of the input]; or [window], the newest input's last, where
            they are the same in all steps.
        window: in how many steps an input is summed, its own the first; None for all,
            earlier ones, too.
        out_features: the most products of an input.
    """

    window: int | None

    @classmethod
    def of(cls, weight: Tensor, window: int | None = None) -> Self:
        """Make one of its weights."""
        layer = cls(1, window or len(weight), bias=False, device="meta")
        layer.window = window
        return with_weights(layer, weight)

    def products(self, n_steps: int, pruned: bool) -> list[int]:
        """Return the products of an input of each step.

        Args:
            n_steps: of the samples.
            pruned: whether a weight of 0 is no weight.
        """
        weight = self.weight if pruned else torch.ones_like(self.weight)
        exists = (weight != 0).cpu().long()
        if exists.ndim == 1:
            # Column s holds the newest input's weight in row s, older ones' below it.
            rows = exists.flip(0)[:n_steps]
            columns = [rows[: n_steps - step] for step in range(n_steps)]
        else:
            ends = [step + (self.window or n_steps) for step in range(n_steps)]
            first = [0 if self.window is None else step for step in range(n_steps)]
            columns = [
                exists[begin:end, step]
                for step, (begin, end) in enumerate(zip(first, ends, strict=True))
            ]
        return [int(column.sum()) for column in columns]


def float_layer(module: Any) -> nn.Module:
    """Return a dynamically quantised layer in floats, and any other module itself."""
    package = type(module).__module__
    if not package.startswith("torch.ao.nn.quantized.dynamic.modules.linear"):
        return module  # type: ignore[no-any-return]
    return matrix_layer(module.weight().dequantize(), module.bias())


def matrix_layer(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """Return a matrix [n_out, n_in] as a layer, which is read and never runs."""
    n_out = len(weight) if weight.ndim else 1
    layer = nn.Linear(1, n_out, bias=False, device="meta")
    return with_weights(layer, weight, bias)


def with_weights(layer: LayerT, weight: Tensor, bias: Tensor | None = None) -> LayerT:
    """Give a layer weights, and a bias if there is one."""
    layer.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return layer


def unit_dimensions(module: nn.Module) -> int:
    """Count the axes of one sample and step: 1 for Linear, 3 for Conv2d."""
    if isinstance(module, nn.Linear):
        return 1
    # The first digit in the class names, from Conv2d to its base classes.
    names = [kind.__name__ for kind in type(module).__mro__]
    n_spatial = next(letter for letter in "".join(names) if letter in "123")
    return 1 + int(n_spatial)


@torch.inference_mode(False)
def fan_out(
    module: Any, shape: Shape, out_shape: Shape, pruned: bool = False
) -> NDArray[np.int64] | None:
    """Count the synapses, or pooling windows, that each input unit reaches.

    Args:
        module: a PyTorch module.
        shape, out_shape: of its input and output, of one sample.
        pruned: whether a weight of 0 is no synapse.

    Returns:
        int64 [n_in]; None for a module without synapses or windows, and for pooling
        whose settings are not known.
    """
    if isinstance(module, POOLING):
        return _windows(module, shape, out_shape)
    if not isinstance(module, WEIGHTED):
        return None
    # A weight has other axes than [n_out, n_in] where it is one matrix for each head.
    is_matrix = isinstance(module, nn.Linear)
    is_pruned = pruned and not isinstance(module, OverTime)
    if is_matrix and not (is_pruned and module.weight.shape[-1] == shape[-1]):
        return np.full(int(np.prod(shape)), module.out_features, dtype=np.int64)
    if pruned:
        return _reached(module, module.weight.detach().cpu() != 0, shape, out_shape)
    # Without pruning all channels are alike: one of each kind is enough.
    kernel = torch.ones(1, 1, *module.weight.shape[2:])
    one_channel = (1, *shape[1:])
    plane = _reached(module, kernel, one_channel, out_shape, groups=1)
    groups: Any = module.groups
    return np.tile(plane * (out_shape[0] // groups), shape[0])


def _reached(
    module: Any, synapses: Tensor, shape: Shape, out_shape: Shape, **settings: Any
) -> NDArray[np.int64]:
    """Apply the transpose of a layer, whose weights are `synapses`, to ones."""
    layer = plain(module, synapses.double())
    vars(layer).update(settings)
    arguments: dict[str, Any] = {}
    if isinstance(module, TRANSPOSED):
        # The output's size may have been an argument.
        arguments["output_size"] = [*out_shape[1:]]
    with torch.enable_grad():
        x = torch.zeros((1, *shape), dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(layer.forward(x, **arguments).sum(), x)
    return gradient.reshape(-1).round().to(torch.int64).numpy()


def plain(module: Any, weight: Tensor) -> Any:
    """Copy a layer with other weights and no bias.

    The copy is of PyTorch's own class: a subclass, with its steps, hooks or
    parametrisations, could compute something else.
    """
    layer_class: Any = next(known for known in WEIGHTED if isinstance(module, known))
    # No __init__: it would draw random weights.
    layer = layer_class.__new__(layer_class)
    settings = {
        key: value
        for key, value in vars(module).items()
        if key not in ("weight", "bias")
    }
    layer.__dict__.update(settings, _parameters={"weight": weight, "bias": None})
    return layer


def _windows(module: Any, shape: Shape, out_shape: Shape) -> NDArray[np.int64] | None:
    """Count the pooling windows that each input unit is in."""
    if isinstance(module, Mean):
        return np.ones(int(np.prod(shape)), dtype=np.int64)
    if isinstance(module, ADAPTIVE):
        sizes = zip(shape[1:], out_shape[1:], strict=True)
        return _all_channels([_adaptive(*size) for size in sizes], shape[0])
    if isinstance(module, SUMS) and module.norm_type != 1:
        return None
    n_axes = len(shape) - 1

    def along_axes(size: Any) -> Any:
        return [size] * n_axes if isinstance(size, int) else size

    windows = Windows(
        kernel=along_axes(module.kernel_size),
        stride=along_axes(module.stride or module.kernel_size),
        padding=along_axes(getattr(module, "padding", 0)),
        dilation=along_axes(getattr(module, "dilation", 1)),
    )
    node = Node("", shape, out_shape)
    by_axis = [windows.reached(node, axis).sum(axis=1) for axis in range(n_axes)]
    return _all_channels(by_axis, shape[0])


def _adaptive(n_in: int, n_out: int) -> NDArray[np.int64]:
    """Count the windows of adaptive pooling that each position of an axis is in.

    Window i goes from floor(i n_in / n_out) to ceil((i + 1) n_in / n_out).
    """
    reached = np.zeros(n_in, np.int64)
    for window in range(n_out):
        reached[window * n_in // n_out : -(-(window + 1) * n_in // n_out)] += 1
    return reached


def _all_channels(
    by_axis: list[NDArray[np.int64]], n_channels: int
) -> NDArray[np.int64]:
    """Return windows per unit from windows per position of each axis."""
    plane: NDArray[np.int64] = reduce(np.multiply.outer, by_axis)
    return np.tile(plane.reshape(-1), n_channels)
