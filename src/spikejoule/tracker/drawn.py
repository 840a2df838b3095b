"""What the machine draws while a loop runs: readings of energy counters, and their sum.

`core.host_energy` reads those of the processor packages. NVML reads those of NVIDIA
GPUs, from Volta on, if the package nvidia-ml-py is installed. This was tested with a
stand-in for that package, not yet on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, Self

_MILLIJOULES_PER_JOULE = 1e3


@dataclass(frozen=True)
class GpuEnergy:
    """A reading of the GPUs' counters, which run since the driver was loaded.

    Attributes:
        millijoules: the counter of each GPU, by its number.
    """

    millijoules: dict[int, int]

    @classmethod
    def read(cls) -> Self:
        """Read all counters; none without NVML, a driver, or a GPU that counts."""
        try:
            nvml: Any = import_module("pynvml")
            nvml.nvmlInit()
        except ImportError:
            return cls({})
        except nvml.NVMLError:
            return cls({})
        millijoules = {}
        try:
            for number in range(nvml.nvmlDeviceGetCount()):
                device = nvml.nvmlDeviceGetHandleByIndex(number)
                try:
                    energy = nvml.nvmlDeviceGetTotalEnergyConsumption(device)
                except nvml.NVMLError_NotSupported:
                    continue
                millijoules[number] = int(energy)
        finally:
            nvml.nvmlShutdown()
        return cls(millijoules)

    def joules_since(self, earlier: Self) -> float | None:
        """Return what was drawn since an earlier reading; None without counters."""
        gpus = self.millijoules.keys() & earlier.millijoules.keys()
        if not gpus:
            return None
        drawn = sum(self.millijoules[gpu] - earlier.millijoules[gpu] for gpu in gpus)
        return drawn / _MILLIJOULES_PER_JOULE


class Reading(Protocol):
    """A reading of counters."""

    def joules_since(self, earlier: Any) -> float | None:
        """Return what was drawn since an earlier reading; None without counters."""


class Meter:
    """Adds up what is drawn from reading to reading, the first when it is made.

    Attributes:
        joules: so far; None without counters.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self.joules: float | None = None
        self._read = read
        self._last = read()

    def note(self) -> None:
        """Add what was drawn since the last reading."""
        now = self._read()
        drawn = now.joules_since(self._last)
        self._last = now
        if drawn is not None:
            self.joules = (self.joules or 0.0) + drawn
