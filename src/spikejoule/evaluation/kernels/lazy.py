"""Counting neuron updates, a bit of a mask for each neuron (evaluation/lazy_updates.py)."""

import numpy as np

from spikejoule.core.compiling import compiled, compiled_parallel
from spikejoule.core.compiling.bits import population_count

WORD_BITS = 64
"""Neurons of one word of a mask."""


@compiled_parallel
def _updates_of_sample(sample, spikes, own, targets, n_steps, updates):
    """One sample; see :func:`count_updates`."""
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
def count_updates(spikes, own, targets, n_steps, updates):
    """Neurons that a spike reaches or that spike themselves, summed over the steps of each sample.

    Args:
        spikes: into the layer, (sources uint16 [E], offsets int64 [N * T + 1]), a row a step.
        own: the layer's own, likewise.
        targets: the neurons that each source reaches, a bit a neuron, uint64 [sources, words].
        n_steps: T.
        updates: receives, int64 [N].
    """
    _updates_of_sample(updates.size, spikes, own, targets, n_steps, updates)
