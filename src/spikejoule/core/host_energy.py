"""The energy that this very machine spends while a stage works: measured, or not known.

It is what computing cost here and now, and has nothing to do with the modelled joules of a spiking
chip. Two counters of the hardware are read, each over all processes together:

RAPL  the processor packages, and the memory beside them where it has a counter (Linux,
      Documentation/power/powercap)
NVML  the GPUs in use (nvmlDeviceGetTotalEnergyConsumption; Volta and later)

What the machine draws while nothing works is measured before the stage begins, and stated: the
energy above it is what the work itself added.

Where one of them cannot be read, the part is unavailable, with the reason, and so is the sum.
Nothing is estimated from a processor's nominal power: that figure says how long a stage took, not
what it spent. A problem never stops the work.
"""

import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from spikejoule.core.schema import NotNegative, Record, Seconds, Text

POWERCAP = Path("/sys/class/powercap")

# The counters of a busy server wrap around within minutes, and a second wrap would go unseen.
_POLL_SECONDS = 10.0
_IDLE_SECONDS = 1.0

PartKind = Literal["measured", "estimated", "unavailable"]


class EnergyPart(Record):
    """The energy of one part of the machine.

    Attributes:
        device: what spent it.
        kind: how far to believe it; only files of earlier versions hold what is estimated.
        method: how it was obtained, or why it could not be.
        energy_j: joules; None if unavailable.
        idle_w: watts before the stage began; None if they were not measured.
        above_idle_j: joules beyond those watts; below 0 where it drew less than before.
    """

    device: str
    kind: PartKind
    method: str
    energy_j: NotNegative | None
    idle_w: NotNegative | None = None
    above_idle_j: float | None = None

    @model_validator(mode="after")
    def _has_energy_if_available(self) -> Self:
        if (self.energy_j is None) != (self.kind == "unavailable"):
            raise ValueError("energy_j must be there, unless it is unavailable")
        return self


class HostEnergyEntry(EnergyPart):
    """The sum over the parts; if one is unavailable, so is the sum. `seconds` is the wall time."""

    seconds: NotNegative
    parts: list[EnergyPart]

    @classmethod
    def of(cls, parts: Sequence[EnergyPart], seconds: float) -> Self:
        """The sum over parts that were measured for so many seconds."""
        is_measured = {part.kind for part in parts} == {"measured"}
        has_idle = is_measured and all(part.idle_w is not None for part in parts)
        return cls(
            energy_j=sum(part.energy_j or 0.0 for part in parts) if is_measured else None,
            idle_w=sum(part.idle_w or 0.0 for part in parts) if has_idle else None,
            above_idle_j=sum(part.above_idle_j or 0.0 for part in parts) if has_idle else None,
            seconds=seconds,
            kind="measured" if is_measured else "unavailable",
            method="; ".join(dict.fromkeys(part.method for part in parts)),
            device=", ".join(part.device for part in parts),
            parts=list(parts),
        )


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

    @model_validator(mode="after")
    def _epochs_add_up(self) -> Self:
        total, parts = self.training_time_seconds, sum(self.epoch_times_seconds)
        if not math.isclose(total, parts, rel_tol=1e-9):
            raise ValueError(f"training_time_seconds is {total}, but its parts add up to {parts}")
        return self


class HostEnergy:
    """What the machine spends while a block lasts: `with HostEnergy() as host`.

    Args:
        gpu_uuids: NVIDIA GPUs that work for the block, from `gpu_uuids`.
        powercap: folder of the RAPL counters.
        clock: seconds.
        idle_seconds: how long to measure before the block what the machine draws idle, where
            anything can be measured; 0 for not at all.
        poll_seconds: how often the counters are read meanwhile, before they wrap around twice.
    """

    def __init__(
        self,
        gpu_uuids: Sequence[str] = (),
        powercap: Path = POWERCAP,
        clock: Callable[[], float] = time.perf_counter,
        idle_seconds: float = _IDLE_SECONDS,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._start: dict[str, Callable[[], _Rapl | _Nvml]]
        self._start = {"processor": lambda: _Rapl(powercap, poll_seconds)}
        if gpu_uuids:
            self._start["GPU"] = lambda: _Nvml(gpu_uuids)
        self._clock, self._idle_seconds = clock, idle_seconds
        self._idle_w: list[float | None] = []

    def __enter__(self) -> Self:
        if self._idle_seconds > 0:
            self._begin()
            if any(part.energy_j is not None for part in self.entry().parts):
                time.sleep(self._idle_seconds)
            idle = self._end()
            self._idle_w = [part.energy_j and part.energy_j / idle.seconds for part in idle.parts]
        self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _begin(self) -> None:
        self._counters = {device: _started(start) for device, start in self._start.items()}
        self._at_end: HostEnergyEntry | None = None
        self._began = self._clock()

    def entry(self) -> HostEnergyEntry:
        """What was spent in the block, as far as it has come."""
        if self._at_end is not None:
            return self._at_end
        seconds = self._clock() - self._began
        parts = [part for each in self._counters.items() for part in _read(*each)]
        if len(self._idle_w) == len(parts):
            parts = [
                _above_idle(part, idle_w, seconds)
                for part, idle_w in zip(parts, self._idle_w, strict=True)
            ]
        return HostEnergyEntry.of(parts, seconds)

    def _end(self) -> HostEnergyEntry:
        self._at_end = self.entry()
        for counters in self._counters.values():
            if not isinstance(counters, Exception):
                counters.close()
        return self._at_end


def _above_idle(part: EnergyPart, idle_w: float | None, seconds: float) -> EnergyPart:
    if part.energy_j is None or idle_w is None:
        return part
    above = part.energy_j - idle_w * seconds
    return part.model_copy(update={"idle_w": idle_w, "above_idle_j": above})


def gpu_uuids(device: str) -> tuple[str, ...]:
    """NVML's name of a torch device such as ``cuda:0``; empty for the CPU."""
    if not device.startswith("cuda"):
        return ()
    import torch

    return (f"GPU-{torch.cuda.get_device_properties(device).uuid}",)


def _started(start: Callable[[], "_Rapl | _Nvml"]) -> "_Rapl | _Nvml | Exception":
    """The counters that `start` opens, or why they cannot be had."""
    try:
        return start()
    except Exception as error:
        return error


def _read(device: str, counters: "_Rapl | _Nvml | Exception") -> list[EnergyPart]:
    """What counters say, with every exception turned into an unavailable part."""
    try:
        if isinstance(counters, Exception):
            raise counters
        return [
            EnergyPart(device=name, kind="measured", method=counters.method, energy_j=energy_j)
            for name, energy_j in counters.read()
        ]
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return [EnergyPart(device=device, kind="unavailable", method=reason, energy_j=None)]


def _is_counted(zone: Path) -> bool:
    """Whether it is a package, whose parts are in its own counter, or memory beside one."""
    name = (zone / "name").read_text().strip()
    is_package = re.fullmatch(r"intel-rapl:\d+", zone.name) and name.startswith("package")
    return bool(is_package) or name == "dram"


class _Zone:
    """A counter of microjoules that starts from zero again beyond its range."""

    def __init__(self, folder: Path) -> None:
        self.name = (folder / "name").read_text().strip()
        self._file = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = int(self._file.read_text())
        self.total_uj = 0

    def update(self) -> None:
        now_uj = int(self._file.read_text())
        spent_uj = now_uj - self._last_uj
        self.total_uj += spent_uj if spent_uj >= 0 else spent_uj + self._range_uj
        self._last_uj = now_uj


class _Rapl:
    """The packages and the memory beside them, read now and then lest a counter wrap twice."""

    method = "RAPL"

    def __init__(self, powercap: Path, poll_seconds: float) -> None:
        folders = sorted(powercap.glob("intel-rapl:*"))
        self._zones = [_Zone(folder) for folder in folders if _is_counted(folder)]
        if not self._zones:
            raise FileNotFoundError(f"there is no RAPL counter in {powercap}")
        self._failure: Exception | None = None
        self._over, self._reading = threading.Event(), threading.Lock()
        self._poller = threading.Thread(target=self._poll, args=(poll_seconds,), daemon=True)
        self._poller.start()

    def _poll(self, poll_seconds: float) -> None:
        while self._failure is None and not self._over.wait(poll_seconds):
            try:
                self.read()
            except (OSError, ValueError) as error:
                self._failure = error

    def read(self) -> list[tuple[str, float]]:
        """Names and joules since it was made."""
        if self._failure is not None:
            raise self._failure
        with self._reading:
            for zone in self._zones:
                zone.update()
            return [(zone.name, zone.total_uj / 1e6) for zone in self._zones]

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._poller.join()


class _Nvml:
    """NVIDIA's GPUs by their UUIDs."""

    method = "NVML"

    def __init__(self, uuids: Sequence[str]) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._spent_mj = pynvml.nvmlDeviceGetTotalEnergyConsumption
        self.close = pynvml.nvmlShutdown
        handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
        self._gpus = [(of, str(pynvml.nvmlDeviceGetName(of)), self._spent_mj(of)) for of in handles]

    def read(self) -> list[tuple[str, float]]:
        """Names and joules since it was made."""
        return [(name, (self._spent_mj(of) - before) / 1e3) for of, name, before in self._gpus]


def added_up(entries: Sequence[HostEnergyEntry]) -> HostEnergyEntry:
    """The sum over the processes, by device; unavailable where it is in one of them.

    What a process spent after the last entry that it left is in no sum, and `method` says so. The
    watts of an idle machine are the mean over the time. A single entry stays as it is.
    """
    if len(entries) == 1:
        return entries[0]
    by_device: dict[str, list[tuple[EnergyPart, float]]] = {}
    for entry in entries:
        for part in entry.parts:
            by_device.setdefault(part.device, []).append((part, entry.seconds))
    parts = [_of_device(parts, len(entries)) for parts in by_device.values()]
    return HostEnergyEntry.of(parts, sum(entry.seconds for entry in entries))


def _of_device(parts: Sequence[tuple[EnergyPart, float]], n_processes: int) -> EnergyPart:
    unavailable = next((part for part, _ in parts if part.energy_j is None), None)
    if unavailable is not None:
        return unavailable
    seconds = sum(of for _, of in parts)
    idle_j = [of * part.idle_w for part, of in parts if part.idle_w is not None]
    energy_j = sum(part.energy_j or 0.0 for part, _ in parts)
    spent = EnergyPart(
        device=parts[0][0].device,
        kind="measured",
        method=f"{parts[0][0].method}, added up over {n_processes} processes, without what they "
        "spent in epochs that were cut short",
        energy_j=energy_j,
    )
    has_idle = len(idle_j) == len(parts) and seconds > 0
    return _above_idle(spent, sum(idle_j) / seconds if has_idle else None, seconds)
