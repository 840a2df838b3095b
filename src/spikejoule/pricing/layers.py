"""PyTorch layers and functions that are known, and how many synapses or windows an
input unit of a layer reaches, exact to the border.

A layer whose weights are all 1 gives y = A x, where A[j, i] is 1 if input i reaches
output j. Its transpose, applied to ones, is the fan-out of each input: of a convolution
the transposed one, with whatever padding, stride, groups and dilation it has. Autograd
has the transpose.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikejoule.network.nodes import Node, Shape, Windows

WEIGHTED = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
"""Modules of torch with weights that are counted."""
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
SUMS = (nn.LPPool1d, nn.LPPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
POOLING = (*AVERAGES, *SUMS, *ADAPTIVE, *MAXIMA)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
COUNTED = (*WEIGHTED, *POOLING, *NORMS, nn.ReLU)
PASSING = (nn.Flatten, nn.Unflatten, nn.Identity, *DROPOUT)
"""Modules that change no number, in evaluation."""
UNNAMED = {
    "add",
    "radd",
    "iadd",
    "sub",
    "rsub",
    "isub",
    "sum",
    "cat",
    "concat",
    "concatenate",
    "stack",
    "dropout",
    "get",
    "getitem",
    "setitem",
    "view",
    "view_as",
    "reshape",
    "flatten",
    "unflatten",
    "squeeze",
    "unsqueeze",
    "transpose",
    "permute",
    "movedim",
    "t",
    "expand",
    "expand_as",
    "repeat",
    "repeat_interleave",
    "broadcast_to",
    "select",
    "index_select",
    "gather",
    "unfold",
    "roll",
    "flip",
    "pad",
    "split",
    "chunk",
    "tensor_split",
    "unbind",
    "clone",
    "detach",
    "contiguous",
    "to",
    "float",
    "half",
    "bfloat16",
    "double",
    "cpu",
    "cuda",
    "copy",
    "fill",
    "zero",
    "requires_grad",
    "to_dense",
    "bool",
    "eq",
    "ne",
    "any",
    "all",
    "isnan",
    "isfinite",
    "zeros",
    "ones",
    "empty",
    "full",
    "eye",
    "tensor",
    "as_tensor",
    "zeros_like",
    "ones_like",
    "empty_like",
    "full_like",
    "new_zeros",
    "new_ones",
    "new_empty",
    "new_full",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "nonzero",
    "type",
    "long",
    "int",
    "short",
    "char",
    "byte",
}
"""Functions of torch that only move, add and look at numbers, or make them from
nothing.
"""
RESCALING = {
    "mul",
    "rmul",
    "imul",
    "div",
    "rdiv",
    "truediv",
    "itruediv",
    "true_divide",
    "floordiv",
    "ifloordiv",
    "floor_divide",
    "lshift",
    "ilshift",
    "bitwise_left_shift",
    "rshift",
    "irshift",
    "bitwise_right_shift",
    "round",
    "floor",
    "ceil",
    "trunc",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "minimum",
    "maximum",
    "relu",
    "relu6",
    "hardtanh",
    "fake_quantize_per_tensor_affine",
}
"""Functions that rescale, round and clip numbers; by one number, or they are
weights.
"""
WRITING = {"__setitem__", "copy_", "fill_", "zero_"}
"""Those that need no name by which a module changes what it was given."""


def unit_dimensions(module: nn.Module) -> int:
    """Axes of what a module takes of one sample and step: 1 of Linear, 3 of Conv2d."""
    if isinstance(module, nn.Linear):
        return 1
    names = [kind.__name__ for kind in type(module).__mro__]
    n_spatial = next(letter for letter in "".join(names) if letter in "123")
    return 1 + int(n_spatial)


@torch.inference_mode(False)
def fan_out(
    module: Any, shape: Shape, out_shape: Shape, pruned: bool = False
) -> NDArray[np.int64] | None:
    """Synapses, or windows of pooling, that each unit of the input reaches, int64
    [n_in].

    None of pooling that is not known as it is set, and of what has neither.

    Args:
        module: of torch.
        shape, out_shape: of what it takes and gives of one sample.
        pruned: whether a weight of 0 is no synapse.
    """
    if isinstance(module, POOLING):
        return _windows(module, shape, out_shape)
    if not isinstance(module, WEIGHTED):
        return None
    if isinstance(module, nn.Linear) and not pruned:
        return np.full(int(np.prod(shape)), module.out_features, dtype=np.int64)
    with torch.no_grad():
        weight = module.weight.cpu()
        kept = (
            (weight != 0).double()
            if pruned
            else torch.ones_like(weight, dtype=torch.float64)
        )
    return _transposed(plain(module, kept).forward, shape)


def plain(module: Any, weight: Tensor) -> Any:
    """A layer of torch's own class, which knows nothing of steps, hooks or
    parametrisations, with these weights and without a bias."""
    kind: Any = next(known for known in WEIGHTED if isinstance(module, known))
    layer = kind.__new__(kind)
    own = {
        key: value
        for key, value in vars(module).items()
        if key not in ("weight", "bias")
    }
    layer.__dict__.update(own, _parameters={"weight": weight, "bias": None})
    return layer


def _windows(module: Any, shape: Shape, out_shape: Shape) -> NDArray[np.int64] | None:
    if isinstance(module, ADAPTIVE):
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
    met = [windows.reached(node, axis).sum(axis=1) for axis in range(n_axes)]
    plane: NDArray[np.int64] = reduce(np.multiply.outer, met)
    return np.tile(plane.reshape(-1), shape[0])


def _transposed(linear: Callable[[Tensor], Tensor], shape: Shape) -> NDArray[np.int64]:
    with torch.enable_grad():
        ones = torch.zeros((1, *shape), dtype=torch.float64, requires_grad=True)
        (found,) = torch.autograd.grad(linear(ones).sum(), ones)
    return found.reshape(-1).round().to(torch.int64).numpy()
