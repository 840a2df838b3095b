"""Half a cosine, without restarts."""

from typing import Any, ClassVar

from spikejoule.training.schedules import Schedule


class Cosine(Schedule):
    """From `lr` down to 0 along half a cosine."""

    reference: ClassVar = "Loshchilov and Hutter 2017, arXiv:1608.03983"

    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """See :meth:`spikejoule.training.schedules.Schedule.scheduler`."""
        from torch.optim.lr_scheduler import CosineAnnealingLR

        return CosineAnnealingLR(optimizer, T_max=total_steps)
