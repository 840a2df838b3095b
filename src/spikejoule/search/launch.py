"""Runs a search: creates the study, starts workers, replaces dead ones, and waits.

A launcher that is stopped loses nothing: its local workers end with it, and Slurm jobs
continue beside those of the next launcher. submitit keeps each call as a pickle and
would unpickle its result: the folder is private to the user, and results are not read.
"""

import logging
import signal
import time
from contextlib import suppress
from typing import Any, Final

import optuna
import psutil
import submitit
from optuna.storages import fail_stale_trials
from submitit.helpers import Checkpointable

from spikejoule.core.errors import ClusterError, SpikejouleError
from spikejoule.search import study as studies
from spikejoule.search.space import Search
from spikejoule.tracking.failures import (
    in_one_line,
    store_errors,
    without_passwords,
)

logger = logging.getLogger(__name__)

_WEEK_MINUTES: Final = 7 * 24 * 60
_POLL_SECONDS: Final = {"local": 0.5, "slurm": 5.0}


class Work(Checkpointable):  # type: ignore[misc]
    """The job that submitit runs, and runs again after preemption or a time limit.

    It returns nothing: the results are in the study.
    """

    def __call__(self, search: Search) -> None:
        """Run trials; submitit writes errors to the job's standard error."""
        studies.run_trials(search)


def run_search(search: Search) -> studies.FoundTrials:
    """Run the search until it has all its trials, and return them by outcome.

    Raises:
        ParameterError: the study was begun with another specification.
        StoreError: the study's database cannot be used.
        ClusterError: workers cannot be started, or end without running a trial.
        SpikejouleError: an error ended a worker, and would end the others.
    """
    # First of all: where no job can be started, no study is created.
    executor = _executor(search)
    with studies.opened_storage(search) as storage:
        study = studies.open_study(search, storage)
        # SIGTERM ends the search the way Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return _watched(search, study, executor)


def _watched(search: Search, study: optuna.Study, executor: Any) -> studies.FoundTrials:
    """Watch the workers; an error ends those on this machine."""
    jobs: list[Any] = []
    try:
        with studies.database_errors():
            return _watch(search, study, executor, jobs)
    except BaseException:
        if search.cluster == "local":
            _kill(jobs)
        elif jobs:
            ids = ", ".join(str(job.job_id) for job in jobs)
            logger.info("The jobs %s remain in Slurm.", ids)
        raise


def _watch(
    search: Search, study: optuna.Study, executor: Any, jobs: list[Any]
) -> studies.FoundTrials:
    """Keep as many workers running as there are trials left; return the trials.

    `jobs` holds the workers that may be running, however this function ends.
    """
    reported = ""
    left_before = 0
    ended_in_vain = 0
    while True:
        # Find out what has ended, and what is left to do.
        ended = [job for job in jobs if job.done(force_check=True)]
        for job in ended:
            jobs.remove(job)
        fail_stale_trials(study)
        states = studies.by_state(study.get_trials(deepcopy=False))
        left = studies.left_of(search, states)

        report = ", ".join(
            f"{len(trials)} {state.name}" for state, trials in states.items() if trials
        )
        if report != reported:
            logger.info("of %d trials: %s", search.settings.trials, report)
            reported = report

        # Replace workers, unless they keep ending without any progress.
        if left:
            ended_in_vain = ended_in_vain + len(ended) if left == left_before else 0
            left_before = left
            limit = studies.RETRIES + search.workers
            _check_last_words(ended, again_and_again=ended_in_vain > limit)
            missing = min(search.workers, left) - len(jobs)
            if missing > 0:
                jobs += _started(search, executor, missing)
        elif not jobs:
            return states
        time.sleep(_POLL_SECONDS[search.cluster])


def _started(search: Search, executor: Any, number: int) -> list[Any]:
    """Start workers; in Slurm as one array."""
    # Ctrl-C reaches all processes of a terminal. Workers inherit the blocked signal and
    # leave it to the launcher, which receives it once they have started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return list(executor.map_array(Work(), [search] * number))
    except (OSError, RuntimeError) as error:  # submitit raises RuntimeError
        raise ClusterError(
            f"no worker can be started ({in_one_line(error)})."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_last_words(ended: list[Any], again_and_again: bool) -> None:
    """Raise the error that ended a worker.

    A kill is no error, unless workers end again and again without progress.
    """
    for job in ended:
        output = (job.stderr() or "").strip() or "nothing"
        last = output.splitlines()[-1]
        if last.startswith(SpikejouleError.__module__):
            raise SpikejouleError(last.partition(": ")[2])
        if again_and_again:
            raise ClusterError(
                "workers end without having run a trial; the last line of one: "
                f"{without_passwords(last)} ({job.paths.stderr})"
            )


def _kill(jobs: list[Any]) -> None:
    """Kill the local workers, each a child of a controller process of submitit."""
    for job in jobs:
        with suppress(psutil.NoSuchProcess):
            controller = psutil.Process(int(job.job_id))
            for process in (*controller.children(), controller):
                process.kill()


def _executor(search: Search) -> Any:
    """Create the submitit executor, with its files in a private folder."""
    folder = search.folder / "jobs"
    with store_errors(f"{folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
        # Nobody else may put a pickle there.
        search.folder.chmod(0o700)
        folder.chmod(0o700)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=search.cluster)
    except RuntimeError as error:
        raise ClusterError(
            "--cluster slurm needs srun and sbatch on the PATH; without Slurm, use "
            "--cluster local."
        ) from error
    executor.update_parameters(
        name=f"spikejoule-{search.settings.study}",
        timeout_min=_WEEK_MINUTES if search.cluster == "local" else search.minutes,
        cpus_per_task=search.threads,
        slurm_additional_parameters=dict(search.slurm),
    )
    return executor
