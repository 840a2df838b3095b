"""The folder of a served model, which MLflow loads on any machine."""

import base64
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.network.checkpoint import Checkpoint

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SERVER: Final = Path(__file__).with_name("server.py")
"""Script that serves a version: FOLDER PORT."""
_PACKAGE = Path(__file__).parents[1]
# Imported by the copied package when it answers; torch reads the checkpoint.
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
class ModelFiles:
    """The contents of a version in the model registry.

    Attributes:
        checkpoint: the complete checkpoint.
        price_list: the file of price lists.
        profile: id of the price list that the version uses by default.
        example: an image, uint8 [height, width], shown as the version's example of its
            input; None where the samples are events.
    """

    checkpoint: Path
    price_list: Path
    profile: str
    example: NDArray[np.uint8] | None = None


def save_served_model(
    folder: Path,
    files: ModelFiles,
    run_id: str | None = None,
    model_id: str | None = None,
) -> None:
    """Write an MLflow model to `folder`, which must not exist.

    A request that says nothing else gets energies under the price list of `files`, and
    spikes drawn from the checkpoint's own seed.

    Raises:
        ArtifactError: the checkpoint cannot be read.
        ParameterError: the price file cannot be read, or lacks the price list.
    """
    select_profile(load_profiles(files.price_list), files.profile, "profile")
    artifacts = {
        "checkpoint": str(files.checkpoint),
        "price_list": str(files.price_list),
    }
    # MLflow warns on import about integer columns, and where there is no example.
    with warnings.catch_warnings(action="ignore"):
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path=folder,
            python_model=str(Path(__file__).with_name("served_model.py")),
            code_paths=[str(_PACKAGE)],
            artifacts=artifacts,
            signature=_signature(files, artifacts),
            input_example=_input_example(files),
            mlflow_model=mlflow.models.Model(run_id=run_id, model_id=model_id),
            pip_requirements=[
                # No index has a local build such as 2.9.1+cpu.
                f"{library}=={installed_version(library).partition('+')[0]}"
                for library in _LIBRARIES
            ],
        )


def _input_example(files: ModelFiles) -> NDArray[np.object_] | None:
    """Make a request of one sample: the image's bytes as base64."""
    if files.example is None:
        return None
    return np.array([base64.b64encode(files.example.tobytes()).decode()], dtype=object)


def _signature(files: ModelFiles, artifacts: Mapping[str, str]) -> "ModelSignature":
    """Describe what a request may hold, and the answer to the example."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    from spikejoule.tracking.served_model import Answers

    checkpoint = Checkpoint.read(files.checkpoint)
    seed = checkpoint.file.spikejoule.seed
    if seed is None:
        seed = checkpoint.content["encoding"].get("seed") or 0
    parameters = [
        ParamSpec("profile", DataType.string, files.profile),
        ParamSpec("seed", DataType.long, seed),
        ParamSpec("indices", DataType.long, [], (-1,)),
    ]
    outputs = None
    example = _input_example(files)
    if example is not None:
        defaults = {parameter.name: parameter.default for parameter in parameters}
        rows = Answers(artifacts)(example, **defaults)
        outputs = infer_signature(model_output=rows).outputs
    # A uint8 signature would turn 0.7 into the byte 0, and allow only one shape. As
    # objects, pixels arrive as they were sent, and the model checks them.
    inputs = Schema([TensorSpec(np.dtype(object), (-1,))])
    return ModelSignature(
        inputs=inputs, outputs=outputs, params=ParamSchema(parameters)
    )
