"""The database of a study: how it is opened, and how its users keep out of each other's way."""

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage

from spikejoule.core.errors import ParameterError, StoreError
from spikejoule.tracking.store import in_one_line, without_passwords

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgresql+psycopg2://")
_BUSY_SECONDS = 60
_MISSED_BEATS = 4


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
    heartbeat_seconds: int = 10
    retries: int = 5


def check_storage(url: str) -> None:
    """Raise ParameterError unless a study can be kept there by several workers."""
    if not (url.startswith(_POSTGRESQL) or (url.startswith(_SQLITE) and url != _SQLITE)):
        raise ParameterError(
            f"--storage: {without_passwords(url)} is not allowed; allowed: {_SQLITE}FILE, or "
            "postgresql://USER@HOST/DATABASE where workers are on several machines"
        )


def storage_of(place: StudyPlace, create: bool) -> RDBStorage:
    """The database as Optuna uses it; `create` makes what is missing, which else is an error."""
    check_storage(place.storage)
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if place.storage.startswith(_SQLITE):
        file = Path(place.storage.removeprefix(_SQLITE))
        if not create and not file.is_file():
            raise StoreError(f"there is no study at {file}: `spikejoule search` makes it.")
        file.parent.mkdir(parents=True, exist_ok=True)
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    # Alone: two that make the tables at once, or one that reads them half made, break each other.
    with warnings.catch_warnings(), database_errors(place), claims(place):
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            place.storage,
            engine_kwargs=arguments,
            heartbeat_interval=place.heartbeat_seconds,
            grace_period=_MISSED_BEATS * place.heartbeat_seconds,
            skip_table_creation=not create,
        )


@contextmanager
def claims(place: StudyPlace) -> Iterator[None]:
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
