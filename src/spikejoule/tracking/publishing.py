"""Writing a `RunRecord` into a store: once for each distinct result."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from spikejoule.core.errors import ArtifactError, StoreError
from spikejoule.tracking.pareto import rows_against_runs
from spikejoule.tracking.registry import Registration, register
from spikejoule.tracking.runs import (
    RESULT_TAG,
    TRAINED_TAG,
    RunEnd,
    RunRecord,
    begin_run,
    has_parameters,
    log,
    log_history,
    now_ms,
    runs_with,
)
from spikejoule.tracking.store import (
    HOST_TAG,
    PROCESS_TAG,
    Store,
    in_one_line,
    is_kept,
    keeper_tags,
    opened,
    store_errors,
    without_passwords,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

logger = logging.getLogger(__name__)

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


def publish(record: RunRecord, store: Store, keeper: psutil.Process | None = None) -> Publication:
    """Write `record` as one finished run unless the store holds its result already.

    The run in which its training was shown is completed; where there is none, a new one is made.

    Args:
        record: what to write.
        store: where to.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is missing then
            is added when the record is published again.
        ArtifactError: the record's files say what the store's runs do not hold.
    """
    where = without_passwords(store.tracking_uri)
    with store_errors(f"the run was not recorded at {where}"):
        run_id, added = _publish(record, store, keeper)
    try:
        return Publication(run_id, added, register(record, run_id, store))
    except Exception as error:
        said = (
            f"the run {run_id} is recorded, but its checkpoint is no version in the model registry "
            f"of {where} ({in_one_line(error)})."
        )
        if getattr(error, "error_code", None) not in _WITHOUT_REGISTRY:
            raise StoreError(said) from error
        logger.warning("%s", said)
        return Publication(run_id, added)


def _publish(record: RunRecord, store: Store, keeper: psutil.Process | None) -> tuple[str, bool]:
    """The id of the run that holds the result, and whether it was added now."""
    own = keeper_tags(keeper)
    started_ms = now_ms() if record.started_ms is None else record.started_ms
    # The store is held while a run is claimed, not while it is written: with its result's tag on
    # it, no other process takes it up or repeats it.
    with opened(store) as (client, experiment_id):
        shown = _shown_run(client, experiment_id, record, own)
        with _failing(client, shown):
            _refuse_wrong_citations(record, client, experiment_id)
        found = _run_with_result(client, experiment_id, record.result_id, shown)
        if found is not None:
            if shown is not None and shown.info.run_id != found:
                client.delete_run(shown.info.run_id)  # it has shown nothing new
            return found, False
        tags = {**record.tags, **own, RESULT_TAG: record.result_id}
        run = begin_run(client, experiment_id, shown, record.name, tags, started_ms=started_ms)
    run_id, was_shown = run.info.run_id, shown is not None
    ended_ms = now_ms() if was_shown or record.ended_ms is None else record.ended_ms
    with _failing(client, run):
        log(client, run_id, record.parameters, metrics=record.metrics, time_ms=ended_ms)
        if "data.source" in record.tags:
            client.log_inputs(run_id, [_dataset(record.tags)])
        log_history(client, run_id, record.history, started_ms, repeated=was_shown)
        for artifact in record.artifacts:
            client.log_artifact(run_id, str(artifact.path), artifact.folder)
    client.set_terminated(run_id, status="FINISHED", end_time=max(started_ms, ended_ms))
    for tag in (HOST_TAG, PROCESS_TAG):
        client.delete_tag(run_id, tag)
    return run_id, True


def _shown_run(
    client: "MlflowClient", experiment_id: str, record: RunRecord, own: Mapping[str, str]
) -> "Run | None":
    """The run in which the record's network was trained, of this pipeline or one that has ended."""
    trained = record.tags.get(TRAINED_TAG)
    if trained is None:
        return None
    left = [
        run
        for run in runs_with(
            client, experiment_id, {TRAINED_TAG: trained}, ("RUNNING", "KILLED", "FAILED")
        )
        if has_parameters(run, record.parameters)
        and (run.info.status != "RUNNING" or run.data.tags.get(PROCESS_TAG) == own[PROCESS_TAG])
    ]
    return min(left, key=lambda run: run.info.status != "RUNNING", default=None)


def _run_with_result(
    client: "MlflowClient", experiment_id: str, result_id: str, shown: "Run | None"
) -> str | None:
    """The run that holds a result, or that another process is writing it to."""
    holding = [
        run
        for run in runs_with(
            client, experiment_id, {RESULT_TAG: result_id}, ("FINISHED", "RUNNING")
        )
        if run.info.status == "FINISHED"
        or (is_kept(run.data.tags) and not (shown and run.info.run_id == shown.info.run_id))
    ]
    found = min(holding, key=lambda run: run.info.status != "FINISHED", default=None)
    return None if found is None else str(found.info.run_id)


def _refuse_wrong_citations(record: RunRecord, client: "MlflowClient", experiment_id: str) -> None:
    if record.front is not None:
        differs = rows_against_runs(record.front, client, experiment_id)
        if wrong := [line for line, is_wrong in differs.items() if is_wrong]:
            raise ArtifactError("\n".join(wrong))


@contextmanager
def _failing(client: "MlflowClient", run: "Run | None") -> Iterator[None]:
    """Let a run fail with what goes wrong within."""
    try:
        yield
    except BaseException as error:
        if run is not None:
            RunEnd.failed(in_one_line(error)).write(client, run.info.run_id)
        raise


def _dataset(tags: Mapping[str, str]) -> "DatasetInput":
    """The data set that a run's tags name, for MLflow's list of data sets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = tags["data.source"]
    digests = {key: value for key, value in tags.items() if key.startswith("data.sha256.")}
    digest = hashlib.sha256("".join(value for _, value in sorted(digests.items())).encode())
    return DatasetInput(
        Dataset(
            name=source,
            digest=digest.hexdigest()[:8],
            source_type="spikejoule",
            source=json.dumps({"title": tags.get("data.title", source), **digests}),
        ),
        [InputTag("mlflow.data.context", "training")],
    )
