"""The MLflow store of a project: where it is, how it is opened, who ends its runs."""

import json
import logging
import os
import re
import socket
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import psutil
from filelock import FileLock

from spikejoule.core.errors import SpikejouleError, StoreError
from spikejoule.core.processes import is_running, start_of
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.params import load_params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HOST_TAG = "spikejoule.keeper.host"
PROCESS_TAG = "spikejoule.keeper.process"
FAILURE_TAG = "spikejoule.failure"
COMMIT_TAG = "mlflow.source.git.commit"
"""MLflow's own tag, which its pages show next to the run."""
RESULT_TAG = "spikejoule.result_id"
"""Identifies the result of a run; a run without it is no result."""
FILES_TAG = "data.sha256"
"""Digest of the checksums of all files of the data."""

# Words of a message that may hold a password or a token: addresses, users with a host,
# settings.
_MAY_BE_SECRET = re.compile(r"://|@|\w=")
# After the scheme: user, host with or without a port (an IPv6 address has brackets),
# path. An @ in the path may belong to a password with a slash.
_PLACE = re.compile(
    r"([^/?#]*@)?(?P<host>([\w.-]*|\[[\da-fA-F:]+\])(:\d+)?)([/?#][^@]*)?"
)
_TRIES = 3  # to open a database; MLflow's ten take 102 s
_LOCK_SECONDS = 300.0  # another process may be sending a run to a slow server
_SQLITE = "sqlite:///"
_NO_PATH = (":", "file:")  # after the prefix: a database in memory, or SQLite's own URI
_ARTIFACTS = "mlartifacts"
VIEW: Final = "overview"
"""Name of the saved view in its address:
`.../experiments/1/runs?viewStateShareKey=overview`.
"""
_VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"

# Columns of the saved view, with widths in pixels at which every heading fits.
_ALWAYS_SHOWN = {"attributes.`Run Name`": 200, "runDateAndNestInfo": 120}
_SELECTED = {
    "metrics.`accuracy`": 95,
    "metrics.`accuracy_val`": 120,
    "metrics.`events`": 90,
    "metrics.`energy_nj`": 105,
    "metrics.`ratio`": 80,
    "params.`energy_report.profile`": 175,
    "attributes.`Dataset`": 230,
}
# MLflow keeps a saved view of the run list as a tag of the experiment. This is the form
# of MLflow 3.17; a version that does not know it shows its own columns.
_VIEW_STATE = {
    "selectedColumns": [*_SELECTED],
    "columnOrder": [*_ALWAYS_SHOWN, *_SELECTED],
    "columnWidths": _ALWAYS_SHOWN | _SELECTED,
}
_SAVED_VIEW = json.dumps(
    {
        "name": VIEW.capitalize(),
        "createdAt": 0,
        "updatedAt": 0,
        "state": json.dumps(_VIEW_STATE),
    }
)
_NOTE = (
    "Spiking networks, one run for each distinct result of a pipeline. The view "
    "**Overview** shows accuracy, synaptic events and energy per inference, the ratio "
    "to a conventional network's energy at equal accuracy, and the price list of both."
)
# MLflow reads these when it is imported, PostgreSQL's client when it connects: a store
# that never answers becomes an error after about a minute. The user's own settings win.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
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
        """The file of an SQLite database; None for other stores and `file:...` URIs."""
        if not self.tracking_uri.startswith(_SQLITE):
            return None
        path = self.tracking_uri.removeprefix(_SQLITE).partition("?")[0]
        return None if path.startswith(_NO_PATH) else Path(unquote(path))

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
    uri = at_root(root, environment.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")
    # A server decides itself where files go.
    is_server = uri.partition(":")[0] in ("http", "https", "databricks")
    artifacts = environment.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or _ARTIFACTS
    if "://" not in artifacts:
        artifacts = (root / artifacts).as_uri()
    return Store(
        tracking_uri=uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or experiment,
        artifact_location=None if is_server else artifacts,
        root=root,
    )


@contextmanager
def opened(store: Store, to_write: bool = True) -> Iterator["tuple[MlflowClient, str]"]:
    """Open a store: yields a client and the id of the experiment, created if needed.

    Meanwhile no other process that shares the database, or this project, opens the
    store; the client may be used afterwards. Runs that a dead process of this machine
    left unfinished are ended on the way. A store that does not answer is an MLflow
    error after a minute at most.

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


def _set_mlflow_up() -> None:
    """Import MLflow, which takes two seconds, without logs, telemetry or long waits."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow.store.db.utils

    mlflow.store.db.utils.MAX_RETRY_COUNT = _TRIES
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # These log what they also raise: one with a traceback, one with secrets.
    for name in (
        "mlflow.store.db",
        "mlflow.system_metrics",
        "mlflow.utils.databricks_utils",
        "urllib3.connectionpool",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn errors of a server, a database or a disk into a StoreError of one sentence.

    The sentence begins with `what`. An error of this project stays as it is.
    """
    try:
        yield
    except SpikejouleError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "mlflow":
            raise  # MLflow is not installed: no problem of the store
        raise StoreError(f"{what} ({kind_of_failure(error)}).") from error


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
    where = shown_uri(store.tracking_uri)
    with (
        store_errors(f"the MLflow store {where} cannot be read"),
        opened(store, to_write=False) as client_and_experiment,
    ):
        yield client_and_experiment


def keeper_tags(process: psutil.Process | None = None) -> dict[str, str]:
    """Tags that name the process without which a run has ended; by default this one."""
    process = process or psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: f"{process.pid} {start_of(process)}",
    }


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


def close_abandoned_runs(client: "MlflowClient", experiment_id: str) -> None:
    """Mark as killed the unfinished runs of dead processes of this machine."""
    own_host = {HOST_TAG: socket.gethostname()}
    for run in runs_with(client, experiment_id, own_host, ("RUNNING",)):
        pid, started = run.data.tags[PROCESS_TAG].split()
        if not is_running(int(pid), float(started)):
            reason = "its processes ended before it was published"
            client.set_tag(run.info.run_id, FAILURE_TAG, reason)
            client.set_terminated(run.info.run_id, status="KILLED")


def without_passwords(text: str) -> str:
    """Put a message on one line, without words that may hold a password."""
    return " ".join(
        "***" if _MAY_BE_SECRET.search(word) else word for word in text.split()
    )


def shown_uri(uri: str) -> str:
    """Shorten a URI to what may be shown: scheme and host; the path of local files.

    User, path and settings of any other URI may be secrets.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return "***" if ":" in uri else uri  # a file path has no colon
    if scheme in ("sqlite", "file") and rest.startswith("/"):
        return uri.partition("?")[0]
    # After this scheme stands the name of a profile.
    place = None if scheme.startswith("databricks") else _PLACE.fullmatch(rest)
    return f"{scheme}://{place['host'] if place else '***'}"


def in_one_line(error: BaseException) -> str:
    """Describe an error in a short line without words that may hold a password."""
    return without_passwords(str(error))[:300].rstrip(". ") or type(error).__name__


def kind_of_failure(error: BaseException) -> str:
    """Describe an error of a store in fixed words.

    Libraries quote addresses in their own words, also in parts, and an address may hold
    a password. Of their texts, only those of the system and of SQLite are shown, which
    know no address.
    """
    cause = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    if isinstance(cause, socket.gaierror):  # its numbers are not the system's
        return "the host's name is not known"
    if isinstance(cause, OSError) and cause.errno:
        place = f": {cause.filename}" if cause.filename else ""
        return without_passwords(f"{os.strerror(cause.errno)}{place}")
    if isinstance(cause, sqlite3.Error):
        return in_one_line(cause)
    # MLflow's own code of an error, such as RESOURCE_DOES_NOT_EXIST.
    code = getattr(error, "error_code", None)
    return f"{type(cause).__name__}, {code}" if code else type(cause).__name__


def at_root(root: Path, uri: str) -> str:
    """Make the path in an SQLite URI absolute, starting at `root`."""
    scheme, separator, path = uri.partition(":///")
    is_sqlite = bool(separator) and scheme.partition("+")[0] == "sqlite"
    if not is_sqlite or path.startswith(("/", *_NO_PATH)):
        return uri
    return f"{scheme}:///{_quoted(root)}/{path}"


def _quoted(path: Path) -> str:
    """Quote a path for a URI: SQLAlchemy decodes `%3F` and stops at a question mark."""
    return str(path).replace("%", "%25").replace("?", "%3F")


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


def _check_files_exist(store: Store, location: str) -> None:
    """Refuse an experiment whose files were in a folder that no longer exists.

    MLflow keeps absolute addresses: after a move it would create the old folder again.
    """
    address = urlsplit(location)
    is_local = store.database is not None and address.scheme == "file"
    if not is_local or location == store.artifact_location:
        return
    folder = Path(unquote(address.path))
    if not folder.parent.is_dir():
        raise StoreError(
            f"the experiment {store.experiment!r} in {store.database} keeps its files "
            f"in {folder}, which does not exist: if the project was moved, make that "
            "path a link to the new folder, or set publish.experiment to a new name."
        )


def _experiment(client: "MlflowClient", store: Store) -> Any:
    """Return the store's experiment, created if needed, with the saved view."""
    name = store.experiment
    experiment: Any = client.get_experiment_by_name(name)
    if experiment is None:
        tags = {
            "mlflow.note.content": _NOTE,
            "mlflow.experimentKind": "custom_model_development",
        }
        client.create_experiment(name, store.artifact_location, tags)
        experiment = client.get_experiment_by_name(name)
    if experiment.tags.get(_VIEW_TAG) != _SAVED_VIEW:
        client.set_experiment_tag(experiment.experiment_id, _VIEW_TAG, _SAVED_VIEW)
    return experiment
