"""Networks as versions of models in MLflow's registry, and which checkpoint is best.

All complete checkpoints are versions of one model; a NIR graph is a version of a model
with its file's name. There is one version for each result: registering a result again
finds its version. The alias `champion` moves to a new version if its validation
accuracy is higher than the champion's on the same validation set; an equal one leaves
it where it is. The test set decides nothing: a version that was validated on it never
becomes champion. Versions with different validation sets (other data, another seed of
the split) cannot be compared, so the champion stays until the alias is moved by hand.
`latest` needs no care, since MLflow reserves it for the highest version.

From a version git and DVC lead back to its code, data and parameters: by its
checkpoint's MD5, as dvc.lock records it.
"""

import base64
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.energy import load_profiles, select_profile
from spikejoule.network.checkpoint import read_complete

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

    from spikejoule.nir.conventions import Conventions

MODEL_NAME: Final = "surrogate-snn"
CHAMPION: Final = "champion"
MODEL_FOLDER: Final = "model"
"""Where the served model is within its run."""

MD5_TAG: Final = "dvc.md5"
RESULT_TAG: Final = "spikejoule.result_id"
ACCURACY_TAG: Final = "validation_accuracy_percent"
VALIDATION_TAG: Final = "validation.set"
VALIDATED_ON_TEST: Final = "test set"

_DESCRIPTION = "Spiking network that counts its spikes and prices them"
_PACKAGE = Path(__file__).parents[1]
# What the copied package imports to answer; torch reads the checkpoint.
_LIBRARIES = (
    "filelock",
    "h5py",
    "mlflow",
    "nir",
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
class ModelFiles:
    """What a run's version in the model registry is made of.

    Attributes:
        network: the complete checkpoint, or a NIR graph.
        price_list: the file of hardware profiles.
        profile: id of the profile that the version states energies under.
        conventions: how the graph is run; None of a checkpoint.
        name: of the model in the registry.
        example: an image, uint8 [height, width], which the version shows as an example
            of its input; None for a graph, or where the samples are events.
    """

    network: Path
    price_list: Path
    profile: str
    conventions: "Conventions | None" = None
    name: str = MODEL_NAME
    example: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Registration:
    """The version of a model that holds a result, and whether it is the champion."""

    name: str
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
        client: of the store, which no other process has opened.
        files: what the version is made of.
        run_id: of the run.
        tags: of the version, `RESULT_TAG` among them.
        note: its description.
    """
    name = files.name
    result = f"name = '{name}' AND tags.`{RESULT_TAG}` = '{tags[RESULT_TAG]}'"
    for existing in client.search_model_versions(result):
        champion = client.get_registered_model(name).aliases.get(CHAMPION)
        return Registration(
            name, int(existing.version), str(existing.version) == str(champion)
        )
    if files.conventions is None:
        checkpoint = read_complete(files.network)
        ours = checkpoint.file.spikejoule
        tags = {
            **tags,
            ACCURACY_TAG: str(checkpoint.file.training_results.best_val_accuracy),
            MD5_TAG: file_digest(files.network, "md5"),
            VALIDATION_TAG: _validation_set(ours.data, ours.seed),
        }
    with tempfile.TemporaryDirectory() as folder:
        # MLflow refuses a link, as which DVC may bring a file.
        copy = Path(shutil.copy(files.network, folder))
        model = Path(folder) / MODEL_FOLDER
        save_served_model(model, replace(files, network=copy), run_id)
        client.log_artifacts(run_id, str(model), MODEL_FOLDER)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_DESCRIPTION)
    # The folder's own address: MLflow looks up `runs:/` and `models:/` in the store
    # that happens to be the process's default.
    created = client.create_model_version(
        name,
        f"{client.get_run(run_id).info.artifact_uri}/{MODEL_FOLDER}",
        run_id=run_id,
        tags=dict(tags),
        description=note,
    )
    is_champion = _crown_if_better(client, created.version, tags)
    return Registration(name, int(created.version), is_champion)


def _crown_if_better(
    client: "MlflowClient", version: str, tags: Mapping[str, str]
) -> bool:
    """Give the alias `champion` to a new version that deserves it; whether it does."""
    if tags.get(VALIDATION_TAG, VALIDATED_ON_TEST) == VALIDATED_ON_TEST:
        return False
    if CHAMPION in client.get_registered_model(MODEL_NAME).aliases:
        champion = client.get_model_version_by_alias(MODEL_NAME, CHAMPION)
        is_comparable = champion.tags.get(VALIDATION_TAG) == tags[VALIDATION_TAG]
        if not is_comparable or float(tags[ACCURACY_TAG]) <= float(
            champion.tags[ACCURACY_TAG]
        ):
            return False
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version))
    return True


def _validation_set(data: Mapping[str, Any], seed: int | None) -> str:
    """Names the images validated on: equal for equal files, size and seed of the
    split.
    """
    if data["validated_on_test"]:
        return VALIDATED_ON_TEST
    return content_digest(
        {"sha256": data["sha256"], "images": data["counts"]["validation"], "seed": seed}
    )


def save_served_model(
    folder: Path, files: ModelFiles, run_id: str | None = None
) -> None:
    """Write the MLflow model of a run's files to `folder`, which must not exist.

    Unless a request says otherwise, energies are stated under the files' profile, and
    the spikes drawn from the checkpoint's own seed. Raises ArtifactError for a
    checkpoint that cannot be read, and ParameterError for a price list that cannot, or
    that lacks the profile.
    """
    select_profile(load_profiles(files.price_list), files.profile, "profile")
    kind = "checkpoint" if files.conventions is None else "graph"
    artifacts = {kind: str(files.network), "price_list": str(files.price_list)}
    conventions = {} if files.conventions is None else asdict(files.conventions)
    # MLflow's, on being imported, of integers in an answer, and where there is no
    # example.
    with warnings.catch_warnings(action="ignore"):
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path=folder,
            python_model=str(Path(__file__).with_name("served_model.py")),
            code_paths=[str(_PACKAGE)],
            artifacts=artifacts,
            signature=_signature(files, artifacts, conventions),
            input_example=_input_example(files),
            model_config=conventions or None,
            mlflow_model=mlflow.models.Model(run_id=run_id),
            pip_requirements=[
                # A local build such as 2.9.1+cpu is in no index.
                f"{library}=={installed_version(library).partition('+')[0]}"
                for library in _LIBRARIES
            ],
        )


def _input_example(files: ModelFiles) -> NDArray[np.object_] | None:
    """A request of one sample: an image's bytes as base64, or a step of a graph without
    spikes.
    """
    if files.conventions is not None:
        from spikejoule.nir.reading import read_nir

        shape = read_nir(files.network).input.out_shape
        return np.zeros((1, 1, *shape), dtype=object)
    if files.example is None:
        return None
    return np.array([base64.b64encode(files.example.tobytes()).decode()], dtype=object)


def _signature(
    files: ModelFiles, artifacts: Mapping[str, str], conventions: Mapping[str, Any]
) -> "ModelSignature":
    """What a request may hold, and what the answer to the example holds."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    from spikejoule.tracking.served_model import answering

    params = [ParamSpec("profile", DataType.string, files.profile)]
    if files.conventions is None:
        checkpoint = read_complete(files.network)
        seed = checkpoint.file.spikejoule.seed
        if seed is None:
            seed = checkpoint.content["encoding"].get("seed") or 0
        params.append(ParamSpec("seed", DataType.long, seed))
        params.append(ParamSpec("indices", DataType.long, [], (-1,)))
    outputs = None
    example = _input_example(files)
    if example is not None:
        defaults = {parameter.name: parameter.default for parameter in params}
        rows = answering(artifacts, conventions)(example, **defaults)
        outputs = infer_signature(model_output=rows).outputs
    # MLflow would turn 0.7 into the byte 0 on its way through a uint8 signature, and
    # admit one shape alone. As objects pixels and spikes arrive as they were sent, and
    # the model judges them.
    inputs = Schema([TensorSpec(np.dtype(object), (-1,))])
    return ModelSignature(inputs=inputs, outputs=outputs, params=ParamSchema(params))
