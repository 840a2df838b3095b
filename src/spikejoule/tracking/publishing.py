"""Publishing: one finished run for each distinct result of the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from spikejoule.core.provenance import provenance_tags
from spikejoule.params import Params
from spikejoule.tracking.datasets import log_splits
from spikejoule.tracking.failures import kind_of_failure, store_errors
from spikejoule.tracking.live import TRAINED_TAG, TRAINING_TAG
from spikejoule.tracking.registry import MODEL_NAME, Registration, register
from spikejoule.tracking.run_record import RunRecord, build_run_record
from spikejoule.tracking.runs import begin_run, end_run, log_history, unfinished_run
from spikejoule.tracking.store import (
    COMMIT_TAG,
    FAILURE_TAG,
    HOST_TAG,
    PROCESS_TAG,
    RESULT_TAG,
    Store,
    keeper_tags,
    opened,
    project_store,
    runs_with,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Publication:
    """The run that holds a result.

    Attributes:
        run_id: MLflow's identifier.
        added: whether it was added now, or was there before.
        registration: the result's version in the model registry; None if it has none.
    """

    run_id: str
    added: bool
    registration: Registration | None = None

    def __str__(self) -> str:
        """Describe the publication in one line."""
        done = "added" if self.added else "already has this result; nothing was added"
        text = f"MLflow run {self.run_id} {done}"
        if self.registration is not None:
            text += f", models:/{MODEL_NAME}/{self.registration.version}"
            text += ", the champion" if self.registration.is_champion else ""
        return text


def publish(
    record: RunRecord, store: Store, keeper: psutil.Process | None = None
) -> Publication:
    """Write a record as one finished run, unless the store holds its result already.

    The run in which the training was logged live is completed; without one, a new run
    is added.

    Args:
        record: contents of the run.
        store: where it is written.
        keeper: the process that must be alive for an unfinished run to count as
            still running; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is
            missing then is added when the record is published again.
    """
    with (
        store_errors(f"the run was not recorded in {store.name}"),
        opened(store) as (client, experiment_id),
    ):
        run_id, added = _publish(record, client, experiment_id, keeper_tags(keeper))
        if record.model is None:
            return Publication(run_id, added)
        tags = {
            RESULT_TAG: record.result_id,
            "git.commit": record.tags.get(COMMIT_TAG, "unknown"),
        }
        note = record.tags.get("mlflow.note.content", "")
        with store_errors(
            f"the run {run_id} is recorded, but its checkpoint was not registered as a "
            f"model version in {store.name}"
        ):
            registration = register(client, record.model, run_id, tags, note)
            return Publication(run_id, added, registration)


def _publish(
    record: RunRecord,
    client: "MlflowClient",
    experiment_id: str,
    keeper: Mapping[str, str],
) -> tuple[str, bool]:
    """Return the id of the run that holds the result, and whether it was added now."""
    # The unfinished run in which this training was logged live, by this pipeline or by
    # one whose process is gone.
    trained = record.tags.get(TRAINED_TAG)
    live = None
    if trained is not None:
        live = unfinished_run(
            client, experiment_id, {TRAINED_TAG: trained}, keeper, record.parameters
        )
    result_tag = {RESULT_TAG: record.result_id}

    # The store holds this result: the live run of its training adds nothing.
    finished = runs_with(client, experiment_id, result_tag, ("FINISHED",))
    if finished:
        if live is not None:
            client.delete_run(live.info.run_id)
        return str(finished[0].info.run_id), False

    # Complete the live run, or write a new one.
    tags = {**record.tags, **keeper, **result_tag}
    run = begin_run(client, experiment_id, live, tags, record.parameters)
    run_id = run.info.run_id
    try:
        log_history(client, run_id, record.history)
        for path, folder in record.artifacts.items():
            client.log_artifact(run_id, str(path), folder)
        log_splits(client, run_id, record.splits)
    except BaseException as error:
        end_run(client, run_id, "FAILED", tags={FAILURE_TAG: kind_of_failure(error)})
        raise
    end_run(client, run_id, "FINISHED", record.metrics)

    # A finished run no longer depends on a process. Only a live run had TRAINING_TAG.
    for tag in {HOST_TAG, PROCESS_TAG} | ({TRAINING_TAG} & run.data.tags.keys()):
        client.delete_tag(run_id, tag)
    return run_id, True


def publish_outputs(
    paths: Mapping[str, Path],
    params: Params,
    root: Path,
    keeper: psutil.Process | None = None,
) -> Publication:
    """Publish the outputs in the working directory.

    Args:
        paths: dependencies of the stage `publish`, by their names in dvc.yaml.
        params: the pipeline's parameters.
        root: root of the project, where the store is.
        keeper: the process that must be alive for an unfinished run to count as
            still running; by default this one.

    Raises:
        ArtifactError: outputs are missing or damaged.
        StoreError: the store cannot be written.
    """
    record = build_run_record(paths, params, provenance_tags(Path.cwd()))
    return publish(record, project_store(root, params.publish.experiment), keeper)
