"""Schedules of the learning rate, a file each; `train.schedule` chooses one."""

from abc import abstractmethod
from typing import Any, ClassVar

from spikejoule.core.parameters import Kind, Kinds


class Schedule(Kind):
    """A schedule; each is one file of :mod:`spikejoule.training.schedules`.

    Attributes:
        by_accuracy: whether torch's scheduler is stepped with every epoch's validation
            accuracy, and not after every batch.
    """

    by_accuracy: ClassVar[bool] = False

    @abstractmethod
    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """The scheduler of torch for an optimizer; None for a rate that stays.

        Args:
            optimizer: whose rate it sets; it begins with `lr`.
            lr: learning rate, of the meaning that the schedule gives it.
            total_steps: batches of all epochs together, if training is not stopped
                early.
        """


SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
