"""Workers as jobs of submitit's: processes of this machine, or jobs of Slurm's.

submitit pickles each call into the job's folder and would unpickle its result from there. The
folder is the user's alone, and no result is ever read.
"""

import json
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from spikejoule.core.errors import ArtifactError, ClusterError, SpikejouleError
from spikejoule.core.store import write_text
from spikejoule.search.job import work
from spikejoule.search.worker import ERROR_FILE, STOP_FILE
from spikejoule.search.worker_arguments import WorkerArguments

_PRIVATE = 0o700
_WEEK_MINUTES = 7 * 24 * 60
_HOUR_MINUTES = 60
_JOBS_FILE = "jobs.json"
_WAIT_SECONDS = 0.1


@dataclass(frozen=True)
class ClusterSettings:
    """Where workers run.

    Attributes:
        cluster: ``local`` or ``slurm``.
        workers: how many at once.
        threads: CPU threads of each.
        minutes: that a job may take before it is queued again; None for a week here and an hour
            in Slurm.
        partition: of Slurm; None for the default one.
        options: further options of sbatch, by name without the dashes.
        poll_seconds: between two looks at the jobs.
    """

    cluster: str = "local"
    workers: int = 1
    threads: int = 1
    minutes: int | None = None
    partition: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    poll_seconds: float = 1.0


def private_folder(folder: Path) -> Path:
    """Make a folder that its user alone may enter; ArtifactError if it is someone else's."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ArtifactError(
                f"{folder} must be a folder of the user who searches, as code is started from it: "
                "remove it."
            )
        folder.chmod(_PRIVATE)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be made: {error.strerror or error}.") from error
    return folder


class Jobs:
    """The jobs of a search, those of an earlier launcher in Slurm included.

    Args:
        folder: of the search; made private.
        settings: where jobs run.
        name: of the search.
    """

    def __init__(self, folder: Path, settings: ClusterSettings, name: str) -> None:
        self.folder = private_folder(folder)
        self._jobs_folder = private_folder(folder / "jobs")
        for name_of_message in (STOP_FILE, ERROR_FILE):
            (folder / name_of_message).unlink(missing_ok=True)
        self._settings = settings
        self.is_local = settings.cluster == "local"
        self._executor = self._executor_of(name)
        self._jobs: list[Any] = [] if self.is_local else self._earlier()

    def alive(self) -> list[str]:
        """The ids of the jobs that are running or queued."""
        self._jobs = [job for job in self._jobs if not job.done(force_check=True)]
        return [str(job.job_id) for job in self._jobs]

    def start(self, arguments: WorkerArguments) -> str:
        """Start a worker; returns the id of its job. ClusterError if it cannot be started."""
        try:
            with _deaf_to_interrupts():
                job = self._executor.submit(work, arguments.as_text())
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ClusterError(f"no worker can be started ({reason}).") from error
        self._jobs.append(job)
        ids = [str(one.job_id) for one in self._jobs]
        write_text(self.folder / _JOBS_FILE, json.dumps(ids))
        return str(job.job_id)

    def wait(self, seconds: float) -> None:
        """Until all jobs have ended, but no longer than this."""
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_WAIT_SECONDS)

    def stop(self, seconds: float) -> None:
        """Have the workers of this machine hand their trials back after the epoch in flight."""
        (self.folder / STOP_FILE).touch()
        self.wait(seconds)

    def last_words(self, job_id: str) -> str:
        """The last line that a job wrote to its standard error, and the file."""
        file = self._jobs_folder / f"{job_id}_0_log.err"
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"{lines[-1] if lines else 'nothing'} ({file})"

    def _executor_of(self, name: str) -> Any:
        settings = self._settings
        if self.is_local:
            executor: Any = submitit.LocalExecutor(folder=self._jobs_folder)
            executor.update_parameters(timeout_min=settings.minutes or _WEEK_MINUTES)
            return executor
        missing = [program for program in ("srun", "sbatch") if shutil.which(program) is None]
        if missing:
            raise ClusterError(
                f"--cluster slurm needs {' and '.join(missing)} on the PATH; without Slurm, use "
                "--cluster local."
            )
        executor = submitit.SlurmExecutor(folder=self._jobs_folder)
        executor.update_parameters(
            job_name=f"spikejoule-{name}",
            time=settings.minutes or _HOUR_MINUTES,
            nodes=1,
            ntasks_per_node=1,
            cpus_per_task=settings.threads,
            **({"partition": settings.partition} if settings.partition else {}),
            **({"additional_parameters": dict(settings.options)} if settings.options else {}),
        )
        return executor

    def _earlier(self) -> list[Any]:
        try:
            ids: Sequence[str] = json.loads((self.folder / _JOBS_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [submitit.SlurmJob(folder=self._jobs_folder, job_id=one, tasks=[0]) for one in ids]


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal: those started here leave it to the launcher."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def raise_left_error(file: Path) -> None:
    """Raise what a worker has left as its last words, if it has left any."""
    if file.is_file():
        raise SpikejouleError(file.read_text(encoding="utf-8").strip())
