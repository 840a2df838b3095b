"""The results of a project under git and DVC: at any revision, and whether they are the recorded.

DVC itself looks at a file's content only where its time stamp, size or inode have changed, and
takes what lies in its cache by its name. Here every byte is read.
"""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spikejoule.core.errors import ArtifactError, LimitError, ParameterError
from spikejoule.core.provenance import file_digest
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, read_mapping

LOCK_FILE = "dvc.lock"
_EXPERIMENTS = "refs/exps/"
_PRIVATE_EXPERIMENTS = ("exec", "stash", "celery", "tempPath")


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


class Lock(BaseModel):
    """What a dvc.lock holds: its stages, by name."""

    model_config = ConfigDict(frozen=True, strict=True)

    stages: dict[str, LockedStage] = {}

    @classmethod
    def read(cls, folder: Path) -> "Lock":
        """The lock file of `folder`; ArtifactError if it is missing or damaged."""
        path = folder / LOCK_FILE
        if not path.is_file():
            raise ArtifactError(
                f"there is no {path}, which tells what run the results are of: run `dvc repro`."
            )
        try:
            return cls.model_validate(read_mapping(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(
                f"{path} is damaged ({place}: {first['msg']}): restore it with git, or remove it "
                "and run `dvc repro`."
            ) from error

    @property
    def outputs(self) -> dict[str, str]:
        """Path and MD5 of all that the stages wrote."""
        return {out.path: out.md5 for stage in self.stages.values() for out in stage.outs}

    @property
    def recorded(self) -> dict[str, str]:
        """Path and MD5 of all that the stages read or wrote."""
        read = {dep.path: dep.md5 for stage in self.stages.values() for dep in stage.deps}
        return read | self.outputs

    def making(self, files: Collection[str]) -> "Lock":
        """The stages that made some files or anything that those were made from."""
        makers = {out.path: name for name, stage in self.stages.items() for out in stage.outs}
        found: dict[str, LockedStage] = {}
        pending = list(files)
        while pending:
            name = makers.get(pending.pop())
            if name is not None and name not in found:
                found[name] = self.stages[name]
                pending += [dep.path for dep in found[name].deps]
        return Lock(stages=found)


def check_against_lock(
    files: Collection[Path], root: Path, remedy: str = "dvc repro"
) -> dict[str, str]:
    """See that files of the working directory are the one whole result that its dvc.lock records.

    Every file that they were made from is looked at, too, where it is on the disk, and every
    parameter. Code that has changed since is no error, as it need not change a result; but the
    result is not the commit's then.

    Args:
        files: relative to the working directory.
        root: of the project, which knows where DVC's cache is.
        remedy: the command that makes the files anew.

    Returns:
        What is to be said of the code, as a run's tags.

    Raises:
        ArtifactError: one sentence for each file that is not what dvc.lock records.
    """
    names = {path.as_posix() for path in files}
    lock = Lock.read(Path()).making(names)
    recorded, made = lock.recorded, lock.outputs.keys() | names
    found = {path: _digest(Path(path)) for path in made | recorded.keys()}
    problems = {
        path: f"{LOCK_FILE} does not record {path}: `dvc repro` makes and records it."
        for path in sorted(names - recorded.keys())
    }
    for name, stage in lock.stages.items():
        for dep in stage.deps:
            if dep.path in made and dep.md5 != recorded[dep.path]:
                problems[dep.path] = (
                    f"{LOCK_FILE} is of more than one run: the stage {name} read another "
                    f"{dep.path} than it records elsewhere; `dvc repro` runs what is missing."
                )
    for file in sorted({file for stage in lock.stages.values() for file in stage.params}):
        if differing := dict(_differing_parameters(lock, file)):
            problems[file] = (
                f"{file} is not what made the result, which by {LOCK_FILE} was "
                f"{', '.join(differing.values())}: restore it, or run `dvc repro`."
            )
    # What the files were made from need not be there.
    needed = {path for path in made if path in names or found[path]} & recorded.keys()
    wrong = {path for path in needed if found[path] != recorded[path]} - problems.keys()
    for path in sorted(wrong):
        problems[path] = _wrong_file(path, found[path], recorded[path], root, remedy)
    if problems:
        raise ArtifactError("\n".join(problems.values()))
    changed = sorted(path for path in recorded.keys() - made if found[path] != recorded[path])
    return {"git.dirty": "true", "dvc.changed_code": ", ".join(changed)} if changed else {}


def flat(content: object, prefix: str = "") -> dict[str, object]:
    """Values by their full keys (`train.lr`), whatever the depth."""
    if not isinstance(content, Mapping):
        return {prefix: content}
    values: dict[str, object] = {}
    for key, value in content.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values


def check_limits(root: Path) -> str:
    """Hold the metrics that dvc.lock records against the limits of params.yaml.

    Energy is that of the counted operations under the profile of the metrics, per inference over
    the whole window: the mean, or the upper end where the profile has brackets alone. What the
    profile has no price for is not in it.

    Args:
        root: of the project.

    Returns:
        what was kept, a sentence for each limit.

    Raises:
        LimitError: a limit is exceeded; one sentence for each.
        ParameterError: no limit is set.
        ArtifactError: there are no metrics, or they are not those of dvc.lock.
    """
    from spikejoule.energy.tables import EnergyMetrics
    from spikejoule.evaluation.evaluation import EvaluationMetrics
    from spikejoule.params import load_params

    paths = artifact_paths(root)
    with contextlib.chdir(root):
        limits = load_params(PARAMS_FILE).energy_report
        check_against_lock([paths["energy_metrics"], paths["evaluate_metrics"]], root)
        energy = EnergyMetrics.read(paths["energy_metrics"])
        accuracy = EvaluationMetrics.read(paths["evaluate_metrics"]).test_accuracy_percent
    mean = energy.energy_per_inference_pj
    spent = (energy.energy_per_inference_high_pj if mean is None else mean) / 1000
    budget, least = limits.budget_nj, limits.min_accuracy_percent
    is_kept = {}
    if budget is not None:
        told = f"an inference takes {spent:.10g} nJ under {energy.profile}"
        is_kept[f"{told}; energy_report.budget_nj is {budget:.10g}."] = spent <= budget
    if least is not None:
        told = f"the test accuracy is {accuracy:.10g} %"
        is_kept[f"{told}; energy_report.min_accuracy_percent is {least:.10g}."] = accuracy >= least
    if not is_kept:
        raise ParameterError(
            "nothing to check: energy_report.budget_nj and energy_report.min_accuracy_percent are "
            "null in params.yaml; set one of them."
        )
    if broken := [sentence for sentence, kept in is_kept.items() if not kept]:
        raise LimitError("\n".join(broken))
    return "\n".join(is_kept)


@dataclass(frozen=True)
class Revision:
    """A state of a project under git.

    Attributes:
        commit: its full hash.
        experiment: the name under which DVC keeps it as an experiment; None for other revisions.
        baseline: the commit that the experiment started from; None likewise.
    """

    commit: str
    experiment: str | None = None
    baseline: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """The tags of a run by which it is found again."""
        tags = {"git.commit": self.commit, "mlflow.source.git.commit": self.commit}
        if self.experiment and self.baseline:
            tags |= {"dvc.experiment": self.experiment, "dvc.baseline": self.baseline}
        return {**tags, "git.dirty": "false"}


def experiments(directory: Path) -> list[Revision]:
    """Every experiment that DVC keeps in a repository, by name.

    Raises ArtifactError if `directory` belongs to no git repository.
    """
    lines = _git(directory, "for-each-ref", "--format=%(refname) %(objectname)", _EXPERIMENTS)
    found = []
    for line in lines.decode().splitlines():
        reference, commit = line.split()
        parts = reference.removeprefix(_EXPERIMENTS).split("/")
        if len(parts) == 3 and parts[0] not in _PRIVATE_EXPERIMENTS:
            found.append(Revision(commit, parts[2], parts[0] + parts[1]))
    return sorted(found, key=lambda revision: revision.experiment or "")


def find_revision(directory: Path, name: str) -> Revision:
    """The revision that DVC or git knows as `name`; an experiment comes before a branch.

    Raises ArtifactError if there is none.
    """
    for experiment in experiments(directory):
        if experiment.experiment == name:
            return experiment
    try:
        commit = _git(directory, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except ArtifactError as error:
        raise ArtifactError(
            f"{directory} has no experiment, branch, tag or commit {name!r}."
        ) from error
    return Revision(commit.decode().strip())


def revision_recording(directory: Path, md5: str) -> Revision | None:
    """The oldest revision whose dvc.lock records a file of this MD5: a commit, or else an
    experiment. None if there is none.

    Raises ArtifactError if `directory` belongs to no git repository.
    """
    named = {revision.commit: revision for revision in experiments(directory)}
    for references in (("HEAD", "--branches", "--tags", "--remotes"), ("--glob=refs/exps",)):
        lines = _git(
            directory, "log", "--reverse", "--format=%H", "--diff-filter=AM", f"-S{md5}",
            *references, "--", LOCK_FILE,
        )  # fmt: skip
        for commit in lines.decode().split():
            # One that no longer records the file has changed its number of mentions, too.
            if md5.encode() in _git(directory, "show", f"{commit}:./{LOCK_FILE}"):
                return named.get(commit, Revision(commit))
    return None


@contextlib.contextmanager
def checked_out(directory: Path, revision: Revision) -> Iterator[Path]:
    """A temporary folder with a revision's files; outputs of DVC are links into its cache.

    The workspace stays as it is. Raises ArtifactError if the revision holds no results, or the
    cache lacks an output.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = _git(directory, "archive", "--format=tar", revision.commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        if not (folder / LOCK_FILE).is_file():
            raise ArtifactError(f"that revision holds no results: it has no {LOCK_FILE}.")
        cache = _cache_of(directory)
        for path, md5 in Lock.read(folder).outputs.items():
            target, source = folder / path, cache / md5[:2] / md5[2:]
            if target.exists():
                continue
            if not source.is_file():
                raise ArtifactError(
                    f"{path} of {revision.experiment or revision.commit} is not in DVC's cache: "
                    "get it with `dvc fetch` or `dvc exp pull`."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        yield folder


def _differing_parameters(lock: Lock, file: str) -> Iterator[tuple[str, str]]:
    """Full key, and in words what the lock records and the file holds."""
    now = flat(read_mapping(Path(file)))
    for stage in lock.stages.values():
        for key, value in stage.params.get(file, {}).items():
            then = flat(value, key)
            there = {name for name in now if name == key or name.startswith(f"{key}.")}
            for name in sorted(there | then.keys()):
                if name not in now or name not in then or now[name] != then[name]:
                    was, is_now = (str(known.get(name, "nothing")) for known in (then, now))
                    yield name, f"{name} {was} (now {is_now})"


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


def _wrong_file(path: str, found: str | None, recorded: str, root: Path, remedy: str) -> str:
    if found is None:
        return f"there is no file {path}: `dvc checkout` or `{remedy}` brings it."
    what = f"{path} is not the file that {LOCK_FILE} records: its MD5 is {found}, not {recorded}"
    with contextlib.suppress(ArtifactError):  # of a folder that is none of DVC's
        copy = _cache_of(root) / recorded[:2] / recorded[2:]
        if copy.is_file() and file_digest(copy, "md5") != recorded:
            return (
                f"{what}, and DVC's own copy is another file, too; remove both ({copy}), then "
                f"`dvc pull` or `{remedy}` brings the right one."
            )
    return f"{what}; `{remedy}` puts it right."


def _cache_of(directory: Path) -> Path:
    """Where DVC keeps the files of a repository by their MD5."""
    said = _run(directory, [sys.executable, "-m", "dvc", "cache", "dir"])
    return (directory / said.decode().strip()).resolve() / "files" / "md5"


def _git(directory: Path, *arguments: str) -> bytes:
    return _run(directory, ["git", *arguments])


def _run(directory: Path, command: list[str]) -> bytes:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, check=True, capture_output=True
        )
    except OSError as error:
        raise ArtifactError(f"{command[0]} cannot be run in {directory}: {error}.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ArtifactError(f"{directory}: {' '.join(command[:3])}: {said[-1]}") from error
    return done.stdout
