"""Arithmetic on vectors of LANES elements, for formulas that kernels emit.

Each method emits one operation and returns its result. A multiply-add is rounded once everywhere.
"""

import math

from llvmlite import ir

from spikejoule.core.compiling.emit import (
    LANES,
    multiply_add,
    splat,
    vector_intrinsic,
    zeros,
)


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
        return self._builder.select(self._builder.fcmp_ordered("<", a, bound), then, otherwise)

    def exponential(self, x: ir.Value) -> ir.Value:
        """exp(x) for x <= 0: 2^n exp(r) with |r| <= ln(2) / 2 and exp(r) by its Taylor series.

        The series' remainder is below the rounding error of the type (degree 7 for float32, 13 for
        float64). Where the result would be a denormal number, or its products could, it is 0.
        """
        builder, vector = self._builder, self._vector
        single = isinstance(vector.element, ir.FloatType)
        degree, fraction_bits, bias, lowest = (
            (7, 23, 127, -60.0) if single else (13, 52, 1023, -600.0)
        )
        integers = ir.VectorType(ir.IntType(32 if single else 64), LANES)
        vanishes = builder.fcmp_ordered("<", x, splat(vector, lowest))
        x = builder.select(vanishes, zeros(vector), x)
        n = vector_intrinsic(builder, "rint", builder.fmul(x, splat(vector, 1 / math.log(2))))
        high = 0.693145751953125
        r = multiply_add(builder, n, splat(vector, -high), x)
        r = multiply_add(builder, n, splat(vector, high - math.log(2)), r)
        total = splat(vector, 1 / math.factorial(degree))
        for power in range(degree - 1, -1, -1):
            total = multiply_add(builder, total, r, splat(vector, 1 / math.factorial(power)))
        exponent = builder.fptosi(n, integers)
        exponent = builder.add(exponent, ir.Constant(integers, [bias] * LANES))
        exponent = builder.shl(exponent, ir.Constant(integers, [fraction_bits] * LANES))
        value = builder.fmul(total, builder.bitcast(exponent, vector))
        return builder.select(vanishes, zeros(vector), value)
