"""The schema of the train stage's file, and what must hold between its entries."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from spikejoule.core.schema import Count, NotNegative, Percent, PlainValue, Record
from spikejoule.data.images import DataDescription
from spikejoule.model.complete_file import TrainingConfigSection
from spikejoule.model.quantised_file import QuantisationEntry

SCHEMA: Literal["spikejoule/trained/1"] = "spikejoule/trained/1"

EngineName = Annotated[str, Field(pattern="^(event|dense)$")]


class EpochEntry(Record):
    """One epoch, with the fields of `training.EpochRecord`; some may be missing.

    Older files lack synaptic events and the pruned share.
    """

    epoch: int = Field(ge=1)
    learning_rate: NotNegative
    train_loss: float
    train_accuracy_percent: Percent
    validation_accuracy_percent: Percent
    spikes: tuple[Count, ...]
    samples: int = Field(ge=1)
    synaptic_events: tuple[Count, ...] | None = None
    pruned_share: float | None = Field(default=None, ge=0, lt=1)
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
