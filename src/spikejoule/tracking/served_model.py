"""A complete checkpoint as a model that MLflow loads and serves.

The model is code, a checkpoint and a price list in one folder, each in the open: MLflow runs
`served_script.py` from a copy of this package that lies beside the weights, and that reads the
checkpoint with PyTorch's restricted unpickler. Nothing is pickled. The folder is complete: another
machine needs the libraries of its `requirements.txt` and nothing of this project.

Imported where it is used, since mlflow and torch take seconds.
"""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from numpy.typing import NDArray

import spikejoule
from spikejoule.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.counting import fan_outs_by_source
from spikejoule.encoding import draw_key, encode
from spikejoule.energy import (
    HardwareProfile,
    count_operations,
    load_profiles,
    price,
    select_profile,
)
from spikejoule.errors import DataError, ParameterError, SpikejouleError
from spikejoule.measurement import measure_network
from spikejoule.tracking.records import ModelFiles

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"
PRICE_LIST = "price_list"

_SCRIPT = Path(__file__).with_name("served_script.py")
_PACKAGE = Path(spikejoule.__file__).parent
# What the copied package imports to answer; torch reads the checkpoint.
_LIBRARIES = ("filelock", "mlflow", "numba", "numpy", "pandas", "platformdirs", "pyyaml", "torch")
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Question:
    """How images are to be answered.

    Attributes:
        profile: id of the hardware profile that prices the operations.
        seed: of the Poisson encoding, 0 to 2^32 - 1.
        indices: position of each image within its data set, [N]; none for 0, 1, 2 and so on. A
            test image at its own position has the spikes that the pipeline counted.
    """

    profile: str
    seed: int
    indices: Sequence[int] = ()


def answer(
    checkpoint: CompleteCheckpoint,
    profiles: Mapping[str, HardwareProfile],
    images: NDArray[Any],
    question: Question,
) -> pd.DataFrame:
    """Classify images, and count and price what that takes.

    Args:
        checkpoint: the network and its encoding.
        profiles: the price list.
        images: [N, height, width] or [N, pixels], whole numbers from 0 to 255.
        question: prices and spikes to use.

    Returns:
        a row an image: `digit`, `spikes_NAME` of each layer, `synaptic_events`, `energy_pj` (null
        where the profile has a bracket alone), `energy_low_pj` and `energy_high_pj`.

    Raises:
        DataError: the images are of another form.
        ParameterError: an unknown profile, a seed out of range, or another number of indices.
    """
    profile = select_profile(profiles, question.profile, "profile")
    if not 0 <= question.seed <= _MAX_SEED:
        raise ParameterError(f"seed: {question.seed} is not allowed; allowed: 0 to {_MAX_SEED}")
    architecture = checkpoint.architecture
    pixels = _pixels(images, architecture.n_input)
    events = encode(
        pixels,
        checkpoint.time_window,
        checkpoint.max_rate_hz,
        draw_key(question.seed, "test", 0),
        np.array(question.indices) if question.indices else None,
    )
    measured = measure_network(checkpoint.state, architecture, events, pruned=checkpoint.pruned)
    fan_outs = fan_outs_by_source(checkpoint.state, architecture, checkpoint.pruned)
    operations = count_operations(measured.layers, architecture, fan_outs)
    energy = price(operations, profile)
    values = energy.per_sample_pj
    columns: dict[str, Any] = {"digit": measured.predictions}
    for name, spikes in zip(architecture.layer_names, measured.counts.per_sample.T, strict=True):
        columns[f"spikes_{name}"] = spikes
    columns["synaptic_events"] = operations.of("synaptic_event").sum(axis=1)
    columns["energy_pj"] = [None] * len(pixels) if values is None else values
    columns["energy_low_pj"] = energy.per_sample_low_pj
    columns["energy_high_pj"] = energy.per_sample_high_pj
    return pd.DataFrame(columns)


class ServedModel(PythonModel):
    """What MLflow makes of the folder that `save_served_model` wrote."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint and the price list."""
        _warn_of_other_code(Path(context.artifacts[CHECKPOINT]).parents[1] / "code")
        self._checkpoint = read_complete(context.artifacts[CHECKPOINT])
        self._profiles = load_profiles(context.artifacts[PRICE_LIST])

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """`answer` with the signature's parameters; a mistake in the request is MLflow's 400."""
        try:
            return answer(self._checkpoint, self._profiles, model_input, Question(**(params or {})))
        except SpikejouleError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def _warn_of_other_code(folder: Path) -> None:
    """Say so if this process had imported another package than the one in the model's folder."""
    own = folder / _PACKAGE.name
    if own.is_dir() and _sources(own) != _sources(_PACKAGE):
        logger.warning(
            "the model comes with code of its own, but this process had imported %s before, which "
            "differs and is used; load the model in a process of its own for its own answers.",
            _PACKAGE,
        )


def _sources(package: Path) -> dict[Path, bytes]:
    return {path.relative_to(package): path.read_bytes() for path in package.rglob("*.py")}


def save_served_model(folder: Path, files: ModelFiles, run_id: str | None = None) -> None:
    """Write the MLflow model of a run's files to `folder`, which must not exist.

    Unless a request says otherwise, energies are stated under the files' profile, and the spikes
    drawn from the checkpoint's own seed. Raises ArtifactError for a checkpoint that cannot be read,
    and ParameterError for a price list that cannot, or that lacks the profile.
    """
    checkpoint = read_complete(files.checkpoint)
    select_profile(load_profiles(files.price_list), files.profile, "profile")
    with warnings.catch_warnings():
        # An example of 784 numbers would tell a reader less than the signature and the README.
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        save_model(
            path=folder,
            python_model=str(_SCRIPT),
            code_paths=[str(_PACKAGE)],
            artifacts={CHECKPOINT: str(files.checkpoint), PRICE_LIST: str(files.price_list)},
            signature=_signature(checkpoint, files.profile),
            mlflow_model=Model(run_id=run_id),
            pip_requirements=[
                # A local build such as 2.9.1+cpu is in no index.
                f"{library}=={version(library).partition('+')[0]}"
                for library in _LIBRARIES
            ],
        )


def _signature(checkpoint: CompleteCheckpoint, profile: str) -> ModelSignature:
    layers = [f"spikes_{name}" for name in checkpoint.architecture.layer_names]
    seed = checkpoint.section("spikejoule").get("seed", checkpoint.section("encoding").get("seed"))
    return ModelSignature(
        # MLflow would turn 0.7 into the byte 0 on its way through a uint8 signature, and admit one
        # shape alone. As objects the pixels arrive as they were sent, and `_pixels` judges them.
        inputs=Schema([TensorSpec(np.dtype(object), (-1,))]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "digit"),
                *(ColSpec(DataType.long, name) for name in layers),
                ColSpec(DataType.long, "synaptic_events"),
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


def _pixels(images: NDArray[Any], n_pixels: int) -> NDArray[np.uint8]:
    """The images as bytes [N, pixels], or DataError in one sentence."""
    try:
        # JSON's numbers arrive as objects; NumPy finds their common type.
        array = np.asarray(images.tolist()) if images.dtype == object else np.asarray(images)
    except ValueError as error:
        raise DataError("the images must be of one size, but they are not.") from error
    shape = array.shape
    if array.ndim not in (2, 3) or shape[0] == 0 or np.prod(shape[1:], dtype=object) != n_pixels:
        side = int(n_pixels**0.5)
        square = f"[N, {side}, {side}] or " if side * side == n_pixels else ""
        raise DataError(
            f"the images have the shape {list(shape)}; allowed are {square}[N, {n_pixels}] with N "
            "of at least 1."
        )
    if array.dtype.kind not in "iu":
        raise DataError(
            f"the pixels are of the type {array.dtype}; allowed are whole numbers from 0 to 255 "
            "(multiply intensities from 0 to 1 by 255 and round them)."
        )
    if array.min() < 0 or array.max() > 255:
        raise DataError(
            f"the pixels run from {array.min()} to {array.max()}; allowed are whole numbers from 0 "
            "to 255."
        )
    return array.reshape(shape[0], n_pixels).astype(np.uint8)
