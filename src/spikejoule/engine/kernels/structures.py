"""What kernels receive, by name.

A named tuple costs nothing from kernel to kernel. Where Python calls one, numba looks
up its type in half a microsecond and more, and that of a plain tuple in a tenth of
that: the kernels that a batch begins with take plain ones and name them.

Letters of shapes: T steps, S samples of a batch, E spikes, L layers after the input, R
rows of parameters, P parameters; K lanes of samples, G samples of a group and Z slots
for groups (backward.py), W the widest stride, I the most sources of a layer. "Real" is
the parameters' type, float32 or float64. Potentials, weights and gradients have no
unit.

Kernels take an array out of its tuple before a loop: within a loop, numba counts a
reference each time where it counts them at all (compiling).
"""

from typing import Any, NamedTuple

from numba.np.unsafe.ndarray import to_fixed_tuple
from numpy.typing import NDArray

from spikejoule.compiling import compiled_inline

Array = NDArray[Any]
Real = Any
"""A number of the parameters' type: ``np.float32`` or ``np.float64``."""


class Spikes(NamedTuple):
    """Spikes by row, a row being one step of one sample (see encoding/events.py).

    The units that fired in row r are ``sources[offsets[r] : offsets[r + 1]]``.

    Attributes:
        sources: the units, uint16 [E].
        offsets: where each row begins, int64 [rows + 1]; it need not begin at 0.
    """

    sources: Array
    offsets: Array


class ConstantInputs(NamedTuple):
    """What the sources of each sample give in every step (see encoding/events.py).

    Those of sample n are ``sources[offsets[n] : offsets[n + 1]]``.

    Attributes:
        sources: the units, uint16 [E].
        values: what they give, real [E].
        offsets: where each sample begins, int64 [S + 1]; it need not begin at 0. Of
            size 0 for an input of spikes.
    """

    sources: Array
    values: Array
    offsets: Array


class LayerInput(NamedTuple):
    """The input of one layer when a network only runs.

    Attributes:
        spikes: one row per (sample, step).
        currents: the constant inputs of the same samples.
        n_steps: T.
    """

    spikes: Spikes
    currents: ConstantInputs
    n_steps: int


class Layer(NamedTuple):
    """Where one layer's parameters lie in the flat array, counted in elements.

    The weights are [source, stride], and the bias row [stride] follows them.

    Attributes:
        n_sources: units of the layer before.
        n_units: units of this layer.
        stride: units padded to whole vectors.
        weight_start: first weight.
        bias_start: first bias.
        first_row: index of the layer's first row among all rows of parameters.
        transposed_start: first transposed weight [unit, stride of the layer before].
    """

    n_sources: int
    n_units: int
    stride: int
    weight_start: int
    bias_start: int
    first_row: int
    transposed_start: int


N_LAYER_FIELDS = len(Layer._fields)


@compiled_inline
def layer_at(layers, number):
    """The layer of a number, counted from 0, in a table int64 [L, fields of Layer]."""
    return Layer(*to_fixed_tuple(layers[number], N_LAYER_FIELDS))


@compiled_inline
def with_bias_at(layer, bias_start):
    """The same layer with its bias row in another place."""
    return Layer(
        layer.n_sources,
        layer.n_units,
        layer.stride,
        layer.weight_start,
        bias_start,
        layer.first_row,
        layer.transposed_start,
    )


class NeuronConstants(NamedTuple):
    """Constants of the LIF neuron of one layer (network/neurons/lif.py).

    Attributes:
        decay: fraction of the membrane potential that is left after a step, real.
        threshold: membrane potential at which a neuron fires, real.
        reset: RESET_TO_ZERO or RESET_BY_SUBTRACTION.
        on_grid: 1 where the potential lies on a grid (network/quantisation.py); where
            it is 0, what follows is not used.
        unit: step of the grid, real.
        per_unit: 1 / unit, real.
        lowest, highest: range of the potential that is kept from step to step, real.
    """

    decay: Real
    threshold: Real
    reset: int
    on_grid: int
    unit: Real
    per_unit: Real
    lowest: Real
    highest: Real


RESET_TO_ZERO = 0
RESET_BY_SUBTRACTION = 1
RESETS = (RESET_TO_ZERO, RESET_BY_SUBTRACTION)


DECAY_PLACE = 0
THRESHOLD_PLACE = 1
"""Where the logit of the decay and the logarithm of the threshold lie in a layer's
row.
"""


class NetworkArrays(NamedTuple):
    """A network's parameters and where they lie, and its neurons.

    Attributes:
        layers: a row for each layer, int64 [L, fields of Layer].
        parameters: flat, real [P].
        transposed: weights of all layers but the first, [unit, source], real, flat.
        fan_outs: synapses that the source of each row reaches, int64 [R].
        learned_start: first parameter of the first layer's neurons; -1 if they learn
            none.
        learned_row: index of its row among all rows; each layer has one
            (kernels/deltas.py).
        constants: decay, threshold, unit, per_unit, lowest and highest of each layer's
            :class:`NeuronConstants`, real [L, 6].
        reset, on_grid: of all neurons.
    """

    layers: Array
    parameters: Array
    transposed: Array
    fan_outs: Array
    learned_start: int
    learned_row: int
    constants: Array
    reset: int
    on_grid: int


@compiled_inline
def neuron_at(network, number):
    """The neuron of the layer of a number, counted from 0."""
    constants = network.constants
    return NeuronConstants(
        constants[number, 0],
        constants[number, 1],
        network.reset,
        network.on_grid,
        constants[number, 2],
        constants[number, 3],
        constants[number, 4],
        constants[number, 5],
    )


class IntegerParameters(NamedTuple):
    """One layer in integers (network/quantisation.py), I sources by U units.

    Attributes:
        weights: int8 [I, U].
        biases: int32 [U].
        resting: potentials before the first step, zeros of the potential's type, [U].
        threshold: potential at or above which a neuron fires.
        leak: m of the leak floor(m u / 256).
        lowest, highest: range of the potential that is kept from step to step.
        subtracts: whether a spike lowers the potential by the threshold, rather than to
            zero.
    """

    weights: Array
    biases: Array
    resting: Array
    threshold: int
    leak: int
    lowest: int
    highest: int
    subtracts: bool


class Surrogate(NamedTuple):
    """A surrogate derivative (network/surrogates).

    Attributes:
        code: which one (through_time.SURROGATE_CODES).
        a, b: its constants, real.
    """

    code: int
    a: Real
    b: Real


class Learning(NamedTuple):
    """What a gradient depends on beside the network: the loss of a batch and the
    surrogate.

    The loss is the mean cross-entropy of softmax(logit_scale * spike counts), and what
    the spikes of each layer cost beside (deltas.py).

    Attributes:
        logit_scale: factor on the counts, float.
        penalised: whether any spike or synaptic event costs something.
        penalties: for each layer the loss of a spike above a target, that target, the
            loss of a synaptic event above a target, and that target, float64 [L, 4].
        surrogate, a, b: the fields of :class:`Surrogate`.
    """

    logit_scale: float
    penalised: bool
    penalties: Array
    surrogate: int
    a: Real
    b: Real


class LabelledBatch(NamedTuple):
    """A batch of samples and how it is shared out.

    Attributes:
        sources, offsets: the input, see :class:`Spikes`, a row a (sample, step).
        labels: int64 [S].
        targets: probability that each class should have, float64 [rows, classes].
        target_rows: row of each sample in `targets`, int64 [S].
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``, int64
            [K + 1].
    """

    sources: Array
    offsets: Array
    labels: Array
    targets: Array
    target_rows: Array
    bounds: Array


class BatchGradient(NamedTuple):
    """What a batch leaves, for C chunks of rows.

    Attributes:
        gradients: of each lane, real [K, P]; zero in rows that are not touched.
        touched: rows that a lane changed, bool [K, R].
        squares: of the gradient, by chunk of rows, float64 [C].
        losses: sum over a lane's samples, float64 [K].
        counts: of each part of the batch, a lane or a slot, samples classified
            correctly, spikes of each layer, the input first, and synaptic events of
            each connection, int64 [parts, ...].
    """

    gradients: Array
    touched: Array
    squares: Array
    losses: Array
    counts: Array


class Workspace(NamedTuple):
    """The memory that a batch is worked off in; nothing in it outlives the batch.

    It has Z slots, each for one group of samples at a time (backward.py). The deltas
    and sources of a group's samples stand one after the other.

    Attributes:
        deltas: dL/dv, real [Z, L, G * T * W].
        sources: of each layer's spikes, uint16 [Z, L, G * T * W + SPARE_SPIKES].
        offsets: where the rows of the sources begin, int64 [Z, L, G * T + 1].
        steps, active, firsts: into each layer, the fields of :class:`BySource`; uint32
            [Z, L, most spikes of a group], [Z, L, I + 1] and [Z, L, I + 1].
        n_active: likewise, int64 [Z, L].
        biases: each sample's gradient of a layer's biases, real [Z, L, G * W].
        learned: each sample's gradients of what a layer's neurons learn, float64
            [Z, G, L, 2].
        losses: of each sample, float64 [Z, G].
        potentials: v before the reset of one sample, where neurons learn; elsewhere the
            deltas take their place, and it is empty. Real [Z, L, T * W or 0].
        fired: one bit a neuron of one layer, uint16 [Z, T * W / 16].
        driven: the first layer's biases with what constant inputs of one sample give,
            real [Z, W].
        class_counts: output spikes of one sample, int64 [Z, classes].
        count_gradient: dL/dcounts of one sample, real [Z, stride of the output], zero
            in the padding.
        costs: what a spike of each unit adds to the loss by itself, real [Z, L, W].
        places: of each source, uint32 [Z, I]; zero between calls.
        begins: how many rows begin with each spike of a group, uint32
            [Z, most spikes + 1]; likewise.
    """

    deltas: Array
    sources: Array
    offsets: Array
    steps: Array
    active: Array
    firsts: Array
    n_active: Array
    biases: Array
    learned: Array
    losses: Array
    potentials: Array
    fired: Array
    driven: Array
    class_counts: Array
    count_gradient: Array
    costs: Array
    places: Array
    begins: Array


class BySource(NamedTuple):
    """Spikes of a layer by source: source ``active[k]`` fired in rows
    ``steps[firsts[k] : firsts[k + 1]]``.

    Attributes:
        active: the sources that fired, unsigned or int32 [n_active].
        firsts: where the rows of each begin [n_active + 1].
        steps: the rows [E].
        n_active: number of sources that fired.
    """

    active: Array
    firsts: Array
    steps: Array
    n_active: int


class Rows(NamedTuple):
    """Rows of a flat array: row r begins at ``start + r * stride``, counted in
    elements.

    Attributes:
        values: real, flat.
        start: of row 0.
        stride: from row to row.
    """

    values: Array
    start: int
    stride: int


class Block(NamedTuple):
    """Columns that one call computes.

    Attributes:
        column: the first, a multiple of 16.
        vectors: how many vectors of 16 columns.
    """

    column: int
    vectors: int


@compiled_inline
def steps_of(batch):
    """T of a batch."""
    return (batch.offsets.size - 1) // batch.labels.size


@compiled_inline
def sample_spikes(batch, sample, n_steps):
    """Return the input of one sample, ``Spikes`` with T rows."""
    return Spikes(
        batch.sources, batch.offsets[sample * n_steps : (sample + 1) * n_steps + 1]
    )


@compiled_inline
def sample_currents(currents, sample):
    """Return the constant inputs of one sample, ``ConstantInputs`` of one sample.

    Without constant inputs the offsets are empty, and so is any slice of them.
    """
    return ConstantInputs(
        currents.sources, currents.values, currents.offsets[sample : sample + 2]
    )


class ParameterRows(NamedTuple):
    """Rows of parameters: the weights of one source, or the biases of one layer.

    Attributes:
        starts: int64 [R].
        lengths: int64 [R].
        chunks: bounds of the row ranges that are handled as a unit, int64 [C + 1].
    """

    starts: Array
    lengths: Array
    chunks: Array


class Grids(NamedTuple):
    """The grids of quantised parameters, by row (network/quantisation.py).

    Attributes:
        per_unit: 2^k of the grid 2^-k, real [R].
        units: 2^-k, real [R].
        limits: largest magnitude of an integer, real [R].
    """

    per_unit: Array
    units: Array
    limits: Array


class Moments(NamedTuple):
    """Adam's running means of the gradient and of its square, real [P] each."""

    first: Array
    second: Array


class AdamSettings(NamedTuple):
    """Constants of one step of Adam (optimizer.py), all real.

    Attributes:
        clip: factor on the gradient that clips its norm.
        weight_decay: L2 penalty.
        beta1: decay of the first moment.
        rest1: 1 - beta1.
        beta2: decay of the second moment.
        rest2: 1 - beta2.
        rate: learning rate / (1 - beta1^t).
        correction: 1 / sqrt(1 - beta2^t).
        epsilon: added to the root of the second moment.
        tiny: gradients and moments below become zero.
    """

    clip: Real
    weight_decay: Real
    beta1: Real
    rest1: Real
    beta2: Real
    rest2: Real
    rate: Real
    correction: Real
    epsilon: Real
    tiny: Real
