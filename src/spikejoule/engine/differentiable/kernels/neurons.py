"""The inner loops of neurons: potentials and spikes, and their gradients, through time.

Forward, in each step, with input x (engine/differentiable/dynamics.py):

    i[t] = keep_current i[t-1] + x[t]
    w[t] = keep u[t-1] + gain i[t]
    v[t] = next_kept w[t] - next_lowered threshold    if s[t-1], else w[t]
    s[t] = 1 if v[t] >= fires_at, else 0
    u[t] = kept v[t] - lowered threshold              if s[t], else v[t]

The reset determines four numbers, each 0 or 1:

                     kept   lowered   next_kept   next_lowered
    none               1       0          1            0
    zero               0       0          1            0
    subtract           1       1          1            0
    subtract_next      1       0          1            1
    zero_next          1       0          0            0

`fires_at` is the smallest potential that fires: the threshold, or the next larger
number if a neuron fires only above its threshold.

Backward, with e = dL/dw[t+1], a = dL/du[t], and f the surrogate derivative,

    a         = keep e + dL/du[t] of the output
    dL/dv[t]  = f (dL/ds[t] + du/ds a) + du/dv a + dL/dv[t] of the output
    dL/dw[t]  = next_kept dL/dv[t]                    if s[t-1], else dL/dv[t]
    dL/di[t]  = gain dL/dw[t] + keep_current dL/di[t+1]

where du/ds counts only if gradients flow through the reset. No gradient flows through
the spike of a reset one step later (`subtract_next`, `zero_next`). compiling/emit.py
says how code is emitted; nothing is checked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    Lanes,
    broadcast,
    constant,
    each_below,
    emitted,
    for_each_block_size,
    multiply_add,
    zeros,
)
from spikejoule.engine.differentiable.kernels.structures import N_SUMS
from spikejoule.engine.kernels.structures import Real, Rows
from spikejoule.network.surrogates import SURROGATES


def _known(name: str) -> Callable[[Lanes, Any, Any], Any]:
    """Return a surrogate of the pipeline, with constants of 1, as a shape."""
    surrogate = SURROGATES[name]

    def emit(lanes: Lanes, y: Any, floor: Any) -> Any:
        one = lanes.constant(1.0)
        return surrogate.emit(lanes, y, one, one)

    return emit


def _boxcar(lanes: Lanes, y: Any, floor: Any) -> Any:
    one = lanes.constant(1.0)
    return lanes.where_below(one, lanes.absolute(y), floor, one)


def _exponential(lanes: Lanes, y: Any, floor: Any) -> Any:
    return lanes.exponential(lanes.negate(lanes.absolute(y)))


def _step(lanes: Lanes, y: Any, floor: Any) -> Any:
    return lanes.where_below(y, lanes.constant(0.0), floor, lanes.constant(1.0))


SHAPES: dict[str, Callable[[Lanes, Any, Any], Any]] = {
    "arctangent": _known("arctangent"),
    "boxcar": _boxcar,
    "constant": _known("constant"),
    "exponential": _exponential,
    "fast_sigmoid": _known("fast_sigmoid"),
    "gaussian": _known("gaussian"),
    "sides": _step,
    "sigmoid": _known("sigmoid"),
    "triangle": _known("triangle"),
}
"""The shapes of surrogate derivatives (dynamics.py); kernels know them by position."""


class _NeuronVector:
    """Emits the reset of a vector of neurons; it keeps their constants as vectors.

    Args:
        builder: receives the instructions.
        neurons: ``Neurons``.
        column: first neuron of the vector.
    """

    def __init__(self, builder, neurons, column):
        self._builder = builder
        settings = neurons.settings

        def constant_at(row):
            place = neurons.constants.start + neurons.constants.stride * row + column
            return neurons.constants.values.load_vector(place)

        self.keep, self.gain, self.threshold, self._fires_at = map(
            constant_at, range(4)
        )
        self.kept = broadcast(builder, settings.kept)
        self.lowered = broadcast(builder, settings.lowered)
        self.next_kept = broadcast(builder, settings.next_kept)
        self.next_lowered = broadcast(builder, settings.next_lowered)
        self.keep_current = broadcast(builder, settings.keep_current)

    def is_spiking(self, potential):
        """Return which neurons fire, one bit per neuron."""
        return self._builder.fcmp_ordered(">=", potential, self._fires_at)

    def reset_potential(self, potential):
        """Return u of a neuron that fired, from v."""
        builder = self._builder
        return builder.fsub(
            builder.fmul(self.kept, potential),
            builder.fmul(self.lowered, self.threshold),
        )

    def after_reset(self, potential, is_spiking):
        """Return u, from v."""
        reset = self.reset_potential(potential)
        return self._builder.select(is_spiking, reset, potential)

    def after_spike(self, potential):
        """Return v[t] after a spike in step t - 1, from w[t]."""
        builder = self._builder
        return builder.fsub(
            builder.fmul(self.next_kept, potential),
            builder.fmul(self.next_lowered, self.threshold),
        )


@emitted
def run_neurons(builder, neurons, block, potentials, n_steps, currents, spike_bits):
    """Run a block of neurons over some steps.

    Args:
        builder: receives the instructions.
        neurons: ``Neurons`` of the layer.
        block: which of them.
        potentials: ``Rows``. Row 0 holds v of the step before; the following rows hold
            the inputs x of the steps, and receive v.
        n_steps: number of steps.
        currents: ``Row`` of synaptic currents after the step before; is updated.
        spike_bits: receives one bit per neuron and step.
    """
    values = potentials.values
    stride = potentials.stride
    words = stride // LANES
    with each_below(builder, block.vectors) as number:
        column = block.column + number * LANES
        own = _NeuronVector(builder, neurons, column)
        before = cgutils.alloca_once(builder, values.vector)
        current = cgutils.alloca_once(builder, values.vector)
        builder.store(values.load_vector(potentials.start + column), before)
        current_place = currents.start + column
        builder.store(currents.values.load_vector(current_place), current)
        with each_below(builder, n_steps) as step:
            place = potentials.start + column + stride * (step + 1)
            remaining = builder.fmul(own.keep_current, builder.load(current))
            total = builder.fadd(remaining, values.load_vector(place))
            builder.store(total, current)
            last = builder.load(before)
            fired_before = own.is_spiking(last)
            # Not a fused multiply-add: the simulators round the product.
            value = builder.fadd(
                builder.fmul(own.keep, own.after_reset(last, fired_before)),
                builder.fmul(own.gain, total),
            )
            value = builder.select(fired_before, own.after_spike(value), value)
            values.store_vector(value, place)
            word = builder.bitcast(own.is_spiking(value), ir.IntType(LANES))
            spike_bits.store(word, step * words + column // LANES)
            builder.store(value, before)
        currents.values.store_vector(builder.load(current), current_place)


class Slopes(NamedTuple):
    """Gradients of the loss by the spikes and potentials of neighbouring neurons.

    Attributes:
        spikes: by the spikes, one row per step, but for `factor`.
        factor: factor on `spikes`.
        potentials: by recorded potentials, one row per step.
        after_reset: 1 if potentials after the reset are recorded, else 0.
    """

    spikes: Rows
    factor: Real
    potentials: Rows
    after_reset: int


class Through(NamedTuple):
    """What :func:`neuron_gradients` carries through time, and adds up.

    Attributes:
        later: row 0 has dL/dw of the step after, row 1 its dL/di; both are updated.
        sums: rows that receive the sums over the steps: of dL/di, dL/dkeep,
            gain * dL/dgain, and dL/dthreshold. passes.py divides the third by the gain.
    """

    later: Rows
    sums: Rows


@emitted
def neuron_gradients(
    builder, neurons, surrogate, vectors, potentials, slopes, deltas, n_steps, through
):
    """Compute dL/dx of neighbouring neurons in some steps, from the last to the first.

    Args:
        builder: receives the instructions.
        neurons: ``Neurons``.
        surrogate: number of the surrogate's shape.
        vectors: number of vectors of neurons.
        potentials: ``Rows`` of v; row 0 is the step before the first one.
        slopes: ``Slopes``.
        deltas: ``Rows`` that receive dL/dx.
        n_steps: number of steps.
        through: ``Through``.
    """
    emitter = _GradientEmitter(
        builder, neurons, potentials, slopes, deltas, n_steps, through
    )

    def emit(code: int) -> None:
        with each_below(builder, vectors) as number:
            emitter.emit_vector(number * LANES, tuple(SHAPES.values())[code])

    # One copy of the loops per surrogate, each with its formula inlined.
    for_each_block_size(builder, surrogate, range(len(SHAPES)), emit)


class _GradientEmitter:
    """Emits the loops of :func:`neuron_gradients`, with the same arguments."""

    def __init__(self, builder, neurons, potentials, slopes, deltas, n_steps, through):
        self._builder = builder
        self._neurons = neurons
        self._potentials = potentials
        self._slopes = slopes
        self._deltas = deltas
        self._n_steps = n_steps
        self._through = through

    def emit_vector(self, column, shape):
        """Emit all steps of a vector of neurons."""
        builder = self._builder
        potentials = self._potentials
        values = potentials.values
        carried = [(self._through.later, row) for row in range(2)]
        carried += [(self._through.sums, row) for row in range(N_SUMS)]
        places = [
            (rows.values, rows.start + rows.stride * row + column)
            for rows, row in carried
        ]
        cells = [cgutils.alloca_once(builder, values.vector) for _ in places]
        for cell, (array, place) in zip(cells, places, strict=True):
            builder.store(array.load_vector(place), cell)
        own = _NeuronVector(builder, self._neurons, column)
        potential = cgutils.alloca_once(builder, values.vector)
        last = potentials.start + potentials.stride * self._n_steps + column
        builder.store(values.load_vector(last), potential)
        with each_below(builder, self._n_steps) as number:
            step = self._n_steps - 1 - number
            before = values.load_vector(
                potentials.start + potentials.stride * step + column
            )
            value = builder.load(potential)
            builder.store(before, potential)
            self._emit_step(own, shape, step, column, value, before, cells)
        for cell, (array, place) in zip(cells, places, strict=True):
            array.store_vector(builder.load(cell), place)

    def _emit_step(self, own, shape, step, column, value, before, cells):
        builder = self._builder
        later, later_current, *sums = cells

        def row_of(rows):
            return rows.values.load_vector(rows.start + rows.stride * step + column)

        fires = own.is_spiking(value)
        fired_before = own.is_spiking(before)
        by_potential = row_of(self._slopes.potentials)
        nothing = zeros(value.type)
        records_u = builder.icmp_signed("!=", self._slopes.after_reset, constant(0))
        by_u = builder.select(records_u, by_potential, nothing)
        # dL/du
        ahead = builder.load(later)
        by_u = multiply_add(builder, own.keep, ahead, by_u)
        by_spike = self._by_spike(own, row_of(self._slopes.spikes), value, by_u)
        by_spike = builder.fmul(self._derivative(own, shape, value), by_spike)
        # dL/dv, with the output's share, and then dL/dw.
        delta = builder.select(fires, builder.fmul(own.kept, by_u), by_u)
        delta = builder.fadd(by_spike, delta)
        recorded = builder.select(records_u, nothing, by_potential)
        delta = builder.fadd(delta, recorded)
        gated = builder.fmul(own.next_kept, delta)
        delta = builder.select(fired_before, gated, delta)
        builder.store(delta, later)
        current = builder.fmul(own.keep_current, builder.load(later_current))
        current = multiply_add(builder, own.gain, delta, current)
        builder.store(current, later_current)
        place = self._deltas.start + self._deltas.stride * step + column
        self._deltas.values.store_vector(current, place)
        self._add(
            sums,
            (
                current,
                *self._by_constants(own, delta, value, before),
                self._by_threshold(own, fires, by_spike, by_u, ahead),
            ),
        )

    def _add(self, sums, terms):
        builder = self._builder
        for cell, term in zip(sums, terms, strict=True):
            builder.store(builder.fadd(builder.load(cell), term), cell)

    def _derivative(self, own, shape, value):
        """Emit the surrogate derivative."""
        builder = self._builder
        settings = self._neurons.settings
        lanes = Lanes(builder, value.type)
        slope = broadcast(builder, settings.slope)
        y = builder.fmul(slope, builder.fsub(value, own.threshold))
        height = broadcast(builder, settings.height)
        floor = broadcast(builder, settings.floor)
        return builder.fmul(height, shape(lanes, y, floor))

    def _by_spike(self, own, slope, value, by_u):
        """Emit dL/ds: by what follows, and through the reset."""
        builder = self._builder
        through = broadcast(builder, self._neurons.settings.through_reset)
        change = builder.fmul(through, builder.fsub(own.reset_potential(value), value))
        factor = broadcast(builder, self._slopes.factor)
        return multiply_add(builder, change, by_u, builder.fmul(factor, slope))

    def _by_constants(self, own, delta, value, before):
        """Emit the terms of dL/dkeep, and of gain * dL/dgain."""
        builder = self._builder
        fired_before = own.is_spiking(before)
        u_before = own.after_reset(before, fired_before)
        # gain * i[t] is not stored: it is w[t] - keep u[t-1], and w[t] follows from
        # v[t]. Only `zero_next` loses w[t] after a spike; dL/dw[t] is then 0.
        lowered = builder.fmul(own.next_lowered, own.threshold)
        unreset = builder.select(fired_before, builder.fadd(value, lowered), value)
        received = builder.fsub(unreset, builder.fmul(own.keep, u_before))
        return builder.fmul(delta, u_before), builder.fmul(delta, received)

    def _by_threshold(self, own, fires, by_spike, by_u, ahead):
        """Emit the gradient by the threshold: in the spike, and where it is taken."""
        builder = self._builder
        lowered = builder.fmul(own.lowered, by_u)
        lowered = multiply_add(builder, own.next_lowered, ahead, lowered)
        lowered = builder.select(fires, lowered, zeros(by_u.type))
        return builder.fneg(builder.fadd(by_spike, lowered))
