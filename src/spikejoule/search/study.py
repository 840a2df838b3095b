"""The study that all workers of a search share: its database, and what has become of its trials.

A worker that was killed is found by Optuna's heartbeat, wherever it ran. Its trial is enqueued
again with the same parameters, and keeps the number by which it is known.
"""

import json
import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from spikejoule.core.errors import ParameterError, StoreError
from spikejoule.core.parameters import flat
from spikejoule.energy import HardwareProfile
from spikejoule.search.space import SearchSettings, SearchSpace
from spikejoule.tracking.store import in_one_line, shown_uri

SPECIFICATION: Final = "spikejoule.search/3"
"""Attribute of a study: what its trials share, as plain values. Earlier versions had others."""

IDENTITY: Final = "identity"
"""Attribute of a study: what its own files are known by, whatever its name."""

NUMBER: Final = "number"
"""Attribute of a trial: the number by which the search knows it, however often it is run again."""

ENDED: Final = "ended"
"""Attribute of a trial: its whole `parameters`, by full key, the `processor_seconds` that it took,
and what it came to: `metrics` and `trained_sha256` (`trial.run_trial`), or else the `reason`."""

TRAINED: Final = "trained"
FAILED: Final = "failed"
RUNNING: Final = "running"
WAITING: Final = "to be run again"
SETTLED: Final = (TRAINED, FAILED)
"""What may have become of a trial; those that are settled are over."""

_SQLITE = "sqlite:///"
_DATABASES = (_SQLITE, "postgresql://", "postgresql+psycopg://", "postgresql+psycopg2://")
_BUSY_SECONDS = 60
MISSED_BEATS = 4
_TRIES, _BETWEEN_TRIES = 20, 0.25
_MADE = "already exists"
_ANOTHER_NAME = "give this search another name (`study` in search.yaml, or --study)"

# It logs each value of each trial, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


Found = dict[str, list[FrozenTrial]]
"""The trials of a search by what has become of them."""


@dataclass(frozen=True)
class Search:
    """What is searched, where, and with what: all that a worker is given.

    Attributes:
        storage: URL of the study's database: ``sqlite:///FILE`` or ``postgresql://...``.
        settings: the content of search.yaml.
        space: what trials draw.
        profile: the prices of the second objective.
        data: SHA-256 of the artifacts, by name.
        paths: of the artifacts, by name, absolute.
        folder: of the search's own files.
        heartbeat: seconds from one sign of life of a worker to the next; one that misses four is
            dead.
        retries: how often a trial is run again whose worker was killed.
        cluster: ``local`` or ``slurm``.
        workers: how many at once.
        threads: CPU threads of each.
        minutes: that a job of Slurm's may take before it is queued again.
        slurm: further options of sbatch, by name without the dashes.
    """

    storage: str
    settings: SearchSettings
    space: SearchSpace
    profile: HardwareProfile
    data: Mapping[str, str]
    paths: Mapping[str, Path]
    folder: Path
    heartbeat: int = 10
    retries: int = 5
    cluster: str = "local"
    workers: int = 1
    threads: int = 1
    minutes: int = 60
    slurm: Mapping[str, str] = field(default_factory=dict)

    @property
    def specification(self) -> dict[str, Any]:
        """What all trials share, as plain values."""
        content = {
            "base": self.space.base,
            "space": self.space.entries,
            "side": self.settings.side,
            "energy": self.settings.energy,
            "prices": {of: str(price) for of, price in self.profile.prices.items()},
            "data": self.data,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain


def open_study(search: Search) -> optuna.Study:
    """The study, made if there is none: once, by the launcher, as workers would race.

    Raises ParameterError if it was begun with another specification, or cannot be kept there by
    several workers, and StoreError if the database cannot be used.
    """
    shown = shown_uri(search.storage)
    if not search.storage.startswith(_DATABASES) or search.storage == _SQLITE:
        raise ParameterError(
            f"--storage: {shown} is not allowed; allowed: {_SQLITE}FILE, or "
            "postgresql://USER@HOST/DATABASE where workers are on several machines"
        )
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if search.storage.startswith(_SQLITE):
        path = unquote(search.storage.removeprefix(_SQLITE).partition("?")[0])
        with database_errors(search.storage):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    with database_errors(search.storage):
        storage = _storage(search, arguments)
        study = optuna.create_study(
            storage=storage,
            study_name=search.settings.study,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        found = study.user_attrs.get(SPECIFICATION)
        where = f"the study {search.settings.study} in {shown}"
        if found is None and study.get_trials(deepcopy=False):
            raise ParameterError(
                f"{where} is of another version of `spikejoule search`: {_ANOTHER_NAME}"
            )
        if found is None:
            study.set_metric_names(["validation_accuracy_percent", "energy_per_inference"])
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


def _storage(search: Search, engine_kwargs: dict[str, Any]) -> RDBStorage:
    """Optuna's storage; tables that another process is just making are waited for."""
    tries = 0
    while True:
        try:
            return RDBStorage(
                search.storage,
                engine_kwargs=engine_kwargs,
                heartbeat_interval=search.heartbeat,
                grace_period=MISSED_BEATS * search.heartbeat,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(search.retries),
            )
        except sqlalchemy.exc.SQLAlchemyError as error:
            made = isinstance(error, sqlalchemy.exc.IntegrityError) or _MADE in str(error)
            if not made or (tries := tries + 1) == _TRIES:
                raise
            time.sleep(_BETWEEN_TRIES)


def number_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number by which the search knows a trial: that of its first attempt."""
    number: int = trial.user_attrs.get(NUMBER, trial.number)
    return number


def processor_minutes(found: Found) -> float:
    """What trials that are over have taken of processors; of one that was killed, since then."""
    ended = [trial.user_attrs[ENDED] for word in SETTLED for trial in found[word]]
    return sum(float(one["processor_seconds"]) for one in ended) / 60


def by_state(trials: Iterable[FrozenTrial]) -> Found:
    """Trials of Optuna's by what has become of them.

    Those that were killed and are run again as others are left out, as are combinations that are
    not allowed: they are no trials of the search.
    """
    words = {TrialState.COMPLETE: TRAINED, TrialState.RUNNING: RUNNING, TrialState.WAITING: WAITING}
    found: Found = {word: [] for word in (*SETTLED, RUNNING, WAITING)}
    for trial in trials:
        if trial.state in words:
            found[words[trial.state]].append(trial)
        elif trial.state == TrialState.PRUNED and ENDED in trial.user_attrs:
            found[FAILED].append(trial)
    return found


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
            f"the study's database {shown_uri(url)} cannot be used "
            f"({in_one_line(error)}); PostgreSQL needs 'spikejoule[shared]'."
        ) from error
