"""The command `inspect`: what a complete checkpoint or a NIR graph holds."""

import argparse
import io
import json
from typing import Any

import numpy as np
from pydantic_core import PydanticSerializationError, to_json
from ruamel.yaml import YAML
from ruamel.yaml.representer import SafeRepresenter

from spikejoule.core.errors import ArtifactError
from spikejoule.core.store import json_text
from spikejoule.network.checkpoint import read_complete
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.reading import read_nir


def inspect(options: argparse.Namespace) -> str:
    """What a complete checkpoint holds, or a graph; of every array, its shape and type."""
    if options.file.suffix == ".nir":
        content = _graph_content(read_nir(options.file))
    else:
        content = read_complete(options.file).content
    try:
        return _content_text(content, options.json)
    except (PydanticSerializationError, RecursionError) as error:
        raise ArtifactError(
            f"{options.file} cannot be shown: its values are nested too deep."
        ) from error


def _content_text(content: dict[str, Any], as_json: bool) -> str:
    text = to_json(content, fallback=_json_value, inf_nan_mode="strings")
    values = json.loads(text)
    if as_json:
        return json_text(values)
    yaml, buffer = YAML(typ="safe", pure=True), io.StringIO()
    yaml.Representer, yaml.default_flow_style, yaml.width = _ListsInLines, False, 110
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, buffer)
    return buffer.getvalue()


class _ListsInLines(SafeRepresenter):
    def represent_sequence(self, tag: Any, sequence: Any, flow_style: Any = None) -> Any:
        """One number of many epochs is no line of its own."""
        return super().represent_sequence(tag, sequence, flow_style=True)


def _graph_content(network: ImportedGraph) -> dict[str, Any]:
    """A graph's metadata, its nodes with the shapes that they receive and give, and its edges."""
    nodes = {}
    for name, node in network.nodes.items():
        shapes = (" x ".join(map(str, shape)) for shape in (node.in_shape, node.out_shape))
        nodes[name] = f"{getattr(node, 'kind', type(node).__name__)}, {' -> '.join(shapes)}"
    edges = {
        target: " + ".join(
            f"{source} (a step before)" if (source, target) in network.waiting else source
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
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return str(value)
