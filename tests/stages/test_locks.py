"""What a killed DVC leaves does not stop `make`; a running DVC keeps its files."""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages import locks
from tests.tools.dvc_private import load_lock_file
from tests.tools.pipeline_tools import (
    clean_environment,
    commit,
    dvc,
    git,
    queue_workers,
    run,
    start_dvc,
)
from tests.tools.processes import fake_program

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
# The first experiment of a queue ends when it may.
QUEUED = """
stages:
  first:
    cmd:
      - echo ${x} >> "$BEGAN"
      - while [ ${x} = 1 ] && [ -e "$HOLD" ]; do sleep 0.1; done
      - echo ${x} > out
    params: [x]
    outs: [out]
"""
# Runs a sweep's command without a parent run.
UNGROUPED = """
import subprocess, sys

command = sys.argv[sys.argv.index("--") + 1 :]
sys.exit(subprocess.run(command).returncode)
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
    for name in (
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        "stages/locks.py",
        ".dvc/config",
    ):
        shutil.copy(repository / name, folder / name)
    (folder / "stages" / "summary.py").touch()  # there are no figures to end with
    # Built already, as far as make can see
    python = folder / ".venv" / "bin" / "python"
    fake_program(python, f'exec "{sys.executable}" "$@"')
    (folder / ".venv" / ".installed").touch()
    git(folder, environment, "init", "-q")
    return Made(folder, environment)


def test_make_works_after_a_kill_that_left_damage(made: Made) -> None:
    """A truncated dvc.lock, a truncated list, and a list with a running process."""
    made.make("repro")
    lock = made.folder / "dvc.lock"
    aside = made.folder / ".dvc/tmp/dvc.lock.damaged"
    whole = lock.read_bytes()
    n_kept = 0
    lines = whole.splitlines(keepends=True)
    for end in range(len(lines)):  # a cut within a line is damaged at first sight
        lock.write_bytes(b"".join(lines[:end]))
        locks.main(made.folder)
        if lock.exists():
            n_kept += 1
            load_lock_file(made.folder)
    assert n_kept > 3
    conflict = b"<<<<<<< HEAD\n" + whole
    lock.write_bytes(conflict)
    locks.main(made.folder)
    assert lock.read_bytes() == conflict, "for a person to mend"

    cut = whole[: int(0.3 * len(whole))]
    lock.write_bytes(cut)
    entry = f'{{"pid": {os.getpid()}, "cmd": "/bin/dvc repro"}}'
    busy = f'{{"write": {{"{made.folder / "out"}": {entry}}}, "read": {{}}}}'
    made.list("exps").mkdir(exist_ok=True)
    made.list().write_text(busy)
    made.list("exps/rwlock").write_text(CUT)
    said = made.make("repro")
    assert (
        "warning: dvc.lock, which a kill has left damaged, is now .dvc/tmp/dvc.lock.dam"
        in said
    )
    assert aside.read_bytes() == cut
    assert "'second' is cached - skipping run" in said
    assert lock.read_bytes() == whole
    assert not made.list("exps/rwlock").exists()


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


def test_a_sweep_stops_no_living_queue(made: Made) -> None:
    """The next test shows with real workers that a dead queue is stopped."""
    asked = made.folder / "asked"
    says = "echo 'Worker status: 1 active, 0 idle'; echo 'abc1234 Running'"
    for name in ("python", "spikejoule"):
        fake_program(
            made.folder / ".venv" / "bin" / name, f'echo "$*" >> "{asked}"; {says}'
        )
    made.make("sweep")
    commands = asked.read_text().splitlines()
    assert "-m stages.locks" in commands
    assert sum("exp run --queue" in command for command in commands) == 1
    assert not any("queue kill" in command for command in commands)


@pytest.mark.slow
def test_a_queue_whose_worker_was_killed_runs_the_tasks_that_follow(made: Made) -> None:
    """Only the worker is killed: the task that it started lives on."""
    folder = made.folder
    began = folder / "began"
    hold = folder / "hold"
    environment = {**made.environment, "BEGAN": str(began), "HOLD": str(hold)}
    python = folder / ".venv" / "bin" / "python"
    # `make seeds` has no runs to read, and there is no store to group the runs in.
    shutil.copy("/bin/true", python.with_name("spikejoule"))
    (folder / "stages" / "group.py").write_text(UNGROUPED, encoding="utf-8")
    (folder / "params.yaml").write_text("x: 0\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(QUEUED, encoding="utf-8")
    (folder / ".gitignore").write_text("/.venv\n/began\n/hold\n", encoding="utf-8")
    git(folder, environment, "config", "user.name", "A Researcher")
    git(folder, environment, "config", "user.email", "researcher@example.org")
    commit(folder, environment, "A project with a queue")
    hold.touch()
    try:
        dvc(folder, environment, "exp", "run", "--queue", "-S", "x=1,2")
        # Not `dvc`, which would wait for the pipes that the worker keeps open.
        start_dvc(folder, environment, "queue", "start").wait()
        deadline = time.monotonic() + 120
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        (worker,) = queue_workers(folder)
        worker.kill()
        worker.wait(timeout=60)
        run(["make", "sweep", "SWEEP=x=3"], folder, environment)
        status = dvc(folder, environment, "queue", "status")
    finally:
        hold.unlink()
        for worker in queue_workers(folder):
            worker.kill()
    assert began.read_text().split() == ["1", "2", "3"]
    states = [
        line.split()[-1]
        for line in status.splitlines()
        if " AM " in line or " PM " in line
    ]
    assert sorted(states) == ["Failed", "Success", "Success"], status
