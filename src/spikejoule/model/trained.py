"""The train stage's result: the best weights, how they came about, and nothing with a clock.

The file's bytes depend on its content alone, so that training twice gives the same file twice.

A network of integers states its widths, grids and integers besides; its weights stand under their
usual names too, as the float32 numbers that the integers stand for.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.schema import Count, NotNegative, Percent, PlainValue, Record
from spikejoule.data.images import DataDescription
from spikejoule.encoding.counting import TrainingSpikes
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.model.architecture import Architecture, State
from spikejoule.model.neuron import UNNAMED, Neuron
from spikejoule.model.neurons import NEURONS
from spikejoule.model.pruning import is_pruned
from spikejoule.model.quantisation import (
    LEAK_ONE,
    Quantisation,
    floats_of,
    integers_of,
    layer_constants,
    quantisation_of,
)

Exponent = Annotated[int, Field(ge=-150, le=150)]


class QuantisationEntry(Record):
    """A network of integers; the lists have one number for each layer after the input.

    Attributes:
        weight_bits, state_bits: widths of the weights and of the membrane potentials.
        exponents: k of the grid 2^-k.
        thresholds: on the grid.
        leak_factors: m of the leak floor(m u / 256).
        integers: weights int8 [target, source] and biases int32 [target], by name.
    """

    weight_bits: int = Field(ge=2, le=8)
    state_bits: int = Field(ge=16, le=32, multiple_of=16)
    exponents: list[Exponent]
    thresholds: list[Annotated[int, Field(ge=1)]]
    leak_factors: list[Annotated[int, Field(ge=0, le=LEAK_ONE)]]
    integers: dict[str, Any]


def quantisation_section(architecture: Architecture, state: State) -> dict[str, Any]:
    """What files say of a quantised network, under its key; of another, nothing.

    Raises ValueError if the weights do not lie on the grids.
    """
    if architecture.quantisation is None:
        return {}
    quantisation, layers = quantisation_of(architecture), layer_constants(architecture)
    integers = integers_of(architecture, state)
    _check_integers(architecture, integers, state)
    entry = {
        "weight_bits": quantisation.weight_bits,
        "state_bits": quantisation.state_bits,
        "exponents": list(quantisation.exponents),
        "thresholds": [layer.threshold for layer in layers],
        "leak_factors": [layer.leak for layer in layers],
        "integers": integers,
    }
    return {"quantisation": entry}


def _quantised(
    architecture: Architecture, entry: QuantisationEntry | None, state: State
) -> Architecture:
    """The architecture with the widths and grids that a file states, if any.

    Raises:
        ParameterError, ValueError: they are impossible, or the integers not those of the weights.
    """
    if entry is None:
        return architecture
    n_layers = len(architecture.fan_outs)
    if len(entry.exponents) != n_layers:
        raise ValueError(
            f"it has grids of {len(entry.exponents)} layers, but {n_layers} layers after the input"
        )
    quantisation = Quantisation(entry.weight_bits, entry.state_bits, tuple(entry.exponents))
    quantised = replace(architecture, quantisation=quantisation)
    layers = layer_constants(quantised)
    stated = [entry.thresholds, entry.leak_factors]
    if stated != [[one.threshold for one in layers], [one.leak for one in layers]]:
        raise ValueError("its thresholds or leaks are not those of its neurons on their grids")
    _check_integers(quantised, entry.integers, state)
    return quantised


def _check_integers(architecture: Architecture, integers: Mapping[str, Any], state: State) -> None:
    """Raise ValueError unless integers are those of a state."""
    found = {
        name: values.numpy() if isinstance(values, torch.Tensor) else values
        for name, values in integers.items()
    }
    expected = integers_of(architecture, state)
    _check_names(found, expected)
    values = floats_of(architecture, expected)
    for name, integer in expected.items():
        same = isinstance(found[name], np.ndarray) and found[name].dtype == integer.dtype
        if not (same and np.array_equal(found[name], integer)):
            raise ValueError(f"{name} is not of the integers that the weights stand for")
        if not np.array_equal(values[name], state[name]):
            raise ValueError(f"the weights of {name} do not lie on their grid")


def _check_names(found: Mapping[str, Any], needed: Mapping[str, Any]) -> None:
    for name in sorted(set(found) ^ set(needed)):
        raise ValueError(f"{name} is {'missing' if name in needed else 'unknown'}")


SCHEMA: Literal["spikejoule/trained/1"] = "spikejoule/trained/1"

EngineName = Annotated[str, Field(pattern="^(event|dense)$")]


Size = Annotated[int, Field(ge=1, le=2**53)]


class Section(Record):
    """Some entries by name, any of which may be missing, and others that are anybody's."""

    model_config = ConfigDict(extra="allow")


class TrainingConfigSection(Section):
    """The parameters of training that a count depends on."""

    batch_size: Size | None = None
    weight_decay: NotNegative | None = None
    grad_clip_norm: NotNegative | None = None
    grad_clip_max_norm: NotNegative | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)


class EpochEntry(Record):
    """One epoch, with the fields of `training.EpochRecord`; some may be missing.

    Older files lack synaptic events and the pruned fraction.
    """

    epoch: int = Field(ge=1)
    learning_rate: NotNegative
    train_loss: float
    train_accuracy_percent: Percent
    validation_accuracy_percent: Percent
    spikes: tuple[Count, ...]
    samples: int = Field(ge=1)
    synaptic_events: tuple[Count, ...] | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)
    teacher_macs: Count | None = None
    teacher_macs_nonzero: Count | None = None
    input_macs: Count | None = None


class ArchitectureEntry(Record):
    """Sizes, of which `Architecture` has the ranges, and what `Neuron.entry` says."""

    model_config = ConfigDict(extra="allow")

    n_input: int
    hidden: list[int]
    n_output: int


class TrainingSpikesEntry(Record):
    """Spikes of each layer, the input first, over all samples of all epochs."""

    layer_names: list[str]
    totals: list[Count]
    samples: int = Field(ge=1)


class OptimizerState(Record):
    """A state dict in the format of `torch.optim.Adam`."""

    state: dict[int, dict[str, Any]]
    param_groups: list[dict[str, Any]] = Field(min_length=1)


class TrainedFile(Record):
    """The content of the file; `trained.TrainedNetwork` says what the entries mean."""

    schema_name: Literal["spikejoule/trained/1"] = Field(default=SCHEMA, alias="schema")
    architecture: ArchitectureEntry
    state: dict[str, Any]
    quantisation: QuantisationEntry | None = None
    encoding: dict[str, PlainValue]
    training_config: dict[str, PlainValue | list[float]]
    history: list[EpochEntry] = Field(min_length=1)
    training_spikes: TrainingSpikesEntry
    best_epoch: int
    best_validation_accuracy_percent: Percent
    data: DataDescription
    engine: EngineName
    optimizer_state: OptimizerState

    @field_validator("encoding")
    @classmethod
    def _has_a_seed(cls, encoding: dict[str, Any]) -> dict[str, Any]:
        seed = encoding.get("seed")
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            raise ValueError(f"the seed is {seed!r:.40}; it must be a whole number below 2^32")
        return encoding

    @property
    def seed(self) -> int:
        """The seed of every draw."""
        seed = self.encoding["seed"]
        assert isinstance(seed, int)
        return seed

    @field_validator("training_config")
    @classmethod
    def _is_of_allowed_parameters(cls, config: dict[str, Any]) -> dict[str, Any]:
        TrainingConfigSection.model_validate(config)
        return config

    @model_validator(mode="after")
    def _epochs_follow_each_other(self) -> Self:
        if [entry.epoch for entry in self.history] != list(range(1, len(self.history) + 1)):
            raise ValueError("history: the epochs must be 1, 2, 3 and so on")
        if not 1 <= self.best_epoch <= len(self.history):
            raise ValueError(f"best_epoch: {self.best_epoch} is none of {len(self.history)} epochs")
        best = self.history[self.best_epoch - 1].validation_accuracy_percent
        if best != self.best_validation_accuracy_percent:
            raise ValueError(
                f"best_validation_accuracy_percent: {self.best_validation_accuracy_percent} is not "
                f"the {best} of epoch {self.best_epoch}"
            )
        return self

    @model_validator(mode="after")
    def _spikes_add_up(self) -> Self:
        spikes, n_layers = self.training_spikes, len(self.architecture.hidden) + 2
        if not len(spikes.layer_names) == len(spikes.totals) == n_layers:
            raise ValueError(
                f"training_spikes: it must have an entry for each of {n_layers} layers"
            )
        for entry in self.history:
            events = entry.synaptic_events
            if len(entry.spikes) != n_layers or len(events or range(n_layers - 1)) != n_layers - 1:
                raise ValueError(f"history: epoch {entry.epoch} has not the {n_layers} layers")
        totals = [sum(layer) for layer in zip(*(one.spikes for one in self.history), strict=True)]
        samples = sum(entry.samples for entry in self.history)
        if totals != spikes.totals or samples != spikes.samples:
            raise ValueError("training_spikes: they are not the sum of those of the epochs")
        return self


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
    _check_state(network.state, architecture)
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
    sizes = (shape.n_input, shape.hidden, shape.n_output)
    architecture, state = read_network(
        path, sizes, content["architecture"], file.state, file.quantisation
    )
    if tuple(spikes.layer_names) != architecture.layer_names:
        raise ArtifactError(
            f"{path} counts the spikes of the layers {spikes.layer_names}, but has "
            f"{list(architecture.layer_names)}: train again."
        )
    return TrainedNetwork(
        architecture=architecture,
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


def read_network(
    path: str | os.PathLike[str],
    sizes: tuple[Any, Any, Any],
    entry: Mapping[str, Any],
    state: Mapping[str, Any],
    quantisation: QuantisationEntry | None,
) -> tuple[Architecture, dict[str, NDArray[np.float32]]]:
    """The network and the weights of a file; ArtifactError, naming `path`, if it cannot exist.

    Args:
        path: of the file.
        sizes: of the input, of each hidden layer (a number for one), and of the output.
        entry: the neuron's name and parameters; other keys of it are ignored.
        state: parameters by name, arrays or tensors.
        quantisation: of a network of integers.
    """
    n_input, hidden, n_output = sizes
    try:
        hidden = [hidden] if _is_number(hidden) else hidden
        if not isinstance(hidden, list | tuple) or not all(
            _is_number(size) for size in (n_input, *hidden, n_output)
        ):
            raise ValueError(f"its sizes are no whole numbers: {n_input}-{hidden}-{n_output}")
        architecture = Architecture(n_input, tuple(hidden), n_output, _neuron(entry))
        arrays = {
            str(name): value.detach().numpy() if isinstance(value, torch.Tensor) else value
            for name, value in state.items()
        }
        _check_state(arrays, architecture)
        found = {
            name: np.ascontiguousarray(arrays[name], dtype=np.float32)
            for name in architecture.parameter_shapes()
        }
        return _quantised(architecture, quantisation, found), found
    # Tensors of some types have no form in NumPy.
    except (ParameterError, ValueError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} states a network that cannot be: {error}: write it again."
        ) from error


def _neuron(entry: Mapping[str, Any]) -> Neuron:
    """The neuron that an entry of `Neuron.entry` states; ValueError if there is none."""
    name = entry.get("neuron", UNNAMED)
    if not isinstance(name, str) or name not in NEURONS:
        raise ValueError(f"there is no neuron {name!r:.80}, but there are {', '.join(NEURONS)}")
    kind = NEURONS[name]
    stated = {**kind.later, **entry}
    for parameter in kind.model_fields:
        if parameter not in stated:
            raise ValueError(f"it states no {parameter} of its neurons")
    try:
        return kind.model_validate({key: stated[key] for key in kind.model_fields})
    except ValidationError as error:
        raise ValueError(f"neurons: {first_problem(error)}") from error


def _is_number(value: Any) -> bool:
    # To Python, true is a whole number.
    return isinstance(value, int) and not isinstance(value, bool)


def _check_state(state: Mapping[str, Any], architecture: Architecture) -> None:
    """Raise ValueError unless `state` are the weights of `architecture`."""
    shapes = architecture.parameter_shapes()
    _check_names(state, shapes)
    for name, shape in shapes.items():
        array = state[name]
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"{name} holds no floating-point numbers")
        if array.shape != shape:
            raise ValueError(f"{name} has the shape {array.shape}, not {shape}")
        # The network computes in float32, where a large float64 is infinite.
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32)).all()
        if not finite:
            raise ValueError(f"{name} holds values that are not finite in float32")
        if ".neurons." in name and abs(float(array[0])) > _LARGEST_LEARNED:
            raise ValueError(f"{name} is {float(array[0])}, beyond {_LARGEST_LEARNED:g}")
    stated, learned = architecture.neurons, architecture.learned_from(state).neurons
    for one, other in zip(stated, learned, strict=True):
        for name, value in one:
            found = getattr(other, name)
            if found != value and not math.isclose(found, value, rel_tol=1e-6):
                raise ValueError(
                    f"its neurons have learned a {name} of {found}, but {value} is stated"
                )
