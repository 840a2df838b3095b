"""Surrogate derivatives in vector registers (formulas, sources: spikejoule/model/surrogate.py)."""

import math

from llvmlite import ir

from spikejoule.foundation.compiling.emit import LANES, multiply_add, splat, vector_intrinsic, zeros

SURROGATE_CODES = {
    name: code
    for code, name in enumerate(
        ("constant", "arctangent", "fast_sigmoid", "sigmoid", "triangle", "boxcar", "gaussian")
    )
}


def surrogate_constants(name: str, slope: float) -> tuple[int, float, float]:
    """Code of a surrogate and the two constants of its derivative (formulas in surrogate.py)."""
    a, b = {
        "constant": (slope, 0.0),
        "arctangent": (slope / 2, (math.pi / 2 * slope) ** 2),
        "fast_sigmoid": (1.0, slope),
        "sigmoid": (slope, slope),
        "triangle": (slope, 1.0),
        "boxcar": (slope, 1 / (2 * slope)),
        "gaussian": (slope / math.sqrt(2 * math.pi), slope**2 / 2),
    }[name]
    return SURROGATE_CODES[name], a, b


def _exponential(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """exp(x) for x <= 0: 2^n exp(r) with |r| <= ln(2) / 2 and exp(r) by its Taylor series.

    The series' remainder is below the rounding error of the type (degree 7 for float32, 13 for
    float64). Where the result would be a denormal number, or its products could, it is 0.
    """
    vector = x.type
    single = isinstance(vector.element, ir.FloatType)
    degree, fraction_bits, bias, lowest = (7, 23, 127, -60.0) if single else (13, 52, 1023, -600.0)
    bits = ir.IntType(32 if single else 64)
    integers = ir.VectorType(bits, LANES)
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


def derivative_at(
    builder: ir.IRBuilder, code: int, x: ir.Value, a: ir.Value, b: ir.Value
) -> ir.Value:
    """The surrogate derivative at x = v - threshold."""
    one = splat(x.type, 1.0)
    if code == SURROGATE_CODES["constant"]:
        return a
    if code == SURROGATE_CODES["arctangent"]:
        square = builder.fmul(x, x)
        return builder.fdiv(a, multiply_add(builder, b, square, one))
    distance = vector_intrinsic(builder, "fabs", x)
    if code == SURROGATE_CODES["fast_sigmoid"]:
        root = builder.fdiv(a, multiply_add(builder, b, distance, one))
        return builder.fmul(root, root)
    if code == SURROGATE_CODES["sigmoid"]:
        tail = _exponential(builder, builder.fneg(builder.fmul(b, distance)))
        root = builder.fdiv(one, builder.fadd(one, tail))
        return builder.fmul(builder.fmul(a, tail), builder.fmul(root, root))
    if code == SURROGATE_CODES["triangle"]:
        height = builder.fsub(one, distance)
        return builder.fmul(a, vector_intrinsic(builder, "maxnum", height, zeros(x.type)))
    if code == SURROGATE_CODES["boxcar"]:
        inside = builder.fcmp_ordered("<", distance, b)
        return builder.select(inside, a, zeros(x.type))
    exponent = builder.fneg(builder.fmul(b, builder.fmul(x, x)))
    return builder.fmul(a, _exponential(builder, exponent))
