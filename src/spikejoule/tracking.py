"""Runs in an MLflow store: the only module that imports mlflow.

A run is written in one go from a `RunRecord`, once for each distinct result: publishing the same
result again finds the run and adds nothing. Whatever goes wrong is a warning, never an exception,
and takes bounded time: a pipeline whose outputs are on disk has not failed because a server is
down.
"""

import logging
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

RESULT_TAG = "spikejoule.result_id"
TIME_LIMIT_SECONDS = 120.0

_CONNECTION_SECONDS = 5.0
_LOCK_SECONDS = 60.0
_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
# MLflow's own limits on one call of log_batch.
_PARAMETERS_A_BATCH = 100
_METRICS_A_BATCH = 1000
# MLflow reads these when it is imported; what the user has set stays.
_MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
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
    """

    tracking_uri: str
    experiment: str
    artifact_location: str | None
    lock_path: Path


@dataclass(frozen=True)
class Artifact:
    """A file to store with a run, and the folder within the run that it goes to."""

    path: Path
    folder: str


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and metrics.
        name: the run's name in the user interface; None lets MLflow invent one.
        parameters: every parameter by its full name (`train.lr`).
        history: one mapping an epoch: `epoch` (from 1) becomes the step, `elapsed_seconds` (since
            the start; optional) its place on the time axis, the rest metrics.
        metrics: the final figures.
        tags: provenance in words.
        artifacts: files to store.
        started_ms: start, in milliseconds since 1970; None for now.
        ended_ms: end likewise.
    """

    result_id: str
    name: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()
    started_ms: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True)
class Publication:
    """The run that holds a result, and whether it was added now or had been there before."""

    run_id: str
    added: bool


def project_store(
    root: Path, experiment: str, environment: Mapping[str, str] = os.environ
) -> Store:
    """The store of the project at `root`: `mlflow.db`, with its files under `mlartifacts`.

    MLflow's own variables MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME take precedence.
    """
    root = root.resolve()
    uri = environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
    # A server has a place for artifacts of its own; a bare database would take the working
    # directory, which for a queued experiment is about to vanish.
    served = urlsplit(uri).scheme in ("http", "https", "databricks") or uri == "databricks"
    return Store(
        tracking_uri=uri,
        experiment=environment.get("MLFLOW_EXPERIMENT_NAME") or experiment,
        artifact_location=None if served else (root / "mlartifacts").as_uri(),
        lock_path=root / "mlflow.db.lock",
    )


def publish(
    record: RunRecord, store: Store, time_limit_seconds: float = TIME_LIMIT_SECONDS
) -> Publication | None:
    """Write `record` as one finished run unless the store holds its result already.

    Returns the run, or None after a warning if the store could not be reached, refused, or took
    longer than `time_limit_seconds`.
    """
    outcome: list[Publication | Exception] = []

    def work() -> None:
        try:
            outcome.append(_publish(record, store))
        # Tracking never fails the pipeline, whatever a server, a database or a disk answers.
        except Exception as error:
            outcome.append(error)

    # A daemon, because nothing in Python can end a call that waits for a server: the process may.
    worker = threading.Thread(target=work, name="spikejoule-tracking", daemon=True)
    worker.start()
    worker.join(time_limit_seconds)
    result = outcome[0] if outcome else TimeoutError(f"no end after {time_limit_seconds:g} s")
    if isinstance(result, Exception):
        reason = " ".join(str(result).split())[:300] or type(result).__name__
        logger.warning(
            "the run was not recorded at %s (%s); all other outputs are complete.",
            _without_password(store.tracking_uri),
            reason,
        )
        return None
    return result


def _publish(record: RunRecord, store: Store) -> Publication:
    _check_reachable(store.tracking_uri)
    for name, value in _MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # two seconds, so only where it is used

    logging.getLogger("alembic").setLevel(logging.WARNING)
    store.lock_path.parent.mkdir(parents=True, exist_ok=True)
    # Held from the search to the end of the run: a run that is unfinished under the lock was left
    # by a process that is gone.
    with FileLock(store.lock_path, timeout=_LOCK_SECONDS):
        client = MlflowClient(tracking_uri=store.tracking_uri)
        experiment_id = _experiment_id(client, store)
        for run in client.search_runs(
            [experiment_id], filter_string=f"tags.`{RESULT_TAG}` = '{record.result_id}'"
        ):
            if run.info.status == "FINISHED":
                return Publication(run_id=run.info.run_id, added=False)
            if run.info.status == "RUNNING":
                client.set_terminated(run.info.run_id, status="KILLED")
        return Publication(run_id=_write_run(client, experiment_id, record), added=True)


def _experiment_id(client: "MlflowClient", store: Store) -> str:
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is not None:
        return str(experiment.experiment_id)
    return str(
        client.create_experiment(store.experiment, artifact_location=store.artifact_location)
    )


def _write_run(client: "MlflowClient", experiment_id: str, record: RunRecord) -> str:
    from mlflow.entities import Metric, Param

    now_ms = time.time_ns() // 1_000_000
    started_ms = now_ms if record.started_ms is None else record.started_ms
    ended_ms = max(started_ms, now_ms if record.ended_ms is None else record.ended_ms)
    run = client.create_run(
        experiment_id,
        start_time=started_ms,
        run_name=record.name,
        tags={**record.tags, RESULT_TAG: record.result_id},
    )
    run_id = str(run.info.run_id)
    try:
        parameters = [Param(name, str(value)) for name, value in record.parameters.items()]
        for some_parameters in _batches(parameters, _PARAMETERS_A_BATCH):
            client.log_batch(run_id, params=some_parameters)
        metrics = [
            *_history_metrics(record.history, started_ms),
            *(Metric(name, float(value), ended_ms, 0) for name, value in record.metrics.items()),
        ]
        for some_metrics in _batches(metrics, _METRICS_A_BATCH):
            client.log_batch(run_id, metrics=some_metrics)
        for artifact in record.artifacts:
            client.log_artifact(run_id, str(artifact.path), artifact.folder)
    except BaseException as error:
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        client.set_tag(run_id, "spikejoule.failure", reason)
        client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id, status="FINISHED", end_time=ended_ms)
    return run_id


def _history_metrics(history: Sequence[Mapping[str, float]], started_ms: int) -> Iterator["Metric"]:
    from mlflow.entities import Metric

    for row in history:
        time_ms = started_ms + round(1000 * row.get("elapsed_seconds", 0.0))
        for name, value in row.items():
            if name not in ("epoch", "elapsed_seconds"):
                yield Metric(name, float(value), time_ms, int(row["epoch"]))


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _check_reachable(uri: str) -> None:
    """Raise OSError within seconds if nobody listens at the URI's address.

    MLflow would find out by itself, but after minutes of retries.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.split("+")[0]
    port = parts.port or _DEFAULT_PORTS.get(scheme)
    if not parts.hostname or port is None:
        return
    proxied = scheme in urllib.request.getproxies()
    if proxied and not urllib.request.proxy_bypass(parts.hostname):
        return
    socket.create_connection((parts.hostname, port), timeout=_CONNECTION_SECONDS).close()


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return uri.replace(f":{parts.password}@", ":***@", 1)
