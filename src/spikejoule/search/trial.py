"""One trial: trained as the stage `train` trains, and measured on validation images alone."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import file_digest
from spikejoule.core.resume import Keeper
from spikejoule.data.images import DataDescription, LabelledImages, Samples, load_samples
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy import HardwareProfile, count_operations
from spikejoule.energy.pricing import sample_energies
from spikejoule.engine import engine_to_train
from spikejoule.evaluation.inference import measure_network
from spikejoule.model.architecture import Architecture
from spikejoule.model.trained import save_trained
from spikejoule.params import Params
from spikejoule.training.outcome import trained_network
from spikejoule.training.training import TrainingData, TrainingObserver, train

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""What a search reads of a pipeline's artifacts: no test images are among them."""

_PJ_A_NJ = 1000.0


@dataclass(frozen=True, eq=False)
class SearchData:
    """The samples of the stage `prepare`, and what it says of them."""

    train: Samples
    validation: Samples
    description: DataDescription


@dataclass(frozen=True)
class TrialResult:
    """What a trial gave.

    Attributes:
        validation_accuracy_percent: of the weights that are kept.
        synaptic_events_per_inference: a mean over all validation images.
        energy_nj_per_inference: likewise, under a profile's prices (half-way between their ends
            where it has brackets alone); None without a profile.
        best_epoch: the epoch of these weights.
        trained_sha256: of the file that the stage `train` writes from the same parameters.
    """

    validation_accuracy_percent: float
    synaptic_events_per_inference: float
    energy_nj_per_inference: float | None
    best_epoch: int
    trained_sha256: str

    @property
    def objectives(self) -> tuple[float, float]:
        """Accuracy, and energy in nJ or synaptic events."""
        events, energy = self.synaptic_events_per_inference, self.energy_nj_per_inference
        return self.validation_accuracy_percent, events if energy is None else energy


def digests(paths: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each of `ARTIFACTS`; ArtifactError if one is missing."""
    for name in ARTIFACTS:
        if not paths[name].is_file():
            raise ArtifactError(f"there is no {paths[name]}: `dvc repro prepare` makes it.")
    return {name: file_digest(paths[name], "sha256") for name in ARTIFACTS}


def load_data(paths: Mapping[str, Path], expected: Mapping[str, str]) -> SearchData:
    """Read the samples; ArtifactError if they are not those of the digests that are expected."""
    for name, digest in digests(paths).items():
        if digest != expected[name]:
            raise ArtifactError(
                f"{paths[name]} is not the file that the search was begun with: run `dvc repro "
                "prepare` with its parameters, or begin another search."
            )
    samples, validation = load_samples(paths["train"]), load_samples(paths["validation"])
    description = DataDescription.read(paths["data_metrics"])
    description.check_counts(paths["data_metrics"], len(samples), len(validation))
    return SearchData(samples, validation, description)


def layer_names(params: Params, data: SearchData) -> tuple[str, ...]:
    """The names of the layers, the input first."""
    return _architecture(params, data).layer_names


def run_trial(
    params: Params,
    data: SearchData,
    profile: HardwareProfile | None,
    threads: int,
    observers: tuple[TrainingObserver, ...] = (),
    keeper: Keeper | None = None,
) -> TrialResult:
    """Train a network and measure it.

    Args:
        params: all parameters; but for `train.threads`, those that the pipeline would have.
        data: samples to train and to validate on.
        profile: prices of energy; None where synaptic events are all that is asked for.
        threads: CPU threads, on which no result depends.
        observers: told of every batch and epoch.
        keeper: has the state of a trial that was killed.

    Raises:
        ParameterError: training diverged, or the engine cannot be had.
    """
    encoder, seed = params.encode.encoder, params.seed
    architecture = _architecture(params, data)
    samples, validation = data.train, data.validation
    events = encode_samples(encoder, validation, seed, "validation").events
    settings = params.train.model_copy(update={"threads": threads})
    engine, _ = engine_to_train(settings, architecture, params.train, seed)
    result = train(
        TrainingData(
            samples.inputs, samples.labels, samples.index, encoder, events, validation.labels
        ),
        engine,
        architecture.layer_names,
        params.train,
        seed,
        observers,
        keeper=keeper,
    )
    network = trained_network(
        result,
        encoder,
        seed,
        params.train,
        data.description.model_dump(exclude_unset=True),
        engine.name,
    )
    measured = measure_network(network.state, network.architecture, events, pruned=network.pruned)
    energy = None
    if profile is not None:
        code = None
        if isinstance(validation, LabelledImages):
            code = encoder.operations(validation.images)
        operations = count_operations(measured, code)
        energy = sample_energies(operations, profile).middle_pj / _PJ_A_NJ
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trained.pth"
        save_trained(file, network)
        digest = file_digest(file, "sha256")
    return TrialResult(
        result.best_validation_accuracy_percent,
        measured.proxies.synaptic_events_per_inference,
        energy,
        result.best_epoch,
        digest,
    )


def _architecture(params: Params, data: SearchData) -> Architecture:
    return Architecture(
        math.prod(data.train.shape),
        params.model.hidden,
        data.train.subject.n_classes,
        params.model.chosen_neuron,
        params.model.quantisation,
    )
