"""The learning rate of each step of a training."""

from collections.abc import Iterable
from typing import Any

from spikejoule.training.schedules import Schedule


class RunningSchedule:
    """The learning rate of each step, from PyTorch's own schedulers.

    It depends only on the numbers of batches and the validation accuracies, so a
    resumed training replays them instead of saving it.

    Args:
        schedule: the schedule with its parameters.
        lr: learning rate, as in :meth:`Schedule.scheduler`.
        total_steps: steps of the whole training.
    """

    def __init__(self, schedule: Schedule, lr: float, total_steps: int) -> None:
        self._optimizer = _optimizer_without_parameters(lr)
        self._scheduler = schedule.scheduler(self._optimizer, lr, total_steps)
        self._by_accuracy = schedule.by_accuracy
        # PyTorch's cyclic schedulers refuse more steps than they were made for.
        self._steps_left = total_steps - 1
        # A scheduler warns unless its optimizer has taken a step.
        self._optimizer.step()

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Advance by one step."""
        if self._scheduler and not self._by_accuracy and self._steps_left > 0:
            self._scheduler.step()
            self._steps_left -= 1

    def after_epoch(self, validation_accuracy_percent: float) -> None:
        """Advance by one epoch."""
        if self._scheduler and self._by_accuracy:
            self._scheduler.step(validation_accuracy_percent)

    def after_epochs(self, accuracies_percent: Iterable[float], n_batches: int) -> None:
        """Replay epochs of `n_batches` batches, with these validation accuracies."""
        for accuracy in accuracies_percent:
            for _ in range(n_batches):
                self.after_batch()
            self.after_epoch(accuracy)


def _optimizer_without_parameters(lr: float) -> Any:
    """Make a PyTorch optimizer that has a learning rate and no parameters."""
    import torch

    # PyTorch's own optimizers, and `add_param_group` of their base class, import
    # PyTorch's compiler, which takes seconds.
    class WithoutParameters(torch.optim.Optimizer):
        def add_param_group(self, param_group: dict[str, Any]) -> None:
            self.param_groups.append(param_group)

        def step(self, closure: Any = None) -> Any:
            pass

    return WithoutParameters([{"params": [], "lr": lr}], {})
