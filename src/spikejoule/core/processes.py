"""Whether a process of this machine still runs, even if its number was reused."""

import psutil

# The kernel reports the time of boot in whole seconds.
_SAME_START_SECONDS = 2.0


def start_of(process: psutil.Process) -> float:
    """Return when a process started, in seconds since boot on Linux, else since 1970.

    Since boot, because the clock may be set while the process runs.
    """
    booted: float = psutil.boot_time() if psutil.LINUX else 0.0
    return float(process.create_time()) - booted


def is_running(pid: int, started: float) -> bool:
    """Return whether a process still runs; `started` is from :func:`start_of`."""
    try:
        process = psutil.Process(pid)
        same = abs(start_of(process) - started) < _SAME_START_SECONDS
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
