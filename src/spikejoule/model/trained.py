"""The train stage's result: the best weights, how they came about, and nothing with a clock.

The file's bytes depend on its content alone, so that training twice gives the same file twice.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikejoule.foundation import torch_files
from spikejoule.foundation.errors import ArtifactError, ParameterError
from spikejoule.model.architecture import Architecture
from spikejoule.model.pruning import is_pruned
from spikejoule.model.trained_file import SCHEMA, TrainedFile
from spikejoule.spikes.counting import TrainingSpikes


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A trained network and its provenance.

    Attributes:
        architecture: layer sizes, threshold, decay.
        state: the best weights, float32, under the names of `Architecture.parameter_shapes`.
        encoding: `type` ("poisson"), `time_window` (steps of 1 ms), `max_rate_hz`, `seed`.
        training_config: the parameters of the train stage, plain values.
        history: one mapping an epoch, with the fields of `training.EpochRecord`.
        training_spikes: spikes of each layer over all training samples of all epochs.
        best_epoch: the epoch (from 1) whose weights these are.
        best_validation_accuracy_percent: their accuracy on the validation set.
        data: the content of metrics/data.json: source, note, counts, checksums.
        engine: the engine that trained.
        optimizer_state: a state dict in the format of `torch.optim.Adam`.
    """

    architecture: Architecture
    state: dict[str, NDArray[np.float32]]
    encoding: dict[str, Any]
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
            "threshold": architecture.threshold,
            "decay": architecture.decay,
        },
        "state": network.state,
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
        path, shape.n_input, shape.hidden, shape.n_output, shape.threshold, shape.decay
    )
    if tuple(spikes.layer_names) != architecture.layer_names:
        raise ArtifactError(
            f"{path} counts the spikes of the layers {spikes.layer_names}, but has "
            f"{list(architecture.layer_names)}: train again."
        )
    return TrainedNetwork(
        architecture=architecture,
        state=state_arrays(path, file.state, architecture),
        encoding=dict(content["encoding"]),
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
    path: str | os.PathLike[str],
    n_input: Any,
    hidden: Any,
    n_output: Any,
    threshold: Any,
    decay: Any,
) -> Architecture:
    """The architecture that a file states; ArtifactError, naming `path`, if it cannot exist."""
    sizes = [hidden] if _is_number(hidden, int) else hidden
    if not (
        isinstance(sizes, list | tuple)
        and all(_is_number(size, int) for size in (n_input, *sizes, n_output))
        and all(_is_number(constant, int | float) for constant in (threshold, decay))
    ):
        raise ArtifactError(
            f"{path} states an architecture whose sizes are not whole numbers or whose neuron "
            f"constants are not numbers: {n_input}-{hidden}-{n_output}, threshold {threshold}, "
            f"decay {decay}."
        )
    try:
        return Architecture(
            n_input=n_input,
            hidden=tuple(sizes),
            n_output=n_output,
            threshold=float(threshold),
            decay=float(decay),
        )
    except ParameterError as error:
        raise ArtifactError(f"{path} states an impossible architecture: {error}") from error


def _is_number(value: Any, kind: Any) -> bool:
    # To Python, true is a whole number.
    return isinstance(value, kind) and not isinstance(value, bool)


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
    return ""
