"""What the pipeline's stages do, on samples in memory."""

import warnings
from dataclasses import asdict, replace
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from spikejoule.classifier.parameters import Parameters
from spikejoule.classifier.samples import identities_by_content
from spikejoule.compare.analysis import EnergyAnalysis, analyse
from spikejoule.compare.from_checkpoint import analysis_inputs
from spikejoule.compare.from_counts import with_accuracy
from spikejoule.core.errors import DataError
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import split_validation
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.encoded_files import encode_samples
from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.energy.prices import headline_profile, load_profiles
from spikejoule.engine.learning import chosen_trainer
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import CountedSamples, counted_runs
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.training.free_cores import FreeCores
from spikejoule.training.training import Training, TrainingData, train

_packaged_profiles = cache(load_profiles)


def split(
    samples: LabelledImages, params: Parameters
) -> tuple[LabelledImages, LabelledImages]:
    """Set validation samples apart, as the stage `prepare` does.

    If they are too few to have every class on both sides, all are trained and validated
    on, with a warning.
    """
    if params.validation_size == 0:
        return samples, samples
    try:
        parts = split_validation(samples, params.validation_size, params.random_state)
    except DataError as error:
        # Level 3 is the caller of `fit`.
        warnings.warn(
            f"the best epoch is chosen on the training samples: {error}", stacklevel=3
        )
        return samples, samples
    return cast(tuple[LabelledImages, LabelledImages], parts)


def trained_on(
    samples: LabelledImages, validation: LabelledImages, params: Parameters
) -> Checkpoint:
    """Train a network, as the stages `encode` and `train` do."""
    seed = params.random_state
    encoder = params.encode.encoder
    events = encode_samples(encoder, validation, seed, "validation").events
    data = TrainingData(samples, encoder, events, validation.labels)
    network = params.model.network_of(samples.shape, samples.subject.n_classes)
    trainer, threads = chosen_trainer(params.train, network, params.train, seed)
    is_adaptive = trainer.name == "event" and params.train.threads == 0
    observers = (FreeCores(threads),) if is_adaptive else ()
    training = train(Training(data, trainer, params.train, seed, observers))
    described = {"source": "arrays", "title": "samples"} | asdict(samples.subject)
    described["class_names"] = list(samples.subject.class_names)
    return training.trained_network(described).checkpoint()


def measured(trained: Checkpoint, levels: NDArray[np.uint8]) -> Measurement:
    """Run a network on samples [n, features], encoded like the test images.

    Random spikes follow from the levels of a sample in place of its position.
    """
    encoder = trained.encoder
    key = encoder.draw_key(trained.seed, "test", epoch=0)
    events = encoder.events(levels, key, identities_by_content(levels))
    return measure_network(
        trained.state, trained.network, events, pruned=trained.pruned
    )


def priced(
    trained: Checkpoint,
    levels: NDArray[np.uint8],
    measurement: Measurement,
    labels: NDArray[np.integer] | None,
) -> EnergyAnalysis:
    """Price an inference, as the stages `evaluate` and `price` do, and the training.

    Args:
        trained: the network.
        levels: samples, [n, features].
        measurement: their spikes.
        labels: class of each sample, [n]; None if unknown.
    """
    classes = None if labels is None else labels.astype(np.int64)
    runs = counted_runs(measurement, trained.encoder, levels)
    inputs = analysis_inputs(trained, CountedSamples(runs, classes))
    if classes is not None:
        best_percent = trained.best_validation_accuracy_percent
        variants = [
            replace(
                with_accuracy(variant, classes, measurement.predictions),
                validation_percent=best_percent,
            )
            for variant in inputs.variants
        ]
        inputs = replace(inputs, variants=tuple(variants))
    profiles = _packaged_profiles(None)
    headline = headline_profile(profiles, None, "profile")
    return analyse(inputs, profiles, headline, None, BootstrapSettings())
