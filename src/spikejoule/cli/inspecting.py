"""The command `inspect`: what a complete checkpoint or a NIR graph holds."""

import argparse
import io
import json
from typing import Any

import numpy as np
from pydantic_core import to_json
from ruamel.yaml import YAML

from spikejoule.core.store import json_text
from spikejoule.network.checkpoint import read_complete
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.reading import read_nir


def inspect(options: argparse.Namespace) -> str:
    """Show what a complete checkpoint or a graph holds; arrays by shape and type."""
    if options.file.suffix == ".nir":
        content = _graph_content(read_nir(options.file))
    else:
        content = read_complete(options.file).content
    values = json.loads(to_json(content, fallback=_json_value, inf_nan_mode="strings"))
    if options.json:
        return json_text(values)
    yaml = YAML(typ="safe", pure=True)
    yaml.width = 110
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    yaml.dump(values, buffer)
    return buffer.getvalue()


def _graph_content(network: ImportedGraph) -> dict[str, Any]:
    """Describe a graph: metadata, nodes with their input and output shapes, edges."""
    nodes = {}
    for name, node in network.nodes.items():
        kind = getattr(node, "kind", type(node).__name__)
        in_shape = " x ".join(map(str, node.in_shape))
        out_shape = " x ".join(map(str, node.out_shape))
        nodes[name] = f"{kind}, {in_shape} -> {out_shape}"
    edges = {}
    for target, sources in network.sources.items():
        senders = [
            # An edge of a cycle brings what its source sent in the step before.
            f"{source} (a step before)"
            if (source, target) in network.waiting
            else source
            for source in sources
        ]
        if senders:
            edges[target] = " + ".join(senders)
    return {"metadata": network.metadata, "nodes": nodes, "receives from": edges}


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {
            "shape": list(value.shape),
            "dtype": str(value.dtype).removeprefix("torch."),
        }
    return str(value)
