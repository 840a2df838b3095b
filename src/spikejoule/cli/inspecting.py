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
    """What a complete checkpoint holds, or a graph; of every array, its shape and
    type.
    """
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
    """A graph's metadata, its nodes with the shapes that they receive and give, and its
    edges.
    """
    nodes = {}
    for name, node in network.nodes.items():
        shapes = (
            " x ".join(map(str, shape)) for shape in (node.in_shape, node.out_shape)
        )
        nodes[name] = (
            f"{getattr(node, 'kind', type(node).__name__)}, {' -> '.join(shapes)}"
        )
    edges = {
        target: " + ".join(
            f"{source} (a step before)"
            if (source, target) in network.waiting
            else source
            for source in sources
        )
        for target, sources in network.sources.items()
        if sources
    }
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
