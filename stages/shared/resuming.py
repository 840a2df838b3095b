"""Trainings that resume after a kill: where their state is, what it is known by, when
it goes.

The state lies in `.resume` of the project's root, which experiments in folders of their
own share, and is known by all that DVC knows the stage by (`dvc.yaml`: its code, files
and parameters), but for what changes no result, and by the libraries. It goes when
`dvc.lock` records the result: until then a kill of DVC itself would have the stage run
again.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import (
    computing_environment,
    content_digest,
    file_digest,
    tree_digests,
)
from spikejoule.core.resume import ResumeFile, SavedState
from spikejoule.core.store import read_json, write_json
from spikejoule.core.yaml_files import PIPELINE_FILE, artifact_paths, read_mapping
from spikejoule.params import WITHOUT_EFFECT, Params
from stages.shared.project import end_with_the_pipeline, project_root

FOLDER = ".resume"

# The dense engine rounds by its threads; those that a state was begun with are part of
# it.
_OF_THE_MACHINE = ("train.threads", *WITHOUT_EFFECT)


class Resume(ResumeFile):
    """The state of a stage's training; beside it, when it began.

    Attributes:
        key: what the state is known by; None where none is kept.
        started: when the training began, in the first of its processes, as ISO 8601.
    """

    def __init__(self, stage: str, key: str | None) -> None:
        super().__init__(
            project_root() / FOLDER, key or "", f"the training of stage {stage}"
        )
        self.key = key
        self.started = _now()

    def load(self) -> SavedState | None:
        """The state that an earlier process has left."""
        kept = super().load()
        if kept is None:
            return None
        self.started = str(kept.plain["started"])
        return replace(kept, plain=kept.plain["training"])

    def save(self, kept: SavedState) -> None:
        """Keep a state in place of the one before.

        Raises SpikejouleError if the pipeline was killed: the next one resumes here.
        """
        if not self.is_owned:
            return
        super().save(
            replace(kept, plain={"training": kept.plain, "started": self.started})
        )
        end_with_the_pipeline()

    def end(self, timings: Path) -> None:
        """The outputs are written, `timings` with them; no other run writes the same of
        those.
        """
        if "DVC_STAGE" not in os.environ:
            self.done()
        elif self.is_owned:
            mark = {"folder": str(Path.cwd()), "md5": file_digest(timings, "md5")}
            try:
                write_json(self.path.with_suffix(".done"), mark)
            except ArtifactError:  # nobody would know when the state may go
                self.done()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


@contextmanager
def resumable(
    stage: str, params: Params, facts: Mapping[str, str] | None = None
) -> Iterator[Resume]:
    """What keeps the state of a stage's training, of which this process is the only
    owner.

    Waits while another process is at the same training; raises SpikejouleError if the
    pipeline was killed meanwhile.

    Args:
        stage: its name in dvc.yaml.
        params: all parameters.
        facts: what else the result depends on, by name.
    """
    resume = Resume(
        stage, _key(stage, params, facts or {}) if params.train.resume else None
    )
    with nullcontext() if resume.key is None else resume:
        end_with_the_pipeline()
        yield resume


def forget_recorded(root: Path) -> None:
    """Remove the states of trainings whose results DVC has recorded by now."""
    for mark in (root / FOLDER).glob("*.done"):
        lock = mark.with_suffix(".lock")
        # One that somebody resumes from this very moment is locked.
        with suppress(OSError, Timeout), FileLock(lock, timeout=0):
            if _is_recorded(mark):
                mark.with_suffix(".npz").unlink(missing_ok=True)
                mark.unlink()
            lock.unlink()


def _is_recorded(mark: Path) -> bool:
    """Whether the dvc.lock beside a finished training's outputs records them."""
    try:
        content = read_json(mark)
        return (
            str(content["md5"]).encode()
            in (Path(content["folder"]) / "dvc.lock").read_bytes()
        )
    except (ArtifactError, KeyError, OSError):
        return False


def _key(stage: str, params: Params, facts: Mapping[str, str]) -> str | None:
    """A digest of all that a stage's result depends on; None where a file is
    missing.
    """
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
        and any(
            key == name or key.startswith(f"{name}.") for name in definition["params"]
        )
    }
    return content_digest(
        {
            "files": files,
            "parameters": parameters,
            "computed_with": computing_environment(),
            "facts": dict(facts),
        }
    )
