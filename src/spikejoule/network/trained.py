"""Writing checkpoints: after a training, and complete, with the measurements after it.

Each private function builds one section of the file, or entries of one, in the order
and under the names of the schema (:mod:`spikejoule.network.checkpoint`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule import __version__
from spikejoule.core.provenance import library_versions
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.checkpoint import (
    SCHEMA_NAMES,
    SCHEMA_VERSION,
    Checkpoint,
    quantisation_section,
)
from spikejoule.network.network import Network
from spikejoule.network.readout import readout_entry
from spikejoule.network.sections import EpochRecord

SEED_CLASS: Final = "SimpleSpikingNetwork"
"""Class in the original notebook, for the networks that `_notebook_runs` accepts."""

OWN_CLASS: Final = "spikejoule.SpikingNetwork"
"""`spikejoule.network.torch_twin.SpikingNetwork`, which runs every network."""

_CLOCK_KEYS: Final = (
    "training_time_seconds",
    "epoch_times_seconds",
    "processor_seconds",
)
"""Entries of results/timings/train.json that differ in every run."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The result of a training: the best weights and their provenance.

    Attributes:
        network: layers and neurons.
        state: the best weights, float32, by the names of `Network.parameter_shapes`.
        encoder: the encoding of images into spikes.
        seed: the experiment's seed, from which all random draws follow.
        training_config: the parameters of the train stage, plain values.
        history: the epochs.
        best_epoch: the epoch (from 1 on) of the best weights.
        data: the content of metrics/data.json: source, note, counts, checksums.
        engine: name of the engine that trained.
        optimizer_state: a state dict in the format of `torch.optim.Adam`.
    """

    network: Network
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder
    seed: int
    training_config: dict[str, Any]
    history: Sequence[EpochRecord]
    best_epoch: int
    data: dict[str, Any]
    engine: str
    optimizer_state: dict[str, Any]

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint, without clock times and measurements.

        Raises ArtifactError if an entry breaks the schema, such as a missing weight,
        and ValueError if the weights of an integer network are not on their grids.
        """
        network = self.network
        content = {
            "schema_version": SCHEMA_VERSION,
            "model_class": SEED_CLASS if _notebook_runs(network) else OWN_CLASS,
            "model_state_dict": self.state,
            **quantisation_section(network, self.state),
            "architecture": _architecture(network),
            **_sizes(network),
            "encoding": _encoding(self.encoder, self.seed),
            "training_config": _training_config(self.training_config),
            "training_results": _training_results(self.history, self.best_epoch),
            "training_history": _training_history(self.history),
            "training_spikes": _training_spikes(network, self.history),
            "connectivity": _connectivity(network),
            "optimizer_state_dict": self.optimizer_state,
            "spikejoule": {
                "engine": self.engine,
                "data": self.data,
                "best_epoch": self.best_epoch,
                "seed": self.seed,
                "history": [epoch.entry() for epoch in self.history],
            },
        }
        return Checkpoint.of(network, self.encoder, content)


@dataclass(frozen=True, eq=False)
class InferenceResults:
    """The pipeline's measurements on the test images.

    Attributes:
        spikes: spikes of the first test images.
        seconds: run time of the network over all test images.
        evaluation: the content of metrics/evaluate.json.
        energy_proxies: from `counts.proxies.checkpoint_proxies`.
    """

    spikes: SpikeCounts
    seconds: float
    evaluation: Mapping[str, Any]
    energy_proxies: Mapping[str, Any]


def completed(
    trained: Checkpoint,
    measured: InferenceResults,
    training_timings: Mapping[str, Any],
) -> Checkpoint:
    """Return the complete checkpoint: all keys of the schema, and this project's own.

    Args:
        trained: the checkpoint of the train stage.
        measured: the measurements on the test images.
        training_timings: the content of results/timings/train.json.

    Raises:
        ArtifactError: an entry breaks the schema.
    """
    content = trained.content
    environment = {
        key: value for key, value in training_timings.items() if key not in _CLOCK_KEYS
    }
    later = {
        "training_results": {
            **content["training_results"],
            "training_time_seconds": training_timings["training_time_seconds"],
        },
        "training_history": {
            **content["training_history"],
            "epoch_times": list(training_timings["epoch_times_seconds"]),
        },
        "timestamp": _end_of_training(training_timings),
        "test_accuracy": measured.evaluation["test_accuracy_percent"],
        "inference_spikes": _inference_spikes(measured),
        "energy_proxies": dict(measured.energy_proxies),
        "spikejoule": {
            **content["spikejoule"],
            "version": __version__,
            "library_versions": library_versions(),
            "test": dict(measured.evaluation),
            "training_environment": environment,
        },
    }
    return Checkpoint.of(trained.network, trained.encoder, {**content, **later})


def _notebook_runs(network: Network) -> bool:
    """Whether the original notebook's class would emit the same spikes.

    That class has one hidden layer of LIF neurons with bias and reset to zero, with one
    threshold and one decay for both layers, in floating point.
    """
    return (
        network.quantisation is None
        and network.readout.is_spiking
        and network.is_plain
        and len(network.connections) == 2
        and network.neuron.entry().keys() == {"threshold", "decay"}
        and not network.neuron.by_layer
    )


def _architecture(network: Network) -> dict[str, Any]:
    """Sizes, neurons and readout; of other than fully connected layers, their words."""
    layers: dict[str, Any] = {}
    if not network.is_plain:
        shape = list(network.input.out_shape)
        # As in `model.layers`, such as "12c5s2".
        layers = {"input_shape": shape, "layers": list(network.words)}
    return {
        **_sizes(network),
        **_connectivity(network),
        **network.neuron.entry(),
        **layers,
        **readout_entry(network.readout),
        "layer_names": list(network.layer_names),
        "layer_sizes": list(network.layer_sizes),
    }


def _sizes(network: Network) -> dict[str, Any]:
    first, *hidden, last = network.layer_sizes
    return {
        "n_input": first,
        "n_hidden": hidden[0] if len(hidden) == 1 else hidden,
        "n_output": last,
    }


def _connectivity(network: Network) -> dict[str, Any]:
    """Synapses and fan-outs: of the first and last connection, and of every one."""
    names = network.connection_names
    synapses = network.synapses
    fan_outs = [int(connection.fan_out().max()) for connection in network.connections]
    return {
        "n_syn_input_hidden": synapses[0],
        "n_syn_hidden_output": synapses[-1],
        "n_synapses_total": sum(synapses),
        "fanout_input_to_hidden": fan_outs[0],
        "fanout_hidden_to_output": fan_outs[-1],
        "synapses_per_layer": dict(zip(names, synapses, strict=True)),
        "fanout_per_layer": dict(zip(names, fan_outs, strict=True)),
    }


def _encoding(encoder: Encoder, seed: int) -> dict[str, Any]:
    return {**encoder.entry(), "seed": seed, encoder.formula_name: encoder.formula}


def _training_config(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under their own names, and some under the schema's, too."""
    renamed = {
        schema_name: parameters.get(name) for schema_name, name in SCHEMA_NAMES.items()
    }
    return {**renamed, **parameters}


def _training_results(
    history: Sequence[EpochRecord], best_epoch: int
) -> dict[str, Any]:
    best = history[best_epoch - 1]
    return {
        "epochs_trained": len(history),
        "total_samples": sum(epoch.samples for epoch in history),
        "best_val_accuracy": best.validation_accuracy_percent,
        "final_train_accuracy": history[-1].train_accuracy_percent,
    }


def _training_history(history: Sequence[EpochRecord]) -> dict[str, Any]:
    return {
        "losses": [epoch.train_loss for epoch in history],
        "train_acc": [epoch.train_accuracy_percent for epoch in history],
        "val_acc": [epoch.validation_accuracy_percent for epoch in history],
    }


def _training_spikes(
    network: Network, history: Sequence[EpochRecord]
) -> dict[str, Any]:
    totals = np.sum([epoch.spikes for epoch in history], axis=0).tolist()
    n_samples = sum(epoch.samples for epoch in history)
    return {
        **_spikes(network.layer_names, totals, n_samples, "sample"),
        "total_samples": n_samples,
    }


def _inference_spikes(measured: InferenceResults) -> dict[str, Any]:
    spikes = measured.spikes
    n_samples = spikes.n_samples
    totals = tuple(spikes.totals.values())
    return {
        "n_samples": n_samples,
        **_spikes(spikes.layer_names, totals, n_samples, "inference"),
        "measurement_time_seconds": measured.seconds,
    }


def _spikes(
    names: Sequence[str], totals: Sequence[int], n_samples: int, unit: str
) -> dict[str, Any]:
    """Total and mean spikes of input, hidden layers together, and output; and by layer.

    Args:
        names: names of all layers.
        totals: spikes of each layer over all samples.
        n_samples: number of samples.
        unit: ``sample`` or ``inference``, for the names of the means.
    """
    summed = {"input": totals[0], "hidden": sum(totals[1:-1]), "output": totals[-1]}
    by_layer = dict(zip(names, totals, strict=True))
    return {
        **{f"total_{name}": total for name, total in summed.items()},
        **{f"{name}_per_{unit}": total / n_samples for name, total in summed.items()},
        "total_per_layer": by_layer,
        f"per_{unit}_per_layer": {
            name: total / n_samples for name, total in by_layer.items()
        },
    }


def _end_of_training(training_timings: Mapping[str, Any]) -> str:
    """When training ended, in the schema's format: year-month-day hour:minute:second.

    Not the time of writing, so that the same inputs give the same checkpoint.
    """
    began = datetime.fromisoformat(training_timings["timestamp"])
    ended = began + timedelta(seconds=training_timings["training_time_seconds"])
    return ended.strftime("%Y-%m-%d %H:%M:%S")
