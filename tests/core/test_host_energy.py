"""The machine's own energy, with a made-up sysfs and a made-up NVML."""

import time
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.host_energy import HostEnergy, HostEnergyEntry, added_up


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
        with HostEnergy(powercap=tmp_path) as host:
            add(first, 2_000_000)
            add(second, 3_500_000)
            assert int((second / "energy_uj").read_text()) == 2_500_000, "it has wrapped around"
            add(dram, 250_000)
            for zone in (core, platform, mirror):
                add(zone, 900_000_000)
        entry = host.entry()
        assert entry.energy_j == 5.75
        assert (entry.kind, entry.method) == ("measured", "RAPL")
        assert entry.device == "package-0, dram, package-1"

    def test_counters_that_wrap_around_twice_are_read_in_between(self, tmp_path: Path) -> None:
        zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0, range_uj=1_000_000)
        with HostEnergy(powercap=tmp_path, poll_seconds=0.01) as host:
            for _ in range(3):
                add(zone, 700_000)
                time.sleep(0.3)
        assert host.entry().energy_j == pytest.approx(2.1)

    def test_one_unreadable_counter_makes_it_unavailable(self, tmp_path: Path) -> None:
        make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        zone = make_zone(tmp_path, "intel-rapl:1", "package-1", 0)
        # As root may read anything, a folder stands for a file without permission.
        (zone / "energy_uj").unlink()
        (zone / "energy_uj").mkdir()
        with HostEnergy(powercap=tmp_path) as host:
            pass
        # Half a machine measured would be no measure of it.
        assert (host.entry().kind, host.entry().energy_j) == ("unavailable", None)
        assert "intel-rapl:1/energy_uj" in host.entry().method

    def test_none_is_unavailable_and_nothing_is_estimated(self, tmp_path: Path) -> None:
        ticks = iter([10.0, 12.5])
        with HostEnergy(powercap=tmp_path, clock=lambda: next(ticks)) as host:
            pass
        entry = host.entry()
        assert (entry.kind, entry.energy_j, entry.seconds) == ("unavailable", None, 2.5)
        assert entry.method == f"there is no RAPL counter in {tmp_path}"

    def test_it_is_told_while_the_block_lasts_and_when_an_exception_ends_it(
        self, tmp_path: Path
    ) -> None:
        zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
        ticks = iter([10.0, 12.0, 15.0])
        host = HostEnergy(powercap=tmp_path, clock=lambda: next(ticks))

        def work() -> None:
            with host:
                add(zone, 3_000_000)
                assert (host.entry().energy_j, zone.exists()) == (3.0, True)
                add(zone, 1_000_000)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work()
        add(zone, 1_000_000)
        assert (host.entry().energy_j, host.entry().seconds) == (4.0, 5.0)


def test_a_gpu_makes_it_unavailable(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with HostEnergy(uses_gpu=True, powercap=tmp_path) as host:
        pass
    assert (host.entry().kind, host.entry().energy_j) == ("unavailable", None)
    assert "GPU" in host.entry().method


def spent(energy_j: float | None, seconds: float) -> HostEnergyEntry:
    kind: Any = "unavailable" if energy_j is None else "measured"
    return HostEnergyEntry(device="a", kind=kind, method="RAPL", energy_j=energy_j, seconds=seconds)


def test_several_processes_add_up() -> None:
    one, other = spent(10.0, 2.0), spent(40.0, 6.0)
    assert added_up([one]) == one
    both = added_up([one, other])
    assert (both.energy_j, both.seconds) == (50.0, 8.0)
    assert "2 processes, without what they spent in epochs cut short" in both.method
    partly = added_up([one, spent(None, 3.0)])
    assert (partly.kind, partly.energy_j, partly.seconds) == ("unavailable", None, 5.0)
