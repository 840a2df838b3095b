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

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from spikejoule.core.schema import NotNegative, Record

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


@dataclass
class HostEnergy:
    """What `measure_host_energy` fills in at its end.

    Attributes:
        seconds: wall time of the block.
        parts: processor, memory, GPUs, as far as they are known.
        so_far: the same while the block lasts.
    """

    seconds: float = 0.0
    parts: tuple[EnergyPart, ...] = ()
    so_far: "Callable[[], HostEnergy]" = lambda: HostEnergy()

    def as_entry(self) -> HostEnergyEntry:
        """The entry of a file: the sum over the parts, and each of them."""
        is_measured = {part.kind for part in self.parts} == {"measured"}
        has_idle = is_measured and all(part.idle_w is not None for part in self.parts)
        return HostEnergyEntry(
            energy_j=sum(part.energy_j or 0.0 for part in self.parts) if is_measured else None,
            idle_w=sum(part.idle_w or 0.0 for part in self.parts) if has_idle else None,
            above_idle_j=sum(part.above_idle_j or 0.0 for part in self.parts) if has_idle else None,
            seconds=self.seconds,
            kind="measured" if is_measured else "unavailable",
            method="; ".join(dict.fromkeys(part.method for part in self.parts)),
            device=", ".join(part.device for part in self.parts),
            parts=list(self.parts),
        )


@dataclass(frozen=True)
class Meter:
    """Running since it was made.

    Attributes:
        read: what was spent until now.
        stop: let go of what it needs; it can be read once more.
    """

    read: Callable[[], tuple[EnergyPart, ...]]
    stop: Callable[[], None] = lambda: None

    def __call__(self) -> tuple[EnergyPart, ...]:
        """What was spent, at the end."""
        try:
            return self.read()
        finally:
            self.stop()


@contextmanager
def measure_host_energy(
    gpu_uuids: Sequence[str] = (),
    powercap: Path = POWERCAP,
    clock: Callable[[], float] = time.perf_counter,
    idle_seconds: float = _IDLE_SECONDS,
    poll_seconds: float = _POLL_SECONDS,
) -> Iterator[HostEnergy]:
    """Meter the block; the object that it yields is filled in when the block ends.

    Args:
        gpu_uuids: NVIDIA GPUs that work for the block, from `gpu_uuids`.
        powercap: folder of the RAPL counters.
        clock: seconds.
        idle_seconds: how long to measure before the block what the machine draws idle, where
            anything can be measured; 0 for not at all.
        poll_seconds: how often the counters are read meanwhile, before they wrap around twice.
    """

    def start() -> list[Meter]:
        meters = [_started("processor", lambda: _rapl_meter(powercap, poll_seconds))]
        if gpu_uuids:
            meters.append(_started("GPU", lambda: _nvidia_meter(gpu_uuids)))
        return meters

    result = HostEnergy()
    idle_w = _idle_watts(start, idle_seconds, clock)
    meters, started = start(), clock()

    def spent(parts: Sequence[EnergyPart], seconds: float) -> HostEnergy:
        known = idle_w if len(idle_w) == len(parts) else [None] * len(parts)
        above = [_above_idle(*of, seconds) for of in zip(parts, known, strict=True)]
        return HostEnergy(seconds, tuple(above))

    result.so_far = lambda: spent(
        [part for meter in meters for part in meter.read()], clock() - started
    )
    try:
        yield result
    finally:
        seconds = clock() - started
        at_end = spent(_parts(meters), seconds)
        result.seconds, result.parts = seconds, at_end.parts


def _idle_watts(
    start: Callable[[], list[Meter]], seconds: float, clock: Callable[[], float]
) -> list[float | None]:
    """Watts of each part while this process waits; nothing where no part can be measured."""
    if seconds <= 0 or all(part.energy_j is None for part in _parts(start())):
        return []
    meters, started = start(), clock()
    time.sleep(seconds)
    lasted = clock() - started
    return [None if part.energy_j is None else part.energy_j / lasted for part in _parts(meters)]


def _parts(meters: Sequence[Meter]) -> list[EnergyPart]:
    return [part for meter in meters for part in meter()]


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


def _started(device: str, start: Callable[[], Meter]) -> Meter:
    """The meter that `start` makes, with every exception turned into an unavailable part."""

    def unavailable(error: Exception) -> tuple[EnergyPart, ...]:
        reason = " ".join(str(error).split()) or type(error).__name__
        return (EnergyPart(device=device, kind="unavailable", method=reason, energy_j=None),)

    try:
        meter = start()
    except Exception as error:
        part = unavailable(error)
        return Meter(lambda: part)

    def read() -> tuple[EnergyPart, ...]:
        try:
            return meter.read()
        except Exception as error:
            return unavailable(error)

    return Meter(read, meter.stop)


def _rapl_zones(powercap: Path) -> list[Path]:
    """Folders of the packages and of the memory beside them; their parts are left out."""
    zones = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        name = (zone / "name").read_text().strip()
        is_package = re.fullmatch(r"intel-rapl:\d+", zone.name) and name.startswith("package")
        if is_package or name == "dram":
            zones.append(zone)
    return zones


class _Counter:
    """A counter of microjoules that starts from zero again beyond its range."""

    def __init__(self, zone: Path) -> None:
        self.name = (zone / "name").read_text().strip()
        self._file = zone / "energy_uj"
        self._range_uj = int((zone / "max_energy_range_uj").read_text())
        self._last_uj = int(self._file.read_text())
        self.total_uj = 0

    def update(self) -> None:
        now_uj = int(self._file.read_text())
        spent_uj = now_uj - self._last_uj
        self.total_uj += spent_uj if spent_uj >= 0 else spent_uj + self._range_uj
        self._last_uj = now_uj


def _rapl_meter(powercap: Path, poll_seconds: float) -> Meter:
    counters = [_Counter(zone) for zone in _rapl_zones(powercap)]
    if not counters:
        raise FileNotFoundError(f"there is no RAPL counter in {powercap}")
    over = threading.Event()
    updating = threading.Lock()
    failures: list[OSError | ValueError] = []

    def update() -> None:
        with updating:
            for counter in counters:
                counter.update()

    def poll() -> None:
        while not over.wait(poll_seconds):
            try:
                update()
            except (OSError, ValueError) as error:
                failures.append(error)
                return

    poller = threading.Thread(target=poll, name="RAPL", daemon=True)
    poller.start()

    def read() -> tuple[EnergyPart, ...]:
        if failures:
            raise failures[0]
        update()
        return tuple(
            EnergyPart(
                device=counter.name, kind="measured", method="RAPL", energy_j=counter.total_uj / 1e6
            )
            for counter in counters
        )

    def stop() -> None:
        over.set()
        poller.join()

    return Meter(read, stop)


def _nvidia_meter(uuids: Sequence[str]) -> Meter:
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
    names = [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    before_mj = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]

    def read() -> tuple[EnergyPart, ...]:
        after_mj = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]
        return tuple(
            EnergyPart(device=name, kind="measured", method="NVML", energy_j=(after - before) / 1e3)
            for name, before, after in zip(names, before_mj, after_mj, strict=True)
        )

    return Meter(read, pynvml.nvmlShutdown)


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
    parts = tuple(_of_device(parts, len(entries)) for parts in by_device.values())
    return HostEnergy(sum(entry.seconds for entry in entries), parts).as_entry()


def _of_device(parts: Sequence[tuple[EnergyPart, float]], n_processes: int) -> EnergyPart:
    first = parts[0][0]
    for part, _ in parts:
        if part.energy_j is None:
            return part
    idle_j = [seconds * part.idle_w for part, seconds in parts if part.idle_w is not None]
    has_idle = len(idle_j) == len(parts)
    energy_j = sum(part.energy_j or 0.0 for part, _ in parts)
    seconds = sum(of for _, of in parts)
    return EnergyPart(
        device=first.device,
        kind="measured",
        method=f"{first.method}, added up over {n_processes} processes, without what they spent in "
        "epochs that were cut short",
        energy_j=energy_j,
        idle_w=sum(idle_j) / seconds if has_idle and seconds else None,
        above_idle_j=energy_j - sum(idle_j) if has_idle and seconds else None,
    )
