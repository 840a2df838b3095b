"""The content of a complete checkpoint, and of a graph, as text and as plain values."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic_core import to_json

from spikejoule.core.text import Rows, mapping_rows, render
from spikejoule.model.checkpoint import CompleteCheckpoint
from spikejoule.model.network import Network


def checkpoint_text(name: str, checkpoint: CompleteCheckpoint) -> str:
    """What a complete checkpoint holds, as sections of aligned lines and a table of the epochs.

    Entries have the file's names, with spaces; of tensors, the shapes are shown.
    """
    values, network = checkpoint_values(checkpoint), checkpoint.architecture
    values |= _mapping(values, "spikejoule")
    values["architecture"] = {"layers": network.sizes.replace("-", " - "), **values["architecture"]}
    values["nodes"] = _nodes(network)
    values["weights"] = {
        key: f"{_by(array.shape)}, {array.dtype}, {array.min():.4g} to {array.max():.4g}"
        for key, array in checkpoint.state.items()
    }
    history = _mapping(values, "training_history")
    values |= dict.fromkeys(("spikejoule", "model_state_dict", "training_history"))
    plain = {key: of for key, of in values.items() if isinstance(of, str | int | float)}
    # A seed is no amount: it has no thousands.
    plain |= {key: str(of) for key, of in plain.items() if key == "seed"}
    parts = {"metadata": plain, **{key: _mapping(values, key) for key in values}}
    sections = [
        (key.replace("_", " ").capitalize(), _rows(part)) for key, part in parts.items() if part
    ]
    text = render(f"Checkpoint {name}", sections)
    epochs = pd.DataFrame({key: pd.Series(of) for key, of in history.items() if type(of) is list})
    epochs.index += 1
    return text if epochs.empty else f"{text}\nTraining history by epoch\n{epochs.to_string()}\n"


def _rows(section: Mapping[str, Any]) -> Rows:
    """Label and value; accuracies are in percent."""
    return [
        (label, f"{value} %" if label.endswith("accuracy") and value[:1].isdigit() else value)
        for label, value in mapping_rows(section)
    ]


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mapping within another; empty if the writer left it out or wrote something else."""
    section = content.get(name)
    return section if isinstance(section, dict) else {}


def checkpoint_values(checkpoint: CompleteCheckpoint) -> dict[str, Any]:
    """The checkpoint's dictionary as JSON can hold it: of every tensor, its shape and type."""
    return _plain(checkpoint.content)


def graph_text(name: str, network: Network) -> str:
    """A graph's metadata, its nodes with the shapes that they receive and give, and its edges."""
    parts = graph_values(network).items()
    return render(f"Graph {name}", [(key.capitalize(), mapping_rows(part)) for key, part in parts])


def graph_values(network: Network) -> dict[str, Any]:
    """The same as JSON can hold it: of every array, its shape and type."""
    edges = {
        target: " + ".join(
            f"{source} (a step before)" if (source, target) in network.waiting else source
            for source in sources
        )
        for target, sources in network.sources.items()
        if sources
    }
    return {"metadata": _plain(network.metadata), "nodes": _nodes(network), "receives from": edges}


def _nodes(network: Network) -> dict[str, str]:
    """Each node by its name: what it is, and the shapes that it receives and gives."""
    return {
        name: f"{getattr(node, 'kind', type(node).__name__)}, {_by(node.in_shape)} -> "
        f"{_by(node.out_shape)}"
        for name, node in network.nodes.items()
    }


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)


def _plain(content: Mapping[str, Any]) -> dict[str, Any]:
    text = to_json(content, fallback=_json_value, inf_nan_mode="strings")
    values: dict[str, Any] = json.loads(text)
    return values


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return str(value)
