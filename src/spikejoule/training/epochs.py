"""The epochs of a training: their learning rates, and the files that describe them.

The files are the headline figures (results/train.json), clock times
(results/timings/train.json) and the training curves (metrics/history.csv).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from spikejoule.core.schema import Count, Percent, Record, Seconds, Text
from spikejoule.network.sections import EpochRecord
from spikejoule.training.schedules import Schedule


class RunningSchedule:
    """The learning rate of each step, from PyTorch's own schedulers.

    It depends only on the numbers of batches and the validation accuracies, so a
    resumed training replays them instead of saving it.

    Args:
        schedule: the schedule with its parameters.
        lr: learning rate, as in :meth:`Schedule.scheduler`.
        total_steps: steps of the whole training.
    """

    def __init__(self, schedule: Schedule, lr: float, total_steps: int) -> None:
        self._optimizer = _only_a_rate(lr)
        self._scheduler = schedule.scheduler(self._optimizer, lr, total_steps)
        self._by_accuracy = schedule.by_accuracy
        # PyTorch's cyclic schedulers refuse more steps than they were made for.
        self._steps_left = total_steps - 1
        # A scheduler warns unless its optimizer has taken a step.
        self._optimizer.step()

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Advance by one step."""
        if self._scheduler and not self._by_accuracy and self._steps_left > 0:
            self._scheduler.step()
            self._steps_left -= 1

    def after_epoch(self, validation_accuracy_percent: float) -> None:
        """Advance by one epoch."""
        if self._scheduler and self._by_accuracy:
            self._scheduler.step(validation_accuracy_percent)

    def after_epochs(self, accuracies_percent: Iterable[float], n_batches: int) -> None:
        """Replay epochs of `n_batches` batches, with these validation accuracies."""
        for accuracy in accuracies_percent:
            for _ in range(n_batches):
                self.after_batch()
            self.after_epoch(accuracy)


def _only_a_rate(lr: float) -> Any:
    """Make a PyTorch optimizer that has a learning rate and no parameters."""
    import torch

    # PyTorch's own optimizers, and `add_param_group` of their base class, import
    # PyTorch's compiler, which takes seconds.
    class OnlyARate(torch.optim.Optimizer):
        def add_param_group(self, param_group: dict[str, Any]) -> None:
            self.param_groups.append(param_group)

        def step(self, closure: Any = None) -> Any:
            pass

    return OnlyARate([{"params": [], "lr": lr}], {})


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
    host_joules: Seconds | None = None


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
