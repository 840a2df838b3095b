"""The energy that this very machine spends while a stage works, measured or else estimated.

It is what computing cost here and now, and has nothing to do with the modelled joules of a spiking
chip. Each part says how it was obtained:

RAPL        measured: energy counters of the processor packages, and of the memory where there are
            such, all processes together (Linux, Documentation/power/powercap)
NVML        measured: energy counters of the GPUs in use, all processes together
            (nvmlDeviceGetTotalEnergyConsumption; Volta and later)
CodeCarbon  estimated, where no RAPL can be read: the processor time of this process and its
            children, as a share of the processor's nominal power, and a constant power for the
            memory modules (https://docs.codecarbon.io, methodology)

CodeCarbon is told to work offline: it makes no request, writes no file and says nothing. A problem
never stops the work: the part is then unavailable, with the reason.
"""

import importlib.metadata
import logging
import platform
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from spikejoule.foundation.records import NotNegative, Record

POWERCAP = Path("/sys/class/powercap")

# The counters of a busy server wrap around within minutes, and a second wrap would go unseen.
_POLL_SECONDS = 10.0
_JOULES_PER_KWH = 3.6e6


Kind = Literal["measured", "estimated", "unavailable"]


class EnergyPart(Record):
    """The energy of one part of the machine.

    Attributes:
        device: what spent it.
        kind: how far to believe it.
        method: how it was obtained, or why it could not be.
        energy_j: joules; None if unavailable.
    """

    device: str
    kind: Kind
    method: str
    energy_j: NotNegative | None

    @model_validator(mode="after")
    def _has_energy_if_available(self) -> Self:
        if (self.energy_j is None) != (self.kind == "unavailable"):
            raise ValueError("energy_j must be there, unless it is unavailable")
        return self


class HostEnergyEntry(EnergyPart):
    """The sum over the parts, measured only if all are; if one is unavailable, so is the sum.

    `seconds` is the wall time.
    """

    seconds: NotNegative
    parts: list[EnergyPart]


@dataclass
class HostEnergy:
    """What `measure_host_energy` fills in at its end.

    Attributes:
        seconds: wall time of the block.
        parts: processor, memory, GPUs, as far as they are known.
    """

    seconds: float = 0.0
    parts: tuple[EnergyPart, ...] = ()

    def as_entry(self) -> HostEnergyEntry:
        """The entry of a file: the sum over the parts, and each of them."""
        kinds = {part.kind for part in self.parts}
        kind: Kind = "measured" if kinds == {"measured"} else "estimated"
        energy_j: float | None = None
        if not kinds or "unavailable" in kinds:
            kind = "unavailable"
        else:
            energy_j = sum(part.energy_j or 0.0 for part in self.parts)
        return HostEnergyEntry(
            energy_j=energy_j,
            seconds=self.seconds,
            kind=kind,
            method="; ".join(dict.fromkeys(part.method for part in self.parts)),
            device=", ".join(part.device for part in self.parts),
            parts=list(self.parts),
        )


Meter = Callable[[], tuple[EnergyPart, ...]]
"""Running since it was made; called at the end, it says what was spent in between."""


@contextmanager
def measure_host_energy(
    gpu_uuids: Sequence[str] = (),
    powercap: Path = POWERCAP,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[HostEnergy]:
    """Meter the block; the object that it yields is filled in when the block ends.

    Args:
        gpu_uuids: NVIDIA GPUs that work for the block, from `gpu_uuids`.
        powercap: folder of the RAPL counters.
        clock: seconds.
    """
    result = HostEnergy()
    meters = [_started("processor", lambda: _processor_meter(powercap))]
    if gpu_uuids:
        meters.append(_started("GPU", lambda: _nvidia_meter(gpu_uuids)))
    started = clock()
    try:
        yield result
    finally:
        result.seconds = clock() - started
        result.parts = tuple(part for meter in meters for part in meter())


def gpu_uuids(device: str) -> tuple[str, ...]:
    """NVML's name of a torch device such as ``cuda:0``; empty for the CPU."""
    if not device.startswith("cuda"):
        return ()
    import torch

    return (f"GPU-{torch.cuda.get_device_properties(device).uuid}",)


def _started(device: str, start: Callable[[], Meter]) -> Meter:
    """The meter that `start` makes, with every exception turned into an unavailable part."""

    def unavailable(error: Exception) -> tuple[EnergyPart, ...]:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return (EnergyPart(device=device, kind="unavailable", method=reason, energy_j=None),)

    try:
        meter = start()
    except Exception as error:
        part = unavailable(error)
        return lambda: part

    def finish() -> tuple[EnergyPart, ...]:
        try:
            return meter()
        except Exception as error:
            return unavailable(error)

    return finish


def _processor_meter(powercap: Path) -> Meter:
    try:
        counters = [_Counter(zone) for zone in _rapl_zones(powercap)]
    except (OSError, ValueError) as error:
        return _codecarbon_meter(f"RAPL cannot be read: {error}")
    return _rapl_meter(counters) if counters else _codecarbon_meter("there is no RAPL")


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


def _rapl_meter(counters: Sequence[_Counter], poll_seconds: float = _POLL_SECONDS) -> Meter:
    over = threading.Event()
    failures: list[OSError | ValueError] = []

    def poll() -> None:
        while not over.wait(poll_seconds):
            try:
                for counter in counters:
                    counter.update()
            except (OSError, ValueError) as error:
                failures.append(error)
                return

    poller = threading.Thread(target=poll, name="RAPL", daemon=True)
    poller.start()

    def finish() -> tuple[EnergyPart, ...]:
        over.set()
        poller.join()
        if failures:
            raise failures[0]
        for counter in counters:
            counter.update()
        return tuple(
            EnergyPart(
                device=counter.name, kind="measured", method="RAPL", energy_j=counter.total_uj / 1e6
            )
            for counter in counters
        )

    return finish


def _nvidia_meter(uuids: Sequence[str]) -> Meter:
    import pynvml

    pynvml.nvmlInit()
    handles = [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in uuids]
    names = [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
    before_mj = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]

    def finish() -> tuple[EnergyPart, ...]:
        after_mj = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]
        pynvml.nvmlShutdown()
        return tuple(
            EnergyPart(device=name, kind="measured", method="NVML", energy_j=(after - before) / 1e3)
            for name, before, after in zip(names, before_mj, after_mj, strict=True)
        )

    return finish


@contextmanager
def _silence() -> Iterator[None]:
    """Neither CodeCarbon's messages nor its warnings concern the user of a stage."""
    log = logging.getLogger("codecarbon")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = before


def _codecarbon_meter(reason: str) -> Meter:
    """CodeCarbon's estimate; `reason` says why nothing is measured."""
    with _silence():
        from codecarbon import OfflineEmissionsTracker

        # Given here, so that a user's own settings for CodeCarbon have it send or write nothing:
        # with a carbon intensity, it asks no service for one.
        tracker = OfflineEmissionsTracker(
            country_iso_code="USA",
            force_carbon_intensity_g_co2e_kwh=0.0,
            electricitymaps_api_token=None,
            emissions_endpoint=None,
            output_methods=[],
            output_handlers=[],
            allow_multiple_runs=True,
            tracking_mode="process",
            log_level="critical",
        )
        tracker.start()

    def finish() -> tuple[EnergyPart, ...]:
        with _silence():
            tracker.stop()
        data = tracker.final_emissions_data
        method = f"CodeCarbon {importlib.metadata.version('codecarbon')}, offline ({reason})"
        return (
            EnergyPart(
                device=data.cpu_model or platform.machine(),
                kind="estimated",
                method=method,
                energy_j=data.cpu_energy * _JOULES_PER_KWH,
            ),
            EnergyPart(
                device="memory",
                kind="estimated",
                method=method,
                energy_j=data.ram_energy * _JOULES_PER_KWH,
            ),
        )

    return finish
