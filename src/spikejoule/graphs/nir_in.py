"""NIR's graphs, from a file or in memory, as checked networks.

No metadata are needed. Nodes of nested graphs get the name ``outer.inner``, and an edge to or from
a nested graph leads to its input or from its output.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import nir
from nir.serialization import hdf2dict

from spikejoule.core.errors import ArtifactError
from spikejoule.graphs.network import Network, Node, Shape
from spikejoule.graphs.nir_nodes import BUILDERS, ENDS, fits
from spikejoule.graphs.order import Edge, order_of


def read_nir(path: str | os.PathLike[str]) -> Network:
    """Read any NIR file.

    Raises:
        ArtifactError: it is missing or damaged, has a node that is not known, or its nodes and
            edges do not fit.
    """
    try:
        with h5py.File(path, "r") as file:
            content = hdf2dict(file["node"])
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist.") from None
    except (AttributeError, OSError, KeyError, RuntimeError, UnicodeDecodeError) as error:
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
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ArtifactError(f"the node {name!r} ({kind}) is damaged ({error}).") from error
