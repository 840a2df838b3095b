"""A node's part of a step, as a function: one for each kind of node (`STEPS`)."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from spikejoule.network import nodes
from spikejoule.network.readout import Readout
from spikejoule.nir.batch import Array, Batch, Step
from spikejoule.nir.conventions import limit_of
from spikejoule.nir.kernels import stepping
from spikejoule.nir.kernels.stepping import Spikes


def _input(batch: Batch, node: nodes.Input) -> Step:
    events = batch.plan.events
    spikes = Spikes(events.sources, events.offsets, events.n_steps)
    signals = batch.signals[node.name]

    def step() -> None:
        stepping.take_events(spikes, batch.first, batch.size, batch.step, signals)

    return step


def _connection(batch: Batch, node: nodes.Connection | nodes.Pooling) -> Step:
    add = batch.plan.adding[node.name]
    sources = batch.sources(node)
    sums = batch.signals[node.name].amounts
    bias: Any = 0
    fraction: Any = None
    if isinstance(node, nodes.Pooling):
        if node.average:
            fraction = sums.dtype.type(1 / math.prod(node.windows.kernel))
    elif node.bias is not None:
        per_unit = np.repeat(node.bias, node.n_out // node.bias.size)
        bias = per_unit.astype(sums.dtype)[:, None]

    def step() -> None:
        np.copyto(sums, bias)
        for signals in sources:
            add(signals, sums=sums)
        if fraction is not None:
            np.multiply(sums, fraction, out=sums)

    return step


def _scale(batch: Batch, node: nodes.Scale) -> Step:
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    scale = node.scale.astype(sent.dtype)[:, None]

    def step() -> None:
        np.multiply(arriving(), scale, out=sent)

    return step


def _neurons(batch: Batch, node: nodes.Neurons) -> Step:
    arriving = batch.arriving(node)
    signals = batch.signals[node.name]
    conventions = batch.plan.conventions
    dynamics = batch.plan.dynamics[node.name]
    potential = batch.zeros(node.n_out) + dynamics.initial[:, None]

    def move(current: Array) -> None:
        """Move the potentials by a current, and send spikes or the potentials."""
        if node.spikes:
            subtracts = conventions.reset == "subtract"
            stepping.integrate_and_fire(
                dynamics.membrane, subtracts, current, potential, signals
            )
        else:
            stepping.integrate(dynamics.membrane, current, potential)
            np.copyto(signals.amounts, potential)

    def step() -> None:
        move(arriving())

    if not node.has_current:
        return step
    current = batch.zeros(node.n_out)
    keep = dynamics.keep_current
    gain = dynamics.gain_current
    moves_first = conventions.current == "next_step"

    def step_with_current() -> None:
        if moves_first:
            move(current)
        stepping.follow(keep, gain, arriving(), current)
        if not moves_first:
            move(current)

    return step_with_current


def _threshold(batch: Batch, node: nodes.Threshold) -> Step:
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    threshold = node.threshold.astype(sent.dtype)
    limit = limit_of(threshold, batch.plan.conventions.comparison)[:, None]

    def step() -> None:
        np.greater_equal(arriving(), limit, out=sent)

    return step


def _delay(batch: Batch, node: nodes.Delay) -> Step:
    """Store what arrives in a ring of the last steps, and send what is old enough."""
    arriving = batch.arriving(node)
    sent = batch.signals[node.name].amounts
    # What waits longer than the samples last is never sent, and needs no place.
    delays = np.minimum(batch.plan.delays[node.name], batch.plan.events.n_steps)
    depth = int(delays.max()) + 1
    ring = np.zeros((depth, *sent.shape), sent.dtype)
    units = np.arange(node.n_out)

    def store() -> None:
        ring[batch.step % depth] = arriving()

    def send() -> None:
        places = (batch.step - delays) % depth
        sent[:] = ring[places, :, units].swapaxes(0, 1)

    def store_and_send() -> None:
        store()
        send()

    if delays.min() == 0:
        return store_and_send
    # Nothing that arrives in this step is sent in this step. In a cycle the delay runs
    # before its sources, so it stores what they sent at the end of the step.
    batch.at_end.append(store)
    return send


def _output(batch: Batch, node: nodes.Output) -> Step:
    arriving = batch.arriving(node)
    output = batch.output
    readout = batch.plan.conventions.readout

    def add() -> None:
        # "unsafe" casts spikes, which are real, to whole numbers.
        np.add(output, arriving(), out=output, casting="unsafe")

    def read() -> None:
        if readout == Readout.POTENTIAL or batch.step == 0:
            np.copyto(output, arriving())
        else:
            np.maximum(output, arriving(), out=output)

    return add if readout is None else read


STEPS: Final[dict[type[nodes.Node], Callable[[Batch, Any], Step]]] = {
    nodes.Input: _input,
    nodes.Dense: _connection,
    nodes.Convolution: _connection,
    nodes.Pooling: _connection,
    nodes.Scale: _scale,
    nodes.Neurons: _neurons,
    nodes.Threshold: _threshold,
    nodes.Delay: _delay,
    nodes.Output: _output,
}
