"""Runs a search: makes the study, starts workers, replaces those that die, and waits for the end.

A launcher that is stopped loses nothing. Its own processes end with it, jobs of Slurm's stay; the
next launcher of the same study continues from there. submitit keeps each call as a pickle and
would unpickle its result: the folder is the user's alone, and no result is ever read.
"""

import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import optuna
import psutil
import submitit
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial
from submitit import JobEnvironment
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import Checkpointable

from spikejoule.core.errors import ArtifactError, ClusterError, SpikejouleError
from spikejoule.search.study import (
    ENDED,
    FAILED,
    IDENTITY,
    RUNNING,
    STOPPED,
    TRAINED,
    WAITING,
    Search,
    by_state,
    database_errors,
    number_of,
    open_study,
    run_again,
    settled,
)
from spikejoule.search.trial import Objective
from spikejoule.tracking.search_runs import EndedTrial
from spikejoule.tracking.store import without_passwords

logger = logging.getLogger(__name__)

_WEEK_MINUTES: Final = 7 * 24 * 60
_FRUITLESS_ENDS: Final = 3
_LAST_SECONDS: Final = 10.0
_POLL_SECONDS: Final = {"local": 0.5, "slurm": 5.0}


class Work(Checkpointable):
    """What submitit calls, and calls again where the job is preempted or its time is up.

    Its argument is JSON, and nothing comes back: what a trial gave is in the study.
    """

    def __call__(self, text: str) -> None:
        """Run trials; a SpikejouleError is the last line of the standard error."""
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        search = Search.model_validate_json(text)
        try:
            run_trials(search, job_name(search.cluster, JobEnvironment().job_id))
        except SpikejouleError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            sys.exit(1)


def job_name(cluster: str, job_id: str) -> str:
    """A name for a job that no other has: a local one's is the number of a process."""
    return f"{socket.gethostname() if cluster == 'local' else cluster} {job_id}"


def run_trials(search: Search, job: str) -> None:
    """Run trials of a study until it has as many as it should, under the name of a job."""
    study = open_study(search)
    run_again(study, [job], None)  # that which this job ran when it was preempted
    objective = Objective(search, study, job)

    def stop_with_enough(study: optuna.Study, trial: FrozenTrial) -> None:
        # As Optuna's MaxTrialsCallback, which would count combinations that are not allowed, too.
        if settled(study) >= search.trials:
            study.stop()

    while True:
        try:
            study.optimize(objective, callbacks=[stop_with_enough])
            return
        except ValueError as error:
            # Of a machine that was asleep for longer than a worker may be silent.
            if not str(error).startswith("Cannot tell a "):
                raise
            logger.warning("another worker has taken over the trial of this one")


def run_search(search: Search, tags: Mapping[str, str]) -> dict[str, list[FrozenTrial]]:
    """Run the search until it has all its trials; returns what became of them.

    Args:
        search: what is searched; the identity of its run is found here.
        tags: of its run.

    Raises:
        ParameterError: the study was begun with something else.
        StoreError: the study's database cannot be used.
        ClusterError: workers cannot be started, or end without having worked.
        SpikejouleError: what ended a worker, and would end the others.
    """
    # First, so that where no job can be started nothing is begun.
    executor = _executor(search)
    study = open_study(search)
    run = replace(search.run, search_id=study.user_attrs[IDENTITY])
    about = {
        "search.energy": search.specification["energy"],
        "search.storage": without_passwords(search.storage),
        "search.study": search.study,
    }
    space = {f"space.{key}": value for key, value in search.space.entries.items()}
    run.begin(about | space, tags)
    search = search.model_copy(update={"run": run})
    jobs = _earlier_jobs(search)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as an interruption by Ctrl-C
        with database_errors(search.storage):
            found = _supervised(search, study, executor, jobs)
        over = {
            "complete": found[TRAINED],
            "stopped_early": found[STOPPED],
            "failed": found[FAILED],
        }
        trials = [trial for some in over.values() for trial in some]
        run.settle({number_of(one): EndedTrial(**one.user_attrs[ENDED]) for one in trials})
        counts = {name: float(len(some)) for name, some in over.items()}
        run.end({"trials": float(len(trials)), **counts}, "FINISHED")
        return found
    except BaseException as error:
        if search.cluster == "local":
            _stop(search, study, jobs)
        elif jobs:
            logger.info("The jobs %s stay in Slurm.", ", ".join(str(job.job_id) for job in jobs))
        run.end({}, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def _supervised(
    search: Search, study: optuna.Study, executor: Any, jobs: list[Any]
) -> dict[str, list[FrozenTrial]]:
    """Keep as many workers as there is work for, until there is none; `jobs` are those alive."""
    reported, over, in_vain = "", 0, 0
    idle_since = time.monotonic()
    while True:
        ended = [job for job in jobs if job.done(force_check=True)]
        for job in ended:
            jobs.remove(job)
        run_again(study, _names(search, ended), search.retries)
        fail_stale_trials(study)
        found = by_state(study.get_trials(deepcopy=False))
        in_vain = in_vain + len(ended) if settled(study) == over else 0
        over = settled(study)
        report = ", ".join(f"{len(trials)} {word}" for word, trials in found.items() if trials)
        if report != reported:
            logger.info("%d of %d trials: %s", over, search.trials, report)
            reported = report
        waiting = len(found[WAITING])
        if jobs or over < search.trials or waiting:
            idle_since = time.monotonic()
        elif not found[RUNNING] or time.monotonic() > idle_since + 1.5 * search.grace_seconds:
            return found  # what still runs is another launcher's
        _check_last_words(ended, in_vain >= _FRUITLESS_ENDS + search.workers)
        # Beyond the number of trials there is only what is to be run again, each by one worker:
        # more of them would draw more.
        wanted = search.trials - over if over < search.trials else waiting
        missing = min(search.workers, wanted) - len(jobs)
        if missing > 0 and (over < search.trials or not jobs):
            jobs += _started(search, executor, missing)
        time.sleep(_POLL_SECONDS[search.cluster])


def _started(search: Search, executor: Any, number: int) -> list[Any]:
    """Start so many workers, in Slurm as an array."""
    work: Any = Work
    # Ctrl-C reaches all processes of a terminal: those started here leave it to the launcher.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return list(executor.map_array(work(), [search.model_dump_json()] * number))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(f"no worker can be started ({reason}).") from error
    finally:
        signal.signal(signal.SIGINT, before)


def _check_last_words(ended: list[Any], again_and_again: bool) -> None:
    """Raise what has ended a worker, if that is no kill, or ends one after the other."""
    for job in ended:
        file = job.paths.stderr
        lines = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
        last = (lines.strip().splitlines() or ["nothing"])[-1]
        if last.startswith("error: "):
            raise SpikejouleError(last.removeprefix("error: "))
        if again_and_again:
            raise ClusterError(
                "workers end without having run a trial; the last words of one: "
                f"{without_passwords(last)} ({file})"
            )


def _stop(search: Search, study: optuna.Study, jobs: list[Any]) -> None:
    """End the workers of this machine, and enqueue their trials again."""
    for job in jobs:
        # Each is a child of submitit's controller.
        with suppress(psutil.NoSuchProcess):
            controller = psutil.Process(int(job.job_id))
            for process in (*controller.children(), controller):
                process.kill()
    deadline = time.monotonic() + _LAST_SECONDS
    while not all(job.done() for job in jobs) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS["local"])
    run_again(study, _names(search, jobs), None)


def _names(search: Search, jobs: list[Any]) -> list[str]:
    return [job_name(search.cluster, str(job.job_id)) for job in jobs]


def _executor(search: Search) -> Any:
    """What starts jobs, with its files in a folder of the user's alone."""
    folder = private_folder(private_folder(search.folder) / "jobs")
    if search.cluster == "local":
        executor: Any = submitit.LocalExecutor(folder=folder)
        executor.update_parameters(timeout_min=_WEEK_MINUTES)
        return executor
    missing = [program for program in ("srun", "sbatch") if shutil.which(program) is None]
    if missing:
        raise ClusterError(
            f"--cluster slurm needs {' and '.join(missing)} on the PATH; without Slurm, use "
            "--cluster local."
        )
    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(
        job_name=f"spikejoule-{search.study}",
        time=search.minutes,
        nodes=1,
        ntasks_per_node=1,
        cpus_per_task=search.threads,
        **({"partition": search.partition} if search.partition else {}),
        **({"additional_parameters": search.options} if search.options else {}),
    )
    return executor


def _earlier_jobs(search: Search) -> list[Any]:
    """The jobs in Slurm of an earlier launcher of this search that have not ended."""
    if search.cluster == "local":
        return []
    folder = search.folder / "jobs"
    ids = [file.name.removesuffix("_submitted.pkl") for file in folder.glob("*_submitted.pkl")]
    jobs: list[Any] = [submitit.SlurmJob(folder=folder, job_id=one, tasks=[0]) for one in ids]
    # One that Slurm has forgotten is over, too.
    left = [job for job in jobs if not job.paths.result_pickle.exists()]
    return [job for job in left if job.state != "UNKNOWN" and not job.done()]


def private_folder(folder: Path) -> Path:
    """Make a folder that its user alone may enter; ArtifactError if it is someone else's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            raise ArtifactError(
                f"{folder} must be a folder of the user who searches, as code is started from it: "
                "remove it."
            )
        folder.chmod(0o700)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be made: {error.strerror or error}.") from error
    return folder
