"""The inner loops of the backward pass of chains, in vector registers.

The words for it are in engine/kernels/patches.py. Nothing is checked: the callers
guarantee the bounds.
"""

from typing import Any, NamedTuple

from numba.core import cgutils

from spikejoule.compiling.emit import (
    Index,
    Registers,
    broadcast,
    each_below,
    each_between,
    emitted,
    for_each_block_size,
    load_row,
    multiply_add,
    zeros,
)
from spikejoule.engine.kernels.patches import (
    Row,
    after_spike,
    emit_patches,
    row_of_three,
    subtracts,
)
from spikejoule.engine.kernels.structures import Array, NeuronConstants, Real, Rows
from spikejoule.engine.kernels.vector import MAX_BLOCK
from spikejoule.engine.learning.kernels.structures import Surrogate
from spikejoule.engine.learning.kernels.through_time import (
    SURROGATE_CODES,
    derivative_at,
)

PRODUCT_STEPS = 5
"""Time steps multiplied together, so that each weight is loaded once for all of them.
With MAX_BLOCK vectors, the sums and the weights fill 30 of 32 vector registers."""


class PlaceTaps(NamedTuple):
    """The taps of one place, with the transposed weights that lead back to it.

    Attributes:
        taps: the table of :class:`Patches`.
        first, end: the place's taps are ``first`` to ``end - 1``.
        weights: transposed, real; per tap [reach, channels of the sender].
        reach: elements of an output position that hold neurons.
    """

    taps: Array
    first: int
    end: int
    weights: Array
    reach: int


class SpikeGradients(NamedTuple):
    """dL/ds of a vector of neurons: ``factor * slopes[t] + costs`` in step t.

    Attributes:
        slopes: what the next population sends back, one row per step.
        factor: factor on the slopes, real.
        costs: what a spike adds to the loss by itself, the same in every step.
    """

    slopes: Rows
    factor: Real
    costs: Row


class Membrane(NamedTuple):
    """How a population passes gradients on."""

    neuron: NeuronConstants
    surrogate: Surrogate


class MembraneSums(NamedTuple):
    """Sums over steps that :func:`deltas_of_vector` adds to.

    Attributes:
        biases: receives dL/dv, which is the gradient of the biases.
        learned: row 0 receives ``dL/dv[t + 1] * u[t]``, row 1 receives
            ``dL/ds[t] * f(v[t] - threshold)``; both give the gradients of a learned
            leak and threshold (``deltas.learned_gradients``).
    """

    biases: Row
    learned: Rows


@emitted
def add_patch_gradients(builder, spikes, step, patches, gradient, deltas):
    """Add the deltas that a step's spikes reached to the gradients of their weights.

    For every tap of every spike, with ``deltas`` a :class:`Row`:
    ``gradient[weights] += factor * deltas[target]``.
    """
    factors = broadcast(builder, patches.factor)

    def add(target: Index, weight: Index) -> None:
        delta = deltas.values.load_vector(deltas.start + target)
        after = multiply_add(builder, factors, delta, gradient.load_vector(weight))
        gradient.store_vector(after, weight)

    emit_patches(builder, spikes, step, patches, add)


@emitted
def add_products(builder, following, place_taps, block, n_steps, into):
    """Add dL/ds of a block of channels at one place, from dL/dv of what it reaches.

    For each of the steps and each tap of the place:
    ``into[t] += following[t, target] @ weights[tap]``. `following` and `into` are
    ``Rows``; the rows of the transposed weights have the stride of `into`.
    """
    width = into.stride

    def emit_steps(size: int, first_step: Index, n_vectors: int) -> None:
        rows = [
            into.start + width * (first_step + k) + block.column for k in range(size)
        ]
        sums = [Registers(builder, into.values.vector, n_vectors) for _ in rows]
        for row, step_sums in zip(rows, sums, strict=True):
            step_sums.load(into.values, row)
        start = following.start + following.stride * first_step
        with each_between(builder, place_taps.first, place_taps.end) as tap:
            target, _, matrix = row_of_three(place_taps.taps, tap)
            with each_below(builder, place_taps.reach) as number:
                first_weight = matrix + number * width + block.column
                weights = load_row(place_taps.weights, first_weight, n_vectors)
                source = start + target + number
                for k, step_sums in enumerate(sums):
                    delta = following.values.load(source + following.stride * k)
                    step_sums.add_products(broadcast(builder, delta), weights)
        for row, step_sums in zip(rows, sums, strict=True):
            step_sums.store(into.values, row)

    def emit(n_vectors: int) -> None:
        n_tiles = n_steps // PRODUCT_STEPS
        with each_below(builder, n_tiles) as number:
            emit_steps(PRODUCT_STEPS, number * PRODUCT_STEPS, n_vectors)
        with each_between(builder, n_tiles * PRODUCT_STEPS, n_steps) as step:
            emit_steps(1, step, n_vectors)

    for_each_block_size(builder, block.vectors, range(1, MAX_BLOCK + 1), emit)


@emitted
def deltas_of_vector(builder, gradients, deltas, n_steps, membrane, sums):
    """Compute dL/dv of a vector of neurons in `n_steps` steps, and sums over them.

    For t from the last step to the first, with g = dL/ds from :class:`SpikeGradients`:
    ``d[t] = g[t] * f(v[t] - threshold) + k[t] * d[t + 1]``, where k is dv[t + 1]/dv[t].

    `deltas` are ``Rows`` whose row 0 is the first of the steps. They hold v and receive
    d in its place; the row behind the last step holds d of the step after it, or zeros.
    `membrane` is a :class:`Membrane`, and `sums` a :class:`MembraneSums`.
    """
    neuron = membrane.neuron
    decays = broadcast(builder, neuron.decay)
    thresholds = broadcast(builder, neuron.threshold)
    a = broadcast(builder, membrane.surrogate.a)
    b = broadcast(builder, membrane.surrogate.b)
    factors = broadcast(builder, gradients.factor)
    vector = deltas.values.vector
    cost = gradients.costs.values.load_vector(gradients.costs.start)
    # A reset to zero forgets the potential, so nothing flows back through it; a reset
    # by subtraction keeps the slope of the leak.
    kept_by_spike = builder.select(subtracts(builder, neuron), decays, zeros(vector))

    def row_at(rows: Any, number: Index | int) -> Index:
        place: Index = rows.start + rows.stride * number
        return place

    def emit(code: int) -> None:
        following = cgutils.alloca_once(builder, vector)
        builder.store(deltas.values.load_vector(row_at(deltas, n_steps)), following)
        targets = [
            (sums.biases.values, sums.biases.start),
            (sums.learned.values, row_at(sums.learned, 0)),
            (sums.learned.values, row_at(sums.learned, 1)),
        ]
        # The sums stay in registers over all steps.
        totals = [cgutils.alloca_once(builder, vector) for _ in targets]
        for total, (values, place) in zip(totals, targets, strict=True):
            builder.store(values.load_vector(place), total)
        with each_below(builder, n_steps) as number:
            step = n_steps - 1 - number
            place = row_at(deltas, step)
            slope = gradients.slopes.values.load_vector(row_at(gradients.slopes, step))
            gradient = multiply_add(builder, factors, slope, cost)
            value = deltas.values.load_vector(place)
            later = builder.load(following)
            x = builder.fsub(value, thresholds)
            by_spike = builder.fmul(gradient, derivative_at(builder, code, x, a, b))
            silent = builder.fcmp_ordered("<", value, thresholds)
            reset = after_spike(builder, neuron, value, thresholds)
            left = builder.select(silent, value, reset)
            kept = builder.select(silent, decays, kept_by_spike)
            delta = multiply_add(builder, kept, later, by_spike)
            deltas.values.store_vector(delta, place)
            builder.store(delta, following)
            terms = (delta, builder.fmul(later, left), by_spike)
            for total, term in zip(totals, terms, strict=True):
                builder.store(builder.fadd(builder.load(total), term), total)
        for total, (values, place) in zip(totals, targets, strict=True):
            values.store_vector(builder.load(total), place)

    # One copy of the loop per surrogate, each with its formula inlined.
    codes = list(SURROGATE_CODES.values())
    for_each_block_size(builder, membrane.surrogate.code, codes, emit)
