"""The files of the conventional networks: what the energy report compares with, and the weights.

K networks, N test images:
`names` [K], `activation_bits` int64 [K], `macs_dense` int64 [K], `macs_nonzero` int64 [K, N],
`predictions` uint8 [K, N], `labels` uint8 [N]; beside them, so that every count can be recounted,
the weights of the float32 network under the names of `Architecture.parameter_shapes`, and those of
its quantised form as `quantised.layerK.weight`, `.bias` and `.requantisation` (multiplier, shift).
`BaselineMetrics` and `BaselineTimings` are the content of the JSON files.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from spikejoule.data.images import N_CLASSES
from spikejoule.foundation.array_files import Array, ArrayFile, Arrays
from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.host_energy import HostEnergyEntry
from spikejoule.foundation.records import (
    Count,
    NotNegative,
    Percent,
    Record,
    Seconds,
    Text,
    accuracy_interval,
    check_sum,
)
from spikejoule.rival.counts import BaselineCounts
from spikejoule.rival.quantised import QuantisedNetwork


class BaselineMetrics(Record):
    """Headline figures of the float32 network (`relu`) and of its quantised form.

    Accuracies in percent with their intervals; MACs per inference, without zeros as a mean.
    """

    intervals: ClassVar = (
        accuracy_interval("relu_test_accuracy"),
        accuracy_interval("quantised_test_accuracy"),
        ("relu_macs_nonzero_per_inference", "relu_macs_dense"),
        ("quantised_macs_nonzero_per_inference", "quantised_macs_dense"),
    )

    relu_test_accuracy_percent: Percent
    relu_test_accuracy_low_percent: Percent
    relu_test_accuracy_high_percent: Percent
    relu_macs_dense: Count
    relu_macs_nonzero_per_inference: NotNegative
    quantised_test_accuracy_percent: Percent
    quantised_test_accuracy_low_percent: Percent
    quantised_test_accuracy_high_percent: Percent
    quantised_macs_dense: Count
    quantised_macs_nonzero_per_inference: NotNegative


class BaselineTimings(Record):
    """When and for how long the network was trained, in seconds, and the machine's energy."""

    training_time_seconds: Seconds
    epoch_times_seconds: list[Seconds]
    timestamp: Text
    host_energy: HostEnergyEntry

    @model_validator(mode="after")
    def _epochs_add_up(self) -> Self:
        check_sum(self.training_time_seconds, self.epoch_times_seconds, "training_time_seconds")
        return self


def _weights_problem(arrays: Arrays) -> str:
    """The dense MACs are one for each weight of the float32 network."""
    if len(arrays["labels"]) == 0 or len(arrays["names"]) == 0:
        return f"it must hold a network and a label, not {arrays['macs_nonzero'].shape}"
    weights = sum(array.size for name, array in arrays.items() if name.endswith(".synapses.weight"))
    odd = arrays["macs_dense"][arrays["macs_dense"] != weights]
    if len(odd):
        return f"macs_dense is {odd[0]}, but the network has {weights} weights"
    if arrays["macs_nonzero"].max() > weights:
        return f"macs_nonzero is {arrays['macs_nonzero'].max()}, but must be at most macs_dense"
    return ""


BASELINE = ArrayFile(
    "spikejoule/baseline/1",
    {
        "names": Array("U", ("K",)),
        "activation_bits": Array("int64", ("K",), low=1, high=32),
        "macs_dense": Array("int64", ("K",), low=1),
        "macs_nonzero": Array("int64", ("K", "N"), low=0),
        "predictions": Array("uint8", ("K", "N"), high=N_CLASSES - 1),
        "labels": Array("uint8", ("N",), high=N_CLASSES - 1),
        "layer*.synapses.weight": Array("float32", ("*", "*")),
        "layer*.synapses.bias": Array("float32", ("*",)),
        "quantised.layer*.weight": Array("int32", ("*", "*")),
        "quantised.layer*.bias": Array("int64", ("*",)),
        "quantised.layer*.requantisation": Array("int64", (2,)),
    },
    _weights_problem,
)


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
    BASELINE.write(path, arrays)


def load_baseline(
    path: str | os.PathLike[str], labels: NDArray[Any] | None = None
) -> tuple[BaselineCounts, ...]:
    """Read the counts of `save_baseline`: the float32 network first, then its quantised form.

    The accuracies follow from the predictions. Raises ArtifactError if the file is missing or
    damaged, or if the labels of its first images are not `labels`.
    """
    arrays = BASELINE.read(path)
    if labels is not None and not np.array_equal(arrays["labels"][: len(labels)], labels):
        raise ArtifactError(
            f"{path} was counted on other test images than the network: run the stage that "
            "writes it on the same data."
        )
    n_images = len(arrays["labels"])
    silent = (arrays["macs_nonzero"] == 0).all(axis=1)
    if silent.any():
        raise ArtifactError(
            f"{path}: {arrays['names'][silent][0]} multiplies nothing on any image (all of its "
            "inputs are zero), so nothing can be compared with it: give it other images."
        )
    correct = (arrays["predictions"] == arrays["labels"]).sum(axis=1)
    return tuple(
        BaselineCounts(
            name=str(name),
            accuracy_percent=100 * int(correct[k]) / n_images,
            macs_dense=int(arrays["macs_dense"][k]),
            macs_nonzero=arrays["macs_nonzero"][k],
            bits=int(arrays["activation_bits"][k]),
        )
        for k, name in enumerate(arrays["names"])
    )
