"""What the sections of a complete checkpoint must be, whoever wrote them.

A section may be missing, and so may each of its entries: the notebook that the schema comes from
lacks this project's, and an older version of this project some of the newer. What is there must be
of its type and in its range. Entries that are not named here are anybody's.
"""

import math
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from spikejoule.core.schema import Count, NotNegative, Percent, Record, check_interval

Size = Annotated[int, Field(ge=1, le=2**53)]
# Spikes: sums of integers, which the notebook keeps as floats.
Spikes = Annotated[float, Field(ge=0, le=2**53)]
ByName = dict[str, Spikes]


class _Section(Record):
    model_config = ConfigDict(extra="allow")


class TrainingConfigSection(_Section):
    """The parameters of training that a count depends on."""

    batch_size: Size | None = None
    weight_decay: NotNegative | None = None
    grad_clip_norm: NotNegative | None = None
    grad_clip_max_norm: NotNegative | None = None
    pruned_fraction: float | None = Field(default=None, ge=0, lt=1)


class TrainingResults(_Section):
    """How training ended; times in seconds."""

    epochs_trained: Size | None = None
    total_samples: Size | None = None
    training_time_seconds: NotNegative | None = None
    best_val_accuracy: Percent | None = None
    final_train_accuracy: Percent | None = None


class TrainingHistory(_Section):
    """One number per epoch; the losses of a training that diverged may be no numbers."""

    train_acc: list[Percent] = Field(default_factory=list)
    val_acc: list[Percent] = Field(default_factory=list)
    epoch_times: list[NotNegative] = Field(default_factory=list)


class _Spikes(_Section):
    total_input: Spikes | None = None
    total_hidden: Spikes | None = None
    total_output: Spikes | None = None
    total_per_layer: ByName = Field(default_factory=dict)


class TrainingSpikesSection(_Spikes):
    """Spikes of all training samples, and their means."""

    total_samples: Size | None = None
    input_per_sample: NotNegative | None = None
    hidden_per_sample: NotNegative | None = None
    output_per_sample: NotNegative | None = None
    per_sample_per_layer: ByName = Field(default_factory=dict)


class InferenceSpikesSection(_Spikes):
    """Spikes of the measured test images, and their means."""

    n_samples: Size | None = None
    input_per_inference: NotNegative | None = None
    hidden_per_inference: NotNegative | None = None
    output_per_inference: NotNegative | None = None
    per_inference_per_layer: ByName = Field(default_factory=dict)
    measurement_time_seconds: NotNegative | None = None


class LayerProxyEntry(_Section):
    """The counts of one weight matrix per inference."""

    synaptic_events_per_inference: NotNegative
    dense_operations_per_inference: NotNegative | None = None


class EnergyProxiesSection(_Section):
    """Operations per inference."""

    dense_ops_per_inference: NotNegative | None = None
    event_syn_per_inference: NotNegative | None = None
    sparsity_ratio: NotNegative | None = None
    input_macs_per_inference: NotNegative | None = None
    per_layer: dict[str, LayerProxyEntry] = Field(default_factory=dict)


class EvaluationSection(_Section):
    """How the test set was read."""

    test_accuracy_low_percent: Percent | None = None
    test_accuracy_high_percent: Percent | None = None
    n_samples: Size | None = None
    per_class: dict[str, Percent | None] = Field(default_factory=dict)


class EpochSection(_Section):
    """One epoch; its spikes are one number a layer."""

    epoch: Size | None = None
    samples: Size | None = None
    validation_accuracy_percent: Percent | None = None
    spikes: tuple[Count, ...] | list[Count] = ()
    synaptic_events: tuple[Count, ...] | list[Count] | None = None
    teacher_macs: Count | None = None
    teacher_macs_nonzero: Count | None = None
    input_macs: Count | None = None


class ProjectSection(_Section):
    """What this project adds."""

    seed: int | None = Field(default=None, ge=0, lt=2**32)
    best_epoch: Size | None = None
    history: list[EpochSection] = Field(default_factory=list)
    test: EvaluationSection = EvaluationSection()


class CompleteFile(_Section):
    """All sections but weights, architecture and encoding."""

    test_accuracy: Percent | None = None
    training_config: TrainingConfigSection = TrainingConfigSection()
    training_results: TrainingResults = TrainingResults()
    training_history: TrainingHistory = TrainingHistory()
    training_spikes: TrainingSpikesSection = TrainingSpikesSection()
    inference_spikes: InferenceSpikesSection = InferenceSpikesSection()
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
        spikes = [entry.spikes for entry in self.spikejoule.history if entry.spikes]
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
