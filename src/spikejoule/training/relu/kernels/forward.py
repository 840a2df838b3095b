"""Forward pass of a ReLU network, and the rounding of its parameters to integers."""

import numpy as np

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import LANES
from spikejoule.training.relu.kernels.arrays import Block, Lists, Rows, layer_at
from spikejoule.training.relu.kernels.sparse import (
    add_all_columns,
    list_pixels,
    list_values,
)


@compiled_inline
def lists_of(number, layer, workspace):
    """Return the lists of a layer's sources by sample."""
    start = workspace.batch_size * layer.source_start
    return Lists(
        workspace.offsets[number],
        workspace.places[start:],
        workspace.factors[start:],
    )


@compiled
def _activate(number, start, count, grids, workspace):
    """Compute a hidden layer's activations from its sums: ReLU, rounded and clipped.

    The gradient passes where the ReLU's does, and nowhere beyond the range.
    """
    sums = workspace.sums
    activations = workspace.activations
    passes = workspace.passes
    lowest = grids.lowest_sums[number]
    highest = grids.highest_sums[number]
    added = grids.added[number]
    unit = grids.activation_units[number]
    top = grids.activation_tops[number]
    zero = unit - unit
    for k in range(np.uint64(start), np.uint64(start + count)):
        value = min(max(sums[k], lowest), highest)
        if unit == zero:
            activations[k] = max(value, zero)
            passes[k] = value > zero
        else:
            whole = min(max(value + added, zero) / unit, top)
            activations[k] = np.rint(whole) * unit
            passes[k] = (whole > zero) & (whole < top)


@compiled
def run_forward(images, weights, workspace):
    """Compute the activations of images uint8 [B or fewer, pixels].

    Args:
        images: the images.
        weights: ``Weights``.
        workspace: ``Workspace``, whose lists, activations and `passes` are written.
    """
    n_samples = images.shape[0]
    layers = weights.layers
    layer = layer_at(layers, 0)
    lists = lists_of(0, layer, workspace)
    list_pixels(images, weights.levels, layer.n_rows, lists)
    for number in range(layers.shape[0]):
        layer = layer_at(layers, number)
        start = workspace.batch_size * layer.unit_start
        count = n_samples * layer.stride
        add_all_columns(
            lists_of(number, layer, workspace),
            n_samples,
            Rows(weights.seen, layer.start, layer.stride),
            Rows(workspace.sums, start, layer.stride),
        )
        if number + 1 < layers.shape[0]:
            _activate(number, start, count, weights.grids, workspace)
            after = layer_at(layers, number + 1)
            activations = Rows(workspace.activations, start, layer.stride)
            lists = lists_of(number + 1, after, workspace)
            list_values(activations, n_samples, layer.n_units, after.n_rows, lists)
        else:
            lowest = weights.grids.lowest_sums[number]
            highest = weights.grids.highest_sums[number]
            for k in range(start, start + count):
                score = min(max(workspace.sums[k], lowest), highest)
                workspace.activations[k] = score


@compiled
def round_row(number, row, block, exact, weights):
    """Let the passes see a block of a layer's parameters, in its units, if it has."""
    grids = weights.grids
    layer = layer_at(weights.layers, number)
    seen = weights.seen
    if row < layer.n_sources:
        unit = grids.weight_units[number]
        highest = grids.weight_tops[number]
        lowest = -highest
    else:
        unit = grids.sum_units[number]
        lowest = -grids.half_sums[number]
        highest = grids.half_sums[number] - np.float32(1)
    if unit > 0:
        start = np.uint64(layer.start + row * layer.stride + block.column)
        for k in range(start, start + np.uint64(block.vectors * LANES)):
            seen[k] = min(max(np.rint(exact[k] / unit), lowest), highest) * unit


@compiled
def round_network(exact, weights):
    """Let the passes see all parameters, float32 [P], in their units."""
    for number in range(weights.layers.shape[0]):
        layer = layer_at(weights.layers, number)
        for row in range(layer.n_rows):
            round_row(number, row, Block(0, layer.stride // LANES), exact, weights)
