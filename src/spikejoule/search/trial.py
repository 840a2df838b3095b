"""One trial: trained as the stage `train` or `baseline` trains, and measured on
validation images alone."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.baselines.counts import measure_baseline
from spikejoule.baselines.settings import family
from spikejoule.baselines.training import train_baselines
from spikejoule.core.provenance import file_digest
from spikejoule.core.resume import ResumeFile
from spikejoule.data.images import DataDescription, LabelledImages, Samples
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.estimates import Energy
from spikejoule.energy.ledger import (
    SPIKING,
    Variant,
    averaged,
    baseline_variants,
    spiking_variants,
)
from spikejoule.energy.prices import price
from spikejoule.engine import engine_to_train
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.trained import save_trained
from spikejoule.params import Params
from spikejoule.search.space import Search
from spikejoule.training.training import TrainingData, train

ARTIFACTS: Final = ("train", "validation", "data_metrics")
"""What a search reads of a pipeline's artifacts: no test images are among them."""

_PJ_PER_NJ = 1000.0


@dataclass(frozen=True, eq=False)
class SearchData:
    """The samples of the stage `prepare`, and what it says of them."""

    train: Samples
    validation: Samples
    description: DataDescription


Trained = tuple[dict[str, float], Sequence[Variant], str]
"""What a network gave, the ways of running it on validation images, and its
checksum.
"""


def trained_spiking(
    params: Params, data: SearchData, threads: int, state_store: ResumeFile | None
) -> Trained:
    """As the stage `train` trains, which writes a file of this checksum.

    Args:
        params: all parameters; but for `train.threads`, those that the pipeline would
            have.
        data: samples to train and to validate on.
        threads: of the processor.
        state_store: has the state of a trial that was killed; None where none is kept.

    Returns:
        `validation_accuracy_percent` of the weights that are kept, `best_epoch`, the
        epoch of them, and `synaptic_events_per_inference` over all validation images.

    Raises:
        ParameterError: training diverged, or the engine cannot be had.
    """
    validation = data.validation
    encoder = params.encode.encoder
    events = encode_samples(encoder, validation, params.seed, "validation").events
    settings = params.train.model_copy(update={"threads": threads})
    network = params.model.network_of(data.train.shape, data.train.subject.n_classes)
    engine, _ = engine_to_train(settings, network, params.train, params.seed)
    learned_from = TrainingData(data.train, encoder, events, validation.labels)
    result = train(
        learned_from, engine, params.train, params.seed, state_store=state_store
    )
    trained = result.trained_network(data.description.model_dump(exclude_unset=True))
    with tempfile.TemporaryDirectory() as folder:
        save_trained(file := Path(folder) / "trained.pth", trained)
        digest = file_digest(file, "sha256")
    measured = measure_network(
        trained.state, trained.network, events, pruned=trained.pruned
    )
    shown = validation.images if isinstance(validation, LabelledImages) else None
    metrics = {
        "validation_accuracy_percent": result.best_validation_accuracy_percent,
        "best_epoch": result.best_epoch,
        "synaptic_events_per_inference": measured.proxies.synaptic_events_per_inference,
    }
    return metrics, spiking_variants("", measured, encoder, shown), digest


def trained_conventional(
    params: Params, data: SearchData, threads: int, state_store: ResumeFile | None
) -> Trained:
    """As the stage `baseline` trains the one member of a family; see `trained_spiking`.

    In place of events, `macs_per_inference` are without those of a zero, and the
    checksum is that of `baselines.counts.weights_digest`.
    """
    train = data.train
    validation = data.validation
    assert isinstance(train, LabelledImages)
    assert isinstance(validation, LabelledImages)
    n_input = math.prod(train.shape)
    n_classes = train.subject.n_classes
    epochs = (params.train.prune_start, params.train.prune_end)
    variants = [
        *family(n_input, n_classes, params.baseline, epochs, params.model.state_bits)
    ]
    settings = params.baseline.training(params.train)
    (trained,) = train_baselines(
        train, validation, variants, settings, params.seed, state_store=state_store
    ).baselines
    splits = {"validation": validation, "test": validation}
    is_pruned = params.train.pruned_fraction > 0
    counts = measure_baseline("", trained.network, False, is_pruned, splits).counts
    metrics = {
        "validation_accuracy_percent": counts.validation_accuracy_percent,
        "best_epoch": trained.best_epoch,
        "macs_per_inference": float(counts.macs_nonzero.sum(axis=1).mean()),
    }
    return metrics, baseline_variants([counts], len(validation)), counts.weights_sha256


def run_trial(
    params: Params, data: SearchData, search: Search, state_store: ResumeFile | None
) -> tuple[dict[str, float], str]:
    """Train a network and measure it.

    Returns:
        what `trained_spiking` or `trained_conventional` gives, and
        `energy_nj_per_inference` under the prices (half-way between their ends where
        there are brackets alone), a mean over all validation images, of the cheapest
        way of running the network to its end; the checksum.
    """
    run = trained_spiking if search.space.side == SPIKING else trained_conventional
    metrics, variants, digest = run(params, data, search.threads, state_store)
    ways = averaged(
        variants, data.description.average_pixels or 1, math.prod(data.train.shape)
    )
    energies = [
        price(way.operations, search.space.profile).mean(axis=1) for way in ways
    ]
    cheapest = min(Energy.of(energy).middle_pj for energy in energies)
    return metrics | {"energy_nj_per_inference": cheapest / _PJ_PER_NJ}, digest
