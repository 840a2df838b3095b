"""A ReLU network in integers, with as many activation levels as spike counts.

A neuron that may fire in each of T steps sends one of T + 1 spike counts, so the fair
baseline of a spiking network has activations of ceil(log2(T + 1)) bits (Yan et al.,
arXiv:2409.08290). Post-training quantisation with integer-only arithmetic (Jacob et
al., CVPR 2018, arXiv:1712.05877):

pixels              unsigned, `activation_bits`; the level nearest to the intensity;
                    or 1 bit: whether the pixel exceeds a threshold
weights             signed and symmetric, `weight_bits`, one scale per layer
biases              on the scale of the sums, `sum_bits`
sums                `sum_bits`; exact within a layer; the result saturates, as the
                    potential of a spiking neuron does after a step
hidden activations  unsigned, `activation_bits`; a sum times a 24-bit multiplier,
                    shifted right with rounding, and clipped, which includes the ReLU;
                    only shifted if units were chosen for that (`shifted_unit`)
scores              the sums of the last layer

The ranges of weights and hidden activations minimise the squared error, like the grids
of an integer spiking network (`network.quantisation`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.network.network import weights_and_biases

MULTIPLIER_BITS = 24
_CLIPPING_CANDIDATES = 64

CALIBRATION_IMAGES = 2000
"""The number of first training images, unaugmented, that decide activation ranges.

This is for a network quantised after training.
"""


@dataclass(frozen=True, eq=False)
class Widths:
    """Widths of the numbers of an integer network, in bits.

    Attributes:
        activation: pixels and hidden activations, at least 1.
        weight: weights, at least 2.
        sum: sums and biases, at most 32.
    """

    activation: int
    weight: int
    sum: int

    @property
    def largest_activation(self) -> int:
        """Activations are from 0 to this."""
        return int(2**self.activation - 1)

    @property
    def largest_weight(self) -> int:
        """Weights are from minus this to this."""
        return int(2 ** (self.weight - 1) - 1)

    @property
    def half_of_sums(self) -> int:
        """Sums saturate at minus this and at this minus 1."""
        return int(2 ** (self.sum - 1))


@dataclass(frozen=True, eq=False)
class QuantisedLayer:
    """A layer of an integer network.

    A sum a becomes the activation (a * multiplier + 2**(shift - 1)) >> shift, clipped.
    The sums of the last layer are scores, and stay.

    Attributes:
        weight: int32 [target, source].
        bias: int64 [target]; None without biases.
        multiplier, shift: the requantisation of the sums.
    """

    weight: NDArray[np.int32]
    bias: NDArray[np.int64] | None
    multiplier: int
    shift: int

    def sums(self, activations: NDArray[np.int64], widths: Widths) -> NDArray[np.int64]:
        """Return the saturated sums of activations [N, source], [N, target]."""
        # In float64, where matrix products are fast and exact below 2**53.
        products = activations.astype(np.float64) @ self.weight.astype(np.float64).T
        sums = products.astype(np.int64)
        if self.bias is not None:
            sums += self.bias
        half = widths.half_of_sums
        return sums.clip(-half, half - 1)

    def activations(self, sums: NDArray[np.int64], widths: Widths) -> NDArray[np.int64]:
        """Return the activations of sums [N, target]."""
        rounded = (sums * self.multiplier + (1 << (self.shift - 1))) >> self.shift
        return rounded.clip(0, widths.largest_activation)


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """A ReLU network in integers.

    Attributes:
        layers: from the input on.
        widths: widths of its numbers.
        pixel_threshold: a pixel is 1 if it is greater, else 0; None if pixels are
            rounded to the width of activations.
    """

    layers: tuple[QuantisedLayer, ...]
    widths: Widths
    pixel_threshold: int | None = None

    def pixels(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Levels of the pixels of images [N, ...], [N, pixels]."""
        pixels = images.reshape(len(images), -1)
        if self.pixel_threshold is not None:
            return (pixels > self.pixel_threshold).astype(np.int64)
        # The nearest level: 255 is odd, so no pixel is half-way between two levels.
        return (pixels.astype(np.int64) * self.widths.largest_activation + 127) // 255


def activation_bits(time_window: int) -> int:
    """Return ceil(log2(T + 1)), the bits of the spike counts 0 to T, for T >= 1."""
    return time_window.bit_length()


def quantise(
    state: Mapping[str, NDArray[np.float32]],
    calibration: Sequence[NDArray[np.float32]],
    widths: Widths,
) -> QuantisedNetwork:
    """Quantise a trained ReLU network.

    Args:
        state: weights [target, source] and biases of the layers, in order.
        calibration: activations of every layer on training images, the input first,
            [n, units].
        widths: widths of its numbers.
    """
    weight_units = [
        weight_unit(weight, widths.largest_weight)
        for weight, _ in weights_and_biases(state)
    ]
    activation_units = [
        least_error_unit(outputs, widths.largest_activation)
        for outputs in calibration[1:-1]
    ]
    return in_integers(state, weight_units, activation_units, widths)


def weight_unit(weights: NDArray[np.float32], top: int) -> float:
    """Choose the value of an integer 1 in a weight matrix of integers up to `top`."""
    return least_error_unit(np.abs(weights[weights != 0]), top)


def in_integers(
    state: Mapping[str, NDArray[np.float32]],
    weight_units: Sequence[float],
    activation_units: Sequence[float],
    widths: Widths,
    pixel_threshold: int | None = None,
) -> QuantisedNetwork:
    """Express a network in multiples of given units.

    Args:
        state: weights [target, source] and biases, if any, of the layers, in order.
        weight_units: the value of an integer 1 in each weight matrix.
        activation_units: the value of an integer 1 in each hidden layer.
        widths: widths of its numbers; weights and biases beyond them saturate.
        pixel_threshold: as in `QuantisedNetwork`.
    """
    largest = widths.largest_weight
    half = widths.half_of_sums
    largest_pixel = widths.largest_activation if pixel_threshold is None else 1
    sources = [1 / largest_pixel, *activation_units]
    # The sums of the last layer are not requantised.
    targets = [*activation_units, 1.0]
    layers = []
    given = zip(weights_and_biases(state), weight_units, sources, targets, strict=True)
    for (weight, bias), unit, source, target in given:
        multiplier, shift = _fixed_point(source * unit / target)
        layers.append(
            QuantisedLayer(
                weight=_multiples(weight, unit, -largest, largest).astype(np.int32),
                bias=None
                if bias is None
                else _multiples(bias, source * unit, -half, half - 1),
                multiplier=multiplier,
                shift=shift,
            )
        )
    return QuantisedNetwork(tuple(layers), widths, pixel_threshold)


def _multiples(
    values: NDArray[np.float32], unit: float, lowest: int, highest: int
) -> NDArray[np.int64]:
    """Round to the nearest multiples of a unit within a range."""
    nearest: NDArray[np.float64] = np.rint(values.astype(np.float64) / unit)
    return nearest.clip(lowest, highest).astype(np.int64)


def quantised_activations(
    network: QuantisedNetwork, images: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], ...]:
    """Run the integer network; every number is exact.

    Args:
        network: the network.
        images: uint8 [N, height, width].

    Returns:
        pixel levels, hidden activations and class scores, int64 [N, units] each.
    """
    widths = network.widths
    activations = network.pixels(images)
    reached = [activations]
    for layer in network.layers[:-1]:
        activations = layer.activations(layer.sums(activations, widths), widths)
        reached.append(activations)
    return (*reached, network.layers[-1].sums(activations, widths))


def least_error_unit(values: NDArray[np.float32], top: int) -> float:
    """Choose the step of equal levels that fits `values` with least squared error.

    Args:
        values: not negative, of any shape; the step is 1 / top if they are all 0.
        top: the largest level.
    """
    largest = float(values.max(initial=0)) or 1.0
    candidates = largest * np.arange(1, _CLIPPING_CANDIDATES + 1) / _CLIPPING_CANDIDATES
    errors = []
    for end in candidates:
        levels = np.clip(np.rint(values * np.float32(top / end)), 0, top)
        error = levels * np.float32(end / top) - values
        errors.append(float(np.mean(np.square(error, dtype=np.float64))))
    return float(candidates[int(np.argmin(errors))]) / top


def shifted_unit(unit: float, sum_unit: float) -> float:
    """Return the unit nearest to `unit` that is a power of two times `sum_unit`.

    A sum then becomes an activation by a shift, without a multiplication.
    """
    return float(sum_unit * 2.0 ** round(math.log2(unit / sum_unit)))


class _FixedPoint(NamedTuple):
    """The factor multiplier / 2**shift."""

    multiplier: int
    shift: int


def _fixed_point(factor: float) -> _FixedPoint:
    """Return the fixed-point number nearest to a positive factor.

    A factor above 2**22, which would saturate every activation, becomes 2**22.
    """
    factor = min(factor, 2.0 ** (MULTIPLIER_BITS - 2))
    power = 2.0 ** round(math.log2(factor))
    # Units are rounded to float32, so a shift may be off by a few last digits.
    if abs(factor - power) < 1e-6 * power:
        factor = power
    fraction, exponent = math.frexp(factor)
    return _FixedPoint(round(fraction * 2**MULTIPLIER_BITS), MULTIPLIER_BITS - exponent)
