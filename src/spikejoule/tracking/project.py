"""The outputs of a project on disk, at any revision: checked against dvc.lock, and the limits."""

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from spikejoule.core.errors import ArtifactError, LimitError, ParameterError
from spikejoule.core.provenance import file_digest
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.params import EnergyReportParams, load_params
from spikejoule.tracking.lock import LOCK_FILE, WrongFile, read_lock, result_of

_LIMITED = ("energy_metrics", "evaluate_metrics")
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
            *references, "--", LOCK_FILE,
        )  # fmt: skip
        # A commit that no longer records the file has changed its number of mentions, too.
        found = [
            named.get(commit, Revision(commit))
            for commit in lines.decode().split()
            if md5.encode() in _git(directory, "show", f"{commit}:./{LOCK_FILE}")
        ]
        if found:
            return found
    return []


def records_in_workspace(directory: Path, md5: str) -> bool:
    """Whether the dvc.lock in `directory`, committed or not, records a file of this MD5."""
    lock = directory / LOCK_FILE
    return lock.is_file() and md5.encode() in lock.read_bytes()


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
        outputs = {out.path: out.md5 for stage in read_lock(folder).values() for out in stage.outs}
        for path, md5 in outputs.items():
            target = folder / path
            if target.exists():
                continue
            source = _place_in(cache, md5)
            if not source.is_file():
                raise ArtifactError(
                    f"{path} of {revision.experiment or revision.commit} is not in DVC's cache: "
                    "get it with `dvc fetch` or `dvc exp pull`."
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
        yield folder


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
    result = result_of(Path(), files)
    problems = result.problems()
    wrong = [file for file in result.wrong_files() if file.path not in problems]
    if wrong:
        cache = None
        with contextlib.suppress(ArtifactError):  # of a folder that is none of DVC's
            cache = _cache_of(root)
        problems |= {file.path: _in_words(file, cache, remedy) for file in wrong}
    if problems:
        raise ArtifactError("\n".join(problems.values()))
    changed = result.changed_code()
    return {"git.dirty": "true", "dvc.changed_code": ", ".join(changed)} if changed else {}


def check_limits(root: Path) -> str:
    """Hold the metrics that dvc.lock records against the limits of params.yaml.

    Energy is that of the counted operations under the profile of the metrics, per inference over
    the whole window: the mean, or the upper end where the profile has brackets alone. What the
    profile has no price for is not in it.

    Args:
        root: of the project.

    Returns:
        what was kept, in a sentence.

    Raises:
        LimitError: a limit is exceeded; one sentence for each.
        ParameterError: no limit is set.
        ArtifactError: there are no metrics, or they are not those of dvc.lock.
    """
    artifact_paths(root)  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        limits = load_params(PARAMS_FILE).energy_report
        if limits.budget_nj is None and limits.min_accuracy_percent is None:
            raise ParameterError(
                "nothing to check: energy_report.budget_nj and energy_report.min_accuracy_percent "
                "are null in params.yaml; set one of them."
            )
        paths = artifact_paths(Path())
        check_against_lock([paths[name] for name in _LIMITED], root)
        energy = EnergyMetrics.read(paths["energy_metrics"])
        evaluated = EvaluationMetrics.read(paths["evaluate_metrics"])
    return _verdict(limits, energy, evaluated.test_accuracy_percent)


def _verdict(limits: EnergyReportParams, energy: EnergyMetrics, accuracy: float) -> str:
    kept: list[str] = []
    broken: list[str] = []
    if limits.budget_nj is not None:
        mean = energy.energy_per_inference_pj
        spent = (energy.energy_per_inference_high_pj if mean is None else mean) / 1000
        what = f"an inference takes {spent:.10g} nJ under {energy.profile}"
        allowed = f"energy_report.budget_nj is {limits.budget_nj:.10g}"
        (kept if spent <= limits.budget_nj else broken).append(f"{what}; {allowed}")
    if limits.min_accuracy_percent is not None:
        what = f"the test accuracy is {accuracy:.10g} %"
        allowed = f"energy_report.min_accuracy_percent is {limits.min_accuracy_percent:.10g}"
        enough = accuracy >= limits.min_accuracy_percent
        (kept if enough else broken).append(f"{what}; {allowed}")
    if broken:
        raise LimitError("\n".join(f"{sentence}." for sentence in broken))
    return "\n".join(f"{sentence}." for sentence in kept)


def _in_words(file: WrongFile, cache: Path | None, remedy: str) -> str:
    if file.found is None:
        return f"there is no file {file.path}: `dvc checkout` or `{remedy}` brings it."
    told = (
        f"{file.path} is not the file that {LOCK_FILE} records: its MD5 is {file.found}, not "
        f"{file.recorded}"
    )
    copy = None if cache is None else _place_in(cache, file.recorded)
    if copy is not None and copy.is_file() and file_digest(copy, "md5") != file.recorded:
        return (
            f"{told}, and DVC's own copy is another file, too; remove both ({copy}), then "
            f"`dvc pull` or `{remedy}` brings the right one."
        )
    return f"{told}; `{remedy}` puts it right."


def _place_in(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


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
