"""The schedules against torch's schedulers, used in the usual way on a real optimizer."""

import pytest
import torch
from torch.optim import lr_scheduler

from spikejoule.training.running_schedule import RunningSchedule
from spikejoule.training.schedules import SCHEDULES

EPOCHS, BATCHES = 6, 5
ACCURACIES = [60.0, 70.0, 69.0, 70.0, 68.0, 67.0, 70.5, 70.0, 70.0, 70.0]


def torch_optimizer(lr: float) -> torch.optim.Optimizer:
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    return torch.optim.Adam([parameter], lr=lr)


def rates_by_step(schedule: RunningSchedule, n_steps: int) -> list[float]:
    rates = []
    for _ in range(n_steps):
        rates.append(schedule.learning_rate)
        schedule.after_batch()
    return rates


def torch_rates_by_step(
    optimizer: torch.optim.Optimizer, scheduler: lr_scheduler.LRScheduler, n_steps: int
) -> list[float]:
    rates = []
    for step in range(n_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < n_steps - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize("warmup_fraction", [0.01, 0.3, 0.5, None])
def test_one_cycle_and_cosine(warmup_fraction: float | None) -> None:
    n_steps, optimizer = EPOCHS * BATCHES, torch_optimizer(0.01)
    scheduler: lr_scheduler.LRScheduler
    if warmup_fraction is None:
        schedule = SCHEDULES["cosine"]().start(0.01, n_steps)
        scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=n_steps)
    else:
        settings = SCHEDULES["one_cycle"](warmup_fraction=warmup_fraction)
        schedule = settings.start(0.01, n_steps)
        scheduler = lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.01, total_steps=n_steps, pct_start=warmup_fraction
        )
    rates = rates_by_step(schedule, n_steps)
    assert rates == torch_rates_by_step(optimizer, scheduler, n_steps)
    assert max(rates) <= 0.01
    assert rates[-1] < 1e-3


@pytest.mark.parametrize(("factor", "patience"), [(0.5, 2), (0.1, 0), (0.9, 1)])
def test_plateau(factor: float, patience: int) -> None:
    optimizer = torch_optimizer(0.001)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=factor, patience=patience
    )
    settings = SCHEDULES["plateau"](plateau_factor=factor, plateau_patience=patience)
    schedule = settings.start(0.001, len(ACCURACIES) * BATCHES)
    rates, expected = [], []
    for accuracy in ACCURACIES:
        for _ in range(BATCHES):
            rates.append(schedule.learning_rate)
            schedule.after_batch()
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
        schedule.after_epoch(accuracy)
        scheduler.step(accuracy)
    assert rates == expected
    assert rates[-1] < rates[0]


def test_constant_and_what_epochs_do_not_change() -> None:
    schedule = SCHEDULES["constant"]().start(0.005, 3)
    for _ in range(9):
        schedule.after_batch()
        schedule.after_epoch(1.0)
        assert schedule.learning_rate == 0.005
    for name in ("one_cycle", "cosine"):
        schedule = SCHEDULES[name]().start(0.005, 20)
        before = schedule.learning_rate
        schedule.after_epoch(0.0)
        assert schedule.learning_rate == before


@pytest.mark.parametrize("name", SCHEDULES)
def test_more_steps_than_announced_keep_the_last_rate(name: str) -> None:
    schedule = SCHEDULES[name]().start(0.005, 4)
    rates = rates_by_step(schedule, 8)
    assert rates[4:] == [rates[3]] * 4
