"""Schedules of the learning rate, a file each; `train.schedule` chooses one."""

from abc import abstractmethod
from typing import TYPE_CHECKING

from spikejoule.core.parameters import Kind, Kinds

if TYPE_CHECKING:
    from spikejoule.training.running_schedule import RunningSchedule


class Schedule(Kind):
    """A schedule; each is one file of :mod:`spikejoule.training.schedules`."""

    @abstractmethod
    def start(self, lr: float, total_steps: int) -> "RunningSchedule":
        """The schedule from its first step on.

        Args:
            lr: learning rate, of the meaning that the schedule gives it.
            total_steps: batches of all epochs together, if training is not stopped early.
        """


SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
