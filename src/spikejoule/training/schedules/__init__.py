"""Schedules of the learning rate, a file each; `train.schedule` chooses one."""

from abc import abstractmethod
from typing import Protocol

from spikejoule.core.parameters import Kind, Kinds


class RunningSchedule(Protocol):
    """The learning rate of each step, told of every batch and every epoch.

    It depends on nothing else: a training that goes on after a kill tells a fresh one all again.
    """

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""

    def after_batch(self) -> None:
        """Move on by one step."""

    def after_epoch(self, validation_accuracy_percent: float) -> None:
        """Move on by one epoch."""


class Schedule(Kind):
    """A schedule; each is one file of :mod:`spikejoule.training.schedules`."""

    @abstractmethod
    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """The schedule from its first step on.

        Args:
            lr: learning rate, of the meaning that the schedule gives it.
            total_steps: batches of all epochs together, if training is not stopped early.
        """


SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
