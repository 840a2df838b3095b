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
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc import save_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError, SpikejouleError
from spikejoule.energy import (
    HardwareProfile,
    count_operations,
    load_profiles,
    price,
    select_profile,
)
from spikejoule.engine import run_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.tracking.records import ModelFiles
from spikejoule.tracking.served_http import take_over_server
from spikejoule.tracking.served_images import read_images
from spikejoule.tracking.served_request import Question, read_question

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint"
PRICE_LIST = "price_list"
NIR = "nir"
"""For other simulators: the served model has no use for it."""

_SCRIPT = Path(__file__).with_name("served_script.py")
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
# Images times steps that are in memory as spikes at once.
_BLOCK_STEPS = 2**16
# The kernels use every core by themselves, and not all of numba's threading layers bear two
# callers at once.
_answering = Lock()


def answer(
    checkpoint: CompleteCheckpoint,
    profiles: Mapping[str, HardwareProfile],
    images: NDArray[Any],
    question: Question,
) -> pd.DataFrame:
    """Classify images, and count and price what that takes.

    Works in blocks: memory grows with the images and the rows alone, and the answer is that of all
    images at once.

    Args:
        checkpoint: the network and its encoding.
        profiles: the price list.
        images: as `read_images` takes them.
        question: prices and spikes to use.

    Returns:
        a row per image: `class`, `spikes_NAME` of each layer, `synaptic_events`, `input_macs`
        (where the input are constant currents), `energy_pj` (null where the profile has a bracket
        alone), `energy_low_pj` and `energy_high_pj`.

    Raises:
        DataError: the images are of another form.
        ParameterError: an unknown profile, or another number of indices.
    """
    profile = select_profile(profiles, question.profile, "profile")
    architecture = checkpoint.architecture
    pixels = read_images(images, architecture.n_input)
    indices = np.array(question.indices or range(len(pixels)), dtype=np.int64)
    if len(indices) != len(pixels):
        raise ParameterError(
            f"indices: {len(indices)} are given for {len(pixels)} images; allowed: one per image"
        )
    size = max(1, _BLOCK_STEPS // checkpoint.encoder.time_window)
    key = checkpoint.encoder.draw_key(question.seed, "test", 0)
    network = Measurement.of(checkpoint.state, architecture, (), checkpoint.pruned)
    blocks = []
    for first in range(0, len(pixels), size):
        block = slice(first, first + size)
        events = checkpoint.encoder.events(pixels[block], key, indices[block])
        layers = (events, *run_network(checkpoint.state, architecture, events))
        blocks.append(_rows(replace(network, layers=layers), profile))
    return pd.concat(blocks, ignore_index=True)


def _rows(measured: Measurement, profile: HardwareProfile) -> pd.DataFrame:
    operations = count_operations(measured)
    energy = price(operations, profile)
    counts = measured.counts
    columns: dict[str, Any] = {"class": measured.predictions}
    for name, spikes in zip(counts.layer_names, counts.per_sample.T, strict=True):
        columns[f"spikes_{name}"] = spikes
    columns["synaptic_events"] = measured.synaptic_events.sum(axis=1)
    if measured.input_macs is not None:
        columns["input_macs"] = measured.input_macs
    values = energy.per_sample_pj
    columns["energy_pj"] = [None] * counts.n_samples if values is None else values
    columns["energy_low_pj"] = energy.per_sample_low_pj
    columns["energy_high_pj"] = energy.per_sample_high_pj
    return pd.DataFrame(columns)


class ServedModel(PythonModel):
    """What MLflow makes of the folder that `save_served_model` wrote."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the checkpoint and the price list; in a server, take over the reading."""
        _warn_of_other_code(Path(context.artifacts[CHECKPOINT]).parents[1] / "code")
        self._checkpoint = read_complete(context.artifacts[CHECKPOINT])
        self._profiles = load_profiles(context.artifacts[PRICE_LIST])
        take_over_server()

    def read_images(self, images: Sequence[Any]) -> NDArray[np.uint8]:
        """The images of a request, [N, pixels]; DataError if they are not this network's."""
        return read_images(images, self._checkpoint.architecture.n_input)

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """`answer` with the signature's parameters; a mistake in the request is MLflow's 400."""
        try:
            question = read_question(params or {})
            with _answering:
                return answer(self._checkpoint, self._profiles, model_input, question)
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
    artifacts = {CHECKPOINT: files.checkpoint, PRICE_LIST: files.price_list}
    if files.nir is not None:
        artifacts[NIR] = files.nir
    select_profile(load_profiles(files.price_list), files.profile, "profile")
    with warnings.catch_warnings():
        # An example of 784 numbers would tell a reader less than the signature and the README.
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        save_model(
            path=folder,
            python_model=str(_SCRIPT),
            code_paths=[str(_PACKAGE)],
            artifacts={name: str(path) for name, path in artifacts.items()},
            signature=_signature(checkpoint, files.profile),
            mlflow_model=Model(run_id=run_id),
            pip_requirements=[
                # A local build such as 2.9.1+cpu is in no index.
                f"{library}=={version(library).partition('+')[0]}"
                for library in _LIBRARIES
            ],
        )


def _signature(checkpoint: CompleteCheckpoint, profile: str) -> ModelSignature:
    counts = [f"spikes_{name}" for name in checkpoint.architecture.layer_names]
    counts.append("synaptic_events")
    if checkpoint.encoder.input_products is not None:
        counts.append("input_macs")
    seed = checkpoint.section("spikejoule").get("seed", checkpoint.section("encoding").get("seed"))
    return ModelSignature(
        # MLflow would turn 0.7 into the byte 0 on its way through a uint8 signature, and admit one
        # shape alone. As objects pixels arrive as they were sent, and `read_images` judges them.
        inputs=Schema([TensorSpec(np.dtype(object), (-1,))]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "class"),
                *(ColSpec(DataType.long, name) for name in counts),
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
