"""K ReLU networks of the same layers as one computation, in floats or in integers.

The first layers of all networks are one matrix product, later layers products of K
matrices each. So an image is drawn once, and an operation started once, for all.

A network of integers is trained as such: forward and backward pass see rounded weights
and activations and saturated sums, and the gradient passes straight through to the
floating-point weights of the optimizer (Bengio, Leonard and Courville 2013,
arXiv:1308.3432). The units minimise the squared error of the weights and, on some
training images, of the activations.

Shapes: K networks, B samples of a batch, I pixels.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.baselines.quantised import (
    least_error_unit,
    shifted_unit,
    weight_unit,
)
from spikejoule.baselines.settings import BaselineVariant
from spikejoule.network.network import weights_and_biases
from spikejoule.network.quantisation import FLOAT_BITS
from spikejoule.training.teacher import intensities


class FloatPasses:
    """Forward and backward passes of K networks in floating point.

    Args:
        variants: the networks.
        exact: their parameters by name, [K, ...]; the passes see later changes.

    Attributes:
        seen: the parameters that the passes see, [K, ...] each, with gradients.
    """

    def __init__(
        self, variants: Sequence[BaselineVariant], exact: Mapping[str, Tensor]
    ) -> None:
        self.exact = exact
        self.seen = {
            name: values.detach().requires_grad_() for name, values in exact.items()
        }
        self._n_hidden = len(variants[0].network.connections) - 1
        self._pixel_bits = variants[0].pixel_bits
        self._pixel_threshold = variants[0].pixel_threshold

    def pixels(self, images: NDArray[np.uint8] | Tensor) -> Tensor:
        """Pixels uint8 [B, ...] as intensities in [0, 1], float32 [B, I]."""
        if self._pixel_threshold is not None:
            pixels = torch.as_tensor(images)
            return (pixels.reshape(len(pixels), -1) > self._pixel_threshold).float()
        values = intensities(images)
        if self._pixel_bits == 8:
            return values
        top = 2**self._pixel_bits - 1
        return values.mul_(top).round_().div_(top)

    def scores(self, values: Tensor) -> Tensor:
        """Class scores [K, B, classes] of pixels [B, I]."""
        for layer in range(self._n_hidden):
            values = self.activations(layer, self.sums(layer, values))
        return self.sums(self._n_hidden, values)

    def sums(self, layer: int, sources: Tensor) -> Tensor:
        """Weighted inputs of a layer, [K, B, units].

        Args:
            layer: 0 for the first.
            sources: pixels [B, I] for the first layer, else activations [K, B, units].
        """
        weight, bias = weights_and_biases(self.seen)[layer]
        if layer == 0:
            biases = None if bias is None else bias.flatten()
            sums = functional.linear(sources, weight.flatten(0, 1), biases)
            return sums.view(len(sources), *weight.shape[:2]).transpose(0, 1)
        if bias is None:
            return torch.bmm(sources, weight.transpose(1, 2))
        return torch.baddbmm(bias[:, None], sources, weight.transpose(1, 2))

    def activations(self, layer: int, sums: Tensor) -> Tensor:
        """Activations of a hidden layer."""
        return functional.relu(sums)

    def refresh(self) -> None:
        """Let the passes see the parameters after a step; here they always do."""

    def choose_units(self, images: NDArray[np.uint8]) -> None:
        """Choose the units of integers; none here."""

    def units(self, k: int) -> dict[str, NDArray[np.float64]]:
        """The units of network k by name; none here."""
        return {}


class IntegerPasses(FloatPasses):
    """Passes of K networks in integers.

    A parameter, activation or sum is a whole number of a unit, and within a range.
    """

    def __init__(
        self, variants: Sequence[BaselineVariant], exact: Mapping[str, Tensor]
    ) -> None:
        super().__init__(variants, exact)
        self.seen = {
            name: values.clone().requires_grad_() for name, values in exact.items()
        }
        self._sum_bits = variants[0].sum_bits
        # The largest integers of the widths, [K, 1, 1].
        self._weight_tops = _column(2.0 ** (v.bits - 1) - 1 for v in variants)
        self._activation_tops = _column(2.0**v.activation_bits - 1 for v in variants)
        is_binary = self._pixel_threshold is not None
        self._pixel_units = 1.0 if is_binary else 1 / self._activation_tops
        self._shifts = variants[0].shifts
        # The units of each layer, [K, 1, 1] each.
        self._weight_units: list[Tensor] = []
        self._activation_units: list[Tensor] = []

    def sums(self, layer: int, sources: Tensor) -> Tensor:
        """Weighted inputs of a layer, saturated; see `FloatPasses.sums`."""
        sums = super().sums(layer, sources)
        if self._sum_bits < FLOAT_BITS:
            half = 2.0 ** (self._sum_bits - 1)
            units = self._sum_units(layer)
            # On the detached values: the gradient passes straight through.
            sums.detach().clamp_(-half * units, (half - 1) * units)
        return sums

    def activations(self, layer: int, sums: Tensor) -> Tensor:
        """Activations of a hidden layer, rounded and clipped."""
        if self._shifts:
            # Shifts round half a unit up. Sums are whole, so a quarter of one decides.
            sums = sums + self._sum_units(layer) / 4
        activations: Tensor = _RoundedReLU.apply(  # type: ignore[no-untyped-call]
            sums, self._activation_units[layer], self._activation_tops
        )
        return activations

    def choose_units(self, images: NDArray[np.uint8]) -> None:
        """Choose units of least squared error: of all weights, then layer by layer.

        Args:
            images: uint8 [n, ...], whose activations decide their units.
        """
        self._activation_units = []
        self._weight_units = [
            _units(weight_unit, weight, self._weight_tops)
            for weight, _ in weights_and_biases(self.exact)
        ]
        self.refresh()
        values = self.pixels(images)
        with torch.no_grad():
            for layer in range(self._n_hidden):
                sums = self.sums(layer, values)
                units = _units(
                    least_error_unit, functional.relu(sums), self._activation_tops
                )
                if self._shifts:
                    units = self._shifted(units, layer)
                self._activation_units.append(units)
                # Now that these units are known, the biases of the next layer round.
                self.refresh()
                values = self.activations(layer, sums)

    def refresh(self) -> None:
        """Let the passes see the rounded parameters.

        Biases are rounded to the units of the sums, once those are known.
        """
        exact = weights_and_biases(self.exact)
        seen = weights_and_biases(self.seen)
        half = 2.0 ** (self._sum_bits - 1)
        for layer, units in enumerate(self._weight_units):
            weight, bias = exact[layer]
            seen_weight, seen_bias = seen[layer]
            whole = _round_to(units, weight, seen_weight)
            whole.clamp_(-self._weight_tops, self._weight_tops).mul_(units)
            if bias is None or seen_bias is None or layer > len(self._activation_units):
                continue
            sum_units = self._sum_units(layer)[:, 0]
            whole = _round_to(sum_units, bias, seen_bias)
            whole.clamp_(-half, half - 1).mul_(sum_units)

    def _sum_units(self, layer: int) -> Tensor:
        """The units of a layer's sums, [K, 1, 1]."""
        source_units = [self._pixel_units, *self._activation_units]
        return self._weight_units[layer] * source_units[layer]

    def _shifted(self, units: Tensor, layer: int) -> Tensor:
        """The nearest units of activations to which sums can be shifted, [K, 1, 1]."""
        pairs = zip(units, self._sum_units(layer), strict=True)
        return _column(shifted_unit(float(unit), float(own)) for unit, own in pairs)

    def units(self, k: int) -> dict[str, NDArray[np.float64]]:
        """The units of network k, float64: one per layer, and one per hidden layer."""
        return {
            "weight_units": np.array([float(units[k]) for units in self._weight_units]),
            "activation_units": np.array(
                [float(units[k]) for units in self._activation_units]
            ),
        }


def _column(numbers: Iterable[float]) -> Tensor:
    """One number per network, [K, 1, 1]."""
    return torch.tensor(list(numbers))[:, None, None]


def _units(
    choose: Callable[[NDArray[np.float32], int], float],
    values: Tensor,
    tops: Tensor,
) -> Tensor:
    """Choose a unit for the values [K, ...] of each network, [K, 1, 1]."""
    pairs = zip(values, tops, strict=True)
    return _column(choose(network.numpy(), int(top)) for network, top in pairs)


def _round_to(units: Tensor, exact: Tensor, seen: Tensor) -> Tensor:
    """Write a parameter in whole units into the storage that the passes see."""
    return torch.div(exact, units, out=seen.detach()).round_()


class _RoundedReLU(torch.autograd.Function):
    """ReLU of K networks, rounded to units and clipped at `top` of them.

    The gradient is that of the ReLU, and 0 beyond the range. `sums` are [K, ...],
    `unit` and `top` [K, 1, 1].
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, unit: Tensor, top: Tensor) -> Tensor:
        rounded = torch.minimum(sums.clamp(min=0).div_(unit), top)
        ctx.save_for_backward((rounded > 0) & (rounded < top))
        return rounded.round_().mul_(unit)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (passes,) = ctx.saved_tensors
        return gradient * passes, None, None
