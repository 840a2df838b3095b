"""NIR nodes as nodes of a network: flat arrays, and shapes that fit."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.nodes import (
    Convolution,
    Delay,
    Dense,
    Input,
    Neurons,
    Node,
    Output,
    Pooling,
    Scale,
    Shape,
    Threshold,
    Windows,
)

Raw = Mapping[str, Any]
"""A node by its fields, as they stand in a file; of a graph its nodes, edges and
metadata.
"""

_NEURONS: Final = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}

_MAY_BE_INFINITE: Final = ("tau", "tau_syn", "tau_mem", "r", "w_in")
"""A time constant with the gain that goes with it: what never decays, such as
snnTorch's neurons with ``beta=1``."""


class Passing(Node):
    """Flatten, and the ends of a nested graph: gives what it receives."""


def fits(shape: Shape, needed: Shape) -> bool:
    """Whether values of a shape are those of another: the same, or one of the two is
    flat.
    """
    sizes = [size for size in shape if size != 1]
    needed_sizes = [size for size in needed if size != 1]
    if min(len(sizes), len(needed_sizes)) <= 1:
        return math.prod(sizes) == math.prod(needed_sizes)
    return sizes == needed_sizes


def built_node(name: str, raw: Raw, shape: Shape) -> Node:
    """A node of NIR that takes a shape, () for the input.

    Raises:
        ArtifactError: it is damaged, or does not fit the shape.
    """
    try:
        node = BUILDERS[raw["type"]](name, raw, shape)
        if not 1 <= node.n_out <= MAX_UNITS:
            raise ArtifactError(
                f"has {node.n_out:,} units; allowed are 1 to {MAX_UNITS:,}."
            )
        return node
    except ArtifactError as error:
        raise ArtifactError(f"the node {name!r} {error}") from None
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError(
            f"the node {name!r} ({raw['type']}) is damaged ({error})."
        ) from error


def _array(value: Any, allows_infinity: bool = False) -> NDArray[np.float64]:
    """An array of finite numbers; also of tensors, which exporters leave in a graph."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"it holds {array.dtype} where numbers are needed")
    array = array.astype(np.float64)
    is_infinite = np.isposinf(array) & allows_infinity
    # NaN is not below the limit, so that it is refused, too.
    if not (is_infinite | (np.abs(array) <= np.finfo(np.float32).max)).all():
        raise ValueError("it holds numbers that are not finite in float32")
    return array


def _whole(value: Any) -> tuple[int, ...]:
    """Whole numbers, of an array or of one."""
    numbers = np.atleast_1d(_array(value))
    if (numbers != np.rint(numbers)).any():
        raise ValueError(f"it holds {numbers.tolist()} where whole numbers are needed")
    return tuple(int(number) for number in numbers)


def _pair(value: Any) -> tuple[int, int]:
    """Height and width; one number stands for both."""
    height, width = np.broadcast_to(_whole(value), 2).tolist()
    return height, width


def _each(
    raw: Raw, name: str, shape: Shape, allows_infinity: bool = False
) -> NDArray[np.float64]:
    """A parameter for every unit, flat: one number stands for all."""
    values = _array(raw[name], allows_infinity)
    if values.size == 1:
        return np.full(math.prod(shape), values.item())
    if not fits(values.shape, shape):
        raise ArtifactError(
            f"takes the shape {shape}, but its {name} has the shape {values.shape}."
        )
    return values.reshape(-1)


def _input(name: str, raw: Raw, shape: Shape) -> Node:
    """The input, whose shape a graph has to say."""
    value = raw["shape"] if "shape" in raw else raw["input_type"]["input"]
    sizes = () if value is None else _whole(value)
    if not sizes or min(sizes) < 1:
        raise ArtifactError(f"has the shape {sizes}; sizes of 1 or more are needed.")
    return Input(name, sizes, sizes)


def _dense(name: str, raw: Raw, shape: Shape) -> Node:
    weight = _array(raw["weight"])
    if weight.ndim != 2:
        raise ArtifactError(
            f"has a weight of {weight.ndim} dimensions; [target, source] is allowed."
        )
    if weight.shape[1] != math.prod(shape):
        raise ArtifactError(
            f"takes {weight.shape[1]} values, but is given the shape {shape}."
        )
    out = (weight.shape[0],)
    return Dense(
        name, shape, out, weight, _each(raw, "bias", out) if "bias" in raw else None
    )


def _conv1d(name: str, raw: Raw, shape: Shape) -> Node:
    """A Conv2d of height 1."""
    planar = dict(raw)
    planar["weight"] = _array(raw["weight"])[:, :, None, :]
    planar["stride"] = (1, *_whole(raw["stride"]))
    planar["dilation"] = (1, *_whole(raw["dilation"]))
    if not isinstance(raw["padding"], str):
        planar["padding"] = (0, *_whole(raw["padding"]))
    if raw.get("input_shape") is not None:
        planar["input_shape"] = (1, *_whole(raw["input_shape"]))
    if len(shape) == 2:
        shape = (shape[0], 1, shape[1])
    if len(shape) == 3 and shape[1] != 1:
        raise ArtifactError(f"takes (channels, length), but is given {shape}.")
    return _conv2d(name, planar, shape)


def _conv2d(name: str, raw: Raw, shape: Shape) -> Node:
    weight = _array(raw["weight"])
    if weight.ndim != 4:
        raise ValueError(f"its weight has the shape {weight.shape}")
    n_out, per_group, *kernel_sizes = weight.shape
    (groups,) = _whole(raw["groups"])
    if groups < 1 or n_out % groups:
        raise ArtifactError(
            f"has {n_out} channels in {groups} groups, which must divide them."
        )
    shape = _plane(raw, shape, per_group * groups)
    kernel = _pair(kernel_sizes)
    stride = _pair(raw["stride"])
    dilation = _pair(raw["dilation"])
    padding = _padding(raw["padding"], kernel, stride, dilation)
    windows, places = _sliding(shape, kernel, stride, padding, dilation)
    bias = None if raw.get("bias") is None else _each(raw, "bias", (n_out,))
    return Convolution(name, shape, (n_out, *places), weight, bias, groups, windows)


def _plane(raw: Raw, shape: Shape, channels: int) -> Shape:
    """What a convolution takes, (C, H, W); a flat input gets its stated height and
    width.
    """
    stated = () if raw.get("input_shape") is None else _pair(raw["input_shape"])
    if stated and len(shape) != 3 and math.prod(shape) == channels * math.prod(stated):
        shape = (channels, *stated)
    if len(shape) != 3 or shape[0] != channels or (stated and shape[1:] != stated):
        needed = (channels, *(stated or ("any", "any")))
        raise ArtifactError(f"takes the shape {needed}, but is given {shape}.")
    return shape


def _padding(
    stated: Any,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """Rows and columns of zeros, before and behind a plane together: numbers for each
    side, ``valid`` for none, or ``same`` for as many as keep the size."""
    if not isinstance(stated, str):
        height, width = _pair(stated)
        return 2 * height, 2 * width
    if stated == "valid":
        return 0, 0
    if stated != "same" or stride != (1, 1):
        raise ArtifactError(
            f"has the padding {stated!r}; allowed are 'valid', and 'same' with "
            "stride 1."
        )
    return dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1)


def _sliding(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Windows, Shape]:
    """A window that slides over (C, H, W), and its places in height and width.

    `padding` is that before and behind the plane together.
    """
    windows = Windows(kernel, stride, (padding[0] // 2, padding[1] // 2), dilation)
    if min(*kernel, *stride, *dilation) >= 1 and min(padding) >= 0:
        rows = windows.places(shape[1], 0, padding[0])
        columns = windows.places(shape[2], 1, padding[1])
        if min(rows, columns) >= 1:
            return windows, (rows, columns)
    raise ArtifactError(f"has a window that does not fit the shape {shape}.")


def _pooling(name: str, raw: Raw, shape: Shape) -> Node:
    if len(shape) != 3:
        raise ArtifactError(f"takes (channels, height, width), not {shape}.")
    height, width = _pair(raw["padding"])
    kernel = _pair(raw["kernel_size"])
    stride = _pair(raw["stride"])
    windows, places = _sliding(shape, kernel, stride, (2 * height, 2 * width))
    return Pooling(
        name, shape, (shape[0], *places), windows, average=raw["type"] == "AvgPool2d"
    )


def _flatten(name: str, raw: Raw, shape: Shape) -> Node:
    (start,) = _whole(raw["start_dim"])
    (end,) = _whole(raw["end_dim"])
    n_axes = len(shape)
    start = start + n_axes if start < 0 else start
    end = end + n_axes if end < 0 else end
    if not 0 <= start <= end < n_axes:
        # Some tools count the axis of the samples, which the shape does not have: all
        # is flat.
        start = 0
        end = n_axes - 1
    flat = math.prod(shape[start : end + 1])
    return Passing(name, shape, (*shape[:start], flat, *shape[end + 1 :]))


def _delay(name: str, raw: Raw, shape: Shape) -> Node:
    seconds = _each(raw, "delay", shape)
    if (seconds < 0).any():
        raise ArtifactError("has a delay below 0.")
    return Delay(name, shape, shape, seconds)


def _neurons(name: str, raw: Raw, shape: Shape) -> Node:
    kind = raw["type"]
    fields = {"v_reset": 0, **raw}  # older files have no v_reset: it is 0
    values = {
        field: _each(fields, field, shape, allows_infinity=field in _MAY_BE_INFINITE)
        for field in _NEURONS[kind]
    }
    for field in values:
        if field.startswith("tau") and (values[field] <= 0).any():
            raise ArtifactError(f"has a {field} that is not above 0.")
    gains = {"w_in": "tau_syn", "r": "tau_mem" if "tau_mem" in values else "tau"}
    for gain, tau in gains.items():
        if gain not in values:
            continue
        decays = np.isfinite(values.get(tau, np.zeros(1)))
        if (np.isfinite(values[gain]) != decays).any():
            raise ArtifactError(
                f"has a {tau} and a {gain} of which one alone is infinite."
            )
    return Neurons(name, shape, shape, kind, values)


BUILDERS: Final[Mapping[str, Callable[[str, Raw, Shape], Node]]] = {
    "Input": _input,
    "Output": lambda name, raw, shape: Output(name, shape, shape),
    "Affine": _dense,
    "Linear": _dense,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pooling,
    "AvgPool2d": _pooling,
    "Flatten": _flatten,
    "Identity": lambda name, raw, shape: Passing(name, shape, shape),
    "Scale": lambda name, raw, shape: Scale(
        name, shape, shape, _each(raw, "scale", shape)
    ),
    "Threshold": lambda name, raw, shape: Threshold(
        name, shape, shape, _each(raw, "threshold", shape)
    ),
    "Delay": _delay,
    **dict.fromkeys(_NEURONS, _neurons),
}
"""What makes a node of a name, its fields, and the shape that it is given, () for the
input.

They raise ArtifactError for what does not fit, in words that follow the node's name,
ValueError and the like for what is damaged.
"""
