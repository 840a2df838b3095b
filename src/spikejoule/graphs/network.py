"""A checked network of NIR's nodes: flat arrays, shapes that fit, no graph within a graph.

Sizes of a node count in C order through its shape: unit ``(c * H + y) * W + x`` of (C, H, W).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Node:
    """What all nodes have.

    Attributes:
        name: in the graph; of a node in a nested graph ``outer.inner``.
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


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Where events enter."""


@dataclass(frozen=True, eq=False)
class Output(Node):
    """What is read."""


@dataclass(frozen=True, eq=False)
class Identity(Node):
    """Flatten, and the ends of a nested graph: gives what it receives."""


@dataclass(frozen=True, eq=False)
class Dense(Node):
    """Affine or Linear, y = W x + b.

    Attributes:
        weight: float64 [n_out, n_in].
        bias: float64 [n_out]; None for Linear.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Windows:
    """A window that slides over a plane; in one dimension the height is 1.

    Attributes:
        kernel, stride, padding, dilation: (height, width) each; the padding is that before the
            first row and column.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Convolution(Node):
    """Conv1d or Conv2d; the shapes of Conv1d are (C, 1, L) here.

    Attributes:
        weight: float64 [C_out, C_in / groups, kernel height, kernel width].
        bias: float64 [C_out]; None without.
        groups: parts of the channels that see each other.
        windows: how the kernel slides.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64] | None
    groups: int
    windows: Windows


@dataclass(frozen=True, eq=False)
class Pooling(Node):
    """SumPool2d or AvgPool2d, which divides by the kernel's size, padding included."""

    windows: Windows
    average: bool


@dataclass(frozen=True, eq=False)
class Scaling(Node):
    """Scale, y = s x; `scale` is float64 [n_out]."""

    scale: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Neurons(Node):
    """IF, LIF, CubaLIF, and without spikes I, LI, CubaLI.

    Attributes:
        kind: the name of the node in NIR.
        parameters: NIR's, float64 [n_out] each, by NIR's name.
    """

    kind: str
    parameters: Mapping[str, NDArray[np.float64]]

    @property
    def spikes(self) -> bool:
        """Whether they have a threshold."""
        return "v_threshold" in self.parameters

    @property
    def has_current(self) -> bool:
        """Whether their synaptic current is a state of its own."""
        return "tau_syn" in self.parameters


@dataclass(frozen=True, eq=False)
class Step(Node):
    """Threshold: 1 where the input is above it, else 0; `threshold` is float64 [n_out]."""

    threshold: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Waiting(Node):
    """Delay; `seconds` is float64 [n_out]."""

    seconds: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Network:
    """A network with one input and one output.

    Attributes:
        nodes: by name, the input and the output among them.
        edges: (source, target); a target adds up what its sources give.
        metadata: of the graph.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any]

    @property
    def input(self) -> Input:
        """Where events enter."""
        return next(node for node in self.nodes.values() if isinstance(node, Input))

    @property
    def output(self) -> Output:
        """What is read."""
        return next(node for node in self.nodes.values() if isinstance(node, Output))

    def sources_of(self, name: str) -> list[str]:
        """The nodes with an edge to a node, in the order of the edges."""
        return [source for source, target in self.edges if target == name]

    def of(self, kind: type[Node]) -> list[Any]:
        """All nodes of a class, in their order."""
        return [node for node in self.nodes.values() if isinstance(node, kind)]
