"""The project that a stage works for, the pipeline that runs it, and its live run."""

import os
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.processes import is_running, start_of

if TYPE_CHECKING:
    from spikejoule.network.network import Network
    from spikejoule.tracking.live import LiveRun


def project_root() -> Path:
    """Return the project's root.

    This is the working directory, or the workspace of an experiment that runs in its
    own folder (`dvc exp run --temp`, the queue). Every process below a stage inherits
    DVC_ROOT, so it counts only if it contains the working directory.
    """
    here = Path.cwd().resolve()
    dvc_root = os.environ.get("DVC_ROOT")
    if dvc_root:
        root = Path(dvc_root).resolve()
        if here.is_relative_to(root) and (root / ".dvc").is_dir():
            return root
    return here


@cache
def pipeline() -> psutil.Process | None:
    """Find the process that runs the stages: DVC, above the shell of each stage.

    None where a stage is started by hand. Raises SpikejouleError if DVC was killed
    before the first call, so that the stage's parent is now the process that adopts
    orphans.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    parents = psutil.Process().parents()
    parent = next(
        process for process in parents if not launches_a_stage(process.cmdline())
    )
    # In a container, DVC itself may be process 1.
    adopts_orphans = parent.pid == 1 or parent.name() == "systemd"
    if adopts_orphans and not any("dvc" in word for word in parent.cmdline()):
        raise SpikejouleError("the pipeline that started this stage has ended already.")
    return parent


def end_with_the_pipeline() -> None:
    """Raise SpikejouleError if the pipeline was killed and waits for no outputs."""
    process = pipeline()
    if process is not None and not is_running(process.pid, start_of(process)):
        raise SpikejouleError(
            "the pipeline that started this stage has ended: the next one resumes "
            "from here."
        )


def launches_a_stage(command: list[str]) -> bool:
    """Whether a command is the shell in which DVC starts a stage, or its script."""
    return any("stages/shared/run" in word for word in command)


def shown_run(
    network: "Network", engine: str, key: str | None
) -> "AbstractContextManager[LiveRun | None]":
    """Return the live run of a training; a context of None for a stage by hand.

    Args:
        network: the network to train.
        engine: name of the engine.
        key: identifies the training when another process resumes it.
    """
    process = pipeline()
    if process is None:
        return nullcontext()
    # Imported here: no result depends on it, so it is no dependency of the stage.
    from spikejoule.tracking.live import LiveRun

    return LiveRun.in_project(project_root(), network, engine, key, process)
