"""The nodes of a network: what they store, and how many synapses a spike reaches.

Units of a node are numbered in C order: unit ``(c * H + y) * W + x`` of (C, H, W).

Fan-outs of sliding windows are exact up to the border. An input at position y of an
axis reaches the output at (y + p - q d) / s for each kernel position q at which that is
a whole number from 0 to H_out - 1. Its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One input spike of a convolution
reaches (C_out / groups) f_y f_x synapses.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """The base of all nodes; nodes of equal structure are equal, whatever the weights.

    Attributes:
        name: name in the network; ``outer.inner`` for a node of a nested graph.
        in_shape, out_shape: shapes of input and output of one sample in one step.
    """

    name: str
    in_shape: Shape
    out_shape: Shape

    @property
    def n_in(self) -> int:
        """Number of source units."""
        return math.prod(self.in_shape)

    @property
    def n_out(self) -> int:
        """Number of units."""
        return math.prod(self.out_shape)


@dataclass(frozen=True)
class Input(Node):
    """Where events enter."""


@dataclass(frozen=True)
class Output(Node):
    """The output of a graph; a chain of layers ends with a population instead."""


@dataclass(frozen=True)
class Dense(Node):
    """Full connectivity, y = W x + b.

    Attributes:
        weight: real [n_out, n_in]; empty if the weights are in a state dict.
        bias: real [n_out]; None without, or if the next neurons have their own.
    """

    weight: NDArray[Any] = field(
        default_factory=lambda: np.empty((0, 0)), compare=False, repr=False
    )
    bias: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights, wherever they are stored."""
        return self.n_out, self.n_in

    def stored(self, pruned: bool = False) -> int:
        """Weights in memory; a pruned network stores only nonzero ones."""
        return int(np.count_nonzero(self.weight)) if pruned else self.n_in * self.n_out

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each source unit reaches, int64 [n_in].

        Args:
            pruned: whether synapses were removed. A removed synapse has a weight of
                exactly zero and carries no event; without pruning, a weight of zero
                is an ordinary synapse.
        """
        if not pruned:
            return np.full(self.n_in, self.n_out, dtype=np.int64)
        kept: NDArray[np.int64] = np.count_nonzero(self.weight, axis=0).astype(np.int64)
        return kept

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """Yield which units each source unit reaches, [n_in, n_out], in blocks."""
        if pruned:
            yield self.weight.T != 0
        else:
            yield np.ones((self.n_in, self.n_out), dtype=np.bool_)


@dataclass(frozen=True)
class Windows:
    """A window that slides over a plane; a one-dimensional plane has height 1.

    Attributes:
        kernel, stride, padding, dilation: (height, width) each; `padding` is the
            padding before the first row and column.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def square(cls, kernel: int, stride: int, padding: int = 0) -> Self:
        """Make a window that is the same along both axes."""
        return cls((kernel, kernel), (stride, stride), (padding, padding))

    def places(self, size: int, axis: int, padding_both: int) -> int:
        """Positions of the window along an axis; 0 or less if it does not fit.

        Args:
            size: units along the axis.
            axis: 0 for rows, 1 for columns.
            padding_both: padding before and after, together.
        """
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + padding_both - reach) // self.stride[axis] + 1

    def reached(self, node: Node, axis: int) -> NDArray[np.int64]:
        """Whether input y of a node meets kernel position q of an axis, [size, k]."""
        inputs = self.inputs(node, axis)
        reached = np.zeros((node.in_shape[1 + axis], self.kernel[axis]), dtype=np.int64)
        outputs, positions = np.nonzero(inputs >= 0)
        reached[inputs[outputs, positions], positions] = 1
        return reached

    def inputs(self, node: Node, axis: int) -> NDArray[np.int64]:
        """The input that each output meets at each kernel position, [outputs, k].

        -1 beyond the border of the node's input.
        """
        outputs = np.arange(node.out_shape[1 + axis])
        first = outputs * self.stride[axis] - self.padding[axis]
        inputs = first[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]
        return np.where((inputs >= 0) & (inputs < node.in_shape[1 + axis]), inputs, -1)


@dataclass(frozen=True)
class Convolution(Node):
    """A convolution over (C, H, W); a one-dimensional one has height 1.

    Attributes:
        weight: real [C_out, C_in / groups, kernel height, kernel width]; empty if the
            weights are in a state dict.
        bias: float64 [C_out]; None without, or if the next neurons have their own.
        groups: number of groups of channels; each group is convolved by itself.
        windows: how the kernel slides.
    """

    weight: NDArray[Any] = field(compare=False, repr=False)
    bias: NDArray[np.float64] | None = field(compare=False, repr=False)
    groups: int
    windows: Windows

    @property
    def weight_shape(self) -> Shape:
        """Shape of the weights, wherever they are stored."""
        per_group = self.in_shape[0] // self.groups
        return self.out_shape[0], per_group, *self.windows.kernel

    def stored(self, pruned: bool = False) -> int:
        """Weights in memory: every kernel once, zeros included."""
        return self.weight.size or math.prod(self.weight_shape)

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Synapses that a spike of each source unit reaches; see `Dense.fan_out`."""
        rows = self.windows.reached(self, 0)
        columns = self.windows.reached(self, 1)
        is_synapse = np.ones(self.weight_shape, dtype=np.bool_)
        if pruned:
            is_synapse = self.weight != 0
        per_group = is_synapse.reshape(self.groups, -1, *is_synapse.shape[1:])
        # Synapses of each input channel at each kernel position.
        taps = per_group.sum(axis=1).reshape(self.in_shape[0], *is_synapse.shape[2:])
        fan_out: NDArray[np.int64] = np.einsum(
            "yq,xr,cqr->cyx", rows, columns, taps, optimize=True
        )
        return fan_out.reshape(-1)

    def targets(self, pruned: bool = False) -> Iterator[NDArray[np.bool_]]:
        """Yield as `Dense.targets`; a block has the units of one input channel."""
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
    """Sums over windows, or averages, which divide by the size of the whole kernel."""

    windows: Windows
    average: bool

    def fan_out(self, pruned: bool = False) -> NDArray[np.int64]:
        """Windows that contain each source unit, int64 [n_in]."""
        rows = self.windows.reached(self, 0).sum(axis=1)
        columns = self.windows.reached(self, 1).sum(axis=1)
        plane: NDArray[np.int64] = np.outer(rows, columns).reshape(-1)
        return np.tile(plane, self.in_shape[0])

    @property
    def window_of(self) -> NDArray[np.int64]:
        """The window of each source unit where windows do not overlap, int64 [n_in].

        -1 beyond the last whole window.
        """
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


INTEGRATOR = "LI"
"""The kind of a leaky integrator, which has a potential and never fires."""

_SILENT = ("I", INTEGRATOR, "CubaLI")


@dataclass(frozen=True)
class Neurons(Node):
    """A population of neurons.

    Attributes:
        kind: name of the neuron model, or of the NIR node: IF, LIF, CubaLIF, and
            without spikes I, LI, CubaLI.
        parameters: NIR parameters by name, float64 [n_out] each; empty if the network
            has a neuron model.
    """

    kind: str
    parameters: Mapping[str, NDArray[np.float64]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def spikes(self) -> bool:
        """Whether the neurons have a threshold."""
        return self.kind not in _SILENT

    @property
    def has_current(self) -> bool:
        """Whether the synaptic current is a state of its own."""
        return "tau_syn" in self.parameters

    @property
    def n_states(self) -> int:
        """State variables of a neuron.

        The potential, and one per further time constant (a synaptic current, an
        adaptive threshold).
        """
        time_constants = sum(name.startswith("tau_") for name in self.parameters)
        return max(1 + self.has_current, time_constants)


@dataclass(frozen=True)
class Threshold(Node):
    """1 where the input exceeds `threshold`, float64 [n_out], else 0."""

    threshold: NDArray[np.float64] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Delay(Node):
    """Delivers its input later; `seconds` is float64 [n_out]."""

    seconds: NDArray[np.float64] = field(compare=False, repr=False)


BY_UNIT = (Dense, Convolution, Pooling, Scale)
"""Nodes that process single units of their input; the others take whole arrays."""

Connection = Dense | Convolution
