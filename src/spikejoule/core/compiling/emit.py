"""Emitting LLVM code on vectors of 16 elements.

From ``row[j] += weight[j]`` inside a loop over events, LLVM makes a load, an addition and a store
of the accumulator for every event. The intrinsics of engine/kernels (vector.py, through_time.py)
and of exponential.py keep their accumulators in registers. What they emit is portable: LLVM splits
the vectors to the width that the machine has, every multiply-add is rounded once everywhere, and
each element is computed alike in whatever block it falls, so neither width nor block changes a
result.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

LANES = 16
"""Elements of one vector; layer sizes are padded to a multiple of it."""

INDEX = ir.IntType(64)


class Memory:
    """Typed access to one flat array argument while code is emitted."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any) -> None:
        self.builder = builder
        self.pointer = context.make_array(array_type)(context, builder, array).data
        self.element = context.get_data_type(array_type.dtype)
        self.vector = ir.VectorType(self.element, LANES)
        self.alignment = array_type.dtype.bitwidth // 8

    def load(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.gep(self.pointer, [index]))

    def load_index(self, index: ir.Value) -> ir.Value:
        value = self.load(index)
        return value if value.type == INDEX else self.builder.zext(value, INDEX)

    def _vector_pointer(self, index: ir.Value) -> ir.Value:
        address = self.builder.gep(self.pointer, [index])
        return self.builder.bitcast(address, self.vector.as_pointer())

    def load_vector(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self._vector_pointer(index), align=self.alignment)

    def store_vector(self, value: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self._vector_pointer(index), align=self.alignment)

    def store(self, value: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self.builder.gep(self.pointer, [index]))


def _named(context, builder, kind, value):
    """Arrays as memory, integers as INDEX, named tuples as the same tuples of these."""
    if isinstance(kind, types.Array):
        return Memory(context, builder, kind, value)
    if isinstance(kind, types.BaseNamedTuple):
        fields = cgutils.unpack_tuple(builder, value)
        return kind.instance_class(
            *(
                _named(context, builder, field_kind, field)
                for field_kind, field in zip(kind, fields, strict=True)
            )
        )
    if isinstance(kind, types.Integer):
        return context.cast(builder, value, kind, types.int64)
    return value


def named_arguments(context, builder, signature, arguments):
    """The arguments of an intrinsic in order, as the code that emits works with them.

    Arrays become :class:`Memory`, integers 64 bits wide; a named tuple becomes one of the same
    class that holds these.
    """
    return [
        _named(context, builder, kind, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, lanes: int = LANES) -> ir.Value:
    vector = ir.VectorType(scalar.type, lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, constant(0, 32))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def vector_intrinsic(builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> ir.Value:
    """Call an LLVM intrinsic of vectors, such as ``fma`` or ``fabs``."""
    vector = arguments[0].type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    kind = ir.FunctionType(vector, [vector] * len(arguments))
    full_name = f"llvm.{name}.v{vector.count}{suffix}"
    function = cgutils.get_or_insert_function(builder.module, kind, full_name)
    return builder.call(function, arguments)


def multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """a * b + c, rounded once."""
    return vector_intrinsic(builder, "fma", a, b, c)


def splat(vector: ir.VectorType, value: float) -> ir.Constant:
    """A vector of one constant."""
    return ir.Constant(vector, [value] * vector.count)


def constant(value: int, bits: int = 64) -> ir.Constant:
    return ir.Constant(ir.IntType(bits), value)


def zeros(vector: ir.VectorType) -> ir.Constant:
    """A vector of zeros."""
    return splat(vector, 0.0)


def for_each_block_size(
    builder: ir.IRBuilder, block: ir.Value, sizes: Sequence[int], emit: Callable[[int], None]
) -> None:
    """Emit `emit(size)` for each size, chosen at run time by the value of `block`."""
    end = builder.append_basic_block("block_end")
    switch = builder.switch(block, end)
    for size in sizes:
        case = builder.append_basic_block(f"block_{size}")
        switch.add_case(constant(size), case)
        builder.position_at_end(case)
        emit(size)
        builder.branch(end)
    builder.position_at_end(end)
