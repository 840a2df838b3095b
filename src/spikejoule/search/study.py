"""The study that all workers of a search share, and the trials in it.

Optuna's heartbeat finds a killed worker, wherever it ran. Its trial is enqueued again
with the same parameters, and keeps its number.
"""

import math
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import (
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import Connection, event

import spikejoule
from spikejoule.core import provenance
from spikejoule.core.errors import ArtifactError, ParameterError, memory_errors
from spikejoule.core.resume import ResumeFile
from spikejoule.data.dataset import DataDescription, load_samples
from spikejoule.engine.choice import resolve_device
from spikejoule.params import Params
from spikejoule.search.attributes import ENDED, NUMBER, number_of
from spikejoule.search.space import Search
from spikejoule.search.trial import SearchData, run_trial
from spikejoule.tracking.failures import in_one_line, store_errors

HEARTBEAT_SECONDS: Final = 10
"""Seconds between the heartbeats of a worker."""

GRACE_SECONDS: Final = 40
"""Seconds without a heartbeat after which a worker is considered dead."""

RETRIES: Final = 5
"""How often a trial is run again after its worker was killed."""

SPECIFICATION: Final = "spikejoule.search/4"
"""Study attribute: what all trials share, as plain values, and its version."""

_BUSY_SECONDS = 60
_WAIT_SECONDS = 1.0

# Optuna logs each value of each trial, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


TRAINED = TrialState.COMPLETE
GIVEN_UP = TrialState.PRUNED
FoundTrials = dict[TrialState, list[FrozenTrial]]
"""The trials of a search by state; waiting ones will be run again."""


@contextmanager
def opened_storage(search: Search) -> Iterator[RDBStorage]:
    """Open the database of the study, or create it, and close it at the end.

    Raises StoreError if it cannot be used.
    """
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if search.storage.startswith("sqlite:"):
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    with database_errors():
        storage = RDBStorage(
            search.storage,
            engine_kwargs=arguments,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(RETRIES),
        )
        if storage.engine.dialect.name == "sqlite":
            event.listen(storage.engine, "begin", _lock_for_writing)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def open_study(search: Search, storage: RDBStorage) -> optuna.Study:
    """Open the study in a database, or create it.

    Raises:
        ParameterError: it was begun with another specification.
        StoreError: the database cannot be used.
    """
    name = search.settings.study
    specification = search.specification
    with database_errors():
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=("maximize", "minimize"),
            load_if_exists=True,
        )
        has_trials = bool(study.get_trials(deepcopy=False))
        if SPECIFICATION not in study.user_attrs and not has_trials:
            study.set_user_attr(SPECIFICATION, specification)
        begun = study.user_attrs.get(SPECIFICATION, {})
    differing = sorted(
        key
        for key in {*begun, *specification}
        if begun.get(key) != specification.get(key)
    )
    if differing:
        other = "another version of `spikejoule search`"
        if begun:
            other = f"different values of {', '.join(differing)}"
        raise ParameterError(
            f"the study {name} was started with {other}: restore them, or give this "
            "search another name (`study` in search.yaml, or --study)"
        )
    return study


def _lock_for_writing(connection: Connection) -> None:
    """Begin a transaction of SQLite with the lock for writing.

    Optuna reads a trial before it changes its state, and relies on row locks (`FOR
    UPDATE`), which SQLite ignores: two workers would run the same trial.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def random_trials(number: int) -> list[Trial]:
    """Create trials that draw at random, always the same, in a study in memory."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask() for _ in range(number)]


def database_errors() -> AbstractContextManager[None]:
    """Turn database errors into a StoreError of one sentence, without passwords."""
    return store_errors("the study's database cannot be used")


def by_state(trials: Iterable[FrozenTrial]) -> FoundTrials:
    """Group Optuna's trials by state, without those that are no trials of the search.

    These are: killed trials that are run again as others (Optuna marks them as failed),
    and trials without a number: combinations that are not allowed, and trials that have
    not drawn yet, perhaps because their worker was killed.
    """
    states: FoundTrials = {
        state: [] for state in TrialState if state != TrialState.FAIL
    }
    for trial in trials:
        if trial.state in states and NUMBER in trial.user_attrs:
            states[trial.state].append(trial)
    return states


def left_of(search: Search, states: FoundTrials) -> int:
    """Count the trials that have not ended, including those that are running."""
    over = [*states[TRAINED], *states[GIVEN_UP]]
    begun = len(states[TrialState.RUNNING]) + len(states[TrialState.WAITING])
    minutes = sum(trial.user_attrs[ENDED]["processor_seconds"] for trial in over) / 60
    if minutes >= (search.settings.processor_minutes or math.inf):
        return begun
    return max(search.settings.trials - len(over), begun)


def run_trials(search: Search) -> None:
    """Run trials until the study has enough of them.

    When all are begun, wait for those of other workers: one may have to be run again.

    Raises ParameterError or ArtifactError if this machine lacks what every trial needs.
    """
    with opened_storage(search) as storage:
        study = open_study(search, storage)
        _run_until_enough(search, study, Objective(search, study, storage))


def _run_until_enough(
    search: Search, study: optuna.Study, objective: "Objective"
) -> None:
    """Run trials, or wait for those of other workers, until there are enough."""
    while True:
        trials = study.get_trials(deepcopy=False)
        states = by_state(trials)
        left = left_of(search, states)
        if not left:
            return
        # A running trial that has not drawn yet has no number.
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        if states[TrialState.WAITING] or left > len(running):
            study.optimize(objective, n_trials=1)
        else:
            time.sleep(_WAIT_SECONDS)
            fail_stale_trials(study)
            _fail_trials_without_a_heartbeat(study)


def _fail_trials_without_a_heartbeat(study: optuna.Study) -> None:
    """Fail trials whose worker was killed before their first heartbeat.

    Optuna notices missing heartbeats only after a first one, so the other workers would
    wait for such a trial forever. A trial gets its number soon after its first
    heartbeat.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        assert trial.datetime_start is not None
        age = datetime.now() - trial.datetime_start
        if NUMBER not in trial.user_attrs and age.total_seconds() > GRACE_SECONDS:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


class Objective:
    """Optuna's objective: runs a trial, and returns accuracy and energy.

    Args:
        search: the search.
        study: its study.
        storage: the study's database.
    """

    def __init__(
        self, search: Search, study: optuna.Study, storage: RDBStorage
    ) -> None:
        self._search = search
        self._study = study
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        resolve_device(search.space.base["train"]["device"])
        self._data = load_data(search)
        # Other code or libraries must not resume from a state.
        own_code = provenance.tree_digests([Path(spikejoule.__file__).parent])
        self._code = {**(own_code or {}), **provenance.computing_environment()}

    def __call__(self, trial: Trial) -> tuple[float, float]:
        """Run a trial; TrialPruned if it fails or its values are not allowed."""
        number = number_of(trial)
        # Optuna's thread beats only later: a trial that is killed before would not be
        # run again with the same parameters.
        self._storage.record_heartbeat(
            self._storage.get_trial_id_from_study_id_trial_number(
                self._study_id, trial.number
            )
        )
        is_new = NUMBER not in trial.user_attrs
        if is_new and self._n_begun_before(trial) >= self._search.settings.trials:
            raise optuna.TrialPruned("other workers have begun the last trials")
        # Seeded by the trial, so that a single worker always draws the same.
        self._study.sampler = optuna.samplers.TPESampler(seed=number)
        try:
            params = self._search.space.params(self._search.space.draw(trial))
        except ParameterError as error:
            trial.set_constraint("allowed", 1.0)  # the sampler learns to avoid it
            raise optuna.TrialPruned(str(error)) from error
        trial.set_user_attr(NUMBER, number)
        ended = self._ended(number, params)
        trial.set_user_attr(ENDED, {"parameters": params.flattened(), **ended})
        if "reason" in ended:
            raise optuna.TrialPruned(ended["reason"])
        metrics = ended["metrics"]
        accuracy = metrics["validation_accuracy_percent"]
        return accuracy, metrics["energy_nj_per_inference"]

    def _n_begun_before(self, trial: Trial) -> int:
        """Count the trials that were begun before this one.

        Workers that look at the study at the same time would begin too many. Optuna
        numbers the trials in one sequence, so that all agree on which are too many.
        """
        return sum(
            other.number < trial.number
            and (NUMBER in other.user_attrs or not other.state.is_finished())
            for other in self._study.get_trials(deepcopy=False)
            if other.state != TrialState.FAIL
        )

    def _ended(self, number: int, params: Params) -> dict[str, Any]:
        """Run a trial, or resume where its killed worker stopped; see `ENDED`."""
        search = self._search
        began = time.process_time()
        key = provenance.content_digest(
            {
                "trial": number,
                "parameters": params.deciding(),
                "side": search.space.side,
                "data": search.data,
                "code": self._code,
            }
        )
        with ResumeFile(
            search.folder / "resume", key, f"trial {number} of the search"
        ) as resume:
            try:
                store = resume if params.train.resume else None
                with memory_errors():
                    metrics, digest = run_trial(params, self._data, search, store)
                ended: dict[str, Any] = {"metrics": metrics, "trained_sha256": digest}
            except (MemoryError, ParameterError) as error:
                ended = {"reason": in_one_line(error)}
            # A state is kept only for a trial that will be run again.
            resume.done()
        return {**ended, "processor_seconds": time.process_time() - began}


def load_data(search: Search) -> SearchData:
    """Read the samples; ArtifactError if they changed since the search began."""
    for name, digest in search.data.items():
        if provenance.file_digest(search.paths[name], "sha256") != digest:
            raise ArtifactError(
                f"{search.paths[name]} is not the file that the search was started "
                "with: run `dvc repro prepare` with its parameters, or start another "
                "search."
            )
    return SearchData(
        load_samples(search.paths["train"]),
        load_samples(search.paths["validation"]),
        DataDescription.read(search.paths["data_metrics"]),
    )
