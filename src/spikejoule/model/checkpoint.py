"""The complete checkpoint: one file with the weights and all that an energy analysis needs.

The schema, `surrogate_complete_v1`, is that of the notebook this project grew out of: accuracies in
percent, spikes as totals and as means per sample or per inference. What the project adds stands
under keys of its own (`*_per_layer`, `spikejoule`), so that a reader of the old schema finds every
key with its old meaning. With several hidden layers `n_hidden` is the list of their sizes,
`total_hidden` and `hidden_per_*` are sums over them, `n_syn_input_hidden` and
`fanout_input_to_hidden` concern the first of them, and `n_syn_hidden_output` the last.

It is written by `build_complete` and `write_complete`, and read by `read_complete`, whoever wrote
it: a section may be missing, and so may each of its entries, but for those of an epoch; what is
there must be of its type and in its range, and entries that are not named here are anybody's.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spikejoule import __version__
from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import NotNegative, Percent, check_interval
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import is_pruned
from spikejoule.model.quantisation import floats_suffice
from spikejoule.model.trained import (
    EpochEntry,
    QuantisationEntry,
    Section,
    Size,
    TrainedNetwork,
    TrainingConfigSection,
    quantisation_section,
    read_network,
)

# Spikes: sums of integers, which the notebook keeps as floats.
Spikes = Annotated[float, Field(ge=0, le=2**53)]
ByName = dict[str, Spikes]


class TrainingResults(Section):
    """How training ended; times in seconds."""

    epochs_trained: Size | None = None
    total_samples: Size | None = None
    training_time_seconds: NotNegative | None = None
    best_val_accuracy: Percent | None = None
    final_train_accuracy: Percent | None = None


class TrainingHistory(Section):
    """One number per epoch; the losses of a training that diverged may be no numbers."""

    train_acc: list[Percent] = Field(default_factory=list)
    val_acc: list[Percent] = Field(default_factory=list)
    epoch_times: list[NotNegative] = Field(default_factory=list)


class SpikesSection(Section):
    """Spikes of all training samples or of the measured test images, and their means by unit."""

    n_samples: Size | None = None
    total_samples: Size | None = None
    total_input: Spikes | None = None
    total_hidden: Spikes | None = None
    total_output: Spikes | None = None
    total_per_layer: ByName = Field(default_factory=dict)
    input_per_sample: NotNegative | None = None
    hidden_per_sample: NotNegative | None = None
    output_per_sample: NotNegative | None = None
    per_sample_per_layer: ByName = Field(default_factory=dict)
    input_per_inference: NotNegative | None = None
    hidden_per_inference: NotNegative | None = None
    output_per_inference: NotNegative | None = None
    per_inference_per_layer: ByName = Field(default_factory=dict)
    measurement_time_seconds: NotNegative | None = None

    def by_layer(
        self, name: str, each: Mapping[str, float], layers: Sequence[str]
    ) -> dict[str, float] | None:
        """One number for each layer: those of `each`, or, where there are none, entries by name.

        None where a layer has none.
        """
        named = {
            layer: getattr(self, name.format(layer)) for layer in ("input", "hidden", "output")
        }
        found = each or named
        if any(found.get(layer) is None for layer in layers):
            return None
        return {layer: found[layer] for layer in layers}


class LayerProxyEntry(Section):
    """The counts of one weight matrix per inference."""

    synaptic_events_per_inference: NotNegative
    dense_operations_per_inference: NotNegative | None = None


class EnergyProxiesSection(Section):
    """Operations per inference."""

    dense_ops_per_inference: NotNegative | None = None
    event_syn_per_inference: NotNegative | None = None
    sparsity_ratio: NotNegative | None = None
    input_macs_per_inference: NotNegative | None = None
    per_layer: dict[str, LayerProxyEntry] = Field(default_factory=dict)


class EvaluationSection(Section):
    """How the test set was read."""

    test_accuracy_low_percent: Percent | None = None
    test_accuracy_high_percent: Percent | None = None
    n_samples: Size | None = None
    per_class: dict[str, Percent | None] = Field(default_factory=dict)


class ProjectSection(Section):
    """What this project adds."""

    seed: int | None = Field(default=None, ge=0, lt=2**32)
    best_epoch: Size | None = None
    history: list[EpochEntry] = Field(default_factory=list)
    test: EvaluationSection = EvaluationSection()


class CompleteFile(Section):
    """All sections; those whose entries are not named here are read one by one."""

    model_state_dict: dict[str, Any]
    architecture: dict[str, Any]
    encoding: dict[str, Any]
    quantisation: QuantisationEntry | None = None
    connectivity: dict[str, Any] = Field(default_factory=dict)
    optimizer_state_dict: dict[str, Any] = Field(default_factory=dict)
    test_accuracy: Percent | None = None
    training_config: TrainingConfigSection = TrainingConfigSection()
    training_results: TrainingResults = TrainingResults()
    training_history: TrainingHistory = TrainingHistory()
    training_spikes: SpikesSection = SpikesSection()
    inference_spikes: SpikesSection = SpikesSection()
    energy_proxies: EnergyProxiesSection = EnergyProxiesSection()
    spikejoule: ProjectSection = ProjectSection()

    @model_validator(mode="after")
    def _accuracy_lies_in_its_interval(self) -> Self:
        test = self.spikejoule.test
        check_interval(
            test.test_accuracy_low_percent, self.test_accuracy, test.test_accuracy_high_percent
        )
        return self

    @model_validator(mode="after")
    def _epochs_add_up_to_the_training_spikes(self) -> Self:
        spikes = [entry.spikes for entry in self.spikejoule.history]
        totals = list(self.training_spikes.total_per_layer.values())
        if spikes and totals:
            if {len(of_epoch) for of_epoch in spikes} != {len(totals)}:
                raise ValueError("spikejoule.history has not the layers of training_spikes")
            if [sum(layer) for layer in zip(*spikes, strict=True)] != totals:
                raise ValueError("training_spikes are not the sum of those of the epochs")
        return self

    @model_validator(mode="after")
    def _means_are_those_of_the_totals(self) -> Self:
        for spikes, samples, unit in (
            (self.training_spikes, self.training_spikes.total_samples, "sample"),
            (self.inference_spikes, self.inference_spikes.n_samples, "inference"),
        ):
            by_layer = getattr(spikes, f"per_{unit}_per_layer")
            pairs = [
                (layer, getattr(spikes, f"total_{layer}"), getattr(spikes, f"{layer}_per_{unit}"))
                for layer in ("input", "hidden", "output")
            ]
            pairs += [
                (layer, total, by_layer.get(layer))
                for layer, total in spikes.total_per_layer.items()
            ]
            for layer, total, mean in pairs:
                if None not in (total, mean, samples) and not math.isclose(
                    total / samples, mean, rel_tol=1e-6
                ):
                    raise ValueError(
                        f"{layer}_per_{unit} is {mean}, but {total} spikes of {samples} samples "
                        f"are {total / samples}"
                    )
        return self


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
                network.training_spikes.layer_names,
                network.training_spikes.totals,
                network.training_spikes.samples,
                "sample",
            ),
            "total_samples": network.training_spikes.samples,
        },
        "inference_spikes": {
            "n_samples": inference.n_samples,
            **_spikes_entry(inference.layer_names, totals, inference.n_samples, "inference"),
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


def _spikes_entry(
    names: Sequence[str], totals: Sequence[int], n_samples: int, unit: str
) -> dict[str, Any]:
    """Totals and means of input, hidden (all hidden layers together) and output; by layer, too."""
    summed = {"input": totals[0], "hidden": sum(totals[1:-1]), "output": totals[-1]}
    return {
        **{f"total_{name}": total for name, total in summed.items()},
        **{f"{name}_per_{unit}": total / n_samples for name, total in summed.items()},
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


@dataclass(frozen=True, eq=False)
class CompleteCheckpoint:
    """A complete checkpoint that has passed every check of `read_complete`.

    Attributes:
        content: the file's dictionary, sections that a writer left out absent.
        file: the same by name, what is missing None or empty.
        architecture: the network's shape and neuron constants.
        state: the weights, float32, by their names in the file.
        encoder: the code by which images became spikes.
    """

    content: dict[str, Any]
    file: CompleteFile
    architecture: Architecture
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder

    def section(self, name: str) -> dict[str, Any]:
        """A section of the file, empty if its writer left it out."""
        section: dict[str, Any] = self.content.get(name, {})
        return section

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return is_pruned(self.section("training_config"))

    def spikes_per_inference(self) -> dict[str, float] | None:
        """Mean spikes of each layer per inference, by the layer's name; None if not recorded."""
        recorded = self.file.inference_spikes
        each, names = recorded.per_inference_per_layer, self.architecture.layer_names
        return recorded.by_layer("{}_per_inference", each, names)


def write_complete(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a complete checkpoint atomically; `torch.load(..., weights_only=True)` opens it."""
    torch_files.write(path, content)


def read_complete(path: str | os.PathLike[str]) -> CompleteCheckpoint:
    """Read a complete checkpoint, of this project or of the notebook that its schema is from.

    The weights, the architecture and the encoding must be there and fit each other; any other
    section may be missing. A missing, truncated or corrupt file, one that holds code, one of
    another schema, and one whose parts do not fit raise ArtifactError in one sentence.
    """
    return complete_checkpoint(path, torch_files.read(path))


def complete_checkpoint(
    path: str | os.PathLike[str], content: Mapping[str, Any]
) -> CompleteCheckpoint:
    """The checkpoint of a file's content, written already or not; errors as of `read_complete`."""
    if content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version") or content.get("schema") or "no schema"
        raise ArtifactError(
            f"{path} must be a complete checkpoint of the schema {SCHEMA_VERSION!r}, but is one of "
            f"{found!r}."
        )
    file = CompleteFile.from_content(path, content)
    stated = content["architecture"]
    names = ("n_input", "n_hidden", "n_output")
    n_input, n_hidden, n_output = (stated.get(name, content.get(name)) for name in names)
    for name in names:
        if name in stated and content.get(name, stated[name]) != stated[name]:
            raise ArtifactError(
                f"{path} states {name} twice and differently: {stated[name]} in its architecture, "
                f"{content[name]} beside it."
            )
    architecture, state = read_network(
        path, (n_input, n_hidden, n_output), stated, file.model_state_dict, file.quantisation
    )
    total = sum(architecture.synapses)
    recorded = file.connectivity.get("n_synapses_total", total)
    if recorded != total:
        raise ArtifactError(f"{path} states {recorded} synapses, but its architecture has {total}.")
    return CompleteCheckpoint(
        content=dict(content),
        file=file,
        architecture=architecture,
        state=state,
        encoder=encoder_of_entry(path, content["encoding"]),
    )
