"""Learning-rate schedules, one file each; `train.schedule` selects one."""

from abc import abstractmethod
from typing import Any, ClassVar

from spikejoule.core.parameters import Kind, Kinds


class Schedule(Kind):
    """A schedule; each is one file of :mod:`spikejoule.training.schedules`.

    Attributes:
        by_accuracy: whether the scheduler is stepped after every epoch with its
            validation accuracy, instead of after every batch.
    """

    by_accuracy: ClassVar[bool] = False

    @abstractmethod
    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """Make PyTorch's scheduler for an optimizer; None for a constant rate.

        Args:
            optimizer: the optimizer whose rate it sets, initially `lr`.
            lr: learning rate; the schedule defines its meaning.
            total_steps: batches of all epochs, if training does not stop early.
        """


SCHEDULES: Kinds[Schedule] = Kinds("schedule", Schedule, __name__)
