"""A learning rate that stays."""

from typing import ClassVar

from spikejoule.training.running_schedule import RunningSchedule
from spikejoule.training.schedules import Schedule


class Constant(Schedule):
    """The same learning rate in every step."""

    name: ClassVar = "constant"
    reference: ClassVar = "none"

    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """See :meth:`spikejoule.training.schedules.Schedule.start`; `lr` is the rate."""
        return RunningSchedule(lr, total_steps)
