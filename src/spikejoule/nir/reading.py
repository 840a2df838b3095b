"""NIR's graphs, from a file or in memory, as networks: flat arrays, and shapes that fit.

No metadata are needed. Nodes of nested graphs get the name ``outer.inner``, and an edge to or from
a nested graph leads to its input or from its output. Nodes that only pass on (Flatten, and the ends
of nested graphs) are joined away.

The order of a step: in a step every node needs what its sources give in the same step. Around a
cycle that is impossible, so an edge of each cycle gives what its source gave the step before, and 0
in the first step. It is the edge that leads back to the node of the cycle that is the fewest edges
away from the input; of equals, to the first by name. So spikes go into a recurrent layer without a
delay, and from it through its recurrent weights back into it one step later, as NIRTorch does it.

A Delay node whose units all wait gives what came before in any case: no edge of a cycle through it
waits.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, Final

import h5py
import nir
import numpy as np
from nir.serialization import hdf2dict
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, printable
from spikejoule.core.store import open_regular
from spikejoule.encoding.events import MAX_UNITS
from spikejoule.network.graph import Edge
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.layers import Shape
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
    Threshold,
    Windows,
)

Raw = Mapping[str, Any]
"""A node by its fields, as they stand in a file; of a graph its nodes, edges and metadata."""

_NEURONS: Final = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "I": ("r",),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
}

_MAY_BE_INFINITE: Final = ("tau", "tau_syn", "tau_mem", "r", "w_in")
"""A time constant with the gain that goes with it: what never decays, such as snnTorch's neurons
with ``beta=1``."""

MAX_ARRAY_BYTES: Final = 1 << 31
"""Of all arrays of a file, unpacked, with 8 bytes or more for each element, as in float64: those of
VGG-16, with 138 million weights, are half of it."""

MAX_DEPTH: Final = 100
"""Of groups in groups; the time that HDF5 takes to list them grows with its third power."""


class _Passing(Node):
    """Flatten, and the ends of a nested graph: gives what it receives."""


def fits(given: Shape, taken: Shape) -> bool:
    """Whether values of a shape are those of another: the same, or one of the two is flat."""
    one, other = ([size for size in shape if size != 1] for shape in (given, taken))
    return math.prod(one) == math.prod(other) and (min(len(one), len(other)) <= 1 or one == other)


def read_nir(path: str | os.PathLike[str]) -> ImportedGraph:
    """Read any NIR file.

    Raises:
        ArtifactError: it is missing or damaged, has a node that is not known, or its nodes and
            edges do not fit.
    """
    open_regular(path).close()
    try:
        with h5py.File(path, "r") as file:
            _check_content(file)
            content = hdf2dict(file["node"])
        if content.get("type") != "NIRGraph":
            raise ArtifactError(f"it holds {content.get('type')!r:.80} and not a NIRGraph.")
        return _network(content)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    # SystemError: h5py's, of a name that is not UTF-8.
    except (AttributeError, LookupError, MemoryError, OSError, RuntimeError, SystemError, TypeError,
            ValueError) as error:  # fmt: skip
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} is damaged or not a NIR file ({reason}).") from error


def _check_content(file: h5py.File) -> None:
    """Raise ArtifactError unless all arrays lie in this file itself, once, and fit into memory.

    HDF5 declares sizes apart from what is stored, takes data from other files, and can hold a group
    within itself.
    """
    links: list[tuple[str, Any]] = []

    def visit(name: str, link: Any) -> bool | None:
        links.append((name, link))
        return name.count("/") > MAX_DEPTH or None

    if file.visititems_links(visit):
        raise ArtifactError(f"its groups are nested too deep; {MAX_DEPTH} levels are allowed.")
    read = 0
    for name, link in links:
        item = file[name] if isinstance(link, h5py.HardLink) else None
        is_array = isinstance(item, h5py.Dataset)
        if item is None or (is_array and (item.external or item.is_virtual)):
            raise ArtifactError(f"it takes {name!r:.80} from elsewhere, which is not read.")
        if h5py.h5o.get_info(item.id).rc > 1:
            raise ArtifactError(f"it holds {name!r:.80} in several places.")
        read += math.prod(item.shape or ()) * max(item.dtype.itemsize, 8) if is_array else 0
        if read > MAX_ARRAY_BYTES:
            raise ArtifactError(f"it declares {read:,} bytes; {MAX_ARRAY_BYTES:,} are allowed.")


def network_of(graph: nir.NIRGraph) -> ImportedGraph:
    """The network of a graph in memory; it may have come about with ``type_check=False``.

    Raises:
        ArtifactError: a node is not known, or nodes and edges do not fit.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise ArtifactError(
            f"a NIRGraph is needed, not a {type(graph).__name__}: `read_nir` reads a file, and "
            "`spikejoule.price` takes a model that runs."
        )
    return _network(_raw_of(graph))


def _raw_of(node: Any) -> Raw:
    """A node of nir by its fields, as hdf2dict gives it."""
    raw = {**getattr(node, "__dict__", {}), "type": type(node).__name__}
    if isinstance(node, nir.NIRGraph):
        raw["nodes"] = {name: _raw_of(inner) for name, inner in node.nodes.items()}
    return raw


def _network(graph: Raw) -> ImportedGraph:
    metadata = graph.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise ArtifactError(f"the graph has metadata without names: {metadata!s:.80}.")
    if not graph.get("nodes"):
        reason = metadata.get("reason", "it was written without")
        raise ArtifactError(f"the graph has no nodes: {reason!s:.300}.")
    raw, edges = _flat(graph, "")
    entry, end = (_only(kind, raw, "a graph") for kind in ("Input", "Output"))
    for source, target in edges:
        if target == entry or source == end:
            raise ArtifactError(
                f"the edge {source} -> {target} leads into the input or out of the output."
            )
    names, waiting = ordered(edges, entry)
    unreached = sorted(set(raw) - set(names))
    if unreached:
        raise ArtifactError(f"the input leads to no node {', '.join(unreached)}.")
    nodes: dict[str, Node] = {}
    for name in names:
        given = [one for one, target in edges if target == name and (one, name) not in waiting]
        shape = nodes[given[0]].out_shape if given else ()
        for source in given:
            _check_fit(nodes[source], name, shape)
        nodes[name] = _built(name, raw[name], shape)
    for source, target in waiting:
        _check_fit(nodes[source], target, nodes[target].in_shape)
    joined = _without_passing(nodes, edges)
    late = [name for name, one in nodes.items() if isinstance(one, Delay) and one.seconds.min()]
    names, waiting = ordered(joined, entry, late)
    return ImportedGraph(
        {name: nodes[name] for name in names}, tuple(joined), waiting=waiting,
        metadata=metadata,
    )  # fmt: skip


def _flat(graph: Raw, prefix: str) -> tuple[dict[str, Raw], list[Edge]]:
    """All nodes by their full names, and the edges between them."""
    nodes: dict[str, Raw] = {}
    edges: list[Edge] = []
    ends: dict[str, tuple[str, str]] = {}
    for name, node in graph["nodes"].items():
        full, kind = printable(f"{prefix}{name}"), node["type"]
        inner = {full: node}
        ends[name] = full, full
        if kind == "NIRGraph":
            what = f"the nested graph {full!r}"
            entry, end = (_only(one, node["nodes"], what) for one in ("Input", "Output"))
            inner, inner_edges = _flat(node, f"{full}.")
            edges += inner_edges
            ends[name] = printable(f"{full}.{entry}"), printable(f"{full}.{end}")
            inner |= {one: {"type": "Identity"} for one in ends[name]}
        elif kind not in BUILDERS:
            allowed = ", ".join(sorted({*BUILDERS, "NIRGraph"}))
            raise ArtifactError(f"the node {name!r} is a {kind!s:.80}; allowed are {allowed}.")
        twice = sorted(inner.keys() & nodes.keys())
        if twice:
            raise ArtifactError(f"the name {twice[0]!r} stands for two nodes.")
        nodes |= inner
    for pair in graph["edges"]:
        source, target = (one.decode() if isinstance(one, bytes) else one for one in pair)
        for one in (source, target):
            if one not in ends:
                raise ArtifactError(
                    f"the edge {prefix}{source} -> {prefix}{target} has an end {one!r} that is no "
                    "node of the graph."
                )
        edge = (ends[source][1], ends[target][0])
        if edge in edges:
            raise ArtifactError(f"the edge {edge[0]} -> {edge[1]} is there twice.")
        edges.append(edge)
    return nodes, edges


def _only(kind: str, nodes: Mapping[str, Raw], what: str) -> str:
    """The name of the one node of a kind."""
    names = [name for name, node in nodes.items() if node["type"] == kind]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise ArtifactError(f"{what} must have one {kind} node, but this one has {found}.")
    return names[0]


def ordered(
    edges: Sequence[Edge], start: str, late: Iterable[str] = ()
) -> tuple[tuple[str, ...], frozenset[Edge]]:
    """The order of a step of all nodes that `start` leads to, and the edges that wait.

    Args:
        edges: of the network.
        start: the input, which no edge leads to.
        late: nodes that need nothing of the same step.

    Returns:
        each node after all that it needs in the same step, and before the sources of edges that
        wait for it; and these edges.
    """
    following: dict[str, set[str]] = {}
    for source, target in edges:
        following.setdefault(source, set()).add(target)
    distance = {start: 0, **_distances(following, start)}
    # What is needed in the same step.
    needing = {name: following.get(name, set()).difference(late) for name in distance}
    waiting: set[Edge] = set()
    # What leads to the nearest node of a cycle from within is as far away, or farther.
    nearest = {
        target
        for source, targets in needing.items()
        for target in targets
        if distance[source] >= distance[target]
    }
    # No cycle is left through a node that was looked at: the next that lies on one is its nearest.
    for entry in sorted(nearest, key=lambda name: (distance[name], name)):
        for source in _distances(needing, entry):
            if entry in needing[source]:
                needing[source].remove(entry)
                waiting.add((source, entry))
    sorter: TopologicalSorter[str] = TopologicalSorter({start: ()})
    for name in distance:
        sorter.add(name)
        for target in sorted(needing[name]):
            sorter.add(target, name)
    for source, target in waiting:
        if source != target:
            sorter.add(source, target)
    return tuple(sorter.static_order()), frozenset(waiting)


def _distances(following: Mapping[str, Iterable[str]], start: str) -> dict[str, int]:
    """Edges from `start` to each node that it leads to, by the shortest way of at least one."""
    distance: dict[str, int] = {}
    pending, steps = [start], 0
    while pending:
        steps += 1
        targets = {target for name in pending for target in following.get(name, ())}
        pending = sorted(targets - distance.keys())
        distance |= dict.fromkeys(pending, steps)
    return distance


def _without_passing(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> list[Edge]:
    """The edges between nodes that do something; those through others are joined."""

    def origins(name: str, seen: tuple[str, ...]) -> list[str]:
        if not isinstance(nodes[name], _Passing):
            return [name]
        if name in seen:
            raise ArtifactError(f"the node {name!r} is in a cycle of nodes that only pass on.")
        inner = [source for source, target in edges if target == name]
        return [one for source in inner for one in origins(source, (*seen, name))]

    return [
        (origin, target)
        for source, target in edges
        if not isinstance(nodes[target], _Passing)
        for origin in origins(source, ())
    ]


def _check_fit(source: Node, target: str, needed: Shape) -> None:
    if not fits(source.out_shape, needed):
        raise ArtifactError(
            f"the node {target!r} takes the shape {needed}, but {source.name!r} gives "
            f"{source.out_shape}."
        )


def _built(name: str, raw: Raw, shape: Shape) -> Node:
    try:
        node = BUILDERS[raw["type"]](name, raw, shape)
        if not 1 <= node.n_out <= MAX_UNITS:
            raise ArtifactError(f"has {node.n_out:,} units; allowed are 1 to {MAX_UNITS:,}.")
        return node
    except ArtifactError as error:
        raise ArtifactError(f"the node {name!r} {error}") from None
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError(f"the node {name!r} ({raw['type']}) is damaged ({error}).") from error


def _array(value: Any, allows_infinity: bool = False) -> NDArray[np.float64]:
    """An array of finite numbers; tensors of torch as exporters leave them in a graph, too."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ValueError(f"it holds {found.dtype} where numbers are needed")
    found, largest = found.astype(np.float64), np.finfo(np.float32).max
    finite = np.where(np.isposinf(found), 0, found) if allows_infinity else found
    if not -largest <= finite.min(initial=0) <= finite.max(initial=0) <= largest:
        raise ValueError("it holds numbers that are not finite in float32")
    return found


def _whole(value: Any) -> tuple[int, ...]:
    """Whole numbers, of an array or of one."""
    found = np.atleast_1d(_array(value))
    if (found != np.rint(found)).any():
        raise ValueError(f"it holds {found.tolist()} where whole numbers are needed")
    return tuple(int(size) for size in found)


def _pair(value: Any, height: int | None = None) -> tuple[int, int]:
    """Height and width; one number stands for both, or for the width where the height is known."""
    sizes = _whole(value)
    if height is not None:
        (width,) = sizes
        return height, width
    first, last = np.broadcast_to(sizes, 2).tolist()
    return first, last


def _each(raw: Raw, what: str, shape: Shape, allows_infinity: bool = False) -> NDArray[np.float64]:
    """A parameter for every unit, flat: one number stands for all."""
    found, size = _array(raw[what], allows_infinity), math.prod(shape)
    if found.size == 1:
        return np.full(size, found.item())
    if not fits(found.shape, shape):
        raise ArtifactError(
            f"takes {size} values of the shape {shape}, but its {what} has the shape {found.shape}."
        )
    return found.reshape(-1)


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
        raise ArtifactError(f"takes {weight.shape[1]} values, but is given the shape {shape}.")
    out = (weight.shape[0],)
    return Dense(name, shape, out, weight, _each(raw, "bias", out) if "bias" in raw else None)


def _convolution(name: str, raw: Raw, shape: Shape) -> Node:
    """Conv1d and Conv2d; the former has a height of 1."""
    weight, height, margin = _array(raw["weight"]), None, None
    if raw["type"] == "Conv1d":
        weight, height, margin = weight[:, :, None, :], 1, 0
        if len(shape) == 2:
            shape = (shape[0], 1, shape[1])
        if len(shape) == 3 and shape[1] != 1:
            raise ArtifactError(f"takes (channels, length), but is given {shape}.")
    if weight.ndim != 4:
        raise ValueError(f"its weight has the shape {weight.shape}")
    declared = () if raw.get("input_shape") is None else _pair(raw["input_shape"], height)
    (groups,) = _whole(raw["groups"])
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
    stride, dilation = (_pair(raw[what], height) for what in ("stride", "dilation"))
    (rows, columns), padding = weight.shape[2:], raw["padding"]
    if isinstance(padding, str) and padding == "same":
        if stride != (1, 1):
            raise ArtifactError("has the padding 'same', which needs stride 1.")
        both = [dilation[0] * (rows - 1), dilation[1] * (columns - 1)]
        before = both[0] // 2, both[1] // 2
    else:
        is_valid = isinstance(padding, str) and padding == "valid"
        before = _pair([0] if is_valid else padding, margin)
        both = [2 * value for value in before]
    windows = Windows((rows, columns), stride, before, dilation)
    out = (weight.shape[0], *_placed(shape, windows, both))
    bias = None if raw.get("bias") is None else _each(raw, "bias", weight.shape[:1])
    return Convolution(name, shape, out, weight, bias, groups, windows)


def _placed(shape: Shape, windows: Windows, both: Sequence[int]) -> tuple[int, int]:
    """Places of a window in height and width."""
    if min(*windows.kernel, *windows.stride, *windows.dilation) >= 1 and min(windows.padding) >= 0:
        rows, columns = (windows.places(shape[1 + a], a, both[a]) for a in (0, 1))
        if min(rows, columns) >= 1:
            return rows, columns
    raise ArtifactError(f"has a window that does not fit the shape {shape}.")


def _pooling(name: str, raw: Raw, shape: Shape) -> Node:
    if len(shape) != 3:
        raise ArtifactError(f"takes (channels, height, width), not {shape}.")
    padding = _pair(raw["padding"])
    windows = Windows(_pair(raw["kernel_size"]), _pair(raw["stride"]), padding)
    places = _placed(shape, windows, [2 * value for value in padding])
    average = raw["type"] == "AvgPool2d"
    return Pooling(name, shape, (shape[0], *places), windows, average)


def _flatten(name: str, raw: Raw, shape: Shape) -> Node:
    start, end = *_whole(raw["start_dim"]), *_whole(raw["end_dim"])
    start, end = (place + len(shape) if place < 0 else place for place in (start, end))
    if not 0 <= start <= end < len(shape):
        # Of tools that count the samples' axis, which the shape does not have: flat is flat.
        start, end = 0, len(shape) - 1
    flat = math.prod(shape[start : end + 1])
    return _Passing(name, shape, (*shape[:start], flat, *shape[end + 1 :]))


def _waiting(name: str, raw: Raw, shape: Shape) -> Node:
    seconds = _each(raw, "delay", shape)
    if (seconds < 0).any():
        raise ArtifactError("has a delay below 0.")
    return Delay(name, shape, shape, seconds)


def _neurons(name: str, raw: Raw, shape: Shape) -> Node:
    kind = raw["type"]
    # Older files have no v_reset: it is 0.
    values = {
        what: _each({"v_reset": 0, **raw}, what, shape, what in _MAY_BE_INFINITE)
        for what in _NEURONS[kind]
    }
    for what in values:
        if what.startswith("tau") and (values[what] <= 0).any():
            raise ArtifactError(f"has a {what} that is not above 0.")
    for gain, tau in (("w_in", "tau_syn"), ("r", "tau_mem" if "tau_mem" in values else "tau")):
        if gain in values and (np.isinf(values[gain]) != np.isinf(values.get(tau, 0))).any():
            raise ArtifactError(f"has a {tau} and a {gain} of which one alone is infinite.")
    return Neurons(name, shape, shape, kind, values)


BUILDERS: Final[Mapping[str, Callable[[str, Raw, Shape], Node]]] = {
    "Input": _input,
    "Output": lambda name, raw, shape: Output(name, shape, shape),
    "Affine": _dense,
    "Linear": _dense,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "SumPool2d": _pooling,
    "AvgPool2d": _pooling,
    "Flatten": _flatten,
    "Identity": lambda name, raw, shape: _Passing(name, shape, shape),
    "Scale": lambda name, raw, shape: Scale(name, shape, shape, _each(raw, "scale", shape)),
    "Threshold": lambda name, raw, shape: Threshold(
        name, shape, shape, _each(raw, "threshold", shape)
    ),
    "Delay": _waiting,
    **dict.fromkeys(_NEURONS, _neurons),
}
"""What makes a node of a name, its fields, and the shape that it is given, () for the input.

They raise ArtifactError for what does not fit, in words that follow the node's name, ValueError and
the like for what is damaged.
"""
