"""The machine's own energy, with a made-up sysfs and a made-up NVML."""

import sys
import time
import types
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest

from spikejoule.core import host_energy
from spikejoule.core.host_energy import (
    EnergyPart,
    HostEnergy,
    HostEnergyEntry,
    added_up,
    gpu_uuids,
)
from tests.tools.without_torch import needs_torch


def make_zone(powercap: Path, zone: str, name: str, energy_uj: int, range_uj: int = 10**9) -> Path:
    """A folder of counters as the kernel shows it."""
    folder = powercap / zone
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    return folder


def add(zone: Path, energy_uj: int) -> None:
    """Let the counter run on, and wrap around as the hardware does."""
    total = int((zone / "energy_uj").read_text()) + energy_uj
    total %= int((zone / "max_energy_range_uj").read_text())
    # A counter is never empty, as a file is for a moment while it is written.
    (zone / "new").write_text(f"{total}\n")
    (zone / "new").replace(zone / "energy_uj")


class TestRapl:
    def test_adds_up_packages_and_memory_alone(self, tmp_path: Path) -> None:
        first = make_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
        core = make_zone(tmp_path, "intel-rapl:0:0", "core", 1)
        dram = make_zone(tmp_path, "intel-rapl:0:1", "dram", 7)
        second = make_zone(tmp_path, "intel-rapl:1", "package-1", 999_000_000)
        platform = make_zone(tmp_path, "intel-rapl:2", "psys", 0)
        mirror = make_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 5_000_000)
        with HostEnergy(powercap=tmp_path, idle_seconds=0) as host:
            add(first, 2_000_000)
            add(second, 3_500_000)
            assert int((second / "energy_uj").read_text()) == 2_500_000, "it has wrapped around"
            add(dram, 250_000)
            for zone in (core, platform, mirror):
                add(zone, 900_000_000)
        entry = host.entry()
        assert entry.parts == [
            EnergyPart(device="package-0", kind="measured", method="RAPL", energy_j=2.0),
            EnergyPart(device="dram", kind="measured", method="RAPL", energy_j=0.25),
            EnergyPart(device="package-1", kind="measured", method="RAPL", energy_j=3.5),
        ]
        assert entry.energy_j == 5.75
        assert (entry.kind, entry.method) == ("measured", "RAPL")
        assert entry.device == "package-0, dram, package-1"

    def test_what_it_draws_idle_is_stated_and_subtracted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        memory = make_zone(tmp_path, "intel-rapl:0:0", "dram", 0)
        other = make_zone(tmp_path, "intel-rapl:1", "package-1", 0)
        unread = make_zone(tmp_path, "intel-rapl:1:0", "dram", 0)
        now = [0.0]

        def wait(seconds: float) -> None:
            now[0] += seconds
            add(zone, 10_000_000)
            add(memory, 2_000_000)

        monkeypatch.setattr(host_energy.time, "sleep", wait)
        with HostEnergy(powercap=tmp_path, clock=lambda: now[0], idle_seconds=2) as host:
            now[0] += 10
            for counter, spent in ((zone, 80), (memory, 9), (other, 1), (unread, 0)):
                add(counter, spent * 1_000_000)
        entry = host.entry()
        found = [(part.energy_j, part.idle_w, part.above_idle_j) for part in entry.parts]
        assert found == [(80, 5, 30), (9, 1, -1), (1, 0, 1), (0, 0, 0)]
        assert (entry.energy_j, entry.idle_w, entry.above_idle_j) == (90, 6, 30)

    def test_counters_that_wrap_around_twice_are_read_in_between(self, tmp_path: Path) -> None:
        zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0, range_uj=1_000_000)
        with HostEnergy(powercap=tmp_path, idle_seconds=0, poll_seconds=0.01) as host:
            for _ in range(3):
                add(zone, 700_000)
                time.sleep(0.3)
        assert host.entry().energy_j == pytest.approx(2.1)

    @pytest.mark.parametrize("damage", ["energy_uj", "max_energy_range_uj", "name"])
    def test_one_unreadable_counter_makes_it_unavailable(self, damage: str, tmp_path: Path) -> None:
        make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        zone = make_zone(tmp_path, "intel-rapl:1", "package-1", 0)
        # As root may read anything, a folder stands for a file without permission.
        (zone / damage).unlink()
        (zone / damage).mkdir()
        with HostEnergy(powercap=tmp_path, idle_seconds=0) as host:
            pass
        # Half a machine measured would be no measure of it.
        entry = host.entry()
        assert [(part.kind, part.energy_j) for part in entry.parts] == [("unavailable", None)]
        assert f"intel-rapl:1/{damage}" in entry.method

    def test_none_is_unavailable_and_nothing_is_estimated(self, tmp_path: Path) -> None:
        ticks = iter([10.0, 12.5])
        with HostEnergy(powercap=tmp_path, clock=lambda: next(ticks), idle_seconds=0) as host:
            pass
        entry = host.entry()
        assert (entry.kind, entry.energy_j, entry.seconds) == ("unavailable", None, 2.5)
        assert entry.method == f"there is no RAPL counter in {tmp_path}"
        assert entry.device == "processor"

    def test_it_is_told_while_the_block_lasts_and_when_an_exception_ends_it(
        self, tmp_path: Path
    ) -> None:
        zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        ticks = iter([10.0, 12.0, 15.0])
        told = []

        def work() -> None:
            with HostEnergy(powercap=tmp_path, clock=lambda: next(ticks), idle_seconds=0) as host:
                told.append(host)
                add(zone, 3_000_000)
                so_far = host.entry()
                assert (so_far.energy_j, so_far.seconds) == (3.0, 2.0)
                add(zone, 1_000_000)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        add(zone, 1_000_000)
        assert (told[0].entry().energy_j, told[0].entry().seconds) == (4.0, 5.0)


class TestGpus:
    def test_the_gpu_in_use_is_added(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        zone, nvml = make_zone(tmp_path, "intel-rapl:0", "package-0", 0), Mock()
        nvml.nvmlDeviceGetName.return_value = "a GPU"
        nvml.nvmlDeviceGetTotalEnergyConsumption.side_effect = [5000, 12_500, 20_000]  # in mJ
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        with HostEnergy(["GPU-a"], powercap=tmp_path, idle_seconds=0) as host:
            add(zone, 1_000_000)
        entry = host.entry()
        assert entry.parts[1:] == [
            EnergyPart(device="a GPU", kind="measured", method="NVML", energy_j=7.5),
        ]
        assert (entry.kind, entry.method, entry.energy_j) == ("measured", "RAPL; NVML", 8.5)
        assert nvml.nvmlDeviceGetHandleByUUID.call_args == call("GPU-a")
        assert nvml.nvmlInit.call_count == nvml.nvmlShutdown.call_count > 0
        nvml.nvmlDeviceGetHandleByUUID.side_effect = LookupError("no GPU-c")
        with HostEnergy(["GPU-c"], powercap=tmp_path, idle_seconds=0) as host:
            pass
        entry = host.entry()
        assert (entry.kind, entry.energy_j, entry.parts[0].energy_j) == ("unavailable", None, 0.0)
        assert "no GPU-c" in entry.method

    @needs_torch
    def test_uuids_of_torch_devices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        monkeypatch.setattr(
            torch.cuda,
            "get_device_properties",
            lambda device: types.SimpleNamespace(uuid=f"uuid of {device}"),
        )
        assert gpu_uuids("cpu") == ()
        assert gpu_uuids("cuda:1") == ("GPU-uuid of cuda:1",)


def spent(energy_j: float | None, seconds: float, idle_w: float | None) -> HostEnergyEntry:
    kind: Any = "unavailable" if energy_j is None else "measured"
    above = None if idle_w is None or energy_j is None else energy_j - idle_w * seconds
    part = EnergyPart(
        device="a", kind=kind, method="RAPL", energy_j=energy_j, idle_w=idle_w, above_idle_j=above
    )
    return HostEnergyEntry.of([part], seconds)


def test_several_processes_add_up() -> None:
    one, other = spent(10.0, 2.0, 1.0), spent(40.0, 6.0, 3.0)
    assert added_up([one]) == one
    both = added_up([one, other])
    assert (both.energy_j, both.seconds, both.idle_w, both.above_idle_j) == (50.0, 8.0, 2.5, 30.0)
    assert "2 processes, without what they spent in epochs that were cut short" in both.method
    partly = added_up([one, spent(None, 3.0, None)])
    assert (partly.kind, partly.energy_j, partly.seconds) == ("unavailable", None, 5.0)
