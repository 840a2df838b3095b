"""Neuron updates of event-driven hardware, which leaves alone a neuron that has nothing to do.

A clocked circuit updates every neuron in every step, T n of them. A lazy one updates a neuron in a
step if

    the neurons have a bias, or constant currents as their input: in every step;
    a spike reaches it in that step, through a synapse that exists; or
    it spikes in that step without one, as after a reset by subtraction that left it above its
    threshold.

Otherwise its potential decays, and can be caught up with later, when an event arrives.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.compiling import compiled, compiled_parallel
from spikejoule.core.compiling.bits import population_count
from spikejoule.encoding.events import EventList
from spikejoule.model.network import Network

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
    """Neurons that a spike reaches or that spike themselves, summed over the steps of each sample.

    Args:
        spikes: into the layer, (sources uint16 [E], offsets int64 [N * T + 1]), a row a step.
        own: the layer's own, likewise.
        targets: the neurons that each source reaches, a bit a neuron, uint64 [sources, words].
        n_steps: T.
        updates: receives, int64 [N].
    """
    _updates_of_sample(updates.size, spikes, own, targets, n_steps, updates)


def targets_by_source(network: Network, pruned: bool) -> tuple[NDArray[np.uint64], ...]:
    """The neurons that one spike of each source reaches, for each layer but the last.

    Args:
        network: fully connected layers, with their weights.
        pruned: whether a weight of zero is no synapse.

    Returns:
        uint64 [units, words] for each layer: neuron j of the next one is bit j % 64 of word
        j // 64.
    """
    found = []
    for one in network.connections:
        padded = np.zeros((one.n_in, -(-one.n_out // WORD_BITS) * WORD_BITS), dtype=np.bool_)
        padded[:, : one.n_out] = one.weight.T != 0 if pruned else True
        bits = np.packbits(padded, axis=1, bitorder="little")
        found.append(bits.view("<u8").astype(np.uint64, copy=False))
    return tuple(found)


def lazy_updates_per_sample(
    layers: Sequence[EventList], targets: Sequence[NDArray[np.uint64]], has_bias: bool
) -> NDArray[np.int64]:
    """Lazy neuron updates of each sample in each layer after the input, int64 [N, L - 1].

    Args:
        layers: the spikes of each of the L layers, the input first.
        targets: the neurons that each source reaches, from :func:`targets_by_source`.
        has_bias: whether a bias is added to every neuron in every step.
    """
    n_samples, n_steps = layers[0].n_samples, layers[0].n_steps
    updates = np.empty((len(targets), n_samples), dtype=np.int64)
    for of_layer, into, own, reached in zip(updates, layers[:-1], layers[1:], targets, strict=True):
        if has_bias or into.currents is not None:
            of_layer[:] = n_steps * own.n_inputs
        else:
            spikes, own_spikes = (into.sources, into.offsets), (own.sources, own.offsets)
            _count_updates(spikes, own_spikes, reached, n_steps, of_layer)
    return updates.T.copy()
