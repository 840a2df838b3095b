"""Listing what a mask selects, without branches.

A processor cannot predict which neurons fire or which pixels are bright, so a branch
for each of them would often be mispredicted. As in emit.py, all positions are counted
in elements, and nothing is checked.
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
    emitted,
    named_arguments,
)

LISTED_AT_ONCE = 2 * LANES
"""Numbers that one instruction writes at most. A list needs as many spare elements at
its end: a whole vector is written, of which only the first numbers are valid."""

_BITS = 64
_FLAGS_OF_BITS = ir.VectorType(ir.IntType(1), _BITS)


@intrinsic
def lowest_set_bit(typing_context, word):
    """Return the index of the lowest set bit of an integer; its width if none is."""

    def codegen(context, builder, signature, arguments):
        zero_is_defined = ir.Constant(ir.IntType(1), 0)
        return builder.cttz(arguments[0], zero_is_defined)

    return word(word), codegen


@intrinsic
def population_count(typing_context, word):
    """Return the number of set bits of an integer."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), codegen


WORDS_AT_ONCE = 4
"""Words of 16 bits that are searched together, as one of 64 bits."""

USUAL_BITS = 4
"""Set bits of 64 that are written without checking whether there are so many."""


def list_bit_by_bit(words, n_words, numbers, place):
    """Do what :func:`list_set_bits` does on a processor that cannot pack a vector."""
    place = np.uint64(place)
    for word in range(0, n_words, WORDS_AT_ONCE):
        bits = np.uint64(0)
        for k in range(min(WORDS_AT_ONCE, n_words - word)):
            bits |= np.uint64(words[word + k]) << np.uint64(LANES * k)
        first = word * LANES
        past = place + population_count(bits)
        # The usual few without a branch. Too many writes do no harm: the next word
        # overwrites them.
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
    """Return whether one instruction packs 16-bit numbers by a mask (AVX-512 VBMI2)."""
    features = context.codegen().magic_tuple()[2]
    return "+avx512vbmi2" in features and numbers.element == ir.IntType(16)


def _packed(builder, values, chosen):
    """Move the chosen lanes of a vector to its front (vpcompressb)."""
    kind = values.type
    name = f"llvm.x86.avx512.mask.compress.v{kind.count}i{kind.element.width}"
    signature = ir.FunctionType(kind, [kind, kind, chosen.type])
    pack = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(pack, [values, ir.Constant(kind, ir.Undefined), chosen])


class _PackedList:
    """Emits the listing of set bits with packing instructions, 64 bits at a time.

    Args:
        builder: receives the instructions.
        numbers: the list, uint16.
        place: position in it of the first number.
    """

    def __init__(self, builder, numbers, place):
        self._builder = builder
        self._numbers = numbers
        self._end = cgutils.alloca_once_value(builder, place)

    def end(self):
        """Return the position behind the last number."""
        return self._builder.load(self._end)

    def add(self, first, bits):
        """Append ``first + k`` for each set bit k of a word of 64 bits."""
        builder = self._builder
        byte_vector = ir.VectorType(ir.IntType(8), _BITS)
        bit_numbers = ir.Constant(byte_vector, list(range(_BITS)))
        packed = _packed(builder, bit_numbers, builder.bitcast(bits, _FLAGS_OF_BITS))
        n_set = builder.ctpop(bits)
        base = builder.trunc(first, self._numbers.element)
        # Few bits are usually set. The first 8 numbers are always written; wider
        # vectors only as far as they are needed, in nested conditions.
        with ExitStack() as conditions:
            for lane, width in ((0, 8), (8, 8), (16, 16), (32, 32)):
                if lane:
                    more = builder.icmp_unsigned(">", n_set, constant(lane))
                    conditions.enter_context(builder.if_then(more))
                self._write(packed, base, lane, width)
        builder.store(builder.add(self.end(), n_set), self._end)

    def _write(self, packed, base, lane, width):
        """Write `base` plus the packed bytes from `lane` on, as 16-bit numbers."""
        builder = self._builder
        lanes = ir.Constant(
            ir.VectorType(ir.IntType(32), width), list(range(lane, lane + width))
        )
        unused = ir.Constant(packed.type, ir.Undefined)
        kind = ir.VectorType(self._numbers.element, width)
        part = builder.zext(builder.shuffle_vector(packed, unused, lanes), kind)
        part = builder.add(part, broadcast(builder, base, width))
        into = builder.gep(
            self._numbers.pointer, [builder.add(self.end(), constant(lane))]
        )
        builder.store(part, builder.bitcast(into, kind.as_pointer()), align=2)


def _emit_list(context, builder, signature, arguments):
    words, n_words, numbers, place = named_arguments(
        context, builder, signature, arguments
    )
    if not _can_pack(context, numbers):
        return context.compile_internal(builder, list_bit_by_bit, signature, arguments)
    listed = _PackedList(builder, numbers, place)

    def word_at(word, width):
        address = builder.gep(words.pointer, [word])
        kind = ir.IntType(width).as_pointer()
        return builder.load(builder.bitcast(address, kind), align=2)

    n_whole = n_words // WORDS_AT_ONCE
    with each_below(builder, n_whole) as number:
        word = number * WORDS_AT_ONCE
        listed.add(word * LANES, word_at(word, _BITS))
    # Up to three words are left: put together, never read beyond the last.
    whole = n_whole * WORDS_AT_ONCE
    with builder.if_then(builder.icmp_signed("<", whole, n_words)):
        rest = cgutils.alloca_once_value(builder, constant(0))
        with each_below(builder, n_words - whole) as number:
            bits = builder.zext(word_at(whole + number, LANES), INDEX)
            bits = builder.shl(bits, number * LANES)
            builder.store(builder.or_(builder.load(rest), bits), rest)
        listed.add(whole * LANES, builder.load(rest))
    return listed.end()


@intrinsic
def list_set_bits(typing_context, words, n_words, numbers, place):
    """Write the numbers of the set bits of the first `n_words` words, ascending.

    Words have 16 bits. ``numbers[place]`` receives the first number, and up to
    LISTED_AT_ONCE elements behind the last are overwritten. Returns the position behind
    the last number.
    """
    index = types.int64
    return index(words, index, numbers, index), _emit_list


@emitted
def _mark_at_least(builder, values, n_vectors, least, marked):
    """Set one bit of `marked` for each of 16 `n_vectors` values of at least `least`."""
    # Wider than the values: `least` may be larger than all values of their type.
    wide = ir.IntType(32)
    bound = broadcast(builder, builder.trunc(least, wide))
    with each_below(builder, n_vectors) as number:
        vector = values.load_vector(number * LANES)
        vector = builder.zext(vector, ir.VectorType(wide, LANES))
        chosen = builder.icmp_unsigned(">=", vector, bound)
        marked.store(builder.bitcast(chosen, ir.IntType(LANES)), number)


@compiled_inline
def list_at_least(values, n_values, least, marked, numbers):
    """Write the numbers of the values that are at least `least`, ascending.

    Args:
        values: uint8 or uint16 [N].
        n_values: N.
        least: not negative, below 2^32.
        marked: scratch for the bits of whole vectors, uint16 [N // 16].
        numbers: receives, uint16 [N + LISTED_AT_ONCE].

    Returns:
        how many numbers there are.
    """
    n_vectors = n_values // LANES
    _mark_at_least(values, n_vectors, least, marked)
    count = np.uint64(list_set_bits(marked, n_vectors, numbers, 0))
    for k in range(n_vectors * LANES, n_values):
        # Without a branch: the next number overwrites this one, unless its value is
        # large enough.
        numbers[count] = k
        count += np.uint64(values[k] >= least)
    return np.int64(count)
