"""The ReLU network in integers, with as many activation levels as a spiking neuron has counts.

A neuron that may fire in each of T steps sends one of T + 1 spike counts, so the fair baseline of a
spiking network has activations of ceil(log2(T + 1)) bits (Yan et al., arXiv:2409.08290). This is
post-training quantisation with integer arithmetic alone (Jacob et al., CVPR 2018,
arXiv:1712.05877):

pixels              unsigned, `activation_bits`; the nearest level to the pixel's intensity
weights             signed and symmetric, `weight_bits`, one scale per layer
biases              integers on the scale of the accumulators, which are exact
hidden activations  unsigned, `activation_bits`; an accumulator times a multiplier of 24 bits,
                    shifted right with rounding, and clipped (which is the ReLU too)
scores              the last layer's accumulators
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.model.network import State

MULTIPLIER_BITS = 24
_CLIPPING_CANDIDATES = 64

CALIBRATION_IMAGES = 2000
"""The first training images, as they are: from them come the ranges of the activations of a network
that is quantised after its training."""


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """One weight matrix in integers.

    Attributes:
        weight: int64 [target, source], within the range of the weights' bits.
        bias: int64 [target].
        multiplier, shift: an accumulator a becomes the activation
            (a * multiplier + 2**(shift - 1)) >> shift, clipped; unused in the last layer.
    """

    weight: NDArray[np.int64]
    bias: NDArray[np.int64]
    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """A ReLU network in integers.

    Attributes:
        layers: the weight matrices, from the input side.
        activation_bits: width of pixels and hidden activations.
        weight_bits: width of the weights.
    """

    layers: tuple[QuantisedLayer, ...]
    activation_bits: int
    weight_bits: int


def activation_bits(time_window: int) -> int:
    """ceil(log2(T + 1)): the bits that tell the spike counts 0 to T apart, for T of at least 1."""
    return time_window.bit_length()


def quantise(
    state: Mapping[str, NDArray[np.float32]],
    calibration: Sequence[NDArray[np.float32]],
    activation_bits: int,
    weight_bits: int,
) -> QuantisedNetwork:
    """Quantise a trained ReLU network.

    The range of each hidden layer is the one that leaves its calibration activations with the least
    mean squared error; that of the weights ends at the largest of their magnitudes.

    Args:
        state: weights [target, source] and biases of the layers, in their order.
        calibration: activations of every layer on training images, the input first, [n, units].
        activation_bits: width of pixels and hidden activations, at least 1.
        weight_bits: width of the weights, at least 2.
    """
    top = 2**activation_bits - 1
    largest = [_or_one(float(np.abs(of).max())) for of in state.values() if of.ndim == 2]
    return in_integers(
        state,
        [of / (2 ** (weight_bits - 1) - 1) for of in largest],
        [least_error_range(outputs, top) / top for outputs in calibration[1:-1]],
        activation_bits,
        weight_bits,
    )


def in_integers(
    state: Mapping[str, NDArray[np.float32]],
    weight_units: Sequence[float],
    activation_units: Sequence[float],
    activation_bits: int,
    weight_bits: int,
) -> QuantisedNetwork:
    """The network of integers that stand for multiples of given units.

    Args:
        state: weights [target, source] and biases of the layers, in their order.
        weight_units: what an integer 1 stands for, of each weight matrix.
        activation_units: likewise of each hidden layer.
        activation_bits: width of pixels and hidden activations, at least 1.
        weight_bits: width of the weights, at least 2; what is beyond saturates.
    """
    values = list(state.values())
    weight_top = 2 ** (weight_bits - 1) - 1
    sources = [1 / (2**activation_bits - 1), *activation_units]
    # The last layer's accumulators stay what they are.
    targets = [*activation_units, 1.0]
    layers: list[QuantisedLayer] = []
    for weight, bias, weight_unit, source_unit, target_unit in zip(
        values[::2], values[1::2], weight_units, sources, targets, strict=True
    ):
        accumulator_unit = source_unit * weight_unit
        integers = np.rint(weight.astype(np.float64) / weight_unit).astype(np.int64)
        layers.append(
            QuantisedLayer(
                np.clip(integers, -weight_top, weight_top),
                np.rint(bias.astype(np.float64) / accumulator_unit).astype(np.int64),
                *_fixed_point(accumulator_unit / target_unit),
            )
        )
    return QuantisedNetwork(tuple(layers), activation_bits, weight_bits)


def quantised_activations(
    network: QuantisedNetwork, images: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], ...]:
    """Run the integer network; every number is exact.

    Args:
        network: the network.
        images: uint8 [N, height, width].

    Returns:
        pixels' levels, hidden activations and the scores of the classes, int64 [N, units] each.
    """
    top = 2**network.activation_bits - 1
    # The nearest level: 255 is odd, so that no pixel lies half-way between two.
    pixels = (images.reshape(len(images), -1).astype(np.int64) * top + 127) // 255
    layers = [pixels]
    for layer in network.layers[:-1]:
        scaled = _accumulate(layers[-1], layer) * layer.multiplier
        layers.append(np.clip((scaled + (1 << (layer.shift - 1))) >> layer.shift, 0, top))
    layers.append(_accumulate(layers[-1], network.layers[-1]))
    return tuple(layers)


def _accumulate(sources: NDArray[np.int64], layer: QuantisedLayer) -> NDArray[np.int64]:
    """Integer products and sums, by way of float64, which holds integers below 2**53 exactly."""
    product = sources.astype(np.float64) @ layer.weight.astype(np.float64).T
    return product.astype(np.int64) + layer.bias


def least_error_range(values: NDArray[np.float32], top: int) -> float:
    """The end of the range in equal steps that fits `values` with least mean squared error.

    Args:
        values: of any shape.
        top: steps from 0 to the end.
    """
    largest = _or_one(float(values.max()))
    candidates = largest * np.arange(1, _CLIPPING_CANDIDATES + 1) / _CLIPPING_CANDIDATES
    errors = []
    for end in candidates:
        levels = np.clip(np.rint(values * np.float32(top / end)), 0, top)
        error = levels * np.float32(end / top) - values
        errors.append(float(np.mean(np.square(error, dtype=np.float64))))
    return float(candidates[int(np.argmin(errors))])


def _fixed_point(factor: float) -> tuple[int, int]:
    """(multiplier, shift) with multiplier / 2**shift nearest to a positive factor.

    A factor beyond 2**22, which would saturate every activation, counts as 2**22.
    """
    fraction, exponent = math.frexp(min(factor, 2.0 ** (MULTIPLIER_BITS - 2)))
    return round(fraction * 2**MULTIPLIER_BITS), MULTIPLIER_BITS - exponent


def _or_one(value: float) -> float:
    """A layer of zeros has no range of its own."""
    return value if value > 0 else 1.0


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
