"""Runs a search: makes the study, starts workers, replaces those that die, and waits
for the end.

A launcher that is stopped loses nothing: its own processes end with it, Slurm jobs
stay, next to those of the next launcher. submitit keeps each call as a pickle and would
unpickle its result: only the user may enter the folder, and no result is ever read.
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
from spikejoule.tracking.store import in_one_line, store_errors, without_passwords

logger = logging.getLogger(__name__)

_WEEK_MINUTES: Final = 7 * 24 * 60
_POLL_SECONDS: Final = {"local": 0.5, "slurm": 5.0}


class Work(Checkpointable):  # type: ignore[misc]
    """What submitit calls, and calls again where the job is preempted or its time is
    up.

    Nothing comes back: what a trial gave is in the study.
    """

    def __call__(self, search: Search) -> None:
        """Run trials; submitit writes what is raised to the standard error."""
        studies.run_trials(search)


def run_search(search: Search) -> studies.FoundTrials:
    """Run the search until it has all its trials; returns what became of them.

    Raises:
        ParameterError: the study was begun with something else.
        StoreError: the study's database cannot be used.
        ClusterError: workers cannot be started, or end without having worked.
        SpikejouleError: what ended a worker, and would end the others.
    """
    # First, so that where no job can be started nothing is begun.
    executor = _executor(search)
    study = studies.open_study(search)
    jobs: list[Any] = []
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as an interruption by Ctrl-C
    try:
        with studies.database_errors(search):
            return _watch(search, study, executor, jobs)
    except BaseException:
        if search.cluster == "local":
            _kill(jobs)
        elif jobs:
            logger.info(
                "The jobs %s stay in Slurm.", ", ".join(str(job.job_id) for job in jobs)
            )
        raise


def _watch(
    search: Search, study: optuna.Study, executor: Any, jobs: list[Any]
) -> studies.FoundTrials:
    """Keep as many workers at work as there are trials left; what became of the trials.

    `jobs` holds the workers that may be running, whenever this is left.
    """
    reported = ""
    left_before = 0
    ended_in_vain = 0
    while True:
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
        if left:
            ended_in_vain = ended_in_vain + len(ended) if left == left_before else 0
            left_before = left
            _check_last_words(ended, ended_in_vain > search.retries + search.workers)
            missing = min(search.workers, left) - len(jobs)
            if missing > 0:
                jobs += _started(search, executor, missing)
        elif not jobs:
            return states
        time.sleep(_POLL_SECONDS[search.cluster])


def _started(search: Search, executor: Any, number: int) -> list[Any]:
    """Start some workers, in Slurm as one array."""
    # Ctrl-C reaches all processes of a terminal: those started here, which inherit that
    # it is blocked, leave it to the launcher, which gets it when they are started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return list(executor.map_array(Work(), [search] * number))
    except (OSError, RuntimeError) as error:  # submitit's are of the second kind
        raise ClusterError(
            f"no worker can be started ({in_one_line(error)})."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_last_words(ended: list[Any], again_and_again: bool) -> None:
    """Raise the error that has ended a worker; a kill is none, unless no worker gets
    anywhere.
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
    """End the workers of this machine, each a child of submitit's controller."""
    for job in jobs:
        with suppress(psutil.NoSuchProcess):
            controller = psutil.Process(int(job.job_id))
            for process in (*controller.children(), controller):
                process.kill()


def _executor(search: Search) -> Any:
    """What starts jobs, with its files in a folder of the user's alone."""
    folder = search.folder / "jobs"
    with store_errors(f"{folder} cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
        for private in (search.folder, folder):  # only the user may put a pickle there
            private.chmod(0o700)
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
