"""The files of measured inference: spike counts, and the spikes themselves for a recount.

inference spikes  `per_sample` int64 [N, L], `per_step` int64 [L, T], `per_neuron_NAME` int64
                  [n] for each layer, `layer_names` [L], `sample` int64 [N] (position in the
                  test set); L layers, the input first
inference events  `NAME_sources` uint16 [E], `NAME_row_lengths` uint16 [N * T] and `NAME_shape`
                  (N, T, n) for every layer after the input, `layer_names`
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.counting import SpikeCounts
from spikejoule.errors import ArtifactError
from spikejoule.events import EventList
from spikejoule.files import read_npz, write_npz

SPIKES_SCHEMA = "spikejoule/inference-spikes/1"
EVENTS_SCHEMA = "spikejoule/inference-events/1"


def save_inference_spikes(path: str | os.PathLike[str], counts: SpikeCounts) -> None:
    """Write the counts of the first N test images."""
    arrays: dict[str, NDArray[Any]] = {
        "layer_names": np.array(counts.layer_names, dtype=np.str_),
        "per_sample": counts.per_sample,
        "per_step": counts.per_step,
        "sample": np.arange(counts.n_samples, dtype=np.int64),
    }
    for name, per_neuron in zip(counts.layer_names, counts.per_neuron, strict=True):
        arrays[f"per_neuron_{name}"] = per_neuron
    write_npz(path, SPIKES_SCHEMA, arrays)


def load_inference_spikes(path: str | os.PathLike[str]) -> SpikeCounts:
    """Read a file of `save_inference_spikes`.

    Raises ArtifactError if it is missing or damaged, or if its arrays count different spikes.
    """
    arrays = read_npz(
        path,
        SPIKES_SCHEMA,
        {
            "layer_names": ("U", 1),
            "per_sample": ("int64", 2),
            "per_step": ("int64", 2),
            "sample": ("int64", 1),
        },
    )
    names = tuple(str(name) for name in arrays["layer_names"])
    missing = [name for name in names if f"per_neuron_{name}" not in arrays]
    if missing:
        raise ArtifactError(f"{path} lacks the spikes of each neuron of {', '.join(missing)}.")
    counts = SpikeCounts(
        layer_names=names,
        per_sample=arrays["per_sample"],
        per_step=arrays["per_step"],
        per_neuron=tuple(arrays[f"per_neuron_{name}"] for name in names),
    )
    by_sample = counts.per_sample.sum(axis=0)
    by_step = counts.per_step.sum(axis=1)
    by_neuron = np.array([per_neuron.sum() for per_neuron in counts.per_neuron])
    agree = (
        by_sample.shape == by_step.shape == by_neuron.shape == (len(names),)
        and np.array_equal(by_sample, by_step)
        and np.array_equal(by_sample, by_neuron)
    )
    if not agree or len(counts.per_sample) == 0:
        raise ArtifactError(
            f"{path} counts different spikes by sample, by step and by neuron: measure again."
        )
    return counts


def save_inference_events(path: str | os.PathLike[str], layers: Mapping[str, EventList]) -> None:
    """Write the spikes of the layers after the input, by their names."""
    arrays: dict[str, NDArray[Any]] = {"layer_names": np.array(list(layers), dtype=np.str_)}
    for name, events in layers.items():
        arrays[f"{name}_sources"] = events.sources
        arrays[f"{name}_row_lengths"] = np.diff(events.offsets).astype(np.uint16)
        arrays[f"{name}_shape"] = np.array(
            [events.n_samples, events.n_steps, events.n_inputs], dtype=np.int64
        )
    write_npz(path, EVENTS_SCHEMA, arrays)


def load_inference_events(path: str | os.PathLike[str]) -> dict[str, EventList]:
    """Read a file of `save_inference_events`; a missing or damaged one raises ArtifactError."""
    header = read_npz(path, EVENTS_SCHEMA, {"layer_names": ("U", 1)})
    names = [str(name) for name in header["layer_names"]]
    required = {}
    for name in names:
        required[f"{name}_sources"] = ("uint16", 1)
        required[f"{name}_row_lengths"] = ("uint16", 1)
        required[f"{name}_shape"] = ("int64", 1)
    arrays = read_npz(path, EVENTS_SCHEMA, required)
    layers = {}
    for name in names:
        shape = arrays[f"{name}_shape"]
        if shape.shape != (3,):
            raise ArtifactError(f"{path}: {name} must have a shape of three numbers.")
        lengths = arrays[f"{name}_row_lengths"]
        offsets = np.zeros(lengths.size + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        events = EventList(arrays[f"{name}_sources"], offsets, *(int(size) for size in shape))
        try:
            events.check()
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {name}: {error}") from error
        layers[name] = events
    return layers
