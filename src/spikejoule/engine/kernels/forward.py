"""Spikes through layers of LIF neurons (the equations are in spikejoule/model/neuron.py)."""

import numba
import numpy as np

from spikejoule.foundation.compiling.emit import LANES
from spikejoule.foundation.compiling.jit import compiled, compiled_parallel
from spikejoule.foundation.compiling.vector import integrate_and_fire, lowest_set_bit

WORDS_AT_ONCE = 4
"""Words of fired neurons that are searched for set bits together."""


FORWARD_BLOCK = 7


@compiled
def block_size(stride, most):
    """Vectors of a block, at most `most`, such that the blocks of a row are as equal as can be."""
    vectors = stride // LANES
    blocks = (vectors + most - 1) // most
    return (vectors + blocks - 1) // blocks


@compiled
def layer_forward(
    sources,
    offsets,
    parameters,
    weight_start,
    bias_start,
    stride,
    decay,
    threshold,
    n_steps,
    potentials,
    fired,
    out_sources,
    out_offsets,
):
    """One sample through one layer.

    Args:
        sources, offsets: the sample's input spikes; `offsets` [T + 1] points into `sources`.
        parameters: flat parameters; weights are [source, stride] from `weight_start` on.
        stride: neurons of the layer, padded to whole vectors.
        potentials: receives v before the reset, flat [T * stride].
        fired: receives one bit a neuron, uint16, flat [T * stride / 16].
        out_sources, out_offsets: receive the layer's spikes, uint16 and int64 [T + 1]; they are
            written from ``out_offsets[0]`` on, which the caller has set.

    Returns:
        the number of spikes emitted.
    """
    block = block_size(stride, FORWARD_BLOCK)
    for vector in range(0, stride // LANES, block):
        integrate_and_fire(
            sources,
            offsets,
            parameters,
            weight_start,
            bias_start,
            stride,
            vector * LANES,
            min(block, stride // LANES - vector),
            decay,
            threshold,
            n_steps,
            potentials,
            fired,
        )
    words = stride // LANES
    count = out_offsets[0]
    for step in range(n_steps):
        for word in range(0, words, WORDS_AT_ONCE):
            bits = np.uint64(0)
            for k in range(min(WORDS_AT_ONCE, words - word)):
                bits |= np.uint64(fired[step * words + word + k]) << np.uint64(LANES * k)
            while bits != 0:
                out_sources[count] = word * LANES + lowest_set_bit(bits)
                bits &= bits - np.uint64(1)
                count += 1
        out_offsets[step + 1] = count
    return count - out_offsets[0]


@compiled_parallel
def layer_forward_lanes(
    sources,
    offsets,
    parameters,
    weight_start,
    bias_start,
    stride,
    decay,
    threshold,
    n_steps,
    bounds,
    buffers,
    counts,
    lengths,
):
    """Samples through one layer; lane l writes the spikes of its samples to buffers[l].

    ``counts[l]`` receives the lane's number of spikes and ``lengths`` [N * T] those of each row.
    """
    for lane in numba.prange(bounds.size - 1):
        potentials = np.empty(n_steps * stride, parameters.dtype)
        fired = np.empty(n_steps * (stride // LANES), np.uint16)
        out_offsets = np.empty(n_steps + 1, np.int64)
        total = 0
        out_offsets[0] = 0
        for sample in range(bounds[lane], bounds[lane + 1]):
            total += layer_forward(
                sources,
                offsets[sample * n_steps : (sample + 1) * n_steps + 1],
                parameters,
                weight_start,
                bias_start,
                stride,
                decay,
                threshold,
                n_steps,
                potentials,
                fired,
                buffers[lane, total:],
                out_offsets,
            )
            for step in range(n_steps):
                lengths[sample * n_steps + step] = out_offsets[step + 1] - out_offsets[step]
        counts[lane] = total
