"""Processes: Python in one of its own, and scripts in place of programs."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import spikejoule


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for DVC: it lives until it is killed, or the context
    ends.
    """
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def fake_program(path: Path, body: str) -> Path:
    """A shell script in place of a program; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start_python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python that imports this very spikejoule, installed or not."""
    folder = str(Path(spikejoule.__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": folder, **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, **options
    )
