"""Answers and multiplications of conventional networks (ANN), and their file.

results/baseline.npz is the input of the energy comparison. For K networks and N test
images it holds

names                        [K]
weight_bits, activation_bits, sum_bits   int64 [K]
equal_size                   uint8 [K]
validation_accuracy_percent  float64 [K]
predictions                  uint8 [K, N]
labels                       uint8 [N]
baselinek.synapses           [L - 1], of each network k from 1 to K
baselinek.macs_nonzero       [N, L - 1], as in `BaselineCounts`
baselinek.nonzero_fractions  [L - 1], of pruned networks
training                     int64 [4], a `TrainingRun`

and the weights, so that every count can be recounted: of matrix j,
`baselinek.layerj.weight` [target, source] and `.bias` in float32, or the integers
`baselinek.layerj.integer_weight`, `.integer_bias` and `.requantisation` (multiplier,
shift). Networks without biases have no bias arrays.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    Widths,
    only_shifts,
    quantised_activations,
    weight_arrays,
)
from spikejoule.core.errors import ArtifactError, ParameterError, printable
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.core.store import FilePath
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import best_class
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.quantisation import FLOAT_BITS

FLOATS = Widths(activation=FLOAT_BITS, weight=FLOAT_BITS, sum=FLOAT_BITS)
"""Widths of a floating-point network."""


class TrainingRun(NamedTuple):
    """What the energy of training a network follows from, besides the network.

    Attributes:
        epochs: number of epochs.
        samples: images of an epoch.
        batch_size: images of a batch; the last one of an epoch may have fewer.
        weight_decay: whether there is an L2 penalty.
    """

    epochs: int
    samples: int
    batch_size: int
    weight_decay: bool


@dataclass(frozen=True, eq=False)
class BaselineCounts:
    """Multiplications of a fully connected ReLU network of L layers on N test images.

    Attributes:
        name: a name such as ``ReLU 784-100-10, 90 % pruned, 8 bits``.
        network: its L layers.
        synapses: weights left in each of the L - 1 matrices. In a pruned network a
            weight of 0 is no synapse, whether it was removed or rounded.
        weight_bits: width of its weights; 32 is float32, others are integers.
        activation_bits: width of its activations, in the same way.
        sum_bits: width of its sums and biases, in the same way.
        equal_size: whether it has the layer sizes of `model.hidden`, mostly those of
            the spiking network; the others are the family.
        validation_accuracy_percent: validation accuracy, by which it is chosen.
        accuracy_percent: accuracy on the whole test set.
        macs_nonzero: products of a nonzero activation and a weight that is left, of
            each image and matrix, int64 [N, L - 1].
        weights_sha256: checksum of its weights (`weights_digest`); empty if unknown.
        training: how it was trained; None if unknown.
        pixel_threshold: pixels have 1 bit, whether they are greater than this; None for
            pixels as wide as other activations.
        shifts: whether sums become activations by shifts alone.
        nonzero_fractions: of all products of each matrix in a pruned network, removed
            weights included, the fraction with a nonzero activation; None if unknown.

    Raises ParameterError if it multiplies by more weights than it has.
    """

    name: str
    network: ConventionalNetwork
    synapses: tuple[int, ...]
    weight_bits: int
    activation_bits: int
    sum_bits: int
    equal_size: bool
    validation_accuracy_percent: float
    accuracy_percent: float
    macs_nonzero: NDArray[np.int64]
    weights_sha256: str = ""
    training: TrainingRun | None = None
    nonzero_fractions: tuple[float, ...] | None = None
    pixel_threshold: int | None = None
    shifts: bool = False

    def __post_init__(self) -> None:
        if (self.macs_nonzero > np.array(self.synapses)).any():
            raise ParameterError(
                f"{self.name}: macs_nonzero is more than its {self.synapses}"
            )

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates per image when every weight that is left is used."""
        return sum(self.synapses)

    @property
    def pruned(self) -> bool:
        """Whether weights were removed."""
        return self.macs_dense < sum(self.network.synapses)

    @property
    def source_bits(self) -> list[int]:
        """Width of what enters each matrix: pixels, then activations."""
        widths = [self.activation_bits] * len(self.synapses)
        if self.pixel_threshold is not None:
            widths[0] = 1
        return widths


@dataclass(frozen=True, eq=False)
class MeasuredBaseline:
    """A conventional network on N test images.

    Attributes:
        counts: its accuracies and multiplications.
        network: its parameters, or its integers.
        predictions: class of each image, [N].
    """

    counts: BaselineCounts
    network: State | QuantisedNetwork
    predictions: NDArray[np.integer]


def measure_baseline(
    name: str,
    network: State | QuantisedNetwork,
    equal_size: bool,
    pruned: bool,
    splits: Mapping[str, LabelledImages],
) -> MeasuredBaseline:
    """Run a network and count its multiplications.

    Args:
        name, equal_size: as in `BaselineCounts`.
        network: its parameters, or its integers.
        pruned: whether weights were removed; then a weight of 0 is no synapse.
        splits: the images of `validation` and `test`.
    """
    test = splits["test"]
    validation = splits["validation"]
    arrays = weight_arrays(network)
    widths = network.widths if isinstance(network, QuantisedNetwork) else FLOATS
    layers = _layers(network, test.images)
    predictions = best_class(layers[-1])
    validated = best_class(_layers(network, validation.images)[-1])
    n_correct = int((predictions == test.labels).sum())
    kept = [
        weights != 0 if pruned else np.ones_like(weights, dtype=np.bool_)
        for weights in _matrices(arrays)
    ]
    counts = BaselineCounts(
        name=name,
        network=_network(arrays),
        synapses=tuple(int(is_kept.sum()) for is_kept in kept),
        weight_bits=widths.weight,
        activation_bits=widths.activation,
        sum_bits=widths.sum,
        equal_size=equal_size,
        validation_accuracy_percent=100
        * float(np.mean(validated == validation.labels)),
        accuracy_percent=100 * n_correct / len(test),
        macs_nonzero=nonzero_macs(layers, kept),
        weights_sha256=weights_digest(arrays),
        nonzero_fractions=_nonzero_fractions(layers) if pruned else None,
        pixel_threshold=getattr(network, "pixel_threshold", None),
        shifts=only_shifts(arrays),
    )
    return MeasuredBaseline(counts, network, predictions)


def nonzero_macs(
    layers: tuple[NDArray[Any], ...], kept: list[NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """MACs of each image when zero activations are skipped, int64 [N, L - 1].

    A nonzero activation is multiplied by every weight left in its column.

    Args:
        layers: activations [N, units] of every layer, the input first; those of the
            last reach no weight.
        kept: for each weight matrix [target, source], whether a weight is left.
    """
    # In float64, where matrix products are fast and such sums exact.
    products = [
        (values != 0).astype(np.float64) @ is_kept.sum(axis=0, dtype=np.float64)
        for values, is_kept in zip(layers[:-1], kept, strict=True)
    ]
    return np.stack(products, axis=1).astype(np.int64)


def _nonzero_fractions(layers: tuple[NDArray[Any], ...]) -> tuple[float, ...]:
    """Return the fraction of nonzero activations before each matrix."""
    return tuple(np.count_nonzero(values) / values.size for values in layers[:-1])


def scores_of(
    network: State | QuantisedNetwork, images: NDArray[np.uint8]
) -> NDArray[Any]:
    """Class scores [N, classes] of a network's images uint8 [N, height, width]."""
    return _layers(network, images)[-1]


def _layers(
    network: State | QuantisedNetwork, images: NDArray[np.uint8]
) -> tuple[NDArray[Any], ...]:
    if isinstance(network, QuantisedNetwork):
        return quantised_activations(network, images)
    # Imported here, because reading counts needs no kernels.
    from spikejoule.training.relu import activations

    return activations(network, images)


def weights_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of names and bytes of a network's weights (`quantised.weight_arrays`)."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


_FIGURES = (
    "weight_bits",
    "activation_bits",
    "sum_bits",
    "equal_size",
    "validation_accuracy_percent",
)
BASELINE = ArrayFile(
    "spikejoule/baseline/5",
    {
        "names": Array("U", ("K",)),
        "weight_bits": Array("int64", ("K",), low=2, high=32),
        "activation_bits": Array("int64", ("K",), low=1, high=32),
        "sum_bits": Array("int64", ("K",), low=2, high=32),
        "equal_size": Array("uint8", ("K",), high=1),
        "validation_accuracy_percent": Array("float64", ("K",), low=0, high=100),
        "predictions": Array("uint8", ("K", "N")),
        "labels": Array("uint8", ("N",)),
        "baseline*.synapses": Array("int64", ("*",), low=0),
        "baseline*.macs_nonzero": Array("int64", ("N", "*"), low=0),
        "baseline*.nonzero_fractions": Array("float64", ("*",), low=0, high=1),
        "baseline*.pixel_threshold": Array("int64", (), low=0, high=254),
        "baseline*.layer*.weight": Array("float32", ("*", "*")),
        "baseline*.layer*.bias": Array("float32", ("*",)),
        "baseline*.layer*.integer_weight": Array("int32", ("*", "*")),
        "baseline*.layer*.integer_bias": Array("int64", ("*",)),
        "baseline*.layer*.requantisation": Array("int64", (2,)),
        "training": Array("int64", (4,), low=0),
    },
)


def save_baseline(
    path: FilePath,
    measured: Sequence[MeasuredBaseline],
    labels: NDArray[np.uint8],
    training: TrainingRun,
) -> None:
    """Write counts, predictions and weights of networks, and the labels [N].

    Args:
        path: the file.
        measured: the networks.
        labels: classes of the test images.
        training: how all of them were trained.
    """
    counts = [baseline.counts for baseline in measured]
    names = [baseline.name for baseline in counts]
    arrays: dict[str, NDArray[Any]] = {"names": np.array(names, np.str_)}
    for name in _FIGURES:
        values = [getattr(baseline, name) for baseline in counts]
        arrays[name] = np.array(values, dtype=BASELINE.arrays[name].dtype)
    predictions = np.stack([baseline.predictions for baseline in measured])
    arrays["predictions"] = predictions.astype(np.uint8)
    arrays["labels"] = labels
    arrays["training"] = np.array(training, dtype=np.int64)
    for number, baseline in enumerate(measured, start=1):
        own = {
            "synapses": np.array(baseline.counts.synapses, dtype=np.int64),
            "macs_nonzero": baseline.counts.macs_nonzero,
            **weight_arrays(baseline.network),
        }
        if baseline.counts.nonzero_fractions is not None:
            own["nonzero_fractions"] = np.array(baseline.counts.nonzero_fractions)
        if baseline.counts.pixel_threshold is not None:
            own["pixel_threshold"] = np.array(baseline.counts.pixel_threshold)
        arrays |= {f"baseline{number}.{name}": array for name, array in own.items()}
    BASELINE.write(path, arrays)


def load_baseline(
    path: FilePath, labels: NDArray[Any] | None = None, n_input: int | None = None
) -> tuple[BaselineCounts, ...]:
    """Read the counts of a `save_baseline`, in its order.

    Test accuracies are recomputed from the predictions.

    Args:
        path: the file.
        labels: labels that the first images of the file must have; None for any.
        n_input: pixels that every network must read; None for any.

    Raises:
        ArtifactError: the file is missing or damaged, labels or pixels differ, or a
            network multiplies nothing.
    """
    arrays = BASELINE.read(path)
    if labels is not None and not np.array_equal(
        arrays["labels"][: len(labels)], labels
    ):
        raise ArtifactError(
            f"{path} was counted on other test images than the network: run the "
            "stage that writes it on the same data."
        )
    numbers = range(1, len(arrays["names"]) + 1)
    try:
        baselines = tuple(_counts(arrays, number) for number in numbers)
    except (KeyError, IndexError, ValueError, ParameterError) as error:
        raise ArtifactError(f"{path}: {error}: write it again.") from error
    for baseline in baselines:
        n_pixels = baseline.network.n_input
        if n_input is not None and n_pixels != n_input:
            raise ArtifactError(
                f"{path}: {baseline.name} reads {n_pixels} pixels and the network "
                f"{n_input}: compare networks of the same images."
            )
        if not baseline.macs_nonzero.any():
            raise ArtifactError(
                f"{path}: {baseline.name} multiplies nothing on any image, so there is "
                "nothing to compare: give it other images, or keep weights."
            )
    return baselines


def load_weights(path: FilePath, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a network's weights in a file of `save_baseline`, by their names
    without `baselinek.`.

    Raises:
        ArtifactError: the file is missing or damaged, or has no network of that name.
    """
    arrays = BASELINE.read(path)
    names = arrays["names"].tolist()
    if name not in names:
        raise ArtifactError(f"{path} has no network {name!r}; it has {names}.")
    return _weights_of(arrays, names.index(name) + 1)


def _weights_of(arrays: Arrays, number: int) -> dict[str, NDArray[Any]]:
    """The weights of one network of a file, numbered from 1."""
    prefix = f"baseline{number}."
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(f"{prefix}layer")
    }


def load_network(path: FilePath, counts: BaselineCounts) -> State | QuantisedNetwork:
    """The network behind some counts of the same file, to run it."""
    weights = load_weights(path, counts.name)
    if counts.weight_bits == FLOAT_BITS:
        return weights
    widths = Widths(counts.activation_bits, counts.weight_bits, counts.sum_bits)
    return QuantisedNetwork(weights, widths, counts.pixel_threshold)


def _counts(arrays: Arrays, number: int) -> BaselineCounts:
    """Read one network of a file, numbered from 1.

    Raises KeyError, IndexError or ValueError if it is incomplete.
    """
    place = number - 1
    prefix = f"baseline{number}."
    own = _weights_of(arrays, number)
    weights = _matrices(own)
    synapses = arrays[f"{prefix}synapses"].tolist()
    if synapses not in (
        [matrix.size for matrix in weights],
        [np.count_nonzero(matrix) for matrix in weights],
    ):
        raise ValueError(
            f"{prefix}synapses is {synapses}, not the number of its weights"
        )
    macs = arrays[f"{prefix}macs_nonzero"]
    if macs.shape[1:] != (len(synapses),):
        raise ValueError(f"{prefix}macs_nonzero does not have {len(synapses)} layers")
    fractions = arrays.get(f"{prefix}nonzero_fractions")
    if fractions is not None and len(fractions) != len(synapses):
        raise ValueError(
            f"{prefix}nonzero_fractions does not have {len(synapses)} layers"
        )
    threshold = arrays.get(f"{prefix}pixel_threshold")
    epochs, samples, batch_size, weight_decay = arrays["training"].tolist()
    if min(epochs, samples, batch_size) < 1:
        raise ValueError("training has no epochs, images or images of a batch")
    correct = int((arrays["predictions"][place] == arrays["labels"]).sum())
    counts = BaselineCounts(
        name=printable(str(arrays["names"][place])),
        network=_network(own),
        synapses=tuple(synapses),
        equal_size=bool(arrays["equal_size"][place]),
        accuracy_percent=100 * correct / max(len(arrays["labels"]), 1),
        macs_nonzero=macs,
        weights_sha256=weights_digest(own),
        training=TrainingRun(epochs, samples, batch_size, bool(weight_decay)),
        nonzero_fractions=None if fractions is None else tuple(fractions.tolist()),
        pixel_threshold=None if threshold is None else int(threshold),
        shifts=only_shifts(own),
        **{
            name: arrays[name][place].item()
            for name in _FIGURES
            if name != "equal_size"
        },
    )
    if counts.pruned and fractions is None:
        raise ValueError(f"{prefix}nonzero_fractions is missing")
    return counts


def _matrices(arrays: Arrays) -> list[NDArray[Any]]:
    """The weight matrices of a network, in the order of its layers."""
    return [weight for weight, _ in weights_and_biases(arrays)]


def _network(arrays: Arrays) -> ConventionalNetwork:
    weights = _matrices(arrays)
    fan_ins = [matrix.shape[1] for matrix in weights]
    has_bias = any(name.endswith("bias") for name in arrays)
    return ConventionalNetwork.of_layers(
        fan_ins[0], fan_ins[1:], len(weights[-1]), has_bias
    )
