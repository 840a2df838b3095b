"""The schedules against PyTorch's schedulers on a real optimizer."""

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from spikejoule.training.learning_rate import RunningSchedule
from spikejoule.training.schedules import SCHEDULES

BATCHES = 5
ACCURACIES = [60.0, 70.0, 69.0, 70.0, 68.0, 67.0, 70.5, 70.0, 70.0, 70.0]
N_STEPS = BATCHES * len(ACCURACIES)


@pytest.mark.parametrize(
    ("name", "parameters", "scheduler", "arguments"),
    [
        (
            "one_cycle",
            {"warmup_fraction": 0.3},
            lr_scheduler.OneCycleLR,
            {"max_lr": 0.01, "total_steps": N_STEPS, "pct_start": 0.3},
        ),
        ("cosine", {}, lr_scheduler.CosineAnnealingLR, {"T_max": N_STEPS}),
        (
            "plateau",
            {"plateau_factor": 0.1, "plateau_patience": 1},
            lr_scheduler.ReduceLROnPlateau,
            {"mode": "max", "factor": 0.1, "patience": 1},
        ),
    ],
)
def test_rates_are_torchs(
    name: str, parameters: dict[str, Any], scheduler: Any, arguments: dict[str, Any]
) -> None:
    """A schedule follows either the batches or the accuracies."""
    parameter = torch.nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    optimizer = torch.optim.Adam([parameter], lr=0.01)
    theirs = scheduler(optimizer, **arguments)
    schedule = RunningSchedule(SCHEDULES[name](**parameters), 0.01, N_STEPS)
    rates = []
    expected = []
    for accuracy in ACCURACIES:
        for _ in range(BATCHES):
            rates.append(schedule.learning_rate)
            expected.append(optimizer.param_groups[0]["lr"])
            schedule.after_batch()
            optimizer.step()
            if name != "plateau" and len(rates) < N_STEPS:
                theirs.step()
        schedule.after_epoch(accuracy)
        if name == "plateau":
            theirs.step(accuracy)
    assert rates == expected
    assert rates[-1] < max(rates) <= 0.01
