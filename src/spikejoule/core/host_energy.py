"""What the computer draws, from the processor's energy counters (RAPL) in Linux.

Counters of processor packages count microjoules and start over at their range. Other
counters are left out: those of cores and memory are parts of a package, and that of the
platform contains it. A machine without counters, or a process that may not read them,
measures nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

_COUNTERS = Path("/sys/class/powercap")
_MICROJOULES_PER_JOULE = 1e6


@dataclass(frozen=True)
class HostEnergy:
    """A reading of all counters; `joules_since` compares it with an earlier one.

    Attributes:
        microjoules: the counter of each package, by its folder.
        ranges: where each counter starts over.
    """

    microjoules: dict[str, int]
    ranges: dict[str, int]

    @classmethod
    def read(cls, folder: Path = _COUNTERS) -> Self:
        """Read all counters; none where they are missing or may not be read."""
        microjoules = {}
        ranges = {}
        for counter in sorted(folder.glob("intel-rapl:*")):
            try:
                name = (counter / "name").read_text(encoding="ascii")
                energy = int((counter / "energy_uj").read_text(encoding="ascii"))
                limit = (counter / "max_energy_range_uj").read_text(encoding="ascii")
                counts_to = int(limit)
            except (OSError, ValueError):
                continue
            if name.startswith("package"):
                microjoules[counter.name] = energy
                ranges[counter.name] = counts_to
        return cls(microjoules, ranges)

    def joules_since(self, earlier: Self) -> float | None:
        """Return what was drawn since an earlier reading; None without counters.

        A counter may have started over once, so read at least once in that time.
        """
        packages = self.microjoules.keys() & earlier.microjoules.keys()
        if not packages:
            return None
        total = 0
        for package in packages:
            drawn = self.microjoules[package] - earlier.microjoules[package]
            total += drawn if drawn >= 0 else drawn + self.ranges[package]
        return total / _MICROJOULES_PER_JOULE
