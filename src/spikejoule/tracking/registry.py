"""Complete checkpoints as versions of one model in MLflow's registry, and which of them is best.

One version stands for one result: registering a result again finds its version. The alias
`champion` moves to a new version if its validation accuracy is higher than the champion's on the
same validation set; an equal one leaves it where it is. The test set decides nothing: a version
that was validated on it never becomes champion. Versions with different validation sets (other
data, another seed of the split) cannot be compared, so the champion stays until somebody moves the
alias by hand. `latest` needs no care, since MLflow reserves it for the highest version.
"""

import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.tracking.runs import RESULT_TAG, ModelFiles, RunRecord
from spikejoule.tracking.store import Store, opened

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from spikejoule.model.checkpoint import CompleteCheckpoint

logger = logging.getLogger(__name__)

MODEL_NAME = "surrogate-snn"
CHAMPION = "champion"
MODEL_FOLDER = "model"
"""Where the served model is within its run."""

# Names of the served model's files.
CHECKPOINT = "checkpoint"
PRICE_LIST = "price_list"
NIR = "nir"
"""For other simulators: the served model has no use for it."""

MD5_TAG = "dvc.md5"
WEIGHTS_TAG = "weights.sha256"
ACCURACY_TAG = "validation_accuracy_percent"
VALIDATION_TAG = "validation.set"
VALIDATED_ON_TEST = "test set"

FIGURES: Final = {
    "test_accuracy_percent": "test_accuracy_percent",
    "synaptic_events_per_inference": "synaptic_events_per_inference",
    "energy_pj_per_inference": "energy_per_inference_pj",
    "energy_low_pj_per_inference": "energy_per_inference_low_pj",
    "energy_high_pj_per_inference": "energy_per_inference_high_pj",
}
"""Tags of a version, and the metrics of its run that they repeat."""

# Of the run's, those that a version is looked up or judged by.
_COPIED_TAGS = (
    "git.commit",
    "git.dirty",
    "dvc.experiment",
    "dvc.baseline",
    "data.source",
    "data.title",
)
_DESCRIPTION = "Spiking network that counts its spikes and prices them"

_PACKAGE = Path(__file__).parents[1]
# What the copied package imports to answer; torch reads the checkpoint.
_LIBRARIES = (
    "filelock",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "platformdirs",
    "pydantic",
    "pyyaml",
    "ruamel.yaml",
    "torch",
)


@dataclass(frozen=True)
class Registration:
    """The version that holds a result, whether it was added now, and whether it is the champion."""

    version: int
    added: bool
    is_champion: bool


def register(record: RunRecord, run_id: str, store: Store) -> Registration | None:
    """Give the result of a finished run a version, unless it has one; None if there is no model.

    Raises whatever the store does: the caller decides what a registry out of reach means.
    """
    if record.model is None:
        return None
    with opened(store) as (client, _):
        registered = _registered(client, record)
    if registered is not None:
        return registered
    tags = _version_tags(record, record.model)
    # A slow server makes no other process wait: the store is held before and after alone.
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / MODEL_FOLDER
        # MLflow refuses a link, which a file of another revision is, into DVC's cache.
        checkpoint = Path(shutil.copy(record.model.checkpoint, folder))
        nir = record.model.nir and Path(shutil.copy(record.model.nir, folder))
        save_served_model(model, replace(record.model, checkpoint=checkpoint, nir=nir), run_id)
        client.log_artifacts(run_id, str(model), MODEL_FOLDER)
    with opened(store) as (client, _):
        registered = _registered(client, record)
        if registered is not None:  # another process was faster
            return registered
        version = _create_version(client, run_id, tags, record.model)
        return Registration(version, True, _crown_if_better(client, version, tags))


def weights_digest(state: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256 (hexadecimal) of the names, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name, array in sorted(state.items()):
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def save_served_model(folder: Path, files: ModelFiles, run_id: str | None = None) -> None:
    """Write the MLflow model of a run's files to `folder`, which must not exist.

    Unless a request says otherwise, energies are stated under the files' profile, and the spikes
    drawn from the checkpoint's own seed. Raises ArtifactError for a checkpoint that cannot be read,
    and ParameterError for a price list that cannot, or that lacks the profile.
    """
    from spikejoule.energy import load_profiles, select_profile
    from spikejoule.model.checkpoint import read_complete

    checkpoint = read_complete(files.checkpoint)
    select_profile(load_profiles(files.price_list), files.profile, "profile")
    artifacts = {CHECKPOINT: files.checkpoint, PRICE_LIST: files.price_list}
    if files.nir is not None:
        artifacts[NIR] = files.nir
    # MLflow's, on being imported, and for an example of 784 numbers, which would say less
    # than the signature.
    with warnings.catch_warnings(action="ignore"):
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

        save_model(
            path=folder,
            python_model=str(Path(__file__).with_name("served_model.py")),
            code_paths=[str(_PACKAGE)],
            artifacts={name: str(path) for name, path in artifacts.items()},
            signature=_signature(checkpoint, files.profile),
            mlflow_model=Model(run_id=run_id),
            pip_requirements=[
                # A local build such as 2.9.1+cpu is in no index.
                f"{library}=={installed_version(library).partition('+')[0]}"
                for library in _LIBRARIES
            ],
        )


def _signature(checkpoint: "CompleteCheckpoint", profile: str) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    counts = [f"spikes_{name}" for name in checkpoint.architecture.layer_names]
    counts.append("synaptic_events")
    if checkpoint.encoder.input_products is not None:
        counts.append("input_macs")
    seed = checkpoint.section("spikejoule").get("seed", checkpoint.section("encoding").get("seed"))
    return ModelSignature(
        # MLflow would turn 0.7 into the byte 0 on its way through a uint8 signature, and admit one
        # shape alone. As objects pixels arrive as they were sent, and the model judges them.
        inputs=Schema([TensorSpec(np.dtype(object), (-1,))]),
        outputs=Schema(
            [
                *(ColSpec(DataType.long, name) for name in ("class", *counts)),
                ColSpec(DataType.double, "energy_pj", required=False),
                ColSpec(DataType.double, "energy_low_pj"),
                ColSpec(DataType.double, "energy_high_pj"),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("profile", DataType.string, profile),
                ParamSpec("seed", DataType.long, 0 if seed is None else seed),
                ParamSpec("indices", DataType.long, [], (-1,)),
            ]
        ),
    )


def _version_tags(record: RunRecord, model: ModelFiles) -> dict[str, str]:
    from spikejoule.model.checkpoint import read_complete

    checkpoint = read_complete(model.checkpoint)
    ours = checkpoint.section("spikejoule")
    return {
        **{name: record.tags[name] for name in _COPIED_TAGS if name in record.tags},
        **{
            name: str(record.metrics[metric])
            for name, metric in FIGURES.items()
            if metric in record.metrics
        },
        ACCURACY_TAG: str(checkpoint.section("training_results")["best_val_accuracy"]),
        MD5_TAG: file_digest(model.checkpoint, "md5"),
        WEIGHTS_TAG: weights_digest(checkpoint.state),
        RESULT_TAG: record.result_id,
        VALIDATION_TAG: _validation_set(ours["data"], ours.get("seed")),
        "energy.profile": model.profile,
    }


def _validation_set(data: Mapping[str, Any], seed: int | None) -> str:
    """Names the images validated on: equal for equal files, size and seed of the split."""
    if data["validated_on_test"]:
        return VALIDATED_ON_TEST
    return content_digest(
        {"sha256": data["sha256"], "images": data["counts"]["validation"], "seed": seed}
    )


def versions(client: "MlflowClient") -> "list[ModelVersion]":
    """All versions, with their aliases, newest first."""
    found = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=10_000)
    if found:
        aliases = client.get_registered_model(MODEL_NAME).aliases  # a search leaves them out
        for one in found:
            one.aliases = [
                name for name, number in aliases.items() if int(number) == int(one.version)
            ]
    return sorted(found, key=lambda one: int(one.version), reverse=True)


def _registered(client: "MlflowClient", record: RunRecord) -> Registration | None:
    """The version that a result has."""
    for one in versions(client):
        if one.tags.get(RESULT_TAG) == record.result_id:
            return Registration(int(one.version), False, CHAMPION in one.aliases)
    return None


def _create_version(
    client: "MlflowClient", run_id: str, tags: Mapping[str, str], model: ModelFiles
) -> int:
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
        client.create_registered_model(MODEL_NAME, description=_DESCRIPTION)
    # The folder's own address: MLflow looks up `runs:/` and `models:/` in the store that happens to
    # be the process's default.
    source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
    description = None if model.card is None else model.card.read_text(encoding="utf-8")
    created = client.create_model_version(
        MODEL_NAME, source, run_id=run_id, tags=dict(tags), description=description
    )
    return int(created.version)


def _crown_if_better(client: "MlflowClient", version: int, tags: Mapping[str, str]) -> bool:
    """Give the alias `champion` to a new version that deserves it; whether it does."""
    if tags[VALIDATION_TAG] == VALIDATED_ON_TEST:
        return False
    for champion in (one for one in versions(client) if CHAMPION in one.aliases):
        if champion.tags.get(VALIDATION_TAG) != tags[VALIDATION_TAG]:
            logger.info(
                "version %d of %s was validated on other images than version %s, which stays the "
                "champion; to change that, move the alias.",
                version, MODEL_NAME, champion.version,
            )  # fmt: skip
            return False
        if float(tags[ACCURACY_TAG]) <= float(champion.tags[ACCURACY_TAG]):
            return False
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
    return True
