"""Named tuples of arrays that kernels take as arguments.

Between kernels a named tuple costs nothing: numba unpacks it at compile time. On a call
from Python numba has to look up its type, which takes 0.5 us or more per named tuple
and a tenth of that for a plain tuple. The kernels called once per batch therefore take
plain tuples and name them again.

Kernels read an array from its tuple before a loop, not inside it: numba would increase
and decrease the array's reference count in every iteration, except in functions
compiled apart (compiling).

Shapes: T steps, S samples of a batch, E spikes, L layers after the input, R rows of
parameters, P parameters. "Real" is the type of the parameters, float32 or float64.
Potentials, weights and gradients have no unit.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from spikejoule.compiling import compiled_inline
from spikejoule.compiling.numba_private import to_fixed_tuple

Array = NDArray[Any]


Real = Any
"""A number of the parameters' type: ``np.float32`` or ``np.float64``."""


class Spikes(NamedTuple):
    """Spikes by row, where a row is one step of one sample (encoding/events.py).

    The units that fired in row r are ``sources[offsets[r] : offsets[r + 1]]``.

    Attributes:
        sources: units, uint16 [E], or uint32 for more than 65,536.
        offsets: start of each row, int64 [rows + 1]; the first need not be 0.
    """

    sources: Array
    offsets: Array


class ConstantInputs(NamedTuple):
    """Constant inputs, the same in every step of a sample (encoding/events.py).

    The sources of sample n are ``sources[offsets[n] : offsets[n + 1]]``.

    Attributes:
        sources: units, uint16 [E].
        values: their inputs, real [E].
        offsets: start of each sample, int64 [S + 1]; the first need not be 0. Of size 0
            if the input is spikes.
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
    """Positions of one layer's parameters in the flat array, counted in elements.

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
    """Return layer `number`, from 0, of a table int64 [L, fields of Layer]."""
    return Layer(*to_fixed_tuple(layers[number], N_LAYER_FIELDS))


class NeuronConstants(NamedTuple):
    """Constants of the LIF neurons of one layer (network/neurons/lif.py).

    Attributes:
        decay: fraction of the membrane potential left after a step, real.
        threshold: membrane potential at which a neuron fires, real.
        reset: RESET_TO_ZERO or RESET_BY_SUBTRACTION.
        on_grid: 1 if potentials are on a grid (network/quantisation.py); if 0, the
            fields below are unused.
        unit: step of the grid, real.
        per_unit: 1 / unit, real.
        lowest, highest: range of the potential kept between steps, real.
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


# Position of the decay's logit and of the threshold's logarithm in a layer's row of
# learned neuron parameters.
DECAY_PLACE = 0


THRESHOLD_PLACE = 1


class NetworkArrays(NamedTuple):
    """A network's parameters with their positions, and its neurons.

    Attributes:
        layers: one :class:`Layer` per row, int64 [L, fields of Layer].
        parameters: flat, real [P].
        constants: decay, threshold, unit, per_unit, lowest and highest of each layer's
            :class:`NeuronConstants`, real [L, 6].
        reset, on_grid: of all neurons.
        starts_at_bias: 1 if biases are initial potentials, 0 if every step adds them.
    """

    layers: Array
    parameters: Array
    constants: Array
    reset: int
    on_grid: int
    starts_at_bias: int


@compiled_inline
def neuron_at(network, number):
    """Return the ``NeuronConstants`` of layer `number`, from 0."""
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
    """One layer of an integer network (network/quantisation.py), I sources, U units.

    Attributes:
        weights: int8 [I, U].
        biases: int32 [U].
        resting: potentials before the first step, of the potential's type, [U].
        threshold: potential at or above which a neuron fires.
        leak: m in the leak floor(m u / 256).
        lowest, highest: range of the potential kept between steps.
        subtracts: whether a spike lowers the potential by the threshold instead of
            setting it to zero.
    """

    weights: Array
    biases: Array
    resting: Array
    threshold: int
    leak: int
    lowest: int
    highest: int
    subtracts: bool


class Rows(NamedTuple):
    """Rows of a flat array: row r begins at element ``start + r * stride``.

    Attributes:
        values: real, flat.
        start: first element of row 0.
        stride: distance between rows.
    """

    values: Array
    start: int
    stride: int


class Block(NamedTuple):
    """Neighbouring columns that one call computes.

    Attributes:
        column: the first column, a multiple of 16.
        vectors: number of vectors of 16 columns.
    """

    column: int
    vectors: int


class LayerForward(NamedTuple):
    """The forward pass of one sample through one layer, apart from its spikes.

    Attributes:
        n_steps: T.
        layer: positions of its weights.
        parameters: flat, real [P].
        biases: added to the potentials in every step, real [stride].
        initial: u before the first step, real [stride].
        neuron: constants of its neurons.
        potentials: receives v before the reset, real, flat [T * stride].
        fired: receives one bit per neuron, uint16, flat [T * stride / 16].
    """

    n_steps: int
    layer: Layer
    parameters: Array
    biases: Array
    initial: Array
    neuron: NeuronConstants
    potentials: Array
    fired: Array


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
        chunks: bounds of the ranges of rows that one call handles, int64 [C + 1].
    """

    starts: Array
    lengths: Array
    chunks: Array
