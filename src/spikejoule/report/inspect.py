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


def checkpoint_text(name: str, checkpoint: CompleteCheckpoint) -> str:
    """Everything that a complete checkpoint holds, as sections of aligned lines.

    What the file's writer left out is shown as "not recorded"; of tensors, the shapes are shown.
    """
    sections = [
        ("Metadata", _metadata(checkpoint)),
        ("Architecture", _architecture(checkpoint)),
        ("Encoding", mapping_rows(checkpoint.section("encoding"))),
        ("Data", mapping_rows(checkpoint.section("spikejoule").get("data", {}))),
        ("Training configuration", mapping_rows(checkpoint.section("training_config"))),
        ("Training results", _training_results(checkpoint)),
        ("Test accuracy", _test(checkpoint)),
        ("Training spikes", _spikes(checkpoint, "training_spikes", "sample")),
        ("Inference spikes", _spikes(checkpoint, "inference_spikes", "inference")),
        ("Connectivity", _connectivity(checkpoint)),
        ("Energy proxies", _energy(checkpoint)),
        ("Training environment", _environment(checkpoint)),
        ("Weights", _weights(checkpoint)),
    ]
    history = _history_table(checkpoint)
    text = render(f"Checkpoint {name}", sections)
    return f"{text}\nTraining history\n{history}" if history else text


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


_CONNECTIVITY: Final = (
    ("synapses input to hidden", "n_syn_input_hidden"),
    ("synapses hidden to output", "n_syn_hidden_output"),
    ("synapses in all", "n_synapses_total"),
    ("fan-out input to hidden", "fanout_input_to_hidden"),
    ("fan-out hidden to output", "fanout_hidden_to_output"),
)
# Name, key and decimals.
_CURVES: Final = (
    ("loss", "losses", 4),
    ("training %", "train_acc", 2),
    ("validation %", "val_acc", 2),
    ("time s", "epoch_times", 2),
)


def _metadata(checkpoint: CompleteCheckpoint) -> Rows:
    content, ours = checkpoint.content, checkpoint.section("spikejoule")
    return [
        ("schema", str(content["schema_version"])),
        ("timestamp", str(content.get("timestamp", NOT_RECORDED))),
        ("model class", str(content.get("model_class", NOT_RECORDED))),
        ("written by", f"spikejoule {ours['version']}" if "version" in ours else NOT_RECORDED),
        ("seed", number(ours.get("seed")).replace(",", "")),
    ]


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


def _training_results(checkpoint: CompleteCheckpoint) -> Rows:
    results, ours = checkpoint.section("training_results"), checkpoint.section("spikejoule")
    return [
        ("epochs", number(results.get("epochs_trained"))),
        ("best epoch", number(ours.get("best_epoch"))),
        ("samples", number(results.get("total_samples"))),
        ("time", number(results.get("training_time_seconds"), 1, " s")),
        ("best validation accuracy", number(results.get("best_val_accuracy"), 2, " %")),
        ("final training accuracy", number(results.get("final_train_accuracy"), 2, " %")),
        ("engine", str(ours.get("engine", NOT_RECORDED))),
    ]


def _test(checkpoint: CompleteCheckpoint) -> Rows:
    rows = [("accuracy", number(checkpoint.content.get("test_accuracy"), 2, " %"))]
    ours = checkpoint.section("spikejoule")
    test = dict(_section(ours, "test"))
    test.pop("test_accuracy_percent", None)
    low, high = (test.pop(f"test_accuracy_{end}_percent", None) for end in ("low", "high"))
    if low is not None and high is not None:
        rows.append(("interval", f"{number(low, 2)} to {number(high, 2, ' %')}"))
    per_class = _section(test, "per_class")
    if test.pop("per_class", None) is not None and per_class:
        subject = subject_of_data(_section(ours, "data"))
        cells = (
            f"{subject.class_names[int(label)]}: {number(percent, 1)}"
            for label, percent in per_class.items()
        )
        rows.append((f"each {subject.noun}, %", ", ".join(cells)))
    return rows + mapping_rows(test)


def _energy(checkpoint: CompleteCheckpoint) -> Rows:
    recorded = dict(checkpoint.section("energy_proxies"))
    per_layer = _section(recorded, "per_layer")
    recorded.pop("per_layer", None)
    rows = mapping_rows(recorded)
    for name in per_layer:
        layer = _section(per_layer, name)
        events = number(layer.get("synaptic_events_per_inference"), 1)
        dense = number(layer.get("dense_operations_per_inference"))
        words = f"{events} synaptic events of {dense} dense operations"
        rows.append((name.replace("_", " "), words))
    return rows


def _spikes(checkpoint: CompleteCheckpoint, section: str, unit: str) -> Rows:
    recorded = checkpoint.section(section)
    if not recorded:
        return []
    totals, means = (
        {layer: recorded.get(key.format(layer)) for layer in ("input", "hidden", "output")}
        for key in ("total_{}", f"{{}}_per_{unit}")
    )
    of_each = _section(recorded, "total_per_layer")
    if len(of_each) > 3:
        totals |= of_each
        means |= _section(recorded, f"per_{unit}_per_layer")
    rows = [("samples", number(recorded.get("total_samples", recorded.get("n_samples"))))]
    for layer, total in totals.items():
        rows.append((layer, f"{number(total, 0)} ({number(means.get(layer), 2)} per {unit})"))
    if "measurement_time_seconds" in recorded:
        rows.append(("measurement time", number(recorded["measurement_time_seconds"], 2, " s")))
    return rows


def _connectivity(checkpoint: CompleteCheckpoint) -> Rows:
    recorded = checkpoint.section("connectivity")
    rows = [(label, number(recorded.get(key))) for label, key in _CONNECTIVITY if recorded]
    of_each = ("synapses_per_layer", "fanout_per_layer")
    deep = {key: recorded[key] for key in of_each if len(_section(recorded, key)) > 2}
    return [*rows, *mapping_rows(deep)]


def _environment(checkpoint: CompleteCheckpoint) -> Rows:
    ours = checkpoint.section("spikejoule")
    return mapping_rows(ours.get("training_environment")) + [
        (f"version of {name}", str(found))
        for name, found in _section(ours, "library_versions").items()
    ]


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
