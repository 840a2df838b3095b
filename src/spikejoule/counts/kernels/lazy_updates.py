"""Neuron updates of event-driven hardware, which leaves alone a neuron that has nothing
to do.

A clocked circuit updates every neuron in every step, T n of them. A lazy one updates a
neuron in a step if

    the neurons have a bias, or constant currents as their input: in every step; a spike
    reaches it in that step, through a synapse that exists, or one of its own layer in
    the step after through a recurrent one; or it spikes in that step without one, as
    after a reset by subtraction that left it above its threshold.

Otherwise its potential decays, and can be caught up with later, when an event arrives.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.compiling.bits import population_count
from spikejoule.encoding.events import EventList
from spikejoule.network.network import Network

WORD_BITS = 64
"""Neurons of one word of a mask, a bit for each."""


@compiled_parallel
def _updates_of_sample(sample, spikes, own, targets, n_steps, updates):
    """One sample; see :func:`_count_updates`."""
    words = targets.shape[1]
    updated = np.zeros(words, np.uint64)
    sources, offsets = spikes
    own_units, own_offsets = own
    count = np.int64(0)
    for row in range(sample * n_steps, (sample + 1) * n_steps):
        for word in range(words):
            updated[word] = np.uint64(0)
        for event in range(offsets[row], offsets[row + 1]):
            source = np.int64(sources[event])
            for word in range(words):
                updated[word] |= targets[source, word]
        for event in range(own_offsets[row], own_offsets[row + 1]):
            unit = np.int64(own_units[event])
            updated[unit // WORD_BITS] |= np.uint64(1) << np.uint64(unit % WORD_BITS)
        for word in range(words):
            count += np.int64(population_count(updated[word]))
    updates[sample] = count


@compiled
def _count_updates(spikes, own, targets, n_steps, updates):
    """Neurons that a spike reaches or that spike themselves, summed over the steps of
    each sample.

    Args:
        spikes: into the layer, (sources uint16 [E], offsets int64 [N * T + 1]), a row a
            step.
        own: the layer's own, likewise.
        targets: the neurons that each source reaches, a bit a neuron, uint64
            [sources, words].
        n_steps: T.
        updates: receives, int64 [N].
    """
    _updates_of_sample(updates.size, spikes, own, targets, n_steps, updates)


def targets_by_source(reached: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The neurons that one spike of each source reaches, bool [sources, units], as
    bits.

    Returns:
        uint64 [sources, words]: neuron j is bit j % 64 of word j // 64.
    """
    n_sources, n_units = reached.shape
    padded = np.zeros((n_sources, -(-n_units // WORD_BITS) * WORD_BITS), dtype=np.bool_)
    padded[:, :n_units] = reached
    bits = np.packbits(padded, axis=1, bitorder="little")
    return bits.view("<u8").astype(np.uint64, copy=False)


def lazy_updates_per_sample(
    network: Network, layers: Sequence[EventList], pruned: bool
) -> NDArray[np.int64]:
    """Lazy neuron updates of each sample in each layer after the input, int64
    [N, L - 1].

    Args:
        network: a chain of layers, with its weights.
        layers: the spikes of each of the L layers, the input first.
        pruned: whether a weight of zero is no synapse.
    """
    n_samples = layers[0].n_samples
    n_steps = layers[0].n_steps
    updates = np.empty((len(layers) - 1, n_samples), dtype=np.int64)
    for number, (of_layer, own) in enumerate(
        zip(updates, layers[1:], strict=True), start=1
    ):
        if network.has_bias or (number == 1 and layers[0].currents is not None):
            of_layer[:] = n_steps * own.n_inputs
            continue
        into = []
        reached = []
        for connection, sender in zip(
            network.connections, network.senders, strict=True
        ):
            if network.target_of(connection).name == network.layer_names[number]:
                into.append(delayed(own) if sender == number else layers[sender])
                of_source = np.concatenate(
                    [*map(targets_by_source, connection.targets(pruned))]
                )
                reached.append(network.of_sender(connection, of_source))
        arriving = side_by_side(into)
        targets = np.concatenate(reached)
        spikes = (arriving.sources, arriving.offsets)
        own_spikes = (own.sources, own.offsets)
        _count_updates(spikes, own_spikes, targets, n_steps, of_layer)
    return updates.T.copy()


def delayed(events: EventList) -> EventList:
    """The same spikes one step later; those of the last step reach nothing."""
    n_steps = events.n_steps
    rows = events.row_of_each_event()
    kept = rows % n_steps < n_steps - 1
    shape = events.n_samples, n_steps, events.n_inputs
    return EventList.from_rows(rows[kept] + 1, events.sources[kept], *shape)


def side_by_side(parts: Sequence[EventList]) -> EventList:
    """Spikes of several populations as those of one, whose units follow each other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    n_units = sum(part.n_inputs for part in parts)
    rows = np.concatenate([part.row_of_each_event() for part in parts])
    begins = np.cumsum([0, *(part.n_inputs for part in parts[:-1])])
    units = [
        part.sources.astype(np.int64) + n for part, n in zip(parts, begins, strict=True)
    ]
    order = np.argsort(rows, kind="stable")
    shape = first.n_samples, first.n_steps, n_units
    return EventList.from_rows(rows[order], np.concatenate(units)[order], *shape)
