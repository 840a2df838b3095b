"""The code of a served model, which MLflow copies and runs as a script.

A version of the model is a folder with a copy of this file, of the package, of a
complete checkpoint and of a price list (`served_folder.save_served_model`). Nothing is
pickled: PyTorch's restricted unpickler reads the checkpoint. Another machine needs the
libraries in the folder's `requirements.txt` and nothing else from this project.
"""

import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from spikejoule.core.errors import DataError, ParameterError, SpikejouleError
from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import load_profiles, price, select_profile
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import Checkpoint

MAX_IMAGES: Final = 10_000
"""Limit on the images of one request."""

# A server answers in several threads. The kernels use every core by themselves, and not
# every threading layer of numba can be entered by two threads at once.
_one_at_a_time = Lock()


class ServedModel(PythonModel):
    """What MLflow loads from the folder."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the files."""
        self._answers = Answers(context.artifacts)

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer a request; a mistake in it becomes MLflow's status 400."""
        try:
            with _one_at_a_time:
                return self._answers(model_input, **(params or {}))
        except SpikejouleError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


class Answers:
    """Classifies images, and counts and prices what that takes.

    Args:
        files: paths of `checkpoint` and `price_list`.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._checkpoint = Checkpoint.read(files["checkpoint"])
        self._profiles = load_profiles(files["price_list"])

    def __call__(
        self, images: NDArray[Any], profile: str, seed: int, indices: Sequence[int]
    ) -> pd.DataFrame:
        """Answer one request.

        Args:
            images: as `read_images` takes them.
            profile: id of the price list.
            seed: seed of the encoding, 0 to 2^32 - 1.
            indices: position of each image within its data set, [N]; empty for 0, 1, 2
                and so on. A test image at its own position gets the spikes that the
                pipeline counted.

        Returns:
            a row per image: `class`, `spikes_NAME` of each layer, `synaptic_events`,
            `input_macs` (where the input is constant currents), `energy_pj` (null where
            the price list has only a range), `energy_low_pj` and `energy_high_pj`.

        Raises:
            DataError: the images have another form, or are too many.
            ParameterError: unknown price list, or a wrong seed or index.
        """
        checkpoint = self._checkpoint
        encoder = checkpoint.encoder
        network = checkpoint.network
        prices = select_profile(self._profiles, profile, "profile")
        positions = _positions(seed, indices)
        pixels = read_images(images, network.n_input)
        if positions.size not in (0, len(pixels)):
            raise ParameterError(
                f"indices: {positions.size} for {len(pixels)} images; allowed: one per "
                "image"
            )
        if positions.size == 0:
            positions = np.arange(len(pixels))

        # Run the network on the images, encoded like the test images of the pipeline.
        events = encoder.events(
            pixels, encoder.draw_key(seed, "test", epoch=0), positions
        )
        pruned = checkpoint.pruned
        measured = measure_network(checkpoint.state, network, events, pruned=pruned)

        # Count and price.
        activity = replace(measured.activity(), encoding=encoder.operations(pixels))
        operations = count_operations(activity)
        low, values, high = price(operations, prices)
        is_range = bool(np.isnan(values).any())
        columns: dict[str, Any] = {"class": measured.predictions}
        for name, node in activity.counts.items():
            if node.spikes is not None:
                columns[f"spikes_{name}"] = node.spikes
        columns["synaptic_events"] = activity.events
        if measured.input_macs is not None:
            columns["input_macs"] = measured.input_macs
        columns["energy_pj"] = [None] * len(values) if is_range else values
        columns["energy_low_pj"] = low
        columns["energy_high_pj"] = high
        return pd.DataFrame(columns)


def _positions(seed: int, indices: Sequence[int]) -> NDArray[np.int64]:
    """Return the indices as an array, after a check of them and of the seed.

    MLflow lets null and negative numbers through.
    """
    numbers = np.array([seed, *indices])
    if numbers.dtype.kind != "i" or numbers.min() < 0 or seed >= 2**32:
        raise ParameterError(
            "the seed or an index is out of range; allowed: whole numbers, for the "
            "seed from 0 to 2^32 - 1, for indices from 0 to 2^63 - 1"
        )
    return numbers[1:]


def read_images(images: NDArray[Any], n_pixels: int) -> NDArray[np.uint8]:
    """Check the images of a request and convert them to bytes, [N, pixels].

    Args:
        images: whole numbers from 0 to 255, [N, height, width] or [N, pixels], width
            fastest; or each image's bytes as base64, [N]. From JSON they come as
            an array of dtype object.
        n_pixels: pixels of one image.

    Raises:
        DataError: the images have another form; the message says what is allowed.
    """
    try:
        pixels = _decoded(images)
        if pixels.ndim not in (2, 3) or math.prod(pixels.shape[1:]) != n_pixels:
            raise ValueError(f"the images have the shape {list(pixels.shape)}")
        if pixels.dtype.kind not in "iu":
            raise ValueError(f"the pixels are of the type {pixels.dtype}")
        if pixels.min() < 0 or pixels.max() > 255:
            raise ValueError(f"the pixels run from {pixels.min()} to {pixels.max()}")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{error}; allowed are {n_pixels} whole numbers from 0 to 255 per image "
            "(multiply intensities from 0 to 1 by 255 and round them), as [N, height, "
            "width], as [N, pixels], or as base64 of their bytes."
        ) from None
    return pixels.reshape(len(pixels), n_pixels).astype(np.uint8)


def _decoded(images: NDArray[Any]) -> NDArray[Any]:
    """Convert an array of dtype object: texts from base64, numbers without loss.

    NumPy chooses the type of the numbers, so that no fraction is rounded.
    """
    number = len(images) if images.ndim else 0
    if not 1 <= number <= MAX_IMAGES:
        raise DataError(
            f"the request has {number:,} images; allowed are 1 to {MAX_IMAGES:,} "
            "images."
        )
    if images.dtype.kind not in "OU":
        return images
    values = images.tolist()
    if images.ndim == 1 and all(isinstance(value, str) for value in values):
        decoded = [binascii.a2b_base64(text, strict_mode=True) for text in values]
        return np.stack([np.frombuffer(image, np.uint8) for image in decoded])
    return np.array(values)


set_model(ServedModel())
