"""ReLU with few levels, through whose rounding the gradient goes straight."""

from typing import Any

import torch
from torch import Tensor


class _RoundedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, unit: Tensor, top: Tensor, first: int) -> Tensor:
        values = sums.clamp(min=0)
        rounded = values[first:].div_(unit)
        torch.minimum(rounded, top, out=rounded)
        passes = values > 0
        passes[first:] &= rounded < top
        ctx.save_for_backward(passes)
        rounded.round_().mul_(unit)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (passes,) = ctx.saved_tensors
        return gradient * passes, None, None, None


def rounded_relu(sums: Tensor, unit: Tensor, top: Tensor, first: int) -> Tensor:
    """ReLU of K networks; for those from `first` on, a multiple of a unit.

    The gradient is that of the ReLU, and 0 beyond the range.

    Args:
        sums: what reaches the units, [K, ...].
        unit: [K - first, ...].
        top: the largest multiple, [K - first, ...].
        first: the first network whose activations are rounded.
    """
    activations: Tensor = _RoundedReLU.apply(  # type: ignore[no-untyped-call]
        sums, unit, top, first
    )
    return activations
