"""What a pipeline says of itself while it runs: a file with one line of JSON an event.

A file and not a connection: whoever follows it can neither delay a stage nor fail it. The follower
is a process of its own (`spikejoule.tracking.live`), which shows the run in MLflow while it grows
and ends it when the pipeline fails or dies. No result depends on it, so it is no stage's
dependency.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from spikejoule.core.errors import ArtifactError, SpikejouleError
from spikejoule.core.resume import SAME_START_SECONDS, start_of
from spikejoule.core.store import write_text

# Set for the processes of a stage; the absolute path of the pipeline's journal.
VARIABLE = "SPIKEJOULE_JOURNAL"

# The number of the process that runs the stages; None where nobody does.
_pipeline_pid: int | None = None

_FOLDER = Path(".cache") / "runs"
_LET_GO_SECONDS = 15.0


def begin(root: Path, **facts: Any) -> None:
    """Say that a stage begins; if it is the pipeline's first, start the follower.

    Only under DVC: a stage that is started by hand belongs to no run. `root` is the project's
    root, where the journal lies until the pipeline has ended. Raises SpikejouleError if DVC was
    killed meanwhile, and has left this process to one that adopts orphans.
    """
    global _pipeline_pid
    os.environ.pop(VARIABLE, None)
    _pipeline_pid = None
    if "DVC_STAGE" not in os.environ:
        return
    try:
        pipeline = _pipeline()
        if _adopts_orphans(pipeline) and not any("dvc" in word for word in pipeline.cmdline()):
            raise SpikejouleError("the pipeline that started this stage has ended already.")
        _pipeline_pid = pipeline.pid
        header = {"pid": pipeline.pid, "started": start_of(pipeline)}
        path = root / _FOLDER / f"{pipeline.pid}.jsonl"
        is_first = not _is_of(header, path)
        if is_first:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path.parent)
            # At once whole: another pipeline that sweeps takes a journal without a head for dead.
            write_text(path, _line("pipeline", {"id": uuid.uuid4().hex, **header}))
        os.environ[VARIABLE] = str(path)
        tell("begin", stage=os.environ["DVC_STAGE"], **facts)
        if is_first:
            _start_follower(path, root)
    except (OSError, psutil.Error, ArtifactError) as error:
        os.environ.pop(VARIABLE, None)
        print(f"warning: the run cannot be followed while it runs ({error}).", file=sys.stderr)


def tell(event: str, **facts: Any) -> None:
    """Add an event, if this process belongs to a pipeline that is followed."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    try:
        # Not created: a follower that has seen the pipeline die has removed it.
        with open(os.open(path, os.O_WRONLY | os.O_APPEND), "w", encoding="utf-8") as stream:
            stream.write(_line(event, facts))
    except OSError as error:
        os.environ.pop(VARIABLE, None)
        print(f"warning: the run is no longer followed ({error}).", file=sys.stderr)


def hand_over() -> str | None:
    """Say that the run is published now, and wait until the follower has let go of it.

    Returns the pipeline's id, by which the run that it showed is found; None if nobody followed.
    """
    path = os.environ.get(VARIABLE)
    if path is None:
        return None
    tell("publishing")
    os.environ.pop(VARIABLE, None)
    journal, lock = Path(path), Path(path).with_suffix(".lock")
    try:
        with journal.open(encoding="utf-8") as stream:
            identity = str(json.loads(stream.readline())["id"])
        # A follower that hangs on a server is not waited for any longer: nothing is written twice.
        with suppress(Timeout), FileLock(lock, timeout=_LET_GO_SECONDS):
            pass
        journal.unlink()
        lock.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError) as error:
        print(f"warning: the run that was followed is not found again ({error}).", file=sys.stderr)
        return None
    return identity


def pipeline_has_ended() -> bool:
    """Whether the pipeline of this process was killed: nobody waits for its outputs any more."""
    if _pipeline_pid is None:
        return False
    # By its number alone: start times are told by a clock, which may be set meanwhile.
    try:
        return bool(psutil.Process(_pipeline_pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _line(event: str, facts: Mapping[str, Any]) -> str:
    return json.dumps({"event": event, **facts}) + "\n"


def _pipeline() -> psutil.Process:
    """The process that runs the stages: DVC, past the shell in which it starts each of them."""
    process = psutil.Process()
    parents = process.parents()
    outside = (parent for parent in parents if not launches_a_stage(parent.cmdline()))
    return next(outside, process)


def _adopts_orphans(process: psutil.Process) -> bool:
    """Whether it is the machine's first process, or what has that place in a user's session."""
    return bool(process.pid == 1 or process.name() == "systemd")


def launches_a_stage(command: list[str]) -> bool:
    """Whether a process is the shell in which DVC starts a stage, or the script that it runs."""
    return any("stages/shared/run" in word for word in command)


def _is_of(header: Mapping[str, Any], path: Path) -> bool:
    """Whether the journal at `path` is that of the process in `header`."""
    try:
        with path.open(encoding="utf-8") as stream:
            started = float(json.loads(stream.readline())["started"])
        return abs(started - float(header["started"])) < SAME_START_SECONDS
    except (FileNotFoundError, ValueError, KeyError):
        return False


def _sweep(folder: Path) -> None:
    """Remove what dead pipelines have left whose followers were killed too."""
    files = [file for file in folder.iterdir() if file.stem.isdecimal()]
    for path in {file.with_suffix(".jsonl") for file in files}:
        lock = path.with_suffix(".lock")
        # A follower that lives has last words to write still, and removes both itself.
        with suppress(Timeout, OSError, psutil.Error):
            if _has_ended(path):
                with FileLock(lock, timeout=0):
                    path.unlink(missing_ok=True)
                    lock.unlink(missing_ok=True)
    # A journal whose writer was killed before it had its name.
    for unnamed in folder.glob(".*.jsonl.*.tmp"):
        pid = unnamed.name.split(".")[1]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            unnamed.unlink(missing_ok=True)


def _has_ended(path: Path) -> bool:
    """Whether the pipeline that a journal is named after is no process of this machine any more."""
    try:
        process = psutil.Process(int(path.stem))
        header = {"started": start_of(process)}
        return process.status() == psutil.STATUS_ZOMBIE or not _is_of(header, path)
    except psutil.NoSuchProcess:
        return True


def _start_follower(path: Path, root: Path) -> None:
    """In a session of its own: what kills the pipeline must leave one to end the run."""
    arguments = [str(path), str(root), str(os.getpid())]
    subprocess.Popen(
        [sys.executable, "-m", "spikejoule.tracking.live", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
