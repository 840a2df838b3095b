"""Spikes through a layer of integers; the rule is in
spikejoule/network/quantisation.py.

Plain loops on plain integers: numba puts those over the units into vector registers.
"""

import numpy as np

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.engine.kernels.structures import sample_spikes

LEAK_SHIFT = 8
"""The leak is a product and a shift by so many bits, toward minus infinity."""


@compiled
def _integer_sample(spikes, layer, n_steps, states, sums, sources, lengths):
    """One sample through one layer.

    Args:
        spikes: the sample's input, ``Spikes`` of T rows.
        layer: ``IntegerParameters``.
        n_steps: T.
        states: scratch for the membrane potentials, int16 or int32 [units].
        sums: scratch for what a step adds to them, int32 [units].
        sources: receives the units that fire, step by step.
        lengths: receives how many fire in each step, int64 [T].

    Returns:
        the number of spikes emitted.
    """
    weights = layer.weights
    biases = layer.biases
    into = spikes.sources
    offsets = spikes.offsets
    threshold = np.int64(layer.threshold)
    leak = np.int64(layer.leak)
    lowest = np.int64(layer.lowest)
    highest = np.int64(layer.highest)
    reset = threshold if layer.subtracts else np.int64(0)
    count = 0
    states[:] = 0
    for step in range(n_steps):
        sums[:] = biases
        for event in range(offsets[step], offsets[step + 1]):
            row = weights[into[event]]
            for unit in range(sums.size):
                sums[unit] += row[unit]
        first = count
        for unit in range(sums.size):
            potential = ((np.int64(states[unit]) * leak) >> LEAK_SHIFT) + np.int64(
                sums[unit]
            )
            if potential >= threshold:
                sources[count] = unit
                count += 1
                potential = potential - reset if layer.subtracts else np.int64(0)
            states[unit] = min(max(potential, lowest), highest)
        lengths[step] = count - first
    return count


@compiled_parallel
def run_integer_layer(lane, spikes, layer, n_steps, out):
    """Samples through one layer; lane l writes the spikes of its samples to
    ``out.buffers[l]``.

    Args:
        lane: which one.
        spikes: the input, ``Spikes`` of a row a (sample, step).
        layer: ``IntegerParameters``.
        n_steps: T.
        out: ``LaneSpikes`` that receive the layer's.
    """
    states = np.zeros_like(layer.resting)
    sums = np.zeros(states.size, np.int32)
    buffer = out.buffers[lane]
    lengths = out.lengths
    total = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        first = sample * n_steps
        total += _integer_sample(
            sample_spikes(spikes, sample, n_steps),
            layer,
            n_steps,
            states,
            sums,
            buffer[total:],
            lengths[first : first + n_steps],
        )
    out.counts[lane] = total
