"""Constant currents into the first layer: a bias row for each sample, and its gradient back.

What a sample's constant inputs x add to the potentials is the same in every step,

    c[j] = b[j] + sum over i of x[i] w[i][j]

so the layer runs on the sample's own bias row c, without spikes. Since dL/dc[j] is the sum of
dL/dv[j] over the steps, which the backward pass leaves in the place of the bias's gradient,

    dL/db[j] = dL/dc[j]        dL/dw[i][j] = x[i] dL/dc[j]
"""

import numba
import numpy as np

from spikejoule.core.compiling import compiled, compiled_inline, compiled_parallel


@compiled_inline
def _add_product(into, start, factor, row, row_start, size):
    """``into[start + j] += factor * row[row_start + j]`` for j below `size`.

    Indices are unsigned, because numba looks at the sign of every other index.
    """
    into_place, row_place = np.uint64(start), np.uint64(row_start)
    for unit in range(np.uint64(size)):
        into[into_place + unit] += factor * row[row_place + unit]


@compiled
def _rows_of_lane(lane, currents, layer, parameters, bounds, rows):
    sources, values, offsets = currents.sources, currents.values, currents.offsets
    stride = layer.stride
    for sample in range(bounds[lane], bounds[lane + 1]):
        row = sample * stride
        for unit in range(stride):
            rows[row + unit] = parameters[layer.bias_start + unit]
        for k in range(offsets[sample], offsets[sample + 1]):
            weights = layer.weight_start + np.int64(sources[k]) * stride
            _add_product(rows, row, values[k], parameters, weights, stride)


@compiled_parallel
def bias_rows(currents, layer, parameters, bounds, rows):
    """The bias row of each sample, in the order of its sources whatever the lanes.

    Args:
        currents: ``ConstantInputs`` of the samples.
        layer: where the first layer's parameters lie.
        parameters: flat.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64 [K + 1].
        rows: receives c, real, flat [S * stride].
    """
    for lane in numba.prange(bounds.size - 1):
        _rows_of_lane(np.int64(lane), currents, layer, parameters, bounds, rows)


@compiled
def _gradient_of_part(lane, part, parts, currents, layer, bounds, own, workspace):
    sources, values, offsets = currents.sources, currents.values, currents.offsets
    gradient, touched = workspace.gradients[lane], workspace.touched[lane]
    stride = layer.stride
    column = stride * part // parts
    size = stride * (part + 1) // parts - column
    for sample in range(bounds[lane], bounds[lane + 1]):
        row = sample * stride + column
        for unit in range(size):
            gradient[layer.bias_start + column + unit] += own[row + unit]
        for k in range(offsets[sample], offsets[sample + 1]):
            source = np.int64(sources[k])
            if part == 0:
                touched[layer.first_row + source] = True
            weights = layer.weight_start + source * stride + column
            _add_product(gradient, weights, values[k], own, row, size)


@compiled_parallel
def add_current_gradients(currents, layer, bounds, parts, own, workspace):
    """Add the gradients of the first layer, each lane's samples to its part.

    Args:
        currents, layer, bounds: as for :func:`bias_rows`; the lanes are those of the gradient.
        parts: of the columns, which threads share out.
        own: dL/dc of each sample, real, flat [S * stride].
        workspace: ``Workspace``, whose gradients receive.
    """
    lanes = bounds.size - 1
    for place in numba.prange(lanes * parts):
        lane, part = np.int64(place) % lanes, np.int64(place) // lanes
        _gradient_of_part(lane, part, parts, currents, layer, bounds, own, workspace)
