"""What was measured on: processor, cores, threads, versions; nothing that names a host."""

import os
import platform
import resource
from pathlib import Path

import psutil

from spikejoule.core.provenance import library_versions

BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
"""Processor times that are work; systems other than Linux tell fewer of them."""

LIBRARIES = ("torch", "numba", "numpy", "snntorch", "spikingjelly")


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Model name of the processor, with family and model numbers where Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in reversed(lines))
    }
    name = facts.get("model name", platform.machine())
    if "cpu family" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def describe(threads: int) -> dict[str, str | int | float | None]:
    """Facts of the machine; a library that is not installed has the version None."""
    facts: dict[str, str | int | float | None] = {
        "processor": processor(),
        "cores": cores(),
        "threads": threads,
        "python": platform.python_version(),
        "system": platform.system(),
        # Above about 0.5 before the first row, somebody else uses the cores.
        "load_average_before": os.getloadavg()[0],
    }
    versions = library_versions(LIBRARIES)
    return facts | {library: versions.get(library) for library in LIBRARIES}


def foreign_busy_seconds() -> float:
    """Processor time that others have used since the machine started, all cores together.

    Others are all but this process and those of its children that have ended. The difference of
    two calls tells whether a timing in between was disturbed.
    """
    times = psutil.cpu_times()
    busy = sum(getattr(times, kind, 0.0) for kind in BUSY)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        busy -= usage.ru_utime + usage.ru_stime
    return float(busy)
