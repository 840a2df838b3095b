"""What the conventional networks answer and multiply on the test images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.data.images import LabelledImages
from spikejoule.learn.relu_network import activations
from spikejoule.model.architecture import Architecture, State
from spikejoule.rival.counts import BaselineCounts
from spikejoule.rival.quantised import (
    QuantisedNetwork,
    activation_bits,
    quantise,
    quantised_activations,
)
from spikejoule.rival.relu import nonzero_macs

CALIBRATION_IMAGES = 2000
"""The first training images, as they are: the ranges of the quantised activations come from them.
"""


@dataclass(frozen=True, eq=False)
class MeasuredRival:
    """A conventional network on N test images.

    Attributes:
        counts: its accuracy and multiplications.
        predictions: class of each image, [N].
        n_correct: images that it reads right.
    """

    counts: BaselineCounts
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


def measure_rivals(
    state: State,
    quantised: QuantisedNetwork,
    architecture: Architecture,
    test: LabelledImages,
) -> tuple[MeasuredRival, MeasuredRival]:
    """The float32 network and its quantised form on the test images, in this order."""
    shape = "-".join(str(size) for size in architecture.layer_sizes)
    return (
        _measured(f"ReLU {shape}", 32, activations(state, test.images), architecture, test),
        _measured(
            f"quantised ReLU {shape}",
            quantised.activation_bits,
            quantised_activations(quantised, test.images),
            architecture,
            test,
        ),
    )


def _measured(
    name: str,
    bits: int,
    layers: tuple[NDArray[Any], ...],
    architecture: Architecture,
    test: LabelledImages,
) -> MeasuredRival:
    predictions = layers[-1].argmax(axis=1)
    n_correct = int((predictions == test.labels).sum())
    counts = BaselineCounts(
        name=name,
        accuracy_percent=100 * n_correct / len(test) if len(test) else 0.0,
        macs_dense=sum(architecture.synapses),
        macs_nonzero=nonzero_macs(layers, architecture),
        bits=bits,
    )
    return MeasuredRival(counts, predictions, n_correct)
