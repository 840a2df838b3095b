"""What the computer draws, from the processor's energy counters (RAPL) in Linux.

Counters of processor packages count microjoules and start over at their range. A
machine without them, or a process that may not read them, measures nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

_COUNTERS = Path("/sys/class/powercap")
_MICROJOULES_PER_JOULE = 1e6


@dataclass(frozen=True)
class HostEnergy:
    """A reading of all counters; `joules_since` compares it with a later one.

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
        for package in sorted(folder.glob("intel-rapl:?")):
            try:
                energy = int((package / "energy_uj").read_text(encoding="ascii"))
                limit = (package / "max_energy_range_uj").read_text(encoding="ascii")
            except (OSError, ValueError):
                continue
            microjoules[package.name] = energy
            ranges[package.name] = int(limit)
        return cls(microjoules, ranges)

    def joules_since(self, earlier: Self) -> float | None:
        """Return what was drawn since an earlier reading; None without counters.

        A counter may have started over once: read more often than that takes.
        """
        packages = self.microjoules.keys() & earlier.microjoules.keys()
        if not packages:
            return None
        total = 0
        for package in packages:
            drawn = self.microjoules[package] - earlier.microjoules[package]
            total += drawn if drawn >= 0 else drawn + self.ranges[package]
        return total / _MICROJOULES_PER_JOULE
