"""Peak resident memory of a process."""

import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikejoule.core.errors import SpikejouleError

LAUNCHER = Path(__file__).with_name("peak_of_child.py")


def own_peak_bytes() -> int:
    """Peak resident memory of this process since it started its program.

    Linux counts in `getrusage` also what the process was before it became this program: after the
    `vfork` with which Python starts children, that is the peak of the parent. `VmHWM` begins anew
    with the program.
    """
    peak = peak_bytes_of("self")
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return peak


def peak_bytes_of(process: int | str) -> int | None:
    """The same of the process with this id; None where the system does not tell (not Linux)."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def command_peak_bytes(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a command and return the largest peak resident memory among it and its children.

    The command runs under a small Python process of its own, so that the peak of this one does
    not count (see `own_peak_bytes`). Raises SpikejouleError if the command fails.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), *command],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise SpikejouleError(f"the command {' '.join(command)} failed: {reason}")
    return int(lines[-1])
