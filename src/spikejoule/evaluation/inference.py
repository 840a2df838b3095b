"""Running a trained network on spikes, and the files of measured inference.

The file of inference events holds `layer_names`, `input_spikes` int64 [N], and for
every layer after the input `NAME_sources` uint16 [E], `NAME_row_lengths` uint16
[N * T] and `NAME_shape` (N, T, units); `NAME_potentials` real [N, T, units] of an
output that integrates. With the input's events, it determines every count. Further
files hold `InferenceMetrics` and `InferenceTimings`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile, Arrays, NotNegative, Record
from spikejoule.core.store import FilePath
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Samples
from spikejoule.encoding.encoded_files import load_events_of
from spikejoule.encoding.events import EventList
from spikejoule.engine import run_network
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.network import Network


def measure_network(
    state: Mapping[str, NDArray[np.float32]],
    network: Network,
    events: EventList,
    engine: str = "auto",
    pruned: bool = False,
) -> Measurement:
    """Run the network on input spikes [N, T, I].

    `pruned` says whether a zero weight is a removed synapse.

    Raises:
        ArtifactError: the events have another number of inputs than the network, or no
            samples.
    """
    if events.n_samples == 0:
        raise ArtifactError("the events hold no samples; at least one is needed.")
    layers = (events, *run_network(state, network, events, engine=engine))
    return Measurement(state, network, layers, pruned)


def load_events_for(
    trained: Checkpoint, path: Path, samples: Samples | None = None
) -> EventList:
    """Read the events for a network.

    Raises:
        ArtifactError: the file is missing or damaged, has another encoding than the
            network was trained on, or encodes other images than `samples`.
    """
    expected = trained.encoder.entry()
    if samples is not None:
        expected["images_sha256"] = samples.sha256
    return load_events_of(path, expected)


class InferenceMetrics(Record):
    """Mean spikes per inference; all hidden layers share one column."""

    input_spikes_per_inference: NotNegative
    hidden_spikes_per_inference: NotNegative
    output_spikes_per_inference: NotNegative


class InferenceTimings(Record):
    """Duration of the measurement, in seconds."""

    measurement_time_seconds: NotNegative


INFERENCE_EVENTS = ArrayFile(
    "spikejoule/inference-events/1",
    {
        "layer_names": Array("U", ("L",)),
        "input_spikes": Array("int64", ("N",), low=0),
        "*_sources": Array("uint16", ("*",)),
        "*_row_lengths": Array("uint16", ("*",)),
        "*_shape": Array("int64", (3,), low=0),
        "*_potentials": Array("f", ("N", "*", "*")),
    },
)


def save_inference_events(path: FilePath, measured: Measurement) -> None:
    """Write the spikes of all layers after the input, and input spike counts."""
    names = measured.counts.layer_names[1:]
    layers = measured.layers[1:]
    arrays: dict[str, NDArray[Any]] = {
        "layer_names": np.array(names, dtype=np.str_),
        "input_spikes": measured.counts.per_sample[:, 0],
    }
    for name, events in zip(names, layers, strict=True):
        arrays |= {f"{name}_{key}": array for key, array in events.row_arrays().items()}
        if events.potentials is not None:
            arrays[f"{name}_potentials"] = events.potentials
    INFERENCE_EVENTS.write(path, arrays)


def load_inference_events(path: FilePath) -> dict[str, EventList]:
    """Read the spikes of each layer; ArtifactError if missing or damaged."""
    return _layers_of(INFERENCE_EVENTS.read(path))


def _layers_of(arrays: Arrays) -> dict[str, EventList]:
    names = arrays["layer_names"].tolist()
    layers = {name: EventList.from_row_arrays(arrays, f"{name}_") for name in names}
    return {
        name: replace(layer, potentials=arrays.get(f"{name}_potentials"))
        for name, layer in layers.items()
    }


def read_measurement(
    paths: Mapping[str, Path], trained: Checkpoint, samples: Samples | None = None
) -> Measurement:
    """Read the measurement of all test images.

    Args:
        paths: `inference_events`, and `events_test` for the input.
        trained: the network that was measured.
        samples: the test images, to check that the events encode them.

    Raises:
        ArtifactError: a file is missing or damaged, or the files do not match.
    """
    input_events = load_events_for(trained, paths["events_test"], samples)
    arrays = INFERENCE_EVENTS.read(paths["inference_events"])
    layers = (input_events, *_layers_of(arrays).values())
    shapes = [(layer.n_samples, layer.n_steps, layer.n_inputs) for layer in layers]
    n_samples = input_events.n_samples
    n_steps = trained.encoder.time_window
    needed = [(n_samples, n_steps, layer.n_out) for layer in trained.network.layers]
    has_input_spikes = np.array_equal(
        input_events.counts_per_sample(), arrays["input_spikes"]
    )
    potentials = layers[-1].potentials
    read = () if potentials is None else potentials.shape
    needs_read = () if trained.network.readout.is_spiking else needed[-1]
    if shapes != needed or read != needs_read or not has_input_spikes:
        raise ArtifactError(
            f"{paths['events_test']} and {paths['inference_events']} do not match "
            "this network or each other: the layers have shapes (images, steps, "
            f"neurons) {shapes}, {needed} are needed, or the input spikes or the "
            "kind of output differ: measure again."
        )
    return Measurement(trained.state, trained.network, layers, trained.pruned)
