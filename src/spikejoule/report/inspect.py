"""The content of a complete checkpoint as text for people and as plain values for programs."""

import json
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from pydantic_core import to_json

from spikejoule.core.text import NOT_RECORDED, Rows, mapping_rows, number, render, text_table
from spikejoule.data.images import subject_of_data
from spikejoule.model.checkpoint import CompleteCheckpoint

# What the file's writer may have left out, in the file and in this project's part of it.
_SECTIONS: Final = (
    *("encoding", "training_config", "training_results", "training_spikes", "inference_spikes"),
    *("connectivity", "energy_proxies"),
)
_OURS: Final = ("data", "test", "training_environment", "library_versions")
# Name, key and decimals.
_CURVES: Final = (
    ("loss", "losses", 4),
    ("training %", "train_acc", 2),
    ("validation %", "val_acc", 2),
    ("time s", "epoch_times", 2),
)


def checkpoint_text(name: str, checkpoint: CompleteCheckpoint) -> str:
    """Everything that a complete checkpoint holds, as sections of aligned lines.

    Entries have the file's names, with spaces. What its writer left out is shown as "not recorded";
    of tensors, the shapes are shown.
    """
    content, ours = checkpoint.content, checkpoint.section("spikejoule")
    test = dict(_section(ours, "test"))
    names = subject_of_data(_section(ours, "data")).class_names
    if per_class := _section(test, "per_class"):
        test["per_class"] = {names[int(label)]: found for label, found in per_class.items()}
    plain = {"test_accuracy": NOT_RECORDED} | {
        key: value
        for part in (content, ours)
        for key, value in part.items()
        if isinstance(value, str | int | float)
    }
    plain["seed"] = str(plain.get("seed", NOT_RECORDED))
    told: dict[str, Mapping[str, Any]] = {key: checkpoint.section(key) for key in _SECTIONS}
    told |= {key: _section(ours, key) for key in _OURS} | {"test": test}
    sections = [("Metadata", _rows(plain)), ("Architecture", _architecture(checkpoint))]
    sections += [(key.replace("_", " ").capitalize(), _rows(part)) for key, part in told.items()]
    weights = [
        (
            key,
            f"{' x '.join(str(size) for size in values.shape)}, {values.dtype}, "
            f"{values.min():.4g} to {values.max():.4g}",
        )
        for key, values in checkpoint.state.items()
    ]
    text = render(f"Checkpoint {name}", [*sections, ("Weights", weights)])
    history = checkpoint.section("training_history")
    curves = [one for one in _CURVES if isinstance(history.get(one[1]), list)]
    epochs = zip_longest(*(history[key] for _, key, _ in curves))
    rows = [
        (str(epoch), *(number(value, one[2]) for value, one in zip(values, curves, strict=True)))
        for epoch, values in enumerate(epochs, 1)
    ]
    table = text_table(("epoch", *(name for name, *_ in curves)), rows)
    return f"{text}\nTraining history\n{table}\n" if curves else text


def _rows(section: Mapping[str, Any]) -> Rows:
    """Label and value; accuracies are in percent."""
    return [
        (label, f"{value} %" if label.endswith("accuracy") and value[:1].isdigit() else value)
        for label, value in mapping_rows(section)
    ]


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping within a section; empty if the writer left it out or wrote something else."""
    section = content.get(name)
    return section if isinstance(section, Mapping) else {}


def _architecture(checkpoint: CompleteCheckpoint) -> Rows:
    architecture, quantisation = checkpoint.architecture, checkpoint.architecture.quantisation
    rows = [
        ("layers", " - ".join(str(size) for size in architecture.layer_sizes)),
        ("synapses", number(sum(architecture.synapses))),
        *mapping_rows(architecture.neuron.entry()),
    ]
    if quantisation is not None:
        grids = ", ".join(f"2^{-exponent}" for exponent in quantisation.exponents)
        rows += [
            ("weights", f"integers of {quantisation.weight_bits} bits"),
            ("potentials", f"integers of {quantisation.state_bits} bits"),
            ("grids of the layers", f"steps of {grids}"),
        ]
    return rows


def checkpoint_values(checkpoint: CompleteCheckpoint) -> dict[str, Any]:
    """The checkpoint's dictionary as JSON can hold it: of every tensor, its shape and type."""
    text = to_json(checkpoint.content, fallback=_json_value, inf_nan_mode="strings")
    values: dict[str, Any] = json.loads(text)
    return values


def _json_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return str(value)
