"""The arrays of the kernels of ReLU networks.

Shapes: L layers after the input, B samples of a batch, P parameters, N images.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from spikejoule.compiling import compiled_inline
from spikejoule.compiling.numba_private import to_fixed_tuple

Array = NDArray[Any]


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
        batch_size: B.
        offsets: of the `Lists` of each layer's sources by sample, int64 [L, B + 1].
        places, factors: of the same lists; those of a layer begin at B times its
            `source_start`.
        sums: weighted inputs, then the gradient of the loss by them, float32.
        activations: activations of hidden layers, and scores, float32.
        passes: whether a gradient passes an activation function, bool.
        gradient: of the weights of one source, float32 [widest stride].
        others: `Lists` of the deltas of one layer, or of its samples by source.
    """

    batch_size: int
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
        targets: target probability of another class, and of the label, float32 [2].
    """

    images: Array
    labels: Array
    steps: Array
    targets: Array


class Counted(NamedTuple):
    """What the energy of training follows from, by layer, added to in every batch.

    Attributes:
        values: values other than zero that enter the layer, of all samples, int64 [L].
        sources: sources with such a value in a batch, over all batches, int64 [L].
    """

    values: Array
    sources: Array


class Learning(NamedTuple):
    """A network that learns: its parts, all changed in place."""

    weights: Weights
    adam: AdamArrays
    workspace: Workspace
    counted: Counted


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
