"""baseline: train a ReLU network of the same size, quantise it, and count its multiplications."""

import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from tqdm import tqdm

from spikejoule.data.images import N_CLASSES, LabelledImages, load_images
from spikejoule.foundation.host_energy import measure_host_energy
from spikejoule.measure.evaluation import Accuracy, accuracy
from spikejoule.model.architecture import Architecture
from spikejoule.params import Params
from spikejoule.rival.baseline_files import BaselineMetrics, BaselineTimings, save_baseline
from spikejoule.rival.counts import BaselineCounts
from spikejoule.rival.quantised import activation_bits, quantise, quantised_activations
from spikejoule.rival.relu import (
    BaselineTraining,
    activations,
    nonzero_macs,
    train_baseline,
)
from stages.shared.common import run_stage

logger = logging.getLogger(__name__)

PATHS = ("train", "validation", "test", "baseline", "baseline_metrics", "baseline_timings")

# The first training images, as they are: the ranges of the quantised activations come from them.
CALIBRATION_IMAGES = 2000


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write counts and predictions of both networks, their headline figures, and the times."""
    train, validation = load_images(paths["train"]), load_images(paths["validation"])
    test = load_images(paths["test"])
    architecture = Architecture(train.images[0].size, params.model.hidden, N_CLASSES)
    started = datetime.now().astimezone()
    with measure_host_energy() as host:
        training = _train(train, validation, architecture, params)
    bits = activation_bits(params.encode.time_window)
    calibration = activations(training.state, train.images[:CALIBRATION_IMAGES])
    quantised = quantise(training.state, calibration, bits, params.baseline.weight_bits)
    layers: list[tuple[NDArray[Any], ...]] = [
        activations(training.state, test.images),
        quantised_activations(quantised, test.images),
    ]
    shape = "-".join(str(size) for size in architecture.layer_sizes)
    names = [f"ReLU {shape}", f"quantised ReLU {shape}"]
    predictions = [values[-1].argmax(axis=1) for values in layers]
    accuracies = [
        accuracy(int((classes == test.labels).sum()), len(test), params.evaluate.confidence)
        for classes in predictions
    ]
    counts = [
        BaselineCounts(
            name=name,
            accuracy_percent=overall.percent or 0.0,
            macs_dense=sum(architecture.synapses),
            macs_nonzero=nonzero_macs(values, architecture),
            bits=width,
        )
        for name, values, overall, width in zip(names, layers, accuracies, (32, bits), strict=True)
    ]
    save_baseline(
        paths["baseline"],
        counts,
        predictions,
        test.labels,
        training.state,
        quantised,
    )
    headline = {
        f"{key}_{name}": value
        for key, entry, overall in zip(("relu", "quantised"), counts, accuracies, strict=True)
        for name, value in _headline(entry, overall).items()
    }
    BaselineMetrics.model_validate(headline).write(paths["baseline_metrics"])
    BaselineTimings(
        training_time_seconds=sum(training.epoch_seconds),
        epoch_times_seconds=list(training.epoch_seconds),
        timestamp=started.isoformat(timespec="seconds"),
        host_energy=host.as_entry(),
    ).write(paths["baseline_timings"])
    for entry in counts:
        logger.info(
            "%s, %d-bit activations: test accuracy %.2f %%, %s MACs, %s without zeros",
            entry.name, entry.bits, entry.accuracy_percent, f"{entry.macs_dense:,}",
            f"{entry.macs_nonzero.mean():,.0f}",
        )  # fmt: skip


def _train(
    train: LabelledImages, validation: LabelledImages, architecture: Architecture, params: Params
) -> BaselineTraining:
    """The spiking network's budget and deformations, with learning constants of its own."""
    settings = params.baseline.training(params.train)
    with tqdm(total=settings.max_epochs, unit=" epochs", leave=False, disable=None) as bar:
        training = train_baseline(
            train, validation, architecture, settings, params.seed, lambda *_: bar.update()
        )
    logger.info(
        "best validation accuracy %.2f %% in epoch %d of %d, %.1f s on one thread",
        training.best_validation_accuracy_percent, training.best_epoch, settings.max_epochs,
        sum(training.epoch_seconds),
    )  # fmt: skip
    return training


def _headline(counts: BaselineCounts, overall: Accuracy) -> dict[str, float | int | None]:
    return {
        "test_accuracy_percent": overall.percent,
        "test_accuracy_low_percent": overall.low_percent,
        "test_accuracy_high_percent": overall.high_percent,
        "macs_dense": counts.macs_dense,
        "macs_nonzero_per_inference": float(counts.macs_nonzero.mean()),
    }


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
