"""Known PyTorch layers and functions, and exact fan-outs of input units.

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
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
SUMS = (nn.LPPool1d, nn.LPPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
POOLING = (*AVERAGES, *SUMS, *ADAPTIVE, *MAXIMA)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
COUNTED = (*WEIGHTED, *POOLING, *NORMS, nn.ReLU)
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, *DROPOUT)
"""Modules that change no number in evaluation mode."""

# Names of functions without underscores at their ends, as `__name__.strip("_")`.
_ADDING = "add radd iadd sub rsub isub sum"
_RESHAPING = """
    cat concat concatenate stack view view_as reshape flatten unflatten squeeze
    unsqueeze transpose permute movedim t expand expand_as repeat repeat_interleave
    broadcast_to pad split chunk tensor_split unbind
"""
_INDEXING = "get getitem setitem select index_select gather unfold roll flip"
_COPYING = """
    clone detach contiguous to float half bfloat16 double cpu cuda copy fill zero
    requires_grad to_dense to_sparse to_sparse_csr type bool long int short char byte
"""
_LOOKING = "eq ne any all isnan isfinite argmax argmin argsort nonzero"
_CREATING = """
    zeros ones empty full eye tensor as_tensor zeros_like ones_like empty_like full_like
    new_zeros new_ones new_empty new_full arange
"""
UNREPORTED = frozenset(
    f"{_ADDING} {_RESHAPING} {_INDEXING} {_COPYING} {_LOOKING} {_CREATING}".split()
)
"""PyTorch functions that only move, add, inspect or create numbers."""
CHOOSING = frozenset(["getitem", "index_select", "gather"])
"""Functions among them that may take the weights of the units that have fired."""
VIEWING = frozenset(f"{_RESHAPING} get getitem select detach contiguous".split())
"""Functions that may return a view, and change no number."""
SHARING = frozenset(["numpy", "array", "dlpack"])
"""Functions that return the memory of a tensor as something else."""
EXPOSING = SHARING | {"get"}
"""These, and attributes such as `x.data`, let a tensor change unnoticed."""
MERGING = frozenset(["flatten", "reshape", "view"])
"""Functions of `VIEWING` that may merge samples and steps."""
_JOINING = """
    cat concat concatenate repeat repeat_interleave index_select gather getitem roll
    flip
"""
JOINING = frozenset(_JOINING.split())
"""Functions that may put samples and steps into another order, in new memory."""
MOVING = VIEWING | frozenset(
    f"{_ADDING} {_INDEXING} to float half bfloat16 double cpu cuda clone copy".split()
)
"""Functions that move or add numbers: what they make of values are values."""
_RESCALING = """
    mul rmul imul div rdiv truediv itruediv true_divide floordiv ifloordiv floor_divide
    lshift ilshift bitwise_left_shift rshift irshift bitwise_right_shift
    round floor ceil trunc clamp clip clamp_min clamp_max minimum maximum
    relu relu6 hardtanh fake_quantize_per_tensor_affine
"""
RESCALING = frozenset(_RESCALING.split())
"""Functions that rescale, round and clip; more than one factor would be weights."""
DROPPING = "dropout"
"""The function that scales what it keeps; its result is new where it drops."""
WRITING = frozenset({"__setitem__", "copy_", "fill_", "zero_"})
"""Functions among `UNREPORTED` that change a module's input in place."""


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
    if isinstance(module, ADAPTIVE):
        # Windows are disjoint only where the sizes divide.
        if any(size % out for size, out in zip(shape[1:], out_shape[1:], strict=True)):
            return None
        return np.ones(int(np.prod(shape)), dtype=np.int64)
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
    plane: NDArray[np.int64] = reduce(np.multiply.outer, by_axis)
    return np.tile(plane.reshape(-1), shape[0])
