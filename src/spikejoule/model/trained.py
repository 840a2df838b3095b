"""The train stage's result: the best weights, how they came about, and nothing with a clock.

The file's bytes depend on its content alone, so that training twice gives the same file twice.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import first_problem
from spikejoule.encoding.counting import TrainingSpikes
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.architecture import Architecture
from spikejoule.model.neuron import UNNAMED, Neuron
from spikejoule.model.neurons import NEURONS
from spikejoule.model.pruning import is_pruned
from spikejoule.model.quantised_file import quantisation_section, quantised_architecture
from spikejoule.model.trained_file import SCHEMA, TrainedFile

_LARGEST_LEARNED = 69.0
"""Of a logit or a logarithm: e to its power is nearly 1e30, the largest threshold."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and its provenance.

    Attributes:
        architecture: layer sizes and neurons.
        state: the best weights, float32, under the names of `Architecture.parameter_shapes`.
        encoder: the code by which images became spikes.
        seed: the experiment's, of every draw.
        training_config: the parameters of the train stage, plain values.
        history: one mapping per epoch, with the fields of `training.EpochRecord`.
        training_spikes: spikes of each layer over all training samples of all epochs.
        best_epoch: the epoch (from 1) whose weights these are.
        best_validation_accuracy_percent: their accuracy on the validation set.
        data: the content of metrics/data.json: source, note, counts, checksums.
        engine: the engine that trained.
        optimizer_state: a state dict in the format of `torch.optim.Adam`.
    """

    architecture: Architecture
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder
    seed: int
    training_config: dict[str, Any]
    history: tuple[dict[str, Any], ...]
    training_spikes: TrainingSpikes
    best_epoch: int
    best_validation_accuracy_percent: float
    data: dict[str, Any]
    engine: str
    optimizer_state: dict[str, Any]

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return is_pruned(self.training_config)

    @property
    def encoding(self) -> dict[str, Any]:
        """What files say of how images became spikes."""
        return {**self.encoder.entry(), "seed": self.seed}


def save_trained(path: str | os.PathLike[str], network: TrainedNetwork) -> None:
    """Write `network` to `path` atomically, with the same bytes for the same content.

    Raises ValueError if a weight is missing, of another shape, or not finite, or if another entry
    breaks the schema.
    """
    architecture = network.architecture
    problem = _state_problem(network.state, architecture)
    if problem:
        raise ValueError(problem)
    spikes = network.training_spikes
    content = {
        "schema": SCHEMA,
        "architecture": {
            "n_input": architecture.n_input,
            "hidden": list(architecture.hidden),
            "n_output": architecture.n_output,
            **architecture.neuron.entry(),
        },
        "state": network.state,
        **quantisation_section(architecture, network.state),
        "encoding": network.encoding,
        "training_config": network.training_config,
        "history": list(network.history),
        "training_spikes": {
            "layer_names": list(spikes.layer_names),
            "totals": list(spikes.totals),
            "samples": spikes.samples,
        },
        "best_epoch": network.best_epoch,
        "best_validation_accuracy_percent": network.best_validation_accuracy_percent,
        "data": network.data,
        "engine": network.engine,
        "optimizer_state": network.optimizer_state,
    }
    TrainedFile.model_validate(content)
    torch_files.write(path, content)


def load_trained(path: str | os.PathLike[str]) -> TrainedNetwork:
    """Read a file of `save_trained`.

    A missing, truncated or corrupt file, one of another schema, and weights that do not fit the
    architecture raise ArtifactError. No pickle is executed.
    """
    content = torch_files.read(path)
    if content.get("schema") != SCHEMA:
        raise ArtifactError(
            f"{path} must be a trained network of the schema {SCHEMA!r}, but is one of "
            f"{content.get('schema') or content.get('schema_version') or 'no schema'!r}."
        )
    file = TrainedFile.from_content(path, content)
    shape, spikes = file.architecture, file.training_spikes
    architecture = build_architecture(
        path, shape.n_input, shape.hidden, shape.n_output, content["architecture"]
    )
    if tuple(spikes.layer_names) != architecture.layer_names:
        raise ArtifactError(
            f"{path} counts the spikes of the layers {spikes.layer_names}, but has "
            f"{list(architecture.layer_names)}: train again."
        )
    state = state_arrays(path, file.state, architecture)
    return TrainedNetwork(
        architecture=quantised_architecture(path, content, architecture, state),
        state=state,
        encoder=encoder_of_entry(path, file.encoding),
        seed=file.seed,
        training_config=dict(content["training_config"]),
        history=tuple(dict(record) for record in content["history"]),
        training_spikes=TrainingSpikes(
            layer_names=architecture.layer_names,
            totals=tuple(spikes.totals),
            samples=spikes.samples,
        ),
        best_epoch=file.best_epoch,
        best_validation_accuracy_percent=file.best_validation_accuracy_percent,
        data=dict(content["data"]),
        engine=file.engine,
        optimizer_state=dict(content["optimizer_state"]),
    )


def build_architecture(
    path: str | os.PathLike[str], n_input: Any, hidden: Any, n_output: Any, entry: Mapping[str, Any]
) -> Architecture:
    """The architecture that a file states; ArtifactError, naming `path`, if it cannot exist.

    `entry` holds the neuron's name and parameters; other keys of it are ignored.
    """
    sizes = [hidden] if _is_number(hidden) else hidden
    if not (
        isinstance(sizes, list | tuple)
        and all(_is_number(size) for size in (n_input, *sizes, n_output))
    ):
        raise ArtifactError(
            f"{path} states an architecture whose sizes are not whole numbers: "
            f"{n_input}-{hidden}-{n_output}."
        )
    try:
        return Architecture(n_input, tuple(sizes), n_output, neuron_of_entry(path, entry))
    except ParameterError as error:
        raise ArtifactError(f"{path} states an impossible architecture: {error}") from error


def neuron_of_entry(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> Neuron:
    """The neuron that an entry of `Neuron.entry` states; ArtifactError, naming `path`, if none."""
    name = entry.get("neuron", UNNAMED)
    if not isinstance(name, str) or name not in NEURONS:
        raise ArtifactError(
            f"{path} holds neurons of the model {name!r:.80}, but there are {', '.join(NEURONS)}."
        )
    kind = NEURONS[name]
    stated = {**kind.later, **entry}
    for parameter in kind.model_fields:
        if parameter not in stated:
            raise ArtifactError(f"{path} states no {parameter} of its neurons: write it again.")
    try:
        return kind.model_validate({key: stated[key] for key in kind.model_fields})
    except ValidationError as error:
        raise ArtifactError(f"{path}: neurons: {first_problem(error)}: write it again.") from error


def _is_number(value: Any) -> bool:
    # To Python, true is a whole number.
    return isinstance(value, int) and not isinstance(value, bool)


def state_arrays(
    path: str | os.PathLike[str], state: Any, architecture: Architecture
) -> dict[str, NDArray[np.float32]]:
    """The weights of a file as float32 arrays; ArtifactError if they do not fit `architecture`."""
    if not isinstance(state, Mapping):
        raise ArtifactError(f"{path} must hold its weights by name, not as {type(state).__name__}.")
    try:
        arrays = {
            str(name): value.detach().numpy() if isinstance(value, torch.Tensor) else value
            for name, value in state.items()
        }
    except (TypeError, RuntimeError) as error:
        raise ArtifactError(f"{path} holds weights in a form that NumPy lacks: {error}.") from error
    problem = _state_problem(arrays, architecture)
    if problem:
        raise ArtifactError(f"{path} does not fit its own architecture: {problem}.")
    return {
        name: np.ascontiguousarray(arrays[name], dtype=np.float32)
        for name in architecture.parameter_shapes()
    }


def _state_problem(state: Mapping[str, Any], architecture: Architecture) -> str:
    """What keeps `state` from being the weights of `architecture`, in words; empty if nothing."""
    shapes = architecture.parameter_shapes()
    for name in sorted(set(shapes) ^ set(state)):
        return f"{name} is {'missing' if name in shapes else 'unknown'}"
    for name, shape in shapes.items():
        array = state[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            return f"{name} holds no floating-point numbers"
        if array.shape != shape:
            return f"{name} has the shape {array.shape}, not {shape}"
        # The network computes in float32, where a large float64 is infinite.
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32)).all()
        if not finite:
            return f"{name} holds values that are not finite in float32"
        if ".neurons." in name and abs(float(array[0])) > _LARGEST_LEARNED:
            return f"{name} is {float(array[0])}, beyond {_LARGEST_LEARNED:g}"
    stated, learned = architecture.neurons, architecture.learned_from(state).neurons
    for one, other in zip(stated, learned, strict=True):
        for name, value in one:
            found = getattr(other, name)
            if found != value and not math.isclose(found, value, rel_tol=1e-6):
                return f"its neurons have learned a {name} of {found}, but {value} is stated"
    return ""
