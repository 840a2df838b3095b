"""PyTorch functions that do what a module does: they are counted as that module.

Functions that multiply by weights are `products`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from torch import Tensor, nn

from spikejoule.pricing.functions.calls import FunctionCall, PlaceNames
from spikejoule.pricing.modules.layers import Mean, Scale
from spikejoule.pricing.modules.parts import Functions, Part, Role, layout_of

MakeModule = Callable[..., "nn.Module | None"]
"""Makes the module of a function's arguments; None if no module does the same."""


def _pooling_of_each_size(
    function: str, kind: str, *names: str
) -> dict[str, MakeModule]:
    """Return what makes pooling over one, two and three axes, by function.

    Args:
        function, kind: names of the function and the class, without the axes.
        names: of the function's arguments after its input, as of the class.
    """

    def make(kind: type[nn.Module], x: Tensor, *args: Any, **named: Any) -> nn.Module:
        return kind(**(dict(zip(names, args, strict=False)) | named))

    by_name: dict[str, MakeModule] = {}
    for axes in ("1d", "2d", "3d"):
        pooling = partial(make, getattr(nn, f"{kind}{axes}"))
        by_name[f"{function}{axes}"] = pooling
        by_name[f"{function}{axes}_with_indices"] = pooling
    return by_name


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
    x: Tensor, running_mean: Tensor | None, *args: Any, **named: Any
) -> nn.Module:
    settings = dict(zip(_NORM, args, strict=False)) | named
    kind = {4: nn.BatchNorm2d, 5: nn.BatchNorm3d}.get(x.ndim, nn.BatchNorm1d)
    has_mean = running_mean is not None
    norm = kind(x.shape[1], device="meta", track_running_stats=has_mean)
    return norm.train(settings.get("training", False))


_NORM = ("running_var", "weight", "bias", "training")
_WINDOWS = ("kernel_size", "stride", "padding")
_MAXIMUM = (*_WINDOWS, "dilation", "ceil_mode", "return_indices")
_AVERAGE = (*_WINDOWS, "ceil_mode", "count_include_pad", "divisor_override")
_NORMED = ("norm_type", "kernel_size", "stride", "ceil_mode")
_ADAPTIVE = ("output_size", "return_indices")
LIKE_MODULES: Final[dict[str, MakeModule]] = {
    **_pooling_of_each_size("max_pool", "MaxPool", *_MAXIMUM),
    **_pooling_of_each_size("avg_pool", "AvgPool", *_AVERAGE),
    **_pooling_of_each_size("lp_pool", "LPPool", *_NORMED),
    **_pooling_of_each_size("adaptive_avg_pool", "AdaptiveAvgPool", *_ADAPTIVE),
    **_pooling_of_each_size("adaptive_max_pool", "AdaptiveMaxPool", *_ADAPTIVE),
    "batch_norm": _batch_norm,
    "relu": _relu,
    "mean": _mean,
    **dict.fromkeys(("mul", "rmul", "imul", "multiply"), _scale),
    **dict.fromkeys(("div", "truediv", "itruediv", "true_divide", "divide"), _quotient),
}
"""By the names of functions, without underscores at their ends."""


class FunctionParts:
    """Parts of the model that stand for functions."""

    def __init__(self) -> None:
        self._names = PlaceNames()
        self._parts: dict[str, Part] = {}

    def of(self, call: FunctionCall) -> Part | None:
        """Return a part that is counted as a function has to be; None without one.

        Each place in the code has its own, and so have other settings there.
        """
        if call.name not in LIKE_MODULES:
            return None
        try:
            module = LIKE_MODULES[call.name](*call.args, **call.keywords)
        except (IndexError, TypeError):
            # Called in another way.
            return None
        if module is None:
            return None
        base = f"{call.part.name}.{call.name}"
        name = self._names.of(base, *call.site, str(module))
        return self._parts.setdefault(
            name,
            Part(
                module=module,
                layer=module,
                name=name,
                role=Role.COUNTED,
                functions=Functions.COUNTED,
                layout=layout_of(module),
                population=None,
            ),
        )
