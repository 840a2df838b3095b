"""Surrogate derivatives in vector registers; each stands in spikejoule/model/surrogates."""

from llvmlite import ir

from spikejoule.core.compiling.emit import Lanes
from spikejoule.model.surrogates import SURROGATES

SURROGATE_CODES = {name: code for code, name in enumerate(SURROGATES)}
"""By which kernels know a surrogate: its place in the alphabet."""

_BY_CODE = tuple(SURROGATES.values())


def derivative_at(
    builder: ir.IRBuilder, code: int, x: ir.Value, a: ir.Value, b: ir.Value
) -> ir.Value:
    """The surrogate derivative at x = v - threshold."""
    return _BY_CODE[code].emit(Lanes(builder, x.type), x, a, b)
