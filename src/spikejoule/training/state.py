"""The state of a training: its epochs, the best weights of them, and when it is to end.

All that, with the engine's snapshot, is the state from which a training that was killed resumes.
The schedule is no part of it: told again of every batch and epoch, it stands where it stood.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.resume import Checkpoint
from spikejoule.engine.interface import Engine, Snapshot, exponents_of, with_exponents
from spikejoule.model.network import Network
from spikejoule.training import TrainingSettings
from spikejoule.training.epochs import RunningSchedule


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave; nothing here depends on a clock.

    Attributes:
        epoch: from 1 on.
        learning_rate: of the epoch's last step.
        train_loss: mean loss of the batches' samples, before each step.
        train_accuracy_percent: of the same predictions.
        validation_accuracy_percent: after the epoch, of the averaged weights where they are.
        spikes: of each layer over the epoch's training samples, the input first.
        synaptic_events: of each weight matrix in the epoch's forward passes, validation excluded.
        pruned_fraction: of the synapses, removed before the epoch.
        samples: training samples of the epoch.
        teacher_macs, teacher_macs_nonzero: of the teacher's forward passes of the epoch's samples
            (`training.teacher`); None without a teacher.
        input_macs: multiply-accumulates of constant currents, likewise; None for an encoding
            of spikes.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy_percent: float
    validation_accuracy_percent: float
    spikes: tuple[int, ...]
    synaptic_events: tuple[int, ...]
    pruned_fraction: float
    samples: int
    teacher_macs: int | None = None
    teacher_macs_nonzero: int | None = None
    input_macs: int | None = None

    def entry(self) -> dict[str, Any]:
        """The epoch as files keep it: without what is None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> Self:
        """The epoch of an `entry`, from a file that has lists for tuples."""
        tuples = {name: tuple(entry[name]) for name in ("spikes", "synaptic_events")}
        return cls(**{**entry, **tuples})


class TrainingState:
    """The epochs of a training so far, and what is kept of them.

    Args:
        engine: the network with its optimizer.
        schedule: of the learning rate, before its first step.
        settings: how to train.
        n_batches: of an epoch.
    """

    def __init__(
        self, engine: Engine, schedule: RunningSchedule, settings: TrainingSettings, n_batches: int
    ) -> None:
        self._engine = engine
        self._schedule = schedule
        self._settings = settings
        self._n_batches = n_batches
        self._sums: dict[str, NDArray[Any]] = {}
        self._averaged = 0
        self.history: list[EpochRecord] = []
        self.seconds: list[float] = []
        self.processor_seconds = 0.0
        self.best: EpochRecord | None = None
        self.best_state: dict[str, NDArray[Any]] = {}
        self.best_architecture: Network = engine.architecture

    @property
    def stop_reason(self) -> str:
        """Why training is to end; empty while it is not."""
        settings, last = self._settings, self.history[-1] if self.history else None
        if last is None:
            return ""
        if self.best is not None:
            target = settings.target_accuracy
            if target is not None and last.validation_accuracy_percent >= target:
                return "target_accuracy"
            if settings.patience and last.epoch - self.best.epoch >= settings.patience:
                return "patience"
        return "max_epochs" if last.epoch >= settings.max_epochs else ""

    def epochs_left(self) -> Iterator[int]:
        """The epochs that are to come, from 1 on, until one that was added ends training."""
        while not self.stop_reason:
            yield len(self.history) + 1

    def runner(self, epoch: int, state: Mapping[str, NDArray[Any]]) -> Engine:
        """The network that is validated after an epoch: itself, or one of averaged weights.

        They are added up in float64; a removed synapse is zero in all epochs that are averaged.
        """
        most = self._settings.max_epochs
        is_late = epoch > most - self._settings.average_epochs
        if not (is_late and self._settings.is_pruned_by(epoch, most)):
            return self._engine
        self._averaged += 1
        self._sums = {name: self._sums.get(name, 0) + of for name, of in state.items()}
        means = {
            name: (self._sums[name] / self._averaged).astype(of.dtype) for name, of in state.items()
        }
        return self._engine.with_parameters(means)

    def add(self, record: EpochRecord, seconds: float, runner: Engine) -> None:
        """Add an epoch, and keep the weights that were validated if they are the best."""
        self.history.append(record)
        self.seconds.append(seconds)
        if not self._settings.is_pruned_by(record.epoch, self._settings.max_epochs):
            return
        best = self.best
        if best is None or record.validation_accuracy_percent > best.validation_accuracy_percent:
            self.best, self.best_state = record, runner.state()
            self.best_architecture = runner.architecture

    def checkpoint(self) -> Checkpoint:
        """The state after the last epoch."""
        parts = {
            "engine": self._engine.snapshot().arrays(),
            "best": self.best_state,
            "average": self._sums,
        }
        plain = {
            "history": [record.entry() for record in self.history],
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "best_epoch": 0 if self.best is None else self.best.epoch,
            "best_exponents": exponents_of(self.best_architecture),
            "averaged_epochs": self._averaged,
        }
        return Checkpoint(
            plain,
            {f"{part}.{name}": of for part, all_of in parts.items() for name, of in all_of.items()},
        )

    def resume_from(self, checkpoint: Checkpoint) -> None:
        """Take up the state of `checkpoint`, which another process has left.

        Raises ArtifactError, with nothing taken up, if it is no state of this training.
        """
        best, sums = checkpoint.part("best.").arrays, checkpoint.part("average.").arrays
        try:
            snapshot = Snapshot.of_arrays(checkpoint.part("engine.").arrays)
            history = [EpochRecord.of_entry(entry) for entry in checkpoint.plain["history"]]
            best_epoch = int(checkpoint.plain["best_epoch"])
            exponents = tuple(map(int, checkpoint.plain["best_exponents"]))
            averaged = int(checkpoint.plain["averaged_epochs"])
            seconds = list(map(float, checkpoint.plain["seconds"]))
            processor_seconds = float(checkpoint.plain["processor_seconds"])
            # In the engine's order: files of it have the same bytes then.
            best_state = {name: best[name] for name in self._engine.state()} if best_epoch else {}
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the state lacks what belongs to it ({error})") from error
        self.history, self.seconds = history, seconds
        self.processor_seconds = processor_seconds
        if best_epoch:
            self.best_state = best_state
            self.best = history[best_epoch - 1]
            self.best_architecture = with_exponents(self._engine.architecture, exponents)
        self._sums, self._averaged = dict(sums), averaged
        self._engine.restore(snapshot)
        accuracies = [record.validation_accuracy_percent for record in history]
        self._schedule.after_epochs(accuracies, self._n_batches)
