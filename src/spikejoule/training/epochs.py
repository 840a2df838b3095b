"""The files that describe a training.

They are the headline figures (results/train.json), clock times
(results/timings/train.json) and the training curves (metrics/history.csv).
"""

from collections.abc import Sequence

from pydantic import Field

from spikejoule.core.schema import Count, NotNegative, Percent, Record, Seconds, Text
from spikejoule.network.sections import EpochRecord


class EpochTimes(Record):
    """Start and duration of a training, of spiking or ReLU networks.

    Attributes:
        training_time_seconds: all epochs, validation included.
        epoch_times_seconds: each epoch.
        timestamp: start of training, ISO 8601.
        processor_seconds: time of all cores together.
    """

    training_time_seconds: Seconds
    epoch_times_seconds: list[Seconds] = Field(min_length=1)
    timestamp: Text
    processor_seconds: Seconds | None = None


class TrainMetrics(Record):
    """Headline figures: results/train.json."""

    best_validation_accuracy_percent: Percent
    best_epoch: int = Field(ge=1)
    epochs_trained: int = Field(ge=1)
    stop_reason: Text


class TrainTimings(EpochTimes):
    """Times and hardware of a training: results/timings/train.json.

    Attributes:
        device, engine, threads: the hardware that was used.
        host_joules: what the computer drew meanwhile; None if not measured.
    """

    device: Text
    engine: Text
    threads: Count
    host_joules: NotNegative | None = None


def history_rows(
    records: Sequence[EpochRecord], layer_names: Sequence[str]
) -> list[dict[str, float]]:
    """The training curves, metrics/history.csv: values by column, for each epoch.

    Spikes are means per training sample. ``hidden_spikes_per_sample`` is the sum over
    all hidden layers; if there are several, each has a column as well.
    """
    hidden_names = layer_names[1:-1] if len(layer_names) > 3 else ()
    rows = []
    for record in records:
        means = [count / record.samples for count in record.spikes]
        hidden = means[1:-1]
        row = {
            "epoch": record.epoch,
            "learning_rate": record.learning_rate,
            "train_loss": record.train_loss,
            "train_accuracy_percent": record.train_accuracy_percent,
            "validation_accuracy_percent": record.validation_accuracy_percent,
            "input_spikes_per_sample": means[0],
            "hidden_spikes_per_sample": sum(hidden),
            "output_spikes_per_sample": means[-1],
        }
        for name, mean in zip(hidden_names, hidden, strict=False):
            row[f"{name}_spikes_per_sample"] = mean
        rows.append(row)
    return rows
