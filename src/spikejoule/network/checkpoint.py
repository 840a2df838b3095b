"""The complete checkpoint: one file with the weights and all that an energy analysis needs.

The schema, `surrogate_complete_v1`, is that of the notebook this project grew out of: accuracies in
percent, spikes as totals and as means per sample or per inference. What the project adds stands
under keys of its own (`*_per_layer`, `spikejoule`), so that a reader of the old schema finds every
key with its old meaning. With several hidden layers `n_hidden` is the list of their sizes,
`total_hidden` and `hidden_per_*` are sums over them, `n_syn_input_hidden` and
`fanout_input_to_hidden` concern the first of them, and `n_syn_hidden_output` the last.

It is written by `network.trained`, first by the train stage, without what is measured later, and
read here, whoever wrote it: a section may be missing, and so may each of its entries, but for those
of an epoch; what is there must be of its type and in its range, and entries that are not named here
are anybody's.

A network of integers states its widths, grids and integers besides; its weights stand under their
usual names too, as the float32 numbers that the integers stand for.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from spikejoule.core.errors import ArtifactError, ParameterError, check, first_problem
from spikejoule.core.schema import Count, NotNegative, Percent, Record
from spikejoule.encoding.encoded_files import encoder_of_entry
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.integers import floats_of, integers_of, layer_constants, quantisation_of
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
    """What files say of a quantised network, under its key; of another, nothing.

    Raises ValueError if the weights do not lie on the grids.
    """
    if network.quantisation is None:
        return {}
    quantisation, layers = quantisation_of(network), layer_constants(network)
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


def _quantised(network: Network, entry: QuantisationEntry | None, state: State) -> Network:
    """The network with the widths and grids that a file states, if any; ValueError if its weights
    do not lie on them."""
    if entry is None:
        return network
    quantisation = Quantisation(entry.weight_bits, entry.state_bits, tuple(entry.exponents))
    quantised = replace(network, quantisation=quantisation)
    quantisation_section(quantised, state)
    return quantised


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


class EpochRecord(Record):
    """What one epoch of training gave; nothing here depends on a clock.

    Attributes:
        epoch: from 1 on.
        learning_rate: of the epoch's last step.
        train_loss: mean loss of the batches' samples, before each step.
        train_accuracy_percent: of the same predictions.
        validation_accuracy_percent: after the epoch, of the averaged weights where they are.
        spikes: of each layer over the epoch's training samples, the input first.
        synaptic_events: of each weight matrix in the epoch's forward passes, validation excluded;
            None in older files.
        pruned_fraction: of the synapses, removed before the epoch; likewise.
        samples: training samples of the epoch.
        teacher_macs, teacher_macs_nonzero: of the teacher's forward passes of the epoch's samples
            (`training.teacher`); None without a teacher.
        input_macs: multiply-accumulates of constant currents, likewise; None for an encoding
            of spikes.
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
    """Spikes of all training samples, or of the measured test images with their means."""

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
    history: list[EpochRecord] = Field(default_factory=list)
    test: EvaluationSection = EvaluationSection()


class Sizes(Section):
    """Neurons of the input, of the hidden layer or of each, and of the output."""

    n_input: int | None = None
    n_hidden: int | list[int] | None = None
    n_output: int | None = None

    @property
    def others(self) -> Mapping[str, Any]:
        """What else an architecture says: of its neurons, name and parameters."""
        return self.model_extra or {}


class CompleteFile(Sizes):
    """All sections; those whose entries are not named here are read one by one."""

    model_state_dict: dict[str, Any]
    architecture: Sizes
    encoding: dict[str, Any]
    quantisation: QuantisationEntry | None = None
    test_accuracy: Percent | None = None
    training_config: TrainingConfigSection = TrainingConfigSection()
    training_results: TrainingResults = TrainingResults()
    training_spikes: SpikesSection = SpikesSection()
    inference_spikes: SpikesSection = SpikesSection()
    energy_proxies: EnergyProxiesSection = EnergyProxiesSection()
    spikejoule: ProjectSection = ProjectSection()

    @model_validator(mode="after")
    def _accuracy_is_in_its_interval(self) -> Self:
        test = self.spikejoule.test
        low, high = test.test_accuracy_low_percent, test.test_accuracy_high_percent
        ends = [end for end in (low, self.test_accuracy, high) if end is not None]
        if sorted(ends) != ends:
            stated = " to ".join(f"{end:g}" for end in ends)
            raise ValueError(f"{stated} % is no interval that holds the test accuracy")
        return self


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

    def section(self, name: str) -> dict[str, Any]:
        """A section of the file, empty if its writer left it out."""
        section: dict[str, Any] = self.content.get(name, {})
        return section

    @property
    def pruned(self) -> bool:
        """Whether synapses were removed in training."""
        return bool(self.file.training_config.pruned_fraction)

    def spikes_per_inference(self) -> dict[str, float] | None:
        """Mean spikes of each layer per inference, by the layer's name; None if not recorded."""
        recorded = self.file.inference_spikes
        each, names = recorded.per_inference_per_layer, self.network.layer_names
        return recorded.by_layer("{}_per_inference", each, names)


def write_complete(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a complete checkpoint atomically; `torch.load(..., weights_only=True)` opens it."""
    from spikejoule.core import torch_files  # here, since a graph is priced without torch

    torch_files.write(path, content)


def read_complete(path: str | os.PathLike[str]) -> CompleteCheckpoint:
    """Read a complete checkpoint, of this project or of the notebook that its schema is from.

    The weights, the architecture and the encoding must be there and fit each other; any other
    section may be missing. A missing, truncated or corrupt file, one that holds code, one of
    another schema, and one whose parts do not fit raise ArtifactError in one sentence.
    """
    from spikejoule.core import torch_files

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
    try:
        network, state = _network(file)
    # Tensors of some types have no form in NumPy.
    except (ParameterError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ArtifactError(
            f"{path} describes no valid network: {error}: write it again."
        ) from error
    encoder = encoder_of_entry(path, content["encoding"])
    checkpoint = CompleteCheckpoint(
        content=dict(content),
        file=file,
        network=network,
        state=state,
        encoder=encoder,
    )
    check(path, _impossible_count(checkpoint))
    return checkpoint


def _impossible_count(checkpoint: CompleteCheckpoint) -> str:
    """The first count that is more than the network can do, in words; empty for none."""
    for name, count, most in _recorded_counts(checkpoint):
        # A mean is rounded.
        if count is not None and count > most * (1 + 1e-9):
            steps = checkpoint.encoder.time_window
            possible = f"at most {most:,} are possible in {steps:,} steps"
            return f"{name} is {count:,.10g}, but {possible}"
    return ""


def _recorded_counts(
    checkpoint: CompleteCheckpoint,
) -> Iterator[tuple[str, float | None, int]]:
    """Each recorded count: what it is of, the count, and the most that it can be.

    A unit fires at most once in a step; a synapse carries at most one event or product.
    """
    file, network = checkpoint.file, checkpoint.network
    steps, names = checkpoint.encoder.time_window, network.layer_names
    spikes = {layer.name: steps * layer.n_out for layer in network.layers}
    events = {one.name: steps * int(network.fan_out_of(one).sum()) for one in network.connections}
    products = next(iter(events.values()))
    means = checkpoint.spikes_per_inference() or {}
    for name in means:
        yield f"the mean of spikes of {name} per inference", means[name], spikes[name]
    proxies = file.energy_proxies
    for name, entry in proxies.per_layer.items():
        if name in events:
            what = f"the mean of synaptic events of {name} per inference"
            yield what, entry.synaptic_events_per_inference, events[name]
    macs = proxies.input_macs_per_inference
    yield "the mean of products of the input per inference", macs, products
    recorded, samples = file.training_spikes, file.training_results.total_samples
    totals = recorded.by_layer("total_{}", recorded.total_per_layer, names) or {}
    for name in totals if samples is not None else ():
        most = (samples or 0) * spikes[name]
        yield f"the total of spikes of {name} in training", totals[name], most
    for row in file.spikejoule.history:
        where = f"of epoch {row.epoch}"
        for name, count in zip(names, row.spikes, strict=False):
            most = row.samples * spikes[name]
            yield f"the number of spikes of {name} {where}", count, most
        for name, count in zip(events, row.synaptic_events or (), strict=False):
            most = row.samples * events[name]
            yield f"the number of synaptic events of {name} {where}", count, most
        most = row.samples * products
        yield f"the number of products of the input {where}", row.input_macs, most


def _network(file: CompleteFile) -> tuple[Network, dict[str, NDArray[np.float32]]]:
    """The network and the weights of a file; raises what NumPy and the network's parts raise."""
    # Older files state the sizes beside the architecture.
    n_input, hidden, n_output = (
        getattr(file.architecture, name) or getattr(file, name) for name in Sizes.model_fields
    )
    if None in (n_input, hidden, n_output):
        raise ValueError("it does not say how many neurons its layers have")
    hidden = tuple(hidden) if isinstance(hidden, list) else (hidden,)
    others = file.architecture.others
    layers, shape, neuron = others.get("layers"), others.get("input_shape"), _neuron(others)
    if layers is None:
        network = Network.of_layers(n_input, hidden, n_output, neuron)
    else:
        words, sizes = tuple(map(str, layers)), tuple(map(int, shape or ()))
        network = Network.of_chain(sizes, layers_of(words), n_output, neuron)
        if network.layer_sizes != (n_input, *hidden, n_output):
            raise ValueError(f"its layers {', '.join(words)} are not of the sizes that it states")
    arrays = {
        str(name): value.detach().numpy() if hasattr(value, "detach") else value
        for name, value in file.model_state_dict.items()
    }
    _check_state(arrays, network)
    state = {
        name: np.ascontiguousarray(arrays[name], dtype=np.float32)
        for name in network.parameter_shapes()
    }
    return _quantised(network.learned_from(state), file.quantisation, state), state


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


def _check_state(state: Mapping[str, Any], network: Network) -> None:
    """Raise ValueError unless `state` are the weights of `network`."""
    shapes = network.parameter_shapes()
    for name in sorted(set(state) ^ set(shapes)):
        raise ValueError(f"{name} is {'missing' if name in shapes else 'unknown'}")
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
