"""What the conventional networks answer and multiply on the test images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.baselines.quantised import (
    QuantisedNetwork,
    activation_bits,
    quantise,
    quantised_activations,
)
from spikejoule.data.images import LabelledImages
from spikejoule.model.architecture import State
from spikejoule.model.quantisation import FLOAT_BITS
from spikejoule.training.relu_network import activations

CALIBRATION_IMAGES = 2000
"""The first training images, as they are: from them come the ranges of the activations of a network
that is quantised after its training."""


@dataclass(frozen=True, eq=False)
class MeasuredBaseline:
    """A conventional network on N test images.

    Attributes:
        counts: its accuracies and multiplications.
        network: its parameters, or its integers.
        predictions: class of each image, [N].
        n_correct: images that it reads right.
    """

    counts: BaselineCounts
    network: State | QuantisedNetwork
    predictions: NDArray[np.integer]
    n_correct: int


def quantise_for_window(
    state: State,
    train: LabelledImages,
    time_window: int,
    weight_bits: int,
) -> QuantisedNetwork:
    """The network whose activations have as many levels as a neuron has counts in `time_window`."""
    calibration = activations(state, train.images[:CALIBRATION_IMAGES])
    return quantise(state, calibration, activation_bits(time_window), weight_bits)


def measure_baseline(
    name: str,
    network: State | QuantisedNetwork,
    equal_size: bool,
    pruned: bool,
    splits: Mapping[str, LabelledImages],
) -> MeasuredBaseline:
    """Run a network, in integers if it has some.

    Args:
        name, equal_size: as in `BaselineCounts`.
        network: its parameters, or its integers.
        pruned: whether weights were removed; those of 0 are no synapses then.
        splits: the images of `validation` and `test`.
    """
    test, weights = splits["test"], weights_of(network)
    widths = {"weight_bits": FLOAT_BITS, "activation_bits": FLOAT_BITS}
    if isinstance(network, QuantisedNetwork):
        widths = {name: getattr(network, name) for name in widths}
    layers = _layers(network, test)
    predictions = layers[-1].argmax(axis=1)
    n_correct = int((predictions == test.labels).sum())
    of_validation = _layers(network, splits["validation"])[-1].argmax(axis=1)
    kept = [of != 0 if pruned else np.ones_like(of, dtype=np.bool_) for of in weights]
    counts = BaselineCounts(
        name=name,
        layer_sizes=(*(of.shape[1] for of in weights), len(weights[-1])),
        synapses=tuple(int(of.sum()) for of in kept),
        **widths,
        equal_size=equal_size,
        validation_accuracy_percent=100
        * float(np.mean(of_validation == splits["validation"].labels)),
        accuracy_percent=100 * n_correct / len(test),
        active=np.stack([np.count_nonzero(of, axis=1) for of in layers[:-1]], axis=1),
        macs_nonzero=nonzero_macs(layers, kept),
    )
    return MeasuredBaseline(counts, network, predictions, n_correct)


def weights_of(network: State | QuantisedNetwork) -> list[NDArray[Any]]:
    """The weight matrices [target, source] from the input side, integers if it has some."""
    if isinstance(network, QuantisedNetwork):
        return [layer.weight for layer in network.layers]
    return [values for values in network.values() if values.ndim == 2]


def nonzero_macs(
    layers: tuple[NDArray[Any], ...], kept: list[NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """MACs of each image if products with a zero activation are skipped, int64 [N, L - 1].

    Of each layer but the last, the weights that are left behind its activations that are not zero.

    Args:
        layers: activations [N, units] of every layer, the input first; the last reaches no weight.
        kept: for each weight matrix [target, source], whether a weight is left.
    """
    return np.stack(
        [
            # In float64, which holds such sums exactly, products of matrices are fast.
            ((values != 0).astype(np.float64) @ of.sum(axis=0, dtype=np.float64)).astype(np.int64)
            for values, of in zip(layers[:-1], kept, strict=True)
        ],
        axis=1,
    )


def _layers(network: State | QuantisedNetwork, samples: LabelledImages) -> tuple[NDArray[Any], ...]:
    if isinstance(network, QuantisedNetwork):
        return quantised_activations(network, samples.images)
    return activations(network, samples.images)
