"""Programs started for tests: nothing outlives them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.services import leash, running

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")

# Starts a child of its own, writes both process ids to the given file, and waits.
PARENT = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid} .")
time.sleep(600)
"""


def process_ids(file: Path) -> list[int]:
    """The ids in `file`; none before it is complete."""
    words = file.read_text().split() if file.exists() else []
    return [int(word) for word in words[:-1]] if words[-1:] == ["."] else []


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{process_id}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return  # ended, and not yet waited for by whoever inherited it
        time.sleep(0.05)
    pytest.fail(f"process {process_id} is still there")


def test_a_program_and_its_children_end_with_the_context(tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    with running(
        [sys.executable, "-c", PARENT, str(ids)],
        log=tmp_path / "log",
        ready=lambda: bool(process_ids(ids)),
        environment=os.environ,
    ):
        found = process_ids(ids)
    for process_id in found:
        wait_until_gone(process_id)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_a_program_ends_with_tests_that_are_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to clean up."""
    ids = tmp_path / "ids"
    waiting = [*leash(), sys.executable, "-c", PARENT, str(ids)]
    tests = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({waiting!r})"]
    )
    deadline = time.monotonic() + 20
    while not process_ids(ids) and time.monotonic() < deadline:
        time.sleep(0.05)
    program, child = process_ids(ids)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    wait_until_gone(program)
    os.kill(child, signal.SIGKILL)  # its own parent's to end
