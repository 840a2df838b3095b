"""Random streams of integers and of exponential numbers, computed from a counter.

A stream has a key and a number, such as a sample's. Its values, i = 1, 2, ..., are
those of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, doi:10.1145/2660193.2660195),
modulo 2^64:

    state   = mix(key xor mix(number + GOLDEN))
    value_i = mix(state + i GOLDEN)
    u_i     = (floor(value_i / 2^11) + 1) / 2^53      in (0, 1]
    e_i     = -log(u_i)                               exponential, mean 1

Kernels compute LANES (16) of them at a time. `_mix` emits for a vector what `mix`
computes for one number.

A math library's logarithm may differ in its last bit between versions. The logarithm is
therefore written out in operations that every machine rounds in the same way, and a
stream is the same everywhere.
"""

import math

import numpy as np
from llvmlite import ir

from spikejoule.compiling import compiled
from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    Index,
    broadcast,
    each_below,
    emitted,
    multiply_add,
    splat,
)

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: SplitMix64's step from one state to the next."""

_INTEGERS = ir.VectorType(INDEX, LANES)
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_FRACTION_BITS = 52
_ONE_BITS = 1023 << _FRACTION_BITS
_SERIES_TERMS = 10


def _mix(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Emit `mix` of a vector of numbers."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = builder.xor(value, builder.lshr(value, splat(_INTEGERS, shift)))
        value = builder.mul(value, splat(_INTEGERS, factor))
    return builder.xor(value, builder.lshr(value, splat(_INTEGERS, 31)))


def _minus_log(builder: ir.IRBuilder, u: ir.Value) -> ir.Value:
    """Emit -log(u) for u in (0, 1].

    With u = m 2^e, log u = e log 2 + log m and log m = 2 artanh((m - 1) / (m + 1)). For
    m in [1/sqrt(2), sqrt(2)], ten terms of the series leave a relative error below
    1e-15. Each multiply-add is fused: rounded once, on every machine.
    """
    # The bits of a float are its exponent, then its fraction, and they increase with
    # the number. Adding the difference between the bits of 1 and of 1/sqrt(2) carries
    # into the exponent for a fraction of sqrt(2) or more: the exponent is then e for an
    # m in the range above, and what remains of the fraction gives m.
    root_half_bits = 0x3FE6A09E667F3BCD
    bits = builder.bitcast(u, _INTEGERS)
    shifted = builder.add(bits, splat(_INTEGERS, _ONE_BITS - root_half_bits))
    exponent = builder.lshr(shifted, splat(_INTEGERS, _FRACTION_BITS))
    exponent = builder.sitofp(builder.sub(exponent, splat(_INTEGERS, 1023)), _DOUBLES)
    fraction = builder.and_(shifted, splat(_INTEGERS, (1 << _FRACTION_BITS) - 1))
    m = builder.bitcast(
        builder.add(fraction, splat(_INTEGERS, root_half_bits)), _DOUBLES
    )
    one = splat(_DOUBLES, 1.0)
    s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
    square = builder.fmul(s, s)
    series = splat(_DOUBLES, 2 / (2 * _SERIES_TERMS - 1))
    for term in range(_SERIES_TERMS - 2, -1, -1):
        series = multiply_add(
            builder, series, square, splat(_DOUBLES, 2 / (2 * term + 1))
        )
    log = multiply_add(
        builder, exponent, splat(_DOUBLES, math.log(2)), builder.fmul(series, s)
    )
    return builder.fneg(log)


def stream_numbers(
    builder: ir.IRBuilder, state: ir.Value, vector_number: Index
) -> ir.Value:
    """Emit LANES consecutive values of a stream, 64 bits each.

    Args:
        builder: receives the instructions.
        state: of the stream, before its first value.
        vector_number: which LANES values; 0 has the values 1 to LANES.
    """
    wrap = (1 << 64) - 1
    jump = vector_number * (LANES * GOLDEN & wrap)
    steps = ir.Constant(
        _INTEGERS, [(lane + 1) * GOLDEN & wrap for lane in range(LANES)]
    )
    first = broadcast(builder, builder.add(state, jump))
    return _mix(builder, builder.add(first, steps))


@emitted
def fill_exponentials(builder, state, n_vectors, out, first):
    """Fill ``out[first : first + LANES * n_vectors]`` with exponential numbers.

    The stream's state afterwards is ``state + LANES * n_vectors * GOLDEN``.

    Args:
        builder: receives the instructions.
        state: of the stream, before the first number.
        n_vectors: how many vectors of LANES numbers to write.
        out: receives the numbers, float64.
        first: position of the first one in `out`.
    """
    states = broadcast(builder, state)
    wrap = (1 << 64) - 1
    steps = ir.Constant(
        _INTEGERS, [(lane + 1) * GOLDEN & wrap for lane in range(LANES)]
    )
    with each_below(builder, n_vectors) as vector_number:
        jump = vector_number * (LANES * GOLDEN & wrap)
        value = builder.add(builder.add(states, broadcast(builder, jump)), steps)
        # The upper 53 bits, plus one: u is in (0, 1], and its logarithm finite.
        high = builder.lshr(_mix(builder, value), splat(_INTEGERS, 11))
        u = builder.uitofp(builder.add(high, splat(_INTEGERS, 1)), _DOUBLES)
        u = builder.fmul(u, splat(_DOUBLES, 2.0**-53))
        out.store_vector(_minus_log(builder, u), first + vector_number * LANES)


@compiled
def mix(value):
    """Return SplitMix64's output for a state: a bijection of 64-bit integers."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def stream_start(key, sample):
    """Return the state of one sample's random stream under a key."""
    return mix(key ^ mix(np.uint64(sample) + np.uint64(GOLDEN)))
