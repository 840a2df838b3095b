"""The weights of a conventional network as named arrays, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.quantised import QuantisedLayer, QuantisedNetwork
from spikejoule.core.errors import ArtifactError
from spikejoule.model.architecture import State
from spikejoule.model.quantisation import FLOAT_BITS


def weight_arrays(network: State | QuantisedNetwork) -> dict[str, NDArray[Any]]:
    """`layerj.weight` and `.bias` in float32, or those of a network in integers.

    The latter are `layerj.integer_weight`, `.integer_bias` and `.requantisation` (multiplier,
    shift).
    """
    if not isinstance(network, QuantisedNetwork):
        return {name.replace(".synapses", ""): values for name, values in network.items()}
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(network.layers, start=1):
        arrays[f"layer{number}.integer_weight"] = layer.weight.astype(np.int32)
        arrays[f"layer{number}.integer_bias"] = layer.bias
        arrays[f"layer{number}.requantisation"] = np.array(
            [layer.multiplier, layer.shift], dtype=np.int64
        )
    return arrays


def network_of(
    arrays: Mapping[str, NDArray[Any]], n_matrices: int, bits: int
) -> State | QuantisedNetwork:
    """The network of `weight_arrays`, of so many matrices and bits; ArtifactError if it is none."""
    layers = range(1, n_matrices + 1)
    try:
        if bits == FLOAT_BITS:
            return {
                f"layer{number}.synapses.{kind}": arrays[f"layer{number}.{kind}"]
                for number in layers
                for kind in ("weight", "bias")
            }
        in_integers = tuple(
            QuantisedLayer(
                arrays[f"layer{number}.integer_weight"].astype(np.int64),
                arrays[f"layer{number}.integer_bias"],
                *map(int, arrays[f"layer{number}.requantisation"]),
            )
            for number in layers
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"the weights of a network are not whole ({error})") from error
    return QuantisedNetwork(in_integers, bits, bits)
