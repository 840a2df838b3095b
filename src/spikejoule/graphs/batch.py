"""A batch of samples on its way through a planned network: step by step, node after node.

What a node gives in a step is a list of the units that give something, and how much (`Given`); what
arrives at one is an array. A fully connected node adds a row of weights for each unit in the list,
a convolution the taps that the unit reaches. An edge that waits needs no memory of its own: its
target takes its step before its source does, and finds there what the step before has left.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.graphs.constants import Constants
from spikejoule.graphs.conventions import Conventions
from spikejoule.graphs.counts import KINDS, Counts
from spikejoule.graphs.kernels import lists, neurons, synapses
from spikejoule.graphs.kernels.structures import Given
from spikejoule.graphs.network import (
    Convolution,
    Dense,
    Input,
    Neurons,
    Node,
    Output,
    Pooling,
    Scaling,
    Step,
    Waiting,
)
from spikejoule.graphs.plan import NEEDS_UNITS, Plan
from spikejoule.spikes.events import EventList

Array = NDArray[Any]
Action = Callable[[int], object]


def _tally(given: Given, fan_out: Counts, total: Counts, step: int) -> None:
    lists.tally(given, fan_out, total)


class Batch:
    """Some samples on their way through a plan; all steps are taken by `run`.

    Attributes:
        counts: by kind and node, int64 [B].
        output: see `GraphRun`.
        output_spikes: see `GraphRun`.
        marks: spikes of nodes that are recorded, bool [B, T, n].
    """

    def __init__(
        self,
        plan: Plan,
        conventions: Conventions,
        constants: Constants,
        events: EventList,
        samples: slice,
        dtype: np.dtype[Any],
        record: tuple[str, ...],
    ) -> None:
        self._plan, self._constants, self._conventions = plan, constants, conventions
        self._events, self._dtype = events, dtype
        self._first = samples.start
        self._size = min(samples.stop, events.n_samples) - samples.start
        self.counts: dict[str, dict[str, Counts]] = {kind: {} for kind in KINDS}
        self._arrays: dict[str, Array] = {}
        self._given: dict[str, Given] = {}
        for node in plan.nodes:
            self._make_room(node)
        self._later: list[Action] = []
        self._alike: list[tuple[Counts, Counts, int]] = []
        actions = [action for node in plan.nodes for action in self._actions(node)]
        for name in record:
            self._given_of(name)
        self.marks = {
            name: np.zeros((self._size, events.n_steps, plan.nodes_by_name[name].n_out), np.bool_)
            for name in record
        }
        marking = [self._marking(name) for name in record]
        self._steps = (*actions, *marking, *self._later)

    def run(self) -> None:
        """Take all steps."""
        for step in range(self._events.n_steps):
            for action in self._steps:
                action(step)
        for total, given, fan_out in self._alike:
            total += fan_out * given

    def _zeros(self, n_units: int) -> Array:
        return np.zeros((self._size, n_units), self._dtype)

    def _make_room(self, node: Node) -> None:
        """The array or the list that others find a node's step in."""
        spikes = node.name in self._plan.spiking
        if not spikes and not isinstance(node, Output):
            self._arrays[node.name] = self._zeros(node.n_out)
        consumers = self._plan.consumers_of(node.name)
        if spikes or any(isinstance(one, NEEDS_UNITS) for one in consumers):
            self._given[node.name] = Given(
                np.zeros((self._size, node.n_out), np.int32),
                np.ones((self._size, node.n_out), self._dtype),
                np.zeros(self._size, np.int64),
                np.zeros(self._size, np.int64),
            )
            self.counts["spikes" if spikes else "values"][node.name] = self._given[node.name].totals

    def _given_of(self, name: str) -> Given:
        return self._given[name]

    def _count(self, kind: str, name: str) -> Counts:
        return self.counts[kind].setdefault(name, np.zeros(self._size, np.int64))

    def _marking(self, name: str) -> Action:
        given, marks = self._given_of(name), self.marks[name]
        return lambda step: lists.mark(given, step, marks)

    def _arriving(self, node: Node) -> tuple[Array, list[Action]]:
        """The array in which what a node's sources give is added up, and how."""
        sources = self._plan.sources[node.name]
        if len(sources) == 1 and sources[0] in self._arrays:
            return self._arrays[sources[0]], []
        sums = self._zeros(node.n_in)

        def gather(step: int) -> None:
            sums.fill(0)
            for source in sources:
                if source in self._arrays:
                    np.add(sums, self._arrays[source], out=sums)
                else:
                    lists.add_given(self._given[source], sums)

        return sums, [gather]

    def _actions(self, node: Node) -> list[Action]:
        """What a node does in a step, in order, with the counting."""
        make: dict[type[Node], Callable[[Any], list[Action]]] = {
            Input: self._input,
            Dense: self._dense,
            Convolution: self._convolution,
            Pooling: self._pooling,
            Scaling: self._scaling,
            Neurons: self._neurons,
            Step: self._step,
            Waiting: self._waiting,
            Output: self._output,
        }
        actions = make[type(node)](node)
        given = self._given.get(node.name)
        if given is not None and node.name not in self._plan.spiking:
            values = self._arrays[node.name]
            actions.append(lambda step: lists.take_nonzero(values, given))
        return actions

    def _input(self, node: Input) -> list[Action]:
        sources, offsets, n_steps = self._events.sources, self._events.offsets, self._events.n_steps
        given, first = self._given_of(node.name), self._first * n_steps
        return [lambda step: lists.take_events(sources, offsets, first + step, n_steps, given)]

    def _tallies(self, node: Node, kinds: tuple[str, str]) -> list[Action]:
        """Counting what arrives, each edge as `kinds` says of spikes and of other values.

        Where all units have the same fan-out, what was given is counted at the end.
        """
        actions: list[Action] = []
        fan_out = self._plan.fan_outs[node.name]
        for source in self._plan.sources[node.name]:
            kind = kinds[0] if source in self._plan.spiking else kinds[1]
            total, given = self._count(kind, node.name), self._given_of(source)
            if np.ptp(fan_out) or (source, node.name) in self._plan.waiting:
                actions.append(partial(_tally, given, fan_out, total))
            else:
                self._alike.append((total, given.totals, int(fan_out[0])))
        return actions

    def _dense(self, node: Dense) -> list[Action]:
        sums, weights = self._arrays[node.name], self._constants.weights[node.name]
        bias: Any = self._constants.biases.get(node.name, 0)
        givens = [self._given_of(source) for source in self._plan.sources[node.name]]

        def add(step: int) -> None:
            sums[:] = bias
            for given in givens:
                synapses.add_dense(given, weights, sums)

        return [*self._tallies(node, ("events", "macs")), add]

    def _convolution(self, node: Convolution) -> list[Action]:
        sums, weights = self._arrays[node.name], self._constants.weights[node.name]
        channels, rows, columns = node.out_shape
        planes = self._zeros(rows * columns * channels)
        bias: Any = 0
        if node.bias is not None:
            bias = np.tile(self._constants.biases[node.name], rows * columns)
        givens = [self._given_of(source) for source in self._plan.sources[node.name]]
        slide = self._constants.slides[node.name]

        def add(step: int) -> None:
            planes[:] = bias
            for given in givens:
                synapses.add_convolution(given, slide, weights, planes)
            synapses.take_planes(planes, channels, sums)

        return [*self._tallies(node, ("events", "macs")), add]

    def _pooling(self, node: Pooling) -> list[Action]:
        sums, slide = self._arrays[node.name], self._constants.slides[node.name]
        givens = [self._given_of(source) for source in self._plan.sources[node.name]]
        share = self._dtype.type(1 / (slide.kernel_y * slide.kernel_x))

        def add(step: int) -> None:
            sums.fill(0)
            for given in givens:
                synapses.add_pooling(given, slide, sums)

        actions: list[Action] = [*self._tallies(node, ("additions", "additions")), add]
        if node.average:
            total = self._count("multiplications", node.name)

            def divide(step: int) -> None:
                np.add(total, np.count_nonzero(sums, axis=1), out=total)
                np.multiply(sums, share, out=sums)

            actions.append(divide)
        return actions

    def _scaling(self, node: Scaling) -> list[Action]:
        sums, scale = self._arrays[node.name], self._constants.vectors[node.name]
        sources = self._plan.sources[node.name]
        givens = [self._given_of(source) for source in sources]
        values = [self._given_of(one) for one in sources if one not in self._plan.spiking]
        total = self._count("multiplications", node.name)

        def add(step: int) -> None:
            sums.fill(0)
            for given in givens:
                lists.add_scaled(given, scale, sums)
            for given in values:
                np.add(total, given.counts, out=total)

        return [add]

    def _neurons(self, node: Neurons) -> list[Action]:
        arriving, actions = self._arriving(node)
        dynamics = self._constants.dynamics[node.name]
        membrane = dynamics.membrane
        # Neurons without spikes give their potential.
        potential = self._zeros(node.n_out) if node.spikes else self._arrays[node.name]
        potential[:] = dynamics.initial
        current = self._zeros(node.n_out) if node.has_current else arriving
        keep, gain = dynamics.keep_current, dynamics.gain_current
        subtracts, given = self._conventions.reset == "subtract", self._given.get(node.name)

        def follow(step: int) -> None:
            neurons.follow(keep, gain, arriving, current)

        def integrate(step: int) -> None:
            if node.spikes:
                neurons.integrate_and_fire(membrane, subtracts, current, potential, given)
            else:
                neurons.integrate(membrane, current, potential)

        own: list[Action] = [follow, integrate] if node.has_current else [integrate]
        later = self._conventions.current == "next_step"
        return [*actions, *(own[::-1] if later else own)]

    def _step(self, node: Step) -> list[Action]:
        arriving, actions = self._arriving(node)
        limit, given = self._constants.vectors[node.name], self._given_of(node.name)
        return [*actions, lambda step: neurons.compare(limit, arriving, given)]

    def _waiting(self, node: Waiting) -> list[Action]:
        """A ring of what arrived; what needs nothing of the same step is stored at its end."""
        arriving, actions = self._arriving(node)
        steps = self._plan.delays[node.name]
        depth = int(steps.max()) + 1
        ring = np.zeros((depth, self._size, node.n_out), self._dtype)
        spikes = node.name in self._plan.spiking
        values = self._zeros(node.n_out) if spikes else self._arrays[node.name]

        def store(step: int) -> None:
            ring[step % depth] = arriving

        def give(step: int) -> None:
            lists.take_delayed(ring, step % depth, steps, values)
            if spikes:
                lists.take_nonzero(values, self._given_of(node.name))

        if steps.min() >= 1:
            self._later += [*actions, store]
            return [give]
        return [*actions, store, give]

    def _output(self, node: Output) -> list[Action]:
        sources = self._plan.sources[node.name]
        self.output_spikes = len(sources) == 1 and sources[0] in self._plan.spiking
        if self.output_spikes:
            given = self._given_of(sources[0])
            spikes = np.zeros((self._size, node.n_out), np.int64)
            self.output: Array = spikes
            return [lambda step: lists.count_units(given, spikes)]
        arriving, actions = self._arriving(node)
        self.output = np.zeros((self._size, node.n_out), np.float64)
        return [*actions, lambda step: np.add(self.output, arriving, out=self.output)]
