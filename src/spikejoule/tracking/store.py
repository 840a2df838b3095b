"""The MLflow store of a project: where it is, how it is opened, who ends its runs."""

import logging
import os
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import psutil
from filelock import FileLock

from spikejoule.core.errors import StoreError
from spikejoule.core.processes import is_running, start_of
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.params import load_params
from spikejoule.tracking import mlflow_private
from spikejoule.tracking.failures import store_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

HOST_TAG: Final = "spikejoule.keeper.host"
PROCESS_TAG: Final = "spikejoule.keeper.process"
FAILURE_TAG: Final = "spikejoule.failure"
COMMIT_TAG: Final = "mlflow.source.git.commit"
"""MLflow's own tag, which its pages show next to the run."""
RESULT_TAG: Final = "spikejoule.result_id"
"""Identifies the result of a run; a run without it is no result."""
FILES_TAG: Final = "data.sha256"
"""Digest of the checksums of all files of the data."""

_SQLITE: Final = "sqlite:///"
# What follows in place of a path: a database in memory, or SQLite's own URI.
_NO_PATH: Final = (":", "file:")
_LOCK_SECONDS = 300.0  # another process may be sending a run to a slow server
_NOTE = (
    "Spiking networks, one run for each distinct result of a pipeline. The view "
    "**Overview** shows accuracy, synaptic events and energy per inference, the ratio "
    "to a conventional network's energy at equal accuracy, and the price list of both."
)
# MLflow reads these when it is imported, PostgreSQL's client when it connects: a store
# that never answers becomes an error after about a minute, which MLflow does not log
# too, with secrets in it. The user's own settings win.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "PGCONNECT_TIMEOUT": "20",
}


@dataclass(frozen=True)
class Store:
    """An MLflow store and the experiment in it.

    Attributes:
        tracking_uri: URI of the MLflow server or database.
        experiment: name of the experiment; created if it does not exist.
        artifact_location: URI under which a new experiment keeps files; None leaves the
            choice to the server.
        root: root of the project.
    """

    tracking_uri: str
    experiment: str
    artifact_location: str | None
    root: Path

    @property
    def database(self) -> Path | None:
        """The file of an SQLite database; None for any other store."""
        path = self.tracking_uri.removeprefix(_SQLITE).partition("?")[0]
        if not self.tracking_uri.startswith(_SQLITE) or path.startswith(_NO_PATH):
            return None
        return Path(unquote(path))

    @property
    def name(self) -> str:
        """What messages call the store; its address may hold a password."""
        return str(self.database or "the store that MLFLOW_TRACKING_URI names")

    @property
    def lock_path(self) -> Path:
        """The lock file for writers: creating a database twice at once breaks it.

        It is next to the database, which several projects may share, and for any other
        store at the root of the project.
        """
        database = (self.database or self.root / "mlflow.db").resolve()
        return database.with_name(f"{database.name}.lock")


def store_of(directory: Path) -> Store:
    """Return the store of a project, named by its params.yaml."""
    params = load_params(directory / PARAMS_FILE)
    return project_store(directory, params.publish.experiment)


def project_store(
    root: Path, experiment: str, environment: Mapping[str, str] = os.environ
) -> Store:
    """Return a project's store: `mlflow.db`, with files in `mlartifacts`.

    MLflow's own variables take precedence: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME,
    and for a database without a server MLFLOW_DEFAULT_ARTIFACT_ROOT, the variable of
    `mlflow server`'s option, which counts when the experiment is created. Relative
    paths in them start at `root`, since the folder of a queued experiment vanishes.
    """
    root = root.resolve()
    uri = at_root(root, environment.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}mlflow.db")
    artifacts = environment.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or "mlartifacts"
    if "://" not in artifacts:
        artifacts = (root / artifacts).as_uri()
    # A server decides itself where files go.
    is_server = uri.startswith(("http:", "https:", "databricks"))
    return Store(
        tracking_uri=uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or experiment,
        artifact_location=None if is_server else artifacts,
        root=root,
    )


def at_root(root: Path, uri: str) -> str:
    """Let the relative path of an SQLite database start at `root`."""
    path = uri.removeprefix(_SQLITE)
    if not uri.startswith(_SQLITE) or path.startswith(("/", *_NO_PATH)):
        return uri
    return f"{_SQLITE}{_quoted(root)}/{path}"


def _quoted(path: Path) -> str:
    """Quote a path for a URI: SQLAlchemy decodes `%3F` and stops at a question mark."""
    return str(path).replace("%", "%25").replace("?", "%3F")


@contextmanager
def opened(store: Store, to_write: bool = True) -> Iterator["tuple[MlflowClient, str]"]:
    """Open a store: yields a client and the id of the experiment, created if needed.

    No other process writes to the store meanwhile. Unfinished runs of dead processes
    are ended.

    Raises StoreError if runs are to be written and the folder with the experiment's
    files no longer exists.
    """
    _set_mlflow_up()
    from mlflow import MlflowClient

    store.lock_path.parent.mkdir(parents=True, exist_ok=True)
    # Mode: every member of a group that shares the database may lock it.
    with FileLock(store.lock_path, timeout=_LOCK_SECONDS, mode=0o664):
        if store.database is not None and not store.database.exists():
            _create(store.database)
        client = MlflowClient(tracking_uri=store.tracking_uri)
        experiment = _experiment(client, store)
        if to_write:
            _check_files_exist(store, experiment.artifact_location)
        close_abandoned_runs(client, experiment.experiment_id)
        yield client, str(experiment.experiment_id)


@contextmanager
def opened_to_read(store: Store) -> "Iterator[tuple[MlflowClient, str]]":
    """Open an existing store to read it: yields a client and the experiment's id.

    Raises StoreError if the store does not exist, or if anything goes wrong while it is
    read; an error of this project stays as it is.
    """
    # Reading must not leave an empty database behind.
    if store.database is not None and not store.database.is_file():
        raise StoreError(
            f"there is no MLflow store at {store.database}: run the pipeline first."
        )
    with (
        store_errors(f"{store.name} cannot be read"),
        opened(store, to_write=False) as client_and_experiment,
    ):
        yield client_and_experiment


def _set_mlflow_up() -> None:
    """Import MLflow, which takes two seconds, without logs, telemetry or long waits."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    mlflow_private.try_databases_less_often()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs addresses


def _create(database: Path) -> None:
    """Create a database under another name first, so that no kill leaves half of one.

    MLflow would refuse that for good: its tables exist, and its version does not.
    """
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_name(f".{database.name}.tmp")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{_SQLITE}{_quoted(unfinished)}").search_experiments(
        max_results=1
    )
    os.replace(unfinished, database)


def _experiment(client: "MlflowClient", store: Store) -> "Experiment":
    """Return the store's experiment, created if needed, with the saved view."""
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        tags = {"mlflow.note.content": _NOTE, **mlflow_private.EXPERIMENT_TAGS}
        created = client.create_experiment(
            store.experiment, store.artifact_location, tags
        )
        experiment = client.get_experiment(created)
    mlflow_private.save_view(client, experiment)
    return experiment


def _check_files_exist(store: Store, location: str) -> None:
    """Refuse an experiment whose files were in a folder that no longer exists.

    MLflow keeps absolute addresses: after a move it would create the old folder again.
    """
    is_local = store.database is not None and location.startswith("file:")
    if not is_local or location == store.artifact_location:
        return
    folder = Path(url2pathname(urlsplit(location).path))
    if not folder.parent.is_dir():
        raise StoreError(
            f"the experiment {store.experiment!r} in {store.database} keeps its files "
            f"in {folder}, which does not exist: if the project was moved, make that "
            "path a link to the new folder, or set publish.experiment to a new name."
        )


def keeper_tags(process: psutil.Process | None = None) -> dict[str, str]:
    """Tags that name the process without which a run has ended; by default this one."""
    process = process or psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: f"{process.pid} {start_of(process)}",
    }


def close_abandoned_runs(client: "MlflowClient", experiment_id: str) -> None:
    """Mark as killed the unfinished runs of dead processes of this machine."""
    own_host = {HOST_TAG: socket.gethostname()}
    for run in runs_with(client, experiment_id, own_host, ("RUNNING",)):
        pid, started = run.data.tags[PROCESS_TAG].split()
        if not is_running(int(pid), float(started)):
            reason = "its processes ended before it was published"
            client.set_tag(run.info.run_id, FAILURE_TAG, reason)
            client.set_terminated(run.info.run_id, status="KILLED")


def runs_with(
    client: "MlflowClient",
    experiment_id: str,
    tags: Mapping[str, str],
    statuses: Collection[str],
) -> "list[Run]":
    """Find the runs with all of some tags and one of some statuses, latest first."""
    condition = " AND ".join(
        f"tags.`{name}` = '{value}'" for name, value in tags.items()
    )
    runs = client.search_runs(
        [experiment_id],
        condition,
        max_results=50_000,
        order_by=["attributes.start_time DESC"],
    )
    return [run for run in runs if run.info.status in statuses]
