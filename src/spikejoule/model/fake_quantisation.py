"""Rounding in torch, with gradients that go straight through it.

The rule, and the source of the estimator, are in :mod:`spikejoule.model.quantisation`. On the grid
every number is exact, in float32 up to 24 bits.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikejoule.model.architecture import Architecture
from spikejoule.model.integers import LayerConstants, layer_constants, quantisation_of
from spikejoule.model.neuron import Neuron


class _StraightThrough(torch.autograd.Function):
    """Another value in the forward pass, and in the backward pass `slope` times the gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, replaced: Tensor, slope: float) -> Tensor:
        ctx.slope = slope
        return replaced

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.slope, None, None


def _straight_through(values: Tensor, replaced: Tensor, slope: float = 1.0) -> Tensor:
    result: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
        values, replaced.detach(), slope
    )
    return result


@dataclass(frozen=True)
class LayerGrid:
    """The grid of one layer.

    Attributes:
        constants: of the layer, in integers.
        neuron: of the layer, without a leak and with its threshold on the grid.
        largest_weight, largest_bias: the largest magnitudes on the grid.
    """

    constants: LayerConstants
    neuron: Neuron
    largest_weight: int
    largest_bias: int

    def weights(self, values: Tensor) -> Tensor:
        """Weights on the grid."""
        return self._rounded(values, self.largest_weight)

    def biases(self, values: Tensor) -> Tensor:
        """Biases on the grid."""
        return self._rounded(values, self.largest_bias)

    def _rounded(self, values: Tensor, limit: int) -> Tensor:
        unit = self.constants.value(1)
        return _straight_through(
            values, torch.clamp(torch.round(values / unit), -limit, limit) * unit
        )

    def leaked(self, membrane: Tensor) -> Tensor:
        """What the leak leaves of a potential, rounded down to the grid."""
        unit, decay = self.constants.value(1), self.constants.decay
        # In float64, where the product is exact.
        left = torch.floor(membrane.double() / unit * decay) * unit
        return _straight_through(membrane, left.to(membrane.dtype), decay)

    def saturated(self, membrane: Tensor) -> Tensor:
        """A potential in the range that is kept from step to step."""
        lowest, highest = (
            self.constants.value(end) for end in (self.constants.lowest, self.constants.highest)
        )
        return _straight_through(membrane, torch.clamp(membrane, lowest, highest))


def layer_grids(architecture: Architecture) -> list[LayerGrid]:
    """The grid of each layer of a quantised network, after the input."""
    quantisation = quantisation_of(architecture)
    return [
        LayerGrid(
            constants,
            neuron.model_copy(
                update={"threshold": constants.value(constants.threshold), "decay": 1.0}
            ),
            quantisation.largest_weight,
            quantisation.largest_bias,
        )
        for constants, neuron in zip(
            layer_constants(architecture), architecture.neurons, strict=True
        )
    ]
