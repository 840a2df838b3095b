"""Versions of the model in MLflow's registry: what marks them, and finding them again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.provenance import file_digest
from spikejoule.tracking.reading import opened_to_read
from spikejoule.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_NAME = "surrogate-snn"

MD5_TAG = "dvc.md5"
WEIGHTS_TAG = "weights.sha256"
ACCURACY_TAG = "validation_accuracy_percent"


@dataclass(frozen=True)
class ModelVersion:
    """A version as the registry holds it."""

    version: int
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def version_named(name: str, store: Store) -> ModelVersion | None:
    """The version of a number (`3`) or an alias (`champion`, `latest`); None if there is none.

    Raises StoreError if the store does not exist, or cannot be reached or read.
    """
    with opened_to_read(store) as (client, _):
        versions = _versions(client)
    if name.isdecimal():
        return next((version for version in versions if version.version == int(name)), None)
    if name == "latest":
        return versions[0] if versions else None
    return next((version for version in versions if name in version.aliases), None)


def versions_of_checkpoint(path: Path, store: Store) -> tuple[list[ModelVersion], bool]:
    """The versions of a checkpoint file, newest first, and whether it is their file to the byte.

    Training again gives the same weights in a file with other clocks: then the versions are those
    with its weights. Raises ArtifactError if `path` is no complete checkpoint, StoreError as above.
    """
    from spikejoule.model.checkpoint import read_complete

    weights = weights_digest(read_complete(path).state)
    with opened_to_read(store) as (client, _):
        same_file = find_versions(client, MD5_TAG, file_digest(path, "md5"))
        return (
            (same_file, True) if same_file else (find_versions(client, WEIGHTS_TAG, weights), False)
        )


def weights_digest(state: Mapping[str, NDArray[np.float32]]) -> str:
    """SHA-256 (hexadecimal) of the names, shapes and bytes of all weights."""
    digest = hashlib.sha256()
    for name, array in sorted(state.items()):
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return digest.hexdigest()


def registered_model(client: "MlflowClient") -> Any | None:
    """MLflow's entity of the model; None before its first version."""
    return next(iter(client.search_registered_models(f"name = '{MODEL_NAME}'")), None)


def find_versions(client: "MlflowClient", tag: str, value: str) -> list[ModelVersion]:
    """The versions with this value of a tag, newest first."""
    return _versions(client, f" and tags.`{tag}` = '{value}'")


def _versions(client: "MlflowClient", condition: str = "") -> list[ModelVersion]:
    """The versions that meet a further condition, newest first."""
    model = registered_model(client)
    if model is None:
        return []
    found: list[Any] = []
    token: str | None = None
    while token is None or token:
        page = client.search_model_versions(f"name = '{MODEL_NAME}'{condition}", page_token=token)
        found += page
        token = page.token or ""
    versions = [
        ModelVersion(
            version=int(entry.version),
            run_id=str(entry.run_id),
            tags=dict(entry.tags),
            aliases=tuple(
                alias
                for alias, number in model.aliases.items()
                if int(number) == int(entry.version)
            ),
        )
        for entry in found
    ]
    return sorted(versions, key=lambda version: version.version, reverse=True)
