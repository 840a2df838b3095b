"""Writing a `RunRecord` into a store: once for each distinct result, in bounded time."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psutil

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.tracking.queries import refuse_wrong_citations
from spikejoule.tracking.records import RESULT_TAG, TRAINED_TAG, RunRecord
from spikejoule.tracking.registry import Registration, register
from spikejoule.tracking.store import (
    FAILURE_TAG,
    HOST_TAG,
    PROCESS_TAG,
    Store,
    in_one_line,
    is_kept,
    keeper_tags,
    opened,
    without_passwords,
)
from spikejoule.tracking.writing import dataset_input, log, log_history, take_up

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

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
    """

    run_id: str
    added: bool
    registration: Registration | None = None


def publish(
    record: RunRecord,
    store: Store,
    time_limit_seconds: float = TIME_LIMIT_SECONDS,
    keeper: psutil.Process | None = None,
) -> Publication:
    """Write `record` as one finished run unless the store holds its result already.

    The run in which its training was shown is completed; where there is none, a new one is made.

    Args:
        record: what to write.
        store: where to.
        time_limit_seconds: after which a store that does not answer is given up.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is missing then
            is added when the record is published again.
        ArtifactError: the record's files say what the store's runs do not hold.
    """
    outcome: list[Publication | Exception] = []
    where = without_passwords(store.tracking_uri)

    def work() -> None:
        try:
            outcome.append(_register(record, _publish(record, store, keeper), store, where))
        # Whatever a server, a database or a disk answers.
        except Exception as error:
            outcome.append(error)

    # A daemon, because nothing in Python can end a call that waits for a server: the process may.
    worker = threading.Thread(target=work, name="spikejoule-tracking", daemon=True)
    worker.start()
    worker.join(time_limit_seconds)
    result = outcome[0] if outcome else TimeoutError(f"no end after {time_limit_seconds:g} s")
    if isinstance(result, ArtifactError | StoreError):
        raise result
    if isinstance(result, Exception):
        raise StoreError(
            f"the run was not recorded at {where} ({in_one_line(result)})."
        ) from result
    return result


def _register(record: RunRecord, publication: Publication, store: Store, where: str) -> Publication:
    """The publication with its version in the registry; without one if there is no registry."""
    try:
        return replace(publication, registration=register(record, publication.run_id, store))
    except Exception as error:
        said = (
            f"the run {publication.run_id} is recorded, but its checkpoint is no version in the "
            f"model registry of {where} ({in_one_line(error)})."
        )
        if getattr(error, "error_code", None) not in _WITHOUT_REGISTRY:
            raise StoreError(said) from error
        logger.warning("%s", said)
        return publication


def _publish(record: RunRecord, store: Store, keeper: psutil.Process | None) -> Publication:
    # The store is held while a run is claimed, not while it is written: with its result's tag on
    # it, no other process takes it up or repeats it.
    own = keeper_tags(keeper)
    with opened(store) as (client, experiment_id):
        shown = _shown_run(client, experiment_id, record, own[PROCESS_TAG])
        try:
            refuse_wrong_citations(record.cited, client, experiment_id)
        except ArtifactError as error:
            if shown is not None:
                _fail(client, shown.info.run_id, error)
            raise
        found = _run_with_result(client, experiment_id, record.result_id, shown)
        if found is not None:
            if shown is not None and shown.info.run_id != found:
                client.delete_run(shown.info.run_id)  # it has shown nothing new
            return Publication(run_id=found, added=False)
        tags = {**record.tags, **own, RESULT_TAG: record.result_id}
        run_id = take_up(client, experiment_id, shown, record.name, tags, _started_ms(record))
    _write(client, run_id, record, shown is not None)
    return Publication(run_id=run_id, added=True)


def _run_with_result(
    client: "MlflowClient", experiment_id: str, result_id: str, shown: Any | None
) -> str | None:
    """The run that holds a result, or that another process is writing it to."""
    runs = client.search_runs([experiment_id], f"tags.`{RESULT_TAG}` = '{result_id}'")
    for run in runs:
        if run.info.status == "FINISHED":
            return str(run.info.run_id)
    for run in runs:
        is_own = shown is not None and run.info.run_id == shown.info.run_id
        if run.info.status == "RUNNING" and is_kept(run.data.tags) and not is_own:
            return str(run.info.run_id)
    return None


def _shown_run(
    client: "MlflowClient", experiment_id: str, record: RunRecord, own_process: str
) -> Any | None:
    """The run in which the record's network was trained, of this pipeline or one that has ended.

    Parameters of a run cannot be changed, so it must have had these.
    """
    trained = record.tags.get(TRAINED_TAG)
    if trained is None:
        return None
    parameters = {name: str(value) for name, value in record.parameters.items()}
    runs = [
        run
        for run in client.search_runs([experiment_id], f"tags.`{TRAINED_TAG}` = '{trained}'")
        if run.data.params.items() <= parameters.items()
    ]
    running = (
        run
        for run in runs
        if run.info.status == "RUNNING" and run.data.tags.get(PROCESS_TAG) == own_process
    )
    ended = (run for run in runs if run.info.status in ("KILLED", "FAILED"))
    return next(running, None) or next(ended, None)


def _write(client: "MlflowClient", run_id: str, record: RunRecord, was_shown: bool) -> None:
    now_ms = time.time_ns() // 1_000_000
    started_ms = _started_ms(record)
    ended_ms = now_ms if was_shown or record.ended_ms is None else record.ended_ms
    try:
        log(client, run_id, record.parameters, metrics=record.metrics, time_ms=ended_ms)
        dataset = dataset_input(record.tags)
        if dataset is not None:
            client.log_inputs(run_id, [dataset])
        log_history(client, run_id, record.history, started_ms, repeated=was_shown)
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
