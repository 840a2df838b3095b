"""Processes: Python, sleeping ones, and scripts in place of programs."""

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
    """A process in place of DVC, which lives until the context ends."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def fake_program(path: Path, body: str) -> Path:
    """Write a shell script in place of a program and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start_python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a Python that imports this spikejoule, installed or not."""
    folder = str(Path(spikejoule.__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": folder, **options.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, text=True, **options
    )
