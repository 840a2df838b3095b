"""Read NIR graphs, from a file or in memory.

No metadata are needed. A node of a nested graph is named ``outer.inner``, and an edge
to or from a nested graph leads to its input or from its output. Nodes that only pass on
numbers (Flatten, and the ends of nested graphs) are removed, and their edges joined.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import h5py
import nir
from nir.serialization import hdf2dict

from spikejoule.core.errors import ArtifactError, printable
from spikejoule.core.store import open_regular
from spikejoule.network.graph import Edge
from spikejoule.network.imported import ImportedGraph
from spikejoule.network.nodes import Delay, Node, Shape
from spikejoule.nir.nodes import BUILDERS, Passing, Raw, built_node, fits
from spikejoule.nir.ordering import step_order

MAX_ARRAY_BYTES: Final = 1 << 31
"""Of all arrays of a file in memory, where an element takes 8 bytes or more (float64):
VGG-16, with 138 million weights, takes half of it."""

_MAX_COMPRESSION: Final = 128
_ALWAYS_ALLOWED_BYTES: Final = 16 << 20
"""Arrays may take so many times the bytes that the file stores, and so many more."""

# What h5py, nir and this module raise for damaged files; h5py raises SystemError for a
# name that is not UTF-8.
_DAMAGE: Final = (
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SystemError,
    TypeError,
    ValueError,
)


def read_nir(path: str | os.PathLike[str]) -> ImportedGraph:
    """Read a NIR file.

    Raises:
        ArtifactError: it is missing or damaged, has an unknown node, or its nodes and
            edges do not fit.
    """
    open_regular(path).close()
    try:
        with h5py.File(path, "r") as file:
            _check_content(file)
            content = hdf2dict(file["node"])
        if content.get("type") != "NIRGraph":
            raise ArtifactError(
                f"it holds {content.get('type')!r:.80} and not a NIRGraph."
            )
        return _network(content)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(
            f"{path} is damaged or not a NIR file ({reason})."
        ) from error


def _check_content(file: h5py.File) -> None:
    """Refuse arrays that are in other files, or too large for memory.

    HDF5 can link to other files, and states sizes apart from the data: a small file may
    declare arrays of any size, compressed or not stored at all.
    """
    links: dict[str, Any] = {}

    def visit(name: str, link: Any) -> None:
        links[name] = link

    file.visititems_links(visit)
    n_bytes = 0
    n_stored = 0
    for name, link in links.items():
        item = file[name] if isinstance(link, h5py.HardLink) else None
        is_array = isinstance(item, h5py.Dataset)
        if item is None or (is_array and (item.external or item.is_virtual)):
            raise ArtifactError(
                f"it takes {name!r:.80} from another file, which is not read."
            )
        if is_array:
            n_bytes += math.prod(item.shape or ()) * max(item.dtype.itemsize, 8)
            n_stored += item.id.get_storage_size()
    # Several links may lead to one array.
    n_stored = min(n_stored, file.id.get_filesize())
    most = min(MAX_ARRAY_BYTES, _MAX_COMPRESSION * n_stored + _ALWAYS_ALLOWED_BYTES)
    if n_bytes > most:
        raise ArtifactError(
            f"it declares {n_bytes:,} bytes and stores {n_stored:,}; {most:,} are "
            "allowed."
        )


def network_of(graph: nir.NIRGraph) -> ImportedGraph:
    """Read a graph in memory, which may be made with ``type_check=False``.

    Raises:
        ArtifactError: it has an unknown node, or its nodes and edges do not fit.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise ArtifactError(
            f"a NIRGraph is needed, not a {type(graph).__name__}: `read_nir` reads a "
            "file, and `spikejoule.price` takes a model that runs."
        )
    return _network(_raw_of(graph))


def _raw_of(node: Any) -> Raw:
    """Return a node's fields as `hdf2dict` does for a file."""
    raw = {**getattr(node, "__dict__", {}), "type": type(node).__name__}
    if isinstance(node, nir.NIRGraph):
        raw["nodes"] = {name: _raw_of(inner) for name, inner in node.nodes.items()}
    return raw


def _network(graph: Raw) -> ImportedGraph:
    """Make the network of a graph."""
    metadata = graph.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise ArtifactError(f"the graph has metadata without names: {metadata!s:.80}.")
    if not graph.get("nodes"):
        reason = metadata.get("reason", "it was written without")
        raise ArtifactError(f"the graph has no nodes: {reason!s:.300}.")
    flat = _FlatGraph()
    flat.add(graph, "")
    entry = _only("Input", flat.nodes, "a graph")
    end = _only("Output", flat.nodes, "a graph")
    for source, target in flat.edges:
        if target == entry or source == end:
            raise ArtifactError(
                f"the edge {source} -> {target} leads into the input or out of the "
                "output."
            )
    nodes = _built(flat, entry)
    edges = _without_passing(nodes, flat.edges)
    late = [
        name
        for name, node in nodes.items()
        if isinstance(node, Delay) and node.seconds.min() > 0
    ]
    order = step_order(edges, entry, late)
    ordered = {name: nodes[name] for name in order.names}
    return ImportedGraph(
        ordered, tuple(edges), waiting=order.waiting, metadata=metadata
    )


@dataclass
class _FlatGraph:
    """A graph without nesting: all nodes by their full names, and the edges."""

    nodes: dict[str, Raw] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add(self, graph: Raw, prefix: str) -> None:
        """Add the nodes and edges of a graph, which may be nested in another."""
        # The nodes at which edges to and from a node of this graph end.
        entries: dict[str, str] = {}
        ends: dict[str, str] = {}
        for name, node in graph["nodes"].items():
            full = printable(f"{prefix}{name}")
            if node["type"] == "NIRGraph":
                entries[name], ends[name] = self._add_nested(node, full)
                continue
            if node["type"] not in BUILDERS:
                allowed = ", ".join(sorted({*BUILDERS, "NIRGraph"}))
                raise ArtifactError(
                    f"the node {name!r} is a {node['type']!s:.80}; allowed are "
                    f"{allowed}."
                )
            if full in self.nodes:
                raise ArtifactError(f"there are two nodes with the name {full!r}.")
            self.nodes[full] = node
            entries[name] = full
            ends[name] = full
        for pair in graph["edges"]:
            source, target = (_text(name) for name in pair)
            for name in (source, target):
                if name not in ends:
                    raise ArtifactError(
                        f"the edge {prefix}{source} -> {prefix}{target} has an end "
                        f"{name!r} that is not a node of the graph."
                    )
            edge = (ends[source], entries[target])
            if edge in self.edges:
                raise ArtifactError(f"the edge {edge[0]} -> {edge[1]} appears twice.")
            self.edges.append(edge)

    def _add_nested(self, graph: Raw, full: str) -> Edge:
        """Add a nested graph, and return the full names of its input and output."""
        what = f"the nested graph {full!r}"
        entry = printable(f"{full}.{_only('Input', graph['nodes'], what)}")
        end = printable(f"{full}.{_only('Output', graph['nodes'], what)}")
        self.add(graph, f"{full}.")
        # Its ends only pass on.
        self.nodes[entry] = {"type": "Identity"}
        self.nodes[end] = {"type": "Identity"}
        return entry, end


def _text(name: str | bytes) -> str:
    """Decode a name that HDF5 stores as bytes."""
    return name.decode() if isinstance(name, bytes) else name


def _only(kind: str, nodes: Mapping[str, Raw], what: str) -> str:
    """Return the name of the only node of a type."""
    names = [name for name, node in nodes.items() if node["type"] == kind]
    if len(names) != 1:
        raise ArtifactError(
            f"{what} must have one {kind} node, but this one has "
            f"{', '.join(names) or 'none'}."
        )
    return names[0]


def _built(flat: _FlatGraph, entry: str) -> dict[str, Node]:
    """Make the nodes, each after those whose shapes it receives."""
    order = step_order(flat.edges, entry)
    unreached = sorted(set(flat.nodes) - set(order.names))
    if unreached:
        raise ArtifactError(f"the input does not reach {', '.join(unreached)}.")
    nodes: dict[str, Node] = {}
    for name in order.names:
        sources = [
            source
            for source, target in flat.edges
            if target == name and (source, target) not in order.waiting
        ]
        shape = nodes[sources[0]].out_shape if sources else ()
        for source in sources:
            _check_fit(nodes[source], name, shape)
        nodes[name] = built_node(name, flat.nodes[name], shape)
    for source, target in order.waiting:
        _check_fit(nodes[source], target, nodes[target].in_shape)
    return nodes


def _check_fit(source: Node, target: str, needed: Shape) -> None:
    if not fits(source.out_shape, needed):
        raise ArtifactError(
            f"the node {target!r} takes the shape {needed}, but {source.name!r} gives "
            f"{source.out_shape}."
        )


def _without_passing(nodes: Mapping[str, Node], edges: Sequence[Edge]) -> list[Edge]:
    """Return the edges between nodes that compute something, others joined."""

    def origins(name: str, passed: tuple[str, ...] = ()) -> list[str]:
        """Find the nodes that compute what `name` gives."""
        if not isinstance(nodes[name], Passing):
            return [name]
        if name in passed:
            raise ArtifactError(
                f"the node {name!r} is in a cycle of nodes that only pass values on."
            )
        sources = [source for source, target in edges if target == name]
        return [
            origin for source in sources for origin in origins(source, (*passed, name))
        ]

    return [
        (origin, target)
        for source, target in edges
        if not isinstance(nodes[target], Passing)
        for origin in origins(source)
    ]
