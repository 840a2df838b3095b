"""The nodes of a network: what they hold, and how many synapses a spike reaches in
them.

Sizes of a node count in C order through its shape: unit ``(c * H + y) * W + x`` of (C,
H, W).

Fan-outs of sliding windows, exact to the border: an input at place y of an axis reaches
the output at (y + p - q d) / s for each place q of the kernel for which that is a whole
number from 0 to H_out
- 1, so that its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One spike of a convolution reaches
(C_out / groups) f_y f_x synapses.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.network.layers import Shape


@dataclass(frozen=True)
class Node:
    """What all nodes have. Two are equal if their structure is: weights are not
    compared.

    Attributes:
        name: in the network; of a node in a nested graph ``outer.inner``.
        in_shape, out_shape: of what it receives and gives, without samples and steps.
    """

    name: str
    in_shape: Shape
    out_shape: Shape

    @property
    def n_in(self) -> int:
        """Units that it receives from."""
        return math.prod(self.in_shape)

    @property
    def n_out(self) -> int:
        """Units that it has."""
        return math.prod(self.out_shape)


@dataclass(frozen=True)
class Input(Node):
    """Where events enter."""


@dataclass(frozen=True)
class Output(Node):
    """What is read of a graph; of a chain of layers that is its last population."""


@dataclass(frozen=True)
class Dense(Node):
    """Every unit reaches every other, y = W x + b.

    Attributes:
        weight: real [n_out, n_in]; empty where weights are in a state dict.
        bias: real [n_out]; None without, and where the neurons behind it have their
            own.
    """

    weight: NDArray[Any] = field(
        default_factory=lambda: np.empty((0, 0)), compare=False, repr=False
    )
    bias: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def weight_shape(self) -> Shape:
        """Of the weights, wherever they are."""
        return self.n_out, self.n_in

    def stored(self, pruned: bool = False) -> int:
        """Weights that a memory holds, of a pruned network those that are left."""
        return int(np.count_nonzero(self.weight)) if pruned else self.n_in * self.n_out

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the input reaches, int64 [n_in].

        Args:
            pruned: whether synapses were removed. A removed one has a weight of exactly
                zero and carries no event; without pruning a weight of zero is a synapse
                like others.
        """
        if not pruned:
            return np.full(self.n_in, self.n_out, dtype=np.int64)
        left: NDArray[np.int64] = np.count_nonzero(self.weight, axis=0).astype(np.int64)
        return left

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """Whether a spike of a unit of the input reaches each of the output,
        [units, n_out], for some units of the input after the other."""
        yield (
            self.weight.T != 0
            if pruned
            else np.ones((self.n_in, self.n_out), dtype=np.bool_)
        )


@dataclass(frozen=True)
class Windows:
    """A window that slides over a plane; in one dimension the height is 1.

    `reached` and `inputs` hold for any number of axes.

    Attributes:
        kernel, stride, padding, dilation: (height, width) each; the padding is that
            before the first row and column.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def square(cls, kernel: int, stride: int, padding: int = 0) -> Self:
        """A window with sides of equal size."""
        return cls((kernel, kernel), (stride, stride), (padding, padding))

    def places(self, size: int, axis: int, padding_both: int) -> int:
        """Places of the window along an axis; 0 or less if it does not fit."""
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + padding_both - reach) // self.stride[axis] + 1

    def reached(self, node: Node, axis: int) -> NDArray[np.int64]:
        """Whether the input at place y of a node meets the place q of the kernel,
        [size, k].
        """
        inputs = self.inputs(node, axis)
        reached = np.zeros((node.in_shape[1 + axis], self.kernel[axis]), dtype=np.int64)
        outputs, places = np.nonzero(inputs >= 0)
        reached[inputs[outputs, places], places] = 1
        return reached

    def inputs(self, node: Node, axis: int) -> NDArray[np.int64]:
        """The input along an axis of a node that each place of the kernel meets for
        each output, [outputs, k]; -1 beyond the border."""
        first = (
            np.arange(node.out_shape[1 + axis]) * self.stride[axis] - self.padding[axis]
        )
        inputs = first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return np.where((inputs >= 0) & (inputs < node.in_shape[1 + axis]), inputs, -1)


@dataclass(frozen=True)
class Convolution(Node):
    """Over (C, H, W); one of one dimension has a height of 1.

    Attributes:
        weight: real [C_out, C_in / groups, kernel height, kernel width]; empty where
            weights are in a state dict.
        bias: float64 [C_out]; None without, and where the neurons behind it have their
            own.
        groups: parts of the channels that see each other.
        windows: how the kernel slides.
    """

    weight: NDArray[Any] = field(compare=False, repr=False)
    bias: NDArray[np.float64] | None = field(compare=False, repr=False)
    groups: int
    windows: Windows

    @property
    def weight_shape(self) -> Shape:
        """Of the weights, wherever they are."""
        per_group = self.in_shape[0] // self.groups
        return self.out_shape[0], per_group, *self.windows.kernel

    def stored(self, pruned: bool = False) -> int:
        """Weights that a memory holds: kernels once, and whole."""
        return self.weight.size or math.prod(self.weight_shape)

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each unit of the input reaches, int64 [n_in]; as of
        `Dense`.
        """
        rows = self.windows.reached(self, 0)
        columns = self.windows.reached(self, 1)
        weight = (
            (self.weight != 0) if pruned else np.ones(self.weight_shape, dtype=np.bool_)
        )
        per_group = weight.reshape(self.groups, -1, *weight.shape[1:]).sum(axis=1)
        taps = per_group.reshape(self.in_shape[0], *weight.shape[2:])
        fan_out: NDArray[np.int64] = np.einsum(
            "yq,xr,cqr->cyx", rows, columns, taps, optimize=True
        )
        return fan_out.reshape(-1)

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """As of `Dense`, the units of a channel at a time."""
        channels, per_group, height, width = self.weight_shape
        rows = self.windows.inputs(self, 0)
        columns = self.windows.inputs(self, 1)
        group_size = channels // self.groups
        for source in range(self.in_shape[0]):
            reached = np.zeros((*self.in_shape[1:], *self.out_shape), dtype=np.bool_)
            first = source // per_group * group_size
            for target, y, x in np.ndindex(group_size, height, width):
                channel = first + target
                if not pruned or self.weight[channel, source % per_group, y, x]:
                    out_row = np.flatnonzero(rows[:, y] >= 0)[:, None]
                    out_column = np.flatnonzero(columns[:, x] >= 0)
                    in_row = rows[out_row, y]
                    in_column = columns[out_column, x]
                    reached[in_row, in_column, channel, out_row, out_column] = True
            yield reached.reshape(-1, self.n_out)


@dataclass(frozen=True)
class Pooling(Node):
    """Sums of windows, or their averages, which divide by the kernel's size, padding
    included.
    """

    windows: Windows
    average: bool

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Windows that a unit of the input lies in, int64 [n_in]."""
        rows = self.windows.reached(self, 0).sum(axis=1)
        columns = self.windows.reached(self, 1).sum(axis=1)
        plane: NDArray[np.int64] = np.outer(rows, columns).reshape(-1)
        return np.tile(plane, self.in_shape[0])

    @property
    def window_of(self) -> NDArray[np.int64]:
        """The unit of the output that each unit of the input is part of, int64 [n_in],
        where windows do not overlap; -1 beyond the last whole window."""
        size, _ = self.windows.kernel
        windows = np.arange(self.n_out).reshape(self.out_shape)
        inside = windows.repeat(size, axis=1).repeat(size, axis=2)
        window_of_unit = np.full(self.in_shape, -1)
        window_of_unit[:, : inside.shape[1], : inside.shape[2]] = inside
        return window_of_unit.reshape(-1)


@dataclass(frozen=True)
class Scale(Node):
    """y = s x; `scale` is float64 [n_out]."""

    scale: NDArray[np.float64] = field(compare=False, repr=False)


_SILENT = ("I", "LI", "CubaLI")


@dataclass(frozen=True)
class Neurons(Node):
    """A population of neurons.

    Attributes:
        kind: the name of the neuron's model, or of the node in NIR: IF, LIF, CubaLIF,
            and without spikes I, LI, CubaLI.
        parameters: NIR's, float64 [n_out] each, by NIR's name; none where the network
            has a model.
    """

    kind: str
    parameters: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def spikes(self) -> bool:
        """Whether they have a threshold."""
        return self.kind not in _SILENT

    @property
    def has_current(self) -> bool:
        """Whether their synaptic current is a state of its own."""
        return "tau_syn" in self.parameters

    @property
    def n_states(self) -> int:
        """States of a neuron: its potential, and one for each further time constant (a
        current, an adaptive threshold)."""
        return max(
            1 + self.has_current,
            sum(name.startswith("tau_") for name in self.parameters),
        )


@dataclass(frozen=True)
class Threshold(Node):
    """1 where the input is above the threshold, else 0; `threshold` is float64
    [n_out].
    """

    threshold: NDArray[np.float64] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Delay(Node):
    """Gives later what it receives; `seconds` is float64 [n_out]."""

    seconds: NDArray[np.float64] = field(compare=False, repr=False)


BY_UNIT = (Dense, Convolution, Pooling, Scale)
"""Nodes that work unit by unit on what gives something; the others take whole
arrays.
"""

Connection = Dense | Convolution
