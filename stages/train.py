"""train: learn from freshly drawn spikes, count every one of them, keep the best weights."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from spikejoule.data.images import DataDescription, LabelledImages, images_sha256, load_images
from spikejoule.engine import (
    BatchOutcome,
    Engine,
    LearningSettings,
    choose_engine,
    make_engine,
    resolve_device,
)
from spikejoule.engine.threads import use_threads
from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.host_energy import gpu_uuids, measure_host_energy
from spikejoule.learn.augmentation import Augmentation
from spikejoule.learn.schedule import ScheduleSettings
from spikejoule.learn.training import (
    EpochRecord,
    TrainingData,
    TrainingResult,
    TrainingSettings,
    train,
)
from spikejoule.model.architecture import Architecture
from spikejoule.model.network import initial_state
from spikejoule.model.pruning import PruningSettings
from spikejoule.model.trained import TrainedNetwork, save_trained
from spikejoule.model.training_files import History, HistoryRow, TrainMetrics, TrainTimings
from spikejoule.params import Params
from spikejoule.spikes.codes import EncodedImages, load_encoded_images
from spikejoule.spikes.events import EventList
from stages import journal
from stages.common import run_stage

logger = logging.getLogger(__name__)

INPUTS = ("train", "validation", "events_validation", "data_metrics")
OUTPUTS = ("trained", "history", "train_metrics", "train_timings")
PATHS = (*INPUTS, *OUTPUTS)

N_CLASSES = 10


class ProgressBar:
    """Shows training on a terminal; elsewhere a line an epoch has to do."""

    def __init__(self, samples_an_epoch: int, max_epochs: int) -> None:
        self._max_epochs = max_epochs
        self._bar = tqdm(total=samples_an_epoch, unit=" images", leave=False, disable=None)

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        self._bar.set_description(f"epoch {epoch}/{self._max_epochs}", refresh=False)
        self._bar.update(samples)

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        self._bar.reset()
        with tqdm.external_write_mode():
            logger.info(
                "epoch %d/%d: loss %.4f, training %.2f %%, validation %.2f %%, %.1f s",
                record.epoch, self._max_epochs, record.train_loss, record.train_accuracy_percent,
                record.validation_accuracy_percent, seconds,
            )  # fmt: skip

    def close(self) -> None:
        self._bar.close()


class JournalKeeper:
    """Tells of every epoch while training goes on."""

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        pass

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        journal.tell("epoch", record=asdict(record), seconds=seconds)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the trained network, its history, the headline figures, and the times."""
    images, validation = load_images(paths["train"]), load_images(paths["validation"])
    data = DataDescription.read(paths["data_metrics"])
    _check_data(paths["data_metrics"], data, images, validation)
    events = _validation_events(paths["events_validation"], validation, params)
    architecture = Architecture(
        events.n_inputs,
        params.model.hidden,
        N_CLASSES,
        params.model.threshold,
        params.model.decay,
    )
    engine, threads = _engine(params, architecture, images)
    bar = ProgressBar(len(images), params.train.max_epochs)
    started = datetime.now().astimezone()
    journal.tell("training", layer_names=architecture.layer_names)
    try:
        with measure_host_energy(gpu_uuids(engine.device)) as host:
            result = train(
                TrainingData(images.images, images.labels, images.index, events, validation.labels),
                engine,
                architecture.layer_names,
                _training_settings(params),
                (JournalKeeper(), bar),
            )
    finally:
        bar.close()
    network = TrainedNetwork(
        architecture=architecture,
        state=result.state,
        encoding={
            "type": "poisson",
            "time_window": params.encode.time_window,
            "max_rate_hz": params.encode.max_rate,
            "seed": params.seed,
        },
        training_config={**params.train.model_dump(mode="json"), "optimizer": "Adam"},
        history=tuple(asdict(record) for record in result.history),
        training_spikes=result.spikes,
        best_epoch=result.best_epoch,
        best_validation_accuracy_percent=result.best_validation_accuracy_percent,
        data=data.model_dump(),
        engine=engine.name,
        optimizer_state=result.optimizer_state,
    )
    save_trained(paths["trained"], network)
    journal.tell("trained", path=str(paths["trained"].resolve()))
    _write_history(paths["history"], result, architecture.layer_names)
    TrainMetrics(
        best_validation_accuracy_percent=result.best_validation_accuracy_percent,
        best_epoch=result.best_epoch,
        epochs_trained=len(result.history),
        stop_reason=result.stop_reason,
    ).write(paths["train_metrics"])
    TrainTimings(
        training_time_seconds=sum(result.epoch_seconds),
        epoch_times_seconds=list(result.epoch_seconds),
        timestamp=started.isoformat(timespec="seconds"),
        device=engine.device,
        engine=engine.name,
        threads=threads,
        host_energy=host.as_entry(),
    ).write(paths["train_timings"])
    logger.info(
        "best validation accuracy %.2f %% in epoch %d of %d (ended by %s), %.1f s with the %s "
        "engine on %s",
        result.best_validation_accuracy_percent, result.best_epoch, len(result.history),
        result.stop_reason, sum(result.epoch_seconds), engine.name, engine.device,
    )  # fmt: skip


def _check_data(
    path: Path, data: DataDescription, images: LabelledImages, validation: LabelledImages
) -> None:
    """Raise ArtifactError unless the description is that of these images."""
    for name, stated, samples in (
        ("training", data.counts.train, images),
        ("validation", data.counts.validation, validation),
    ):
        if stated != len(samples):
            raise ArtifactError(
                f"{path} states {stated:,} {name} images, but there are {len(samples):,}: run the "
                "prepare stage again."
            )


def _validation_events(path: Path, validation: LabelledImages, params: Params) -> EventList:
    """The events to validate on, refused unless they are these images in this encoding."""
    events, code = load_encoded_images(path)
    expected = EncodedImages(
        type="poisson",
        time_window=params.encode.time_window,
        max_rate_hz=params.encode.max_rate,
        seed=params.seed,
        split="validation",
        images_sha256=images_sha256(validation),
    )
    for key, value in expected:
        if getattr(code, key) != value:
            raise ArtifactError(
                f"{path} was encoded with {key} {getattr(code, key)!r}, but {value!r} is needed: "
                "run the encode stage again."
            )
    return events


def _engine(
    params: Params, architecture: Architecture, images: LabelledImages
) -> tuple[Engine, int]:
    """The engine for these parameters, and the number of threads it may use."""
    settings = params.train
    threads = use_threads(settings.threads)
    device = resolve_device(settings.device)
    density = float(images.images.mean()) / 255 * params.encode.max_rate / 1000
    name = choose_engine(settings.engine, device, density)
    state = {key: value.numpy() for key, value in initial_state(architecture, params.seed).items()}
    learning = LearningSettings(
        surrogate=settings.surrogate,
        surrogate_slope=settings.surrogate_slope,
        logit_scale=settings.logit_scale,
        label_smoothing=settings.label_smoothing,
        weight_decay=settings.weight_decay,
        grad_clip_norm=settings.grad_clip_norm,
    )
    logger.info(
        "%s engine on %s with %d threads (%.2f %% of the input bits are spikes)",
        name, device, threads, 100 * density,
    )  # fmt: skip
    return make_engine(name, architecture, state, learning, device), threads


def _training_settings(params: Params) -> TrainingSettings:
    settings = params.train
    return TrainingSettings(
        seed=params.seed,
        time_window=params.encode.time_window,
        max_rate_hz=params.encode.max_rate,
        batch_size=settings.batch_size,
        max_epochs=settings.max_epochs,
        schedule=ScheduleSettings(
            settings.schedule,
            settings.lr,
            settings.warmup_fraction,
            settings.plateau_factor,
            settings.plateau_patience,
        ),
        augmentation=Augmentation(
            settings.shift_pixels,
            settings.rotate_degrees,
            settings.scale_fraction,
            settings.shear_degrees,
        ),
        patience=settings.patience,
        target_accuracy_percent=settings.target_accuracy,
        pruning=PruningSettings(settings.pruned_fraction, settings.prune_start, settings.prune_end),
    )


def _write_history(path: Path, result: TrainingResult, layer_names: tuple[str, ...]) -> None:
    """One row an epoch; `hidden_spikes_per_sample` is the sum over all hidden layers."""
    hidden_names = layer_names[1:-1] if len(layer_names) > 3 else ()
    columns = tuple(f"{name}_spikes_per_sample" for name in hidden_names)
    rows = []
    for record in result.history:
        first, *hidden, last = (count / record.samples for count in record.spikes)
        rows.append(
            HistoryRow(
                epoch=record.epoch,
                learning_rate=record.learning_rate,
                train_loss=record.train_loss,
                train_accuracy_percent=record.train_accuracy_percent,
                validation_accuracy_percent=record.validation_accuracy_percent,
                input_spikes_per_sample=first,
                hidden_spikes_per_sample=sum(hidden),
                output_spikes_per_sample=last,
                **dict(zip(columns, hidden, strict=False)),
            )
        )
    History(rows=tuple(rows)).write(path, columns)


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
