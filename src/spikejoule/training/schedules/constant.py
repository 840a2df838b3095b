"""A learning rate that stays."""

from typing import ClassVar

from spikejoule.training.schedule import RunningSchedule, Schedule
from spikejoule.training.stand_in import StandIn


class Constant(Schedule):
    """The same learning rate in every step."""

    name: ClassVar = "constant"
    reference: ClassVar = "none"

    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """See :meth:`spikejoule.training.schedule.Schedule.start`; `lr` is the rate."""
        return StandIn(lr, total_steps)
