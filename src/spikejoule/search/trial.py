"""One trial: trained as the stage `train` trains, and measured on validation images alone."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.data.images import N_CLASSES, DataDescription, LabelledImages, load_images
from spikejoule.energy import HardwareProfile, count_operations
from spikejoule.energy.pricing import sample_energies
from spikejoule.engine import engine_to_train
from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.provenance import file_digest
from spikejoule.foundation.resume_files import Keeper
from spikejoule.learn.outcome import trained_network
from spikejoule.learn.training import TrainingData, TrainingObserver, train
from spikejoule.measure.running import measure_network
from spikejoule.model.architecture import Architecture
from spikejoule.model.trained import save_trained
from spikejoule.params import Params

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""What a search reads of a pipeline's artifacts: no test images are among them."""

_PJ_A_NJ = 1000.0


@dataclass(frozen=True, eq=False)
class SearchData:
    """The images of the stage `prepare`, and what it says of them."""

    train: LabelledImages
    validation: LabelledImages
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
    """Read the images; ArtifactError if they are not those of the digests that are expected."""
    for name, digest in digests(paths).items():
        if digest != expected[name]:
            raise ArtifactError(
                f"{paths[name]} is not the file that the search was begun with: run `dvc repro "
                "prepare` with its parameters, or begin another search."
            )
    images, validation = load_images(paths["train"]), load_images(paths["validation"])
    description = DataDescription.read(paths["data_metrics"])
    description.check_counts(paths["data_metrics"], len(images), len(validation))
    return SearchData(images, validation, description)


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
        data: images to train and to validate on.
        profile: prices of energy; None where synaptic events are all that is asked for.
        threads: CPU threads, on which no result depends.
        observers: told of every batch and epoch.
        keeper: has the state of a trial that was killed.

    Raises:
        ParameterError: training diverged, or the engine cannot be had.
    """
    encoder, seed = params.encode.encoder, params.seed
    architecture = _architecture(params, data)
    images, validation = data.train, data.validation
    events = encoder.events(
        validation.images, encoder.draw_key(seed, "validation", epoch=0), validation.index
    )
    settings = params.train.model_copy(update={"threads": threads})
    engine, _ = engine_to_train(
        settings, architecture, params.train, seed, encoder.density(images.images)
    )
    result = train(
        TrainingData(
            images.images, images.labels, images.index, encoder, events, validation.labels
        ),
        engine,
        architecture.layer_names,
        params.train,
        seed,
        observers,
        keeper=keeper,
    )
    network = trained_network(
        result, encoder, seed, params.train, data.description.model_dump(), engine.name
    )
    measured = measure_network(network.state, network.architecture, events, pruned=network.pruned)
    energy = None
    if profile is not None:
        operations = count_operations(measured, encoder.operations(validation.images))
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
    _, height, width = data.train.images.shape
    return Architecture(
        height * width,
        params.model.hidden,
        N_CLASSES,
        params.model.chosen_neuron,
        params.model.quantisation,
    )
