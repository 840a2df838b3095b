"""What a journal's writer leaves behind that was killed before the file had its name."""

import os
import subprocess
from pathlib import Path

import pytest

from stages.shared import journal


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_next_pipeline_sweeps_it(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_start_follower", lambda path, root: None)
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setenv(journal.VARIABLE, "")
    monkeypatch.delenv(journal.VARIABLE)
    folder = tmp_path / ".cache" / "runs"
    folder.mkdir(parents=True)
    left = folder / f".{dead}.jsonl.0123456789abcdef.tmp"
    being_written = folder / f".{os.getpid()}.jsonl.0123456789abcdef.tmp"
    others = [folder / ".notes.jsonl.0123456789abcdef.tmp", folder / f".{dead}.txt.0123.tmp"]
    for path in (left, being_written, *others):
        path.touch()
    journal.begin(tmp_path)
    assert not left.exists()
    assert all(path.exists() for path in (being_written, *others))
