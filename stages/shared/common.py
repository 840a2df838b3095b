"""What every stage shares: path options, parameters, logging, and errors without a traceback."""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spikejoule.core.errors import ArtifactError, SpikejouleError
from spikejoule.core.yaml_files import PARAMS_FILE, PIPELINE_FILE, artifact_paths
from spikejoule.params import Params, load_params
from stages.shared import journal
from stages.shared.resuming import forget_recorded
from stages.shared.root import project_root

Stage = Callable[[Mapping[str, Path], Params], None]


def run_stage(
    stage: Stage,
    description: str | None,
    path_names: Sequence[str],
    arguments: Sequence[str] | None = None,
) -> int:
    """Call `stage(paths, params)` and return the exit status.

    `path_names` are the artifacts that the stage reads and writes: the keys of `paths`. Where they
    lie, and the parameters, is read from dvc.yaml and params.yaml in the working directory. Numbers
    among the arguments are for DVC alone, which runs a stage again when its command has changed. A
    SpikejouleError is printed as `error: ...` and gives 1, an interruption from the keyboard 130.
    Beginning and end go into the journal.
    """
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("changed", nargs="*", type=int, help=argparse.SUPPRESS)
    parser.parse_args(arguments)
    set_up_logging()
    try:
        paths = _paths(path_names)
        params = load_params(PARAMS_FILE)
        journal.begin(
            project_root(),
            directory=str(Path.cwd()),
            parameters=params.flattened(),
            experiment=params.publish.experiment,
        )
        forget_recorded(project_root())
        stage(paths, params)
    except SpikejouleError as error:
        journal.tell("failed", reason=str(error))
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 1
    except MemoryError as error:
        journal.tell("failed", reason=f"not enough memory ({error})")
        print(
            f"error: not enough memory ({error}); smaller train.batch_size, model.hidden or "
            "encode.time_window need less.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        journal.tell("interrupted")
        print("error: interrupted from the keyboard.", file=sys.stderr)
        return 130
    except Exception as error:
        journal.tell("failed", reason=f"{type(error).__name__}: {error}")
        raise
    journal.tell("done")
    return 0


def _paths(names: Sequence[str]) -> dict[str, Path]:
    """Where some artifacts lie; ArtifactError if dvc.yaml does not say it."""
    known = artifact_paths(Path()) if names else {}
    for name in names:
        if name not in known:
            raise ArtifactError(f"{PIPELINE_FILE} must name the path of {name} under vars.paths.")
    return {name: known[name] for name in names}


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
