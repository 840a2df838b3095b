"""Emitting LLVM code on vectors of 16 elements.

From ``row[j] += weight[j]`` inside a loop over events, LLVM makes a load, an addition
and a store of the accumulator for every event. The intrinsics of engine/kernels
(vector.py, through_time.py) and of streams.py keep their accumulators in registers.
What they emit is portable: LLVM splits the vectors to the width that the machine has,
every multiply-add is rounded once everywhere, and each element is computed alike in
whatever block it falls, so neither width nor block changes a result.

`Lanes` is arithmetic for formulas that kernels emit; arrays of whole vectors are made
at the end.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

LANES = 16
"""Elements of one vector; layer sizes are padded to a multiple of it."""

INDEX = ir.IntType(64)


def constant(value: int, bits: int = 64) -> ir.Constant:
    return ir.Constant(ir.IntType(bits), value)


class Index:
    """A whole number of 64 bits while code is emitted: arithmetic with it emits an
    instruction.

    Builders take it wherever they take llvmlite's value.
    """

    type = INDEX

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self._builder = builder
        self._value = value

    def get_reference(self) -> str:
        """By which llvmlite's instructions refer to the value."""
        reference: str = self._value.get_reference()
        return reference

    def _emit(
        self, instruction: Callable[..., ir.Value], other: "Index | int"
    ) -> "Index":
        operand = constant(other) if isinstance(other, int) else other
        return Index(self._builder, instruction(self, operand))

    def __add__(self, other: "Index | int") -> "Index":
        return self._emit(self._builder.add, other)

    def __sub__(self, other: "Index | int") -> "Index":
        return self._emit(self._builder.sub, other)

    def __mul__(self, other: "Index | int") -> "Index":
        return self._emit(self._builder.mul, other)

    def __floordiv__(self, other: "Index | int") -> "Index":
        return self._emit(self._builder.udiv, other)


@contextmanager
def each_below(builder: ir.IRBuilder, count: Any) -> Iterator[Index]:
    """A loop of the kernel: what is emitted within is done for each number below
    `count`.
    """
    with cgutils.for_range(builder, count, intp=INDEX) as loop:
        yield Index(builder, loop.index)


@contextmanager
def each_between(builder: ir.IRBuilder, first: Any, end: Any) -> Iterator[Index]:
    """The same for each number from `first` on and below `end`."""
    with cgutils.for_range_slice(builder, first, end, constant(1), INDEX) as (
        number,
        _,
    ):
        yield Index(builder, number)


@contextmanager
def each_of(
    builder: ir.IRBuilder, bounds: "EmittedArray", number: Index
) -> Iterator[Index]:
    """The same for each place from ``bounds[number]`` on and below
    ``bounds[number + 1]``.
    """
    first = bounds.load_index(number)
    with each_between(builder, first, bounds.load_index(number + 1)) as place:
        yield place


class EmittedArray:
    """Typed access to one flat array argument while code is emitted."""

    def __init__(
        self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any
    ) -> None:
        self.builder = builder
        self.pointer = context.make_array(array_type)(context, builder, array).data
        self.element = context.get_data_type(array_type.dtype)
        self.vector = ir.VectorType(self.element, LANES)
        self.alignment = array_type.dtype.bitwidth // 8

    def load(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self.builder.gep(self.pointer, [index]))

    def load_index(self, index: ir.Value) -> Index:
        # An index that is 64 bits wide already stays as it is.
        return Index(self.builder, self.builder.zext(self.load(index), INDEX))

    def _vector_pointer(self, index: ir.Value) -> ir.Value:
        address = self.builder.gep(self.pointer, [index])
        return self.builder.bitcast(address, self.vector.as_pointer())

    def load_vector(self, index: ir.Value) -> ir.Value:
        return self.builder.load(self._vector_pointer(index), align=self.alignment)

    def store_vector(self, value: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self._vector_pointer(index), align=self.alignment)

    def store(self, value: ir.Value, index: ir.Value) -> None:
        self.builder.store(value, self.builder.gep(self.pointer, [index]))


class Registers:
    """Vectors beside each other in a row, which LLVM keeps in registers.

    Args:
        builder: where instructions are emitted.
        vector: the type of each.
        size: how many.
    """

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType, size: int) -> None:
        self._builder = builder
        self.cells = [cgutils.alloca_once(builder, vector) for _ in range(size)]

    def by_column(self) -> Iterator[tuple[int, ir.Value]]:
        """The first column of each vector in the row, and the cell that holds it."""
        for k, cell in enumerate(self.cells):
            yield LANES * k, cell

    def fill(self, value: ir.Value) -> None:
        """Set all to one vector."""
        for cell in self.cells:
            self._builder.store(value, cell)

    def load(self, array: EmittedArray, start: Index) -> None:
        """Set them to the row of an array that begins at `start`."""
        for column, cell in self.by_column():
            self._builder.store(array.load_vector(start + column), cell)

    def store(self, array: EmittedArray, start: Index) -> None:
        """Write them to the row of an array that begins at `start`."""
        for column, cell in self.by_column():
            array.store_vector(self._builder.load(cell), start + column)

    def add(self, array: EmittedArray, start: Index) -> None:
        """Add the row of an array that begins at `start`."""
        for column, cell in self.by_column():
            total = self._builder.fadd(
                self._builder.load(cell), array.load_vector(start + column)
            )
            self._builder.store(total, cell)

    def add_products(self, factor: ir.Value, row: Sequence[ir.Value]) -> None:
        """Add a vector times each vector of a row, rounded once."""
        for vector, cell in zip(row, self.cells, strict=True):
            total = multiply_add(
                self._builder, factor, vector, self._builder.load(cell)
            )
            self._builder.store(total, cell)


def load_row(array: EmittedArray, start: Index, size: int) -> list[ir.Value]:
    """So many vectors of an array from `start` on."""
    return [array.load_vector(start + LANES * k) for k in range(size)]


def _named(context, builder, kind, value):
    """Arrays as memory, integers as `Index`, named tuples as the same tuples of
    these.
    """
    if isinstance(kind, types.Array):
        return EmittedArray(context, builder, kind, value)
    if isinstance(kind, types.BaseNamedTuple):
        fields = cgutils.unpack_tuple(builder, value)
        return kind.instance_class(
            *(
                _named(context, builder, field_kind, field)
                for field_kind, field in zip(kind, fields, strict=True)
            )
        )
    if isinstance(kind, types.Integer):
        return Index(builder, context.cast(builder, value, kind, types.int64))
    return value


def named_arguments(context, builder, signature, arguments):
    """The arguments of an intrinsic in order, as the code that emits works with them.

    Arrays become :class:`EmittedArray`, integers :class:`Index`; a named tuple becomes
    one of the same class that holds these.
    """
    return [
        _named(context, builder, kind, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def emitted(emit: Callable[..., Any]) -> Any:
    """An intrinsic of a function that emits its code.

    Args:
        emit: receives the builder and what `named_arguments` makes of the arguments of
            a call, whose integers are taken as int64. It returns nothing, a bit or an
            integer, and says so.
    """
    annotation = inspect.signature(emit).return_annotation
    returned = {bool: types.boolean, int: types.int64}.get(annotation, types.void)

    def define(typing_context, *kinds):
        of = [
            types.int64 if isinstance(kind, types.Integer) else kind for kind in kinds
        ]

        def codegen(context, builder, signature, arguments):
            found = emit(
                builder, *named_arguments(context, builder, signature, arguments)
            )
            return context.get_dummy_value() if returned is types.void else found

        return returned(*of), codegen

    return intrinsic(functools.update_wrapper(define, emit))


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, lanes: int = LANES) -> ir.Value:
    vector = ir.VectorType(scalar.type, lanes)
    single = builder.insert_element(
        ir.Constant(vector, ir.Undefined), scalar, constant(0, 32)
    )
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def vector_intrinsic(
    builder: ir.IRBuilder, name: str, *arguments: ir.Value
) -> ir.Value:
    """Call an LLVM intrinsic of vectors, such as ``fma`` or ``fabs``."""
    vector = arguments[0].type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    kind = ir.FunctionType(vector, [vector] * len(arguments))
    full_name = f"llvm.{name}.v{vector.count}{suffix}"
    function = cgutils.get_or_insert_function(builder.module, kind, full_name)
    return builder.call(function, arguments)


def multiply_add(
    builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value
) -> ir.Value:
    """a * b + c, rounded once."""
    return vector_intrinsic(builder, "fma", a, b, c)


def splat(vector: ir.VectorType, value: float) -> ir.Constant:
    """A vector of one constant."""
    return ir.Constant(vector, [value] * vector.count)


def zeros(vector: ir.VectorType) -> ir.Constant:
    """A vector of zeros."""
    return splat(vector, 0.0)


def for_each_block_size(
    builder: ir.IRBuilder,
    block: ir.Value,
    sizes: Sequence[int],
    emit: Callable[[int], None],
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


class Lanes:
    """Operations on vectors of one floating-point type.

    Args:
        builder: where instructions are emitted.
        vector: the type, float32 or float64 elements.
    """

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType) -> None:
        self._builder = builder
        self._vector = vector

    def constant(self, value: float) -> ir.Constant:
        """The same number in every lane."""
        return splat(self._vector, value)

    def negate(self, a: ir.Value) -> ir.Value:
        """-a."""
        return self._builder.fneg(a)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a + b."""
        return self._builder.fadd(a, b)

    def subtract(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a - b."""
        return self._builder.fsub(a, b)

    def multiply(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a * b."""
        return self._builder.fmul(a, b)

    def divide(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """a / b."""
        return self._builder.fdiv(a, b)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once."""
        return multiply_add(self._builder, a, b, c)

    def absolute(self, a: ir.Value) -> ir.Value:
        """|a|."""
        return vector_intrinsic(self._builder, "fabs", a)

    def maximum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """The larger of a and b."""
        return vector_intrinsic(self._builder, "maxnum", a, b)

    def where_below(
        self, a: ir.Value, bound: ir.Value, then: ir.Value, otherwise: ir.Value
    ) -> ir.Value:
        """`then` in the lanes where a < bound, else `otherwise`."""
        return self._builder.select(
            self._builder.fcmp_ordered("<", a, bound), then, otherwise
        )

    def exponential(self, x: ir.Value) -> ir.Value:
        """exp(x) for x <= 0: 2^n exp(r) with |r| <= ln(2) / 2 and exp(r) by its Taylor
        series.

        The series' remainder is below the rounding error of the type (degree 7 for
        float32, 13 for float64). Where the result would be a denormal number, or its
        products could, it is 0.
        """
        builder = self._builder
        vector = self._vector
        single = isinstance(vector.element, ir.FloatType)
        degree, fraction_bits, bias, lowest = (
            (7, 23, 127, -60.0) if single else (13, 52, 1023, -600.0)
        )
        integers = ir.VectorType(ir.IntType(32 if single else 64), LANES)
        vanishes = builder.fcmp_ordered("<", x, splat(vector, lowest))
        x = builder.select(vanishes, zeros(vector), x)
        n = vector_intrinsic(
            builder, "rint", builder.fmul(x, splat(vector, 1 / math.log(2)))
        )
        high = 0.693145751953125
        r = multiply_add(builder, n, splat(vector, -high), x)
        r = multiply_add(builder, n, splat(vector, high - math.log(2)), r)
        total = splat(vector, 1 / math.factorial(degree))
        for power in range(degree - 1, -1, -1):
            total = multiply_add(
                builder, total, r, splat(vector, 1 / math.factorial(power))
            )
        exponent = builder.fptosi(n, integers)
        exponent = builder.add(exponent, ir.Constant(integers, [bias] * LANES))
        exponent = builder.shl(exponent, ir.Constant(integers, [fraction_bits] * LANES))
        value = builder.fmul(total, builder.bitcast(exponent, vector))
        return builder.select(vanishes, zeros(vector), value)


CACHE_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros whose first element begins a cache line, so that vectors do not straddle
    two.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(kind).reshape(shape)


def padded(size: int, multiple: int = LANES) -> int:
    """The smallest multiple of whole vectors that holds `size` elements."""
    return -(-size // multiple) * multiple


@functools.lru_cache(maxsize=64)
def even_parts(total: int, parts: int) -> NDArray[np.int64]:
    """Bounds of contiguous parts that differ by one at most, int64 [parts + 1]."""
    bounds: NDArray[np.int64] = np.arange(parts + 1, dtype=np.int64) * total // parts
    return bounds
