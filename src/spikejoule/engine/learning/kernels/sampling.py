"""Sampling the deltas that travel back from one hidden layer to the one before.

The product W^T dL/dv takes most of the time of a deep network. A delta d is kept with
the probability ``p = min(1, |d| / scale)`` and then divided by p, so the expected
product is the exact one, and its gradient stays unbiased. A kept delta is an event with
an amplitude: it adds one row of the transposed weights.

The random numbers are a stream per sample and layer (compiling/streams.py), one for
each delta. They depend on neither the threads nor the order of the samples.
"""

import numpy as np
from llvmlite import ir

from spikejoule.compiling import compiled_apart
from spikejoule.compiling.bits import list_set_bits
from spikejoule.compiling.emit import (
    LANES,
    broadcast,
    each_below,
    emitted,
    splat,
    vector_intrinsic,
)
from spikejoule.compiling.streams import stream_numbers


@emitted
def mark_kept(builder, deltas, n_vectors, scale, state, marked):
    """Set one bit for each delta d with ``|d| > scale * u``, u uniform in [0, 1).

    Deltas are ``Rows`` without gaps; `marked` receives one word of 16 bits per vector,
    and one more if their number is odd.
    """
    kind = deltas.values.vector
    scales = broadcast(builder, scale)
    half = ir.VectorType(ir.IntType(32), LANES)

    def mark(bits, number):
        # 31 bits: a signed conversion is one instruction, an unsigned one is not.
        u = builder.sitofp(builder.lshr(bits, splat(half, 1)), kind)
        u = builder.fmul(u, splat(kind, 2.0**-31))
        delta = deltas.values.load_vector(deltas.start + number * LANES)
        size = vector_intrinsic(builder, "fabs", delta)
        is_kept = builder.fcmp_ordered(">", size, builder.fmul(scales, u))
        marked.store(builder.bitcast(is_kept, ir.IntType(LANES)), number)

    # Each random number of 64 bits serves two deltas.
    with each_below(builder, (n_vectors + 1) // 2) as pair:
        bits = stream_numbers(builder, state, pair)
        upper = builder.lshr(bits, splat(bits.type, 32))
        mark(builder.trunc(bits, half), pair * 2)
        mark(builder.trunc(upper, half), pair * 2 + 1)


@compiled_apart
def keep_deltas(deltas, n_steps, scale, state, kept, amplitudes, marked):
    """List the deltas of one sample and layer that travel back, step by step.

    Args:
        deltas: of all T steps, ``Rows``.
        n_steps: T.
        scale: size from which a delta is always kept.
        state: start of the random stream of this sample and layer.
        kept: receives the units of the deltas that are kept, by step, ``Spikes``.
        amplitudes: receives their values, divided by their probabilities.
        marked: scratch, as for `mark_kept`.

    Returns:
        how many.
    """
    values = deltas.values
    vectors = deltas.stride // LANES
    mark_kept(deltas, n_steps * vectors, scale, state, marked)
    sources = kept.sources
    offsets = kept.offsets
    offsets[0] = 0
    count = 0
    for step in range(n_steps):
        count = list_set_bits(marked[step * vectors :], vectors, sources, count)
        first = np.uint64(offsets[step])
        offsets[step + 1] = count
        row = np.uint64(deltas.start + step * deltas.stride)
        for event in range(first, np.uint64(count)):
            delta = values[row + np.uint64(sources[event])]
            size = max(abs(delta), scale)
            amplitudes[event] = size if delta > 0 else -size
    return count
