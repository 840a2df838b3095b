"""Assembling the complete checkpoint: every key of the schema, and what this project adds.

The schema, `surrogate_complete_v1`, is that of the notebook this project grew out of: accuracies in
percent, spikes as totals and as means per sample or per inference. What the project adds stands
under keys of its own (`*_per_layer`, `spikejoule`), so that a reader of the old schema finds every
key with its old meaning. With several hidden layers `n_hidden` is the list of their sizes,
`total_hidden` and `hidden_per_*` are sums over them, `n_syn_input_hidden` and
`fanout_input_to_hidden` concern the first of them, and `n_syn_hidden_output` the last.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from spikejoule import __version__
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.model.architecture import Architecture
from spikejoule.model.integers import floats_suffice
from spikejoule.model.quantised_file import quantisation_section
from spikejoule.model.trained import TrainedNetwork

SCHEMA_VERSION = "surrogate_complete_v1"
SEED_CLASS = "SimpleSpikingNetwork"
"""The class of the seed notebook, which runs every network that :func:`_seed_runs` names."""

OWN_CLASS = "spikejoule.SpikingNetwork"
"""What the seed's class cannot express: `spikejoule.model.network.SpikingNetwork`."""

_CLOCK_KEYS = ("training_time_seconds", "epoch_times_seconds")


def build_complete(
    network: TrainedNetwork,
    inference: SpikeCounts,
    measurement_time_seconds: float,
    training_timings: Mapping[str, Any],
    test: Mapping[str, Any],
    energy_proxies: Mapping[str, Any],
    library_versions: Mapping[str, str],
) -> dict[str, Any]:
    """Assemble the complete checkpoint, every key of the schema and the project's additions.

    `inference` counts the spikes of the first test images, and `measurement_time_seconds` says how
    long that took; `training_timings` is the content of results/timings/train.json, `test` that of
    metrics/evaluate.json, `energy_proxies` comes from `EnergyProxies.as_checkpoint_entry`, and
    `library_versions` from `provenance.library_versions`.
    The result holds nothing but plain values, NumPy arrays and tensors.
    """
    architecture = network.architecture
    last = network.history[-1]
    totals = tuple(inference.totals.values())
    return {
        "schema_version": SCHEMA_VERSION,
        "timestamp": _timestamp(training_timings),
        "model_class": SEED_CLASS if _seed_runs(network) else OWN_CLASS,
        "model_state_dict": network.state,
        **quantisation_section(architecture, network.state),
        "architecture": _architecture_entry(architecture),
        "n_input": architecture.n_input,
        "n_hidden": _hidden_entry(architecture),
        "n_output": architecture.n_output,
        "encoding": {
            **network.encoding,
            network.encoder.formula_name: network.encoder.formula,
        },
        "training_config": _training_config_entry(network.training_config),
        "training_results": {
            "epochs_trained": len(network.history),
            "total_samples": network.training_spikes.samples,
            "training_time_seconds": training_timings["training_time_seconds"],
            "best_val_accuracy": network.best_validation_accuracy_percent,
            "final_train_accuracy": last["train_accuracy_percent"],
        },
        "training_history": {
            "losses": [record["train_loss"] for record in network.history],
            "train_acc": [record["train_accuracy_percent"] for record in network.history],
            "val_acc": [record["validation_accuracy_percent"] for record in network.history],
            "epoch_times": list(training_timings["epoch_times_seconds"]),
        },
        "test_accuracy": test["test_accuracy_percent"],
        "training_spikes": {
            **_spikes_entry(
                network.training_spikes.totals, network.training_spikes.samples, "sample"
            ),
            **_per_layer_entry(
                network.training_spikes.layer_names,
                network.training_spikes.totals,
                network.training_spikes.samples,
                "sample",
            ),
            "total_samples": network.training_spikes.samples,
        },
        "inference_spikes": {
            "n_samples": inference.n_samples,
            **_spikes_entry(totals, inference.n_samples, "inference"),
            **_per_layer_entry(inference.layer_names, totals, inference.n_samples, "inference"),
            "measurement_time_seconds": measurement_time_seconds,
        },
        "connectivity": _connectivity_entry(architecture),
        "energy_proxies": dict(energy_proxies),
        "optimizer_state_dict": network.optimizer_state,
        "spikejoule": {
            "version": __version__,
            "library_versions": dict(library_versions),
            "engine": network.engine,
            "data": network.data,
            "best_epoch": network.best_epoch,
            "seed": network.seed,
            "history": list(network.history),
            "test": dict(test),
            "training_environment": {
                key: value for key, value in training_timings.items() if key not in _CLOCK_KEYS
            },
        },
    }


def _seed_runs(network: TrainedNetwork) -> bool:
    """Whether the seed's class computes the same spikes from the same weights.

    It has one hidden layer of LIF neurons with a bias, which are reset to zero, and one threshold
    and one decay for both layers. What integers stand for it can run if nothing else is rounded: a
    quantised leak and a threshold that is none of the grid are, and a potential that saturates.
    """
    architecture = network.architecture
    n_steps = network.encoder.time_window
    if architecture.quantisation and not floats_suffice(architecture, network.state, n_steps):
        return False
    entry = architecture.neuron.entry()
    return (
        len(architecture.hidden) == 1
        and entry.keys() == {"threshold", "decay"}
        and not architecture.neuron.by_layer
    )


def _architecture_entry(architecture: Architecture) -> dict[str, Any]:
    return {
        "n_input": architecture.n_input,
        "n_hidden": _hidden_entry(architecture),
        "n_output": architecture.n_output,
        **_connectivity_entry(architecture),
        **architecture.neuron.entry(),
        "layer_names": list(architecture.layer_names),
        "layer_sizes": list(architecture.layer_sizes),
    }


def _hidden_entry(architecture: Architecture) -> int | list[int]:
    return architecture.hidden[0] if len(architecture.hidden) == 1 else list(architecture.hidden)


def _connectivity_entry(architecture: Architecture) -> dict[str, Any]:
    connections = architecture.connection_names
    return {
        "n_syn_input_hidden": architecture.synapses[0],
        "n_syn_hidden_output": architecture.synapses[-1],
        "n_synapses_total": sum(architecture.synapses),
        "fanout_input_to_hidden": architecture.fan_outs[0],
        "fanout_hidden_to_output": architecture.fan_outs[-1],
        "synapses_per_layer": dict(zip(connections, architecture.synapses, strict=True)),
        "fanout_per_layer": dict(zip(connections, architecture.fan_outs, strict=True)),
    }


def _training_config_entry(config: Mapping[str, Any]) -> dict[str, Any]:
    """The train stage's parameters, and once more under the schema's names where those differ."""
    renamed = {
        "learning_rate": config.get("lr"),
        "optimizer": "Adam",
        "grad_clip_max_norm": config.get("grad_clip_norm"),
    }
    return {**renamed, **config}


def _spikes_entry(totals: Sequence[int], n_samples: int, unit: str) -> dict[str, float | int]:
    """Totals and means of input, hidden (all hidden layers together) and output."""
    summed = {"input": totals[0], "hidden": sum(totals[1:-1]), "output": totals[-1]}
    return {
        **{f"total_{name}": total for name, total in summed.items()},
        **{f"{name}_per_{unit}": total / n_samples for name, total in summed.items()},
    }


def _per_layer_entry(
    names: Sequence[str], totals: Sequence[int], n_samples: int, unit: str
) -> dict[str, dict[str, float | int]]:
    return {
        "total_per_layer": dict(zip(names, totals, strict=True)),
        f"per_{unit}_per_layer": {
            name: total / n_samples for name, total in zip(names, totals, strict=True)
        },
    }


def _timestamp(training_timings: Mapping[str, Any]) -> str:
    """When training ended, in the schema's form: year-month-day hour:minute:second.

    The timings state when it began. (Not the time of writing: the same inputs are to give the same
    checkpoint.)
    """
    text = str(training_timings["timestamp"])
    try:
        began = datetime.fromisoformat(text)
    except ValueError:
        return text
    ended = began + timedelta(seconds=training_timings["training_time_seconds"])
    return ended.strftime("%Y-%m-%d %H:%M:%S")
