"""Quantisation: integer networks, as event-driven hardware runs them.

Each layer has a grid of step 2^-k, on which

weights     q = round(w 2^k) of `weight_bits`, signed and symmetric: at most 2^(bits -
            1) - 1
biases      round(b 2^k), as wide as the membrane potential but at most 24 bits
threshold   round(threshold 2^k)
leak        floor(m u / 256) with m = round(256 decay); without a leak m is 256, and u
            is unchanged
potential   u of `state_bits`, which saturates after the reset of a step; within a step
            weights are added in a wider accumulator, so the order of events does not
            matter

Rounding is to nearest, ties to even. The scale is a power of two, so the dequantised
weights q 2^-k and their sums are exact in float32, and a floating-point simulator can
run the network.

The exponent k of a layer minimises the squared error of its weights, recurrent ones
included, over five candidates: the largest k that saturates no weight and the four
above it; the smallest of equals. (Jacob et al., CVPR 2018, arXiv:1712.05877, use the
full range; with few bits it pays to clip the tails.) The threshold bounds k: on the
grid it is at least 1 and at most a quarter of the potential's range.

Training is quantisation-aware: forward and backward pass see the quantised parameters,
and the gradient passes straight through the rounding to the floating-point parameters
of the optimizer (Bengio, Leonard and Courville 2013, arXiv:1308.3432). It also passes
straight through the rounding of the leak and the saturation of the potential, and
through the saturation of a weight: the weight may leave its range, and the scale, which
is chosen again before each epoch, follows.

A kept weight that rounds to 0 is stored as 0. In an unpruned network it is an ordinary
synapse and carries events. In a pruned network a weight of 0 is no synapse, whether it
was pruned or rounded, since only nonzero weights are stored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from spikejoule.core.parameters import ParameterSection, refused
from spikejoule.network.layers import HiddenLayer, PoolingLayer
from spikejoule.network.neuron import Neuron
from spikejoule.network.neurons.lif import LeakyIntegrateAndFire

FLOAT_BITS = 32
"""Width of weights that are not quantised."""

LEAK_ONE = 256
"""Leak factor m of a neuron without leak."""

EXACT_BITS = 24
"""Width of the integers that float32 holds exactly; no bias is wider."""

_FINER = 4
"""How many finer grids than the covering one are tried."""

_WIDTHS = {"weight_bits": (*range(2, 9), FLOAT_BITS), "state_bits": (16, 32)}


class WidthSettings(ParameterSection):
    """Widths of the network's numbers.

    Attributes:
        weight_bits: 32 for floating point, or the width of integer weights, 2 to 8.
        state_bits: width of the membrane potential of an integer network.
    """

    weight_bits: int = Field(
        default=FLOAT_BITS, description="32, or a whole number from 2 to 8"
    )
    state_bits: int = Field(default=32, description="16, 32")

    @field_validator("weight_bits", "state_bits")
    @classmethod
    def _is_one_of_its_widths(cls, bits: int, info: ValidationInfo) -> int:
        # A Literal would accept 8.0 for 8.
        if bits not in _WIDTHS[str(info.field_name)]:
            raise ValueError(f"a width of {bits} bits")
        return bits

    @model_validator(mode="after")
    def _floating_point_has_one_width(self) -> Self:
        if self.weight_bits == FLOAT_BITS and self.state_bits != FLOAT_BITS:
            raise refused(
                f"model.state_bits: {self.state_bits} is not allowed; allowed: 32 with "
                "model.weight_bits 32, which is floating point"
            )
        return self

    @property
    def quantisation(self) -> "Quantisation | None":
        """The widths of an integer network; None for floating point."""
        if self.weight_bits == FLOAT_BITS:
            return None
        return Quantisation(self.weight_bits, self.state_bits)


@dataclass(frozen=True)
class Quantisation:
    """The widths of an integer network, and the grids of its layers.

    Attributes:
        weight_bits: width of the weights, 2 to 8.
        state_bits: width of the membrane potentials, 16 or 32.
        exponents: k of the grid 2^-k of each layer after the input; empty until grids
            are chosen.
    """

    weight_bits: int
    state_bits: int
    exponents: tuple[int, ...] = ()

    @property
    def largest_weight(self) -> int:
        """Largest magnitude of a weight on its grid."""
        return int(2 ** (self.weight_bits - 1) - 1)

    @property
    def largest_bias(self) -> int:
        """Largest magnitude of a bias on its grid."""
        return int(2 ** (min(self.state_bits, EXACT_BITS) - 1) - 1)

    @property
    def state_range(self) -> tuple[int, int]:
        """Lowest and highest membrane potential after a step."""
        return -int(2 ** (self.state_bits - 1)), int(2 ** (self.state_bits - 1) - 1)

    def exponent_of(self, weights: NDArray[Any], threshold: float) -> int:
        """Choose k of the grid 2^-k for a layer's weights; see the module."""
        # The range of k in which the threshold fits on the grid.
        _, threshold_exponent = math.frexp(threshold)
        least = 1 - threshold_exponent
        most = min(self.state_bits, EXACT_BITS) - 2 - threshold_exponent

        # The finest grid that saturates no weight, then the finer ones.
        values = weights[weights != 0].astype(np.float64)
        largest = float(np.abs(values).max(initial=0))
        limit = self.largest_weight
        covering = most
        while covering > least and round(math.ldexp(largest, covering)) > limit:
            covering -= 1
        candidates = range(covering, min(covering + _FINER, most) + 1)

        def squared_error(k: int) -> float:
            rounded = np.ldexp(on_grid(values, k, limit), -k)
            return float(np.square(rounded - values).sum())

        return min(candidates, key=squared_error)


def on_grid(values: NDArray[Any], exponent: int, limit: int) -> NDArray[Any]:
    """Return round(values 2^exponent) between -limit and limit, as floats."""
    rounded: NDArray[Any] = np.rint(np.ldexp(values, exponent)).clip(-limit, limit)
    return rounded


def leak_factor(decay: float) -> int:
    """Return m of the leak floor(m u / 256)."""
    return round(decay * LEAK_ONE)


def threshold_on_grid(threshold: float, exponent: int) -> int:
    """Return the threshold on the grid of a layer."""
    return round(math.ldexp(threshold, exponent))


NO_CURRENTS = (
    "integer networks do not support the encoding 'direct'; allowed: another encoding, "
    "or model.weight_bits 32"
)
"""Why an integer network accepts only spikes."""


def unfit_for_integers(neuron: Neuron, hidden_layers: Sequence[HiddenLayer]) -> str:
    """Say what prevents a network from running in integers; empty if nothing does."""
    for layer in hidden_layers:
        if isinstance(layer, PoolingLayer) and layer.average:
            return (
                f"model.layers: integer weights do not support the layer {layer}; "
                "allowed: sum pooling, such as 2sum, or model.weight_bits 32"
            )
    if not isinstance(neuron, LeakyIntegrateAndFire):
        return (
            f"model.neuron: {neuron.name!r} is not allowed with integer "
            "weights; allowed: 'lif'"
        )
    if neuron.learned_names:
        return (
            f"model.learned: {neuron.learned!r} is not allowed with integer weights; "
            "allowed: 'none'"
        )
    decays = neuron.decay if isinstance(neuron.decay, tuple) else (neuron.decay,)
    for decay in decays:
        # It would round to no leak.
        if leak_factor(decay) == LEAK_ONE and decay != 1:
            return (
                f"model.decay: {decay} is not allowed with integer weights, whose "
                "leak is a multiple of 1/256; allowed: 1, or a number from 0 to 0.998"
            )
    return ""
