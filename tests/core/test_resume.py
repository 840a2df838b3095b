"""Resume files: what is restored, the lock, and what goes wrong on the disk."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from spikejoule.core import store
from spikejoule.core.resume import ResumeFile, SavedState
from tests.tools.processes import start_python

KEPT = SavedState(
    {
        "epochs": [1, 2],
        "loss": 0.1 + 0.2,
        "rate": np.float64(1 / 3),
        "none": None,
        "text": "ü",
    },
    {
        "b": np.array([[1.5, -0.0], [np.float32(1e-45), 3]], dtype=np.float32),
        "a": np.array([True, False]),
        "c.d": np.array(7, dtype=np.int64),
    },
)


def content(state: SavedState | None) -> Any:
    """The content of a state, to the bit."""
    assert state is not None
    arrays = {
        name: (array.dtype, array.shape, array.tobytes())
        for name, array in state.arrays.items()
    }
    return dict(state.plain), arrays


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


class TestState:
    def test_is_restored_to_the_bit(self, tmp_path: Path) -> None:
        with ResumeFile(tmp_path / "new", "k") as file:
            assert file.load() is None
            file.save(SavedState({}, {}))
            file.save(KEPT)
        with ResumeFile(tmp_path / "new", "k") as file:
            assert content(file.load()) == content(KEPT)
            file.done()
            assert file.load() is None
        assert names(tmp_path / "new") == set()

    def test_damaged_is_reported_and_not_used(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ResumeFile(tmp_path, "k") as file:
            file.save(KEPT)
            file.path.write_bytes(file.path.read_bytes()[:-200])
            assert file.load() is None
            (record,) = caplog.records
            assert record.getMessage().startswith(
                f"this work starts over: {file.path} is damaged"
            )
            assert not file.path.exists()


class TestDisk:
    def test_a_full_disk_is_one_warning_and_the_state_before_stays(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with ResumeFile(tmp_path, "k") as file:
            file.save(KEPT)
            with monkeypatch.context() as patch:
                patch.setattr(store.os, "fsync", Mock(side_effect=OSError("no space")))
                file.save(SavedState({}, {}))
                file.save(SavedState({}, {}))
            (record,) = caplog.records
            assert "the state of this work cannot be saved" in record.getMessage()
            assert "no space" in record.getMessage()
            assert content(file.load()) == content(KEPT)
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

    def test_files_of_a_killed_writer_are_removed(self, tmp_path: Path) -> None:
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
        self, tmp_path: Path, holder: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        killer = threading.Timer(1.0, holder.kill)
        killer.start()
        with ResumeFile(tmp_path, "k", "the work") as file:
            assert not killer.is_alive()
            state = file.load()
            assert state is not None
            assert state.plain == {"by": "holder"}
        assert caplog.messages == [
            f"waiting for process {holder.pid} to finish the work"
        ]
