"""A constant learning rate."""

from typing import Any, ClassVar

from spikejoule.training.schedules import Schedule


class Constant(Schedule):
    """The same learning rate in every step."""

    reference: ClassVar = "none"

    def scheduler(self, optimizer: Any, lr: float, total_steps: int) -> Any:
        """See :meth:`spikejoule.training.schedules.Schedule.scheduler`."""
        return None
