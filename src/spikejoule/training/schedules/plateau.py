"""A lower rate whenever the validation accuracy stands still."""

from typing import ClassVar

from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.training.running_schedule import RunningSchedule
from spikejoule.training.schedules import Schedule


class Plateau(Schedule):
    """The learning rate times a factor whenever the validation accuracy stands still.

    Attributes:
        plateau_factor: factor on the learning rate.
        plateau_patience: epochs without improvement before the factor applies.
    """

    name: ClassVar = "plateau"
    reference: ClassVar = "torch.optim.lr_scheduler.ReduceLROnPlateau"

    plateau_factor: Real = Field(default=0.5, gt=0, lt=1)
    plateau_patience: int = Field(default=2, ge=0)

    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """See :meth:`spikejoule.training.schedules.Schedule.start`; `lr` is the first rate."""
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return RunningSchedule(
            lr,
            total_steps,
            by_accuracy=lambda its: ReduceLROnPlateau(
                its, mode="max", factor=self.plateau_factor, patience=self.plateau_patience
            ),
        )
