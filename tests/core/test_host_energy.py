"""Energy counters of the processor: sums over packages, and a counter's start over."""

from pathlib import Path

from spikejoule.core.host_energy import HostEnergy


def counters(folder: Path, **microjoules: int) -> HostEnergy:
    """Write counters that start over at 1 J, and read them."""
    for name, energy in microjoules.items():
        package = folder / f"intel-rapl:{name[-1]}"
        package.mkdir(parents=True, exist_ok=True)
        (package / "energy_uj").write_text(f"{energy}\n")
        (package / "max_energy_range_uj").write_text("1000000\n")
    return HostEnergy.read(folder)


def test_packages_are_added_and_counters_start_over(tmp_path: Path) -> None:
    before = counters(tmp_path, package0=100_000, package1=900_000)
    after = counters(tmp_path, package0=350_000, package1=150_000)
    assert after.joules_since(before) == 0.5


def test_without_counters_nothing_is_measured(tmp_path: Path) -> None:
    nothing = HostEnergy.read(tmp_path / "missing")
    assert nothing.joules_since(nothing) is None
