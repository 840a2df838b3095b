"""A network as a model that MLflow loads and serves: the file that MLflow runs.

A version of the model is a copy of this file, of this package, a complete checkpoint or
a graph of NIR, and a price list in one folder (`registry.save_served_model`). Nothing
is pickled: the checkpoint is read with PyTorch's restricted unpickler. The folder is
complete: another machine needs the libraries of its `requirements.txt` and nothing of
this project.
"""

import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, Final

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from spikejoule.core.errors import DataError, ParameterError, SpikejouleError
from spikejoule.counts.records import Activity
from spikejoule.encoding.events import EventList
from spikejoule.energy import (
    HardwareProfile,
    OperationCounts,
    count_operations,
    load_profiles,
    price,
    select_profile,
)
from spikejoule.evaluation.inference import measure_network
from spikejoule.network.checkpoint import CompleteCheckpoint, read_complete
from spikejoule.network.imported import ImportedGraph
from spikejoule.nir.conventions import Conventions
from spikejoule.nir.reading import read_nir
from spikejoule.nir.running import run_graph

MAX_SAMPLES: Final = 10_000
"""Images of one request, or samples of spikes."""

# A server answers in several threads. The kernels use every core by themselves, and not
# all of numba's threading layers bear two callers at once.
_one_at_a_time = Lock()

Answering = Callable[..., pd.DataFrame]
"""A function of samples and of the signature's parameters."""


class ServedModel(PythonModel):
    """What MLflow makes of the folder."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the files."""
        self._answer = answering(context.artifacts, context.model_config)

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """`answer` or `answer_spikes` with the signature's parameters; a mistake in the
        request is MLflow's 400."""
        try:
            with _one_at_a_time:
                return self._answer(model_input, **(params or {}))
        except SpikejouleError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


def answering(files: Mapping[str, str], conventions: Mapping[str, Any]) -> Answering:
    """What answers requests: `answer` for a checkpoint, `answer_spikes` for a graph.

    Args:
        files: `price_list`, and `checkpoint` or `graph`.
        conventions: how the graph is run.
    """
    profiles = load_profiles(files["price_list"])
    if "graph" in files:
        network = read_nir(files["graph"])
        return partial(answer_spikes, network, Conventions(**conventions), profiles)
    return partial(answer, read_complete(files["checkpoint"]), profiles)


def answer(
    checkpoint: CompleteCheckpoint,
    profiles: Mapping[str, HardwareProfile],
    images: NDArray[Any],
    profile: str,
    seed: int,
    indices: Sequence[int],
) -> pd.DataFrame:
    """Classify images, and count and price what that takes.

    Args:
        checkpoint: the network and its encoding.
        profiles: the price list.
        images: as `read_images` takes them.
        profile: id of the hardware profile that prices the operations.
        seed: of what the encoding draws, 0 to 2^32 - 1.
        indices: position of each image within its data set, [N]; empty for 0, 1, 2 and
            so on. A test image at its own position has the spikes that the pipeline
            counted. An image that is sent twice may have one position twice.

    Returns:
        a row per image: `class`, `spikes_NAME` of each layer, `synaptic_events`,
        `input_macs` (where the input are constant currents), `energy_pj` (null where
        the profile has a price range alone), `energy_low_pj` and `energy_high_pj`.

    Raises:
        DataError: the images are of another form, or too many.
        ParameterError: an unknown profile, or a seed or indices that are not allowed.
    """
    prices = select_profile(profiles, profile, "profile")
    draws = np.array([seed, *indices])  # MLflow passes null, too
    if draws.dtype.kind != "i" or draws.min() < 0 or seed >= 2**32:
        raise ParameterError(
            "seed and indices are not allowed; allowed: whole numbers from 0 to "
            "2^32 - 1 and to "
            "2^63 - 1"
        )
    network = checkpoint.network
    pixels = read_images(images, network.n_input)
    if len(indices) not in (0, len(pixels)):
        raise ParameterError(
            f"indices: {len(indices)} are given for {len(pixels)} images; allowed: "
            "one per image"
        )
    places = draws[1:] if len(indices) else np.arange(len(pixels))
    key = checkpoint.encoder.draw_key(seed, "test", 0)
    events = checkpoint.encoder.events(pixels, key, places)
    measured = measure_network(
        checkpoint.state, network, events, pruned=checkpoint.pruned
    )
    activity = measured.activity()
    operations = count_operations(activity, checkpoint.encoder.operations(pixels))
    macs = {} if measured.input_macs is None else {"input_macs": measured.input_macs}
    return _rows(activity, operations, prices, {"class": measured.predictions}, macs)


def answer_spikes(
    network: ImportedGraph,
    conventions: Conventions,
    profiles: Mapping[str, HardwareProfile],
    spikes: NDArray[Any],
    profile: str,
) -> pd.DataFrame:
    """Run a graph on spikes, and count and price what that takes.

    Args:
        network: the graph.
        conventions: how it is run.
        profiles: the price list.
        spikes: zeros and ones, [N, T, units of the input], or with the input's own
            shape in the place of its units. Of any type, as JSON brings objects.
        profile: id of the hardware profile that prices the operations.

    Returns:
        a row per sample, with the columns of `answer` but for `input_macs`: `class` is
        null where the output are values, and -1 where several outputs share the largest
        count. Behind it `output`, the spikes of each output, or the sum of its values,
        over all steps; behind the synaptic events `value_macs`, the products of values.

    Raises:
        DataError, ArtifactError: the spikes are of another form, or too many.
        ParameterError: an unknown profile.
    """
    prices = select_profile(profiles, profile, "profile")
    try:
        dense = _as_sent(spikes, "samples")
        if dense.ndim < 3:
            raise ValueError(f"the spikes have the shape {list(dense.shape)}")
        events = EventList.from_dense(dense.reshape(*dense.shape[:2], -1))
    except ValueError as error:
        raise DataError(
            f"{error}; allowed are zeros and ones, [N, steps, units]."
        ) from None
    run = run_graph(network, events, conventions)
    classes = [None] * run.n_rows if run.predictions is None else run.predictions
    answers = {"class": classes, "output": run.output.tolist()}
    macs = {"value_macs": run.macs}
    return _rows(run, count_operations(run), prices, answers, macs)


def _rows(
    activity: Activity,
    operations: OperationCounts,
    profile: HardwareProfile,
    answers: Mapping[str, Any],
    macs: Mapping[str, Any],
) -> pd.DataFrame:
    low, values, high = price(operations, profile)
    energy = [None] * len(values) if np.isnan(values).any() else values
    spikes = {
        f"spikes_{name}": node.spikes
        for name, node in activity.counts.items()
        if node.spikes is not None
    }
    events = {"synaptic_events": activity.events, **macs}
    energies = {"energy_pj": energy, "energy_low_pj": low, "energy_high_pj": high}
    return pd.DataFrame({**answers, **spikes, **events, **energies})


def read_images(images: NDArray[Any], n_pixels: int) -> NDArray[np.uint8]:
    """The images as bytes, [N, pixels].

    Args:
        images: whole numbers from 0 to 255, [N, height, width] or [N, pixels], width
            fastest; or each image's bytes as base64, [N]. Of any type, as JSON brings
            objects.
        n_pixels: of one image.

    Raises:
        DataError: the images are of another form; the sentence says what is allowed.
    """
    try:
        pixels = _as_sent(images, "images")
        if (
            pixels.ndim not in (2, 3)
            or np.prod(pixels.shape[1:], dtype=object) != n_pixels
        ):
            raise ValueError(f"the images have the shape {list(pixels.shape)}")
        if pixels.dtype.kind not in "iu":
            raise ValueError(f"the pixels are of the type {pixels.dtype}")
        if pixels.min() < 0 or pixels.max() > 255:
            raise ValueError(f"the pixels run from {pixels.min()} to {pixels.max()}")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{error}; allowed are {n_pixels} whole numbers from 0 to 255 per "
            "image (multiply "
            "intensities from 0 to 1 by 255 and round them), as [N, height, "
            "width], as [N, "
            "pixels], or as base64 of their bytes."
        ) from None
    return pixels.reshape(len(pixels), n_pixels).astype(np.uint8)


def _as_sent(samples: NDArray[Any], nouns: str) -> NDArray[Any]:
    """Samples of a request; of JSON, texts as their bytes, and numbers as NumPy reads
    them: no fraction is rounded."""
    number = len(samples) if samples.ndim else 0
    if not 1 <= number <= MAX_SAMPLES:
        raise DataError(
            f"the request has {number:,} {nouns}; allowed are 1 to {MAX_SAMPLES:,} "
            f"{nouns}."
        )
    if samples.dtype.kind not in "OU":
        return samples
    values = samples.tolist()
    if samples.ndim == 1 and all(isinstance(value, str) for value in values):
        decoded = [binascii.a2b_base64(text, strict_mode=True) for text in values]
        return np.stack([np.frombuffer(image, np.uint8) for image in decoded])
    return np.array(values)


set_model(ServedModel())
