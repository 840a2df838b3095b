"""The inner loops of neurons: potentials and spikes, and their gradients, through time.

Forward, in each step, with input x (engine/differentiable/dynamics.py):

    i[t] = keep_current i[t-1] + x[t]
    w[t] = keep u[t-1] + gain i[t]
    v[t] = w[t], but after a spike    w[t] - threshold    (`subtract_next`)
                                      0                   (`zero_next`)
    s[t] = 1 if v[t] >= fires_at, else 0
    u[t] = v[t], but with a spike     v[t] - threshold    (`subtract`)
                                      0                   (`zero`)

`fires_at` is the smallest potential that fires: the threshold, or the next larger
number if a neuron fires only above its threshold.

Backward, with e = dL/dw[t+1], a = dL/du[t], and f the surrogate derivative,

    a         = keep e + dL/du[t] of the output
    dL/dv[t]  = f (dL/ds[t] + du/ds a) + du/dv a + dL/dv[t] of the output
    dL/dw[t]  = dL/dv[t], but 0 after a spike             (`zero_next`)
    dL/di[t]  = gain dL/dw[t] + keep_current dL/di[t+1]

where du/ds counts only if gradients flow through the reset. No gradient flows through
the spike of a reset one step later (`subtract_next`, `zero_next`). compiling/emit.py
says how code is emitted; nothing is checked.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, get_args

from llvmlite import ir
from numba.core import cgutils

from spikejoule.compiling.emit import (
    LANES,
    Index,
    Lanes,
    Registers,
    broadcast,
    constant,
    each_below,
    emitted,
    for_each_block_size,
    multiply_add,
    prefetch,
    zeros,
)
from spikejoule.engine.differentiable.dynamics import Reset
from spikejoule.engine.differentiable.kernels.structures import N_SUMS, Neurons
from spikejoule.engine.kernels.patches import Row
from spikejoule.engine.kernels.structures import Array, Real, Rows
from spikejoule.engine.kernels.vector import MAX_BLOCK
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

RESETS: tuple[Reset, ...] = get_args(Reset)
"""Kernels know resets by position. Each has its own copy of the loops: as numbers that
select, resets would take a third of the time."""

ZERO, SUBTRACT = RESETS.index("zero"), RESETS.index("subtract")

PASSING = ("zero", "subtract")
"""Resets that gradients may flow through."""


class _NeuronVector:
    """Emits the reset of a vector of neurons; it keeps their constants as vectors.

    Args:
        builder: receives the instructions.
        neurons: ``Neurons``.
        column: first neuron of the vector.
        reset: name of the reset.
    """

    def __init__(self, builder, neurons, column, reset):
        self._builder = builder
        self._reset = reset

        def constant_at(row):
            place = neurons.constants.start + neurons.constants.stride * row + column
            return neurons.constants.values.load_vector(place)

        self.keep, self.gain, self.threshold, self._fires_at = map(
            constant_at, range(4)
        )
        self.keep_current = broadcast(builder, neurons.settings.keep_current)

    @property
    def is_next(self):
        """Whether a spike changes the potential one step later."""
        return self._reset in ("subtract_next", "zero_next")

    def is_spiking(self, potential):
        """Return which neurons fire, one bit per neuron."""
        return self._builder.fcmp_ordered(">=", potential, self._fires_at)

    def reset_potential(self, potential):
        """Return u of a neuron that fired, from v."""
        if self._reset == "zero":
            return zeros(potential.type)
        if self._reset == "subtract":
            return self._builder.fsub(potential, self.threshold)
        return potential

    def after_reset(self, potential):
        """Return u, from v."""
        reset = self.reset_potential(potential)
        if reset is potential:
            return potential
        return self._builder.select(self.is_spiking(potential), reset, potential)

    def after_spike(self, potential, before):
        """Return v[t] from w[t] and v[t-1]."""
        if not self.is_next:
            return potential
        lowered = zeros(potential.type)
        if self._reset == "subtract_next":
            lowered = self._builder.fsub(potential, self.threshold)
        return self._builder.select(self.is_spiking(before), lowered, potential)


class NeuronSteps(NamedTuple):
    """What :func:`run_neurons` works on.

    Attributes:
        inputs: x of the steps, one row each.
        potentials: row 0 holds v of the step before; the following rows receive v.
        n_steps: number of steps.
        currents: synaptic currents after the step before; is updated.
        fired: receives one bit per neuron and step.
    """

    inputs: Rows
    potentials: Rows
    n_steps: int
    currents: Row
    fired: Array


@emitted
def run_neurons(builder, neurons, block, steps):
    """Run a block of neurons over some steps.

    Args:
        builder: receives the instructions.
        neurons: ``Neurons`` of the layer.
        block: which of them, at most MAX_BLOCK vectors.
        steps: ``NeuronSteps``.
    """

    def emit_reset(code: int) -> None:
        # The vectors of a block take turns: each waits for its own step before.
        for_each_block_size(
            builder,
            block.vectors,
            range(1, MAX_BLOCK + 1),
            lambda size: _emit_steps(builder, neurons, block.column, steps, size, code),
        )

    for_each_block_size(builder, neurons.reset, range(len(RESETS)), emit_reset)


def _emit_steps(builder, neurons, column, steps, size, code):
    """Emit the steps of `size` vectors of neurons."""
    potentials = steps.potentials
    values = potentials.values
    words = potentials.stride // LANES
    # u of the step before, which is v if a spike changes the potential a step later.
    left = Registers(builder, values.vector, size)
    currents = Registers(builder, values.vector, size)
    currents.load(steps.currents.values, steps.currents.start + column)
    own = []
    for k, cell in enumerate(left.cells):
        at = column + LANES * k
        own.append(_NeuronVector(builder, neurons, at, RESETS[code]))
        before = values.load_vector(potentials.start + at)
        builder.store(own[k].after_reset(before), cell)
    with each_below(builder, steps.n_steps) as step:
        row = potentials.start + column + potentials.stride * (step + 1)
        input_row = steps.inputs.start + column + steps.inputs.stride * step
        for k, (neuron, cell, current) in enumerate(
            zip(own, left.cells, currents.cells, strict=True)
        ):
            place = row + LANES * k
            received = steps.inputs.values.load_vector(input_row + LANES * k)
            remaining = builder.fmul(neuron.keep_current, builder.load(current))
            total = builder.fadd(remaining, received)
            builder.store(total, current)
            before = builder.load(cell)
            # Not a fused multiply-add: the simulators round the product.
            value = builder.fadd(
                builder.fmul(neuron.keep, before), builder.fmul(neuron.gain, total)
            )
            value = neuron.after_spike(value, before)
            values.store_vector(value, place)
            word = builder.bitcast(neuron.is_spiking(value), ir.IntType(LANES))
            steps.fired.store(word, step * words + column // LANES + k)
            builder.store(neuron.after_reset(value), cell)
    currents.store(steps.currents.values, steps.currents.start + column)


class Slopes(NamedTuple):
    """Gradients of the loss by the spikes and potentials of a layer.

    Attributes:
        spikes: by the spikes, one row per step, but for `factor`.
        factor: factor on `spikes`.
        potentials: by recorded potentials, one row per step; zeros without.
        has_potentials: whether potentials are recorded.
        after_reset: 1 if potentials after the reset are recorded, else 0.
    """

    spikes: Rows
    factor: Real
    potentials: Rows
    has_potentials: int
    after_reset: int


class Through(NamedTuple):
    """What :func:`neuron_gradients` carries through time, and adds up.

    Attributes:
        later: row 0 has dL/dw of the step after, row 1 its dL/di; both are updated.
        sums: rows that receive the sums over the steps: of dL/di, dL/dkeep,
            gain * dL/dgain, and dL/dthreshold. passes.py divides the third by the gain.
        has_constants: whether sums but the first are needed.
    """

    later: Rows
    sums: Rows
    has_constants: int


class LayerBackward(NamedTuple):
    """What the neurons of a layer need to go back through one sample.

    Attributes:
        neurons: all of them.
        potentials: v, ``Rows`` of T + 1 steps; row 0 is before the first.
        slopes: gradients by spikes and recorded potentials.
        deltas: ``Rows`` of T steps that receive dL/dx.
        through: what is carried through time, and the sums.
    """

    neurons: Neurons
    potentials: Rows
    slopes: Slopes
    deltas: Rows
    through: Through


class Span(NamedTuple):
    """Some vectors of neurons of a layer, and some steps.

    Attributes:
        element: the first neuron in the layer.
        column: the first neuron in the slopes by spikes.
        vectors: number of vectors of neurons, at most MAX_BLOCK.
        to_element: distance to the next vector in the layer.
        to_column: the same in the slopes by spikes.
        step: the first step.
        n_steps: number of steps.
    """

    element: int
    column: int
    vectors: int
    to_element: int
    to_column: int
    step: int
    n_steps: int


@emitted
def neuron_gradients(builder, layer, span):
    """Compute dL/dx of some neurons and steps, from the last step to the first.

    Args:
        builder: receives the instructions.
        layer: ``LayerBackward``.
        span: ``Span``.
    """

    def emit_derivatives(code: int) -> None:
        _emit_derivatives(builder, layer, span, tuple(SHAPES.values())[code])

    # One copy of each loop per surrogate, and then one per reset.
    neurons = layer.neurons
    codes = range(len(SHAPES))
    for_each_block_size(builder, neurons.surrogate, codes, emit_derivatives)
    is_general = _is_general(builder, layer)

    def emit_reset(code: int) -> None:
        reset = RESETS[code]
        passed = (0, 1) if reset in PASSING else (0,)

        def emit_passing(passes: int) -> None:
            def emit_kind(kind: int) -> None:
                rule = _Rule(reset, bool(passes), bool(kind))
                _GradientEmitter(builder, layer, span, rule).emit()

            for_each_block_size(builder, is_general, (0, 1), emit_kind)

        for_each_block_size(builder, neurons.through_reset, passed, emit_passing)

    for_each_block_size(builder, neurons.reset, range(len(RESETS)), emit_reset)


def _is_general(builder, layer):
    """Return 1 if a layer has what most have not, see :class:`_Rule`, else 0."""
    keep_current = layer.neurons.settings.keep_current
    nothing = ir.Constant(keep_current.type, 0.0)
    has_current = builder.fcmp_unordered("!=", keep_current, nothing)
    flags = builder.or_(layer.slopes.has_potentials, layer.through.has_constants)
    return builder.or_(builder.zext(has_current, flags.type), flags)


def _emit_derivatives(builder, layer, span, shape):
    """Write the surrogate derivatives of a span where its dL/dx belong."""
    potentials = layer.potentials
    values = potentials.values
    deltas = layer.deltas
    settings = layer.neurons.settings
    lanes = Lanes(builder, values.vector)
    height, slope, floor = (
        broadcast(builder, number)
        for number in (settings.height, settings.slope, settings.floor)
    )
    # The loops jump through the potentials, and processors do not see where. The span
    # that comes next is fetched now.
    to_next = span.to_element * span.vectors
    with each_below(builder, span.vectors) as number:
        element = span.element + span.to_element * number
        own = _NeuronVector(builder, layer.neurons, element, "none")
        with each_below(builder, span.n_steps) as row:
            step = span.step + row
            place = potentials.start + potentials.stride * (step + 1) + element
            prefetch(builder, values, place + to_next)
            distance = builder.fsub(values.load_vector(place), own.threshold)
            value = shape(lanes, builder.fmul(slope, distance), floor)
            place = deltas.start + deltas.stride * step + element
            deltas.values.store_vector(builder.fmul(height, value), place)


class _Rule(NamedTuple):
    """What is known of a layer when the loops through time are emitted.

    Attributes:
        reset: of its neurons.
        passes: whether gradients flow through the reset.
        is_general: whether it has synaptic currents, learned constants or recorded
            potentials.
    """

    reset: Reset
    passes: bool
    is_general: bool


class _Cells(NamedTuple):
    """What is carried through the steps of one vector of neurons, in registers.

    Attributes:
        neuron: the vector.
        element: its place in the layer.
        column: its place in the slopes by spikes.
        potential: v of the step.
        later: dL/dw of the step after.
        later_current: dL/di of the step after.
        sums: as in ``Through``; those that are needed.
    """

    neuron: _NeuronVector
    element: Any
    column: Any
    potential: Any
    later: Any
    later_current: Any
    sums: list[Any]


class _GradientEmitter:
    """Emits the loops of :func:`neuron_gradients` through time, for one rule."""

    def __init__(self, builder, layer, span, rule):
        self._builder = builder
        self._layer = layer
        self._span = span
        self._rule = rule

    def emit(self):
        """Emit the loops of all vectors.

        The vectors of a block take turns: each waits for its own step after.
        """
        span = self._span
        if self._rule.is_general:
            with each_below(self._builder, span.vectors) as number:
                self._emit_vectors(number, 1)
            return
        first = Index(self._builder, constant(0))
        for_each_block_size(
            self._builder,
            span.vectors,
            range(1, MAX_BLOCK + 1),
            lambda size: self._emit_vectors(first, size),
        )

    def _emit_vectors(self, first, size):
        """Emit the steps of `size` vectors of the span, from number `first` on."""
        builder = self._builder
        span = self._span
        cells = [self._cells_at(first + k) for k in range(size)]
        with each_below(builder, span.n_steps) as number:
            step = span.step + span.n_steps - 1 - number
            for vector in cells:
                self._emit_step(vector, step)
        for vector in cells:
            for (values, place), cell in self._carried(vector):
                values.store_vector(builder.load(cell), place)

    def _cells_at(self, number):
        """Return the cells of one vector, filled for the last step."""
        layer = self._layer
        span = self._span
        vector = layer.potentials.values.vector
        element = span.element + span.to_element * number
        n_sums = N_SUMS if self._rule.is_general else 1
        later, later_current, potential, *sums = (
            cgutils.alloca_once(self._builder, vector) for _ in range(3 + n_sums)
        )
        cells = _Cells(
            _NeuronVector(self._builder, layer.neurons, element, self._rule.reset),
            element,
            span.column + span.to_column * number,
            potential,
            later,
            later_current,
            sums,
        )
        for (values, place), cell in self._carried(cells):
            self._builder.store(values.load_vector(place), cell)
        last = self._load(layer.potentials, span.step + span.n_steps, element)
        self._builder.store(last, potential)
        return cells

    def _carried(self, cells):
        """Yield the place in memory of each cell that outlives the loop."""
        through = self._layer.through
        carried = [(through.later, 0, cells.later)]
        if self._rule.is_general:
            carried.append((through.later, 1, cells.later_current))
        carried += [(through.sums, row, cell) for row, cell in enumerate(cells.sums)]
        for rows, row, cell in carried:
            yield (rows.values, rows.start + rows.stride * row + cells.element), cell

    def _load(self, rows, row, column):
        """Load a vector of a row."""
        return rows.values.load_vector(rows.start + rows.stride * row + column)

    def _emit_step(self, cells, step):
        """Emit one step of one vector."""
        builder = self._builder
        layer = self._layer
        rule = self._rule
        own = cells.neuron
        value = builder.load(cells.potential)
        before = self._load(layer.potentials, step, cells.element)
        builder.store(before, cells.potential)
        ahead = builder.load(cells.later)
        slope = self._load(layer.slopes.spikes, step, cells.column)
        slope = builder.fmul(broadcast(builder, layer.slopes.factor), slope)
        derivative = self._load(layer.deltas, step, cells.element)
        # dL/du, then f dL/ds, dL/dv and dL/dw.
        by_u = builder.fmul(own.keep, ahead)
        if rule.is_general:
            recorded_u, recorded_v = self._by_output(step, cells.element)
            by_u = builder.fadd(by_u, recorded_u)
        if rule.passes:
            change = builder.fsub(own.reset_potential(value), value)
            slope = multiply_add(builder, change, by_u, slope)
        by_spike = builder.fmul(derivative, slope)
        delta = by_u
        if rule.reset == "zero":
            delta = builder.select(own.is_spiking(value), zeros(value.type), by_u)
        delta = builder.fadd(by_spike, delta)
        if rule.is_general:
            delta = builder.fadd(delta, recorded_v)
        if rule.reset == "zero_next":
            delta = builder.select(own.is_spiking(before), zeros(value.type), delta)
        builder.store(delta, cells.later)
        by_input = builder.fmul(own.gain, delta)
        if rule.is_general:
            kept = builder.fmul(own.keep_current, builder.load(cells.later_current))
            by_input = builder.fadd(by_input, kept)
            builder.store(by_input, cells.later_current)
        place = layer.deltas.start + layer.deltas.stride * step + cells.element
        layer.deltas.values.store_vector(by_input, place)
        terms = [by_input]
        if rule.is_general:
            terms += self._by_constants(own, delta, value, before)
            terms.append(self._by_threshold(own, value, by_spike, by_u, ahead))
        for cell, term in zip(cells.sums, terms, strict=True):
            builder.store(builder.fadd(builder.load(cell), term), cell)

    def _by_output(self, step, element):
        """Emit dL/du and dL/dv of recorded potentials: one of them is 0."""
        builder = self._builder
        slopes = self._layer.slopes
        nothing = zeros(slopes.potentials.values.vector)
        by_potential = self._load(slopes.potentials, step, element)
        records_u = builder.icmp_signed("!=", slopes.after_reset, constant(0))
        return (
            builder.select(records_u, by_potential, nothing),
            builder.select(records_u, nothing, by_potential),
        )

    def _by_constants(self, own, delta, value, before):
        """Emit the terms of dL/dkeep, and of gain * dL/dgain."""
        builder = self._builder
        u_before = own.after_reset(before)
        # gain * i[t] is not stored: it is w[t] - keep u[t-1], and w[t] follows from
        # v[t]. Only `zero_next` loses w[t] after a spike; dL/dw[t] is then 0.
        unreset = value
        if self._rule.reset == "subtract_next":
            raised = builder.fadd(value, own.threshold)
            unreset = builder.select(own.is_spiking(before), raised, value)
        received = builder.fsub(unreset, builder.fmul(own.keep, u_before))
        return builder.fmul(delta, u_before), builder.fmul(delta, received)

    def _by_threshold(self, own, value, by_spike, by_u, ahead):
        """Emit the gradient by the threshold: in the spike, and where it is taken."""
        builder = self._builder
        taken = {"subtract": by_u, "subtract_next": ahead}.get(self._rule.reset)
        if taken is None:
            return builder.fneg(by_spike)
        lowered = builder.select(own.is_spiking(value), taken, zeros(value.type))
        return builder.fneg(builder.fadd(by_spike, lowered))
