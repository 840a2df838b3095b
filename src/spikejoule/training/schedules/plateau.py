"""A lower rate whenever the validation accuracy stops improving."""

from typing import Any, ClassVar

from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.training.schedules import Schedule


class Plateau(Schedule):
    """The learning rate times a factor whenever validation accuracy stops improving.

    Attributes:
        plateau_factor: factor on the learning rate.
        plateau_patience: epochs without improvement before the factor applies.
    """

    reference: ClassVar = "torch.optim.lr_scheduler.ReduceLROnPlateau"
    by_accuracy: ClassVar = True

    plateau_factor: Real = Field(default=0.5, gt=0, lt=1)
    plateau_patience: int = Field(default=2, ge=0)

    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """See :meth:`spikejoule.training.schedules.Schedule.scheduler`."""
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        return ReduceLROnPlateau(
            optimizer,
            mode="max",
            factor=self.plateau_factor,
            patience=self.plateau_patience,
        )
