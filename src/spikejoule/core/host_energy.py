"""The energy that this very machine spends while a stage works: measured, or not known.

It is what computing cost here and now, and has nothing to do with the modelled joules of a spiking
chip. Counters of the hardware are read, over all processes together: RAPL, of the processor's
packages and of the memory beside them where it has one (Linux, Documentation/power/powercap).

It is all that the machine spent meanwhile, what it draws when idle included.

Where one of them cannot be read, or a GPU works, the energy is unavailable, with the reason.
Nothing is estimated from a processor's nominal power: that figure says how long a stage took, not
what it spent. A problem never stops the work.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from spikejoule.core.schema import NotNegative, Record, Seconds, Text

POWERCAP = Path("/sys/class/powercap")

# The counters of a busy server wrap around within minutes, and a second wrap would go unseen.
_POLL_SECONDS = 10.0


class HostEnergyEntry(Record):
    """The energy of the machine during a stage.

    Attributes:
        device: what spent it, one after the other.
        kind: how far to believe it; only files of earlier versions hold what is estimated.
        method: how it was obtained, or why it could not be.
        energy_j: joules of all of them; None if one is unavailable.
        seconds: wall time.
    """

    # Files of earlier versions hold the parts, and what the machine drew idle.
    model_config = ConfigDict(extra="ignore")

    device: str
    kind: Literal["measured", "estimated", "unavailable"]
    method: str
    energy_j: NotNegative | None
    seconds: NotNegative

    @model_validator(mode="after")
    def _has_energy_if_available(self) -> Self:
        if (self.energy_j is None) != (self.kind == "unavailable"):
            raise ValueError("energy_j must be there, unless it is unavailable")
        return self


class EpochTimes(Record):
    """When and for how long networks were trained, in seconds, and the machine's energy meanwhile.

    Attributes:
        training_time_seconds: of all epochs, validation included.
        epoch_times_seconds: of each epoch.
        timestamp: when training began, as ISO 8601.
        host_energy: the energy of the machine.
    """

    training_time_seconds: Seconds
    epoch_times_seconds: list[Seconds] = Field(min_length=1)
    timestamp: Text
    host_energy: HostEnergyEntry | None = None

    @field_validator("timestamp")
    @classmethod
    def _is_a_time(cls, text: str) -> str:
        if not 1970 <= datetime.fromisoformat(text).year < 9000:
            raise ValueError(f"{text!r} is not of this age")
        return text


class HostEnergy:
    """What the machine spends while a block lasts: `with HostEnergy() as host`.

    Args:
        uses_gpu: whether a GPU works for the block, whose energy nobody reads.
        powercap: folder of the RAPL counters.
        clock: seconds.
        poll_seconds: how often the counters are read meanwhile, before they wrap around twice.
    """

    def __init__(
        self,
        uses_gpu: bool = False,
        powercap: Path = POWERCAP,
        clock: Callable[[], float] = time.perf_counter,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._uses_gpu, self._powercap = uses_gpu, powercap
        self._clock, self._poll_seconds = clock, poll_seconds
        self._zones: list[_Zone] = []
        self._problem: str = ""
        self._at_end: HostEnergyEntry | None = None
        self._over, self._reading = threading.Event(), threading.Lock()
        self._poller = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Self:
        try:
            zones = [_Zone(folder) for folder in sorted(self._powercap.glob("intel-rapl:*"))]
            self._zones = [zone for zone in zones if zone.is_counted]
            if not self._zones:
                self._problem = f"there is no RAPL counter in {self._powercap}"
            if self._uses_gpu:
                self._problem = "a GPU was in use, whose energy is not read"
        except (OSError, ValueError) as error:  # a problem never stops the work
            self._problem = str(error)
        self._poller.start()
        self._began = self._clock()
        return self

    def __exit__(self, *error: object) -> None:
        self._at_end = self.entry()
        self._over.set()
        self._poller.join()

    def _poll(self) -> None:
        while not self._over.wait(self._poll_seconds):
            with suppress(OSError, ValueError):  # the last reading says why, if it stays so
                self._joules()

    def _joules(self) -> float:
        with self._reading:
            return sum(zone.joules() for zone in self._zones)

    def entry(self) -> HostEnergyEntry:
        """What was spent in the block, as far as it has come."""
        if self._at_end is not None:
            return self._at_end
        seconds, energy_j, problem = self._clock() - self._began, None, self._problem
        try:
            energy_j = None if problem else self._joules()
        except (OSError, ValueError) as error:
            problem = str(error)
        return HostEnergyEntry(
            device=", ".join(zone.name for zone in self._zones),
            kind="unavailable" if problem else "measured",
            method=problem or "RAPL",
            energy_j=energy_j,
            seconds=seconds,
        )


class _Zone:
    """A counter of microjoules that starts from zero again beyond its range."""

    def __init__(self, folder: Path) -> None:
        self.name = (folder / "name").read_text().strip()
        # A package, whose parts are in its own counter, or memory beside one.
        is_package = re.fullmatch(r"intel-rapl:\d+", folder.name) and self.name.startswith(
            "package"
        )
        self.is_counted = bool(is_package) or self.name == "dram"
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = int(self._file.read_text())
        self._total_uj = 0

    def joules(self) -> float:
        now_uj = int(self._file.read_text())
        self._total_uj += (now_uj - self._last_uj) % self._range_uj
        self._last_uj = now_uj
        return self._total_uj / 1e6


def added_up(entries: Sequence[HostEnergyEntry]) -> HostEnergyEntry:
    """The sum over the processes; unavailable where it is in one of them.

    What a process spent after the last entry that it left is in no sum, and `method` says so. A
    single entry stays as it is.
    """
    if len(entries) == 1:
        return entries[0]
    seconds = sum(entry.seconds for entry in entries)
    for entry in entries:
        if entry.energy_j is None:
            return entry.model_copy(update={"seconds": seconds})
    told = f"added up over {len(entries)} processes, without what they spent in epochs cut short"
    spent = {
        "energy_j": sum(entry.energy_j or 0.0 for entry in entries),
        "seconds": seconds,
        "method": f"{entries[0].method}, {told}",
    }
    return entries[0].model_copy(update=spent)
