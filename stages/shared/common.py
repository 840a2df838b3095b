"""Runs a stage: artifacts, parameters, logging, and errors without a traceback."""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from numba.core import event as compiler

from spikejoule.core.errors import ParameterError, SpikejouleError, memory_errors
from spikejoule.core.parameters import parsed
from spikejoule.core.terminal import wrapped
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, read_mapping
from stages.shared.project import pipeline, project_root
from stages.shared.resuming import forget_recorded

logger = logging.getLogger(__name__)


def run_stage(name: str) -> int:
    """Call `main(paths, params)` of `stages.NAME` and return the exit status.

    `paths` holds the artifacts that dvc.yaml lists for the stage, `params` the
    `stages.NAME.Params` of params.yaml, both in the working directory. A
    SpikejouleError or an error of the system (such as a full disk) is printed as
    `error: ...`, with exit status 1.
    """
    set_up_logging()
    try:
        paths = artifact_paths(Path(), name)
        pipeline()
        stage = import_module(f"stages.{name}")
        params = parsed(read_mapping(PARAMS_FILE, ParameterError), stage.Params)
        forget_recorded(project_root())
        with compiler.install_listener("numba:compile", Compiling()), memory_errors():
            stage.main(paths, params)
            return 0
    except ParameterError as error:
        problems = f"{remedy(name)}\n{error}".lstrip()
    except SpikejouleError as error:
        problems = str(error)
        if isinstance(error.__cause__, FileNotFoundError):
            problems += f" `dvc repro {name}` runs the stage that writes it first."
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


def remedy(stage: str) -> str:
    """Say what a refused value leaves in the workspace, and how to undo it.

    The value stays in params.yaml, and DVC has removed the stage's outputs, if it has
    any. Empty for a stage started by hand, or in an experiment's own folder.
    """
    if "DVC_STAGE" not in os.environ or project_root() != Path.cwd().resolve():
        return ""
    # `git checkout` can miss a change of equal length within the same timestamp.
    undo = f"git show HEAD:{PARAMS_FILE} > {PARAMS_FILE}"
    kept = f"{PARAMS_FILE} keeps the refused value; `{undo}` resets it."
    if not artifact_paths(Path(), stage):
        return kept
    return (
        f"{kept}\n"
        "Then `dvc repro` restores the outputs that DVC removed before this stage."
    )


class Compiling(compiler.Listener):  # type: ignore[misc]
    """Logs, once, that kernels are being compiled: the longest wait of a first run."""

    _is_reported = False

    def on_start(self, event: object) -> None:
        """Log the first compilation; kernels in the cache are not compiled."""
        if not self._is_reported:
            logger.info("compiling this stage's kernels ...")
        self._is_reported = True

    def on_end(self, event: object) -> None:
        """Ignore the end of a compilation."""


def set_up_logging() -> None:
    """Log spikejoule and its stages, and warnings of others, to the standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("spikejoule", "stages"):
        logging.getLogger(name).setLevel(logging.INFO)


class _PlainFormatter(logging.Formatter):
    """Prints the message only, with the level before a warning of one line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.WARNING and "\n" not in text:
            text = f"{record.levelname.lower()}: {text}"
        return wrapped(text)
