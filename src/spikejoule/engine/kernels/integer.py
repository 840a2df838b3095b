"""The forward pass of a layer in integers; see spikejoule/network/quantisation.py.

These are plain loops: numba vectorises the loops over units by itself.
"""

import numpy as np

from spikejoule.compiling import compiled, compiled_parallel
from spikejoule.engine.kernels.structures import sample_spikes

LEAK_SHIFT = 8
"""The leak is a product and a right shift by so many bits, rounding down."""


@compiled
def _integer_sample(spikes, layer, potentials, sums, sources, lengths, trace):
    """Run one sample through one layer.

    Args:
        spikes: the sample's input, ``Spikes`` with T rows.
        layer: ``IntegerParameters``.
        potentials: scratch, int16 or int32 [units].
        sums: scratch for the inputs of one step, int32 [units].
        sources: receives the units that fire, step by step.
        lengths: receives the number of spikes in each step, int64 [T].
        trace: receives the potentials after each step, [T, units]; of size 0 if they
            are not needed.

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
    potentials[:] = layer.resting
    for step in range(lengths.size):
        sums[:] = biases
        for event in range(offsets[step], offsets[step + 1]):
            row = weights[into[event]]
            for unit in range(sums.size):
                sums[unit] += row[unit]
        first = count
        for unit in range(sums.size):
            leaked = (np.int64(potentials[unit]) * leak) >> LEAK_SHIFT
            potential = leaked + np.int64(sums[unit])
            if potential >= threshold:
                sources[count] = unit
                count += 1
                potential = potential - reset if layer.subtracts else np.int64(0)
            potentials[unit] = min(max(potential, lowest), highest)
        lengths[step] = count - first
        if trace.size > 0:
            trace[step] = potentials
    return count


@compiled_parallel
def run_integer_layer(lane, spikes, layer, n_steps, out, traces):
    """Run the samples of one lane through one layer.

    Args:
        lane: its number; its spikes are written to ``out.buffers[lane]``.
        spikes: the input, ``Spikes`` with one row per (sample, step).
        layer: ``IntegerParameters``.
        n_steps: T.
        out: ``LaneSpikes`` that receive the layer's spikes.
        traces: receives the potentials after each step, [N, T, units]; of size 0 if
            they are not needed.
    """
    potentials = np.zeros_like(layer.resting)
    sums = np.zeros(potentials.size, np.int32)
    buffer = out.buffers[lane]
    lengths = out.lengths
    trace = np.empty((n_steps if traces.size > 0 else 0, sums.size), potentials.dtype)
    total = 0
    for sample in range(out.bounds[lane], out.bounds[lane + 1]):
        first = sample * n_steps
        total += _integer_sample(
            sample_spikes(spikes, sample, n_steps),
            layer,
            potentials,
            sums,
            buffer[total:],
            lengths[first : first + n_steps],
            trace,
        )
        if traces.size > 0:
            traces[sample] = trace
    out.counts[lane] = total
