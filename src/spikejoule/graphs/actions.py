"""What each node does in a step, with the counting.

Fully connected nodes and convolutions multiply what gives something to any of the sixteen samples.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from spikejoule.graphs.batch import Action, Array, Batch, tally
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
            actions.append(_listing(batch.given[node.name], batch.arrays[node.name]))
    return actions + later


def _listing(given: Given, values: Array) -> Action:
    def take(step: int) -> None:
        if given.amounts is not values:
            np.copyto(given.amounts, values)
        lists.take_nonzero(given)

    return take


def _input(batch: Batch, node: Input) -> list[Action]:
    events, given = batch.events, batch.given[node.name]
    sources, offsets, n_steps = events.sources, events.offsets, events.n_steps
    first = batch.first * n_steps
    size = batch.size
    return [lambda step: lists.take_events(sources, offsets, first + step, n_steps, size, given)]


def _sums(batch: Batch, node: Dense | Convolution) -> tuple[Any, Action]:
    """The array of a node's sums, and that they begin with the biases."""
    sums, bias = batch.arrays[node.name], batch.constants.biases.get(node.name)
    if bias is None:
        return sums, lambda step: sums.fill(0)
    return sums, lambda step: lists.fill(bias, sums)


def _dense(batch: Batch, node: Dense) -> list[Action]:
    weights, givens = batch.constants.weights[node.name], batch.givens(node)
    sums, begin = _sums(batch, node)

    def add(step: int) -> None:
        for given in givens:
            synapses.add_dense(given, weights, sums)

    return [*batch.tallies(node, "events", "macs"), begin, add]


def _convolution(batch: Batch, node: Convolution) -> list[Action]:
    weights, givens = batch.constants.weights[node.name], batch.givens(node)
    slide = batch.constants.slides[node.name]
    sums, begin = _sums(batch, node)

    def add(step: int) -> None:
        for given in givens:
            synapses.add_convolution(given, slide, weights, sums)

    return [*batch.tallies(node, "events", "macs"), begin, add]


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
    once = np.ones(node.n_in, np.int64)

    def add(step: int) -> None:
        sums.fill(0)
        for given in givens:
            lists.add_scaled(given, scale, sums)

    return [add, *(partial(tally, given, once, total) for given in values)]


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
            lists.fill(dynamics.initial, potential)
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
    given = batch.given[node.name]
    ring = np.zeros((depth, *given.amounts.shape), batch.dtype)

    def store(step: int) -> None:
        ring[step % depth] = arriving

    def give(step: int) -> None:
        lists.take_delayed(ring, step % depth, steps, given.amounts)
        if node.name in batch.plan.spiking:
            lists.take_nonzero(given)

    if steps.min() >= 1:
        return [give], [*actions, store]
    return [*actions, store, give], []


def _output(batch: Batch, node: Output) -> list[Action]:
    sources = batch.plan.sources[node.name]
    batch.output_spikes = len(sources) == 1 and sources[0] in batch.plan.spiking
    if batch.output_spikes:
        given = batch.given[sources[0]]
        batch.output = spikes = np.zeros(given.amounts.shape, np.int64)
        return [lambda step: lists.add_to_totals(given, spikes)]
    arriving, actions = batch.arriving(node)
    batch.output = sums = np.zeros(arriving.shape, np.float64)
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
