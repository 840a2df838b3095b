"""Energy counters of the processor: sums over packages, and a counter's start over."""

from pathlib import Path

from spikejoule.core.host_energy import HostEnergy


def counters(folder: Path, **microjoules: int | str) -> HostEnergy:
    """Write counters that start over at 1 J, and read them."""
    for number, (name, energy) in enumerate(microjoules.items()):
        counter = folder / f"intel-rapl:{number}"
        counter.mkdir(parents=True, exist_ok=True)
        (counter / "name").write_text(f"{name}\n")
        (counter / "energy_uj").write_text(f"{energy}\n")
        (counter / "max_energy_range_uj").write_text("1000000\n")
    return HostEnergy.read(folder)


def test_packages_are_added_and_counters_start_over(tmp_path: Path) -> None:
    before = counters(tmp_path, package0=100_000, package1=900_000)
    after = counters(tmp_path, package0=350_000, package1=150_000)
    assert after.joules_since(before) == 0.5


def test_a_platform_contains_its_packages_and_unreadable_counters_are_left_out(
    tmp_path: Path,
) -> None:
    before = counters(tmp_path, package0=0, psys=0, package1="")
    after = counters(tmp_path, package0=100_000, psys=150_000, package1="")
    assert after.joules_since(before) == 0.1


def test_without_counters_nothing_is_measured(tmp_path: Path) -> None:
    nothing = HostEnergy.read(tmp_path / "missing")
    assert nothing.joules_since(nothing) is None
