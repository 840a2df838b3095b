"""The learning rate on its way through a training, by torch's own schedulers."""

from collections.abc import Callable
from typing import Any


class RunningSchedule:
    """The learning rate of each step, by torch's own schedulers, told of every batch and epoch.

    It depends on nothing else: a training that resumes tells a fresh one all again.

    Args:
        lr: learning rate that the scheduler starts from.
        total_steps: steps of the optimizer in all; a scheduler of a cycle refuses more.
        by_step: makes the scheduler that is told of every batch, from an optimizer.
        by_accuracy: makes the scheduler that is told of every epoch's validation accuracy.
    """

    def __init__(
        self,
        lr: float,
        total_steps: int,
        by_step: Callable[[Any], Any] | None = None,
        by_accuracy: Callable[[Any], Any] | None = None,
    ) -> None:
        self._optimizer = _only_a_rate(lr)
        self._by_step = by_step and by_step(self._optimizer)
        self._by_accuracy = by_accuracy and by_accuracy(self._optimizer)
        self._steps_left = total_steps - 1
        # A scheduler warns unless its optimizer has taken a step; this one has nothing to take.
        self._optimizer.step()

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Move on by one step."""
        if self._by_step and self._steps_left > 0:
            self._by_step.step()
            self._steps_left -= 1

    def after_epoch(self, validation_accuracy_percent: float) -> None:
        """Move on by one epoch."""
        if self._by_accuracy:
            self._by_accuracy.step(validation_accuracy_percent)


def _only_a_rate(lr: float) -> Any:
    """An optimizer of torch's with a learning rate and no parameters: it stands for all."""
    import torch

    # torch's own optimizers, and `add_param_group` of their base, import torch's compiler, which
    # takes seconds.
    class OnlyARate(torch.optim.Optimizer):
        def add_param_group(self, param_group: dict[str, Any]) -> None:
            self.param_groups.append(param_group)

        def step(self, closure: Any = None) -> Any:
            pass

    return OnlyARate([{"params": [], "lr": lr}], {})
