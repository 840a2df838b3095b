"""Spikes of one pixel from the gaps between them, eight at a time."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from spikejoule.core.compiling.emit import broadcast, constant, named_arguments

GAPS_AT_ONCE = 8
"""Gaps of one call: the spikes of most pixels, and one vector of float64."""

_DOUBLES = ir.VectorType(ir.DoubleType(), GAPS_AT_ONCE)
_INTEGERS = ir.VectorType(ir.IntType(32), GAPS_AT_ONCE)
_HALVES = ir.VectorType(ir.IntType(16), GAPS_AT_ONCE)


def _sums(builder, values):
    """The sum of each lane and all before it."""
    distance = 1
    while distance < GAPS_AT_ONCE:
        # Lane k of the shifted vector is lane k - distance; below it are zeros.
        lanes = [max(0, GAPS_AT_ONCE + k - distance) for k in range(GAPS_AT_ONCE)]
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), GAPS_AT_ONCE), lanes)
        shifted = builder.shuffle_vector(ir.Constant(_INTEGERS, None), values, lanes)
        values = builder.add(values, shifted)
        distance *= 2
    return values


@intrinsic
def steps_after_gaps(
    typing_context, numbers, first, scale, start, n_steps, pixel, steps, pixels, place
):
    """Write the steps of GAPS_AT_ONCE spikes with ``floor(numbers[first + k] * scale)`` steps
    between them, the first at `start` or later.

    Args:
        numbers: not negative, float64.
        scale: not negative, float64.
        n_steps: T, up to 65,535.
        steps, pixels: receive from `place` on, uint16; what lies at or beyond step T is no spike.

    Returns:
        bit k is set where the spike of gap k lies beyond the last step, and bit 8 + k where it is
        in the last.
    """
    number, real = types.int64, types.float64
    signature = number(numbers, number, real, number, number, number, steps, pixels, number)

    def codegen(context, builder, signature, arguments):
        numbers, first, scale, start, n_steps, pixel, steps, pixels, place = named_arguments(
            context, builder, signature, arguments
        )

        def pointer(memory, index, kind):
            return builder.bitcast(builder.gep(memory.pointer, [index]), kind.as_pointer())

        def in_every_lane(value, bits):
            return broadcast(builder, builder.trunc(value, ir.IntType(bits)), GAPS_AT_ONCE)

        drawn = builder.load(pointer(numbers, first, _DOUBLES), align=8)
        gaps = builder.fmul(drawn, broadcast(builder, scale, GAPS_AT_ONCE))
        longest = builder.sitofp(n_steps, ir.DoubleType())
        longest = broadcast(builder, longest, GAPS_AT_ONCE)
        gaps = builder.select(builder.fcmp_ordered("<", gaps, longest), gaps, longest)
        whole = _sums(builder, builder.fptosi(gaps, _INTEGERS))
        # Each spike is one step after the one before, and the gap.
        lanes = ir.Constant(_INTEGERS, list(range(GAPS_AT_ONCE)))
        found = builder.add(whole, builder.add(in_every_lane(start, 32), lanes))
        builder.store(builder.trunc(found, _HALVES), pointer(steps, place, _HALVES), align=2)
        builder.store(in_every_lane(pixel, 16), pointer(pixels, place, _HALVES), align=2)
        past = in_every_lane(n_steps, 32)
        last = builder.sub(past, ir.Constant(_INTEGERS, [1] * GAPS_AT_ONCE))
        beyond = builder.icmp_signed(">=", found, past)
        in_last = builder.icmp_signed("==", found, last)
        flags = [
            builder.zext(builder.bitcast(flag, ir.IntType(GAPS_AT_ONCE)), ir.IntType(64))
            for flag in (beyond, in_last)
        ]
        return builder.or_(flags[0], builder.shl(flags[1], constant(GAPS_AT_ONCE)))

    return signature, codegen
