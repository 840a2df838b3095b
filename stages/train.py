"""train: learn from freshly drawn spikes, count every one of them, keep the best weights."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from spikejoule.core.host_energy import gpu_uuids, measure_host_energy
from spikejoule.data.images import DataDescription, load_samples, samples_sha256
from spikejoule.encoding.encoded_files import EncodedImages, load_events_of
from spikejoule.engine import engine_to_train
from spikejoule.model.architecture import Architecture
from spikejoule.model.trained import save_trained
from spikejoule.model.training_files import TrainMetrics, TrainTimings
from spikejoule.params import Params
from spikejoule.training.history import history_table
from spikejoule.training.outcome import trained_network
from spikejoule.training.teacher import load_teacher
from spikejoule.training.training import TrainingData, train
from stages.progress import JournalKeeper, ProgressBar
from stages.shared import journal
from stages.shared.common import run_stage
from stages.shared.resuming import resumable

logger = logging.getLogger(__name__)

INPUTS = ("train", "validation", "events_validation", "data_metrics", "teacher")
OUTPUTS = ("trained", "history", "train_metrics", "train_timings")
PATHS = (*INPUTS, *OUTPUTS)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the trained network, its history, the headline figures, and the times."""
    samples, validation = load_samples(paths["train"]), load_samples(paths["validation"])
    description = DataDescription.read(paths["data_metrics"])
    description.check_counts(paths["data_metrics"], len(samples), len(validation))
    encoder = params.encode.encoder
    code = EncodedImages(encoder, params.seed, "validation", samples_sha256(validation))
    events = load_events_of(paths["events_validation"], code)
    architecture = Architecture(
        events.n_inputs,
        params.model.hidden,
        samples.subject.n_classes,
        params.model.chosen_neuron,
        params.model.quantisation,
    )
    names = architecture.layer_names
    engine, threads = engine_to_train(params.train, architecture, params.train, params.seed)
    logger.info("%s engine on %s with %d threads", engine.name, engine.device, threads)
    teacher = None
    if params.train.distillation > 0:
        teacher = load_teacher(paths["teacher"], events.n_inputs, architecture.n_output)
    data = TrainingData(
        samples.inputs, samples.labels, samples.index, encoder, events, validation.labels, teacher
    )
    bar = ProgressBar(len(samples), params.train.max_epochs)
    facts = {"engine": engine.name, "device": engine.device}
    if engine.name == "dense":  # rounds by its threads
        facts["threads"] = str(params.train.threads)
    with resumable("train", params, facts, after=("baseline",)) as resume:
        journal.tell("training", layer_names=names)
        try:
            with measure_host_energy(gpu_uuids(engine.device)) as host:
                result = train(
                    data, engine, names, params.train, params.seed, (JournalKeeper(), bar),
                    keeper=resume.keeper(host),
                )  # fmt: skip
        finally:
            bar.close()
        network = trained_network(
            result,
            encoder,
            params.seed,
            params.train,
            description.model_dump(exclude_unset=True),
            engine.name,
        )
        save_trained(paths["trained"], network)
        journal.tell("trained", path=str(paths["trained"].resolve()))
        history, further_columns = history_table(result.history, names)
        history.write(paths["history"], further_columns)
        TrainMetrics(
            best_validation_accuracy_percent=result.best_validation_accuracy_percent,
            best_epoch=result.best_epoch,
            epochs_trained=len(result.history),
            stop_reason=result.stop_reason,
        ).write(paths["train_metrics"])
        TrainTimings(
            training_time_seconds=sum(result.epoch_seconds),
            epoch_times_seconds=list(result.epoch_seconds),
            timestamp=resume.started,
            device=engine.device,
            engine=engine.name,
            threads=threads,
            host_energy=resume.host_energy(),
        ).write(paths["train_timings"])
        resume.done(paths["train_timings"])
        logger.info(
            "best validation accuracy %.2f %% in epoch %d of %d (ended by %s), %.1f s with the %s "
            "engine on %s",
            result.best_validation_accuracy_percent, result.best_epoch, len(result.history),
            result.stop_reason, sum(result.epoch_seconds), engine.name, engine.device,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
