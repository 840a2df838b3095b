"""Complete checkpoints as versions of one model in MLflow's registry, and which of them is best.

One version stands for one result: registering a result again finds its version. The alias
`champion` moves to a new version if its validation accuracy is higher than the champion's on the
same validation set; an equal one leaves it where it is. The test set decides nothing: a version
that was validated on it never becomes champion. Versions with different validation sets (other
data, another seed of the split) cannot be compared, so the champion stays until somebody moves the
alias by hand. `latest` needs no care, since MLflow reserves it for the highest version.
"""

import logging
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.tracking.records import RESULT_TAG, ModelFiles, RunRecord
from spikejoule.tracking.store import Store, opened
from spikejoule.tracking.versions import (
    ACCURACY_TAG,
    MD5_TAG,
    MODEL_NAME,
    WEIGHTS_TAG,
    find_versions,
    registered_model,
    weights_digest,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from spikejoule.model.checkpoint import CompleteCheckpoint

logger = logging.getLogger(__name__)

CHAMPION = "champion"
MODEL_FOLDER = "model"
"""Where the served model lies within its run."""

VALIDATION_TAG = "validation.set"
VALIDATED_ON_TEST = "test set"

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
        found = find_versions(client, RESULT_TAG, record.result_id)
        if found:
            return Registration(found[0].version, False, CHAMPION in found[0].aliases)
    tags = _version_tags(record, record.model)
    # A slow server keeps nobody waiting: the store is held for the short steps before and after.
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / MODEL_FOLDER
        # MLflow refuses a link, which a file of another revision is, into DVC's cache.
        checkpoint = Path(shutil.copy(record.model.checkpoint, folder))
        nir = record.model.nir and Path(shutil.copy(record.model.nir, folder))
        _save(model, replace(record.model, checkpoint=checkpoint, nir=nir), run_id)
        client.log_artifacts(run_id, str(model), MODEL_FOLDER)
    with opened(store) as (client, _):
        found = find_versions(client, RESULT_TAG, record.result_id)
        if found:  # another process was faster
            return Registration(found[0].version, False, CHAMPION in found[0].aliases)
        version = _create_version(client, run_id, tags, _description(record.model))
        is_champion = _crown_if_better(client, version, tags)
    return Registration(version, True, is_champion)


def _version_tags(record: RunRecord, model: ModelFiles) -> dict[str, str]:
    from spikejoule.model.checkpoint import read_complete

    checkpoint = read_complete(model.checkpoint)
    ours = checkpoint.section("spikejoule")
    numbers = {
        ACCURACY_TAG: checkpoint.section("training_results")["best_val_accuracy"],
        "test_accuracy_percent": checkpoint.content["test_accuracy"],
        "synaptic_events_per_inference": checkpoint.section("energy_proxies")[
            "event_syn_per_inference"
        ],
        **_energy_pj(model, checkpoint),
    }
    return {
        **{name: record.tags[name] for name in _COPIED_TAGS if name in record.tags},
        **{name: str(value) for name, value in numbers.items() if value is not None},
        MD5_TAG: file_digest(model.checkpoint, "md5"),
        WEIGHTS_TAG: weights_digest(checkpoint.state),
        RESULT_TAG: record.result_id,
        VALIDATION_TAG: _validation_set(ours["data"], ours.get("seed")),
        "energy.profile": model.profile,
    }


def _energy_pj(model: ModelFiles, checkpoint: "CompleteCheckpoint") -> dict[str, float | None]:
    """Mean energy of an inference under the model's profile, with the ends of its bracket."""
    from spikejoule.energy import MeanOperations, load_profiles, select_profile
    from spikejoule.energy.from_checkpoint import analysis_inputs
    from spikejoule.energy.pricing import price_vector

    operations = analysis_inputs(checkpoint).operations
    assert isinstance(operations, MeanOperations)
    profile = select_profile(load_profiles(model.price_list), model.profile, "profile")
    vector = price_vector(operations.columns, profile)

    def total(prices: NDArray[np.float64] | None) -> float | None:
        return None if prices is None else float(operations.means @ prices)

    return {
        "energy_pj_per_inference": total(vector.value_pj),
        "energy_low_pj_per_inference": total(vector.low_pj),
        "energy_high_pj_per_inference": total(vector.high_pj),
    }


def _validation_set(data: Mapping[str, Any], seed: int | None) -> str:
    """Names the images validated on: equal for equal files, size and seed of the split."""
    if data["validated_on_test"]:
        return VALIDATED_ON_TEST
    return content_digest(
        {"sha256": data["sha256"], "images": data["counts"]["validation"], "seed": seed}
    )


def _save(folder: Path, model: ModelFiles, run_id: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # MLflow's, on being imported
        from spikejoule.tracking.served_model import save_served_model

    save_served_model(folder, model, run_id)


def _description(model: ModelFiles) -> str | None:
    return None if model.card is None else model.card.read_text(encoding="utf-8")


def _create_version(
    client: "MlflowClient", run_id: str, tags: Mapping[str, str], description: str | None
) -> int:
    if registered_model(client) is None:
        client.create_registered_model(MODEL_NAME, description=_DESCRIPTION)
    # The folder's own address: MLflow looks up `runs:/` and `models:/` in the store that happens to
    # be the process's default.
    source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}"
    created = client.create_model_version(
        MODEL_NAME, source, run_id=run_id, tags=dict(tags), description=description
    )
    return int(created.version)


def _crown_if_better(client: "MlflowClient", version: int, tags: Mapping[str, str]) -> bool:
    """Give the alias `champion` to a new version that deserves it; whether it does."""
    if tags[VALIDATION_TAG] == VALIDATED_ON_TEST:
        return False
    model = registered_model(client)
    champion = None if model is None else model.aliases.get(CHAMPION)
    if champion is not None:
        present = client.get_model_version(MODEL_NAME, champion).tags
        if present.get(VALIDATION_TAG) != tags[VALIDATION_TAG]:
            logger.info(
                "version %d of %s was validated on other images than version %s, which stays the "
                "champion; to change that, move the alias.",
                version, MODEL_NAME, champion,
            )  # fmt: skip
            return False
        if float(tags[ACCURACY_TAG]) <= float(present[ACCURACY_TAG]):
            return False
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
    return True
