"""Emitting LLVM instructions on vectors of 16 elements.

From ``row[j] += weight[j]`` inside a loop over events, LLVM makes a load, an addition
and a store of ``row[j]`` for every event, since it cannot know that the arrays do not
overlap. Emitted kernels (in the ``kernels`` packages and in streams.py) keep such sums
in registers over the whole loop.

The code runs on any processor: LLVM splits a vector into registers of the width that
the machine has. Every multiply-add is rounded once on every machine, and each element
is computed in the same way in any block, so neither width nor block changes a result.

Python code of an emitted kernel runs once, when the kernel is compiled. A Python loop
therefore unrolls; ``with each_below(...)`` emits a loop of the kernel.
docs/explanation/reading-the-kernels.md has a worked example.
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
"""Elements of a vector; layer sizes are padded to a multiple of it."""

INDEX = ir.IntType(64)


def constant(value: int, bits: int = 64) -> ir.Constant:
    """Return an integer constant."""
    return ir.Constant(ir.IntType(bits), value)


class Index:
    """A 64-bit integer of the kernel, whose Python operators emit instructions.

    llvmlite's builders accept it in place of their own values, because it has their
    `type` and `get_reference`.
    """

    type = INDEX

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self._builder = builder
        self._value = value

    def get_reference(self) -> str:
        """Return the name by which instructions refer to the value."""
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
    """Emit a loop over the numbers below `count`; its body is what the block emits."""
    with cgutils.for_range(builder, count, intp=INDEX) as loop:
        yield Index(builder, loop.index)


@contextmanager
def each_between(builder: ir.IRBuilder, first: Any, end: Any) -> Iterator[Index]:
    """Emit a loop over the numbers from `first` to `end`, which is excluded."""
    with cgutils.for_range_slice(builder, first, end, constant(1), INDEX) as (
        number,
        _,
    ):
        yield Index(builder, number)


@contextmanager
def each_of(
    builder: ir.IRBuilder, bounds: "EmittedArray", number: Index
) -> Iterator[Index]:
    """Emit a loop from ``bounds[number]`` to ``bounds[number + 1]``, excluded."""
    first = bounds.load_index(number)
    with each_between(builder, first, bounds.load_index(number + 1)) as place:
        yield place


class EmittedArray:
    """A flat array argument of a kernel while its code is emitted."""

    def __init__(
        self, context: Any, builder: ir.IRBuilder, array_type: Any, array: Any
    ) -> None:
        self.builder = builder
        self.pointer = context.make_array(array_type)(context, builder, array).data
        self.element = context.get_data_type(array_type.dtype)
        self.vector = ir.VectorType(self.element, LANES)
        # 32 registers of 512 bits; other processors need several registers per vector.
        self.has_avx512 = "+avx512f" in context.codegen().magic_tuple()[2]
        # Vectors are loaded and stored with the alignment of one element: a row of a
        # NumPy array need not begin at a multiple of the vector's size.
        self.alignment = array_type.dtype.bitwidth // 8

    def load(self, index: ir.Value) -> ir.Value:
        """Emit a load of one element."""
        return self.builder.load(self.builder.gep(self.pointer, [index]))

    def load_index(self, index: ir.Value) -> Index:
        """Emit a load of an unsigned integer, extended to 64 bits."""
        return Index(self.builder, self.builder.zext(self.load(index), INDEX))

    def _vector_pointer(self, index: ir.Value) -> ir.Value:
        address = self.builder.gep(self.pointer, [index])
        return self.builder.bitcast(address, self.vector.as_pointer())

    def load_vector(self, index: ir.Value) -> ir.Value:
        """Emit a load of 16 elements from `index` on."""
        return self.builder.load(self._vector_pointer(index), align=self.alignment)

    def store_vector(self, value: ir.Value, index: ir.Value) -> None:
        """Emit a store of 16 elements from `index` on."""
        self.builder.store(value, self._vector_pointer(index), align=self.alignment)

    def store(self, value: ir.Value, index: ir.Value) -> None:
        """Emit a store of one element."""
        self.builder.store(value, self.builder.gep(self.pointer, [index]))


def prefetch(builder: ir.IRBuilder, array: EmittedArray, index: Index) -> None:
    """Emit a hint that the cache line of an element is read soon."""
    kind = ir.FunctionType(
        ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3]
    )
    function = cgutils.get_or_insert_function(
        builder.module, kind, "llvm.prefetch.p0i8"
    )
    address = builder.gep(array.pointer, [index])
    address = builder.bitcast(address, ir.IntType(8).as_pointer())
    is_read, all_levels, is_data = constant(0, 32), constant(3, 32), constant(1, 32)
    builder.call(function, [address, is_read, all_levels, is_data])


class Registers:
    """Neighbouring vectors of a row that LLVM keeps in registers.

    Each is a variable of the kernel ("cell") on its stack. LLVM moves such variables to
    registers, since their addresses are never computed with; values need not be passed
    through the loops by hand.

    Args:
        builder: receives the instructions.
        vector: type of each vector.
        size: number of vectors.
    """

    def __init__(self, builder: ir.IRBuilder, vector: ir.VectorType, size: int) -> None:
        self._builder = builder
        self.cells = [cgutils.alloca_once(builder, vector) for _ in range(size)]

    def by_column(self) -> Iterator[tuple[int, ir.Value]]:
        """Yield the first column of each vector in the row, and its cell."""
        for k, cell in enumerate(self.cells):
            yield LANES * k, cell

    def fill(self, value: ir.Value) -> None:
        """Set every vector to the same value."""
        for cell in self.cells:
            self._builder.store(value, cell)

    def load(self, array: EmittedArray, start: Index) -> None:
        """Load the row of an array that begins at `start`."""
        for column, cell in self.by_column():
            self._builder.store(array.load_vector(start + column), cell)

    def store(self, array: EmittedArray, start: Index) -> None:
        """Store to the row of an array that begins at `start`."""
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
        """Add a vector times each vector of a row; product and sum round once."""
        for vector, cell in zip(row, self.cells, strict=True):
            total = multiply_add(
                self._builder, factor, vector, self._builder.load(cell)
            )
            self._builder.store(total, cell)


def load_row(array: EmittedArray, start: Index, size: int) -> list[ir.Value]:
    """Load `size` vectors of an array from `start` on."""
    return [array.load_vector(start + LANES * k) for k in range(size)]


def _named(context, builder, kind, value):
    """Wrap one argument, see :func:`named_arguments`."""
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
    """Wrap the arguments of an intrinsic for emitting code.

    Arrays become :class:`EmittedArray`, integers :class:`Index`; a named tuple becomes
    one of the same class with wrapped fields.
    """
    return [
        _named(context, builder, kind, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def emitted(emit: Callable[..., Any]) -> Any:
    """Make an intrinsic of a function that emits its code.

    Args:
        emit: receives the builder and the call's arguments, wrapped by
            `named_arguments`; integers are converted to int64. It is annotated to
            return ``bool`` or ``int`` if it returns anything.
    """
    annotation = inspect.signature(emit).return_annotation
    returned = {bool: types.boolean, int: types.int64}.get(annotation, types.void)

    def define(typing_context, *kinds):
        taken = [
            types.int64 if isinstance(kind, types.Integer) else kind for kind in kinds
        ]

        def codegen(context, builder, signature, arguments):
            wrapped = named_arguments(context, builder, signature, arguments)
            value = emit(builder, *wrapped)
            return context.get_dummy_value() if returned is types.void else value

        return returned(*taken), codegen

    return intrinsic(functools.update_wrapper(define, emit))


def broadcast(builder: ir.IRBuilder, scalar: ir.Value, lanes: int = LANES) -> ir.Value:
    """Emit a vector that has one number in all lanes."""
    vector = ir.VectorType(scalar.type, lanes)
    single = builder.insert_element(
        ir.Constant(vector, ir.Undefined), scalar, constant(0, 32)
    )
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def vector_intrinsic(
    builder: ir.IRBuilder, name: str, *arguments: ir.Value
) -> ir.Value:
    """Emit a call of an LLVM intrinsic on vectors, such as ``fma`` or ``fabs``."""
    vector = arguments[0].type
    suffix = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    kind = ir.FunctionType(vector, [vector] * len(arguments))
    full_name = f"llvm.{name}.v{vector.count}{suffix}"
    function = cgutils.get_or_insert_function(builder.module, kind, full_name)
    return builder.call(function, arguments)


def multiply_add(
    builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value
) -> ir.Value:
    """Emit a * b + c, rounded once (LLVM uses a library call without an FMA unit)."""
    return vector_intrinsic(builder, "fma", a, b, c)


def splat(vector: ir.VectorType, value: float) -> ir.Constant:
    """Return a constant vector with one number in all lanes."""
    return ir.Constant(vector, [value] * vector.count)


def zeros(vector: ir.VectorType) -> ir.Constant:
    """Return a constant vector of zeros."""
    return splat(vector, 0.0)


def for_each_block_size(
    builder: ir.IRBuilder,
    block: ir.Value,
    sizes: Sequence[int],
    emit: Callable[[int], None],
) -> None:
    """Emit the code of `emit` for each size, and a jump to that of `block` at run time.

    The number of registers has to be known when the code is emitted; the size of a
    block is known only when it runs.
    """
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
    """Arithmetic on vectors of one floating-point type, for emitted formulas.

    Args:
        builder: receives the instructions.
        vector: the type, with elements of float32 or float64.
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
        """Emit exp(x) for x <= 0 as 2^n exp(r), |r| <= ln(2) / 2.

        exp(r) is a Taylor series whose remainder is below the rounding error of the
        type (degree 7 for float32, 13 for float64). LLVM's own exponential would call
        the math library for each lane. Below exp(-60) (float32) or exp(-600), where the
        result or a product with it could become a denormal number, the result is 0.
        """
        builder = self._builder
        vector = self._vector
        if isinstance(vector.element, ir.FloatType):
            degree = 7
            fraction_bits = 23
            exponent_bias = 127
            lowest = -60.0
            integers = ir.VectorType(ir.IntType(32), LANES)
        else:
            degree = 13
            fraction_bits = 52
            exponent_bias = 1023
            lowest = -600.0
            integers = ir.VectorType(ir.IntType(64), LANES)
        vanishes = builder.fcmp_ordered("<", x, splat(vector, lowest))
        x = builder.select(vanishes, zeros(vector), x)
        in_powers = builder.fmul(x, splat(vector, 1 / math.log(2)))
        n = vector_intrinsic(builder, "rint", in_powers)
        # r = x - n ln(2), with ln(2) in two parts. The first has few bits, so its
        # product with n is exact and the difference loses no digits.
        high = 0.693145751953125
        r = multiply_add(builder, n, splat(vector, -high), x)
        r = multiply_add(builder, n, splat(vector, high - math.log(2)), r)
        total = splat(vector, 1 / math.factorial(degree))
        for power in range(degree - 1, -1, -1):
            coefficient = splat(vector, 1 / math.factorial(power))
            total = multiply_add(builder, total, r, coefficient)
        # 2^n: n plus the bias, shifted to the exponent bits of a float.
        exponent = builder.fptosi(n, integers)
        exponent = builder.add(exponent, splat(integers, exponent_bias))
        exponent = builder.shl(exponent, splat(integers, fraction_bits))
        value = builder.fmul(total, builder.bitcast(exponent, vector))
        return builder.select(vanishes, zeros(vector), value)


CACHE_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros that begin at a cache line, so that no vector crosses two lines.

    NumPy's own arrays may begin elsewhere.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[start : start + size].view(kind).reshape(shape)


def padded(size: int, multiple: int = LANES) -> int:
    """Round `size` up to a multiple."""
    return -(-size // multiple) * multiple


@functools.lru_cache(maxsize=64)
def even_parts(total: int, parts: int) -> NDArray[np.int64]:
    """Return bounds of contiguous parts of almost equal size, int64 [parts + 1]."""
    bounds: NDArray[np.int64] = np.arange(parts + 1, dtype=np.int64) * total // parts
    return bounds
