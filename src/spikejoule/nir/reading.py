"""Read NIR graphs, from a file or in memory.

No metadata are needed. Nodes of nested graphs get the name ``outer.inner``, and an edge
to or from a nested graph leads to its input or from its output. Nodes that only pass on
(Flatten, and the ends of nested graphs) are joined away.
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
"""Of all arrays of a file, unpacked, with 8 bytes or more for each element, as in
float64: those of VGG-16, with 138 million weights, are half of it."""

# What h5py, nir and this module raise for damaged files; SystemError is h5py's for a
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
    """Read any NIR file.

    Raises:
        ArtifactError: it is missing or damaged, has a node that is not known, or its
            nodes and edges do not fit.
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
    """Raise ArtifactError unless all arrays lie in this file itself and fit into
    memory: HDF5 declares sizes apart from what is stored, and takes data from other
    files."""
    links: dict[str, Any] = {}

    def visit(name: str, link: Any) -> None:
        links[name] = link

    file.visititems_links(visit)
    n_bytes = 0
    for name, link in links.items():
        item = file[name] if isinstance(link, h5py.HardLink) else None
        is_array = isinstance(item, h5py.Dataset)
        if item is None or (is_array and (item.external or item.is_virtual)):
            raise ArtifactError(
                f"it takes {name!r:.80} from elsewhere, which is not read."
            )
        if is_array:
            n_bytes += math.prod(item.shape or ()) * max(item.dtype.itemsize, 8)
    if n_bytes > MAX_ARRAY_BYTES:
        raise ArtifactError(
            f"it declares {n_bytes:,} bytes; {MAX_ARRAY_BYTES:,} are allowed."
        )


def network_of(graph: nir.NIRGraph) -> ImportedGraph:
    """The network of a graph in memory, which may be made with ``type_check=False``.

    Raises:
        ArtifactError: a node is not known, or nodes and edges do not fit.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise ArtifactError(
            f"a NIRGraph is needed, not a {type(graph).__name__}: `read_nir` reads "
            "a file, and "
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
        if isinstance(node, Delay) and node.seconds.min()
    ]
    order = step_order(edges, entry, late)
    ordered = {name: nodes[name] for name in order.names}
    return ImportedGraph(
        ordered, tuple(edges), waiting=order.waiting, metadata=metadata
    )


@dataclass
class _FlatGraph:
    """All nodes of a graph by their full names, and the edges between them."""

    nodes: dict[str, Raw] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add(self, graph: Raw, prefix: str) -> None:
        """The nodes and edges of a graph, which may be nested in another."""
        entries: dict[str, str] = {}
        ends: dict[str, str] = {}
        for name, node in graph["nodes"].items():
            full = printable(f"{prefix}{name}")
            entries[name] = ends[name] = full
            if node["type"] == "NIRGraph":
                what = f"the nested graph {full!r}"
                entries[name] = printable(
                    f"{full}.{_only('Input', node['nodes'], what)}"
                )
                ends[name] = printable(f"{full}.{_only('Output', node['nodes'], what)}")
                self.add(node, f"{full}.")
                # The ends of a nested graph only pass on.
                self.nodes[entries[name]] = self.nodes[ends[name]] = {
                    "type": "Identity"
                }
            elif node["type"] not in BUILDERS:
                allowed = ", ".join(sorted({*BUILDERS, "NIRGraph"}))
                raise ArtifactError(
                    f"the node {name!r} is a {node['type']!s:.80}; allowed are "
                    f"{allowed}."
                )
            elif full in self.nodes:
                raise ArtifactError(f"the name {full!r} stands for two nodes.")
            else:
                self.nodes[full] = node
        for pair in graph["edges"]:
            source, target = [
                end.decode() if isinstance(end, bytes) else end for end in pair
            ]
            for end in (source, target):
                if end not in ends:
                    raise ArtifactError(
                        f"the edge {prefix}{source} -> {prefix}{target} has an end "
                        f"{end!r} that is "
                        "no node of the graph."
                    )
            edge = (ends[source], entries[target])
            if edge in self.edges:
                raise ArtifactError(f"the edge {edge[0]} -> {edge[1]} is there twice.")
            self.edges.append(edge)


def _only(kind: str, nodes: Mapping[str, Raw], what: str) -> str:
    """The name of the one node of a kind."""
    names = [name for name, node in nodes.items() if node["type"] == kind]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise ArtifactError(
            f"{what} must have one {kind} node, but this one has {found}."
        )
    return names[0]


def _built(flat: _FlatGraph, entry: str) -> dict[str, Node]:
    """The nodes, each after those whose shapes it takes."""
    order = step_order(flat.edges, entry)
    unreached = sorted(set(flat.nodes) - set(order.names))
    if unreached:
        raise ArtifactError(f"the input leads to no node {', '.join(unreached)}.")
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
    """The edges between nodes that do something; those through others are joined."""

    def origins(name: str, behind: tuple[str, ...] = ()) -> list[str]:
        if not isinstance(nodes[name], Passing):
            return [name]
        if name in behind:
            raise ArtifactError(
                f"the node {name!r} is in a cycle of nodes that only pass on."
            )
        passed = (*behind, name)
        sources = [source for source, target in edges if target == name]
        return [origin for source in sources for origin in origins(source, passed)]

    return [
        (origin, target)
        for source, target in edges
        if not isinstance(nodes[target], Passing)
        for origin in origins(source)
    ]
