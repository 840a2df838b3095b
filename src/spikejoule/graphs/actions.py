"""What each node does in a step, with the counting.

A fully connected node adds a row of weights for each unit that gives something, a convolution the
taps that the unit reaches.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from spikejoule.graphs.batch import Action, Batch
from spikejoule.graphs.kernels import lists, neurons, synapses
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


def actions_of(batch: Batch) -> list[Action]:
    """All that is done in a step, in order; it makes the batch's output, too."""
    actions: list[Action] = []
    later: list[Action] = []
    for node in batch.plan.nodes:
        if isinstance(node, Waiting):
            now, at_the_end = _waiting(batch, node)
            later += at_the_end
        else:
            now = _MAKE[type(node)](batch, node)
        actions += now
        if node.name in batch.given and node.name in batch.arrays:
            actions.append(_listing(batch, node))
    return actions + later


def _listing(batch: Batch, node: Node) -> Action:
    values, given = batch.arrays[node.name], batch.given[node.name]
    return lambda step: lists.take_nonzero(values, given)


def _input(batch: Batch, node: Input) -> list[Action]:
    events, given = batch.events, batch.given[node.name]
    sources, offsets, n_steps = events.sources, events.offsets, events.n_steps
    first = batch.first * n_steps
    return [lambda step: lists.take_events(sources, offsets, first + step, n_steps, given)]


def _dense(batch: Batch, node: Dense) -> list[Action]:
    sums, weights = batch.arrays[node.name], batch.constants.weights[node.name]
    bias: Any = batch.constants.biases.get(node.name, 0)
    givens = batch.givens(node)

    def add(step: int) -> None:
        sums[:] = bias
        for given in givens:
            synapses.add_dense(given, weights, sums)

    return [*batch.tallies(node, "events", "macs"), add]


def _convolution(batch: Batch, node: Convolution) -> list[Action]:
    sums, weights = batch.arrays[node.name], batch.constants.weights[node.name]
    channels, n_places = node.out_shape[0], math.prod(node.out_shape[1:])
    planes = batch.zeros(n_places * channels)
    bias: Any = 0
    if node.bias is not None:
        bias = np.tile(batch.constants.biases[node.name], n_places)
    givens = batch.givens(node)
    slide = batch.constants.slides[node.name]

    def add(step: int) -> None:
        planes[:] = bias
        for given in givens:
            synapses.add_convolution(given, slide, weights, planes)
        synapses.take_planes(planes, channels, sums)

    return [*batch.tallies(node, "events", "macs"), add]


def _pooling(batch: Batch, node: Pooling) -> list[Action]:
    sums, slide = batch.arrays[node.name], batch.constants.slides[node.name]
    givens = batch.givens(node)
    share = batch.dtype.type(1 / (slide.kernel_y * slide.kernel_x))

    def add(step: int) -> None:
        sums.fill(0)
        for given in givens:
            synapses.add_pooling(given, slide, sums)

    actions: list[Action] = [*batch.tallies(node, "additions", "additions"), add]
    if node.average:
        total = batch.count("multiplications", node.name)

        def divide(step: int) -> None:
            np.add(total, np.count_nonzero(sums, axis=1), out=total)
            np.multiply(sums, share, out=sums)

        actions.append(divide)
    return actions


def _scaling(batch: Batch, node: Scaling) -> list[Action]:
    sums, scale = batch.arrays[node.name], batch.constants.vectors[node.name]
    givens, total = batch.givens(node), batch.count("multiplications", node.name)
    sources, spiking = batch.plan.sources[node.name], batch.plan.spiking
    values = [batch.given[source] for source in sources if source not in spiking]

    def add(step: int) -> None:
        sums.fill(0)
        for given in givens:
            lists.add_scaled(given, scale, sums)
        for given in values:
            np.add(total, given.counts, out=total)

    return [add]


def _neurons(batch: Batch, node: Neurons) -> list[Action]:
    arriving, actions = batch.arriving(node)
    dynamics = batch.constants.dynamics[node.name]
    membrane = dynamics.membrane
    # Neurons without spikes give their potential: 0 before the first step, as everything.
    potential = batch.zeros(node.n_out) if node.spikes else batch.arrays[node.name]
    current = batch.zeros(node.n_out) if node.has_current else arriving
    keep, gain = dynamics.keep_current, dynamics.gain_current
    subtracts, given = batch.conventions.reset == "subtract", batch.given.get(node.name)

    def follow(step: int) -> None:
        neurons.follow(keep, gain, arriving, current)

    def integrate(step: int) -> None:
        if step == 0:
            potential[:] = dynamics.initial
        if node.spikes:
            neurons.integrate_and_fire(membrane, subtracts, current, potential, given)
        else:
            neurons.integrate(membrane, current, potential)

    own: list[Action] = [follow, integrate] if node.has_current else [integrate]
    later = batch.conventions.current == "next_step"
    return [*actions, *(own[::-1] if later else own)]


def _step(batch: Batch, node: Step) -> list[Action]:
    arriving, actions = batch.arriving(node)
    limit, given = batch.constants.vectors[node.name], batch.given[node.name]
    return [*actions, lambda step: neurons.compare(limit, arriving, given)]


def _waiting(batch: Batch, node: Waiting) -> tuple[list[Action], list[Action]]:
    """A ring of what arrived; what needs nothing of the same step is stored at its end.

    What waits longer than the samples last is never given, and needs no place.
    """
    arriving, actions = batch.arriving(node)
    steps = np.minimum(batch.plan.delays[node.name], batch.events.n_steps)
    depth = int(steps.max()) + 1
    ring = np.zeros((depth, batch.size, node.n_out), batch.dtype)
    spikes = node.name in batch.plan.spiking
    values = batch.zeros(node.n_out) if spikes else batch.arrays[node.name]

    def store(step: int) -> None:
        ring[step % depth] = arriving

    def give(step: int) -> None:
        lists.take_delayed(ring, step % depth, steps, values)
        if spikes:
            lists.take_nonzero(values, batch.given[node.name])

    if steps.min() >= 1:
        return [give], [*actions, store]
    return [*actions, store, give], []


def _output(batch: Batch, node: Output) -> list[Action]:
    sources = batch.plan.sources[node.name]
    batch.output_spikes = len(sources) == 1 and sources[0] in batch.plan.spiking
    if batch.output_spikes:
        given = batch.given[sources[0]]
        batch.output = spikes = np.zeros((batch.size, node.n_out), np.int64)
        return [lambda step: lists.count_units(given, spikes)]
    arriving, actions = batch.arriving(node)
    batch.output = sums = np.zeros((batch.size, node.n_out), np.float64)
    return [*actions, lambda step: np.add(sums, arriving, out=sums)]


_MAKE: dict[type[Node], Callable[[Batch, Any], list[Action]]] = {
    Input: _input,
    Dense: _dense,
    Convolution: _convolution,
    Pooling: _pooling,
    Scaling: _scaling,
    Neurons: _neurons,
    Step: _step,
    Output: _output,
}
