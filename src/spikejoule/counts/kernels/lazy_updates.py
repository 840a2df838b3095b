"""Neuron updates of event-driven hardware, which skips idle neurons.

Clocked hardware updates each of n neurons in each of T steps: T n updates. Event-driven
hardware updates a neuron in a step only if

- biases or constant inputs are added (then in every step), or
- it receives a spike through an existing synapse (through a recurrent synapse, one step
  after the spike), or
- it fires without receiving a spike, for example when a reset by subtraction has left
  its potential above the threshold.

In other steps the potential only decays, which can be computed at the next event.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling import compiled_parallel
from spikejoule.compiling.bits import population_count
from spikejoule.encoding.events import EventList
from spikejoule.network.network import Network

WORD_BITS = 64
"""Neurons per word of a mask, one bit each."""


@compiled_parallel
def _count_updates(sample, spikes, own_spikes, targets, updates):
    """Count the neurons of one sample that receive a spike or fire, over all steps.

    `compiled_parallel` makes a loop of this body: the caller passes the number of
    samples, and the body gets one of them.

    Args:
        sample: its number; N in a call from Python.
        spikes: into the layer, (sources uint16 or uint32 [E], offsets int64
            [N * T + 1]), one row per (sample, step).
        own_spikes: of the layer, in the same form.
        targets: the neurons that each source reaches, one bit per neuron, uint64
            [sources, words].
        updates: receives the count, int64 [N].
    """
    words = targets.shape[1]
    updated = np.zeros(words, np.uint64)
    sources, offsets = spikes
    own_units, own_offsets = own_spikes
    n_steps = (offsets.size - 1) // updates.size
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


def targets_by_source(reached: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack the neurons that each source reaches, bool [sources, units], into bits.

    Returns:
        uint64 [sources, words]: neuron j is bit j % 64 of word j // 64.
    """
    n_sources, n_units = reached.shape
    padded = np.zeros((n_sources, -(-n_units // WORD_BITS) * WORD_BITS), dtype=np.bool_)
    padded[:, :n_units] = reached
    bits = np.packbits(padded, axis=1, bitorder="little")
    return bits.view("<u8").astype(np.uint64, copy=False)


def lazy_updates_per_sample(
    network: Network, spikes_by_layer: Sequence[EventList], pruned: bool
) -> NDArray[np.int64]:
    """Count the event-driven neuron updates of each sample in each layer.

    Args:
        network: a chain of layers, with its weights.
        spikes_by_layer: the spikes of each of the L layers, the input first.
        pruned: whether synapses were removed: their weights are zero.

    Returns:
        int64 [N, L - 1]: the input has no neurons.
    """
    n_samples = spikes_by_layer[0].n_samples
    n_steps = spikes_by_layer[0].n_steps
    updates = np.empty((len(spikes_by_layer) - 1, n_samples), dtype=np.int64)
    for number, own_spikes in enumerate(spikes_by_layer[1:], start=1):
        layer_updates = updates[number - 1]
        has_constant_inputs = number == 1 and spikes_by_layer[0].currents is not None
        if network.adds_bias or has_constant_inputs:
            n_neurons = own_spikes.n_inputs
            layer_updates[:] = n_steps * n_neurons
            continue
        # Of each connection into this layer: the spikes of its sources, and the neurons
        # that each source reaches.
        arriving = []
        reached = []
        for connection, sender in zip(
            network.connections, network.senders, strict=True
        ):
            if network.target_of(connection).name != network.layer_names[number]:
                continue
            is_recurrent = sender == number
            arriving.append(
                _delayed(own_spikes) if is_recurrent else spikes_by_layer[sender]
            )
            masks = [targets_by_source(block) for block in connection.targets(pruned)]
            # With pooling in between, a unit reaches what its window reaches.
            reached.append(network.of_sender(connection, np.concatenate(masks)))
        into = _side_by_side(arriving)
        _count_updates(
            n_samples,
            (into.sources, into.offsets),
            (own_spikes.sources, own_spikes.offsets),
            np.concatenate(reached),
            layer_updates,
        )
    return updates.T.copy()


def _delayed(events: EventList) -> EventList:
    """Return the same spikes one step later, without those of the last step."""
    n_steps = events.n_steps
    rows = events.row_of_each_event()
    kept = rows % n_steps < n_steps - 1
    shape = events.n_samples, n_steps, events.n_inputs
    return EventList.from_rows(rows[kept] + 1, events.sources[kept], *shape)


def _side_by_side(parts: Sequence[EventList]) -> EventList:
    """Join the spikes of several populations, numbering their units in sequence."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    first_units = np.cumsum([0, *(part.n_inputs for part in parts)])
    rows = np.concatenate([part.row_of_each_event() for part in parts])
    units = np.concatenate(
        [
            part.sources.astype(np.int64) + first_unit
            for part, first_unit in zip(parts, first_units[:-1], strict=True)
        ]
    )
    order = np.argsort(rows, kind="stable")
    return EventList.from_rows(
        rows[order],
        units[order],
        first.n_samples,
        first.n_steps,
        int(first_units[-1]),
    )
