"""The hidden layers of a network in words, each with what it is: how `model.layers` is
written.

400        fully connected, 400 neurons
400r       the same with recurrent weights among them: spikes of a step arrive in the
           next
12c5s2     convolution, 12 channels of neurons, kernel 5 x 5, stride 2; stride 1 without
           it
12c5p2g4   padding 2 on all sides, channels in 4 groups
2sum       sums of 2 x 2 windows without overlap, no neurons
2avg       their averages
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from spikejoule.core.errors import ParameterError, shown

MOST_LAYERS: Final = 8
ALLOWED: Final = (
    "1 to 8 words such as 400 (fully connected), 400r (recurrent), 12c5s2 (12 "
    "channels, kernel 5, "
    "stride 2; p2 pads, g4 groups), 2sum or 2avg (pooling)"
)


Shape = tuple[int, ...]


@dataclass(frozen=True)
class DenseLayer:
    """Fully connected neurons, `recurrent` if to each other, too."""

    n_units: int
    recurrent: bool = False

    def out_shape(self, shape: Shape) -> Shape:
        """Of the neurons behind values of a shape."""
        return (self.n_units,)

    def __str__(self) -> str:
        return f"{self.n_units}{'r' * self.recurrent}"


@dataclass(frozen=True)
class ConvolutionLayer:
    """Channels of neurons behind square kernels."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def out_shape(self, shape: Shape) -> Shape:
        """As of `DenseLayer`; ParameterError if the layer does not fit the shape."""
        places = _places(self, shape, self.kernel, self.stride, self.padding)
        if shape[0] % self.groups or self.channels % self.groups:
            raise ParameterError(
                f"the layer {self} has {self.groups} groups; allowed are divisors "
                "of its channels "
                f"and of the {shape[0]} before it"
            )
        return self.channels, *places

    def __str__(self) -> str:
        further = (("s", self.stride, 1), ("p", self.padding, 0), ("g", self.groups, 1))
        return f"{self.channels}c{self.kernel}" + "".join(
            f"{letter}{number}" for letter, number, usual in further if number != usual
        )


@dataclass(frozen=True)
class PoolingLayer:
    """Square windows whose stride is their size; no neurons."""

    window: int
    average: bool

    def out_shape(self, shape: Shape) -> Shape:
        """Of the sums; otherwise as of `ConvolutionLayer`."""
        return shape[:1] + _places(self, shape, self.window, self.window)

    def __str__(self) -> str:
        return f"{self.window}{'avg' if self.average else 'sum'}"


HiddenLayer = DenseLayer | ConvolutionLayer | PoolingLayer


def _places(
    layer: HiddenLayer, shape: Shape, kernel: int, stride: int, padding: int = 0
) -> tuple[int, int]:
    """Places of a layer's windows over (C, H, W); ParameterError if they do not fit
    it.
    """
    if len(shape) != 3:
        raise ParameterError(
            f"the layer {layer} takes (channels, height, width), but is given the "
            f"shape {shape}; "
            "allowed is one that is fully connected, such as 400"
        )
    _, height, width = shape
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    if min(rows, columns) < 1:
        raise ParameterError(
            f"the layer {layer} does not fit the plane of {height} x {width} "
            "before it; "
            "allowed are smaller windows, or more padding"
        )
    return rows, columns


_MANY = "(?:0|[1-9][0-9]{0,4})"
_SIZE = "(?:0|[1-9][0-9]{0,2})"
_DENSE = re.compile(f"({_MANY})(r?)")
_CONVOLUTION = re.compile(
    f"(?P<channels>{_MANY})c(?P<kernel>{_SIZE})(?:s(?P<stride>{_SIZE}))?(?:p(?P<padding>{_SIZE}))?"
    f"(?:g(?P<groups>{_MANY}))?"
)
_POOLING = re.compile(f"({_SIZE})(sum|avg)")


def layer_of(word: str) -> HiddenLayer:
    """The layer of a word.

    Raises:
        ParameterError: it is none, or a number is out of range.
    """
    if found := _DENSE.fullmatch(word):
        if 1 <= int(found[1]) <= 65_535:
            return DenseLayer(int(found[1]), bool(found[2]))
        raise ParameterError(
            f"the layer {word!r} has {found[1]} neurons; allowed: 1 to 65535"
        )
    if found := _CONVOLUTION.fullmatch(word):
        layer = ConvolutionLayer(
            **{
                name: int(number)
                for name, number in found.groupdict().items()
                if number
            }
        )
        least = min(layer.channels, layer.kernel, layer.stride, layer.groups)
        if least < 1 or layer.padding >= layer.kernel or layer.channels % layer.groups:
            raise ParameterError(
                f"the layer {word!r} cannot be; allowed: channels, kernel, stride "
                "and groups of "
                "1 or more, groups that divide the channels, and a padding below "
                "the kernel"
            )
        return layer
    if found := _POOLING.fullmatch(word):
        if int(found[1]) >= 2:
            return PoolingLayer(int(found[1]), found[2] == "avg")
        raise ParameterError(
            f"the layer {word!r} pools nothing; allowed: windows of 2 or more"
        )
    raise ParameterError(
        f"the layer {shown(word)} is no layer; allowed: a list of {ALLOWED}"
    )


def layers_of(words: Sequence[str]) -> tuple[HiddenLayer, ...]:
    """The hidden layers of words, first to last.

    Raises:
        ParameterError: as `layer_of`; there are too few or too many, pooling with
            nothing to pool, or planes are asked for behind a fully connected layer.
    """
    if not 1 <= len(words) <= MOST_LAYERS:
        raise ParameterError(
            f"there are {len(words)} layers; allowed: a list of {ALLOWED}"
        )
    layers = tuple(map(layer_of, words))
    pools = [isinstance(layer, PoolingLayer) for layer in layers]
    if all(pools) or any(map(all, pairwise(pools))):
        raise ParameterError(
            f"the layers {', '.join(words)} pool what is pooled, or have no "
            "neurons; allowed: "
            "one layer that pools before or behind others"
        )
    for before, layer in pairwise(layers):
        if isinstance(before, DenseLayer) and not isinstance(layer, DenseLayer):
            raise ParameterError(
                f"the layer {layer} stands behind {before}, whose neurons lie in "
                "no plane; "
                "allowed: fully connected layers behind it"
            )
    return layers


def is_plain(layer: HiddenLayer) -> bool:
    """Whether a layer is fully connected and not recurrent."""
    return isinstance(layer, DenseLayer) and not layer.recurrent


def neuron_layers(layers: Sequence[HiddenLayer]) -> int:
    """How many of the layers have neurons."""
    return sum(not isinstance(layer, PoolingLayer) for layer in layers)
