"""Answers and activity of conventional networks (ANN), and their file.

results/baseline.npz is the input of the energy comparison. For K networks and N test
images it holds

names                        [K]
weight_bits, activation_bits, sum_bits   int64 [K]
equal_size                   uint8 [K]
validation_accuracy_percent  float64 [K]
predictions                  uint8 [K, N]
labels                       uint8 [N]
baselinek.synapses           [L - 1], of each network k from 1 to K
baselinek.macs_nonzero       [N, L - 1], products of a nonzero activation
baselinek.trained            int64 [2, L - 1], products of values other than zero with
                             the weights of each matrix in all forward passes, and
                             `TrainingRecord.gradients_reached`; absent if it was
                             quantised after training
training                     int64 [4], of all trainings: epochs, images of an epoch,
                             images of a batch, and whether there is an L2 penalty

and the weights, so that every count can be recounted: of matrix j,
`baselinek.layerj.weight` [target, source] and `.bias` in float32, or the integers
`baselinek.layerj.integer_weight`, `.integer_bias` and `.requantisation` (multiplier,
shift). Networks without biases have no bias arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.quantised import (
    QuantisedLayer,
    QuantisedNetwork,
    Widths,
)
from spikejoule.core.errors import ArtifactError, ParameterError, printable
from spikejoule.core.npz import arrays_digest
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.core.store import FilePath
from spikejoule.counts.measurement import activity_of_products
from spikejoule.counts.records import Activity
from spikejoule.counts.training import TrainingRecord
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import State, weights_and_biases
from spikejoule.network.quantisation import FLOAT_BITS


@dataclass(frozen=True, eq=False)
class CountedBaseline:
    """A conventional network, its accuracy, and what it did on N test images.

    Attributes:
        name: a name such as ``ReLU 784-100-10, 90 % pruned, 8 bits``.
        activity: its L layers, and what they did for each image. In a pruned network a
            weight of 0 is no synapse, whether it was removed or rounded.
        equal_size: whether it has the layer sizes of `model.hidden`, mostly those of
            the spiking network; the others are the family.
        validation_accuracy_percent: validation accuracy, by which it is chosen.
        accuracy_percent: accuracy on the whole test set.
        weights_sha256: checksum of its weights (`arrays_digest`); empty if unknown.
        training: how it was trained, in one row; None if unknown, or if it was
            quantised after training.
    """

    name: str
    activity: Activity
    equal_size: bool
    validation_accuracy_percent: float
    accuracy_percent: float
    weights_sha256: str = ""
    training: TrainingRecord | None = None

    @property
    def network(self) -> ConventionalNetwork:
        """The network, with its weights."""
        network = self.activity.network
        assert isinstance(network, ConventionalNetwork)
        return network

    @property
    def is_quantised(self) -> bool:
        """Whether it became a network of integers after its training."""
        return self.network.is_integer and self.training is None

    @property
    def synapses(self) -> tuple[int, ...]:
        """Weights left in each matrix."""
        pruned = self.activity.pruned
        return tuple(
            int(node.fan_out(pruned).sum()) for node in self.network.connections
        )

    @property
    def macs_dense(self) -> int:
        """Multiply-accumulates per image when every weight that is left is used."""
        return sum(self.synapses)

    @property
    def macs_nonzero(self) -> NDArray[np.int64]:
        """Products of a nonzero activation and a weight that is left, [N, L - 1]."""
        counts = self.activity.counts
        macs = [counts[name].macs for name in self.network.connection_names]
        return np.stack(macs, axis=1)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class MeasuredBaseline:
    """A conventional network on N test images.

    Attributes:
        counts: its accuracies and activity.
        network: its parameters, or its integers.
        predictions: class of each image, [N].
    """

    counts: CountedBaseline
    network: State | QuantisedNetwork
    predictions: NDArray[np.integer]

    def trained_in(self, training: TrainingRecord) -> Self:
        """The same network, with how it was trained."""
        return replace(self, counts=replace(self.counts, training=training))


BASELINE = ArrayFile(
    "spikejoule/baseline/6",
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
        "baseline*.trained": Array("int64", (2, "*"), low=0),
        "baseline*.pixel_threshold": Array("int64", (), low=0, high=254),
        "baseline*.layer*.weight": Array("float32", ("*", "*")),
        "baseline*.layer*.bias": Array("float32", ("*",)),
        "baseline*.layer*.integer_weight": Array("int32", ("*", "*")),
        "baseline*.layer*.integer_bias": Array("int64", ("*",)),
        "baseline*.layer*.requantisation": Array("int64", (2,)),
    },
    optional={"training": Array("int64", (4,), low=0)},
)


def save_baseline(
    path: FilePath,
    measured: Sequence[MeasuredBaseline],
    labels: NDArray[np.uint8],
) -> None:
    """Write counts, predictions and weights of networks, and the labels [N].

    Args:
        path: the file.
        measured: the networks; those with a `TrainingRecord` have seen the same images.
        labels: classes of the test images.
    """
    counts = [baseline.counts for baseline in measured]
    networks = [baseline.network for baseline in counts]
    columns = {
        "weight_bits": [network.weight_bits for network in networks],
        "activation_bits": [network.activation_bits for network in networks],
        "sum_bits": [network.state_bits for network in networks],
        "equal_size": [one.equal_size for one in counts],
        "validation_accuracy_percent": [
            one.validation_accuracy_percent for one in counts
        ],
    }
    names = np.array([one.name for one in counts], np.str_)
    arrays: dict[str, NDArray[Any]] = {"names": names}
    for name, values in columns.items():
        arrays[name] = np.array(values, dtype=BASELINE.arrays[name].dtype)
    predictions = np.stack([baseline.predictions for baseline in measured])
    arrays["predictions"] = predictions.astype(np.uint8)
    arrays["labels"] = labels
    runs = [one.training for one in counts if one.training is not None]
    if runs:
        run = runs[0]
        settings = (run.n_epochs, run.set_size, run.batch_size, run.weight_decay)
        arrays["training"] = np.array(settings, dtype=np.int64)
    for number, baseline in enumerate(measured, start=1):
        own: dict[str, NDArray[Any]] = {
            "synapses": np.array(baseline.counts.synapses, dtype=np.int64),
            "macs_nonzero": baseline.counts.macs_nonzero,
            **weight_arrays(baseline.network),
        }
        trained = baseline.counts.training
        if trained is not None and trained.gradients_reached is not None:
            own["trained"] = np.vstack([trained.touched, trained.gradients_reached])
        network = baseline.network
        if (
            isinstance(network, QuantisedNetwork)
            and network.pixel_threshold is not None
        ):
            own["pixel_threshold"] = np.array(network.pixel_threshold)
        arrays |= {f"baseline{number}.{name}": array for name, array in own.items()}
    BASELINE.write(path, arrays)


def load_baseline(
    path: FilePath, labels: NDArray[Any] | None = None, n_input: int | None = None
) -> tuple[CountedBaseline, ...]:
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
            f"{path} was counted on other test images than the network: count both on "
            "the same."
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


def load_network(path: FilePath, name: str) -> State | QuantisedNetwork:
    """The network of a name in a file of `save_baseline`, to run it.

    Raises:
        ArtifactError: as `load_weights`.
    """
    arrays = BASELINE.read(path)
    weights = load_weights(path, name)
    place = arrays["names"].tolist().index(name)
    if arrays["weight_bits"][place] == FLOAT_BITS:
        return weights
    widths = Widths(
        activation=int(arrays["activation_bits"][place]),
        weight=int(arrays["weight_bits"][place]),
        sum=int(arrays["sum_bits"][place]),
    )
    layers = [
        QuantisedLayer(weight, bias, *weights[f"layer{number}.requantisation"].tolist())
        for number, (weight, bias) in enumerate(weights_and_biases(weights), start=1)
    ]
    threshold = arrays.get(f"baseline{place + 1}.pixel_threshold")
    return QuantisedNetwork(
        tuple(layers), widths, None if threshold is None else int(threshold)
    )


def _counts(arrays: Arrays, number: int) -> CountedBaseline:
    """Read one network of a file, numbered from 1.

    Raises KeyError, IndexError or ValueError if it is incomplete.
    """
    place = number - 1
    prefix = f"baseline{number}."
    own = _weights_of(arrays, number)
    network = replace(
        network_of(own),
        weight_bits=int(arrays["weight_bits"][place]),
        state_bits=int(arrays["sum_bits"][place]),
        activation_bits=int(arrays["activation_bits"][place]),
        has_binary_input=f"{prefix}pixel_threshold" in arrays,
    )
    synapses = arrays[f"{prefix}synapses"].tolist()
    weights = [connection.weight for connection in network.connections]
    sizes = [matrix.size for matrix in weights]
    if synapses not in (sizes, [np.count_nonzero(matrix) for matrix in weights]):
        raise ValueError(
            f"{prefix}synapses is {synapses}, not the number of its weights"
        )
    macs = arrays[f"{prefix}macs_nonzero"]
    if macs.shape[1:] != (len(synapses),):
        raise ValueError(f"{prefix}macs_nonzero does not have {len(synapses)} layers")
    if (macs > np.array(synapses)).any():
        raise ValueError(f"{prefix}macs_nonzero is more than its {synapses}")
    activity = activity_of_products(network, macs, pruned=synapses != sizes)
    correct = int((arrays["predictions"][place] == arrays["labels"]).sum())
    return CountedBaseline(
        name=printable(str(arrays["names"][place])),
        activity=activity,
        equal_size=bool(arrays["equal_size"][place]),
        validation_accuracy_percent=float(arrays["validation_accuracy_percent"][place]),
        accuracy_percent=100 * correct / max(len(arrays["labels"]), 1),
        weights_sha256=arrays_digest(own),
        training=_training_of(arrays, number, activity),
    )


def _training_of(
    arrays: Arrays, number: int, tested: Activity
) -> TrainingRecord | None:
    """Read how a network was trained; what it did for test images is known."""
    trained = arrays.get(f"baseline{number}.trained")
    if trained is None:
        return None
    epochs, samples, batch_size, weight_decay = arrays["training"].tolist()
    if min(epochs, samples, batch_size) < 1:
        raise ValueError("training has no epochs, images or images of a batch")
    products, gradients_reached = trained[:, None]
    network = tested.network
    assert isinstance(network, ConventionalNetwork)
    seen = np.array([epochs * samples])
    return TrainingRecord(
        activity=activity_of_products(network, products, samples=seen),
        # A value reaches each of its synapses once per sample.
        touched=products,
        n_epochs=epochs,
        batch_size=batch_size,
        weight_decay=bool(weight_decay),
        clipping=False,
        pruned=tested.pruned,
        gradients_reached=gradients_reached,
    )


def weight_arrays(network: State | QuantisedNetwork) -> dict[str, NDArray[Any]]:
    """Name the weights as in the file, without `baselinek.`."""
    if not isinstance(network, QuantisedNetwork):
        return {name.replace(".synapses", ""): array for name, array in network.items()}
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers, start=1):
        arrays[f"layer{number}.integer_weight"] = layer.weight
        if layer.bias is not None:
            arrays[f"layer{number}.integer_bias"] = layer.bias
        requantisation = np.array([layer.multiplier, layer.shift])
        arrays[f"layer{number}.requantisation"] = requantisation
    return arrays


def network_of(arrays: Mapping[str, NDArray[Any]]) -> ConventionalNetwork:
    """Build a network with its weights, given by `weight_arrays`; widths of floats."""
    weights = [weight for weight, _ in weights_and_biases(arrays)]
    fan_ins = [matrix.shape[1] for matrix in weights]
    has_bias = any(name.endswith("bias") for name in arrays)
    network = ConventionalNetwork.of_layers(
        fan_ins[0], fan_ins[1:], len(weights[-1]), has_bias
    )
    return replace(network.with_weights(arrays), shifts=_only_shifts(arrays))


def _only_shifts(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether a network has requantisations, and each is a shift.

    Its multipliers are powers of two then; that of the last layer is not used.
    """
    n_layers = sum(name.endswith(".requantisation") for name in arrays)
    multipliers = [
        int(arrays[f"layer{number}.requantisation"][0]) for number in range(1, n_layers)
    ]
    return n_layers > 0 and all(number.bit_count() == 1 for number in multipliers)
