"""What the nodes of a plan compute with, laid out for the kernels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.dynamics import Dynamics, dynamics_of, limit_of
from spikejoule.graphs.kernels.structures import Slide
from spikejoule.graphs.network import Convolution, Dense, Neurons, Pooling, Scaling, Step
from spikejoule.graphs.plan import Plan

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Constants:
    """What the nodes of a plan compute with, in the type of the run, by name.

    Attributes:
        weights: of Dense [n_in, n_out] and Convolution [C_in, kernel, channels of a group].
        biases: [n_out].
        slides: windows.
        dynamics: neurons.
        vectors: scale, or the limit of a Threshold, [n].
    """

    weights: Mapping[str, Array]
    biases: Mapping[str, Array]
    slides: Mapping[str, Slide]
    dynamics: Mapping[str, Dynamics]
    vectors: Mapping[str, Array]


def constants_of(plan: Plan, conventions: Conventions, dtype: DTypeLike) -> Constants:
    """The constants of a plan under checked conventions; ParameterError as `dynamics_of`."""
    weights: dict[str, Array] = {}
    biases: dict[str, Array] = {}
    slides: dict[str, Slide] = {}
    dynamics: dict[str, Dynamics] = {}
    vectors: dict[str, Array] = {}
    for node in plan.nodes:
        if isinstance(node, Dense):
            weights[node.name] = np.ascontiguousarray(node.weight.T, dtype=dtype)
        elif isinstance(node, Convolution):
            weights[node.name] = _by_channel(node).astype(dtype)
        elif isinstance(node, Neurons):
            dynamics[node.name] = dynamics_of(node, conventions).cast(dtype, conventions.comparison)
        elif isinstance(node, Scaling):
            vectors[node.name] = node.scale.astype(dtype)
        elif isinstance(node, Step):
            vectors[node.name] = limit_of(node.threshold.astype(dtype), conventions.comparison)
        if isinstance(node, Convolution | Pooling):
            slides[node.name] = _slide(node)
        if isinstance(node, Dense | Convolution) and node.bias is not None:
            bias = node.bias.astype(dtype)
            biases[node.name] = np.repeat(bias, node.n_out // bias.size)
    return Constants(weights, biases, slides, dynamics, vectors)


def _by_channel(node: Convolution) -> Array:
    """Weights by channel of the input: [C_in, kernel, channels of a group of the output]."""
    by_group = node.weight.reshape(node.groups, -1, *node.weight.shape[1:])
    by_group = np.moveaxis(by_group, 1, -1)  # [groups, C_in / groups, kernel, channels]
    by_channel = by_group.reshape(node.in_shape[0], *by_group.shape[2:])
    return np.ascontiguousarray(by_channel)


def _slide(node: Convolution | Pooling) -> Slide:
    windows = node.windows
    (channels, height, width), (_, rows, columns) = node.in_shape, node.out_shape
    return Slide(
        height=height,
        width=width,
        rows=rows,
        columns=columns,
        kernel_y=windows.kernel[0],
        kernel_x=windows.kernel[1],
        stride_y=windows.stride[0],
        stride_x=windows.stride[1],
        padding_y=windows.padding[0],
        padding_x=windows.padding[1],
        dilation_y=windows.dilation[0],
        dilation_x=windows.dilation[1],
        channels=channels,
        per_group=node.weight.shape[1] if isinstance(node, Convolution) else 1,
    )
