"""Running a conventional network on images: its answers and its multiplications."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import (
    CountedBaseline,
    MeasuredBaseline,
    network_of,
    weight_arrays,
)
from spikejoule.baselines.quantised import QuantisedNetwork, quantised_activations
from spikejoule.core.npz import arrays_digest
from spikejoule.counts.measurement import activity_of_products, nonzero_products
from spikejoule.data.images import LabelledImages
from spikejoule.encoding.counting import best_class
from spikejoule.network.network import State
from spikejoule.training.relu.running import activations


def measure_baseline(
    name: str,
    network: State | QuantisedNetwork,
    equal_size: bool,
    pruned: bool,
    splits: Mapping[str, LabelledImages],
) -> MeasuredBaseline:
    """Run a network and count its multiplications.

    Args:
        name, equal_size: as in `CountedBaseline`.
        network: its parameters, or its integers.
        pruned: whether weights were removed; then a weight of 0 is no synapse.
        splits: the images of `validation` and `test`.
    """
    test = splits["test"]
    validation = splits["validation"]
    arrays = weight_arrays(network)
    layers = _layers(network, test.images)
    predictions = best_class(layers[-1])
    validated = best_class(_layers(network, validation.images)[-1])
    n_correct = int((predictions == test.labels).sum())
    bound = network_of(arrays)
    if isinstance(network, QuantisedNetwork):
        bound = replace(
            bound,
            weight_bits=network.widths.weight,
            state_bits=network.widths.sum,
            activation_bits=network.widths.activation,
            has_binary_input=network.pixel_threshold is not None,
        )
    macs = nonzero_products(bound, layers, pruned)
    counts = CountedBaseline(
        name=name,
        activity=activity_of_products(bound, macs, pruned),
        equal_size=equal_size,
        validation_accuracy_percent=100
        * float(np.mean(validated == validation.labels)),
        accuracy_percent=100 * n_correct / len(test),
        weights_sha256=arrays_digest(arrays),
    )
    return MeasuredBaseline(counts, network, predictions)


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
    return activations(network, images)
