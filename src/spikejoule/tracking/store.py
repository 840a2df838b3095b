"""The MLflow store of a project: where it is, and how it is opened."""

import logging
import os
import re
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from spikejoule.tracking.keeper import close_abandoned_runs
from spikejoule.tracking.pages import experiment_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

# SQLAlchemy takes any character but @ in a password, and further settings after the question mark.
_PASSWORDS = re.compile(
    r"(?P<before>://[^\s/:@]*:)[^\s@]+(?=@)|(?P<name>[?&](?:password|token)=)[^\s&#'\")]+"
)
# What SQLAlchemy adds to the cause: advice, the statement with its values, and a link.
_NO_CAUSE = re.compile(
    r"^\(raised as a result of [^()]*\) | (\[SQL: |\(Background on this error at: ).*"
)
_CONNECTION_SECONDS = 5.0
_LOCK_SECONDS = 60.0
_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
# MLflow reads these when it is imported; what the user has set stays.
_MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True)
class Store:
    """Where runs go.

    Attributes:
        tracking_uri: of the MLflow server or database.
        experiment: name of the experiment; created if it does not exist.
        artifact_location: URI under which a new experiment keeps files; None leaves the choice to
            the server.
        lock_path: file that serialises writers: two processes that create a database at once
            break it.
        experiment_id: of an experiment that exists, in place of the name; None goes by the name.
    """

    tracking_uri: str
    experiment: str
    artifact_location: str | None
    lock_path: Path
    experiment_id: str | None = None


def project_store(
    root: Path, experiment: str, environment: Mapping[str, str] = os.environ
) -> Store:
    """The store of the project at `root`: `mlflow.db`, with its files under `mlartifacts`.

    MLflow's own variables take precedence: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME or else
    MLFLOW_EXPERIMENT_ID, and for a database without a server MLFLOW_DEFAULT_ARTIFACT_ROOT, the
    variable of `mlflow server`'s option, which holds from the creation of the experiment on.
    Relative paths in them start at `root`: a queued experiment's working directory is about to
    vanish.
    """
    root = root.resolve()
    uri = _at_root(root, environment.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")
    # A server has a place for artifacts of its own.
    served = uri.partition(":")[0] in ("http", "https", "databricks")
    artifacts = environment.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or "mlartifacts"
    if "://" not in artifacts:
        artifacts = (root / artifacts).as_uri()
    name = environment.get("MLFLOW_EXPERIMENT_NAME")
    return Store(
        tracking_uri=uri,
        experiment=name or experiment,
        artifact_location=None if served else artifacts,
        lock_path=root / "mlflow.db.lock",
        experiment_id=None if name else environment.get("MLFLOW_EXPERIMENT_ID") or None,
    )


@contextmanager
def opened(store: Store) -> Iterator["tuple[MlflowClient, str]"]:
    """A client of `store` and the id of its experiment, which is created if it does not exist.

    No other process of this project opens the store meanwhile; the client may be used beyond.
    Runs that a process of this machine left unfinished when it died are ended on the way. Raises
    OSError within seconds if nobody listens at the store's address.
    """
    _check_reachable(store.tracking_uri)
    for name, value in _MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # two seconds, so only where it is used

    logging.getLogger("alembic").setLevel(logging.WARNING)
    # It logs with a traceback what it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    store.lock_path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(store.lock_path, timeout=_LOCK_SECONDS):
        client = MlflowClient(tracking_uri=store.tracking_uri)
        experiment_id = _experiment_id(client, store)
        close_abandoned_runs(client, experiment_id)
        yield client, experiment_id


def without_passwords(text: str) -> str:
    """A URI, or a message with URIs in it, as it may be shown."""
    return _PASSWORDS.sub(lambda match: f"{match['before'] or match['name']}***", text)


def in_one_line(error: BaseException) -> str:
    """What an error says, as a short line without passwords: MLflow's errors quote addresses."""
    text = _NO_CAUSE.sub("", " ".join(str(error).split()))
    return without_passwords(text)[:300] or type(error).__name__


def _at_root(root: Path, uri: str) -> str:
    """A URI of SQLite with its path made absolute; any other as it is."""
    scheme, separator, path = uri.partition(":///")
    if not separator or scheme.split("+")[0] != "sqlite" or path.startswith(("/", ":", "file:")):
        return uri
    return f"{scheme}:///{root / path}"


def _experiment_id(client: "MlflowClient", store: Store) -> str:
    if store.experiment_id is not None:
        return str(client.get_experiment(store.experiment_id).experiment_id)
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    try:
        created = client.create_experiment(
            store.experiment, artifact_location=store.artifact_location, tags=experiment_tags()
        )
    except Exception:
        # Another machine, which our lock does not stop, may have been faster.
        experiment = client.get_experiment_by_name(store.experiment)
        if experiment is None:
            raise
        return str(experiment.experiment_id)
    return str(created)


def _check_reachable(uri: str) -> None:
    """Raise OSError within seconds if nobody listens at the URI's address.

    MLflow would find out by itself, but after minutes of retries.
    """
    try:
        parts = urlsplit(uri)
        scheme = parts.scheme.split("+")[0]
        port = parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return  # what it stands for is for MLflow to say
    if not parts.hostname or port is None:
        return
    proxied = scheme in urllib.request.getproxies()
    if proxied and not urllib.request.proxy_bypass(parts.hostname):
        return
    socket.create_connection((parts.hostname, port), timeout=_CONNECTION_SECONDS).close()
