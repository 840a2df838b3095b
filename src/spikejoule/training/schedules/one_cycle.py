"""A cycle: up to the largest rate, then down to nearly 0."""

from typing import Any, ClassVar

from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.training.schedules import Schedule


class OneCycle(Schedule):
    """One cycle of the learning rate over the whole training, with `lr` as its peak.

    Attributes:
        warmup_fraction: fraction of the steps with a rising rate.
    """

    reference: ClassVar = "Smith and Topin 2018, arXiv:1708.07120"

    warmup_fraction: Real = Field(default=0.3, gt=0, lt=1)

    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """See :meth:`spikejoule.training.schedules.Schedule.scheduler`."""
        from torch.optim.lr_scheduler import OneCycleLR

        # A cycle has at least three steps.
        if total_steps < 3:
            return None
        # PyTorch divides by the number of rising steps minus one.
        rising = self.warmup_fraction
        if rising * total_steps == 1:
            rising = 1.5 / total_steps
        return OneCycleLR(
            optimizer,
            max_lr=lr,
            total_steps=total_steps,
            pct_start=rising,
            cycle_momentum=False,
        )
