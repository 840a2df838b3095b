"""States from which trainings resume after a kill: their place, key and lifetime.

States are in `.resume` at the project's root, which experiments in their own folders
share. A state's key is a digest of what DVC tracks of the stage (its code, files and
parameters in `dvc.yaml`, without those that change no result) and of the libraries. A
state is removed when `dvc.lock` records the result: until then, DVC would run the stage
again if it were killed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from spikejoule.core.errors import ArtifactError
from spikejoule.core.parameters import ParameterFile
from spikejoule.core.provenance import (
    computing_environment,
    content_digest,
    file_digest,
    tree_digests,
)
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.core.store import read_json, write_json
from spikejoule.core.yaml_files import PIPELINE_FILE, artifact_paths, read_mapping
from stages.shared.project import end_with_the_pipeline, project_root

FOLDER = ".resume"

# Not part of the key. (The dense engine's rounding depends on its threads: stage train
# adds them to the facts.)
_OF_THE_MACHINE = ("train.threads",)


class Resume(ResumeFile):
    """The state of a stage's training, and when it began.

    Attributes:
        key: identifies the training; None where no state is kept.
        started: when the first process of the training began, as ISO 8601.
    """

    def __init__(self, stage: str, key: str | None) -> None:
        super().__init__(
            project_root() / FOLDER, key or "", f"the training of stage {stage}"
        )
        self.key = key
        self.started = datetime.now().astimezone().isoformat(timespec="seconds")

    def load(self) -> SavedState | None:
        """Load the state that an earlier process left."""
        kept = super().load()
        if kept is None:
            return None
        self.started = str(kept.plain["started"])
        return replace(kept, plain=kept.plain["training"])

    def save(self, kept: SavedState) -> None:
        """Replace the state.

        Raises SpikejouleError if the pipeline was killed: the next one resumes here.
        """
        if not self.is_owned:
            return
        super().save(
            replace(kept, plain={"training": kept.plain, "started": self.started})
        )
        end_with_the_pipeline()

    def end(self, timings: Path) -> None:
        """Mark the training as ended, after its outputs are written.

        `timings` is an output whose bytes no other run writes: dvc.lock records its
        digest once DVC knows the result.
        """
        if "DVC_STAGE" not in os.environ:
            self.done()
        elif self.is_owned:
            mark = {"folder": str(Path.cwd()), "md5": file_digest(timings, "md5")}
            try:
                write_json(self.path.with_suffix(".done"), mark)
            except ArtifactError:  # without the mark, the state would stay forever
                self.done()


@contextmanager
def resumable(
    stage: str,
    params: ParameterFile,
    is_kept: bool,
    facts: Mapping[str, str] | None = None,
) -> Iterator[Resume]:
    """Own the state of a stage's training.

    Waits while another process runs the same training; raises SpikejouleError if the
    pipeline was killed meanwhile.

    Args:
        stage: name of the stage in dvc.yaml.
        params: all parameters that the stage reads.
        is_kept: whether the state is kept: `train.resume`.
        facts: other things that the result depends on, by name.
    """
    resume = Resume(stage, _key(stage, params, facts or {}) if is_kept else None)
    with nullcontext() if resume.key is None else resume:
        end_with_the_pipeline()
        yield resume


def forget_recorded(root: Path) -> None:
    """Remove the states of trainings whose results DVC has recorded."""
    for mark in (root / FOLDER).glob("*.done"):
        lock = mark.with_suffix(".lock")
        # A state that another process is resuming from is locked.
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            if _is_recorded(mark):
                mark.with_suffix(".npz").unlink(missing_ok=True)
                mark.unlink()
            lock.unlink()


def _is_recorded(mark: Path) -> bool:
    """Whether the dvc.lock next to a finished training's outputs records them."""
    try:
        content = read_json(mark)
        return (
            str(content["md5"]).encode()
            in (Path(content["folder"]) / "dvc.lock").read_bytes()
        )
    except (ArtifactError, KeyError, OSError):
        return False


def _key(stage: str, params: ParameterFile, facts: Mapping[str, str]) -> str | None:
    """Digest all that a stage's result depends on; None where a file is missing."""
    definition = read_mapping(Path(PIPELINE_FILE))["stages"][stage]
    paths = {
        f"${{paths.{name}}}": path for name, path in artifact_paths(Path()).items()
    }
    files = tree_digests(paths.get(dep, Path(dep)) for dep in definition["deps"])
    if files is None:
        return None
    parameters = {
        key: value
        for key, value in params.flattened().items()
        if key not in _OF_THE_MACHINE
    }
    return content_digest(
        {
            "files": files,
            "parameters": parameters,
            "computed_with": computing_environment(),
            "facts": dict(facts),
        }
    )
