"""The complete checkpoint: one file with the weights and all that an energy analysis
needs.

The schema, `surrogate_complete_v1`, is that of the notebook this project grew out of:
accuracies in percent, spikes as totals and as means per sample or per inference. What
the project adds stands under keys of its own (`*_per_layer`, `spikejoule`), so that a
reader of the old schema finds every key with its old meaning. With several hidden
layers `n_hidden` is the list of their sizes, `total_hidden` and `hidden_per_*` are sums
over them, `n_syn_input_hidden` and `fanout_input_to_hidden` concern the first of them,
and `n_syn_hidden_output` the last.

It is written by `network.trained`, first by the train stage, without what is measured
later, and read here, whoever wrote it: a section may be missing, and so may each of its
entries, but for those of an epoch; what is there must be of its type and in its range,
and entries that are not named here are anybody's.

A network of integers states its widths, grids and integers besides; its weights stand
under their usual names too, as the float32 numbers that the integers stand for.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.schema import Count, NotNegative, Percent, Record
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
from spikejoule.network.neuron import UNNAMED, Neuron
from spikejoule.network.neurons import NEURONS
from spikejoule.network.quantisation import LEAK_ONE, Quantisation

SCHEMA_VERSION: Final = "surrogate_complete_v1"

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


def quantisation_section(network: Network, state: State) -> dict[str, Any]:
    """The entry of an integer network in files, under its key; nothing for another
    network.

    Raises ValueError if the weights do not lie on the grids.
    """
    if network.quantisation is None:
        return {}
    quantisation = quantisation_of(network)
    layers = layer_constants(network)
    integers = integers_of(network, state)
    for name, values in floats_of(network, integers).items():
        if not np.array_equal(values, state[name]):
            raise ValueError(f"the weights of {name} do not lie on their grid")
    entry = {
        "weight_bits": quantisation.weight_bits,
        "state_bits": quantisation.state_bits,
        "exponents": list(quantisation.exponents),
        "thresholds": [layer.threshold for layer in layers],
        "leak_factors": [layer.leak for layer in layers],
        "integers": integers,
    }
    return {"quantisation": entry}


Size = Annotated[int, Field(ge=1, le=2**53)]


class Section(Record):
    """Some entries by name, any of which may be missing, and others that are
    anybody's.
    """

    model_config = ConfigDict(extra="allow")


class TrainingConfigSection(Section):
    """The parameters of training that a count depends on."""

    batch_size: Size | None = None
    weight_decay: NotNegative | None = None
    grad_clip_norm: NotNegative | None = None
    grad_clip_max_norm: NotNegative | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)


class EpochRecord(Record):
    """What one epoch of training gave; nothing here depends on a clock.

    Attributes:
        epoch: from 1 on.
        learning_rate: of the epoch's last step.
        train_loss: mean loss of the batches' samples, before each step.
        train_accuracy_percent: of the same predictions.
        validation_accuracy_percent: after the epoch, of the averaged weights where they
            are.
        spikes: of each layer over the epoch's training samples, the input first.
        synaptic_events: of each weight matrix in the epoch's forward passes, validation
            excluded; None in older files.
        pruned_fraction: of the synapses, removed before the epoch; likewise.
        samples: training samples of the epoch.
        teacher_macs, teacher_macs_nonzero: of the teacher's forward passes of the
            epoch's samples (`training.teacher`); None without a teacher.
        input_macs: multiply-accumulates of constant currents, likewise; None for an
            encoding of spikes.
    """

    epoch: int = Field(ge=1)
    learning_rate: NotNegative
    train_loss: float
    train_accuracy_percent: Percent
    validation_accuracy_percent: Percent
    spikes: tuple[Count, ...]
    synaptic_events: tuple[Count, ...] | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)
    samples: Size
    teacher_macs: Count | None = None
    teacher_macs_nonzero: Count | None = None
    input_macs: Count | None = None

    def entry(self) -> dict[str, Any]:
        """The epoch as files keep it: without what is None."""
        return self.model_dump(exclude_none=True)


# Spikes: sums of integers, which the notebook keeps as floats.
Spikes = Annotated[float, Field(ge=0, le=2**53)]
ByName = dict[str, Spikes]


class TrainingResults(Section):
    """How training ended."""

    epochs_trained: Size | None = None
    total_samples: Size | None = None
    best_val_accuracy: Percent | None = None


class SpikesSection(Section):
    """Spikes of all training samples, or of the measured test images with their
    means.
    """

    n_samples: Size | None = None
    total_samples: Size | None = None
    total_input: Spikes | None = None
    total_hidden: Spikes | None = None
    total_output: Spikes | None = None
    total_per_layer: ByName = Field(default_factory=dict)
    input_per_inference: NotNegative | None = None
    hidden_per_inference: NotNegative | None = None
    output_per_inference: NotNegative | None = None
    per_inference_per_layer: ByName = Field(default_factory=dict)

    def by_layer(
        self, name: str, per_layer: Mapping[str, float], layers: Sequence[str]
    ) -> dict[str, float] | None:
        """A number for each layer: from `per_layer`, or, if it is empty, from the
        entries that `name` makes of input, hidden and output.

        None if a layer has none.
        """
        numbers = per_layer or {
            layer: getattr(self, name.format(layer))
            for layer in ("input", "hidden", "output")
        }
        if any(numbers.get(layer) is None for layer in layers):
            return None
        return {layer: numbers[layer] for layer in layers}


class LayerProxyEntry(Section):
    """The counts of one weight matrix per inference."""

    synaptic_events_per_inference: NotNegative


class EnergyProxiesSection(Section):
    """Operations per inference."""

    input_macs_per_inference: NotNegative | None = None
    per_layer: dict[str, LayerProxyEntry] = Field(default_factory=dict)


class EvaluationSection(Section):
    """How the test set was read."""

    test_accuracy_low_percent: Percent | None = None
    test_accuracy_high_percent: Percent | None = None


class ProjectSection(Section):
    """What this project adds."""

    seed: int | None = Field(default=None, ge=0, lt=2**32)
    best_epoch: Size | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    history: list[EpochRecord] = Field(default_factory=list)
    test: EvaluationSection = EvaluationSection()


class ArchitectureSection(Section):
    """Sizes of the layers, and what else there is to say of them; the neuron's name and
    parameters are further entries."""

    n_input: int
    n_hidden: int | list[int]
    n_output: int
    layers: list[str] | None = None
    input_shape: list[int] = Field(default_factory=list)


class CompleteFile(Section):
    """All sections."""

    model_state_dict: dict[str, Any]
    architecture: ArchitectureSection
    encoding: dict[str, Any]
    quantisation: QuantisationEntry | None = None
    test_accuracy: Percent | None = None
    training_config: TrainingConfigSection = TrainingConfigSection()
    training_results: TrainingResults = TrainingResults()
    training_spikes: SpikesSection = SpikesSection()
    inference_spikes: SpikesSection = SpikesSection()
    energy_proxies: EnergyProxiesSection = EnergyProxiesSection()
    spikejoule: ProjectSection = ProjectSection()


@dataclass(frozen=True, eq=False)
class CompleteCheckpoint:
    """A complete checkpoint that has passed every check of `read_complete`.

    Attributes:
        content: the file's dictionary, sections that a writer left out absent.
        file: the same by name, what is missing None or empty.
        network: its shape and neuron constants.
        state: the weights, float32, by their names in the file.
        encoder: the encoding by which images became spikes.
    """

    content: dict[str, Any]
    file: CompleteFile
    network: Network
    state: dict[str, NDArray[np.float32]]
    encoder: Encoder

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return bool(self.file.training_config.pruned_fraction)

    def spikes_per_inference(self) -> dict[str, float] | None:
        """Mean spikes of each layer per inference, by the layer's name; None if not
        recorded.
        """
        recorded = self.file.inference_spikes
        per_layer = recorded.per_inference_per_layer
        return recorded.by_layer(
            "{}_per_inference", per_layer, self.network.layer_names
        )


def write_complete(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a complete checkpoint atomically; `torch.load(..., weights_only=True)`
    opens it.
    """
    from spikejoule.core import (
        torch_files,
    )  # here, since a graph is priced without torch

    torch_files.write(path, content)


def read_complete(path: str | os.PathLike[str]) -> CompleteCheckpoint:
    """Read a complete checkpoint, of this project or of the notebook that its schema is
    from.

    The weights, the architecture and the encoding must be there and fit each other; any
    other section may be missing. A missing, truncated or corrupt file, one that holds
    code, one of another schema, and one whose parts do not fit raise ArtifactError in
    one sentence.
    """
    from spikejoule.core import torch_files

    return complete_checkpoint(path, torch_files.read(path))


def complete_checkpoint(
    path: str | os.PathLike[str], content: Mapping[str, Any]
) -> CompleteCheckpoint:
    """The checkpoint of a file's content, written already or not; errors as of
    `read_complete`.
    """
    if content.get("schema_version") != SCHEMA_VERSION:
        stated = content.get("schema_version", "no schema")
        raise ArtifactError(
            f"{path} must be a complete checkpoint of the schema "
            f"{SCHEMA_VERSION!r}, but is one of "
            f"{stated!r}."
        )
    file = CompleteFile.from_content(path, content)
    try:
        network = _network(file)
        state = _state(file, network)
        network = network.learned_from(state)
        if file.quantisation is not None:
            network = _quantised(network, file.quantisation, state)
    # Tensors of some types have no form in NumPy.
    except (ParameterError, ValueError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} describes no valid network: {error}: write it again."
        ) from error
    return CompleteCheckpoint(
        content=dict(content),
        file=file,
        network=network,
        state=state,
        encoder=encoder_of_entry(path, content["encoding"]),
    )


def _network(file: CompleteFile) -> Network:
    """The network of a file, as it was before it learned; raises what its parts
    raise.
    """
    sizes = file.architecture
    hidden = (
        tuple(sizes.n_hidden) if isinstance(sizes.n_hidden, list) else (sizes.n_hidden,)
    )
    neuron = _neuron(sizes.model_extra or {})
    if sizes.layers is None:
        return Network.of_layers(sizes.n_input, hidden, sizes.n_output, neuron)
    in_shape = tuple(sizes.input_shape)
    network = Network.of_chain(
        in_shape, layers_of(sizes.layers), sizes.n_output, neuron
    )
    if network.layer_sizes != (sizes.n_input, *hidden, sizes.n_output):
        words = ", ".join(sizes.layers)
        raise ValueError(f"its layers {words} are not of the sizes that it states")
    return network


def _neuron(entry: Mapping[str, Any]) -> Neuron:
    """The neuron of an entry of `Neuron.entry`; ValueError or ParameterError if there
    is none.
    """
    kind = NEURONS[entry.get("neuron", UNNAMED)]
    stated = {**kind.later, **entry}
    try:
        return kind.model_validate({key: stated.get(key) for key in kind.model_fields})
    except ValidationError as error:
        raise ValueError(f"neurons: {first_problem(error)}") from error


def _state(file: CompleteFile, network: Network) -> dict[str, NDArray[np.float32]]:
    """The weights of a file; ValueError unless they are those of the network."""
    stored = file.model_state_dict
    shapes = network.parameter_shapes()
    for name in sorted(set(stored) ^ set(shapes)):
        raise ValueError(f"{name} is {'missing' if name in shapes else 'unknown'}")
    state: dict[str, NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        if np.asarray(stored[name]).dtype.kind != "f":
            raise ValueError(f"{name} holds no floating-point numbers")
        # A large float64 is infinite in float32.
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(stored[name], dtype=np.float32)
        if values.shape != shape:
            raise ValueError(f"{name} has the shape {values.shape}, not {shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite in float32")
        state[name] = values
    return state


def _quantised(network: Network, entry: QuantisationEntry, state: State) -> Network:
    """The network with the widths and grids of a file; ValueError if its weights do not
    lie on them."""
    quantisation = Quantisation(
        entry.weight_bits, entry.state_bits, tuple(entry.exponents)
    )
    quantised = replace(network, quantisation=quantisation)
    quantisation_section(quantised, state)
    return quantised
