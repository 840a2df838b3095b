"""What a killed DVC leaves damaged stops `make` no longer; a living DVC keeps its own."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from dvc.lock import make_lock
from dvc.repo import Repo

from stages import locks
from tests.tools.pipeline_tools import clean_environment, git, run, start_dvc

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]

# Two stages, of which the first waits until somebody reads what it says.
PIPELINE = """
stages:
  first:
    cmd: if [ -p pipe ]; then echo began > pipe; cat pipe; fi
  second:
    cmd: echo done > out
    deps: [pyproject.toml]
    outs: [out]
"""
CUT = '{"write": {"/a project/out": {"pi'


@dataclass(frozen=True)
class Made:
    """A project with this Makefile and a pipeline that takes no time."""

    folder: Path
    environment: Mapping[str, str]

    def make(self, target: str, status: int = 0) -> str:
        return run(["make", target], self.folder, self.environment, status)

    def list(self, name: str = "rwlock") -> Path:
        return self.folder / ".dvc" / "tmp" / name


@pytest.fixture
def made(repository: Path, tmp_path: Path) -> Made:
    folder, environment = tmp_path / "a project", clean_environment(tmp_path)
    (folder / "stages").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "stages/locks.py"):
        shutil.copy(repository / name, folder / name)
    # Built already, as far as make can see
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    git(folder, environment, "init", "-q")
    run([sys.executable, "-m", "dvc", "init", "-q"], folder, environment)
    return Made(folder, environment)


@pytest.mark.parametrize("left", ["", CUT, "\0\0\0"], ids=["empty", "cut", "zeros"])
def test_make_goes_on_after_a_kill_that_damaged_the_list(made: Made, left: str) -> None:
    made.list().write_text(left)
    said = made.make("repro")
    assert "warning: .dvc/tmp/rwlock, damaged or outdated since DVC was killed" in said
    assert (made.folder / "out").read_text() == "done\n"
    assert "warning" not in made.make("repro")


def test_the_list_of_the_experiments_too(made: Made) -> None:
    made.list("exps").mkdir()
    made.list("exps/rwlock").touch()
    assert "warning: .dvc/tmp/exps/rwlock, damaged" in made.make("experiments")
    assert not made.list("exps/rwlock").exists()


def test_a_list_of_a_process_whose_number_another_one_has(made: Made) -> None:
    """As after a restart of the machine: DVC would wait for a stranger."""
    out = str(made.folder / "out")
    entry = f'{{"pid": {os.getpid()}, "cmd": "dvc repro"}}'
    made.list().write_text(f'{{"write": {{"{out}": {entry}}}, "read": {{"{out}": [{entry}]}}}}')
    assert "is busy" in run(
        [sys.executable, "-m", "dvc", "repro"], made.folder, made.environment, status=255
    )
    os.utime(made.list(), (1e9, 1e9))
    assert "is removed" in made.make("repro")
    assert (made.folder / "out").read_text() == "done\n"


class TestLockFile:
    """dvc.lock, which DVC rewrites in place after each stage."""

    @pytest.mark.parametrize("share", [0.0, 0.3])
    def test_one_that_a_kill_has_cut_is_set_aside(self, made: Made, share: float) -> None:
        made.make("repro")
        lock = made.folder / "dvc.lock"
        whole = lock.read_text()
        cut = whole[: int(share * len(whole))]
        lock.write_text(cut)
        run([sys.executable, "-m", "dvc", "status"], made.folder, made.environment, status=1)
        said = made.make("repro")
        assert "warning: dvc.lock, cut when DVC was killed" in said
        assert (made.folder / ".dvc/tmp/dvc.lock.damaged").read_text() == cut
        assert "'second' is cached - skipping run" in said
        assert lock.read_text() == whole

    def test_each_cut_that_dvc_refuses(self, made: Made) -> None:
        made.make("repro")
        lock = made.folder / "dvc.lock"
        whole = lock.read_bytes()
        assert locks._is_whole(lock)
        for end in range(len(whole)):
            lock.write_bytes(whole[:end])
            assert not locks._is_whole(lock) or whole[:end].endswith(b"\n"), whole[:end]
            if locks._is_whole(lock):
                with Repo(str(made.folder)) as repo:
                    repo.status()

    def test_a_conflict_is_for_a_person(self, made: Made) -> None:
        made.make("repro")
        lock = made.folder / "dvc.lock"
        lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}")
        before = lock.read_text()
        assert locks.main(made.folder) == 0
        assert lock.read_text() == before

    def test_a_living_dvc_keeps_it(
        self, made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = made.folder / "dvc.lock"
        lock.write_text("")
        monkeypatch.setattr(locks, "_processes_of_dvc", lambda root: [4321])
        assert locks.main(made.folder) == 1
        assert "error: dvc.lock is damaged, and DVC runs" in capsys.readouterr().err
        whole = "schema: '2.0'\nstages: {}\n"
        monkeypatch.setattr(time, "sleep", lambda seconds: lock.write_text(whole))
        assert locks.main(made.folder) == 0, "it was about to be written"
        assert lock.read_text() == whole


def test_a_valid_list_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text('{"write": {"/out": {"pid": 1, "cmd": "dvc repro"}}}')
    before = path.stat()
    assert locks.main(tmp_path) == 0
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert not path.with_name("rwlock.lock").exists(), "DVC was not imported"
    assert capsys.readouterr().err == ""


def test_a_living_dvc_keeps_its_list(made: Made) -> None:
    pipe = made.folder / "pipe"
    os.mkfifo(pipe)
    process = start_dvc(made.folder, made.environment, "repro")
    try:
        assert pipe.read_text() == "began\n"
        made.list().write_text(CUT)
        said = made.make("repro", status=2)
        assert "error: .dvc/tmp/rwlock is damaged, and DVC runs in this project (process " in said
        assert str(process.pid) in said
        assert made.list().read_text() == CUT
        pipe.write_text("go on")
    finally:
        process.wait(timeout=60)
        pipe.unlink()
    assert "is removed" in made.make("repro")


def test_a_list_that_dvc_is_about_to_write_is_waited_for(made: Made) -> None:
    made.list().write_text(CUT)
    guard = make_lock(str(made.list("rwlock.lock")))
    statuses: list[int] = []
    with guard:
        mending = threading.Thread(target=lambda: statuses.append(locks.main(made.folder)))
        mending.start()
        time.sleep(0.7)
        made.list().write_text("{}")
    mending.join(timeout=60)
    assert statuses == [0]
    assert made.list().read_text() == "{}"
