"""Backward pass and Adam of a ReLU network."""

import numpy as np

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import (
    LANES,
    Lanes,
    broadcast,
    each_below,
    emitted,
    vector_intrinsic,
)
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON
from spikejoule.training.relu.kernels.arrays import Block, Rows, Update, layer_at
from spikejoule.training.relu.kernels.forward import lists_of, round_row, run_forward
from spikejoule.training.relu.kernels.sparse import (
    BLOCK,
    add_all_columns,
    add_weighted_rows,
    list_by_source,
    list_values,
)

TINY = 1e-16
"""Gradients and moments below this become zero: far below Adam's epsilon. The weights
of a pixel that is always black would otherwise shrink to denormal numbers, with which
processors are a hundred times slower."""


@emitted
def exponentials(builder, values, start, vectors):
    """Replace numbers of at most 0 by their exponentials."""
    lanes = Lanes(builder, values.vector)
    with each_below(builder, vectors) as number:
        place = start + number * LANES
        values.store_vector(lanes.exponential(values.load_vector(place)), place)


@compiled
def _score_deltas(labels, targets, n_units, scores, deltas):
    """Compute the gradient of the mean cross-entropy by the scores, both ``Rows``."""
    share = np.float32(labels.size)
    stride = scores.stride
    for sample in range(labels.size):
        first = sample * stride
        own = scores.values[scores.start + first : scores.start + first + stride]
        row = deltas.values[deltas.start + first : deltas.start + first + stride]
        best = own[0]
        for unit in range(1, n_units):
            best = max(best, own[unit])
        for unit in range(stride):
            row[unit] = own[unit] - best if unit < n_units else np.float32(0)
        exponentials(deltas.values, deltas.start + first, stride // LANES)
        total = np.float32(0)
        for unit in range(n_units):
            total += row[unit]
        for unit in range(n_units):
            target = targets[1] if unit == labels[sample] else targets[0]
            row[unit] = (row[unit] / total - target) / share
        row[n_units:] = 0


@compiled
def _transpose(layer, source_stride, weights):
    """Write the weights of a layer as [unit, source_stride]."""
    seen = weights.seen
    transposed = weights.transposed
    for source in range(layer.n_sources):
        row = layer.start + source * layer.stride
        for unit in range(layer.n_units):
            transposed[unit * source_stride + source] = seen[row + unit]


@compiled
def _run_backward(labels, targets, weights, workspace):
    """Replace the sums of all layers by the gradient of the mean loss by them."""
    layers = weights.layers
    last = layer_at(layers, layers.shape[0] - 1)
    start = workspace.batch_size * last.unit_start
    deltas = Rows(workspace.sums, start, last.stride)
    scores = Rows(workspace.activations, start, last.stride)
    _score_deltas(labels, targets, last.n_units, scores, deltas)
    for number in range(layers.shape[0] - 2, -1, -1):
        layer = layer_at(layers, number)
        after = layer_at(layers, number + 1)
        start = workspace.batch_size * layer.unit_start
        _transpose(after, layer.stride, weights)
        # Without a source of biases, which has no delta.
        list_values(deltas, labels.size, after.n_units, 0, workspace.others)
        transposed = Rows(weights.transposed, 0, layer.stride)
        deltas = Rows(workspace.sums, start, layer.stride)
        add_all_columns(workspace.others, labels.size, transposed, deltas)
        for k in range(start, start + labels.size * layer.stride):
            if not workspace.passes[k]:
                workspace.sums[k] = 0


@emitted
def adam_update(builder, adam, start, gradient, block, update):
    """Update a block of the parameters that begin at `start`, and their moments."""
    lanes = Lanes(builder, gradient.vector)
    beta1, beta2 = (lanes.constant(beta) for beta in ADAM_BETAS)
    rest1, rest2 = (lanes.constant(1 - beta) for beta in ADAM_BETAS)
    rate = broadcast(builder, update.rate)
    correction = broadcast(builder, update.correction)
    weight_decay = broadcast(builder, update.weight_decay)

    def above(value, bound, size):
        """Return a value, or zero where its size is below a bound."""
        bound = lanes.constant(bound)
        return lanes.where_below(size, bound, lanes.constant(0.0), value)

    with each_below(builder, block.vectors) as number:
        column = block.column + number * LANES
        place = start + column
        values = adam.parameters.load_vector(place)
        slope = lanes.multiply_add(weight_decay, values, gradient.load_vector(column))
        slope = above(slope, TINY, lanes.absolute(slope))
        mean = lanes.multiply(rest1, slope)
        mean = lanes.multiply_add(beta1, adam.first.load_vector(place), mean)
        mean = above(mean, TINY, lanes.absolute(mean))
        square = lanes.multiply(lanes.multiply(rest2, slope), slope)
        square = lanes.multiply_add(beta2, adam.second.load_vector(place), square)
        square = above(square, TINY**2, square)
        root = vector_intrinsic(builder, "sqrt", square)
        root = lanes.multiply_add(root, correction, lanes.constant(ADAM_EPSILON))
        change = lanes.divide(lanes.multiply(rate, mean), root)
        adam.first.store_vector(mean, place)
        adam.second.store_vector(square, place)
        adam.parameters.store_vector(lanes.subtract(values, change), place)


@compiled_inline
def _count(number, layer, lists, n_samples, by_source, counted):
    """Count the values that enter a layer, without those of a source of the biases."""
    n_values = lists.offsets[n_samples]
    counted.values[number] += n_values - n_samples * (layer.n_rows - layer.n_sources)
    firsts = by_source.offsets
    for source in range(layer.n_sources):
        counted.sources[number] += firsts[source + 1] > firsts[source]


@compiled
def _update_layer(number, n_samples, update, learning):
    """Take a step for the parameters of a layer, block by block."""
    weights, adam, workspace, counted = learning
    layer = layer_at(weights.layers, number)
    stride = layer.stride
    parameters = adam.parameters
    kept = adam.kept
    deltas = Rows(workspace.sums, workspace.batch_size * layer.unit_start, stride)
    gradient = Rows(workspace.gradient, 0, stride)
    lists = lists_of(number, layer, workspace)
    by_source = workspace.others
    list_by_source(lists, n_samples, layer.n_rows, by_source)
    _count(number, layer, lists, n_samples, by_source, counted)
    vectors = stride // LANES
    # Block by block, because the deltas of a block stay in the cache.
    for vector in range(0, vectors, BLOCK):
        block = Block(vector * LANES, min(BLOCK, vectors - vector))
        for row in range(layer.n_rows):
            start = layer.start + row * stride
            add_weighted_rows(by_source, row, row + 1, deltas, gradient, block)
            adam_update(adam, start, workspace.gradient, block, update)
            if kept.size > 0:
                first = np.uint64(start + block.column)
                for k in range(first, first + np.uint64(block.vectors * LANES)):
                    parameters[k] *= kept[k]
            round_row(number, row, block, parameters, weights)


@compiled
def learn(epoch, learning):
    """Learn from the images of an ``Epoch``, one batch after the other.

    All parts of a ``Learning`` change; the `seen` parameters follow Adam's.
    """
    weights, adam, workspace, _ = learning
    batch_size = workspace.batch_size
    n_images = epoch.images.shape[0]
    steps = epoch.steps
    for number in range(steps.shape[0]):
        first = number * batch_size
        end = min(first + batch_size, n_images)
        labels = epoch.labels[first:end]
        run_forward(epoch.images[first:end], weights, workspace)
        _run_backward(labels, epoch.targets, weights, workspace)
        update = Update(steps[number, 0], steps[number, 1], adam.weight_decay[0])
        for layer in range(weights.layers.shape[0]):
            _update_layer(layer, labels.size, update, learning)
