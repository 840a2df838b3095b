"""baseline: train ReLU networks to compare with, and count their multiplications."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from spikejoule.baselines.counts import MeasuredBaseline, save_baseline
from spikejoule.baselines.measuring import measure_baseline
from spikejoule.baselines.quantised import (
    CALIBRATION_IMAGES,
    Widths,
    activation_bits,
    quantise,
)
from spikejoule.baselines.settings import (
    SHARED_KEYS,
    BaselineSettings,
    equal_size_variant,
    family,
)
from spikejoule.baselines.training import BaselinesTraining, train_baselines
from spikejoule.core.parameters import Only, ParameterFile, Seed
from spikejoule.core.resume import ResumeFile
from spikejoule.core.store import write_json
from spikejoule.data.dataset import Samples, load_samples
from spikejoule.data.events import LabelledEvents
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.binning import WHITE, largest_count, summed_images
from spikejoule.encoding.encoders.none import NoEncoding
from spikejoule.encoding.params import EncodeParams
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.params import EvaluateParams
from spikejoule.network.params import ModelParams
from spikejoule.training.epochs import EpochTimes
from spikejoule.training.relu.running import activations
from spikejoule.training.settings import TrainingSettings
from stages.shared.resuming import resumable

logger = logging.getLogger(__name__)

_SPLITS = ("train", "validation", "test")
_TRAIN_KEYS = (*SHARED_KEYS, "prune_start", "prune_end", "resume")


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml.

    Single keys: a new surrogate does not train these networks again.
    """

    seed: Seed
    encode: Annotated[EncodeParams, Only(("time_window", "window_ms"))]
    model: Annotated[ModelParams, Only(("hidden", "state_bits"))]
    train: Annotated[TrainingSettings, Only(_TRAIN_KEYS)]
    evaluate: Annotated[EvaluateParams, Only(("confidence",))]
    baseline: BaselineSettings


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write counts and predictions of all networks, headline figures, and times."""
    samples = {name: load_samples(paths[name]) for name in _SPLITS}
    splits = _images(samples, params)
    with resumable("baseline", params, params.train.resume) as resume:
        training = _train(splits, params, resume)
        baselines = list(_measured(training, splits, params))
        save_baseline(paths["baseline"], baselines, splits["test"].labels)
        labels = splits["test"].labels
        confidence = params.evaluate.confidence
        write_json(
            paths["baseline_metrics"],
            _headline("relu", baselines[0], labels, confidence)
            | _headline("quantised", baselines[1], labels, confidence),
        )
        EpochTimes(
            training_time_seconds=sum(training.epoch_seconds),
            epoch_times_seconds=list(training.epoch_seconds),
            timestamp=resume.started,
            processor_seconds=training.processor_seconds,
        ).write(paths["baseline_timings"])
        resume.end(paths["baseline_timings"])
        for baseline in baselines:
            logger.info(
                "%s: test accuracy %.2f %%, %s MACs, %s with zeros skipped",
                baseline.counts.name,
                baseline.counts.accuracy_percent,
                f"{baseline.counts.macs_dense:,}",
                f"{baseline.counts.activity.macs.mean():,.0f}",
            )


def _images(splits: Mapping[str, Samples], params: Params) -> dict[str, LabelledImages]:
    """Return the samples as images: for events, the spike count of each unit."""
    train = splits["train"]
    encoder = NoEncoding(
        time_window=params.encode.time_window, window_ms=params.encode.window_ms
    )
    gain = 1
    if isinstance(train, LabelledEvents):
        # As bright as one byte per pixel allows.
        gain = max(1, WHITE // largest_count(train, encoder))
        logger.info(
            "the conventional networks read how often each unit spikes, times %d", gain
        )
    images = {}
    for name, samples in splits.items():
        if isinstance(samples, LabelledImages):
            images[name] = samples
        else:
            images[name] = summed_images(samples, encoder, gain)
    return images


def _train(
    splits: Mapping[str, LabelledImages], params: Params, state_store: ResumeFile
) -> BaselinesTraining:
    """Train the network of equal size and the family, side by side.

    All have the spiking network's epochs, augmentation, pruning schedule and sum width,
    and their own learning rate, weight decay and label smoothing.
    """
    n_input = splits["train"].images[0].size
    n_classes = splits["train"].subject.n_classes
    settings = params.baseline.training(params.train)
    epochs = params.train.prune_start, params.train.prune_end
    bits = params.model.state_bits
    variants = [
        equal_size_variant(n_input, params.model.hidden, n_classes),
        *family(n_input, n_classes, params.baseline, epochs, bits),
    ]
    with tqdm(
        total=settings.max_epochs, unit=" epochs", leave=False, disable=None
    ) as bar:
        training = train_baselines(
            BaselinesTraining(
                splits["train"],
                splits["validation"],
                variants,
                settings,
                params.seed,
            ),
            state_store,
            lambda epoch: bar.update(epoch - bar.n),
        )
    first = training.baselines[0]
    logger.info(
        "best validation accuracy of %s %.2f %% in epoch %d of %d; %d networks in "
        "%.1f s",
        first.variant.name,
        first.best_validation_accuracy_percent,
        first.best_epoch,
        settings.max_epochs,
        len(variants),
        sum(training.epoch_seconds),
    )
    return training


def _measured(
    training: BaselinesTraining, splits: Mapping[str, LabelledImages], params: Params
) -> Iterator[MeasuredBaseline]:
    """Measure the network of equal size, its quantised form, and the family."""
    for trained in training.baselines:
        variant = trained.variant
        pruned = variant.pruning.pruned_fraction > 0
        measured = measure_baseline(
            variant.name, trained.network, variant.equal_size, pruned, splits
        )
        yield measured.trained_in(training.record_of(trained))
        if variant.equal_size:
            images = splits["train"].images[:CALIBRATION_IMAGES]
            calibration = activations(trained.state, images)
            widths = Widths(
                # As many levels as a neuron has spike counts in the window.
                activation=activation_bits(params.encode.time_window),
                weight=params.baseline.weight_bits,
                sum=params.model.state_bits,
            )
            quantised = quantise(trained.state, calibration, widths)
            yield measure_baseline(
                f"quantised {variant.name}", quantised, True, False, splits
            )


def _headline(
    name: str, baseline: MeasuredBaseline, labels: NDArray[np.uint8], confidence: float
) -> dict[str, float | int | None]:
    n_correct = int((baseline.predictions == labels).sum())
    return {
        **accuracy(n_correct, len(labels), confidence).entries(f"{name}_test_accuracy"),
        f"{name}_macs_dense": baseline.counts.macs_dense,
        f"{name}_macs_nonzero_per_inference": float(
            baseline.counts.activity.macs.mean()
        ),
    }
