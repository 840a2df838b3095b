"""Running a trained network on spikes, and the files of that.

Spike counts, the spikes themselves for a recount, and figures:

inference spikes   `per_sample` int64 [N, L], `per_step` int64 [L, T], `per_neuron_NAME` int64
                   [units] for each layer, `layer_names` [L], `sample` int64 [N] (position in the
                   test set); L layers, the input first
inference events   `NAME_sources` uint16 [E], `NAME_row_lengths` uint16 [N * T] and `NAME_shape`
                   (N, T, units) for every layer after the input, `layer_names`
inference metrics  `InferenceMetrics`
inference timings  `InferenceTimings`
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile, Arrays, NotNegative, Record
from spikejoule.core.store import FilePath
from spikejoule.data.images import Samples
from spikejoule.encoding.counting import SpikeCounts
from spikejoule.encoding.encoded_files import load_encoded_images, load_events_of
from spikejoule.encoding.events import EventList
from spikejoule.engine import run_network
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.network import Network
from spikejoule.model.trained import TrainedNetwork, load_trained


def measure_network(
    state: Mapping[str, NDArray[np.float32]],
    architecture: Network,
    events: EventList,
    engine: str = "auto",
    pruned: bool = False,
) -> Measurement:
    """Run the network on the input spikes [N, T, I].

    `pruned` says whether a weight of zero is a synapse that was removed.

    Raises ArtifactError if the events come from another number of inputs than the network has, or
    hold no sample.
    """
    if events.n_inputs != architecture.n_input:
        raise ArtifactError(
            f"the events come from {events.n_inputs} inputs, but the network has "
            f"{architecture.n_input}: encode images of the size that it was trained on."
        )
    if events.n_samples == 0:
        raise ArtifactError("the events hold no sample, and at least one is needed.")
    layers = (events, *run_network(state, architecture, events, engine=engine))
    return Measurement(state, architecture, layers, pruned)


def load_network_and_events(
    network_path: Path, events_path: Path, samples: Samples | None = None
) -> tuple[TrainedNetwork, EventList]:
    """Read a trained network and the events to run it on, and check that they belong together.

    `samples`, if given, are those that the events must encode. Raises ArtifactError if a file is
    missing or damaged, if the events have another encoding than the network was trained on, or if
    they encode other images.
    """
    network = load_trained(network_path)
    expected = network.encoder.entry()
    if samples is not None:
        expected["images_sha256"] = samples.sha256
    events = load_events_of(events_path, expected)
    return network, events


class InferenceMetrics(Record):
    """Mean spikes per inference: the same three columns for any number of hidden layers."""

    input_spikes_per_inference: NotNegative
    hidden_spikes_per_inference: NotNegative
    output_spikes_per_inference: NotNegative


class InferenceTimings(Record):
    """How long the measurement took, in seconds."""

    measurement_time_seconds: NotNegative


def _counts_problem(arrays: Arrays) -> str:
    missing = [name for name in arrays["layer_names"] if f"per_neuron_{name}" not in arrays]
    return f"it lacks the spikes of each neuron of {', '.join(missing)}" if missing else ""


INFERENCE_SPIKES = ArrayFile(
    "spikejoule/inference-spikes/1",
    {
        "layer_names": Array("U", ("L",)),
        "per_sample": Array("int64", ("N", "L"), low=0),
        "per_step": Array("int64", ("L", "T"), low=0),
        "sample": Array("int64", ("N",), low=0),
        "per_neuron_*": Array("int64", ("*",), low=0),
    },
    _counts_problem,
)
INFERENCE_EVENTS = ArrayFile(
    "spikejoule/inference-events/1",
    {
        "layer_names": Array("U", ("L",)),
        "*_sources": Array("uint16", ("*",)),
        "*_row_lengths": Array("uint16", ("*",)),
        "*_shape": Array("int64", (3,), low=0),
    },
)


def save_inference_spikes(path: FilePath, counts: SpikeCounts) -> None:
    """Write the counts of the first N test images."""
    arrays: dict[str, NDArray[Any]] = {
        "layer_names": np.array(counts.layer_names, dtype=np.str_),
        "per_sample": counts.per_sample,
        "per_step": counts.per_step,
        "sample": np.arange(counts.n_samples, dtype=np.int64),
    }
    for name, per_neuron in zip(counts.layer_names, counts.per_neuron, strict=True):
        arrays[f"per_neuron_{name}"] = per_neuron
    INFERENCE_SPIKES.write(path, arrays)


def load_inference_spikes(path: FilePath) -> SpikeCounts:
    """Read a file of `save_inference_spikes`.

    Raises ArtifactError if it is missing or damaged.
    """
    arrays = INFERENCE_SPIKES.read(path)
    names = tuple(str(name) for name in arrays["layer_names"])
    return SpikeCounts(
        layer_names=names,
        per_sample=arrays["per_sample"],
        per_step=arrays["per_step"],
        per_neuron=tuple(arrays[f"per_neuron_{name}"] for name in names),
    )


def save_inference_events(path: FilePath, layers: Mapping[str, EventList]) -> None:
    """Write the spikes of the layers after the input, by their names."""
    arrays: dict[str, NDArray[Any]] = {"layer_names": np.array(list(layers), dtype=np.str_)}
    for name, events in layers.items():
        arrays |= {f"{name}_{key}": array for key, array in events.row_arrays().items()}
    INFERENCE_EVENTS.write(path, arrays)


def load_inference_events(path: FilePath) -> dict[str, EventList]:
    """Read a file of `save_inference_events`; a missing or damaged one raises ArtifactError."""
    arrays = INFERENCE_EVENTS.read(path)
    try:
        return {
            name: EventList.from_row_arrays(arrays, f"{name}_")
            for name in arrays["layer_names"].tolist()
        }
    except (ArtifactError, KeyError) as error:
        raise ArtifactError(f"{path}: {error}: write it again.") from error


def read_measurement(paths: Mapping[str, Path], network: TrainedNetwork) -> Measurement:
    """The spikes of the first test images on their way through a network.

    They are counted again here, which checks the file of the counts; what follows uses this count.

    Args:
        paths: `inference_spikes`, `inference_events`, and `events_test` for the input.
        network: that was measured.

    Raises:
        ArtifactError: a file is missing or damaged, or they are not of each other and the network.
    """
    path = paths["inference_spikes"]
    held = f"{paths['events_test']} and {paths['inference_events']} hold"
    counts = load_inference_spikes(path)
    input_events, _ = load_encoded_images(paths["events_test"])
    later_layers = load_inference_events(paths["inference_events"])
    n_samples = min(counts.n_samples, input_events.n_samples)
    layers = (input_events.select(slice(n_samples)), *later_layers.values())
    shapes = [(layer.n_samples, layer.n_steps, layer.n_inputs) for layer in layers]
    n_steps = network.encoder.time_window
    needed = [(counts.n_samples, n_steps, one.n_out) for one in network.architecture.layers]
    if shapes != needed:
        raise ArtifactError(
            f"{held} layers of {shapes} (images, steps, neurons), but by {path} and the network "
            f"they must be {needed}: measure again."
        )
    measured = Measurement(network.state, network.architecture, layers, network.pruned)
    if not counts.agree_with(measured.counts):
        raise ArtifactError(f"{path} counts other spikes than {held}: measure again.")
    return measured
