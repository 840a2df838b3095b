"""train: learn from freshly drawn spikes, count all of them, keep the best weights."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from spikejoule.core.parameters import ParameterFile, Seed
from spikejoule.core.store import write_csv
from spikejoule.data.dataset import DataDescription, load_samples
from spikejoule.encoding.encoded_files import EncodedImages, load_events_of
from spikejoule.encoding.params import EncodeParams
from spikejoule.engine.learning import chosen_trainer
from spikejoule.network.params import ModelParams
from spikejoule.training.epochs import TrainMetrics, TrainTimings, history_rows
from spikejoule.training.free_cores import FreeCores
from spikejoule.training.observers import HostMeter, Progress, TrainingObserver
from spikejoule.training.params import TrainParams
from spikejoule.training.training import Training, TrainingData, train
from stages.shared.project import shown_run
from stages.shared.resuming import resumable

logger = logging.getLogger(__name__)


class Params(ParameterFile, extra="ignore"):
    """What this stage reads of params.yaml."""

    seed: Seed
    encode: EncodeParams
    model: ModelParams
    train: TrainParams


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the trained network, its history, headline figures, and times."""
    data = _data(paths, params)
    description = DataDescription.read(paths["data_metrics"])
    samples = data.samples
    settings = params.train
    network = params.model.network_of(samples.shape, samples.subject.n_classes)
    trainer, threads = chosen_trainer(settings, network, settings, params.seed)
    logger.info(
        "%s engine on %s, threads: %d at most", trainer.name, trainer.device, threads
    )
    facts = {"engine": trainer.name, "device": trainer.device}
    if trainer.name == "dense":  # its rounding depends on the number of threads
        facts["threads"] = str(settings.threads)
    with (
        resumable("train", params, settings.resume, facts) as resume,
        shown_run(network, trainer.name, resume.key) as run,
        closing(Progress(settings.max_epochs, len(samples))) as progress,
    ):
        meter = HostMeter()
        observers: list[TrainingObserver] = [progress, meter]
        if trainer.name == "event" and settings.threads == 0:
            observers.append(FreeCores(threads))
        if run is not None:
            observers.append(run)
        training = Training(data, trainer, settings, params.seed, tuple(observers))
        train(training, resume)
        trained = training.trained_network(description.model_dump(exclude_unset=True))
        trained.checkpoint().write(paths["trained"])
        if run is not None:
            run.trained(paths["trained"])
        _write_results(paths, training, network.layer_names)
        TrainTimings(
            training_time_seconds=sum(training.epoch_seconds),
            epoch_times_seconds=list(training.epoch_seconds),
            timestamp=resume.started,
            processor_seconds=training.processor_seconds,
            device=trainer.device,
            engine=trainer.name,
            threads=threads,
            host_joules=meter.joules,
        ).write(paths["train_timings"])
        resume.end(paths["train_timings"])
    logger.info(
        "best validation accuracy %.2f %% in epoch %d of %d (ended by %s), %.1f s "
        "with the %s engine on %s; energy drawn by the computer: %s",
        training.best_validation_accuracy_percent,
        training.best_epoch,
        len(training.history),
        training.stop_reason,
        sum(training.epoch_seconds),
        trainer.name,
        trainer.device,
        "not measured" if meter.joules is None else f"{meter.joules:.0f} J",
    )


def _data(paths: Mapping[str, Path], params: Params) -> TrainingData:
    """Read the data to learn from."""
    samples = load_samples(paths["train"])
    validation = load_samples(paths["validation"])
    encoder = params.encode.encoder
    made_from = EncodedImages(
        encoder=encoder,
        seed=params.seed,
        split="validation",
        images_sha256=validation.sha256,
    )
    events = load_events_of(paths["events_validation"], made_from.entry())
    return TrainingData(samples, encoder, events, validation.labels)


def _write_results(
    paths: Mapping[str, Path], training: Training, layer_names: Sequence[str]
) -> None:
    """Write the training curves and the headline figures."""
    rows = history_rows(training.history, layer_names)
    write_csv(paths["history"], tuple(rows[0]), [tuple(row.values()) for row in rows])
    TrainMetrics(
        best_validation_accuracy_percent=training.best_validation_accuracy_percent,
        best_epoch=training.best_epoch,
        epochs_trained=len(training.history),
        stop_reason=training.stop_reason,
    ).write(paths["train_metrics"])
