"""What every stage shares: its artifacts, parameters, logging, and errors without a
traceback.
"""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from numba.core import event as compiler

from spikejoule.core.errors import ParameterError, SpikejouleError, memory_errors
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.params import load_params
from stages.shared.project import pipeline, project_root
from stages.shared.resuming import forget_recorded

logger = logging.getLogger(__name__)


def run_stage(name: str) -> int:
    """Call `main(paths, params)` of the module `stages.NAME` and return the exit
    status.

    `paths` holds the artifacts that dvc.yaml lists for the stage, and the parameters
    are those of params.yaml, both in the working directory. A SpikejouleError, or what
    the system refuses to a library (room on a disk, say), is printed as `error: ...`
    and gives 1.
    """
    set_up_logging()
    try:
        paths = artifact_paths(Path(), name)
        params = load_params(PARAMS_FILE)
        pipeline()
        forget_recorded(project_root())
        with compiler.install_listener("numba:compile", Compiling()), memory_errors():
            import_module(f"stages.{name}").main(paths, params)
            return 0
    except ParameterError as error:
        problems = f"{error}\n{remedy()}".rstrip()
    except SpikejouleError as error:
        problems = str(error)
    except OSError as error:
        problems = f"{' '.join(str(error).split())}."
    except MemoryError as error:
        problems = (
            f"not enough memory ({error}); smaller train.batch_size, model.hidden, "
            "model.layers or encode.time_window need less."
        )
    for line in problems.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return 1


def remedy() -> str:
    """How outputs come back that DVC removed before it started this stage.

    Empty where it removed none of the workspace's: a stage that is started by hand, or
    in an experiment's own folder.
    """
    if "DVC_STAGE" not in os.environ or project_root() != Path.cwd().resolve():
        return ""
    return (
        "DVC removes a stage's outputs before it starts the stage; to get them "
        "back, set the "
        f"parameter right (`git checkout {PARAMS_FILE}` undoes every change to the "
        "file) and run "
        "`dvc repro`."
    )


class Compiling(compiler.Listener):  # type: ignore[misc]
    """Reports, once, that kernels are compiled: what a first run waits for longest."""

    _is_reported = False

    def on_start(self, event: object) -> None:
        """Before a kernel is compiled; those that are in the cache are not."""
        if not self._is_reported:
            logger.info("compiling the kernels of this stage, which are then kept ...")
        self._is_reported = True

    def on_end(self, event: object) -> None:
        """After it."""


def set_up_logging() -> None:
    """Send messages of spikejoule and its stages, and others' warnings, to the standard
    error.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("spikejoule", "stages"):
        logging.getLogger(name).setLevel(logging.INFO)


class _PlainFormatter(logging.Formatter):
    """The message alone; a warning of one line says that it is one."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.WARNING and "\n" not in text:
            return f"{record.levelname.lower()}: {text}"
        return text
