"""Each node of NIR as a node of a checked network: flat arrays, and a shape that fits."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Identity,
    Input,
    Neurons,
    Node,
    Output,
    Pooling,
    Scaling,
    Shape,
    Step,
    Waiting,
    Windows,
)
from spikejoule.graphs.windows import output_size

_NEURONS: Final = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}
_TIMES: Final = ("tau", "tau_syn", "tau_mem")


def fits(given: Shape, taken: Shape) -> bool:
    """Whether values of a shape are those of another: the same, or one of the two is flat."""
    one, other = ([size for size in shape if size != 1] for shape in (given, taken))
    return math.prod(one) == math.prod(other) and (min(len(one), len(other)) <= 1 or one == other)


def _input(name: str, raw: Any, shape: Shape) -> Node:
    """The input, whose shape a graph has to say."""
    value = raw.input_type["input"]
    sizes = () if value is None else _whole(value)
    if not sizes or min(sizes) < 1:
        raise ArtifactError(
            f"the node {name!r} has the shape {sizes}; sizes of 1 or more are needed."
        )
    return Input(name, sizes, sizes)


def _output(name: str, raw: Any, shape: Shape) -> Node:
    return Output(name, shape, shape)


def _array(value: Any) -> NDArray[np.float64]:
    """An array of finite numbers; tensors of torch as exporters leave them in a graph, too."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"it holds {found.dtype} where numbers are needed")
    found = found.astype(np.float64)
    if not (np.abs(found) <= np.finfo(np.float32).max).all():
        raise ValueError("it holds numbers that are not finite in float32")
    return found


def _whole(value: Any) -> tuple[int, ...]:
    """Whole numbers, of an array or of one."""
    found = np.atleast_1d(_array(value))
    if (found != np.rint(found)).any():
        raise ValueError(f"it holds {found.tolist()} where whole numbers are needed")
    return tuple(int(size) for size in found)


def _each(name: str, what: str, value: Any, shape: Shape) -> NDArray[np.float64]:
    """A parameter for every unit, flat: one number stands for all."""
    found, size = _array(value), math.prod(shape)
    if found.size == 1:
        return np.full(size, found.item())
    if not fits(found.shape, shape):
        raise ArtifactError(
            f"the node {name!r} takes {size} values of the shape {shape}, but its {what} has the "
            f"shape {found.shape}."
        )
    return found.reshape(-1)


def _dense(name: str, raw: Any, shape: Shape) -> Node:
    weight = _array(raw.weight)
    if weight.ndim != 2:
        raise ArtifactError(
            f"the node {name!r} has a weight of {weight.ndim} dimensions; [target, source] is "
            "allowed."
        )
    if weight.shape[1] != math.prod(shape):
        raise ArtifactError(
            f"the node {name!r} takes {weight.shape[1]} values, but is given the shape {shape}."
        )
    out = (weight.shape[0],)
    bias = None
    if hasattr(raw, "bias"):
        bias = _each(name, "bias", raw.bias, out)
    return Dense(name, shape, out, weight, bias)


def _conv1d(name: str, raw: Any, shape: Shape) -> Node:
    if len(shape) == 2:
        shape = (shape[0], 1, shape[1])
    if len(shape) == 3 and shape[1] != 1:
        raise ArtifactError(f"the node {name!r} takes (channels, length), but is given {shape}.")

    def along(value: Any) -> tuple[int, int]:
        (size,) = _whole(value)
        return 1, size

    padding = raw.padding if isinstance(raw.padding, str | bytes) else (0, along(raw.padding)[1])
    declared = None if raw.input_shape is None else along(raw.input_shape)
    sizes = (along(raw.stride), along(raw.dilation), padding, declared)
    return _convolution(name, raw, shape, _array(raw.weight)[:, :, None, :], sizes)


def _conv2d(name: str, raw: Any, shape: Shape) -> Node:
    padding = raw.padding if isinstance(raw.padding, str | bytes) else _pair(raw.padding)
    sizes = (_pair(raw.stride), _pair(raw.dilation), padding)
    declared = None if raw.input_shape is None else _pair(raw.input_shape)
    return _convolution(name, raw, shape, _array(raw.weight), (*sizes, declared))


def _convolution(
    name: str, raw: Any, shape: Shape, weight: NDArray[np.float64], sizes: tuple[Any, ...]
) -> Node:
    stride, dilation, padding, declared = sizes
    (groups,) = _whole(raw.groups)
    if weight.ndim != 4:
        raise ValueError(f"its weight has the shape {weight.shape}")
    if groups < 1 or weight.shape[0] % groups:
        raise ArtifactError(
            f"the node {name!r} has {weight.shape[0]} channels in {groups} groups, which must "
            "divide them."
        )
    channels = weight.shape[1] * groups
    if (
        declared is not None
        and len(shape) != 3
        and math.prod(shape) == channels * math.prod(declared)
    ):
        shape = (channels, *declared)
    if len(shape) != 3 or shape[0] != channels or (declared and shape[1:] != declared):
        needed = (channels, *(declared or ("any", "any")))
        raise ArtifactError(f"the node {name!r} takes the shape {needed}, but is given {shape}.")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(padding, bytes):
        padding = padding.decode()
    if padding == "same":
        if stride != (1, 1):
            raise ArtifactError(f"the node {name!r} has the padding 'same', which needs stride 1.")
        both, before = reach, (reach[0] // 2, reach[1] // 2)
    else:
        before = (0, 0) if padding == "valid" else padding
        if isinstance(before, str):
            raise ValueError(f"its padding is {before!r:.80}; same, valid or numbers are allowed")
        both = [2 * value for value in before]
    windows = Windows(kernel, stride, before, dilation)
    out = (weight.shape[0], *_placed(name, shape, windows, both))
    bias = None
    if getattr(raw, "bias", None) is not None:
        bias = _each(name, "bias", raw.bias, (weight.shape[0],))
    return Convolution(name, shape, out, weight, bias, groups, windows)


def _placed(name: str, shape: Shape, windows: Windows, both: Any) -> tuple[int, int]:
    """Places of a window in height and width."""
    if min(*windows.kernel, *windows.stride, *windows.dilation) >= 1 and min(windows.padding) >= 0:
        rows, columns = (output_size(shape[1 + a], windows, a, both[a]) for a in (0, 1))
        if min(rows, columns) >= 1:
            return rows, columns
    raise ArtifactError(f"the window of the node {name!r} does not fit the shape {shape}.")


def _pooling(name: str, raw: Any, shape: Shape) -> Node:
    if len(shape) != 3:
        raise ArtifactError(f"the node {name!r} takes (channels, height, width), not {shape}.")
    padding = _pair(raw.padding)
    windows = Windows(_pair(raw.kernel_size), _pair(raw.stride), padding)
    places = _placed(name, shape, windows, [2 * value for value in padding])
    average = type(raw).__name__ == "AvgPool2d"
    return Pooling(name, shape, (shape[0], *places), windows, average)


def _pair(value: Any) -> tuple[int, int]:
    sizes = _whole(value)
    first, last = sizes * 2 if len(sizes) == 1 else sizes
    return first, last


def _flatten(name: str, raw: Any, shape: Shape) -> Node:
    start, end = *_whole(raw.start_dim), *_whole(raw.end_dim)
    start, end = (place + len(shape) if place < 0 else place for place in (start, end))
    if not 0 <= start <= end < len(shape):
        # Of tools that count the samples' axis, which the shape does not have: flat is flat.
        start, end = 0, len(shape) - 1
    flat = math.prod(shape[start : end + 1])
    return Identity(name, shape, (*shape[:start], flat, *shape[end + 1 :]))


def _identity(name: str, raw: Any, shape: Shape) -> Node:
    return Identity(name, shape, shape)


def _scaling(name: str, raw: Any, shape: Shape) -> Node:
    return Scaling(name, shape, shape, _each(name, "scale", raw.scale, shape))


def _step(name: str, raw: Any, shape: Shape) -> Node:
    return Step(name, shape, shape, _each(name, "threshold", raw.threshold, shape))


def _waiting(name: str, raw: Any, shape: Shape) -> Node:
    seconds = _each(name, "delay", raw.delay, shape)
    if (seconds < 0).any():
        raise ArtifactError(f"the node {name!r} has a delay below 0.")
    return Waiting(name, shape, shape, seconds)


def _neurons(name: str, raw: Any, shape: Shape) -> Node:
    kind = type(raw).__name__
    values = {what: _each(name, what, getattr(raw, what), shape) for what in _NEURONS[kind]}
    for what in _TIMES:
        if what in values and (values[what] <= 0).any():
            raise ArtifactError(f"the node {name!r} has a {what} that is not above 0.")
    return Neurons(name, shape, shape, kind, values)


ENDS: Final = ("Input", "Output")
"""The ends of a graph."""

BUILDERS: Final[Mapping[str, Callable[[str, Any, Shape], Node]]] = {
    "Input": _input,
    "Output": _output,
    "Affine": _dense,
    "Linear": _dense,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": _pooling,
    "AvgPool2d": _pooling,
    "Flatten": _flatten,
    "Identity": _identity,
    "Scale": _scaling,
    "Threshold": _step,
    "Delay": _waiting,
    **dict.fromkeys(_NEURONS, _neurons),
}
"""What makes a node of a name, the node of nir, and the shape that it is given, () for the input.

They raise ArtifactError for what does not fit, ValueError and the like for what is damaged.
"""
