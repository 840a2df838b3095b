"""The file from which killed work goes on: what comes back, who owns it, and what becomes of it."""

import errno
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from spikejoule.core import resume as resume_files
from spikejoule.core import store
from spikejoule.core.resume import ResumeFile, SavedState
from tests.tools.processes import start_python

KEPT = SavedState(
    {"epochs": [1, 2], "loss": 0.1 + 0.2, "rate": np.float64(1 / 3), "none": None, "text": "ü"},
    {
        "b": np.array([[1.5, -0.0], [np.float32(1e-45), 3]], dtype=np.float32),
        "a": np.array([True, False]),
        "c.d": np.array(7, dtype=np.int64),
    },
)


def same(one: SavedState | None, other: SavedState) -> bool:
    if one is None or one.plain != other.plain or one.arrays.keys() != other.arrays.keys():
        return False
    return all(
        (array.dtype, array.shape, array.tobytes())
        == (other.arrays[name].dtype, other.arrays[name].shape, other.arrays[name].tobytes())
        for name, array in one.arrays.items()
    )


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


class TestState:
    def test_comes_back_to_the_bit(self, tmp_path: Path) -> None:
        with ResumeFile(tmp_path / "new", "k") as file:
            assert file.load() is None
            file.save(SavedState({}, {}))
            file.save(KEPT)
        with ResumeFile(tmp_path / "new", "k") as file:
            assert same(file.load(), KEPT)
            assert same(file.load(), KEPT)
            file.done()
            assert file.load() is None
        assert names(tmp_path / "new") == set()

    def test_one_that_is_damaged_is_told_and_not_used(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ResumeFile(tmp_path, "k") as file:
            file.save(KEPT)
            file.path.write_bytes(file.path.read_bytes()[:-200])
            assert file.load() is None
            (record,) = caplog.records
            assert record.levelno == logging.WARNING
            assert record.getMessage().startswith("this work starts over: ")
            assert str(file.path) in record.getMessage()
            assert "\n" not in record.getMessage()
            assert not file.path.exists()
            file.save(KEPT)
            assert same(file.load(), KEPT)


class TestDisk:
    def test_a_full_disk_is_one_warning_and_the_state_before_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ResumeFile(tmp_path, "k") as file:
            file.save(KEPT)
            no_space = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with monkeypatch.context() as patch:
                patch.setattr(store.os, "fsync", Mock(side_effect=no_space))
                file.save(SavedState({}, {}))
                file.save(SavedState({}, {}))
            (record,) = caplog.records
            assert "the state of this work cannot be kept" in record.getMessage()
            assert str(no_space.strerror) in record.getMessage()
            assert same(file.load(), KEPT)
            assert names(tmp_path) == {"k.npz", "k.lock"}

    def test_a_folder_that_cannot_be_made_is_one_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "taken").write_text("a file")
        with ResumeFile(tmp_path / "taken", "k") as file:
            assert file.load() is None
            file.save(KEPT)
            file.done()
        assert len(caplog.records) == 1

    def test_what_a_killed_writer_left_goes(self, tmp_path: Path) -> None:
        for name in (".k.npz.1234.tmp", ".other.npz.5678.tmp"):
            (tmp_path / name).touch()
        with ResumeFile(tmp_path, "k"):
            assert names(tmp_path) == {"k.lock", ".other.npz.5678.tmp"}


HOLDER = """
import sys, time
from pathlib import Path
from spikejoule.core.resume import SavedState, ResumeFile
with ResumeFile(Path(sys.argv[1]), "k") as file:
    file.save(SavedState({"by": "holder"}, {}))
    print("held", flush=True)
    time.sleep(600)
"""


class TestLock:
    @pytest.fixture
    def holder(self, tmp_path: Path) -> Iterator[Any]:
        process = start_python("-c", HOLDER, str(tmp_path), stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
        process.wait()
        process.stdout.close()

    def test_the_second_waits_for_the_end_of_the_first(
        self, tmp_path: Path, holder: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        acquire, waited = resume_files.FileLock.acquire, []

        def watched(lock: Any, *arguments: Any, **options: Any) -> Any:
            if "poll_interval" in options:
                # Told before anything is waited for; now the first is killed.
                waited.append(caplog.records[-1].getMessage())
                holder.send_signal(signal.SIGKILL)
            return acquire(lock, *arguments, **options)

        monkeypatch.setattr(resume_files.FileLock, "acquire", watched)
        started = time.monotonic()
        with ResumeFile(tmp_path, "k", "the work") as file:
            kept = file.load()
            assert kept is not None
            assert kept.plain == {"by": "holder"}
        assert waited == [f"process {holder.pid} is at the work: waiting for its end"]
        assert time.monotonic() - started < 60
