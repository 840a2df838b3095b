"""The content of a complete checkpoint as text for people and as plain values for programs."""

import math
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from spikejoule.core.text import NOT_RECORDED, Rows, mapping_rows, number, render, text_table
from spikejoule.data.images import subject_of_data
from spikejoule.energy.words import input_macs_row
from spikejoule.evaluation.measurement import ConnectionProxy, EnergyProxies
from spikejoule.model.checkpoint import CompleteCheckpoint

# What the file's writer may have left out, in the file and in this project's part of it.
_SECTIONS: Final = (
    *("encoding", "training_config", "training_results", "training_spikes", "inference_spikes"),
    *("connectivity", "energy_proxies"),
)
_OURS: Final = ("data", "test", "training_environment", "library_versions")


def checkpoint_text(name: str, checkpoint: CompleteCheckpoint) -> str:
    """Everything that a complete checkpoint holds, as sections of aligned lines.

    Entries have the file's names, with spaces. What its writer left out is shown as "not recorded";
    of tensors, the shapes are shown.
    """
    content, ours = checkpoint.content, checkpoint.section("spikejoule")
    test = dict(_section(ours, "test"))
    names = subject_of_data(_section(ours, "data")).class_names
    per_class = _section(test, "per_class")
    if per_class:
        test["per_class"] = {names[int(label)]: found for label, found in per_class.items()}
    told: dict[str, Mapping[str, Any]] = {key: checkpoint.section(key) for key in _SECTIONS}
    told |= {key: _section(ours, key) for key in _OURS} | {"test": test}
    plain = {"test_accuracy": NOT_RECORDED} | {
        key: value
        for part in (content, ours)
        for key, value in part.items()
        if isinstance(value, str | int | float)
    }
    plain["seed"] = str(plain.get("seed", NOT_RECORDED))
    text = render(
        f"Checkpoint {name}",
        [
            ("Metadata", _rows(plain)),
            ("Architecture", _architecture(checkpoint)),
            *(
                (key.replace("_", " ").capitalize(), _rows(section))
                for key, section in told.items()
            ),
            ("Weights", _weights(checkpoint)),
        ],
    )
    history = _history_table(checkpoint)
    return f"{text}\nTraining history\n{history}" if history else text


def _rows(section: Mapping[str, Any]) -> Rows:
    """Label and value; accuracies are in percent."""
    return [
        (label, f"{value} %" if label.endswith("accuracy") and value[:1].isdigit() else value)
        for label, value in mapping_rows(section)
    ]


def checkpoint_values(checkpoint: CompleteCheckpoint) -> dict[str, Any]:
    """The checkpoint's dictionary as JSON can hold it: of every tensor, its shape and type."""
    values: dict[str, Any] = _json_value(checkpoint.content)
    return values


def proxies_text(title: str, proxies: EnergyProxies) -> str:
    """Energy proxies as a table: one line per weight matrix, the total, and the formulas."""
    rows: list[tuple[str, ...]] = [
        (
            layer.name.replace("_to_", " to "),
            f"{layer.spikes_per_inference:,.2f}",
            f"{layer.fan_out:,}",
            *_operations(layer),
        )
        for layer in proxies.connections
    ]
    rows.append(("total", "", "", *_operations(proxies)))
    header = ("connection", "spikes", "fan-out", "synaptic events", "dense operations", "ratio")
    return "\n".join(
        [
            title,
            "",
            text_table(header, rows),
            "",
            f"  All figures are per inference of {proxies.time_window} steps.",
            f"  synaptic events  = {proxies.formula_synaptic_events}",
            f"  dense operations = {proxies.formula_dense}",
            "  ratio            = synaptic events / dense operations",
            *(f"  {name:16} = {macs}" for name, macs in input_macs_row(proxies)),
            "",
        ]
    )


def _operations(counted: ConnectionProxy | EnergyProxies) -> tuple[str, str, str]:
    return (
        f"{counted.synaptic_events_per_inference:,.1f}",
        f"{counted.dense_operations_per_inference:,}",
        f"{counted.sparsity_ratio:.6f}",
    )


# Name, key and decimals.
_CURVES: Final = (
    ("loss", "losses", 4),
    ("training %", "train_acc", 2),
    ("validation %", "val_acc", 2),
    ("time s", "epoch_times", 2),
)


def _architecture(checkpoint: CompleteCheckpoint) -> Rows:
    architecture, quantisation = checkpoint.architecture, checkpoint.architecture.quantisation
    rows = [
        ("layers", " - ".join(str(size) for size in architecture.layer_sizes)),
        ("synapses", number(sum(architecture.synapses))),
        *((name, _in_words(value)) for name, value in architecture.neuron.entry().items()),
    ]
    if quantisation is not None:
        grids = ", ".join(f"2^{-exponent}" for exponent in quantisation.exponents)
        rows += [
            ("weights", f"integers of {quantisation.weight_bits} bits"),
            ("potentials", f"integers of {quantisation.state_bits} bits"),
            ("grids of the layers", f"steps of {grids}"),
        ]
    return rows


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(number(one) for one in value)
    return str(value).lower() if isinstance(value, bool | str) else number(value)


def _weights(checkpoint: CompleteCheckpoint) -> Rows:
    return [
        (
            name,
            f"{' x '.join(str(size) for size in values.shape)}, {values.dtype}, "
            f"{values.min():.4g} to {values.max():.4g}",
        )
        for name, values in checkpoint.state.items()
    ]


def _history_table(checkpoint: CompleteCheckpoint) -> str:
    history = checkpoint.section("training_history")
    curves = [one for one in _CURVES if isinstance(history.get(one[1]), list)]
    rows = [
        (str(epoch), *(number(value, one[2]) for value, one in zip(values, curves, strict=True)))
        for epoch, values in enumerate(zip_longest(*(history[key] for _, key, _ in curves)), 1)
    ]
    header = ("epoch", *(name for name, *_ in curves))
    return text_table(header, rows) + "\n" if curves else ""


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping within a section; empty if the writer left it out or wrote something else."""
    section = content.get(name)
    return section if isinstance(section, Mapping) else {}


def _json_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, np.generic):
        return _json_value(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
