"""The study that all workers of a search share: its database, and who runs which trial.

Trials are claimed one at a time, under a lock that is the database's own, or of a file beside it:
only so are there exactly as many as were asked for, whatever number of workers there is.
"""

import hashlib
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import Trial, TrialState, create_trial

from spikejoule.foundation.errors import ParameterError, StoreError
from spikejoule.search.tally import HANDED_BACK, INVALID, REPEATS, Tally, root_number, tally
from spikejoule.tracking.store import in_one_line, without_passwords

SPECIFICATION: Final = "spikejoule"
"""Attribute of a study: what its trials share, as plain values."""

OBJECTIVES: Final = ("validation_accuracy_percent", "energy_per_inference")

_IDENTITY = "identity"
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgresql+psycopg2://")
_BUSY_SECONDS = 60
_MISSED_BEATS = 4

# It says each value of each trial in a line, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class StudyPlace:
    """Where a study is, and how its workers are watched.

    Attributes:
        storage: URL of the database: ``sqlite:///FILE`` or ``postgresql://...``.
        name: of the study in it.
        heartbeat_seconds: how often a worker says that it lives; one that misses four is dead.
        retries: how often a trial is run again whose worker was killed.
    """

    storage: str
    name: str
    heartbeat_seconds: int = 5
    retries: int = 5


class HandedBackError(Exception):
    """The worker must go: its trial is run again by another, or by itself when it is back."""


def check_storage(url: str) -> None:
    """Raise ParameterError unless a study can be kept there by several workers."""
    if not (url.startswith(_POSTGRESQL) or (url.startswith(_SQLITE) and url != _SQLITE)):
        raise ParameterError(
            f"--storage: {without_passwords(url)} is not allowed; allowed: {_SQLITE}FILE, or "
            "postgresql://USER@HOST/DATABASE where workers are on several machines"
        )


def create_study(place: StudyPlace, specification: Mapping[str, Any]) -> tuple[optuna.Study, str]:
    """The study and its identity, made if there is none; before any worker, as they would race.

    Raises ParameterError if it was begun with another specification, StoreError if the database
    cannot be used.
    """
    storage = _storage(place, create=True)
    with database_errors(place), _claims(place):
        study = optuna.create_study(
            storage=storage,
            study_name=place.name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        found = study.user_attrs.get(SPECIFICATION)
        if found is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(OBJECTIVES))
            study.set_user_attr(_IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(SPECIFICATION, found := dict(specification))
        identity = str(study.user_attrs[_IDENTITY])
    differing = sorted(
        name for name in {*found, *specification} if found.get(name) != specification.get(name)
    )
    if differing:
        raise ParameterError(
            f"the study {place.name} in {without_passwords(place.storage)} was begun with other "
            f"{', '.join(differing)}: restore them, or give this search another name (`study` in "
            "search.yaml, or --study)"
        )
    return study, identity


def open_study(place: StudyPlace) -> optuna.Study:
    """A study that exists."""
    with database_errors(place):
        return optuna.load_study(study_name=place.name, storage=_storage(place, create=False))


def state_of(study: optuna.Study, place: StudyPlace) -> Tally:
    """What became of the trials so far."""
    with database_errors(place):
        return tally(study.get_trials(deepcopy=False), place.retries)


def run_next(
    study: optuna.Study,
    place: StudyPlace,
    trials: int,
    objective: Callable[[Trial], tuple[float, float]],
) -> bool:
    """Claim a trial and run it: one that is to be run again, or the next of `trials`.

    Whatever the objective raises but TrialPruned leaves the trial to be run again, and is raised
    here. Returns whether there was one to run.
    """
    with ExitStack() as claiming:
        claiming.enter_context(_claims(place))
        if not _is_one_left(study, place, trials):
            return False
        number = len(study.get_trials(deepcopy=False))
        # By the trial, so that one worker alone draws the same again; independent, as parameters
        # depend on the kinds that are chosen.
        study.sampler = optuna.samplers.TPESampler(seed=_seed(place.name, number))

        def claimed(trial: Trial) -> tuple[float, float]:
            claiming.close()
            return objective(trial)

        study.optimize(claimed, n_trials=1)
    return True


def hand_back(study: optuna.Study, number: int) -> None:
    """Leave a running trial to be run again, without counting that as a kill."""
    trial = next(one for one in study.get_trials(deepcopy=False) if one.number == number)
    mark_handed_back(study, trial._trial_id)
    study.tell(number, state=TrialState.FAIL)


def mark_handed_back(study: optuna.Study, trial_id: int) -> None:
    """Say of a running trial that its failure is no kill."""
    study._storage.set_trial_user_attr(trial_id, HANDED_BACK, True)


def _is_one_left(study: optuna.Study, place: StudyPlace, trials: int) -> bool:
    """See to it that what is to be run again waits, and say whether there is anything to run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    state = tally(study.get_trials(deepcopy=False), place.retries)
    for lost in state.lost:
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=lost.params,
                distributions=lost.distributions,
                user_attrs={REPEATS: root_number(lost)},
            )
        )
    return bool(state.lost or state.waiting) or state.begun < trials


def _seed(name: str, number: int) -> int:
    digest = hashlib.sha256(f"{name} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _storage(place: StudyPlace, create: bool) -> RDBStorage:
    check_storage(place.storage)
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if place.storage.startswith(_SQLITE):
        file = Path(place.storage.removeprefix(_SQLITE))
        if not create and not file.is_file():
            raise StoreError(f"there is no study at {file}: `spikejoule search` makes it.")
        file.parent.mkdir(parents=True, exist_ok=True)
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    with warnings.catch_warnings(), database_errors(place), _creation(place, create):
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            place.storage,
            engine_kwargs=arguments,
            heartbeat_interval=place.heartbeat_seconds,
            grace_period=_MISSED_BEATS * place.heartbeat_seconds,
            skip_table_creation=not create,
        )


@contextmanager
def _creation(place: StudyPlace, create: bool) -> Iterator[None]:
    """Alone where tables are made: two that make them at once break each other."""
    with ExitStack() as alone:
        if create:
            alone.enter_context(_claims(place))
        yield


@contextmanager
def _claims(place: StudyPlace) -> Iterator[None]:
    """While this lasts, nobody else claims a trial of the study; it ends with the process."""
    if place.storage.startswith(_SQLITE):
        with FileLock(f"{place.storage.removeprefix(_SQLITE)}.lock"):
            yield
        return
    engine = sqlalchemy.create_engine(place.storage, poolclass=sqlalchemy.NullPool)
    key = int.from_bytes(hashlib.sha256(place.name.encode()).digest()[:7], "big")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        yield


@contextmanager
def database_errors(place: StudyPlace) -> Iterator[None]:
    """Turn what the database raises into a StoreError of one sentence, without its password."""
    try:
        yield
    except (
        sqlalchemy.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        OSError,
    ) as error:
        raise StoreError(
            f"the study's database {without_passwords(place.storage)} cannot be used "
            f"({in_one_line(error)})."
        ) from error
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{without_passwords(place.storage)} needs the package {error.name}: install "
            "'spikejoule[shared]'."
        ) from error
    except KeyError as error:
        raise StoreError(
            f"{without_passwords(place.storage)} has no study {place.name}."
        ) from error


def explain_invalid(trial: Trial, reason: str) -> None:
    """Say of a trial that its combination is not allowed, to the sampler, too, and end it."""
    trial.set_user_attr(INVALID, reason)
    trial.set_constraint("allowed", 1.0)
    raise optuna.TrialPruned(reason)
