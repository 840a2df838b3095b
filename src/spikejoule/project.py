"""The outputs of a project on disk: which files its dvc.yaml names, now or at another revision."""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikejoule.errors import ArtifactError
from spikejoule.yaml_files import read_yaml

PARAMS_FILE = "params.yaml"

_PIPELINE_FILE = "dvc.yaml"
_LOCK_FILE = "dvc.lock"
_EXPERIMENTS = "refs/exps/"
_PRIVATE_EXPERIMENTS = ("exec", "stash", "celery", "tempPath")


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


def artifact_paths(directory: Path) -> dict[str, Path]:
    """Name and path, within `directory`, of every artifact in the variables of its dvc.yaml.

    Raises ArtifactError if there is no pipeline with such variables.
    """
    content = _yaml(directory / _PIPELINE_FILE)
    for variables in content.get("vars", ()):
        if isinstance(variables, Mapping) and isinstance(variables.get("paths"), Mapping):
            return {str(name): Path(path) for name, path in variables["paths"].items()}
    raise ArtifactError(f"{directory / _PIPELINE_FILE} has no vars with the entry paths.")


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


def revisions_recording(directory: Path, md5: str) -> list[Revision]:
    """Revisions whose dvc.lock records a file of this MD5: commits, or if none does experiments.

    The first is the oldest, which is where the file came about. Raises ArtifactError if `directory`
    belongs to no git repository.
    """
    named = {revision.commit: revision for revision in experiments(directory)}
    for references in (("HEAD", "--branches", "--tags", "--remotes"), ("--glob=refs/exps",)):
        lines = _git(
            directory, "log", "--reverse", "--format=%H", "--diff-filter=AM", f"-S{md5}",
            *references, "--", _LOCK_FILE,
        )  # fmt: skip
        # A commit that no longer records the file has changed its number of mentions, too.
        found = [
            named.get(commit, Revision(commit))
            for commit in lines.decode().split()
            if md5.encode() in _git(directory, "show", f"{commit}:./{_LOCK_FILE}")
        ]
        if found:
            return found
    return []


def records_in_workspace(directory: Path, md5: str) -> bool:
    """Whether the dvc.lock in `directory`, committed or not, records a file of this MD5."""
    lock = directory / _LOCK_FILE
    return lock.is_file() and md5.encode() in lock.read_bytes()


@contextmanager
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
        if not (folder / _LOCK_FILE).is_file():
            raise ArtifactError(f"that revision holds no results: it has no {_LOCK_FILE}.")
        cache = _cache_of(directory)
        for path, md5 in _locked_outputs(folder).items():
            target = folder / path
            if target.exists():
                continue
            source = cache / "files" / "md5" / md5[:2] / md5[2:]
            if not source.is_file():
                raise ArtifactError(
                    f"{path} of {revision.experiment or revision.commit} is not in DVC's cache: "
                    "get it with `dvc fetch` or `dvc exp pull`."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        yield folder


def _locked_outputs(folder: Path) -> dict[str, str]:
    """Path and MD5 of every output in a dvc.lock; outputs of this project are files."""
    stages = _yaml(folder / _LOCK_FILE).get("stages", {})
    return {
        output["path"]: output["md5"]
        for stage in stages.values()
        for output in stage.get("outs", ())
    }


def _cache_of(directory: Path) -> Path:
    said = _run(directory, [sys.executable, "-m", "dvc", "cache", "dir"])
    return (directory / said.decode().strip()).resolve()


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


def _yaml(path: Path) -> dict[str, Any]:
    content = read_yaml(path, ArtifactError)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} must hold keys and values.")
    return content
