"""NIR's graphs, from a file or in memory, as checked networks.

No metadata are needed. Nodes of nested graphs get the name ``outer.inner``, and an edge to or from
a nested graph leads to its input or from its output.

Each node of NIR as a node of a checked network: flat arrays, and a shape that fits.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import h5py
import nir
import numpy as np
from nir.serialization import hdf2dict
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import open_regular
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Identity,
    Input,
    Network,
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
from spikejoule.graphs.plan import Edge, order_of, output_size

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
        raise ArtifactError(f"has the shape {sizes}; sizes of 1 or more are needed.")
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


def _each(what: str, value: Any, shape: Shape) -> NDArray[np.float64]:
    """A parameter for every unit, flat: one number stands for all."""
    found, size = _array(value), math.prod(shape)
    if found.size == 1:
        return np.full(size, found.item())
    if not fits(found.shape, shape):
        raise ArtifactError(
            f"takes {size} values of the shape {shape}, but its {what} has the shape {found.shape}."
        )
    return found.reshape(-1)


def _dense(name: str, raw: Any, shape: Shape) -> Node:
    weight = _array(raw.weight)
    if weight.ndim != 2:
        raise ArtifactError(
            f"has a weight of {weight.ndim} dimensions; [target, source] is allowed."
        )
    if weight.shape[1] != math.prod(shape):
        raise ArtifactError(f"takes {weight.shape[1]} values, but is given the shape {shape}.")
    out = (weight.shape[0],)
    bias = None
    if hasattr(raw, "bias"):
        bias = _each("bias", raw.bias, out)
    return Dense(name, shape, out, weight, bias)


def _convolution(name: str, raw: Any, shape: Shape) -> Node:
    """Conv1d and Conv2d; the former has a height of 1."""
    weight, is_flat = _array(raw.weight), type(raw).__name__ == "Conv1d"
    if is_flat:
        weight = weight[:, :, None, :]
        if len(shape) == 2:
            shape = (shape[0], 1, shape[1])
        if len(shape) == 3 and shape[1] != 1:
            raise ArtifactError(f"takes (channels, length), but is given {shape}.")

    def pair(value: Any, height: int = 1) -> tuple[int, int]:
        if not is_flat:
            return _pair(value)
        (size,) = _whole(value)
        return height, size

    stride, dilation = pair(raw.stride), pair(raw.dilation)
    declared = None if raw.input_shape is None else pair(raw.input_shape)
    (groups,) = _whole(raw.groups)
    if weight.ndim != 4:
        raise ValueError(f"its weight has the shape {weight.shape}")
    if groups < 1 or weight.shape[0] % groups:
        raise ArtifactError(
            f"has {weight.shape[0]} channels in {groups} groups, which must divide them."
        )
    channels = weight.shape[1] * groups
    if declared and len(shape) != 3 and math.prod(shape) == channels * math.prod(declared):
        shape = (channels, *declared)
    if len(shape) != 3 or shape[0] != channels or (declared and shape[1:] != declared):
        needed = (channels, *(declared or ("any", "any")))
        raise ArtifactError(f"takes the shape {needed}, but is given {shape}.")
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = raw.padding.decode() if isinstance(raw.padding, bytes) else raw.padding
    before, is_same = (0, 0), False
    if not isinstance(padding, str):
        before = pair(padding, 0)
    elif padding == "same":
        if stride != (1, 1):
            raise ArtifactError("has the padding 'same', which needs stride 1.")
        before, is_same = (reach[0] // 2, reach[1] // 2), True
    elif padding != "valid":
        raise ValueError(f"its padding is {padding!r:.80}; same, valid or numbers are allowed")
    both = reach if is_same else [2 * value for value in before]
    windows = Windows(kernel, stride, before, dilation)
    out = (weight.shape[0], *_placed(shape, windows, both))
    bias = None
    if getattr(raw, "bias", None) is not None:
        bias = _each("bias", raw.bias, (weight.shape[0],))
    return Convolution(name, shape, out, weight, bias, groups, windows)


def _placed(shape: Shape, windows: Windows, both: Any) -> tuple[int, int]:
    """Places of a window in height and width."""
    if min(*windows.kernel, *windows.stride, *windows.dilation) >= 1 and min(windows.padding) >= 0:
        rows, columns = (output_size(shape[1 + a], windows, a, both[a]) for a in (0, 1))
        if min(rows, columns) >= 1:
            return rows, columns
    raise ArtifactError(f"has a window that does not fit the shape {shape}.")


def _pooling(name: str, raw: Any, shape: Shape) -> Node:
    if len(shape) != 3:
        raise ArtifactError(f"takes (channels, height, width), not {shape}.")
    padding = _pair(raw.padding)
    windows = Windows(_pair(raw.kernel_size), _pair(raw.stride), padding)
    places = _placed(shape, windows, [2 * value for value in padding])
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
    return Scaling(name, shape, shape, _each("scale", raw.scale, shape))


def _step(name: str, raw: Any, shape: Shape) -> Node:
    return Step(name, shape, shape, _each("threshold", raw.threshold, shape))


def _waiting(name: str, raw: Any, shape: Shape) -> Node:
    seconds = _each("delay", raw.delay, shape)
    if (seconds < 0).any():
        raise ArtifactError("has a delay below 0.")
    return Waiting(name, shape, shape, seconds)


def _neurons(name: str, raw: Any, shape: Shape) -> Node:
    kind = type(raw).__name__
    values = {what: _each(what, getattr(raw, what), shape) for what in _NEURONS[kind]}
    for what in _TIMES:
        if what in values and (values[what] <= 0).any():
            raise ArtifactError(f"has a {what} that is not above 0.")
    return Neurons(name, shape, shape, kind, values)


ENDS: Final = ("Input", "Output")
"""The ends of a graph."""

BUILDERS: Final[Mapping[str, Callable[[str, Any, Shape], Node]]] = {
    "Input": _input,
    "Output": _output,
    "Affine": _dense,
    "Linear": _dense,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
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

They raise ArtifactError for what does not fit, in words that follow the node's name, ValueError and
the like for what is damaged.
"""


MAX_ARRAY_BYTES: Final = 2 << 30
"""Of all arrays of a file, unpacked; its weights take as much again in float64."""

MAX_DEPTH: Final = 64
"""Of groups in one another."""


def read_nir(path: str | os.PathLike[str]) -> Network:
    """Read any NIR file.

    Raises:
        ArtifactError: it is missing or damaged, has a node that is not known, or its nodes and
            edges do not fit.
    """
    open_regular(path).close()
    try:
        with h5py.File(path, "r") as file:
            _check_group(path, file, [0])
            content = hdf2dict(file["node"])
    except (AttributeError, OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} is damaged or not a NIR file ({reason}).") from error
    try:
        for graph in _graphs(content, path):
            graph["type_check"] = False  # shapes are checked here; older files fail nir's check
        graph = nir.dict2NIRNode(content)
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is not a graph that nir reads ({error}).") from error
    try:
        return network_of(graph)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None


def _check_group(
    path: str | os.PathLike[str], group: h5py.Group, read: list[int], depth: int = 0
) -> None:
    """Raise ArtifactError unless all arrays lie in this file itself and fit into memory.

    HDF5 declares sizes apart from what is stored, takes data from other files, and can hold a group
    within itself. `read` has the bytes that the arrays take so far.
    """
    if depth > MAX_DEPTH:
        raise ArtifactError(f"{path} holds groups more than {MAX_DEPTH} deep.")
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            raise ArtifactError(f"{path} takes {name!r:.80} from another file, which is not read.")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(path, item, read, depth + 1)
        elif isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ArtifactError(
                    f"{path} takes the data of {item.name!r:.80} from another file, which is not "
                    "read."
                )
            read[0] += math.prod(item.shape or ()) * item.dtype.itemsize
            if read[0] > MAX_ARRAY_BYTES:
                raise ArtifactError(
                    f"{path} declares arrays of {read[0]:,} bytes up to {item.name!r:.80}; "
                    f"{MAX_ARRAY_BYTES:,} are allowed."
                )


def _graphs(content: Any, path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """All graphs of a file, the nested ones too; ArtifactError for nodes that are not known."""
    if content.get("type") != "NIRGraph":
        raise ArtifactError(f"{path} holds {content.get('type')!r:.80} and not a NIRGraph.")
    yield content
    for name, node in content["nodes"].items():
        kind = node.get("type")
        if kind == "NIRGraph":
            yield from _graphs(node, path)
        elif kind not in BUILDERS:
            raise _unknown(name, kind)


def _unknown(name: str, kind: Any) -> ArtifactError:
    allowed = ", ".join(sorted({*BUILDERS, "NIRGraph"}))
    return ArtifactError(f"the node {name!r} is a {kind!s:.80}; allowed are {allowed}.")


def network_of(graph: nir.NIRGraph) -> Network:
    """The network of a graph in memory; it may have come about with ``type_check=False``.

    Raises:
        ArtifactError: a node is not known, or nodes and edges do not fit.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise ArtifactError(f"a NIRGraph is needed, not a {type(graph).__name__}.")
    if not graph.nodes:
        reason = graph.metadata.get("reason", "it was written without")
        raise ArtifactError(f"the graph has no nodes: {reason!s:.300}.")
    raw, edges = _flat(graph, "")
    for source, target in edges:
        if type(raw[target]).__name__ == "Input" or type(raw[source]).__name__ == "Output":
            raise ArtifactError(
                f"the edge {source} -> {target} leads into the input or out of the output."
            )
    ends: dict[str, str] = {}
    for kind in ENDS:
        names = [name for name, node in raw.items() if type(node).__name__ == kind]
        if len(names) != 1:
            found = ", ".join(names) or "none"
            raise ArtifactError(f"a graph must have one {kind} node, but this one has {found}.")
        ends[kind] = names[0]
    order = order_of(edges, ends["Input"])
    unreached = sorted(set(raw) - set(order.names))
    if unreached:
        raise ArtifactError(f"the input leads to no node {', '.join(unreached)}.")
    nodes: dict[str, Node] = {}
    for name in order.names:
        sources = [a for a, b in edges if b == name and (a, b) not in order.waiting]
        shapes = {source: nodes[source].out_shape for source in sources}
        nodes[name] = _built(name, raw[name], _common_shape(name, shapes))
    for source, target in order.waiting:
        given, taken = nodes[source], nodes[target]
        if not fits(given.out_shape, taken.in_shape):
            raise _misfit(target, taken.in_shape, source, given.out_shape)
    return Network(nodes, tuple(edges), graph.metadata)


def _flat(graph: nir.NIRGraph, prefix: str) -> tuple[dict[str, nir.NIRNode], list[Edge]]:
    """All nodes by their full names, and the edges between them."""
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[Edge] = []
    entries: dict[str, str] = {}
    exits: dict[str, str] = {}
    for name, node in graph.nodes.items():
        full = f"{prefix}{name}"
        kind = type(node).__name__
        if isinstance(node, nir.NIRGraph):
            inner, inner_edges = _flat(node, f"{full}.")
            twice = sorted(inner.keys() & {*nodes, *(f"{prefix}{one}" for one in graph.nodes)})
            if twice:
                raise ArtifactError(
                    f"the name {twice[0]!r} stands for two nodes, one of them in the nested graph "
                    f"{full!r}."
                )
            nodes |= inner
            edges += inner_edges
            for end, chosen in (("Input", entries), ("Output", exits)):
                names = [one for one in node.nodes if type(node.nodes[one]).__name__ == end]
                if len(names) != 1:
                    raise ArtifactError(
                        f"the nested graph {full!r} must have one {end} node, but has "
                        f"{', '.join(names) or 'none'}."
                    )
                chosen[name] = f"{full}.{names[0]}"
                nodes[chosen[name]] = nir.ir.graph.Identity({end.lower(): None})
        elif kind in BUILDERS:
            nodes[full] = node
            entries[name] = exits[name] = full
        else:
            raise _unknown(full, kind)
    own: list[Edge] = []
    for source, target in graph.edges:
        for end in (source, target):
            if end not in entries:
                raise ArtifactError(
                    f"the edge {prefix}{source} -> {prefix}{target} has an end {end!r} that is no "
                    "node of the graph."
                )
        edge = (exits[source], entries[target])
        if edge in own:
            raise ArtifactError(f"the edge {edge[0]} -> {edge[1]} is there twice.")
        own.append(edge)
    return nodes, [*edges, *own]


def _common_shape(name: str, shapes: Mapping[str, Shape]) -> Shape:
    """The shape that all sources give; () where there is no source."""
    found = next(iter(shapes.values()), ())
    for source, shape in shapes.items():
        if not fits(shape, found):
            raise _misfit(name, found, source, shape)
    return found


def _misfit(name: str, needed: Shape, source: str, given: Shape) -> ArtifactError:
    return ArtifactError(
        f"the node {name!r} takes the shape {needed}, but {source!r} gives {given}."
    )


def _built(name: str, raw: nir.NIRNode, shape: Shape) -> Node:
    kind = type(raw).__name__
    try:
        return BUILDERS[kind](name, raw, shape)
    except ArtifactError as error:
        raise ArtifactError(f"the node {name!r} {error}") from None
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError(f"the node {name!r} ({kind}) is damaged ({error}).") from error
