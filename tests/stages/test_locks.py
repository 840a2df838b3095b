"""What a killed DVC leaves damaged stops `make` no longer; a living DVC keeps its own."""

import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
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
def test_make_works_after_a_kill_that_damaged_a_list(made: Made, left: str) -> None:
    made.list().write_text(left)
    made.list("exps").mkdir()
    made.list("exps/rwlock").write_text(left)
    said = made.make("repro")
    for name in ("rwlock", "exps/rwlock"):
        assert f"warning: .dvc/tmp/{name}, which a kill has left damaged" in said
    assert (made.folder / "out").read_text() == "done\n"
    assert "warning" not in made.make("repro")


def test_a_list_of_a_process_whose_number_another_one_has(made: Made) -> None:
    """As after a restart of the machine: DVC would wait for a stranger."""
    out = str(made.folder / "out")
    entry = f'{{"pid": {os.getpid()}, "cmd": "/bin/dvc repro"}}'
    made.list().write_text(f'{{"write": {{"{out}": {entry}}}, "read": {{"{out}": [{entry}]}}}}')
    assert "is busy" in run(
        [sys.executable, "-m", "dvc", "repro"], made.folder, made.environment, status=255
    )
    assert "warning: .dvc/tmp/rwlock" in made.make("repro")
    assert (made.folder / "out").read_text() == "done\n"


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_lock_file_that_a_kill_has_cut_is_set_aside(made: Made, share: float) -> None:
    made.make("repro")
    lock = made.folder / "dvc.lock"
    whole = lock.read_text()
    cut = whole[: int(share * len(whole))]
    lock.write_text(cut)
    run([sys.executable, "-m", "dvc", "status"], made.folder, made.environment, status=1)
    said = made.make("repro")
    assert "warning: dvc.lock, which a kill has left damaged, is now .dvc/tmp/dvc.lock.dam" in said
    assert (made.folder / ".dvc/tmp/dvc.lock.damaged").read_text() == cut
    assert "'second' is cached - skipping run" in said
    assert lock.read_text() == whole


def test_each_cut_of_a_lock_file_is_set_aside_or_read_by_dvc(made: Made) -> None:
    made.make("repro")
    lock = made.folder / "dvc.lock"
    whole = lock.read_bytes()
    n_kept = 0
    for end in range(len(whole) + 1):
        lock.write_bytes(whole[:end])
        if whole[:end].endswith(b"\n"):  # any other cut is damaged at first sight
            assert locks.main(made.folder) == 0
        if lock.exists() and whole[:end].endswith(b"\n"):
            n_kept += 1
            with Repo(str(made.folder)) as repo:
                repo.status()
    assert n_kept > 3
    conflict = f"<<<<<<< HEAD\n{whole.decode()}"
    lock.write_text(conflict)
    assert locks.main(made.folder) == 0
    assert lock.read_text() == conflict, "for a person to mend"


def test_a_living_dvc_keeps_its_list(made: Made) -> None:
    pipe = made.folder / "pipe"
    os.mkfifo(pipe)
    process = start_dvc(made.folder, made.environment, "repro")
    try:
        assert pipe.read_text() == "began\n"
        entry = f'{{"pid": {process.pid}, "cmd": "/lib/dvc/__main__.py repro"}}'
        before = f'{{"write": {{"{made.folder}/out": {entry}}}, "read": {{}}}}'
        made.list().write_text(before)
        assert locks.main(made.folder) == 0
        assert made.list().read_text() == before
        made.list().write_text(CUT)
        said = made.make("repro", status=2)
        assert "error: .dvc/tmp/rwlock is damaged, and DVC runs in this project (process " in said
        assert str(process.pid) in said
        assert made.list().read_text() == CUT
        writing = threading.Timer(0.2, made.list().write_text, [before])
        writing.start()
        assert locks.main(made.folder) == 0, "DVC was about to write it"
        assert made.list().read_text() == before
        pipe.write_text("go on")
    finally:
        process.kill()
        process.wait(timeout=60)
