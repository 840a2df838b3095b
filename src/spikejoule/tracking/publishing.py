"""Writing a `RunRecord` into a store, once for each distinct result, and never at any price."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.tracking.keeper import FAILURE_TAG, HOST_TAG, PROCESS_TAG, is_kept, keeper_tags
from spikejoule.tracking.queries import refuse_wrong_citations
from spikejoule.tracking.records import RESULT_TAG, RunRecord
from spikejoule.tracking.registry import Registration, register
from spikejoule.tracking.store import Store, in_one_line, opened, without_passwords
from spikejoule.tracking.writing import (
    log_dataset,
    log_history,
    log_metrics,
    log_parameters,
    log_tags,
    with_context,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

PIPELINE_TAG = "spikejoule.pipeline"
TRAINED_TAG = "trained.sha256"
TIME_LIMIT_SECONDS = 120.0

# What a server answers that has no registry, and will have none tomorrow.
_WITHOUT_REGISTRY = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED")


@dataclass(frozen=True)
class Publication:
    """The run that holds a result.

    Attributes:
        run_id: MLflow's identifier.
        added: whether it was added now, or had been there before.
        registration: the result's version in the model registry; None if it has none.
        is_complete: whether publishing it again, at another time, could add nothing.
    """

    run_id: str
    added: bool
    registration: Registration | None = None
    is_complete: bool = True


def publish(
    record: RunRecord,
    store: Store,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
    pipeline: str | None = None,
) -> Publication:
    """Write `record` as one finished run unless the store holds its result already.

    A run that was shown live while `pipeline` ran, or that a killed pipeline left behind with the
    same weights, is completed; else a new one is made. Raises StoreError if the store could not be
    reached, refused, or took longer than `time_limit_seconds`; ArtifactError if the record's
    files say what the store's runs do not hold.
    """
    outcome: list[Publication | Exception] = []

    def work() -> None:
        try:
            outcome.append(_register(record, _publish(record, store, pipeline), store))
        # Whatever a server, a database or a disk answers.
        except Exception as error:
            outcome.append(error)

    # A daemon, because nothing in Python can end a call that waits for a server: the process may.
    worker = threading.Thread(target=work, name="spikejoule-tracking", daemon=True)
    worker.start()
    worker.join(time_limit_seconds)
    result = outcome[0] if outcome else TimeoutError(f"no end after {time_limit_seconds:g} s")
    if isinstance(result, ArtifactError):
        raise result
    if isinstance(result, Exception):
        raise StoreError(
            f"the run was not recorded at {without_passwords(store.tracking_uri)} "
            f"({in_one_line(result)})"
        ) from result
    return result


def _register(record: RunRecord, publication: Publication, store: Store) -> Publication:
    """The publication with its version in the registry, or without one and a warning."""
    try:
        return replace(publication, registration=register(record, publication.run_id, store))
    # The run is recorded without a version, and some servers have no registry.
    except Exception as error:
        logger.warning(
            "the run %s is recorded, but its checkpoint is no version in the model registry of %s "
            "(%s).",
            publication.run_id, without_passwords(store.tracking_uri), in_one_line(error),
        )  # fmt: skip
        return replace(
            publication, is_complete=getattr(error, "error_code", None) in _WITHOUT_REGISTRY
        )


def _publish(record: RunRecord, store: Store, pipeline: str | None) -> Publication:
    # The store is held while a run is claimed, not while it is written: with its result's tag on
    # it, no other process takes it up or repeats it.
    with opened(store) as (client, experiment_id):
        live = _live_run(client, experiment_id, record, pipeline)
        try:
            refuse_wrong_citations(record.cited, client, experiment_id)
        except ArtifactError as error:
            if live is not None:
                _fail(client, live.info.run_id, error)
            raise
        found = _run_with_result(client, experiment_id, record.result_id)
        if found is not None:
            if live is not None and live.info.run_id != found:
                client.delete_run(live.info.run_id)  # it has shown nothing new
            return Publication(run_id=found, added=False)
        run_id = _claim(client, experiment_id, record, live)
    _write(client, run_id, record, live is not None)
    return Publication(run_id=run_id, added=True)


def _run_with_result(client: "MlflowClient", experiment_id: str, result_id: str) -> str | None:
    """The run that holds a result, or that another process is writing it to."""
    runs = client.search_runs([experiment_id], f"tags.`{RESULT_TAG}` = '{result_id}'")
    for run in runs:
        if run.info.status == "FINISHED":
            return str(run.info.run_id)
    for run in runs:
        if run.info.status == "RUNNING" and is_kept(run.data.tags):
            return str(run.info.run_id)
    return None


def _live_run(
    client: "MlflowClient", experiment_id: str, record: RunRecord, pipeline: str | None
) -> Any | None:
    """The run to complete: the one shown live, or one that was left before it was published."""
    trained = record.tags.get(TRAINED_TAG)
    if trained is None:
        return None
    # Parameters of a run cannot be changed, so it must have had these.
    parameters = {name: str(value) for name, value in record.parameters.items()}
    runs = [
        run
        for run in client.search_runs([experiment_id], f"tags.`{TRAINED_TAG}` = '{trained}'")
        if run.data.params.items() <= parameters.items()
    ]
    for run in runs:
        own = pipeline is not None and run.data.tags.get(PIPELINE_TAG) == pipeline
        if own and run.info.status != "FINISHED":
            return run
    for run in runs:
        is_left = run.info.status == "KILLED" and PIPELINE_TAG in run.data.tags
        is_half_published = run.data.tags.get(RESULT_TAG) == record.result_id
        if is_left or (is_half_published and run.info.status in ("FAILED", "KILLED")):
            return run
    return None


def _claim(client: "MlflowClient", experiment_id: str, record: RunRecord, live: Any | None) -> str:
    """The id of a run that is marked as this process's, with the record's tags on it."""
    tags = with_context({**record.tags, **keeper_tags(), RESULT_TAG: record.result_id})
    if live is None:
        run = client.create_run(
            experiment_id, start_time=_started_ms(record), run_name=record.name, tags=tags
        )
        return str(run.info.run_id)
    run_id = str(live.info.run_id)
    client.update_run(run_id, status="RUNNING")
    if FAILURE_TAG in live.data.tags:
        client.delete_tag(run_id, FAILURE_TAG)
    log_tags(client, run_id, tags)
    return run_id


def _write(client: "MlflowClient", run_id: str, record: RunRecord, was_live: bool) -> None:
    now_ms = time.time_ns() // 1_000_000
    started_ms = _started_ms(record)
    ended_ms = now_ms if was_live or record.ended_ms is None else record.ended_ms
    try:
        log_parameters(client, run_id, record.parameters)
        log_dataset(client, run_id, record.tags)
        log_history(client, run_id, record.history, started_ms, repeated=was_live)
        log_metrics(client, run_id, record.metrics, ended_ms)
        for artifact in record.artifacts:
            client.log_artifact(run_id, str(artifact.path), artifact.folder)
    except BaseException as error:
        _fail(client, run_id, error)
        raise
    client.set_terminated(run_id, status="FINISHED", end_time=max(started_ms, ended_ms))
    for tag in (HOST_TAG, PROCESS_TAG):
        client.delete_tag(run_id, tag)


def _fail(client: "MlflowClient", run_id: str, error: BaseException) -> None:
    client.set_tag(run_id, FAILURE_TAG, in_one_line(error))
    client.set_terminated(run_id, status="FAILED")


def _started_ms(record: RunRecord) -> int:
    return time.time_ns() // 1_000_000 if record.started_ms is None else record.started_ms
