"""The MLflow store of a project: where it is, how it is opened, and who ends the runs
in it.
"""

import json
import logging
import os
import re
import shlex
import socket
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

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HOST_TAG = "spikejoule.keeper.host"
PROCESS_TAG = "spikejoule.keeper.process"
FAILURE_TAG = "spikejoule.failure"
COMMIT_TAG = "mlflow.source.git.commit"
"""MLflow's own name for it, which its pages show next to the run."""
BOUND_TAG: Final = "ratio_bound"
"""``at least`` or ``at most``, where a run's ratio is a bound."""
FILES_TAG = "data.sha256"
"""A digest of the checksums of all files of the data."""

# What may be a password or a token in a message: an address, a user before a host, a
# setting.
_MAY_BE_SECRET = re.compile(r"://|@|\w=")
# A host with or without a port; an IPv6 address has brackets.
_HOST = re.compile(r"([\w.-]*|\[[\da-fA-F:]+\])(:\d+)?")
# Libraries whose errors quote addresses, statements and values; what made them fail
# does not.
_QUOTING = ("requests", "sqlalchemy")
_TRIES = 3  # to open a database; MLflow has ten, for 102 s together
_LOCK_SECONDS = 300.0  # of a run with its files, on its way to a slow server
_SQLITE = "sqlite:///"
_NO_PATH = (":", "file:")  # behind it: a database in memory, or SQLite's own URI
_ARTIFACTS = "mlartifacts"
VIEW: Final = "overview"
"""The saved view's name in an address:
`.../experiments/1/runs?viewStateShareKey=overview`.
"""
_VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW}"

# The columns of the saved view and their widths in pixels: every heading fits, and
# every name of a conventional network.
_ALWAYS_SHOWN = {"attributes.`Run Name`": 390, "runDateAndNestInfo": 120}
_SELECTED = {
    "metrics.`accuracy`": 95,
    "metrics.`events`": 90,
    "metrics.`energy_nj`": 105,
    "metrics.`ratio`": 80,
    "params.`energy_report.profile`": 175,
    "attributes.`Dataset`": 230,
}
# MLflow keeps a saved view of the run list as a tag of the experiment; its form is that
# of MLflow 3.17, and a version that does not know it shows its own columns.
_VIEW_STATE = {
    "selectedColumns": [*_SELECTED],
    "columnOrder": [*_ALWAYS_SHOWN, *_SELECTED],
    "columnWidths": {**_ALWAYS_SHOWN, **_SELECTED},
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
    "Spiking networks, one run for each distinct result of a pipeline, or each "
    "graph; below a run "
    "the conventional networks that were trained with it. The view **Overview** "
    "shows accuracy, "
    "synaptic events and energy per inference, the ratio to a conventional "
    "network's energy at "
    "equal accuracy, and the price list of both."
)
# MLflow reads these when it is imported, and PostgreSQL's client when it connects, so
# that a store that never answers is an error after about a minute; what the user has
# set stays.
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
    """Where runs go.

    Attributes:
        tracking_uri: of the MLflow server or database.
        experiment: name of the experiment; created if it does not exist.
        artifact_location: URI under which a new experiment keeps files; None leaves the
            choice to the server.
        root: of the project.
    """

    tracking_uri: str
    experiment: str
    artifact_location: str | None
    root: Path

    @property
    def database(self) -> Path | None:
        """The file of an SQLite database; None for any other store, or one named
        `file:...`.
        """
        if not self.tracking_uri.startswith(_SQLITE):
            return None
        path = self.tracking_uri.removeprefix(_SQLITE).partition("?")[0]
        return None if path.startswith(_NO_PATH) else Path(unquote(path))

    @property
    def lock_path(self) -> Path:
        """The file that serialises writers: two processes that create a database at
        once break it.

        It is next to the database, which several projects may share, and for any other
        store at the root of the project.
        """
        database = (self.database or self.root / "mlflow.db").resolve()
        return database.with_name(f"{database.name}.lock")


def project_store(
    root: Path, experiment: str, environment: Mapping[str, str] = os.environ
) -> Store:
    """The store of the project at `root`: `mlflow.db`, with its files under
    `mlartifacts`.

    MLflow's own variables take precedence: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME,
    and for a database without a server MLFLOW_DEFAULT_ARTIFACT_ROOT, the variable of
    `mlflow server`'s option, which holds from the creation of the experiment on.
    Relative paths in them start at `root`: a queued experiment's working directory is
    about to vanish.
    """
    root = root.resolve()
    uri = at_root(root, environment.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")
    # A server has a place for artifacts of its own.
    served = uri.partition(":")[0] in ("http", "https", "databricks")
    artifacts = environment.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or _ARTIFACTS
    if "://" not in artifacts:
        artifacts = (root / artifacts).as_uri()
    return Store(
        tracking_uri=uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or experiment,
        artifact_location=None if served else artifacts,
        root=root,
    )


@contextmanager
def opened(store: Store, to_write: bool = True) -> Iterator["tuple[MlflowClient, str]"]:
    """A client of `store` and the id of its experiment, which is created if it does not
    exist.

    No other process that shares the database, or this project, opens the store
    meanwhile; the client may be used beyond. On the way, runs that a process of this
    machine left unfinished when it died are ended. A store that does not answer is an
    MLflow error after a minute at most.

    Raises StoreError if runs are to be written in a project that was moved or copied,
    so that the experiment keeps its files elsewhere.
    """
    _set_mlflow_up()
    from mlflow import MlflowClient

    store.lock_path.parent.mkdir(parents=True, exist_ok=True)
    # A group that may write into the database may lock it, whoever created it.
    with FileLock(store.lock_path, timeout=_LOCK_SECONDS, mode=0o664):
        if store.database is not None and not store.database.exists():
            _create(store.database)
        client = MlflowClient(tracking_uri=store.tracking_uri)
        experiment = _experiment(client, store)
        if to_write:
            _check_not_moved(store, experiment.artifact_location)
        close_abandoned_runs(client, experiment.experiment_id)
        yield client, str(experiment.experiment_id)


def _set_mlflow_up() -> None:
    """Import MLflow, which takes two seconds: quiet, without telemetry, in bounded
    time.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow.store.db.utils

    mlflow.store.db.utils.MAX_RETRY_COUNT = _TRIES
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # They log, one with a traceback, one with secrets, what they raise as well.
    for name in (
        "mlflow.store.db",
        "mlflow.utils.databricks_utils",
        "urllib3.connectionpool",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn whatever a server, a database or a disk answers into a StoreError of one
    sentence, which begins with `what`; an error of this project's own stays as it is.
    """
    try:
        yield
    except SpikejouleError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "mlflow":
            raise  # not installed, which is no answer of a store
        raise StoreError(f"{what} ({in_one_line(error)}).") from error


@contextmanager
def opened_to_read(store: Store) -> "Iterator[tuple[MlflowClient, str]]":
    """A client of a store that exists, and the id of its experiment.

    Raises StoreError if the store does not exist, and for whatever goes wrong while it
    is read; an error of this project's own stays as it is.
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
    """Tags that name a process, by default this one, as the one without which a run has
    ended.
    """
    process = process or psutil.Process()
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: f"{process.pid} {start_of(process)}",
    }


def runs_with(
    client: "MlflowClient",
    experiment_id: str,
    tags: Mapping[str, str],
    statuses: Collection[str] | None = None,
) -> "list[Run]":
    """The runs with all of some tags and one of some statuses (None: any), the latest
    first.
    """
    condition = " AND ".join(
        f"tags.`{name}` = '{value}'" for name, value in tags.items()
    )
    runs = client.search_runs(
        [experiment_id],
        condition,
        max_results=50_000,
        order_by=["attributes.start_time DESC"],
    )
    return [run for run in runs if statuses is None or run.info.status in statuses]


def close_abandoned_runs(client: "MlflowClient", experiment_id: str) -> None:
    """Mark as killed the runs that this machine's dead processes have left
    unfinished.
    """
    for run in runs_with(
        client, experiment_id, {HOST_TAG: socket.gethostname()}, ("RUNNING",)
    ):
        pid, started = run.data.tags[PROCESS_TAG].split()
        if not is_running(int(pid), float(started)):
            reason = "its processes ended before it was published"
            client.set_tag(run.info.run_id, FAILURE_TAG, reason)
            client.set_terminated(run.info.run_id, status="KILLED")


def without_passwords(text: str) -> str:
    """A message in one line, as it may be shown: without words that may hold a
    password.
    """
    return " ".join(
        "***" if _MAY_BE_SECRET.search(word) else word for word in text.split()
    )


def shown_uri(uri: str) -> str:
    """A URI as it may be shown: scheme and host; of SQLite's and of files the path.

    The user, the path and the settings of any other may be secrets.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return "***" if ":" in uri else uri  # the path of a file has no colon
    if scheme in ("sqlite", "file") and rest.startswith("/"):
        return uri.partition("?")[0]
    place, *behind = re.split("[/?#]", rest, maxsplit=1)
    host = place.rpartition("@")[2]
    # Behind the host, an @ may be that of a password with a slash.
    if "@" in "".join(behind) or not _HOST.fullmatch(host):
        return f"{scheme}://***"
    return f"{scheme}://{host}"


def in_one_line(error: BaseException) -> str:
    """What an error says, as a short line without passwords."""
    cause = _cause_of(error)
    # A server that is not MLflow's may quote the address in its answer.
    text = str(cause).partition("Response body:")[0]
    return without_passwords(text)[:300].rstrip(". ") or type(cause).__name__


def _cause_of(error: BaseException) -> BaseException:
    """What made a request or a statement fail (a refused connection, say); else the
    error.
    """
    cause: BaseException | None = error
    is_quoting = False
    while cause is not None:
        is_quoting |= type(cause).__module__.startswith(_QUOTING)
        root = cause
        cause = cause.__cause__ or cause.__context__
    return root if is_quoting else error


def at_root(root: Path, uri: str) -> str:
    """A URI of SQLite with its path made absolute; any other as it is."""
    scheme, separator, path = uri.partition(":///")
    is_sqlite = bool(separator) and scheme.partition("+")[0] == "sqlite"
    if not is_sqlite or path.startswith(("/", *_NO_PATH)):
        return uri
    return f"{scheme}:///{_quoted(root)}/{path}"


def _quoted(path: Path) -> str:
    """A path in a URI: SQLAlchemy reads `%3F` as a character, and ends it at a question
    mark.
    """
    return str(path).replace("%", "%25").replace("?", "%3F")


def _create(database: Path) -> None:
    """Create a database under its name when it is whole: no kill leaves one that is
    half made.

    MLflow would refuse that for good, since its tables are there and its version is
    not.
    """
    from mlflow import MlflowClient

    database.parent.mkdir(parents=True, exist_ok=True)
    unfinished = database.with_name(f".{database.name}.tmp")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"{_SQLITE}{_quoted(unfinished)}").search_experiments(
        max_results=1
    )
    os.replace(unfinished, database)


def _check_not_moved(store: Store, recorded: str) -> None:
    """Refuse a project's own store whose experiment keeps its files in another folder.

    MLflow keeps absolute addresses: it would go on writing to where the project was.
    """
    address = urlsplit(recorded)
    if address.scheme != "file":  # a bucket, which does not move with a project
        return
    new = store.root / _ARTIFACTS
    old = Path(unquote(address.path))
    is_own = store.database is not None and store.database.is_relative_to(store.root)
    is_default = store.artifact_location == new.as_uri() and old.name == _ARTIFACTS
    if not (is_own and is_default) or old.resolve() == new.resolve():
        return
    remedy = "this project is a copy: set publish.experiment to a new name"
    if not old.parent.exists():
        folder, link, target = (
            shlex.quote(str(path)) for path in (old.parent, old, new)
        )
        remedy = (
            f"the project was moved: run `mkdir -p {folder} && ln -s {target} {link}`"
        )
    raise StoreError(
        f"the runs in {store.database} have their files in {old}, and {remedy}."
    )


def _experiment(client: "MlflowClient", store: Store) -> Any:
    """The store's experiment with the saved view of its runs; a new one has a
    description, too.
    """
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
