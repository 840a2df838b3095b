"""Where the project is that a stage works for, the pipeline that runs it, and its run
in MLflow.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from spikejoule.core.errors import SpikejouleError
from spikejoule.core.processes import is_running, start_of
from spikejoule.params import Params

if TYPE_CHECKING:
    from spikejoule.tracking.live import LiveRun


def project_root() -> Path:
    """Return the project's root: the working directory, or for an experiment in a
    folder of its own (`dvc exp run --temp`, the queue) the workspace that it belongs
    to.

    DVC_ROOT is inherited by every process below a stage, so it counts only if it
    contains the working directory.
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
    """The process that runs the stages: DVC, past the shell in which it starts each of
    them.

    None where a stage is started by hand. Raises SpikejouleError if DVC was killed
    before this was asked for the first time, and has left the stage to the process that
    adopts orphans.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    parents = psutil.Process().parents()
    found = next(parent for parent in parents if not launches_a_stage(parent.cmdline()))
    adopts_orphans = found.pid == 1 or found.name() == "systemd"
    if adopts_orphans and not any("dvc" in word for word in found.cmdline()):
        raise SpikejouleError("the pipeline that started this stage has ended already.")
    return found


def end_with_the_pipeline() -> None:
    """Raise SpikejouleError if the pipeline was killed: nobody waits for its outputs
    any more.
    """
    process = pipeline()
    if process is not None and not is_running(process.pid, start_of(process)):
        raise SpikejouleError(
            "the pipeline that started this stage has ended: the next one resumes "
            "from here."
        )


def launches_a_stage(command: list[str]) -> bool:
    """Whether a process is the shell in which DVC starts a stage, or the script that it
    runs.
    """
    return any("stages/shared/run" in word for word in command)


def shown_run(
    params: Params, layer_names: Sequence[str], key: str | None
) -> "AbstractContextManager[LiveRun | None]":
    """The run in MLflow in which a training is shown; None where the stage is started
    by hand.
    """
    process = pipeline()
    if process is None:
        return nullcontext()
    # Here alone: no result depends on it, so that it is no dependency of the stage.
    from spikejoule.tracking.live import LiveRun
    from spikejoule.tracking.store import project_store

    store = project_store(project_root(), params.publish.experiment)
    return LiveRun(store, params.flattened(), layer_names, key, process)
