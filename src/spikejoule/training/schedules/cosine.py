"""Half a cosine, without restarts."""

from typing import ClassVar

from spikejoule.training.running_schedule import RunningSchedule
from spikejoule.training.schedules import Schedule


class Cosine(Schedule):
    """From `lr` down to 0 along half a cosine."""

    name: ClassVar = "cosine"
    reference: ClassVar = "Loshchilov and Hutter 2017, arXiv:1608.03983"

    def start(self, lr: float, total_steps: int) -> RunningSchedule:
        """See :meth:`spikejoule.training.schedules.Schedule.start`; `lr` is the first rate."""
        from torch.optim.lr_scheduler import CosineAnnealingLR

        return RunningSchedule(
            lr, total_steps, lambda optimizer: CosineAnnealingLR(optimizer, T_max=total_steps)
        )
