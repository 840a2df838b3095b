"""The command `inspect`: what a complete checkpoint or a NIR graph holds."""

import argparse
import io
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import numpy as np
from pydantic_core import to_json
from ruamel.yaml import YAML

from spikejoule.core.store import json_text
from spikejoule.core.terminal import columns
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.reading import read_nir

MOST_TEXTS: Final = 12
"""Lines of an entry in the outline."""
MOST_VALUES: Final = 5
"""Values of a list that the outline shows."""
EVERYTHING: Final = "This is an outline: --all shows everything, --json for programs."


def inspect(options: argparse.Namespace) -> str:
    """Show what a complete checkpoint or a graph holds; arrays by shape and type.

    An outline of one screen; `--all` and `--json` show everything.
    """
    if options.file.suffix == ".nir":
        content = _graph_content(read_nir(options.file))
    else:
        content = Checkpoint.read(options.file).content
    values = json.loads(to_json(content, fallback=_json_value, inf_nan_mode="strings"))
    if options.json:
        return json_text(values)
    if not options.all:
        return "\n".join([*outline(values), "", EVERYTHING, ""])
    yaml = YAML(typ="safe", pure=True)
    yaml.width = columns()
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    buffer = io.StringIO()
    yaml.dump(values, buffer)
    return buffer.getvalue()


def outline(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each entry; the texts of an entry have lines of their own."""
    for name, value in content.items():
        is_list_of_texts = isinstance(value, dict) and all(
            isinstance(text, str) for text in value.values()
        )
        if value and is_list_of_texts:
            yield f"{name}:"
            for key, text in islice(value.items(), MOST_TEXTS):
                yield _cut(f"  {key}: {text}")
            if len(value) > MOST_TEXTS:
                yield f"  ... and {len(value) - MOST_TEXTS} more"
        else:
            yield _cut(f"{name}: {_in_short(value, depth=2)}")


def _in_short(value: Any, depth: int) -> str:
    """Write a value in one line: containers by their sizes, below some depth."""
    if isinstance(value, dict) and value.keys() == {"shape", "dtype"}:
        return f"{value['dtype']} {' x '.join(map(str, value['shape']))}"
    if isinstance(value, dict):
        if depth == 0:
            return f"({len(value)} entries)"
        inner = (f"{key} {_in_short(one, depth - 1)}" for key, one in value.items())
        return ", ".join(inner)
    if isinstance(value, list):
        short = len(value) <= MOST_VALUES and not any(
            isinstance(one, dict | list) for one in value
        )
        return f"[{', '.join(map(str, value))}]" if short else f"({len(value)} values)"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cut(line: str) -> str:
    """Cut a line that is too long."""
    return line if len(line) <= columns() else f"{line[: columns() - 4]} ..."


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
