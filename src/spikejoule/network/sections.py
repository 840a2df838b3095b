"""The sections of a checkpoint's file, by name, with types and ranges.

Sections may be missing, and their entries too, except those of an epoch; what is
present must have its type and range; unknown entries are kept unchecked.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from spikejoule.core.schema import Count, NotNegative, Percent, Record
from spikejoule.network.quantisation import LEAK_ONE
from spikejoule.network.readout import Readout, ReadoutName

Exponent = Annotated[int, Field(ge=-150, le=150)]
Size = Annotated[int, Field(ge=1, le=2**53)]
# The notebook stores sums of integers as floats.
Spikes = Annotated[float, Field(ge=0, le=2**53)]


class QuantisationEntry(Record):
    """An integer network; lists have one number per layer after the input.

    Attributes:
        weight_bits, state_bits: widths of the weights and of the membrane potentials.
        exponents: k of the grid 2^-k.
        thresholds: on the grid, of the layers that spike.
        leak_factors: m of the leak floor(m u / 256).
        integers: weights int8 [target, source] and biases int32 [target], by name.
    """

    weight_bits: int = Field(ge=2, le=8)
    state_bits: int = Field(ge=16, le=32, multiple_of=16)
    exponents: list[Exponent]
    thresholds: list[Annotated[int, Field(ge=1)]]
    leak_factors: list[Annotated[int, Field(ge=0, le=LEAK_ONE)]]
    integers: dict[str, Any]


class Section(Record):
    """Named entries, any of which may be missing; unknown entries are kept."""

    model_config = ConfigDict(extra="allow")


class TrainingConfigSection(Section):
    """The training parameters that operation counts depend on."""

    batch_size: Size | None = None
    weight_decay: NotNegative | None = None
    grad_clip_norm: NotNegative | None = None
    grad_clip_max_norm: NotNegative | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)
    surrogate: str | None = None
    shift_pixels: NotNegative = 0
    rotate_degrees: NotNegative = 0
    scale_fraction: NotNegative = 0
    shear_degrees: NotNegative = 0


class EpochRecord(Record):
    """The results of one epoch of training; nothing here depends on a clock.

    Attributes:
        epoch: from 1 on.
        learning_rate: of the epoch's last step.
        train_loss: mean loss of the training samples, each before its step.
        train_accuracy_percent: of the same predictions.
        validation_accuracy_percent: after the epoch.
        spikes: of each layer over the epoch's training samples, the input first.
        synaptic_events: of each weight matrix in the forward passes of training.
        synapses_touched: synapses of each weight matrix that the spikes of a sample
            reach, each unit's once, summed over the samples.
        pruned_fraction: fraction of the weights removed before the epoch.
        samples: training samples of the epoch.
        input_macs: multiply-accumulates of constant currents in the forward passes of
            training; None for an encoding into spikes.
        gradients_reached: gradients of each weight matrix that the event engine's
            optimizer read, over all batches; None for the dense engine, which reads
            all.
        kept_deltas: deltas of each layer that a sampled backward pass kept; None if the
            pass was exact.
    """

    epoch: int = Field(ge=1)
    learning_rate: NotNegative
    train_loss: float
    train_accuracy_percent: Percent
    validation_accuracy_percent: Percent
    spikes: tuple[Count, ...]
    synaptic_events: tuple[Count, ...]
    synapses_touched: tuple[Count, ...]
    pruned_fraction: float = Field(ge=0, lt=1)
    samples: Size
    input_macs: Count | None = None
    gradients_reached: tuple[Count, ...] | None = None
    kept_deltas: tuple[Count, ...] | None = None

    def entry(self) -> dict[str, Any]:
        """The epoch as files store it, without fields that are None."""
        return self.model_dump(exclude_none=True)


class TrainingResults(Section):
    """How training ended."""

    epochs_trained: Size | None = None
    total_samples: Size | None = None
    best_val_accuracy: Percent | None = None


class SpikesSection(Section):
    """Spikes of all training samples, or of the measured test images."""

    n_samples: Size | None = None
    total_samples: Size | None = None
    total_input: Spikes | None = None
    total_hidden: Spikes | None = None
    total_output: Spikes | None = None
    total_per_layer: dict[str, Spikes] = Field(default_factory=dict)
    input_per_inference: NotNegative | None = None
    hidden_per_inference: NotNegative | None = None
    output_per_inference: NotNegative | None = None
    per_inference_per_layer: dict[str, Spikes] = Field(default_factory=dict)

    def totals(self, layers: Sequence[str]) -> dict[str, float] | None:
        """Total spikes of each named layer; None if one is missing."""
        notebook = {
            "input": self.total_input,
            "hidden": self.total_hidden,
            "output": self.total_output,
        }
        return _of_all_layers(self.total_per_layer or notebook, layers)

    def per_inference(self, layers: Sequence[str]) -> dict[str, float] | None:
        """Mean spikes per inference of each named layer; None if one is missing."""
        notebook = {
            "input": self.input_per_inference,
            "hidden": self.hidden_per_inference,
            "output": self.output_per_inference,
        }
        return _of_all_layers(self.per_inference_per_layer or notebook, layers)


def _of_all_layers(
    numbers: Mapping[str, float | None], layers: Sequence[str]
) -> dict[str, float] | None:
    """The numbers of the named layers; None if one has none."""
    known = {name: number for name, number in numbers.items() if number is not None}
    if not known.keys() >= set(layers):
        return None
    return {name: known[name] for name in layers}


class LayerProxyEntry(Section):
    """The counts of one weight matrix per inference."""

    synaptic_events_per_inference: NotNegative


class EnergyProxiesSection(Section):
    """Operations per inference."""

    input_macs_per_inference: NotNegative | None = None
    per_layer: dict[str, LayerProxyEntry] = Field(default_factory=dict)


class EvaluationSection(Section):
    """Interval of the test accuracy."""

    test_accuracy_low_percent: Percent | None = None
    test_accuracy_high_percent: Percent | None = None


class ProjectSection(Section):
    """This project's additions to the schema.

    The original notebook, which has none, trained with dense products in PyTorch.
    """

    engine: str = "dense"
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    best_epoch: Size | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    history: list[EpochRecord] = Field(default_factory=list)
    test: EvaluationSection = EvaluationSection()


class ArchitectureSection(Section):
    """Layer sizes and kinds; name and parameters of the neuron are further entries.

    Attributes:
        readout: how the output answers; files without it, by spikes.
    """

    n_input: int
    n_hidden: int | list[int]
    n_output: int
    layers: list[str] | None = None
    input_shape: list[int] = Field(default_factory=list)
    readout: ReadoutName = Readout.SPIKES


class CheckpointFile(Section):
    """The content of a checkpoint by section."""

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
