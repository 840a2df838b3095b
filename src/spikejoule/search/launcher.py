"""Runs a search: makes the study, starts workers, replaces those that die, and waits for the end.

A launcher that is stopped loses nothing. Its own processes hand their trials back and end with it,
jobs of Slurm's go on; the next launcher of the same study goes on where it stands.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import psutil
from filelock import FileLock, Timeout

from spikejoule.core.errors import ClusterError
from spikejoule.core.resume import start_of
from spikejoule.search.database import StudyPlace
from spikejoule.search.jobs import ClusterSettings, Jobs, private_folder, raise_left_error
from spikejoule.search.records import PARAMETERS, RESULT, STOPPED_TAG, ended_trial
from spikejoule.search.study import close_study, create_study, state_of
from spikejoule.search.tally import FAILURE, LAST_WORDS, STOPPED, Tally, root_number
from spikejoule.search.trial import TrialResult
from spikejoule.search.worker import ERROR_FILE
from spikejoule.search.worker_arguments import WorkerArguments
from spikejoule.tracking.keeper import FAILURE_TAG
from spikejoule.tracking.search_runs import EndedTrial, SearchRun
from spikejoule.tracking.store import Store, without_passwords

logger = logging.getLogger(__name__)

_FRUITLESS_ENDS: Final = 3
_LAST_SECONDS = 10.0


@dataclass(frozen=True)
class Search:
    """What is to be searched, and with what.

    Attributes:
        place: of the study.
        trials: number of trainings.
        specification: what all trials share: `base`, `space`, `energy`, `prices`, `stop`, `data`.
        paths: of the artifacts, by name, absolute.
        price_list: the file of hardware profiles.
        folder: of the search's own files.
        store: where runs are tracked.
        tags: of the search's run.
        cluster: where workers run.
    """

    place: StudyPlace
    trials: int
    specification: Mapping[str, Any]
    paths: Mapping[str, Path]
    price_list: Path
    folder: Path
    store: Store
    tags: Mapping[str, str]
    cluster: ClusterSettings


def run_search(search: Search) -> Tally:
    """Run the search until it has all its trials; returns what became of them.

    Raises:
        ParameterError: the study was begun with something else.
        StoreError: the study's database cannot be used.
        ClusterError: workers cannot be started, or end without having worked; or another launcher
            is at the same search here.
        SpikejouleError: what ended a worker, and would end the others.
    """
    folder = private_folder(search.folder)
    with _only_launcher(folder, search.place.name), _stopped_by_sigterm():
        # First, so that where no job can be started nothing is begun.
        jobs = Jobs(folder, search.cluster, search.place.name)
        study, identity = create_study(search.place, search.specification)
        run = SearchRun(search.store, identity, search.place.name)
        try:
            run.begin(_run_parameters(search), search.tags)
            arguments = _arguments_of(search, folder, run, jobs)
            state = _supervise(search, study, jobs, arguments)
            jobs.wait(_LAST_SECONDS)
            run.settle(_ended(state))
            run.end(_metrics(state), "FINISHED")
            return state
        except BaseException as error:
            try:
                if jobs.is_local:
                    jobs.stop(_LAST_SECONDS)
                elif alive := jobs.alive():
                    logger.info("The jobs %s go on in Slurm.", ", ".join(alive))
            finally:  # whoever is in a hurry interrupts twice
                run.end({}, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        finally:
            close_study(study)


def _arguments_of(search: Search, folder: Path, run: SearchRun, jobs: Jobs) -> WorkerArguments:
    return WorkerArguments(
        place=asdict(search.place),
        trials=search.trials,
        folder=str(folder),
        paths={name: str(path) for name, path in search.paths.items()},
        price_list=str(search.price_list),
        threads=search.cluster.threads,
        store={**asdict(search.store), "lock_path": str(search.store.lock_path)},
        search_id=run.search_id,
        run_id=run.run_id,
        launcher=(os.getpid(), start_of(psutil.Process())) if jobs.is_local else None,
    )


def _supervise(
    search: Search, study: optuna.Study, jobs: Jobs, arguments: WorkerArguments
) -> Tally:
    """Keep as many workers as there is work for, until there is none."""
    told = before = ""
    fruitless = 0
    known: set[str] = set(jobs.alive())
    while True:
        state = state_of(study, search.place)
        left = max(
            search.trials - state.settled,
            len(state.running) + len(state.waiting) + len(state.lost),
        )
        said = _in_words(state, search.trials)
        if said != told:
            logger.info("%s", said)
            told = said
        if left == 0:
            return state
        raise_left_error(search.folder / ERROR_FILE)
        alive = set(jobs.alive())
        now = f"{state.drawn} {state.settled}"
        for ended in known - alive:
            fruitless = fruitless + 1 if now == before else 0
            before = now
            if fruitless >= _FRUITLESS_ENDS + search.cluster.workers:
                raise ClusterError(
                    "workers end without having run a trial; the last words of one: "
                    f"{jobs.last_words(ended)}"
                )
        known = alive
        while len(known) < min(search.cluster.workers, left):
            known.add(jobs.start(arguments))
        time.sleep(search.cluster.poll_seconds)


def _ended(state: Tally) -> dict[int, EndedTrial]:
    """How each trial ended, by its number."""
    ended: dict[int, EndedTrial] = {}
    for trial in state.complete:
        parameters = trial.user_attrs[PARAMETERS]
        found = ended_trial(TrialResult(**trial.user_attrs[RESULT]))
        ended[root_number(trial)] = EndedTrial(found.status, found.metrics, found.tags, parameters)
    for trial in state.stopped:
        reason = str(trial.user_attrs.get(STOPPED, "stopped"))
        ended[root_number(trial)] = EndedTrial("FINISHED", tags={STOPPED_TAG: reason})
    for trial in state.failed:
        words = trial.user_attrs.get(LAST_WORDS, "it was killed")
        reason = trial.user_attrs.get(FAILURE, f"its worker ended again and again ({words})")
        ended[root_number(trial)] = EndedTrial("FAILED", tags={FAILURE_TAG: reason})
    return ended


def _metrics(state: Tally) -> dict[str, float]:
    counts = {"trials": state.settled, "complete": len(state.complete)}
    counts |= {"stopped_early": len(state.stopped), "failed": len(state.failed)}
    return {name: float(count) for name, count in counts.items()}


def _in_words(state: Tally, trials: int) -> str:
    parts = [
        (len(state.stopped), "stopped early"),
        (len(state.failed), "failed"),
        (len(state.running), "running"),
        (len(state.waiting) + len(state.lost), "to be run again"),
    ]
    told = "".join(f", {number} {what}" for number, what in parts if number)
    return f"{state.settled} of {trials} trials: {len(state.complete)} trained{told}"


def _run_parameters(search: Search) -> dict[str, Any]:
    return {
        "search.energy": search.specification["energy"],
        "search.storage": without_passwords(search.place.storage),
        "search.study": search.place.name,
        **{f"space.{key}": value for key, value in search.specification["space"].items()},
    }


@contextmanager
def _only_launcher(folder: Path, name: str) -> Iterator[None]:
    """Two launchers of one search on one machine would start twice as many workers."""
    try:
        with FileLock(folder / "launcher.lock", timeout=0):
            yield
    except Timeout as error:
        raise ClusterError(f"another `spikejoule search` is at the search {name} here.") from error


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Take SIGTERM for an interruption from the keyboard: workers are ended, the run, too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
