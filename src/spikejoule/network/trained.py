"""The train stage's result: the best weights, how they came about, and what is added to
them later.

`save_trained` writes a complete checkpoint that lacks what a clock says and what is
measured after training, so that training twice gives the same file twice;
`build_complete` adds these.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule import __version__
from spikejoule.core.errors import ArtifactError
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.checkpoint import (
    SCHEMA_VERSION,
    complete_checkpoint,
    quantisation_section,
    read_complete,
    write_complete,
)
from spikejoule.network.network import Network

SEED_CLASS: Final = "SimpleSpikingNetwork"
"""The class of the seed notebook, which runs every network that :func:`_seed_runs`
names.
"""

OWN_CLASS: Final = "spikejoule.SpikingNetwork"
"""What the seed's class cannot express:
`spikejoule.network.torch_twin.SpikingNetwork`.
"""

_CLOCK_KEYS: Final = (
    "training_time_seconds",
    "epoch_times_seconds",
    "processor_seconds",
)
_SCHEMAS_NAMES: Final = {"learning_rate": "lr", "grad_clip_max_norm": "grad_clip_norm"}
"""Parameters of training that the schema knows by another name; they stand under
both.
"""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and its provenance.

    Attributes:
        network: layer sizes and neurons.
        state: the best weights, float32, under the names of `Network.parameter_shapes`.
        encoder: the encoding by which images became spikes.
        seed: the experiment's, of every draw.
        training_config: the parameters of the train stage, plain values.
        history: one mapping per epoch, with the fields of
            `network.checkpoint.EpochRecord`.
        best_epoch: the epoch (from 1) whose weights these are.
        data: the content of metrics/data.json: source, note, counts, checksums.
        engine: the engine that trained.
        optimizer_state: a state dict in the format of `torch.optim.Adam`.
    """

    network: Network
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder
    seed: int
    training_config: dict[str, Any]
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    data: dict[str, Any]
    engine: str
    optimizer_state: dict[str, Any]

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return bool(self.training_config.get("pruned_fraction"))

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Accuracy of the best weights on the validation set."""
        return float(self.history[self.best_epoch - 1]["validation_accuracy_percent"])

    @property
    def encoding(self) -> dict[str, Any]:
        """What files say of how images became spikes."""
        return {**self.encoder.entry(), "seed": self.seed}


def save_trained(path: str | os.PathLike[str], trained: TrainedNetwork) -> None:
    """Write `trained` to `path` atomically, with the same bytes for the same content.

    Raises ArtifactError if a weight is missing, of another shape, or not finite, or if
    another entry breaks the schema, and ValueError for integers that are not on their
    grids.
    """
    content = trained_content(trained)
    complete_checkpoint(path, content)
    write_complete(path, content)


def load_trained(path: str | os.PathLike[str]) -> TrainedNetwork:
    """Read what `save_trained` or the end of the pipeline has written.

    A missing, truncated or corrupt file, and one that does not say how its network was
    trained, raise ArtifactError. No pickle is executed.
    """
    checkpoint = read_complete(path)
    content = checkpoint.content
    try:
        ours = content["spikejoule"]
        history = tuple(ours["history"])
        best_epoch = ours["best_epoch"]
        if not 1 <= best_epoch <= len(history):
            raise LookupError(f"epoch {best_epoch} of its history")
        return TrainedNetwork(
            network=checkpoint.network,
            state=checkpoint.state,
            encoder=checkpoint.encoder,
            seed=ours["seed"],
            training_config={
                name: value
                for name, value in content["training_config"].items()
                if name not in _SCHEMAS_NAMES
            },
            history=history,
            best_epoch=best_epoch,
            data=ours["data"],
            engine=ours["engine"],
            optimizer_state=content["optimizer_state_dict"],
        )
    except LookupError as error:
        raise ArtifactError(
            f"{path} does not record its training (it lacks {error}): train again."
        ) from error


def trained_content(trained: TrainedNetwork) -> dict[str, Any]:
    """What is known of a network when it is trained, under the keys of the schema.

    Raises ValueError if the weights of a network of integers do not lie on their grids.
    """
    network = trained.network
    history = trained.history
    spikes = np.sum([record["spikes"] for record in history], axis=0).tolist()
    n_samples = sum(record["samples"] for record in history)
    names = {
        name: trained.training_config.get(ours) for name, ours in _SCHEMAS_NAMES.items()
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "model_class": SEED_CLASS if _seed_runs(network) else OWN_CLASS,
        "model_state_dict": trained.state,
        **quantisation_section(network, trained.state),
        "architecture": {
            **_sizes_entry(network),
            **_connectivity_entry(network),
            **network.neuron.entry(),
            **_layers_entry(network),
            "layer_names": list(network.layer_names),
            "layer_sizes": list(network.layer_sizes),
        },
        **_sizes_entry(network),
        "encoding": {
            **trained.encoding,
            trained.encoder.formula_name: trained.encoder.formula,
        },
        "training_config": {**names, **trained.training_config},
        "training_results": {
            "epochs_trained": len(history),
            "total_samples": n_samples,
            "best_val_accuracy": trained.best_validation_accuracy_percent,
            "final_train_accuracy": history[-1]["train_accuracy_percent"],
        },
        "training_history": {
            name: [record[ours] for record in history]
            for name, ours in (
                ("losses", "train_loss"),
                ("train_acc", "train_accuracy_percent"),
                ("val_acc", "validation_accuracy_percent"),
            )
        },
        "training_spikes": {
            **_spikes_entry(network.layer_names, spikes, n_samples, "sample"),
            "total_samples": n_samples,
        },
        "connectivity": _connectivity_entry(network),
        "optimizer_state_dict": trained.optimizer_state,
        "spikejoule": {
            "engine": trained.engine,
            "data": trained.data,
            "best_epoch": trained.best_epoch,
            "seed": trained.seed,
            "history": list(history),
        },
    }


def build_complete(
    trained: TrainedNetwork,
    inference: SpikeCounts,
    measurement_time_seconds: float,
    training_timings: Mapping[str, Any],
    test: Mapping[str, Any],
    energy_proxies: Mapping[str, Any],
    library_versions: Mapping[str, str],
) -> dict[str, Any]:
    """Assemble the complete checkpoint, every key of the schema and the project's
    additions.

    Args:
        trained: the network, as the train stage leaves it.
        inference: spikes of the first test images.
        measurement_time_seconds: how long the network ran over all of them.
        training_timings: the content of results/timings/train.json.
        test: that of metrics/evaluate.json.
        energy_proxies: from `EnergyProxies.as_checkpoint_entry`.
        library_versions: from `provenance.library_versions`.

    The result holds nothing but plain values, NumPy arrays and tensors.
    """
    content = trained_content(trained)
    n_samples = inference.n_samples
    content["training_results"]["training_time_seconds"] = training_timings[
        "training_time_seconds"
    ]
    content["training_history"]["epoch_times"] = list(
        training_timings["epoch_times_seconds"]
    )
    return {
        **content,
        "timestamp": _timestamp(training_timings),
        "test_accuracy": test["test_accuracy_percent"],
        "inference_spikes": {
            "n_samples": n_samples,
            **_spikes_entry(
                inference.layer_names,
                tuple(inference.totals.values()),
                n_samples,
                "inference",
            ),
            "measurement_time_seconds": measurement_time_seconds,
        },
        "energy_proxies": dict(energy_proxies),
        "spikejoule": {
            **content["spikejoule"],
            "version": __version__,
            "library_versions": dict(library_versions),
            "test": dict(test),
            "training_environment": {
                key: value
                for key, value in training_timings.items()
                if key not in _CLOCK_KEYS
            },
        },
    }


def _seed_runs(network: Network) -> bool:
    """Whether the seed's class computes the same spikes from the same weights.

    It has one hidden layer of LIF neurons with a bias, which are reset to zero, and one
    threshold and one decay for both layers. It knows no integers.
    """
    return (
        network.quantisation is None
        and network.is_plain
        and len(network.connections) == 2
        and network.neuron.entry().keys() == {"threshold", "decay"}
        and not network.neuron.by_layer
    )


def _sizes_entry(network: Network) -> dict[str, Any]:
    first, *hidden, last = network.layer_sizes
    return {
        "n_input": first,
        "n_hidden": hidden[0] if len(hidden) == 1 else hidden,
        "n_output": last,
    }


def _layers_entry(network: Network) -> dict[str, Any]:
    """What sizes do not say of layers other than fully connected ones."""
    if network.is_plain:
        return {}
    shape = network.input.out_shape
    return {"input_shape": list(shape), "layers": list(network.words)}


def _connectivity_entry(network: Network) -> dict[str, Any]:
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


def _spikes_entry(
    names: Sequence[str], totals: Sequence[int], n_samples: int, unit: str
) -> dict[str, Any]:
    """Totals and means of input, hidden (all hidden layers together) and output; by
    layer, too.
    """
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

    The timings state when it began. (Not the time of writing: the same inputs are to
    give the same checkpoint.)
    """
    began = datetime.fromisoformat(training_timings["timestamp"])
    ended = began + timedelta(seconds=training_timings["training_time_seconds"])
    return ended.strftime("%Y-%m-%d %H:%M:%S")
