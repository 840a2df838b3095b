"""One trial: trained like the stage `train` or `baseline`, measured on validation."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.settings import family
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.core.provenance import file_digest
from spikejoule.core.resume import ResumeFile
from spikejoule.data.dataset import DataDescription, Samples
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import (
    SPIKING,
    Variant,
    baseline_variants,
    spiking_variant,
)
from spikejoule.energy.prices import price
from spikejoule.engine.learning import chosen_trainer
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import counted_runs
from spikejoule.params import Params
from spikejoule.search.space import Search
from spikejoule.training.training import Training, TrainingData, train

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""The pipeline's artifacts that a search reads: no test images among them."""

_PJ_PER_NJ = 1000.0


@dataclass(frozen=True, eq=False)
class SearchData:
    """The samples of the stage `prepare`, and their description."""

    train: Samples
    validation: Samples
    description: DataDescription


class Outcome(NamedTuple):
    """A trained network.

    Attributes:
        metrics: accuracy and counts, by name.
        variants: the ways to run it, counted on validation images.
        digest: SHA-256 of its weights or file.
    """

    metrics: dict[str, float]
    variants: Sequence[Variant]
    digest: str


def trained_spiking(
    params: Params, data: SearchData, threads: int, state_store: ResumeFile | None
) -> Outcome:
    """Train like the stage `train`, which would write a file with this digest.

    Args:
        params: all parameters.
        data: samples for training and validation.
        threads: processor threads, in place of `train.threads`.
        state_store: holds the state of a killed trial; None where none is kept.

    Returns:
        metrics are `validation_accuracy_percent` of the kept weights, their
        `best_epoch`, and `synaptic_events_per_inference` over all validation images.

    Raises:
        ParameterError: training diverged, or the engine is not available.
    """
    validation = data.validation
    encoder = params.encode.encoder
    events = encode_samples(encoder, validation, params.seed, "validation").events
    settings = params.train.model_copy(update={"threads": threads})
    network = params.model.network_of(data.train.shape, data.train.subject.n_classes)
    trainer, _ = chosen_trainer(settings, network, params.train, params.seed)
    learned_from = TrainingData(data.train, encoder, events, validation.labels)
    training = Training(learned_from, trainer, params.train, params.seed)
    result = train(training, state_store)
    description = data.description.model_dump(exclude_unset=True)
    trained = result.trained_network(description).checkpoint()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trained.pth"
        trained.write(file)
        digest = file_digest(file, "sha256")
    measured = measure_network(
        trained.state, trained.network, events, pruned=trained.pruned
    )
    images = validation.images if isinstance(validation, LabelledImages) else None
    runs = counted_runs(measured, encoder, images)
    metrics = {
        "validation_accuracy_percent": result.best_validation_accuracy_percent,
        "best_epoch": result.best_epoch,
        "synaptic_events_per_inference": runs[0].synaptic_events_per_inference,
    }
    return Outcome(metrics, tuple(map(spiking_variant, runs)), digest)


def trained_conventional(
    params: Params, data: SearchData, threads: int, state_store: ResumeFile | None
) -> Outcome:
    """Train the one member of the family like the stage `baseline`.

    See `trained_spiking`; in place of events, the metrics have `macs_per_inference`,
    without products of a zero. The digest is `core.npz.arrays_digest`.
    """
    train_images = data.train
    validation = data.validation
    assert isinstance(train_images, LabelledImages)
    assert isinstance(validation, LabelledImages)
    n_input = math.prod(train_images.shape)
    n_classes = train_images.subject.n_classes
    epochs = (params.train.prune_start, params.train.prune_end)
    members = [
        *family(n_input, n_classes, params.baseline, epochs, params.model.state_bits)
    ]
    settings = params.baseline.training(params.train)
    training = BaselinesTraining(
        train_images, validation, members, settings, params.seed
    )
    (trained,) = train_baselines(training, state_store).baselines
    splits = {"validation": validation, "test": validation}
    is_pruned = params.train.pruned_fraction > 0
    counts = measure_baseline("", trained.network, False, is_pruned, splits).counts
    metrics = {
        "validation_accuracy_percent": counts.validation_accuracy_percent,
        "best_epoch": trained.best_epoch,
        "macs_per_inference": float(counts.activity.macs.mean()),
    }
    variants = baseline_variants([counts], len(validation))
    return Outcome(metrics, variants, counts.weights_sha256)


def run_trial(
    params: Params, data: SearchData, search: Search, state_store: ResumeFile | None
) -> tuple[dict[str, float], str]:
    """Train a network, measure it and price it.

    Returns:
        the metrics of `trained_spiking` or `trained_conventional` and
        `energy_nj_per_inference`, the mean over all validation images of the cheapest
        way to run the network to its end (the middle of a price range); the digest.
    """
    run = trained_spiking if search.space.side == SPIKING else trained_conventional
    outcome = run(params, data, search.threads, state_store)
    energies = [
        price(variant.operations, search.space.profile).mean(axis=1)
        for variant in outcome.variants
    ]
    cheapest_pj = min(Energy.of(energy).middle_pj for energy in energies)
    metrics = {
        **outcome.metrics,
        "energy_nj_per_inference": cheapest_pj / _PJ_PER_NJ,
    }
    return metrics, outcome.digest
