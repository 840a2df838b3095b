"""What the machine draws: counters of GPUs, which a stand-in for pynvml has."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import spikejoule
from spikejoule.core.host_energy import HostEnergy
from spikejoule.tracker.drawn import GpuEnergy, Meter


class NVMLError(Exception):
    """Any error of the driver."""


class NotSupportedError(NVMLError):
    """A GPU without the counter."""


class Driver:
    """Counts mJ in GPUs; one without a counter has None."""

    def __init__(self, *millijoules: int | None) -> None:
        self.millijoules = [*millijoules]
        self.is_loaded = True
        self.n_open = 0

    def open(self) -> None:
        if not self.is_loaded:
            raise NVMLError
        self.n_open += 1

    def close(self) -> None:
        self.n_open -= 1

    def energy(self, device: int) -> int:
        assert self.n_open == 1
        energy = self.millijoules[device]
        if energy is None:
            raise NotSupportedError
        return energy

    @property
    def module(self) -> Any:
        return SimpleNamespace(
            NVMLError=NVMLError,
            NVMLError_NotSupported=NotSupportedError,
            nvmlInit=self.open,
            nvmlShutdown=self.close,
            nvmlDeviceGetCount=lambda: len(self.millijoules),
            nvmlDeviceGetHandleByIndex=lambda number: number,
            nvmlDeviceGetTotalEnergyConsumption=self.energy,
        )


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    driver = Driver(1000, None, 5000)
    monkeypatch.setitem(sys.modules, "pynvml", driver.module)
    yield driver
    assert driver.n_open == 0


def test_gpus_are_added_and_those_without_a_counter_are_left_out(
    driver: Driver,
) -> None:
    meter = Meter(GpuEnergy.read)
    for millijoules in ([1500, None, 7000], [1500, None, 8000]):
        driver.millijoules = millijoules
        meter.note()
    assert meter.joules == 3.5


def test_without_a_driver_or_nvml_nothing_is_measured(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.is_loaded = False
    assert GpuEnergy.read() == GpuEnergy({})
    monkeypatch.setitem(sys.modules, "pynvml", None)
    meter = Meter(GpuEnergy.read)
    meter.note()
    assert meter.joules is None


def test_a_tracker_shows_what_processors_and_gpus_draw(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = iter([0, 2_000_000, 3_000_000])

    def read() -> HostEnergy:
        return HostEnergy({"0": next(packages)}, {"0": 10**9})

    monkeypatch.setattr(HostEnergy, "read", read)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters())
    with spikejoule.track(model, optimizer, time_axis="none") as tracker:
        model(torch.rand(4, 3)).sum().backward()
        optimizer.step()
        tracker.end_epoch()
        driver.millijoules = [1000, None, 9000]
    assert tracker.host_joules == 3
    assert tracker.gpu_joules == 4
    assert dict(tracker.rows)["drawn by the host"] == "processors 3 J, GPUs 4 J"
    assert tracker._metrics["training_gpu_j"] == 4
