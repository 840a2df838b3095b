"""Checkpoints as versions of a model in MLflow's registry, and which one is best.

Each distinct result has one version of the model `surrogate-snn`; registering a result
again finds its version. The alias `champion` moves to a new version whose validation
accuracy is higher than the champion's on the same validation set; a tie moves nothing.
A version that was validated on the test set never becomes champion. Versions with
different validation sets (other data, another seed of the split) cannot be compared:
the champion stays until the alias is moved by hand. MLflow itself reserves `latest` for
the highest version.

Each version is tagged with the MD5 of its checkpoint, as dvc.lock records it: git and
DVC lead from there to the code, data and parameters.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.tracking.datasets import logged_splits
from spikejoule.tracking.failures import store_errors
from spikejoule.tracking.mlflow_private import VERSIONS_TAG
from spikejoule.tracking.served_folder import ModelFiles, save_served_model
from spikejoule.tracking.store import RESULT_TAG, Store, opened_to_read

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

MODEL_NAME: Final = "surrogate-snn"
CHAMPION: Final = "champion"
SHOWN_METRICS: Final = {
    "accuracy": "testing",
    "accuracy_val": "validation",
    "events": "testing",
    "energy_nj": "testing",
    "ratio": "testing",
}
"""Metrics that the experiment's page of models shows, each with its split."""

MD5_TAG: Final = "dvc.md5"
ACCURACY_TAG: Final = "validation_accuracy_percent"
VALIDATION_TAG: Final = "validation.set"
VALIDATED_ON_TEST: Final = "test set"

_DESCRIPTION = "A spiking network that counts and prices its spikes"


@dataclass(frozen=True)
class Registration:
    """The version of the model that holds a result, and whether it is the champion."""

    version: int
    is_champion: bool


def register(
    client: "MlflowClient",
    files: ModelFiles,
    run_id: str,
    tags: Mapping[str, str],
    note: str,
) -> Registration:
    """Give the result of a finished run a version, unless it has one.

    Args:
        client: client of the store, which no other process has open.
        files: contents of the version.
        run_id: the run.
        tags: tags of the version, `RESULT_TAG` among them.
        note: description of the version.
    """
    result = f"name = '{MODEL_NAME}' AND tags.`{RESULT_TAG}` = '{tags[RESULT_TAG]}'"
    for existing in client.search_model_versions(result):
        champion = client.get_registered_model(MODEL_NAME).aliases.get(CHAMPION)
        is_champion = str(existing.version) == str(champion)
        return Registration(int(existing.version), is_champion)
    checkpoint = Checkpoint.read(files.checkpoint).file
    version_tags = {
        **tags,
        ACCURACY_TAG: str(checkpoint.training_results.best_val_accuracy),
        MD5_TAG: file_digest(files.checkpoint, "md5"),
        VALIDATION_TAG: _validation_set(
            checkpoint.spikejoule.data, checkpoint.spikejoule.seed
        ),
    }
    model = _logged_model(client, files, run_id, tags)
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
        client.create_registered_model(MODEL_NAME, description=_DESCRIPTION)
    # The address of the folder itself: MLflow would look up `runs:/` and `models:/` in
    # the default store of the process, which may be another one.
    created = client.create_model_version(
        MODEL_NAME,
        model.artifact_location,
        run_id=run_id,
        model_id=model.model_id,
        tags=version_tags,
        description=note,
    )
    versions = [{"name": MODEL_NAME, "version": created.version}]
    client.set_logged_model_tags(model.model_id, {VERSIONS_TAG: json.dumps(versions)})
    is_champion = _crown_if_better(client, created.version, version_tags)
    return Registration(int(created.version), is_champion)


def version_folder(store: Store, model: str) -> str:
    """Return the folder of a version, downloaded unless the store has it as files.

    Args:
        store: the project's store.
        model: MLflow's URI of the version, such as models:/surrogate-snn/1.

    Raises:
        StoreError: the store does not exist, or does not have the version.
    """
    with opened_to_read(store), store_errors(f"{model} is not in {store.name}"):
        import mlflow.artifacts

        mlflow.set_tracking_uri(store.tracking_uri)
        folder: str = mlflow.artifacts.download_artifacts(model)
        return folder


def _logged_model(
    client: "MlflowClient", files: ModelFiles, run_id: str, tags: Mapping[str, str]
) -> "LoggedModel":
    """Log the served model and its metrics, which the page of models lists.

    A model that a killed process has begun is completed.
    """
    run = client.get_run(run_id)
    experiments = [run.info.experiment_id]
    result = f"tags.`{RESULT_TAG}` = '{tags[RESULT_TAG]}'"
    begun = client.search_logged_models(experiments, result)
    model = (
        begun[0]
        if begun
        else client.create_logged_model(
            run.info.experiment_id,
            MODEL_NAME,
            run_id,
            tags=dict(tags),
            model_type="spiking network",
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        # DVC may have linked the checkpoint from its cache, and MLflow refuses links.
        copy = Path(shutil.copy(files.checkpoint, folder))
        served = Path(folder) / "served"
        save_served_model(
            served, replace(files, checkpoint=copy), run_id, model.model_id
        )
        client.log_model_artifacts(model.model_id, str(served))
    _log_metrics(client, run, model.model_id)
    return client.finalize_logged_model(model.model_id, "READY")


def _log_metrics(client: "MlflowClient", run: "Run", model_id: str) -> None:
    """Log a run's metrics for its model, each with the data set it was measured on."""
    datasets = logged_splits(run)
    for name, split in SHOWN_METRICS.items():
        if name in run.data.metrics:
            dataset = datasets.get(split)
            client.log_metric(
                run.info.run_id,
                name,
                run.data.metrics[name],
                dataset_name=dataset.name if dataset else None,
                dataset_digest=dataset.digest if dataset else None,
                model_id=model_id,
            )


def _crown_if_better(
    client: "MlflowClient", version: str, tags: Mapping[str, str]
) -> bool:
    """Move the alias `champion` to a new version if it is better; return whether."""
    if tags[VALIDATION_TAG] == VALIDATED_ON_TEST:
        return False
    if CHAMPION in client.get_registered_model(MODEL_NAME).aliases:
        champion = client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        if champion.tags.get(VALIDATION_TAG) != tags[VALIDATION_TAG]:
            return False
        if float(tags[ACCURACY_TAG]) <= float(champion.tags[ACCURACY_TAG]):
            return False
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
    return True


def _validation_set(data: Mapping[str, Any], seed: int | None) -> str:
    """Name the validation set: equal for equal files, size and seed of the split."""
    if data["validated_on_test"]:
        return VALIDATED_ON_TEST
    return content_digest(
        {"sha256": data["sha256"], "images": data["counts"]["validation"], "seed": seed}
    )
