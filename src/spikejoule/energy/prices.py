"""What one operation costs: a number, or one that depends on a width or on a memory's size."""

from dataclasses import dataclass

import numpy as np

from spikejoule.energy.operations import Column

_BITS_PER_BYTE = 8


@dataclass(frozen=True)
class Price:
    """Picojoules of one operation: a single value, a bracket, or a value within a bracket.

    `value_pj` is None where only the bracket's ends are known.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float

    def at(self, column: Column) -> "Price":
        """The same at every place."""
        return self


@dataclass(frozen=True)
class PriceByWidth:
    """constant + per_bit b + per_bit_squared b^2 picojoules for an operation on b bits."""

    constant_pj: float
    per_bit_pj: float
    per_bit_squared_pj: float

    def at(self, column: Column) -> Price:
        """At the width of a column."""
        bits = column.bits
        return _exactly(
            self.constant_pj + self.per_bit_pj * bits + self.per_bit_squared_pj * bits**2
        )


@dataclass(frozen=True)
class Memory:
    """What an access to a memory costs, by its size.

    Attributes:
        pj_per_byte: (bytes, picojoules for each byte read or written), ascending: linear between
            the points, constant beyond the last; None for the next two.
        access_pj: picojoules of an access to a word, whatever its width.
        access_pj_per_bit_stored: and for each bit that the memory holds.
        joined: whether a layer's weights, indices and biases lie in one memory.
    """

    pj_per_byte: tuple[tuple[float, float], ...] | None = None
    access_pj: float = 0.0
    access_pj_per_bit_stored: float = 0.0
    joined: bool = False

    def access(self, column: Column) -> float:
        """Picojoules of a word of a column's width in a column's memory."""
        stored = column.memory_bits
        if self.joined and column.parameters_bits:
            stored = column.parameters_bits
        if self.pj_per_byte is None:
            return self.access_pj + self.access_pj_per_bit_stored * stored
        sizes, prices = zip(*self.pj_per_byte, strict=True)
        per_byte = float(np.interp(stored / _BITS_PER_BYTE, sizes, prices))
        return column.bits / _BITS_PER_BYTE * per_byte


@dataclass(frozen=True)
class PriceBySize:
    """The price of an access to a memory as large as the network needs it."""

    memory: Memory

    def at(self, column: Column) -> Price:
        """Of the memory of a column."""
        return _exactly(self.memory.access(column))


AnyPrice = Price | PriceByWidth | PriceBySize


def _exactly(number_pj: float) -> Price:
    return Price(number_pj, number_pj, number_pj)
