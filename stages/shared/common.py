"""What every stage shares: its artifacts, parameters, logging, and errors without a traceback."""

import argparse
import inspect
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spikejoule.core.errors import ArtifactError, SpikejouleError
from spikejoule.core.yaml_files import PARAMS_FILE, PIPELINE_FILE, stage_paths
from spikejoule.params import Params, load_params
from stages.shared.project import pipeline, project_root
from stages.shared.resuming import forget_recorded

Stage = Callable[[Mapping[str, Path], Params], None]


class StagePaths(dict[str, Path]):
    """Where the artifacts of a stage are: of those that dvc.yaml lists for it, and of no others.

    What a stage reads or writes beside them DVC would not know of: ArtifactError.
    """

    def __missing__(self, name: str) -> Path:
        raise ArtifactError(f"{PIPELINE_FILE} must list ${{paths.{name}}} in this stage.")


def run_stage(stage: Stage, description: str | None, arguments: Sequence[str] | None = None) -> int:
    """Call `stage(paths, params)` and return the exit status.

    The stage is that of dvc.yaml which is named like the file of `stage`; `paths` holds the
    artifacts that are listed there, and the parameters are those of params.yaml, both in the
    working directory. A SpikejouleError is printed as `error: ...` and gives 1, an interruption
    from the keyboard 130.
    """
    argparse.ArgumentParser(description=description, allow_abbrev=False).parse_args(arguments)
    set_up_logging()
    try:
        paths = StagePaths(stage_paths(Path(), Path(inspect.getfile(stage)).stem))
        params = load_params(PARAMS_FILE)
        pipeline()
        forget_recorded(project_root())
        stage(paths, params)
    except SpikejouleError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(
            f"error: not enough memory ({error}); smaller train.batch_size, model.hidden or "
            "encode.time_window need less.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("error: interrupted from the keyboard.", file=sys.stderr)
        return 130
    return 0


def set_up_logging() -> None:
    """Send messages of spikejoule and its stages, and others' warnings, to the standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("spikejoule", "stages", "__main__"):
        logging.getLogger(name).setLevel(logging.INFO)


class _PlainFormatter(logging.Formatter):
    """The message alone; a warning of one line says that it is one."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.WARNING and "\n" not in text:
            return f"{record.levelname.lower()}: {text}"
        return text
