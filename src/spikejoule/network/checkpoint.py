"""The checkpoint: one file with the weights and all an energy analysis needs.

The schema, `surrogate_complete_v1`, is that of the original notebook: accuracies in
percent, spikes as totals and as means per sample or inference. This project's additions
have keys of their own (`*_per_layer`, `spikejoule`), so every old key keeps its
meaning. With several hidden layers, `n_hidden` is the list of their sizes,
`total_hidden` and `hidden_per_*` are sums over them, `n_syn_input_hidden` and
`fanout_input_to_hidden` are those of the first, and `n_syn_hidden_output` that of the
last.

The train stage writes it without clock times and measurements, so training twice gives
the same bytes; the stage `evaluate` writes it with both (:mod:`network.trained`).
It is read whichever program wrote it; sections may be missing
(:mod:`network.sections`).

An integer network also states its widths, grids and integers. Its weights are stored
under their usual names as well, as the float32 numbers that the integers represent.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.integers import (
    floats_of,
    integers_of,
    layer_constants,
    quantisation_of,
)
from spikejoule.network.layers import layers_of
from spikejoule.network.network import Network, State
from spikejoule.network.neuron import NOTEBOOK_NEURON, Neuron
from spikejoule.network.neurons import NEURONS
from spikejoule.network.quantisation import Quantisation
from spikejoule.network.sections import (
    CheckpointFile,
    EpochRecord,
    QuantisationEntry,
    TrainingConfigSection,
)

SCHEMA_VERSION: Final = "surrogate_complete_v1"

SCHEMA_NAMES: Final = {"learning_rate": "lr", "grad_clip_max_norm": "grad_clip_norm"}
"""By name in the schema: the name in params.yaml. Checkpoints contain both names."""

# What a file lacks that does not record its training, by section.
_OF_TRAINING: Final = {
    "": ("training_config", "optimizer_state_dict", "spikejoule"),
    "spikejoule": ("history", "best_epoch", "seed", "data", "engine"),
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network with its weights, and the entries of its file.

    Attributes:
        network: its layers and neuron constants.
        state: the weights, float32, by the names of `Network.parameter_shapes`.
        encoder: the encoding of images into spikes.
        content: the entries in the order of the file: plain values, arrays, tensors.
        file: the same by name; missing entries are None or empty.
    """

    network: Network
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder
    content: dict[str, Any]
    file: CheckpointFile

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a checkpoint of this project or of the original notebook.

        Weights, architecture and encoding must be present and fit each other; other
        sections may be missing. ArtifactError, in one sentence, if the file is missing
        or damaged, contains code, has another schema, or if its parts do not fit.
        """
        # Imported here, because pricing a graph needs no PyTorch.
        from spikejoule.core import torch_files

        content = torch_files.read(path)
        file = _checked(path, content)
        with _about_the_network(path):
            network = _network(file)
            state = _state(file, network)
            network = network.learned_from(state)
            if file.quantisation is not None:
                network = _quantised(network, file.quantisation, state)
        encoder = encoder_of_entry(path, file.encoding)
        return cls(network, state, encoder, content, file)

    @classmethod
    def read_trained(cls, path: str | os.PathLike[str]) -> Self:
        """Read a checkpoint that records its training, as those of this project do.

        ArtifactError as for `read`, and if a record is missing.
        """
        checkpoint = cls.read(path)
        for name, needed in _OF_TRAINING.items():
            section = checkpoint.content[name] if name else checkpoint.content
            for entry in needed:
                if entry not in section:
                    raise _untrained(path, f"'{entry}'")
        project = checkpoint.file.spikejoule
        if project.best_epoch not in range(1, len(project.history) + 1):
            raise _untrained(path, f"epoch {project.best_epoch} of its history")
        return checkpoint

    @classmethod
    def of(cls, network: Network, encoder: Encoder, content: dict[str, Any]) -> Self:
        """Return a checkpoint of this project, with all its entries.

        ArtifactError if an entry breaks the schema, or the weights misfit.
        """
        name = "the checkpoint"
        file = _checked(name, content)
        with _about_the_network(name):
            state = _state(file, network)
        return cls(network, state, encoder, content, file)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically; equal content gives equal bytes.

        `torch.load(..., weights_only=True)` opens it.
        """
        from spikejoule.core import torch_files

        torch_files.write(path, self.content)

    @property
    def trained_with(self) -> TrainingConfigSection:
        """The training parameters that operation counts depend on."""
        return self.file.training_config

    @property
    def pruned(self) -> bool:
        """Whether training removed synapses."""
        return bool(self.trained_with.pruned_fraction)

    # These are recorded in a file that `read_trained` accepts.

    @property
    def seed(self) -> int:
        """The experiment's seed, from which all random draws follow."""
        seed = self.file.spikejoule.seed
        assert seed is not None
        return seed

    @property
    def data(self) -> dict[str, Any]:
        """The content of metrics/data.json: source, note, counts, checksums."""
        return self.file.spikejoule.data

    @property
    def history(self) -> list[EpochRecord]:
        """The epochs of its training."""
        return self.file.spikejoule.history

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1 on) of the weights."""
        best_epoch = self.file.spikejoule.best_epoch
        assert best_epoch is not None
        return best_epoch

    @property
    def best_validation_accuracy_percent(self) -> float:
        """Validation accuracy of the weights."""
        return self.history[self.best_epoch - 1].validation_accuracy_percent

    @property
    def engine(self) -> str:
        """Name of the engine that trained."""
        return self.file.spikejoule.engine

    @property
    def training_config(self) -> dict[str, Any]:
        """The parameters of the train stage, plain values."""
        return {
            name: value
            for name, value in self.content["training_config"].items()
            if name not in SCHEMA_NAMES
        }

    @property
    def encoding(self) -> dict[str, Any]:
        """The entry of the encoding, with the seed of its random draws."""
        return {**self.encoder.entry(), "seed": self.seed}


def quantisation_section(network: Network, state: State) -> dict[str, Any]:
    """The file entry of an integer network, under its key; empty for another network.

    Raises ValueError if the weights are not on the grids.
    """
    if network.quantisation is None:
        return {}
    quantisation = quantisation_of(network)
    layers = layer_constants(network)
    integers = integers_of(network, state)
    for name, values in floats_of(network, integers).items():
        if not np.array_equal(values, state[name]):
            raise ValueError(f"the weights of {name} are not on their grid")
    entry = {
        "weight_bits": quantisation.weight_bits,
        "state_bits": quantisation.state_bits,
        "exponents": list(quantisation.exponents),
        "thresholds": [layer.threshold for layer in layers if layer.fires],
        "leak_factors": [layer.leak for layer in layers],
        "integers": integers,
    }
    return {"quantisation": entry}


def _untrained(path: str | os.PathLike[str], lacking: str) -> ArtifactError:
    return ArtifactError(
        f"{path} does not record its training (it lacks {lacking}): train again."
    )


def _checked(
    path: str | os.PathLike[str], content: Mapping[str, Any]
) -> CheckpointFile:
    """The sections of a file; ArtifactError if one breaks the schema."""
    if content.get("schema_version") != SCHEMA_VERSION:
        stated = content.get("schema_version", "no schema")
        raise ArtifactError(
            f"{path} must be a complete checkpoint of the schema "
            f"{SCHEMA_VERSION!r}, but is one of {stated!r}."
        )
    return CheckpointFile.from_content(path, content)


@contextmanager
def _about_the_network(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors about the network of a file into an ArtifactError."""
    try:
        yield
    # RuntimeError: NumPy has no form of some tensor types.
    except (ParameterError, ValueError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} does not describe a valid network: {error}: write it again."
        ) from error


def _network(file: CheckpointFile) -> Network:
    """The network of a file, with the initial constants of its neurons."""
    sizes = file.architecture
    neuron = _neuron(sizes.model_extra or {})
    if sizes.layers is not None:
        in_shape = tuple(sizes.input_shape)
        layers = layers_of(sizes.layers)
        network = Network.of_chain(in_shape, layers, sizes.n_output, neuron)
    else:
        n_hidden = sizes.n_hidden
        hidden = tuple(n_hidden) if isinstance(n_hidden, list) else (n_hidden,)
        network = Network.of_layers(sizes.n_input, hidden, sizes.n_output, neuron)
    return network.with_readout(sizes.readout)


def _neuron(entry: Mapping[str, Any]) -> Neuron:
    """The neuron of a `Neuron.entry`; ValueError or ParameterError if there is none."""
    model = NEURONS[entry.get("neuron", NOTEBOOK_NEURON)]
    stated = {**model.notebook_values, **entry}
    try:
        return model.model_validate(
            {key: stated.get(key) for key in model.model_fields}
        )
    except ValidationError as error:
        raise ValueError(f"neurons: {first_problem(error)}") from error


def _state(file: CheckpointFile, network: Network) -> dict[str, NDArray[np.float32]]:
    """The weights of a file; ValueError if they are not those of the network."""
    stored = file.model_state_dict
    shapes = network.parameter_shapes()
    for name in sorted(set(stored) ^ set(shapes)):
        raise ValueError(f"{name} is {'missing' if name in shapes else 'unknown'}")
    state: dict[str, NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        if np.asarray(stored[name]).dtype.kind != "f":
            raise ValueError(f"{name} holds no floating-point numbers")
        # A large float64 overflows to infinity, which is refused below.
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(stored[name], dtype=np.float32)
        if values.shape != shape:
            raise ValueError(f"{name} has the shape {values.shape}, not {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite in float32")
        state[name] = values
    return state


def _quantised(network: Network, entry: QuantisationEntry, state: State) -> Network:
    """The network with a file's grids; ValueError if its weights are not on them."""
    quantisation = Quantisation(
        entry.weight_bits, entry.state_bits, tuple(entry.exponents)
    )
    quantised = replace(network, quantisation=quantisation)
    quantisation_section(quantised, state)
    return quantised
