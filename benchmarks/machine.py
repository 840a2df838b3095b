"""What was measured on, how long a call takes, and what memory and neighbours used
meanwhile.

Processor, cores, threads and versions are recorded; nothing that names a host.
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

from spikejoule.core.provenance import library_versions

# Processor times that are work.
BUSY = ("user", "nice", "system", "irq", "softirq", "steal")

LIBRARIES = ("torch", "numba", "numpy", "snntorch", "spikingjelly")


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds that a call takes, and its result."""
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def positive(text: str) -> int:
    """A number of an option that has to be at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return int(text)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """Model name of the processor, where Linux tells it."""
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def describe(threads: int) -> dict[str, str | int | float | None]:
    """Facts of the machine; a library that is not installed has the version None."""
    versions = library_versions(LIBRARIES)
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": threads,
        "python": platform.python_version(),
        "system": platform.system(),
        # Above about 0.5 before the first row, somebody else uses the cores.
        "load_average_before": os.getloadavg()[0],
        **{library: versions.get(library) for library in LIBRARIES},
    }


def foreign_busy_seconds() -> float:
    """Processor time that others have used since the machine started, all cores
    together.

    Others are all but this process and those of its children that have ended. The
    difference of two calls tells whether a timing in between was disturbed.
    """
    times = psutil.cpu_times()
    busy = sum(getattr(times, kind) for kind in BUSY)
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        busy -= usage.ru_utime + usage.ru_stime
    return float(busy)


def own_peak_mib() -> float:
    """Peak resident memory in MiB of this process since it started its program.

    Linux counts in `getrusage` also what the process was before it became this program:
    after the `vfork` with which Python starts children, that is the peak of the parent.
    `VmHWM` begins anew with the program.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 2**10
