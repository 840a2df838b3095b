"""train: learn from freshly drawn spikes, count all of them, keep the best weights."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from spikejoule.core.host_energy import HostEnergy
from spikejoule.core.parameters import ParameterFile, Seed
from spikejoule.core.store import write_csv
from spikejoule.data.images import DataDescription, load_samples
from spikejoule.encoding.encoded_files import EncodedImages, load_events_of
from spikejoule.encoding.params import EncodeParams
from spikejoule.engine.learning import BatchOutcome, chosen_trainer
from spikejoule.network.params import ModelParams
from spikejoule.network.sections import EpochRecord
from spikejoule.training.epochs import TrainMetrics, TrainTimings, history_rows
from spikejoule.training.free_cores import FreeCores
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
    network = params.model.network_of(samples.shape, samples.subject.n_classes)
    trainer, threads = chosen_trainer(params.train, network, params.train, params.seed)
    logger.info(
        "%s engine on %s, threads: %d at most", trainer.name, trainer.device, threads
    )
    is_adaptive = trainer.name == "event" and params.train.threads == 0
    cores = FreeCores(threads) if is_adaptive else None
    facts = {"engine": trainer.name, "device": trainer.device}
    if trainer.name == "dense":  # its rounding depends on the number of threads
        facts["threads"] = str(params.train.threads)
    n_samples = params.train.max_epochs * len(samples)
    with (
        resumable("train", params, params.train.resume, facts) as resume,
        shown_run(network, trainer.name, resume.key) as run,
        tqdm(total=n_samples, unit=" samples", leave=False, disable=None) as bar,
    ):
        progress = Progress(bar, params.train.max_epochs, len(samples), cores)
        meter = HostMeter()
        observers = (progress, meter) if run is None else (progress, meter, run)
        training = Training(data, trainer, params.train, params.seed, observers)
        result = train(training, resume)
        trained = result.trained_network(description.model_dump(exclude_unset=True))
        trained.checkpoint().write(paths["trained"])
        if run is not None:
            run.trained(paths["trained"])
        _write_results(paths, result, network.layer_names)
        TrainTimings(
            training_time_seconds=sum(result.epoch_seconds),
            epoch_times_seconds=list(result.epoch_seconds),
            timestamp=resume.started,
            processor_seconds=result.processor_seconds,
            device=trainer.device,
            engine=trainer.name,
            threads=threads,
            host_joules=meter.joules,
        ).write(paths["train_timings"])
        resume.end(paths["train_timings"])
    logger.info(
        "best validation accuracy %.2f %% in epoch %d of %d (ended by %s), %.1f s "
        "with the %s engine on %s; energy drawn by the computer: %s",
        result.best_validation_accuracy_percent,
        result.best_epoch,
        len(result.history),
        result.stop_reason,
        sum(result.epoch_seconds),
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
    paths: Mapping[str, Path], result: Training, layer_names: Sequence[str]
) -> None:
    """Write the training curves and the headline figures."""
    rows = history_rows(result.history, layer_names)
    write_csv(paths["history"], tuple(rows[0]), [tuple(row.values()) for row in rows])
    TrainMetrics(
        best_validation_accuracy_percent=result.best_validation_accuracy_percent,
        best_epoch=result.best_epoch,
        epochs_trained=len(result.history),
        stop_reason=result.stop_reason,
    ).write(paths["train_metrics"])


class HostMeter:
    """Sums what the computer draws from epoch to epoch.

    Attributes:
        joules: so far; None if it has no counters, or an earlier process began.
    """

    def __init__(self) -> None:
        self.joules: float | None = None
        self._is_whole = True
        self._last = HostEnergy.read()

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """Ignore single steps."""

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Add what was drawn since the last epoch."""
        now = HostEnergy.read()
        drawn = now.joules_since(self._last)
        self._last = now
        if drawn is not None and self._is_whole:
            self.joules = (self.joules or 0.0) + drawn

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Measure nothing: the earlier epochs are not known."""
        self._is_whole = False


class Progress:
    """Reports training: a progress bar on a terminal, and a line for each epoch.

    After each batch it also lets the kernels use the cores that are free.
    """

    def __init__(
        self,
        bar: "tqdm[Any]",
        max_epochs: int,
        n_samples: int,
        cores: FreeCores | None = None,
    ) -> None:
        self._bar = bar
        self._max_epochs = max_epochs
        self._n_samples = n_samples
        self._cores = cores
        self._seconds: list[float] = []

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """Advance the bar after a batch."""
        self._bar.set_description(f"epoch {epoch}/{self._max_epochs}", refresh=False)
        self._bar.update(samples)
        if self._cores is not None:
            self._cores.use()

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Print an epoch after its validation."""
        self._seconds.append(seconds)
        left = tqdm.format_interval(
            (self._max_epochs - record.epoch) * median(self._seconds)
        )
        with tqdm.external_write_mode():
            logger.info(
                "epoch %d/%d: loss %.4f, training %.2f %%, validation %.2f %%, "
                "%.1f s%s",
                record.epoch,
                self._max_epochs,
                record.train_loss,
                record.train_accuracy_percent,
                record.validation_accuracy_percent,
                seconds,
                "" if record.epoch == self._max_epochs else f", {left} left",
            )

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Set the bar to the epochs that an earlier process finished."""
        done = len(history) * self._n_samples
        self._bar.initial = self._bar.last_print_n = self._bar.n = done
        logger.info(
            "resumes after epoch %d of %d, %.1f s of training",
            len(history),
            self._max_epochs,
            sum(seconds),
        )
