"""What a killed DVC leaves stops `make` no longer; a living DVC keeps its own."""

import os
import shutil
import sys
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
    cmd: if [ -p "$PIPE" ]; then echo began > "$PIPE"; cat "$PIPE"; fi
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
    folder = tmp_path / "a project"
    environment = {**clean_environment(tmp_path), "PIPE": str(folder / "pipe")}
    (folder / "stages").mkdir(parents=True)
    (folder / ".dvc" / "tmp").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "stages/locks.py", ".dvc/config"):
        shutil.copy(repository / name, folder / name)
    (folder / "stages" / "summary.py").touch()  # there are no figures to end with
    # Built already, as far as make can see
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    git(folder, environment, "init", "-q")
    return Made(folder, environment)


@pytest.mark.parametrize("left", [CUT, "of another"])
def test_make_works_after_a_kill_that_left_a_list(made: Made, left: str) -> None:
    """One cut short, or one of a process whose number another one has by now."""
    entry = f'{{"pid": {os.getpid()}, "cmd": "/bin/dvc repro"}}'
    busy = f'{{"write": {{"{made.folder / "out"}": {entry}}}, "read": {{}}}}'
    made.list("exps").mkdir()
    for name in ("rwlock", "exps/rwlock"):
        made.list(name).write_text(busy if left == "of another" else left)
    run([sys.executable, "-m", "dvc", "repro"], made.folder, made.environment, status=255)
    assert "warning" not in made.make("repro")
    assert (made.folder / "out").read_text() == "done\n"
    assert not made.list("exps/rwlock").exists()


def test_what_cannot_be_removed_is_named(made: Made) -> None:
    """A folder in the place of a list, as another user's list is for all but root."""
    made.list().mkdir()
    said = run([sys.executable, "-m", "stages.locks"], made.folder, made.environment, status=1)
    assert said.startswith("error: ")
    assert "rwlock" in said
    assert len(said.splitlines()) == 1


def test_each_cut_of_a_lock_file_is_set_aside_or_read_by_dvc(made: Made) -> None:
    """What was set aside is whole again after `make repro`, out of DVC's cache."""
    made.make("repro")
    lock, aside = made.folder / "dvc.lock", made.folder / ".dvc/tmp/dvc.lock.damaged"
    whole = lock.read_bytes()
    n_kept = 0
    for end in range(len(whole) + 1):
        lock.write_bytes(whole[:end])
        if whole[:end].endswith(b"\n"):  # any other cut is damaged at first sight
            locks.main(made.folder)
        if lock.exists() and whole[:end].endswith(b"\n"):
            n_kept += 1
            with Repo(str(made.folder)) as repo:
                repo.status()
    assert n_kept > 3
    conflict = b"<<<<<<< HEAD\n" + whole
    lock.write_bytes(conflict)
    locks.main(made.folder)
    assert lock.read_bytes() == conflict, "for a person to mend"
    cut = whole[: int(0.3 * len(whole))]
    lock.write_bytes(cut)
    said = made.make("repro")
    assert "warning: dvc.lock, which a kill has left damaged, is now .dvc/tmp/dvc.lock.dam" in said
    assert aside.read_bytes() == cut
    assert "'second' is cached - skipping run" in said
    assert lock.read_bytes() == whole


def test_a_living_dvc_keeps_its_lists(made: Made) -> None:
    pipe = made.folder / "pipe"
    os.mkfifo(pipe)
    process = start_dvc(made.folder, made.environment, "repro")
    try:
        assert pipe.read_text() == "began\n"
        for content in (made.list().read_text(), CUT):
            made.list().write_text(content)
            locks.main(made.folder)
            assert made.list().read_text() == content
        (made.folder / "dvc.lock").write_text("")
        locks.main(made.folder)
        assert (made.folder / "dvc.lock").exists()
        pipe.write_text("go on")
    finally:
        process.kill()
        process.wait(timeout=60)


@pytest.mark.parametrize("active", [0, 1])
def test_a_sweep_ends_dead_tasks_and_no_living_queue(made: Made, active: int) -> None:
    programs, log = made.folder / ".venv" / "bin", made.folder / "log"
    answer = f"*'queue status'*) echo 'Worker status: {active} active, 0 idle';;"
    for name in ("python", "spikejoule"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$*" >> "{log}"\ncase "$*" in {answer} esac\n')
        program.chmod(0o755)
    made.make("sweep")
    commands = log.read_text().splitlines()
    assert "-m stages.locks" in commands
    assert ("-m dvc queue stop --kill" in commands) == (active == 0)
    assert sum("exp run --queue" in command for command in commands) == 1
