"""Which outputs of a sliding window one input reaches: border-exact fan-outs.

An input at place y of an axis reaches the output at (y + p - q d) / s for each place q of the
kernel for which that is a whole number from 0 to H_out - 1, so that its fan-out along the axis is

    f(y) = #{q < k : (y + p - q d) mod s = 0 and 0 <= (y + p - q d) / s < H_out}

with kernel k, stride s, padding p and dilation d. One spike of a convolution reaches
(C_out / groups) f_y f_x synapses.
"""

import numpy as np
from numpy.typing import NDArray

from spikejoule.graphs.network import Convolution, Dense, Pooling, Windows


def output_size(size: int, windows: Windows, axis: int, padding_both: int) -> int:
    """Places of a window along an axis; 0 or less if it does not fit."""
    reach = windows.dilation[axis] * (windows.kernel[axis] - 1) + 1
    return (size + padding_both - reach) // windows.stride[axis] + 1


def reached(size: int, n_out: int, windows: Windows, axis: int) -> NDArray[np.bool_]:
    """Whether the input at place y meets the place q of the kernel, bool [size, k]."""
    places = np.arange(size)[:, None] + windows.padding[axis]
    places = places - np.arange(windows.kernel[axis]) * windows.dilation[axis]
    outputs, rest = np.divmod(places, windows.stride[axis])
    met: NDArray[np.bool_] = (rest == 0) & (outputs >= 0) & (outputs < n_out)
    return met


def convolution_fan_out(node: Convolution, pruned: bool) -> NDArray[np.int64]:
    """Synapses that a unit of the input reaches, int64 [n_in].

    `pruned` says whether a weight of zero is no synapse.
    """
    channels, height, width = node.in_shape
    rows = reached(height, node.out_shape[1], node.windows, 0).astype(np.int64)
    columns = reached(width, node.out_shape[2], node.windows, 1).astype(np.int64)
    weight = (node.weight != 0) if pruned else np.ones_like(node.weight, dtype=np.bool_)
    per_group = weight.reshape(node.groups, -1, *weight.shape[1:]).sum(axis=1)
    taps = per_group.reshape(channels, *weight.shape[2:])
    fan_out: NDArray[np.int64] = np.einsum("yq,xr,cqr->cyx", rows, columns, taps, optimize=True)
    flat: NDArray[np.int64] = fan_out.reshape(-1)
    return flat


def dense_fan_out(node: Dense, pruned: bool) -> NDArray[np.int64]:
    """The same of a fully connected node."""
    if pruned:
        left: NDArray[np.int64] = (node.weight != 0).sum(axis=0, dtype=np.int64)
        return left
    return np.full(node.n_in, node.n_out, dtype=np.int64)


def pooling_fan_out(node: Pooling) -> NDArray[np.int64]:
    """Windows that a unit of the input lies in, int64 [n_in]."""
    channels, height, width = node.in_shape
    rows = reached(height, node.out_shape[1], node.windows, 0).sum(axis=1)
    columns = reached(width, node.out_shape[2], node.windows, 1).sum(axis=1)
    plane: NDArray[np.int64] = np.outer(rows, columns).reshape(-1)
    return np.tile(plane, channels).astype(np.int64)
