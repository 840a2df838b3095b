"""Check NIR nodes and convert them to `network.nodes`.

A NIR node rarely states its shape, so each node is converted after its source, whose
output shape it receives. Parameters of units become flat arrays.
"""

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
"""The fields of a NIR node; for a graph, its nodes, edges and metadata."""

# Names of the parameters of neurons, by NIR type.
_NEURONS: Final = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}

_MAY_BE_INFINITE: Final = ("tau", "tau_syn", "tau_mem", "r", "w_in")
"""Time constants and gains: infinite where nothing decays (snnTorch's ``beta=1``)."""


class Passing(Node):
    """A node that only passes its input on: Flatten, or an end of a nested graph.

    Such nodes are dropped once all shapes are known.
    """


def fits(shape: Shape, needed: Shape) -> bool:
    """Whether two shapes agree, ignoring axes of size 1.

    A flat shape agrees with every shape of the same total size.
    """
    sizes = [size for size in shape if size != 1]
    needed_sizes = [size for size in needed if size != 1]
    if min(len(sizes), len(needed_sizes)) <= 1:
        return math.prod(sizes) == math.prod(needed_sizes)
    return sizes == needed_sizes


def built_node(name: str, raw: Raw, shape: Shape) -> Node:
    """Convert a NIR node.

    Args:
        name: name of the node.
        raw: fields of the NIR node.
        shape: output shape of its source; () for the input.

    Raises:
        ArtifactError: the NIR node is damaged, or does not fit the shape.
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
    """Return an array of finite numbers, or also of +infinity."""
    if hasattr(value, "detach"):  # some exporters leave tensors in a graph
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"it holds {array.dtype} where numbers are needed")
    array = array.astype(np.float64)
    is_infinite = np.isposinf(array) & allows_infinity
    # NaN compares as false, so it is refused, too.
    if not (is_infinite | (np.abs(array) <= np.finfo(np.float32).max)).all():
        raise ValueError("it holds numbers that are not finite in float32")
    return array


def _whole(value: Any) -> tuple[int, ...]:
    """Return the whole numbers of an array, or a single one."""
    numbers = np.atleast_1d(_array(value))
    if (numbers != np.rint(numbers)).any():
        raise ValueError(f"it holds {numbers.tolist()} where whole numbers are needed")
    return tuple(int(number) for number in numbers)


def _pair(value: Any) -> tuple[int, int]:
    """Return height and width; a single number stands for both."""
    height, width = np.broadcast_to(_whole(value), 2).tolist()
    return height, width


def _per_unit(
    raw: Raw, name: str, shape: Shape, allows_infinity: bool = False
) -> NDArray[np.float64]:
    """Return a parameter, flat, for each unit of `shape`; one number is repeated."""
    values = _array(raw[name], allows_infinity)
    if values.size == 1:
        return np.full(math.prod(shape), values.item())
    if not fits(values.shape, shape):
        raise ArtifactError(
            f"takes the shape {shape}, but its {name} has the shape {values.shape}."
        )
    return values.reshape(-1)


def _input(name: str, raw: Raw, shape: Shape) -> Node:
    """Make the input, the only node whose shape a graph must state."""
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
    out_shape = (weight.shape[0],)
    bias = _per_unit(raw, "bias", out_shape) if "bias" in raw else None
    return Dense(name, shape, out_shape, weight, bias)


def _conv1d(name: str, raw: Raw, shape: Shape) -> Node:
    """Convert a Conv1d to a convolution of height 1."""
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
    n_out, per_group, *kernel = weight.shape
    (groups,) = _whole(raw["groups"])
    if groups < 1 or n_out % groups:
        raise ArtifactError(
            f"has {n_out} channels in {groups} groups, which must divide them."
        )
    shape = _plane(raw, shape, per_group * groups)
    windows, out_plane = _sliding(raw, _pair(kernel), shape)
    bias = None if raw.get("bias") is None else _per_unit(raw, "bias", (n_out,))
    return Convolution(name, shape, (n_out, *out_plane), weight, bias, groups, windows)


def _plane(raw: Raw, shape: Shape, channels: int) -> Shape:
    """Return the input shape of a convolution, (C, H, W).

    A flat input gets the height and width that the node states.
    """
    stated = () if raw.get("input_shape") is None else _pair(raw["input_shape"])
    if stated and len(shape) != 3 and math.prod(shape) == channels * math.prod(stated):
        shape = (channels, *stated)
    if len(shape) != 3 or shape[0] != channels or (stated and shape[1:] != stated):
        needed = (channels, *(stated or ("any", "any")))
        raise ArtifactError(f"takes the shape {needed}, but is given {shape}.")
    return shape


def _sliding(
    raw: Raw, kernel: tuple[int, int], shape: Shape
) -> tuple[Windows, tuple[int, int]]:
    """Return the windows over a shape (C, H, W), and the (height, width) of the output.

    The padding of a node is that of one side; or ``valid`` for none; or ``same`` for as
    much as keeps the plane's size.
    """
    stride = _pair(raw["stride"])
    dilation = _pair(raw.get("dilation", 1))  # pooling has none
    padding = raw["padding"]
    # Rows and columns of padding on both sides together.
    if not isinstance(padding, str):
        height, width = _pair(padding)
        both = (2 * height, 2 * width)
    elif padding == "valid":
        both = (0, 0)
    elif padding == "same" and stride == (1, 1):
        both = (dilation[0] * (kernel[0] - 1), dilation[1] * (kernel[1] - 1))
    else:
        raise ArtifactError(
            f"has the padding {padding!r}; allowed are 'valid', and 'same' with "
            "stride 1."
        )
    # If it is odd, the smaller half comes first.
    windows = Windows(kernel, stride, (both[0] // 2, both[1] // 2), dilation)
    if min(*kernel, *stride, *dilation) >= 1 and min(both) >= 0:
        rows = windows.places(shape[1], 0, both[0])
        columns = windows.places(shape[2], 1, both[1])
        if min(rows, columns) >= 1:
            return windows, (rows, columns)
    raise ArtifactError(f"has a window that does not fit the shape {shape}.")


def _pooling(name: str, raw: Raw, shape: Shape) -> Node:
    if len(shape) != 3:
        raise ArtifactError(f"takes (channels, height, width), not {shape}.")
    windows, out_plane = _sliding(raw, _pair(raw["kernel_size"]), shape)
    is_average = raw["type"] == "AvgPool2d"
    return Pooling(name, shape, (shape[0], *out_plane), windows, is_average)


def _flatten(name: str, raw: Raw, shape: Shape) -> Node:
    (start,) = _whole(raw["start_dim"])
    (end,) = _whole(raw["end_dim"])
    n_axes = len(shape)
    start = start + n_axes if start < 0 else start
    end = end + n_axes if end < 0 else end
    if not 0 <= start <= end < n_axes:
        # Some tools also count the sample axis, which shapes here do not have: flatten
        # everything.
        start = 0
        end = n_axes - 1
    flat = math.prod(shape[start : end + 1])
    return Passing(name, shape, (*shape[:start], flat, *shape[end + 1 :]))


def _delay(name: str, raw: Raw, shape: Shape) -> Node:
    seconds = _per_unit(raw, "delay", shape)
    if (seconds < 0).any():
        raise ArtifactError("has a delay below 0.")
    return Delay(name, shape, shape, seconds)


def _neurons(name: str, raw: Raw, shape: Shape) -> Node:
    kind = raw["type"]
    fields = {"v_reset": 0, **raw}  # some writers leave it out
    values = {
        field: _per_unit(
            fields, field, shape, allows_infinity=field in _MAY_BE_INFINITE
        )
        for field in _NEURONS[kind]
    }
    for field in values:
        if field.startswith("tau") and (values[field] <= 0).any():
            raise ArtifactError(f"has a {field} that is not above 0.")
    # A gain is infinite exactly where its tau is: see `nir.conventions`.
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
        name, shape, shape, _per_unit(raw, "scale", shape)
    ),
    "Threshold": lambda name, raw, shape: Threshold(
        name, shape, shape, _per_unit(raw, "threshold", shape)
    ),
    "Delay": _delay,
    **dict.fromkeys(_NEURONS, _neurons),
}
"""By NIR type: the function that converts a node of a name, fields and input shape.

If the node does not fit, it raises ArtifactError with the end of a sentence that
`built_node` begins with the node's name; if the node is damaged, ValueError or similar.
"""
