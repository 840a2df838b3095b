"""Learning rate schedules, by torch's own schedulers on a parameter that stands for all.

one_cycle   Smith and Topin 2018, arXiv:1708.07120: up to `lr`, then down to nearly 0
cosine      Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts
plateau     `lr` times a factor whenever the validation accuracy stands still
constant    `lr`
"""

from dataclasses import dataclass

import torch
from torch.optim import lr_scheduler

SCHEDULES = ("one_cycle", "plateau", "cosine", "constant")


@dataclass(frozen=True)
class ScheduleSettings:
    """A schedule and its constants.

    Attributes:
        name: one of :data:`SCHEDULES`.
        lr: learning rate; the peak of one_cycle, the start of the others.
        warmup_fraction: share of the steps in which one_cycle rises.
        plateau_factor, plateau_patience: see ``torch.optim.lr_scheduler.ReduceLROnPlateau``.
    """

    name: str = "constant"
    lr: float = 0.001
    warmup_fraction: float = 0.3
    plateau_factor: float = 0.5
    plateau_patience: int = 2


class Schedule:
    """The learning rate of each step, told of every batch and every epoch."""

    def __init__(self, settings: ScheduleSettings, total_steps: int) -> None:
        stand_in = torch.nn.Parameter(torch.zeros(1))
        self._optimizer = torch.optim.SGD([stand_in], lr=settings.lr)
        self._by_step: lr_scheduler.LRScheduler | None = None
        self._by_accuracy: lr_scheduler.ReduceLROnPlateau | None = None
        self._steps_left = total_steps - 1
        # torch divides by the rising steps less one; and a cycle has at least three steps.
        rising = settings.warmup_fraction
        if rising * total_steps == 1:
            rising = 1.5 / total_steps
        if settings.name == "one_cycle" and total_steps > 2:
            self._by_step = lr_scheduler.OneCycleLR(
                self._optimizer,
                max_lr=settings.lr,
                total_steps=total_steps,
                pct_start=rising,
                cycle_momentum=False,
            )
        elif settings.name == "cosine":
            self._by_step = lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=total_steps)
        elif settings.name == "plateau":
            self._by_accuracy = lr_scheduler.ReduceLROnPlateau(
                self._optimizer,
                mode="max",
                factor=settings.plateau_factor,
                patience=settings.plateau_patience,
            )

        # A scheduler warns unless its optimizer has taken a step; this one has no gradient to take.
        self._optimizer.step()

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Move on by one step."""
        if self._by_step is not None and self._steps_left > 0:
            self._by_step.step()
            self._steps_left -= 1

    def after_epoch(self, validation_accuracy_percent: float) -> None:
        """Move on by one epoch."""
        if self._by_accuracy is not None:
            self._by_accuracy.step(validation_accuracy_percent)
