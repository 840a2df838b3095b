"""Runs a search: makes the study, starts workers, replaces those that die, and waits for the end.

A launcher that is stopped loses nothing: its own processes end with it, jobs of Slurm's stay,
beside those of the next one. submitit keeps each call as a pickle and would unpickle its result:
the folder is the user's alone, and no result is ever read.
"""

import logging
import shutil
import signal
import sys
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import optuna
import psutil
import submitit
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.helpers import Checkpointable

from spikejoule.core.errors import ArtifactError, ClusterError, SpikejouleError
from spikejoule.search.study import (
    MISSED_BEATS,
    RUNNING,
    SETTLED,
    WAITING,
    Found,
    Search,
    by_state,
    database_errors,
    open_study,
    processor_minutes,
)
from spikejoule.search.trial import Objective
from spikejoule.tracking.store import in_one_line, without_passwords

logger = logging.getLogger(__name__)

_WEEK_MINUTES: Final = 7 * 24 * 60
_FRUITLESS_ENDS: Final = 3
_WAIT_SECONDS: Final = 1.0
_POLL_SECONDS: Final = {"local": 0.5, "slurm": 5.0}


class Work(Checkpointable):
    """What submitit calls, and calls again where the job is preempted or its time is up.

    Nothing comes back: what a trial gave is in the study.
    """

    def __call__(self, search: Search) -> None:
        """Run trials; a SpikejouleError is the last line of the standard error."""
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        try:
            run_trials(search)
        except SpikejouleError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            sys.exit(1)


def run_trials(search: Search) -> None:
    """Run trials of a study until it has as many as it should.

    Once so many are begun, those that others run are waited for: one may have to be run again.
    """
    study = open_study(search)
    objective = Objective(search, study)
    while left := _left(found := _trials(study), search):
        if found[WAITING] or left > len(found[RUNNING]):
            study.optimize(objective, n_trials=1)
        else:
            time.sleep(_WAIT_SECONDS)
            fail_stale_trials(study)


def run_search(search: Search) -> Found:
    """Run the search until it has all its trials; returns what became of them.

    Raises:
        ParameterError: the study was begun with something else.
        StoreError: the study's database cannot be used.
        ClusterError: workers cannot be started, or end without having worked.
        SpikejouleError: what ended a worker, and would end the others.
    """
    # First, so that where no job can be started nothing is begun.
    executor = _executor(search)
    study = open_study(search)
    jobs: list[Any] = []
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as an interruption by Ctrl-C
        with database_errors(search.storage):
            return _supervised(search, study, executor, jobs)
    except BaseException:
        if search.cluster == "local":
            _kill(jobs)
        elif jobs:
            logger.info("The jobs %s stay in Slurm.", ", ".join(str(job.job_id) for job in jobs))
        raise


def _supervised(search: Search, study: optuna.Study, executor: Any, jobs: list[Any]) -> Found:
    """Keep as many workers as there is work for, until there is none; `jobs` are those alive."""
    reported, before, in_vain = "", 0, 0
    watched: set[int] = set()
    while True:
        ended = [job for job in jobs if job.done(force_check=True)]
        for job in ended:
            jobs.remove(job)
        fail_stale_trials(study)
        found = _trials(study)
        _watch(study, search, found[RUNNING], watched)
        left, over = _left(found, search), sum(len(found[word]) for word in SETTLED)
        in_vain = in_vain + len(ended) if over == before else 0
        before = over
        report = ", ".join(f"{len(trials)} {word}" for word, trials in found.items() if trials)
        if report != reported:
            logger.info("%d of %d trials: %s", over, search.settings.trials, report)
            reported = report
        if not (left or jobs):
            return found
        if left:
            _check_last_words(ended, in_vain >= _FRUITLESS_ENDS + search.workers)
            missing = min(search.workers, left) - len(jobs)
            jobs += _started(search, executor, missing) if missing > 0 else []
        time.sleep(_POLL_SECONDS[search.cluster])


def _watch(
    study: optuna.Study, search: Search, running: list[FrozenTrial], watched: set[int]
) -> None:
    """Record a heartbeat of each trial that has run for long, once.

    A worker that is killed as it begins a trial has left none, and Optuna waits for such a trial
    for ever; one that was recorded here is missed by and by. That of a living worker goes on.
    """
    storage: Any = study._storage
    begun = datetime.now() - timedelta(seconds=MISSED_BEATS * search.heartbeat)
    for trial in running:
        late = trial.datetime_start is not None and trial.datetime_start < begun
        if late and trial._trial_id not in watched:
            watched.add(trial._trial_id)
            storage.record_heartbeat(trial._trial_id)


def _trials(study: optuna.Study) -> Found:
    return by_state(study.get_trials(deepcopy=False))


def _left(found: Found, search: Search) -> int:
    """How many trials are still to come, those that are begun included."""
    over = sum(len(found[word]) for word in SETTLED)
    begun, budget = len(found[RUNNING]) + len(found[WAITING]), search.settings.processor_minutes
    if budget is not None and processor_minutes(found) >= budget:
        return begun
    return max(search.settings.trials - over, begun)


def _started(search: Search, executor: Any, number: int) -> list[Any]:
    """Start so many workers, in Slurm as an array."""
    work: Any = Work
    # Ctrl-C reaches all processes of a terminal: those started here, which inherit that it is
    # blocked, leave it to the launcher, which gets it when they are started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return list(executor.map_array(work(), [search] * number))
    except (FailedJobError, FailedSubmissionError, OSError) as error:
        raise ClusterError(f"no worker can be started ({in_one_line(error)}).") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_last_words(ended: list[Any], again_and_again: bool) -> None:
    """Raise what has ended a worker, if that is no kill, or ends one after the other."""
    for job in ended:
        last = ((job.stderr() or "").strip().splitlines() or ["nothing"])[-1]
        if last.startswith("error: "):
            raise SpikejouleError(last.removeprefix("error: "))
        if again_and_again:
            raise ClusterError(
                "workers end without having run a trial; the last line of one: "
                f"{without_passwords(last)} ({job.paths.stderr})"
            )


def _kill(jobs: list[Any]) -> None:
    """End the workers of this machine."""
    for job in jobs:
        # Each is a child of submitit's controller.
        with suppress(psutil.NoSuchProcess):
            controller = psutil.Process(int(job.job_id))
            for process in (*controller.children(), controller):
                process.kill()


def _executor(search: Search) -> Any:
    """What starts jobs, with its files in a folder of the user's alone."""
    folder = search.folder / "jobs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for private in (search.folder, folder):  # nobody else may put a pickle there
            private.chmod(0o700)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be made: {error.strerror or error}.") from error
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
        job_name=f"spikejoule-{search.settings.study}",
        time=search.minutes,
        nodes=1,
        ntasks_per_node=1,
        cpus_per_task=search.threads,
        additional_parameters=dict(search.slurm),
    )
    return executor
