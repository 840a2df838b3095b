"""PyTorch functions that do what a module does: they are counted as that module.

Functions that multiply by weights are `products`.
"""

from collections.abc import Callable
from typing import Any, Final

from torch import Tensor, nn

from spikejoule.pricing.layers import Mean, Scale

MakeModule = Callable[..., "nn.Module | None"]
"""Makes the module of a function's arguments; None if no module does the same."""


def _pooling(kind: type[nn.Module], *names: str) -> MakeModule:
    """Return a function that makes pooling.

    Args:
        kind: the module's class.
        names: of the function's arguments after its input, as of the class.
    """

    def make(x: Tensor, *args: Any, **named: Any) -> nn.Module:
        return kind(**(dict(zip(names, args, strict=False)) | named))

    return make


def _relu(x: Tensor, inplace: bool = False) -> nn.Module:
    return nn.ReLU()


def _mean(x: Tensor, *_: Any, **__: Any) -> nn.Module:
    return Mean()


def _scale(x: Any, factor: Any, **settings: Any) -> nn.Module | None:
    """Make a multiplication of many numbers by one."""
    has_rounding = settings.get("rounding_mode") is not None
    sizes = [y.numel() if isinstance(y, Tensor) else 1 for y in (x, factor)]
    return None if min(sizes) > 1 or has_rounding else Scale()


def _quotient(x: Any, divisor: Any, **settings: Any) -> nn.Module | None:
    """Make a multiplication by the reciprocal of one number."""
    is_number = not isinstance(divisor, Tensor) or divisor.numel() == 1
    return _scale(x, divisor, **settings) if is_number else None


def _batch_norm(
    x: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    *_: float,
    **__: float,
) -> nn.Module:
    kind = {4: nn.BatchNorm2d, 5: nn.BatchNorm3d}.get(x.ndim, nn.BatchNorm1d)
    norm = kind(x.shape[1], device="meta", track_running_stats=mean is not None)
    return norm.train(training)


_WINDOWS = ("kernel_size", "stride", "padding")
_MAXIMUM = (*_WINDOWS, "dilation", "ceil_mode", "return_indices")
_AVERAGE = (*_WINDOWS, "ceil_mode", "count_include_pad", "divisor_override")
_NORMED = ("norm_type", "kernel_size", "stride", "ceil_mode")
LIKE_MODULES: Final[dict[str, MakeModule]] = {
    "max_pool1d": _pooling(nn.MaxPool1d, *_MAXIMUM),
    "max_pool2d": _pooling(nn.MaxPool2d, *_MAXIMUM),
    "max_pool3d": _pooling(nn.MaxPool3d, *_MAXIMUM),
    "avg_pool1d": _pooling(nn.AvgPool1d, *_AVERAGE),
    "avg_pool2d": _pooling(nn.AvgPool2d, *_AVERAGE),
    "avg_pool3d": _pooling(nn.AvgPool3d, *_AVERAGE),
    "lp_pool1d": _pooling(nn.LPPool1d, *_NORMED),
    "lp_pool2d": _pooling(nn.LPPool2d, *_NORMED),
    "adaptive_avg_pool1d": _pooling(nn.AdaptiveAvgPool1d, "output_size"),
    "adaptive_avg_pool2d": _pooling(nn.AdaptiveAvgPool2d, "output_size"),
    "adaptive_avg_pool3d": _pooling(nn.AdaptiveAvgPool3d, "output_size"),
    "adaptive_max_pool1d": _pooling(
        nn.AdaptiveMaxPool1d, "output_size", "return_indices"
    ),
    "adaptive_max_pool2d": _pooling(
        nn.AdaptiveMaxPool2d, "output_size", "return_indices"
    ),
    "adaptive_max_pool3d": _pooling(
        nn.AdaptiveMaxPool3d, "output_size", "return_indices"
    ),
    "batch_norm": _batch_norm,
    "relu": _relu,
    "mean": _mean,
    **dict.fromkeys(("mul", "rmul", "imul", "multiply"), _scale),
    **dict.fromkeys(("div", "truediv", "itruediv", "true_divide", "divide"), _quotient),
}
"""By the names of functions, without underscores at their ends."""
