"""What DVC's lock file records of a result, and where files and parameters disagree with it.

DVC itself looks at a file's content only where its time stamp, size or inode have changed, and
takes what lies in its cache by its name. Here every byte is read.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import file_digest
from spikejoule.core.yaml_files import read_mapping

LOCK_FILE = "dvc.lock"


class LockedFile(BaseModel):
    """A file, or a folder of code, as a stage read or wrote it; `path` is relative to the lock."""

    model_config = ConfigDict(frozen=True, strict=True)

    path: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")

    @field_validator("path")
    @classmethod
    def _lies_in_the_project(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{path} lies outside of the project")
        return path


class LockedStage(BaseModel):
    """One stage as it last ran; `params` maps a file to its values by their full or section key."""

    model_config = ConfigDict(frozen=True, strict=True)

    deps: list[LockedFile] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[LockedFile] = []


class _Lock(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    stages: dict[str, LockedStage] = {}


@dataclass(frozen=True)
class WrongFile:
    """A file that is not the recorded one: its path, its MD5 (None: no file) and the recorded."""

    path: str
    found: str | None
    recorded: str


@dataclass(frozen=True)
class Result:
    """The stages that made some files, as dvc.lock records them.

    Attributes:
        folder: of the lock file.
        files: the files, relative to it.
        stages: those that made the files or anything they were made from, by name.
    """

    folder: Path
    files: frozenset[str]
    stages: Mapping[str, LockedStage]

    @property
    def outputs(self) -> dict[str, str]:
        """Path and MD5 of all that the stages wrote."""
        return {out.path: out.md5 for stage in self.stages.values() for out in stage.outs}

    @property
    def recorded(self) -> dict[str, str]:
        """Path and MD5 of all that the stages read or wrote."""
        read = {dep.path: dep.md5 for stage in self.stages.values() for dep in stage.deps}
        return read | self.outputs

    def wrong_files(self) -> list[WrongFile]:
        """Files that are not those recorded.

        What the result was made from counts where it is on the disk, the files themselves anyway.
        """
        recorded = self.recorded
        wrong = []
        for path in sorted(self.files | self.outputs.keys()):
            place = self.folder / path
            found = file_digest(place, "md5") if place.is_file() else None
            absent_input = found is None and path not in self.files
            if path in recorded and found != recorded[path] and not absent_input:
                wrong.append(WrongFile(path, found, recorded[path]))
        return wrong

    def problems(self) -> dict[str, str]:
        """By file: why the lock file does not hold one whole result of these parameters."""
        recorded = self.recorded
        found = {
            path: f"{LOCK_FILE} does not record {path}: `dvc repro` makes and records it."
            for path in sorted(self.files - recorded.keys())
        }
        for name, stage in self.stages.items():
            for dep in stage.deps:
                if dep.path in self.outputs.keys() | self.files and dep.md5 != recorded[dep.path]:
                    found[dep.path] = (
                        f"{LOCK_FILE} is of more than one run: the stage {name} read another "
                        f"{dep.path} than it records elsewhere; `dvc repro` runs what is missing."
                    )
        for file in sorted({file for stage in self.stages.values() for file in stage.params}):
            differing = dict(self._differing_parameters(file))
            if differing:
                found[file] = (
                    f"{file} is not what made the result, which by {LOCK_FILE} was "
                    f"{', '.join(differing.values())}: restore it, or run `dvc repro`."
                )
        return found

    def changed_code(self) -> list[str]:
        """Dependencies that are neither files of the result nor outputs, and differ from then."""
        code = self.recorded.keys() - self.outputs.keys() - self.files
        return sorted(path for path in code if _digest(self.folder / path) != self.recorded[path])

    def _differing_parameters(self, file: str) -> Iterator[tuple[str, str]]:
        """Full key, and in words what the lock records and the file holds."""
        now = flat(read_mapping(self.folder / file))
        for stage in self.stages.values():
            for key, value in stage.params.get(file, {}).items():
                then = flat(value, key)
                there = {name for name in now if name == key or name.startswith(f"{key}.")}
                for name in sorted(there | then.keys()):
                    if name not in now or name not in then or now[name] != then[name]:
                        was, is_now = (str(known.get(name, "nothing")) for known in (then, now))
                        yield name, f"{name} {was} (now {is_now})"


def read_lock(folder: Path) -> dict[str, LockedStage]:
    """The stages in the dvc.lock of `folder`; ArtifactError if it is missing or damaged."""
    path = folder / LOCK_FILE
    if not path.is_file():
        raise ArtifactError(
            f"there is no {path}, which tells what run the results are of: run `dvc repro`."
        )
    try:
        return _Lock.model_validate(read_mapping(path)).stages
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ArtifactError(
            f"{path} is damaged ({place}: {first['msg']}): restore it with git, or remove it and "
            "run `dvc repro`."
        ) from error


def flat(content: object, prefix: str = "") -> dict[str, object]:
    """Values by their full keys (`train.lr`), whatever the depth."""
    if not isinstance(content, Mapping):
        return {prefix: content}
    values: dict[str, object] = {}
    for key, value in content.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values


def result_of(folder: Path, files: Collection[Path]) -> Result:
    """What the dvc.lock in `folder` records of the making of `files`, relative to it."""
    stages = read_lock(folder)
    makers = {out.path: name for name, stage in stages.items() for out in stage.outs}
    wanted = frozenset(path.as_posix() for path in files)
    found: dict[str, LockedStage] = {}
    pending = list(wanted)
    while pending:
        name = makers.get(pending.pop())
        if name is not None and name not in found:
            found[name] = stages[name]
            pending += [dep.path for dep in stages[name].deps]
    return Result(folder, wanted, found)


def _digest(path: Path) -> str | None:
    """What DVC records of a file or of a folder of code; None if there is neither."""
    if path.is_file():
        return file_digest(path, "md5")
    if not path.is_dir():
        return None
    files = sorted(
        (file.relative_to(path).as_posix(), file)
        for file in path.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts  # as in .dvcignore
    )
    entries = [{"md5": file_digest(file, "md5"), "relpath": name} for name, file in files]
    return hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest() + ".dir"
