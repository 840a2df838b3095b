"""The file of the conventional networks: what the energy report compares with, and the weights.

K networks, N test images:
`names` [K], `activation_bits` int64 [K], `macs_dense` int64 [K], `macs_nonzero` int64 [K, N],
`predictions` uint8 [K, N], `labels` uint8 [N]; beside them, so that every count can be recounted,
the weights of the float32 network under the names of `Architecture.parameter_shapes`, and those of
its quantised form as `quantised.layerK.weight`, `.bias` and `.requantisation` (multiplier, shift).
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.baselines import BaselineCounts
from spikejoule.errors import ArtifactError
from spikejoule.files import read_npz, write_npz
from spikejoule.quantised import QuantisedNetwork

SCHEMA = "spikejoule/baseline/1"


def save_baseline(
    path: str | os.PathLike[str],
    counts: Sequence[BaselineCounts],
    predictions: Sequence[NDArray[np.integer]],
    labels: NDArray[np.uint8],
    state: Mapping[str, NDArray[np.float32]],
    quantised: QuantisedNetwork,
) -> None:
    """Write the networks' counts and predictions [N] on the test images, and their weights."""
    arrays: dict[str, NDArray[Any]] = {
        "names": np.array([entry.name for entry in counts], dtype=np.str_),
        "activation_bits": np.array([entry.bits for entry in counts], dtype=np.int64),
        "macs_dense": np.array([entry.macs_dense for entry in counts], dtype=np.int64),
        "macs_nonzero": np.stack([entry.macs_nonzero for entry in counts]),
        "predictions": np.stack(predictions).astype(np.uint8),
        "labels": labels,
        **state,
    }
    for number, layer in enumerate(quantised.layers, start=1):
        arrays[f"quantised.layer{number}.weight"] = layer.weight.astype(np.int32)
        arrays[f"quantised.layer{number}.bias"] = layer.bias
        arrays[f"quantised.layer{number}.requantisation"] = np.array(
            [layer.multiplier, layer.shift], dtype=np.int64
        )
    write_npz(path, SCHEMA, arrays)


def load_baseline(path: str | os.PathLike[str]) -> tuple[BaselineCounts, ...]:
    """Read the counts of `save_baseline`: the float32 network first, then its quantised form.

    The accuracies follow from the predictions. Raises ArtifactError if the file is missing or
    damaged, or if its arrays do not belong together.
    """
    arrays = read_npz(
        path,
        SCHEMA,
        {
            "names": ("U", 1),
            "activation_bits": ("int64", 1),
            "macs_dense": ("int64", 1),
            "macs_nonzero": ("int64", 2),
            "predictions": ("uint8", 2),
            "labels": ("uint8", 1),
        },
    )
    n_networks, n_images = len(arrays["names"]), len(arrays["labels"])
    shapes = {
        "activation_bits": (n_networks,),
        "macs_dense": (n_networks,),
        "macs_nonzero": (n_networks, n_images),
        "predictions": (n_networks, n_images),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape or 0 in shape:
            raise ArtifactError(
                f"{path}: the array {name!r} has the shape {arrays[name].shape}, but there are "
                f"{n_networks} networks and {n_images:,} labels: run the stage that writes it."
            )
    correct = (arrays["predictions"] == arrays["labels"]).sum(axis=1)
    try:
        return tuple(
            BaselineCounts(
                name=str(arrays["names"][k]),
                accuracy_percent=100 * int(correct[k]) / n_images,
                macs_dense=int(arrays["macs_dense"][k]),
                macs_nonzero=arrays["macs_nonzero"][k],
                bits=int(arrays["activation_bits"][k]),
            )
            for k in range(n_networks)
        )
    except ValueError as error:
        raise ArtifactError(f"{path}: {error}: run the stage that writes it.") from error
