"""Up to the largest rate, then down to nearly 0."""

from typing import ClassVar

from pydantic import Field

from spikejoule.core.parameters import Real
from spikejoule.training.running_schedule import RunningSchedule
from spikejoule.training.schedules import Schedule


class OneCycle(Schedule):
    """One cycle of the learning rate over the whole training.

    Attributes:
        warmup_fraction: share of the steps with a rising rate.
    """

    name: ClassVar = "one_cycle"
    reference: ClassVar = "Smith and Topin 2018, arXiv:1708.07120"

    warmup_fraction: Real = Field(default=0.3, gt=0, lt=1)

    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """See :meth:`spikejoule.training.schedules.Schedule.start`; `lr` is the peak."""
        from torch.optim.lr_scheduler import OneCycleLR

        # torch divides by the rising steps less one; and a cycle has at least three steps.
        if total_steps < 3:
            return RunningSchedule(lr, total_steps)
        rising = self.warmup_fraction
        if rising * total_steps == 1:
            rising = 1.5 / total_steps
        return RunningSchedule(
            lr,
            total_steps,
            lambda its: OneCycleLR(
                its, max_lr=lr, total_steps=total_steps, pct_start=rising, cycle_momentum=False
            ),
        )
