"""The machine: its description, a timer, and the load from other processes.

Processor, cores, threads and versions are recorded, but nothing that names the host.
"""

import argparse
import os
import platform
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.provenance import library_versions

# The processor times of psutil that are work.
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")

# With more busy cores before the first row, a machine is not quiet.
QUIET_CORES = 0.5

LIBRARIES = ("torch", "numba", "numpy", "snntorch", "spikingjelly")


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return the seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def positive(text: str) -> int:
    """Parse an option that must be at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """Return the processor's model name, or its architecture if Linux has none."""
    text = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


def describe(threads: int, allow_load: bool) -> dict[str, str | int | float | None]:
    """Return facts about the machine; a missing library has the version None.

    Raises:
        SpikejouleError: other processes use more than QUIET_CORES cores, and
            `allow_load` is false.
    """
    load = load_of_others()
    if load > QUIET_CORES and not allow_load:
        raise SpikejouleError(
            f"other processes use {load:.1f} of the {os.cpu_count()} cores, so times "
            f"would mislead: wait until they use at most {QUIET_CORES}, or pass "
            "--allow-load"
        )
    versions = library_versions(LIBRARIES)
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": threads,
        "python": platform.python_version(),
        "system": platform.system(),
        "load_before": load,
        **{library: versions.get(library) for library in LIBRARIES},
    }


def foreign_busy_seconds() -> float:
    """Return the processor seconds of other processes since boot, over all cores.

    This process and its finished children are excluded. The difference between two
    calls shows whether a timing between them was disturbed.
    """
    times = psutil.cpu_times()
    busy = sum(getattr(times, name) for name in BUSY)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        busy -= usage.ru_utime + usage.ru_stime
    return float(busy)


def load_of_others(seconds: float = 3.0) -> float:
    """Return how many cores other processes keep busy, on average over some seconds.

    The system's load average would still include a benchmark that has just ended.
    """
    start = time.perf_counter()
    busy = foreign_busy_seconds()
    time.sleep(seconds)
    used = foreign_busy_seconds() - busy
    return max(0.0, used / (time.perf_counter() - start))


def own_peak_mib() -> float:
    """Return the peak resident memory of this process in MiB.

    `getrusage` would include the parent's peak: Python starts children with `vfork`,
    and Linux counts the memory from before `exec`. `VmHWM` starts over at `exec`.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 2**10
