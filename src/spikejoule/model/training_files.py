"""The files of a training beside the network itself: headline figures, history, and clocks."""

from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.host_energy import HostEnergyEntry
from spikejoule.core.schema import (
    Count,
    NotNegative,
    Percent,
    Record,
    Row,
    Seconds,
    Table,
    Text,
    check_sum,
)
from spikejoule.model.trained_file import EngineName


class TrainMetrics(Record):
    """Headline figures: metrics/train.json."""

    best_validation_accuracy_percent: Percent
    best_epoch: int = Field(ge=1)
    epochs_trained: int = Field(ge=1)
    stop_reason: Text

    @model_validator(mode="after")
    def _best_epoch_was_trained(self) -> Self:
        if self.best_epoch > self.epochs_trained:
            raise ValueError(
                f"best_epoch is {self.best_epoch}, but {self.epochs_trained} epochs were trained"
            )
        return self


class TrainTimings(Record):
    """When, for how long and on what a network was trained: results/timings/train.json.

    Attributes:
        training_time_seconds: of all epochs, validation included.
        epoch_times_seconds: of each epoch.
        timestamp: when training began, as ISO 8601.
        device, engine, threads: what computed.
        host_energy: the energy of the machine meanwhile.
    """

    training_time_seconds: Seconds
    epoch_times_seconds: list[Seconds] = Field(min_length=1)
    timestamp: Text
    device: Text
    engine: EngineName
    threads: Count
    host_energy: HostEnergyEntry | None = None

    @classmethod
    def read_of(cls, path: Path, n_epochs: int) -> Self:
        """Read the timings of a network of so many epochs; ArtifactError if they are of others."""
        timings = cls.read(path)
        if len(timings.epoch_times_seconds) != n_epochs:
            raise ArtifactError(
                f"{path} times {len(timings.epoch_times_seconds)} epochs, but the network has "
                f"{n_epochs}: train again."
            )
        return timings

    @field_validator("timestamp")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if not 1970 <= datetime.fromisoformat(text).year < 9000:
            raise ValueError(f"{text!r} is not of this age")
        return text

    @model_validator(mode="after")
    def _epochs_add_up(self) -> Self:
        check_sum(self.training_time_seconds, self.epoch_times_seconds, "training_time_seconds")
        return self


class HistoryRow(Row):
    """One epoch; spikes are means per training sample, `hidden` over all hidden layers together.

    With several hidden layers a further column for each of them follows, and then, of a distilled
    network, the teacher's multiply-accumulates per training sample.
    """

    model_config = ConfigDict(extra="allow")

    epoch: int = Field(ge=1)
    learning_rate: NotNegative
    train_loss: float
    train_accuracy_percent: Percent
    validation_accuracy_percent: Percent
    input_spikes_per_sample: NotNegative
    hidden_spikes_per_sample: NotNegative
    output_spikes_per_sample: NotNegative


class History(Table):
    """The training curves: metrics/history.csv."""

    row: ClassVar[type[Row]] = HistoryRow
    rows: tuple[HistoryRow, ...]
