"""A process is known by its number and its start, whatever the clock says meanwhile."""

import os
import subprocess
import sys

import psutil
import pytest

from spikejoule.core.processes import is_running, start_of


def test_a_clock_that_is_set_makes_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    if not psutil.LINUX:
        pytest.skip("elsewhere a start is told once for all")
    started = start_of(psutil.Process())
    assert is_running(os.getpid(), started)
    told = psutil.boot_time()  # Linux reckons it back from the clock
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: told + 3600)
    assert psutil.Process().create_time() > 3600
    assert is_running(os.getpid(), started)


def test_neither_a_later_process_nor_a_zombie() -> None:
    started = start_of(psutil.Process())
    assert not is_running(os.getpid(), started - 10)
    process = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    began = start_of(psutil.Process(process.pid))
    while is_running(process.pid, began):
        pass
    process.wait()
    assert not is_running(process.pid, began)
