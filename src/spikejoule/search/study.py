"""The study that all workers of a search share: its database, and which trials are run again.

A worker that was killed is found by Optuna's heartbeat, wherever it ran; one whose job this
process started, or that was queued again by Slurm, is known by its job at once. Its trial is
enqueued again with the same parameters, and keeps the number by which it is known.
"""

import uuid
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict

from spikejoule.core.errors import ParameterError, StoreError
from spikejoule.energy import HardwareProfile
from spikejoule.search.space import SearchSpace, check_trial
from spikejoule.tracking.lock import flat
from spikejoule.tracking.search_runs import SearchRun
from spikejoule.tracking.store import in_one_line, without_passwords

SPECIFICATION: Final = "spikejoule.search"
"""Attribute of a study: what its trials share, as plain values. Earlier versions had another."""

IDENTITY: Final = "identity"
"""Attribute of a study: what its runs in MLflow are found by."""

NUMBER: Final = "number"
"""Attribute of a trial: the number by which the search knows it, however often it is run again."""

JOB: Final = "job"
"""Attribute of a trial: the job that runs it, and its own number, as who repeats it inherits it."""

ENDED: Final = "ended"
"""Attribute of a trial: the fields of the `EndedTrial` that it came to, what was drawn included."""

TRAINED: Final = "trained"
STOPPED: Final = "stopped early"
FAILED: Final = "failed"
RUNNING: Final = "running"
WAITING: Final = "to be run again"
"""What may have become of a trial; the first three are over."""

OBJECTIVES: Final = ("validation_accuracy_percent", "energy_per_inference")

TRIED: Final = 200
"""Combinations that are drawn before a space is refused in which none is allowed."""

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgresql+psycopg2://")
_BUSY_SECONDS = 60
_MISSED_BEATS = 4
_ANOTHER_NAME = "give this search another name (`study` in search.yaml, or --study)"

# It logs each value of each trial, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


class Search(BaseModel):
    """What is searched, where, and with what; as JSON it is all that a worker is given.

    Attributes:
        storage: URL of the study's database: ``sqlite:///FILE`` or ``postgresql://...``.
        study: its name there.
        trials: number of trainings.
        heartbeat_seconds: how often a worker reports that it lives; one that misses four is dead.
        retries: how often a trial is run again whose worker was killed.
        specification: what all trials share: `base`, `space`, `energy`, `prices`, `stop`, `data`.
        paths: of the artifacts, by name, absolute.
        price_list: the file of hardware profiles.
        folder: of the search's own files.
        run: where it is tracked.
        cluster: ``local`` or ``slurm``.
        workers: how many at once.
        threads: CPU threads of each.
        minutes: that a job of Slurm's may take before it is queued again.
        partition: of Slurm; None for the default one.
        options: further options of sbatch, by name without the dashes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: str
    study: str
    trials: int
    heartbeat_seconds: int = 10
    retries: int = 5
    specification: dict[str, Any]
    paths: dict[str, Path]
    price_list: Path
    folder: Path
    run: SearchRun
    cluster: str = "local"
    workers: int = 1
    threads: int = 1
    minutes: int = 60
    partition: str | None = None
    options: dict[str, str] = {}

    @property
    def grace_seconds(self) -> int:
        """After so long without a heartbeat a worker counts as dead."""
        return _MISSED_BEATS * self.heartbeat_seconds

    @property
    def space(self) -> SearchSpace:
        """What trials draw."""
        return SearchSpace(self.specification["base"], self.specification["space"])


def check_storage(url: str) -> None:
    """Raise ParameterError unless a study can be kept there by several workers."""
    if not (url.startswith(_POSTGRESQL) or (url.startswith(_SQLITE) and url != _SQLITE)):
        raise ParameterError(
            f"--storage: {without_passwords(url)} is not allowed; allowed: {_SQLITE}FILE, or "
            "postgresql://USER@HOST/DATABASE where workers are on several machines"
        )


def check_possible(space: SearchSpace, profile: HardwareProfile | None, file: str) -> None:
    """Raise ParameterError if no combination of the space seems to be allowed.

    That is, none of so many random ones (:data:`TRIED`); the message has the last one's problem.
    """
    draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    problem = ""
    for _ in range(TRIED):
        try:
            check_trial(space.params(space.draw(draws.ask())), profile)
            return
        except ParameterError as error:
            problem = str(error).splitlines()[0]
    raise ParameterError(f"{file}: none of {TRIED} combinations of the space is allowed: {problem}")


def open_study(search: Search) -> optuna.Study:
    """The study, made if there is none: once, by the launcher, as workers would race.

    Raises ParameterError if it was begun with another specification, StoreError if the database
    cannot be used.
    """
    check_storage(search.storage)
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if search.storage.startswith(_SQLITE):
        path = unquote(search.storage.removeprefix(_SQLITE).partition("?")[0])
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    with database_errors(search.storage):
        storage = RDBStorage(
            search.storage,
            engine_kwargs=arguments,
            heartbeat_interval=search.heartbeat_seconds,
            grace_period=search.grace_seconds,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(search.retries),
        )
        study = optuna.create_study(
            storage=storage,
            study_name=search.study,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        found = study.user_attrs.get(SPECIFICATION)
        where = f"the study {search.study} in {without_passwords(search.storage)}"
        if found is None and study.get_trials(deepcopy=False):
            raise ParameterError(
                f"{where} is none of this version of `spikejoule search`: {_ANOTHER_NAME}"
            )
        if found is None:
            study.set_metric_names(list(OBJECTIVES))
            study.set_user_attr(IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(SPECIFICATION, found := search.specification)
    # `base` holds the sections of params.yaml with what search.yaml has under `fixed`.
    begun, now = (
        {(name.removeprefix("base."), repr(value)) for name, value in flat(of).items()}
        for of in (found, search.specification)
    )
    if differing := sorted({name for name, _ in begun ^ now}):
        raise ParameterError(
            f"{where} was begun with other {', '.join(differing)}: restore them, or {_ANOTHER_NAME}"
        )
    return study


def number_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number by which the search knows a trial: that of its first attempt."""
    number: int = trial.user_attrs.get(NUMBER, trial.number)
    return number


def by_state(trials: Iterable[FrozenTrial]) -> dict[str, list[FrozenTrial]]:
    """Trials of Optuna's by what has become of them.

    Those that were killed and are run again as others are left out, as are combinations that are
    not allowed: they are no trials of the search.
    """
    words = {TrialState.COMPLETE: TRAINED, TrialState.RUNNING: RUNNING, TrialState.WAITING: WAITING}
    found: dict[str, list[FrozenTrial]] = {
        word: [] for word in (TRAINED, STOPPED, FAILED, RUNNING, WAITING)
    }
    for trial in trials:
        if trial.state in words:
            found[words[trial.state]].append(trial)
        elif trial.state == TrialState.PRUNED and ENDED in trial.user_attrs:
            given_up = trial.user_attrs[ENDED]["status"] == "FAILED"
            found[FAILED if given_up else STOPPED].append(trial)
    return found


def settled(study: optuna.Study) -> int:
    """The number of the search's trials that are over."""
    found = by_state(study.get_trials(deepcopy=False))
    return sum(len(found[word]) for word in (TRAINED, STOPPED, FAILED))


def run_again(study: optuna.Study, jobs: Collection[str], retries: int | None) -> None:
    """Enqueue the trials again that some jobs were running, which are gone.

    Args:
        study: of the trials.
        jobs: their names, as in the attribute `JOB`.
        retries: how often a trial is run again at most; None for a job that had to go.
    """
    enqueue = RetryHeartbeatStaleTrialCallback(retries)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.user_attrs.get(JOB) in [[job, trial.number] for job in jobs]:
            # Whoever marks it first, by the heartbeat or here, enqueues it.
            with suppress(ValueError, UpdateFinishedTrialError):
                study.tell(trial.number, state=TrialState.FAIL)
                enqueue(study, trial)


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Turn what the database raises into a StoreError of one sentence, without its password."""
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        ModuleNotFoundError,
        OSError,
    ) as error:
        raise StoreError(
            f"the study's database {without_passwords(url)} cannot be used "
            f"({in_one_line(error)}); PostgreSQL needs 'spikejoule[shared]'."
        ) from error
