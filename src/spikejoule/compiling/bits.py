"""Bits and lists: what a mask selects, written down without a branch.

Which neurons fire and which pixels are bright is what a processor cannot predict. As in
emit.py all positions are counted in elements, and nothing is checked.
"""

from contextlib import ExitStack

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spikejoule.compiling import compiled_inline
from spikejoule.compiling.emit import (
    INDEX,
    LANES,
    broadcast,
    constant,
    each_below,
    named_arguments,
)

LISTED_AT_ONCE = 2 * LANES
"""Bits that are listed by one instruction. Behind the last number of a list as many
places may be overwritten, since a whole vector is written, of which the numbers that
are listed come first."""

_BITS = 64
_FLAGS_OF_BITS = ir.VectorType(ir.IntType(1), _BITS)


@intrinsic
def lowest_set_bit(typing_context, word):
    """Index of the lowest bit that is set in an integer; its width where none is."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return word(word), codegen


@intrinsic
def population_count(typing_context, word):
    """How many bits are set in an integer."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), codegen


WORDS_AT_ONCE = 4
"""Words that are searched for set bits together."""

USUAL_BITS = 4
"""Set bits of so many words that are written without asking whether there are as
many.
"""


def list_bit_by_bit(words, first_word, n_words, numbers, place):
    """What :func:`list_set_bits` does, for a processor that cannot pack a vector."""
    place = np.uint64(place)
    for word in range(0, n_words, WORDS_AT_ONCE):
        bits = np.uint64(0)
        for k in range(min(WORDS_AT_ONCE, n_words - word)):
            bits |= np.uint64(words[first_word + word + k]) << np.uint64(LANES * k)
        first = word * LANES
        past = place + population_count(bits)
        # Without a branch up to a few: how many fire is what a processor cannot
        # predict.
        for k in range(USUAL_BITS):
            numbers[place + np.uint64(k)] = first + lowest_set_bit(bits)
            bits &= bits - np.uint64(1)
        place += np.uint64(USUAL_BITS)
        while bits != 0:
            numbers[place] = first + lowest_set_bit(bits)
            bits &= bits - np.uint64(1)
            place += np.uint64(1)
        place = past
    return np.int64(place)


def _can_pack(context, numbers):
    """Whether one instruction packs numbers of 16 bits by a mask (AVX-512 VBMI2)."""
    features = context.codegen().magic_tuple()[2]
    return "+avx512vbmi2" in features and numbers.element == ir.IntType(16)


def _packed(builder, values, chosen):
    """The lanes of a vector that are chosen, one behind the other."""
    kind = values.type
    name = f"llvm.x86.avx512.mask.compress.v{kind.count}i{kind.element.width}"
    signature = ir.FunctionType(kind, [kind, kind, chosen.type])
    pack = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(pack, [values, ir.Constant(kind, ir.Undefined), chosen])


@intrinsic
def list_set_bits(typing_context, words, first_word, n_words, numbers, place):
    """Write the numbers of the bits that are set in some words, ascending; return where
    they end.

    Words have 16 bits. ``numbers[place]`` receives the first, and up to LISTED_AT_ONCE
    places behind the last are overwritten.
    """
    number = types.int64
    signature = number(words, number, number, numbers, number)

    def codegen(context, builder, signature, arguments):
        words, first_word, n_words, numbers, place = named_arguments(
            context, builder, signature, arguments
        )
        if not _can_pack(context, numbers):
            return context.compile_internal(
                builder, list_bit_by_bit, signature, arguments
            )
        count = cgutils.alloca_once_value(builder, place)
        bytes_of_bits = ir.VectorType(ir.IntType(8), _BITS)
        every = ir.Constant(bytes_of_bits, list(range(_BITS)))
        nothing = ir.Constant(bytes_of_bits, ir.Undefined)

        def emit(first, bits):
            packed = _packed(builder, every, builder.bitcast(bits, _FLAGS_OF_BITS))
            found = builder.ctpop(bits)
            base = builder.trunc(first * LANES, numbers.element)

            # The usual few in one short vector, and as many more as there are.
            with ExitStack() as as_far_as_needed:
                for lane, width in ((0, 8), (8, 8), (16, 16), (32, 32)):
                    if lane:
                        more = builder.icmp_unsigned(">", found, constant(lane))
                        as_far_as_needed.enter_context(builder.if_then(more))
                    chosen = ir.VectorType(ir.IntType(32), width)
                    chosen = ir.Constant(chosen, list(range(lane, lane + width)))
                    kind = ir.VectorType(numbers.element, width)
                    part = builder.zext(
                        builder.shuffle_vector(packed, nothing, chosen), kind
                    )
                    part = builder.add(part, broadcast(builder, base, width))
                    into = builder.add(builder.load(count), constant(lane))
                    into = builder.gep(numbers.pointer, [into])
                    builder.store(
                        part, builder.bitcast(into, kind.as_pointer()), align=2
                    )
            builder.store(builder.add(builder.load(count), found), count)

        def word_at(word, width):
            address = builder.gep(words.pointer, [first_word + word])
            kind = ir.IntType(width).as_pointer()
            return builder.load(builder.bitcast(address, kind), align=2)

        n_whole = n_words // WORDS_AT_ONCE
        with each_below(builder, n_whole) as number:
            word = number * WORDS_AT_ONCE
            emit(word, word_at(word, _BITS))
        whole = n_whole * WORDS_AT_ONCE
        with builder.if_then(builder.icmp_signed("<", whole, n_words)):
            rest = cgutils.alloca_once_value(builder, constant(0))
            with each_below(builder, n_words - whole) as number:
                bits = builder.zext(word_at(whole + number, LANES), INDEX)
                bits = builder.shl(bits, number * LANES)
                builder.store(builder.or_(builder.load(rest), bits), rest)
            emit(whole, builder.load(rest))
        return builder.load(count)

    return signature, codegen


@compiled_inline
def list_at_least(values, n_values, least, numbers):
    """Write the numbers of the values that are `least` or more, ascending; return how
    many.

    Values are unsigned. The place behind the last number is overwritten.
    """
    count = np.uint64(0)
    for k in range(n_values):
        numbers[count] = k
        # Without a branch: which values are that large is what a processor cannot
        # predict.
        count += np.uint64(values[k] >= least)
    return np.int64(count)
