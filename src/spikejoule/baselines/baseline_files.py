"""The files of the conventional networks: what the energy ledger compares with, and the weights.

K networks, N test images:
`names` [K], `weight_bits` and `activation_bits` int64 [K], `equal_size` uint8 [K],
`validation_accuracy_percent` float64 [K], `predictions` uint8 [K, N], `labels` uint8 [N]; of each
network k from 1 to K `baselinek.synapses` [L - 1], `baselinek.active` and `baselinek.macs_nonzero`
[N, L - 1], as in `BaselineCounts`; and, so that every count can be recounted, the weights [target,
source] and biases of its matrices j, as `baselinek.layerj.weight` and `.bias` in float32, or in
integers as `baselinek.layerj.integer_weight`, `.integer_bias` and `.requantisation` (multiplier,
shift).
`BaselineMetrics` and `BaselineTimings` are the content of the JSON files.
"""

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.baselines.quantised import QuantisedNetwork
from spikejoule.baselines.weights import weight_arrays
from spikejoule.core.array_files import Array, ArrayFile, Arrays
from spikejoule.core.errors import ArtifactError
from spikejoule.core.host_energy import HostEnergyEntry
from spikejoule.core.records import (
    Count,
    NotNegative,
    Percent,
    Record,
    Seconds,
    Text,
    accuracy_interval,
    check_sum,
)
from spikejoule.model.architecture import State
from spikejoule.model.quantisation import FLOAT_BITS


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


def _networks_problem(arrays: Arrays) -> str:
    """Of each network there are its counts and weights, and these fit one another."""
    if len(arrays["names"]) == 0 or len(arrays["labels"]) == 0:
        return "it must hold a network and a label"
    for number in range(1, len(arrays["names"]) + 1):
        problem = _problem_of(f"baseline{number}", arrays)
        if problem:
            return f"baseline{number}{problem}"
    numbered = {name.partition(".")[0] for name in arrays if name.startswith("baseline")}
    if len(numbered) > len(arrays["names"]):
        return f"it has the names of {len(arrays['names'])} networks, but holds {len(numbered)}"
    return ""


def _problem_of(baseline: str, arrays: Arrays) -> str:
    for needed in _COUNTS:
        if f"{baseline}.{needed}" not in arrays:
            return f".{needed} is missing"
    synapses = arrays[f"{baseline}.synapses"]
    bits = int(arrays["weight_bits"][int(baseline.removeprefix("baseline")) - 1])
    kind = "weight" if bits == FLOAT_BITS else "integer_weight"
    weights = [
        arrays.get(f"{baseline}.layer{layer}.{kind}") for layer in range(1, len(synapses) + 1)
    ]
    if not weights or any(of is None or of.size == 0 for of in weights):
        return f" has no {kind} for each of its {len(synapses)} matrices"
    known = [of for of in weights if of is not None]
    if any(one.shape[0] != other.shape[1] for one, other in pairwise(known)):
        return " has weights of shapes that do not follow one another"
    if bits != FLOAT_BITS and max(np.abs(of).max() for of in known) >= 2 ** (bits - 1):
        return f" has weights beyond {bits} bits"
    all_of = np.array([of.size for of in known])
    if (synapses != all_of).any() and (synapses != [np.count_nonzero(of) for of in known]).any():
        return f".synapses is {synapses.tolist()}, which is not the number of its weights"
    for name in ("labels", "predictions"):
        if arrays[name].max() >= known[-1].shape[0]:
            return (
                f" tells {known[-1].shape[0]} classes apart, but {name} holds {arrays[name].max()}"
            )
    sources = np.array([of.shape[1] for of in known])
    for name, most in (("active", sources), ("macs_nonzero", synapses)):
        counts = arrays[f"{baseline}.{name}"]
        if counts.shape[1] != len(synapses) or (counts > most).any():
            return f".{name} must be at most {most.tolist()}"
    return ""


_COUNTS = ("synapses", "active", "macs_nonzero")

BASELINE = ArrayFile(
    "spikejoule/baseline/2",
    {
        "names": Array("U", ("K",)),
        "weight_bits": Array("int64", ("K",), low=2, high=32),
        "activation_bits": Array("int64", ("K",), low=1, high=32),
        "equal_size": Array("uint8", ("K",), high=1),
        "validation_accuracy_percent": Array("float64", ("K",), low=0, high=100),
        "predictions": Array("uint8", ("K", "N")),
        "labels": Array("uint8", ("N",)),
        "baseline*.synapses": Array("int64", ("*",), low=0),
        "baseline*.active": Array("int64", ("N", "*"), low=0),
        "baseline*.macs_nonzero": Array("int64", ("N", "*"), low=0),
        "baseline*.layer*.weight": Array("float32", ("*", "*")),
        "baseline*.layer*.bias": Array("float32", ("*",)),
        "baseline*.layer*.integer_weight": Array("int32", ("*", "*")),
        "baseline*.layer*.integer_bias": Array("int64", ("*",)),
        "baseline*.layer*.requantisation": Array("int64", (2,)),
    },
    _networks_problem,
)


def save_baseline(
    path: str | os.PathLike[str],
    counts: Sequence[BaselineCounts],
    networks: Sequence[State | QuantisedNetwork],
    predictions: Sequence[NDArray[np.integer]],
    labels: NDArray[np.uint8],
) -> None:
    """Write the counts and predictions [N] of networks on the test images, and their weights."""
    arrays: dict[str, NDArray[Any]] = {
        "names": np.array([of.name for of in counts], dtype=np.str_),
        "weight_bits": np.array([of.weight_bits for of in counts], dtype=np.int64),
        "activation_bits": np.array([of.activation_bits for of in counts], dtype=np.int64),
        "equal_size": np.array([of.equal_size for of in counts], dtype=np.uint8),
        "validation_accuracy_percent": np.array([of.validation_accuracy_percent for of in counts]),
        "predictions": np.stack(predictions).astype(np.uint8),
        "labels": labels,
    }
    for number, (of, network) in enumerate(zip(counts, networks, strict=True), start=1):
        own = {
            "synapses": np.array(of.synapses, dtype=np.int64),
            "active": of.active,
            "macs_nonzero": of.macs_nonzero,
            **weight_arrays(network),
        }
        arrays |= {f"baseline{number}.{name}": array for name, array in own.items()}
    BASELINE.write(path, arrays)


def load_baseline(
    path: str | os.PathLike[str], labels: NDArray[Any] | None = None
) -> tuple[BaselineCounts, ...]:
    """Read the counts of `save_baseline`: the networks of equal size first, then the family.

    The accuracies on the test set follow from the predictions. Raises ArtifactError if the file is
    missing or damaged, or if the labels of its first images are not `labels`.
    """
    arrays = BASELINE.read(path)
    if labels is not None and not np.array_equal(arrays["labels"][: len(labels)], labels):
        raise ArtifactError(
            f"{path} was counted on other test images than the network: run the stage that "
            "writes it on the same data."
        )
    baselines = tuple(_counts(arrays, number) for number in range(len(arrays["names"])))
    silent = [baseline.name for baseline in baselines if not baseline.macs_nonzero.any()]
    if silent:
        raise ArtifactError(
            f"{path}: {silent[0]} multiplies nothing on any image (all of its inputs or weights "
            "are zero), so nothing can be compared with it: give it other images, or keep weights."
        )
    return baselines


def _counts(arrays: Arrays, number: int) -> BaselineCounts:
    baseline = f"baseline{number + 1}"
    bits = int(arrays["weight_bits"][number])
    kind = "weight" if bits == FLOAT_BITS else "integer_weight"
    synapses = arrays[f"{baseline}.synapses"]
    shapes = [
        arrays[f"{baseline}.layer{layer}.{kind}"].shape for layer in range(1, 1 + len(synapses))
    ]
    correct = int((arrays["predictions"][number] == arrays["labels"]).sum())
    return BaselineCounts(
        name=str(arrays["names"][number]),
        layer_sizes=(*(sources for _, sources in shapes), shapes[-1][0]),
        synapses=tuple(int(of) for of in synapses),
        weight_bits=bits,
        activation_bits=int(arrays["activation_bits"][number]),
        equal_size=bool(arrays["equal_size"][number]),
        validation_accuracy_percent=float(arrays["validation_accuracy_percent"][number]),
        accuracy_percent=100 * correct / len(arrays["labels"]),
        active=arrays[f"{baseline}.active"],
        macs_nonzero=arrays[f"{baseline}.macs_nonzero"],
    )
