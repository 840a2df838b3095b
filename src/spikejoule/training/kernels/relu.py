"""Forward pass, backward pass and Adam of fully connected ReLU networks.

Every sum of products adds them one by one in a fixed order, each rounded once with its
sum (`multiply_add`), so that results have the same bytes on any processor. All other
arithmetic is single operations, which IEEE 754 rounds in one way; the plain loops here
must therefore add no product, which LLVM could fuse with the sum on some processors.

Three of the products of a step have a sparse factor: pixels and activations are mostly
zero. They are listed, and one kernel, `add_weighted_rows`, adds rows of a matrix:

    forward     sums of a sample: rows of the weights, one for each of its sources
    backward    deltas of a sample: rows of the transposed weights
    gradient    of a source's weights: rows of the deltas, one for each of its samples

A bias is the weight of one more source, which is 1 in every sample.

A network of integers is trained as such: both passes see rounded weights, activations
and saturated sums, and the gradient passes straight through to the parameters of the
optimizer (Bengio, Leonard and Courville 2013, arXiv:1308.3432).

Adam: Kingma and Ba, ICLR 2015, arXiv:1412.6980, as in ``torch.optim.Adam`` (weight
decay is added to the gradient).

Shapes: L layers after the input, B samples of a batch, P parameters, N images.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_inline
from spikejoule.compiling.emit import (
    LANES,
    Lanes,
    Registers,
    broadcast,
    each_below,
    each_between,
    each_of,
    emitted,
    for_each_block_size,
    load_row,
    vector_intrinsic,
    zeros,
)
from spikejoule.compiling.numba_private import to_fixed_tuple
from spikejoule.network.learning import ADAM_BETAS, ADAM_EPSILON

Array = NDArray[Any]

BLOCK = 5
"""Vectors whose sums are kept in registers."""

TINY = 1e-16
"""Gradients and moments below this become zero: far below Adam's epsilon. The weights
of a pixel that is always black would otherwise shrink to denormal numbers, with which
processors are a hundred times slower."""


class Layer(NamedTuple):
    """Positions of one layer in the flat arrays, counted in elements.

    Attributes:
        n_sources: units of the layer before.
        n_units: units of this layer.
        stride: units padded to whole vectors.
        n_rows: rows of its parameters [n_rows, stride]: the weights of each source, and
            the biases, if there are any.
        start: first parameter.
        unit_start: a batch's values of this layer begin at B times this.
        source_start: the lists of its sources begin at B times this.
    """

    n_sources: int
    n_units: int
    stride: int
    n_rows: int
    start: int
    unit_start: int
    source_start: int


N_LAYER_FIELDS = len(Layer._fields)


class Grids(NamedTuple):
    """The integers of each layer of a network; units are 0 for floating point.

    All are float32 [L].

    Attributes:
        weight_units: value of an integer 1 among the weights.
        weight_tops: largest integer of a weight.
        sum_units: value of an integer 1 among the sums and biases.
        half_sums: biases are from minus this to this minus 1, in integers.
        lowest_sums, highest_sums: values at which sums saturate.
        added: what is added to a sum before it is rounded to an activation.
        activation_units: value of an integer 1 among the activations.
        activation_tops: largest integer of an activation.
    """

    weight_units: Array
    weight_tops: Array
    sum_units: Array
    half_sums: Array
    lowest_sums: Array
    highest_sums: Array
    added: Array
    activation_units: Array
    activation_tops: Array


class Weights(NamedTuple):
    """A network.

    Attributes:
        layers: table of `Layer`, int64 [L, fields].
        seen: the parameters that the passes see, float32 [P].
        transposed: scratch for the weights of a layer by target, float32.
        levels: value of each of the 256 brightnesses of a pixel, float32 [256].
        grids: its integers.
    """

    layers: Array
    seen: Array
    transposed: Array
    levels: Array
    grids: Grids


class Lists(NamedTuple):
    """What is not zero in the rows of a matrix.

    Row r has ``factors[k]`` in column ``places[k]``, for k from ``offsets[r]`` to
    ``offsets[r + 1]``.

    Attributes:
        offsets: int64 [rows + 1].
        places: uint32.
        factors: float32.
    """

    offsets: Array
    places: Array
    factors: Array


class Workspace(NamedTuple):
    """Scratch memory for a batch of up to B samples.

    Attributes:
        offsets: of the `Lists` of each layer's sources by sample, int64 [L, B + 1].
        places, factors: of the same lists; those of a layer begin at B times its
            `source_start`.
        sums: weighted inputs, then the gradient of the loss by them, float32.
        activations: activations of hidden layers, and scores, float32.
        passes: whether a gradient passes an activation function, bool.
        gradient: of the weights of one source, float32 [widest stride].
        others: `Lists` of the deltas of one layer, or of its samples by source.
    """

    offsets: Array
    places: Array
    factors: Array
    sums: Array
    activations: Array
    passes: Array
    gradient: Array
    others: Lists


class AdamArrays(NamedTuple):
    """Parameters and their state.

    Attributes:
        parameters: not rounded, float32 [P].
        first, second: moments, float32 [P].
        kept: 0 for removed weights, else 1, float32 [P]; of size 0 without pruning.
        weight_decay: factor of the L2 penalty, float32 [1].
    """

    parameters: Array
    first: Array
    second: Array
    kept: Array
    weight_decay: Array


class Epoch(NamedTuple):
    """The images of an epoch, in order, and its steps.

    Attributes:
        images: uint8 [N, pixels].
        labels: uint8 [N].
        steps: of each batch Adam's rate and correction of the second moment's root,
            float32 [batches, 2].
        batch_size: B.
        targets: target probability of another class, and of the label, float32 [2].
    """

    images: Array
    labels: Array
    steps: Array
    batch_size: int
    targets: Array


class Counted(NamedTuple):
    """What the energy of training follows from, by layer, added to in every batch.

    Attributes:
        values: values other than zero that enter the layer, of all samples, int64 [L].
        sources: sources with such a value in a batch, over all batches, int64 [L].
    """

    values: Array
    sources: Array


class Rows(NamedTuple):
    """Rows of `stride` elements in a flat array, from `start` on."""

    values: Array
    start: int
    stride: int


class Block(NamedTuple):
    """Neighbouring columns of rows: the first, and the number of vectors."""

    column: int
    vectors: int


class Update(NamedTuple):
    """Constants of one step of Adam, float32."""

    rate: Any
    correction: Any
    weight_decay: Any


@compiled_inline
def layer_at(layers, number):
    """Return layer `number`, from 0, of a table int64 [L, fields of Layer]."""
    return Layer(*to_fixed_tuple(layers[number], N_LAYER_FIELDS))


@emitted
def add_weighted_rows(builder, lists, first, end, rows, out, block):
    """Add rows, each times its factor, in the order of the lists.

    For each k from `first` to `end`, ``out[k - first] = sum of factor * rows[place]``
    over list k, in the columns of a block. `rows` and `out` are ``Rows``.

    Sums stay in registers over a list, so `out` is stored once.
    """
    column = block.column

    def emit(size):
        sums = Registers(builder, rows.values.vector, size)
        with each_between(builder, first, end) as number:
            sums.fill(zeros(rows.values.vector))
            with each_of(builder, lists.offsets, number) as event:
                place = lists.places.load_index(event) * rows.stride
                factor = broadcast(builder, lists.factors.load(event))
                row = load_row(rows.values, rows.start + place + column, size)
                sums.add_products(factor, row)
            sums.store(out.values, out.start + (number - first) * out.stride + column)

    for_each_block_size(builder, block.vectors, range(1, BLOCK + 1), emit)


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


@emitted
def exponentials(builder, values, start, vectors):
    """Replace numbers of at most 0 by their exponentials."""
    lanes = Lanes(builder, values.vector)
    with each_below(builder, vectors) as number:
        place = start + number * LANES
        values.store_vector(lanes.exponential(values.load_vector(place)), place)


@compiled
def add_all_columns(lists, n_rows, rows, out):
    """Call `add_weighted_rows` for the first lists and all columns."""
    vectors = rows.stride // LANES
    for vector in range(0, vectors, BLOCK):
        block = Block(vector * LANES, min(BLOCK, vectors - vector))
        add_weighted_rows(lists, 0, n_rows, rows, out, block)


@compiled
def list_pixels(images, levels, n_rows, lists):
    """List the pixels of images uint8 [B, pixels] whose level is not 0.

    A source of the biases, if `n_rows` has one, is 1.
    """
    offsets, places, factors = lists
    place = np.uint64(0)
    offsets[0] = 0
    for sample in range(images.shape[0]):
        for pixel in range(images.shape[1]):
            level = levels[images[sample, pixel]]
            # Always written, and overwritten by the next pixel if the level is 0.
            places[place] = pixel
            factors[place] = level
            place += np.uint64(level != 0)
        if n_rows > images.shape[1]:
            places[place] = images.shape[1]
            factors[place] = 1
            place += np.uint64(1)
        offsets[sample + 1] = place


@compiled
def list_values(rows, n_samples, n_columns, n_rows, lists):
    """List what is not 0 in the first columns of rows, as `list_pixels` does."""
    offsets, places, factors = lists
    values = rows.values
    place = np.uint64(0)
    offsets[0] = 0
    for sample in range(n_samples):
        start = rows.start + sample * rows.stride
        for column in range(n_columns):
            value = values[np.uint64(start + column)]
            places[place] = column
            factors[place] = value
            place += np.uint64(value != 0)
        if n_rows > n_columns:
            places[place] = n_columns
            factors[place] = 1
            place += np.uint64(1)
        offsets[sample + 1] = place


@compiled
def list_by_source(lists, n_samples, n_sources, by_source):
    """Reorder lists of sources by sample to lists of samples by source."""
    offsets, places, factors = lists
    firsts, samples, values = by_source
    # The last loop moves the start of each list, one element late, to its end.
    firsts[: n_sources + 2] = 0
    for k in range(np.uint64(offsets[n_samples])):
        firsts[np.uint64(places[k]) + np.uint64(2)] += 1
    for source in range(1, n_sources + 2):
        firsts[source] += firsts[source - 1]
    for sample in range(n_samples):
        for k in range(np.uint64(offsets[sample]), np.uint64(offsets[sample + 1])):
            following = np.uint64(places[k]) + np.uint64(1)
            place = np.uint64(firsts[following])
            samples[place] = sample
            values[place] = factors[k]
            firsts[following] += 1


@compiled_inline
def _lists_of(number, layer, batch_size, workspace):
    """Return the lists of a layer's sources by sample."""
    start = batch_size * layer.source_start
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
def run_forward(images, batch_size, weights, workspace):
    """Compute the activations of images uint8 [B or fewer, pixels].

    Args:
        images: the images.
        batch_size: B, for which the workspace was made.
        weights: ``Weights``.
        workspace: ``Workspace``, whose lists, activations and `passes` are written.
    """
    n_samples = images.shape[0]
    layers = weights.layers
    layer = layer_at(layers, 0)
    lists = _lists_of(0, layer, batch_size, workspace)
    list_pixels(images, weights.levels, layer.n_rows, lists)
    for number in range(layers.shape[0]):
        layer = layer_at(layers, number)
        start = batch_size * layer.unit_start
        count = n_samples * layer.stride
        add_all_columns(
            _lists_of(number, layer, batch_size, workspace),
            n_samples,
            Rows(weights.seen, layer.start, layer.stride),
            Rows(workspace.sums, start, layer.stride),
        )
        if number + 1 < layers.shape[0]:
            _activate(number, start, count, weights.grids, workspace)
            after = layer_at(layers, number + 1)
            activations = Rows(workspace.activations, start, layer.stride)
            lists = _lists_of(number + 1, after, batch_size, workspace)
            list_values(activations, n_samples, layer.n_units, after.n_rows, lists)
        else:
            lowest = weights.grids.lowest_sums[number]
            highest = weights.grids.highest_sums[number]
            for k in range(start, start + count):
                score = min(max(workspace.sums[k], lowest), highest)
                workspace.activations[k] = score


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
def _run_backward(labels, epoch, weights, workspace):
    """Replace the sums of all layers by the gradient of the mean loss by them."""
    layers = weights.layers
    last = layer_at(layers, layers.shape[0] - 1)
    start = epoch.batch_size * last.unit_start
    deltas = Rows(workspace.sums, start, last.stride)
    scores = Rows(workspace.activations, start, last.stride)
    _score_deltas(labels, epoch.targets, last.n_units, scores, deltas)
    for number in range(layers.shape[0] - 2, -1, -1):
        layer = layer_at(layers, number)
        after = layer_at(layers, number + 1)
        start = epoch.batch_size * layer.unit_start
        _transpose(after, layer.stride, weights)
        # Without a source of biases, which has no delta.
        list_values(deltas, labels.size, after.n_units, 0, workspace.others)
        transposed = Rows(weights.transposed, 0, layer.stride)
        deltas = Rows(workspace.sums, start, layer.stride)
        add_all_columns(workspace.others, labels.size, transposed, deltas)
        for k in range(start, start + labels.size * layer.stride):
            if not workspace.passes[k]:
                workspace.sums[k] = 0


@compiled
def _round_row(number, row, block, exact, weights):
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
            _round_row(number, row, Block(0, layer.stride // LANES), exact, weights)


@compiled_inline
def _count(number, layer, lists, n_samples, by_source, counted):
    """Count the values that enter a layer, without those of a source of the biases."""
    n_values = lists.offsets[n_samples]
    counted.values[number] += n_values - n_samples * (layer.n_rows - layer.n_sources)
    firsts = by_source.offsets
    for source in range(layer.n_sources):
        counted.sources[number] += firsts[source + 1] > firsts[source]


@compiled
def _update_layer(number, n_samples, epoch, update, weights, adam, workspace, counted):
    """Take a step for the parameters of a layer, block by block."""
    layer = layer_at(weights.layers, number)
    stride = layer.stride
    parameters = adam.parameters
    kept = adam.kept
    deltas = Rows(workspace.sums, epoch.batch_size * layer.unit_start, stride)
    gradient = Rows(workspace.gradient, 0, stride)
    lists = _lists_of(number, layer, epoch.batch_size, workspace)
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
            _round_row(number, row, block, parameters, weights)


@compiled
def learn(epoch, weights, adam, workspace, counted):
    """Learn from the images of an epoch, one batch after the other.

    Args:
        epoch: ``Epoch``.
        weights: ``Weights``, whose `seen` follow the parameters.
        adam: ``AdamArrays``, updated in place.
        workspace: ``Workspace`` for batches of `batch_size`.
        counted: ``Counted``, added to.
    """
    n_images = epoch.images.shape[0]
    steps = epoch.steps
    for number in range(steps.shape[0]):
        first = number * epoch.batch_size
        end = min(first + epoch.batch_size, n_images)
        labels = epoch.labels[first:end]
        run_forward(epoch.images[first:end], epoch.batch_size, weights, workspace)
        _run_backward(labels, epoch, weights, workspace)
        update = Update(steps[number, 0], steps[number, 1], adam.weight_decay[0])
        for layer in range(weights.layers.shape[0]):
            _update_layer(
                layer, labels.size, epoch, update, weights, adam, workspace, counted
            )
