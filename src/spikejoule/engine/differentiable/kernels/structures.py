"""Named tuples of arrays, as in engine/kernels/structures.py.

Shapes: T steps, B samples, K lanes, L layers, n units of a layer, U elements of all
populations (engine/kernels/chain.py), P parameters. The populations are the input,
number 0, and the layers. A lane is consecutive samples, worked by one thread.
"""

from typing import NamedTuple

from spikejoule.compiling import compiled_inline
from spikejoule.compiling.numba_private import to_fixed_tuple
from spikejoule.engine.kernels.chain import ChainArrays, link_at
from spikejoule.engine.kernels.structures import Array, Real, Rows

DENSE, EVENTS, CURRENTS = range(3)
"""Kinds of input."""

PATCHES, ROWS, NO_SYNAPSES = range(3)
"""How a layer's input is computed: by patches, by whole rows of weights (full
connectivity), or not at all."""


class LayerPlace(NamedTuple):
    """What the kernels know of a layer, besides its link.

    Attributes:
        synapses: PATCHES, ROWS or NO_SYNAPSES.
        weight_start: first weight.
        n_sources: units of the population before.
        units_before: units of all populations before this one.
        surrogate: number of the surrogate's shape (neurons.py).
        reset: number of the reset (neurons.py).
        through_reset: 1 if gradients flow through spikes in the reset, else 0.
    """

    synapses: int
    weight_start: int
    n_sources: int
    units_before: int
    surrogate: int
    reset: int
    through_reset: int


class Settings(NamedTuple):
    """The neurons of a layer in numbers (dynamics.py).

    Attributes:
        keep_current: fraction of the synaptic current left after a step.
        height, slope, floor: of the surrogate.
    """

    keep_current: Real
    height: Real
    slope: Real
    floor: Real


class Neurons(NamedTuple):
    """Neighbouring neurons of a layer.

    Attributes:
        constants: rows of keep, gain, threshold, and the smallest potential that fires,
            one number per element.
        settings: of the layer.
        surrogate, reset, through_reset: as in :class:`LayerPlace`.
    """

    constants: Rows
    settings: Settings
    surrogate: int
    reset: int
    through_reset: int


class Tables(NamedTuple):
    """What a chain is, apart from its values.

    Attributes:
        chain: links and patches.
        layers: one :class:`LayerPlace` per row, int64 [L, fields].
        settings: one :class:`Settings` per row, real [L, fields].
        transposed: weights of all links but the first, as in ``ChainBackward``.
        members_of, members: as in ``ChainBackward``.
        records_after_reset: whether recorded potentials are those after the reset.
    """

    chain: ChainArrays
    layers: Array
    settings: Array
    transposed: Array
    members_of: Array
    members: Array
    records_after_reset: int


class Kept(NamedTuple):
    """What a forward pass leaves for the backward pass.

    Attributes:
        constants: of the neurons of every layer, see :class:`Neurons`, real [4 * U].
        potentials: v of every sample and layer, with a row of zeros before the first
            step, real [B * U * (T + 1)].
        sources: spikes of all populations, those of a lane one behind another.
        offsets: start of each row, int64 [L + 1, B * T + K]: a lane has one more than
            it has rows.
    """

    constants: Array
    potentials: Array
    sources: Array
    offsets: Array


class Inputs(NamedTuple):
    """The input of a batch.

    Attributes:
        kind: DENSE, EVENTS or CURRENTS.
        values: spikes or currents, flat [T * B * n]; empty for events.
        sources, offsets: events, or where those of a dense input are written.
        lane_rows: 1 if the offsets have an additional row for each lane, else 0.
    """

    kind: int
    values: Array
    sources: Array
    offsets: Array
    lane_rows: int


class Batch(NamedTuple):
    """The size of a batch, and its lanes.

    Attributes:
        n_samples: B.
        n_steps: T.
        bounds: lane k has the samples ``bounds[k]`` to ``bounds[k + 1]``.
    """

    n_samples: int
    n_steps: int
    bounds: Array


class Records(NamedTuple):
    """The output, or the gradient by it, flat [T * B * n]; empty if there is none.

    Attributes:
        spikes: of the last layer.
        potentials: of the last layer.
    """

    spikes: Array
    potentials: Array


class Gradients(NamedTuple):
    """Gradients of each lane.

    Attributes:
        parameters: real [K, P].
        neurons: sums over the steps for each element: by the input, which is the
            gradient of the bias, by keep, by gain, and by threshold, real [K, 4 * U].
        currents: by the input, if it is currents, real [T * B * n]; else empty.
        has_constants: for each layer 1 if its sums by keep, gain and threshold are
            needed, else 0, int64 [L].
    """

    parameters: Array
    neurons: Array
    currents: Array
    has_constants: Array


N_SUMS = 4
"""Rows of sums in `Gradients.neurons`; of constants, too."""

N_PLACE_FIELDS = len(LayerPlace._fields)
N_SETTINGS = len(Settings._fields)


@compiled_inline
def layer_place_at(layers, number):
    """Return the ``LayerPlace`` of a layer."""
    return LayerPlace(*to_fixed_tuple(layers[number], N_PLACE_FIELDS))


@compiled_inline
def neurons_of(constants, tables, link, number):
    """Return all ``Neurons`` of a layer."""
    place = layer_place_at(tables.layers, number)
    return Neurons(
        Rows(constants, N_SUMS * link.first_unit, link.stride),
        Settings(*to_fixed_tuple(tables.settings[number], N_SETTINGS)),
        place.surrogate,
        place.reset,
        place.through_reset,
    )


@compiled_inline
def potentials_of(kept, tables, number, sample, n_steps):
    """Return v of one sample and layer, ``Rows`` of T + 1 steps."""
    links = tables.chain.links
    link = link_at(links, number)
    last = link_at(links, tables.layers.shape[0] - 1)
    elements = last.first_unit + last.stride
    start = (sample * elements + link.first_unit) * (n_steps + 1)
    return Rows(kept.potentials, start, link.stride)


@compiled_inline
def named_tables(tables):
    """Return plain nested tuples, as Python passes them, as ``Tables``."""
    chain, layers, settings, transposed, members_of, members, after = tables
    return Tables(
        ChainArrays(*chain), layers, settings, transposed, members_of, members, after
    )
