"""baseline: train a ReLU network of the same size, quantise it, and count its multiplications."""

import logging
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from spikejoule.data.images import N_CLASSES, LabelledImages, load_images
from spikejoule.foundation.host_energy import measure_host_energy
from spikejoule.learn.teacher import save_teacher
from spikejoule.measure.evaluation import accuracy
from spikejoule.model.architecture import Architecture
from spikejoule.params import Params
from spikejoule.rival.baseline_files import BaselineMetrics, BaselineTimings, save_baseline
from spikejoule.rival.measured import MeasuredRival, measure_rivals, quantise_for_window
from spikejoule.rival.relu import BaselineTraining, train_baseline
from stages.shared.common import run_stage

logger = logging.getLogger(__name__)

OUTPUTS = ("baseline", "teacher", "baseline_metrics", "baseline_timings")
PATHS = ("train", "validation", "test", *OUTPUTS)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write counts and predictions of both networks, their headline figures, and the times."""
    train, validation = load_images(paths["train"]), load_images(paths["validation"])
    test = load_images(paths["test"])
    architecture = Architecture(train.images[0].size, params.model.hidden, N_CLASSES)
    started = datetime.now().astimezone()
    with measure_host_energy() as host:
        training = _train(train, validation, architecture, params)
    quantised = quantise_for_window(
        training.state, train, params.encode.time_window, params.baseline.weight_bits
    )
    rivals = measure_rivals(training.state, quantised, architecture, test)
    counts = [rival.counts for rival in rivals]
    save_baseline(
        paths["baseline"],
        counts,
        [rival.predictions for rival in rivals],
        test.labels,
        training.state,
        quantised,
    )
    save_teacher(paths["teacher"], training.state)
    headline = {
        f"{key}_{name}": value
        for key, rival in zip(("relu", "quantised"), rivals, strict=True)
        for name, value in _headline(rival, len(test), params.evaluate.confidence).items()
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


def _headline(
    rival: MeasuredRival, n_images: int, confidence: float
) -> dict[str, float | int | None]:
    overall = accuracy(rival.n_correct, n_images, confidence)
    return {
        "test_accuracy_percent": overall.percent,
        "test_accuracy_low_percent": overall.low_percent,
        "test_accuracy_high_percent": overall.high_percent,
        "macs_dense": rival.counts.macs_dense,
        "macs_nonzero_per_inference": float(rival.counts.macs_nonzero.mean()),
    }


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
