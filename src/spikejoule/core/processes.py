"""Whether a process of this machine still exists, whichever process has its number
now.
"""

import psutil

# The kernel says to the second when the machine was started.
_SAME_START_SECONDS = 2.0


def start_of(process: psutil.Process) -> float:
    """When a process began, in seconds, the same however the machine's clock is set
    meanwhile.

    Under Linux since the machine was started; elsewhere since 1970.
    """
    booted: float = psutil.boot_time() if psutil.LINUX else 0.0
    return float(process.create_time()) - booted


def is_running(pid: int, started: float) -> bool:
    """Whether a process of this machine exists still; `started` as of
    :func:`start_of`.
    """
    try:
        process = psutil.Process(pid)
        same = abs(start_of(process) - started) < _SAME_START_SECONDS
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
