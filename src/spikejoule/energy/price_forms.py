"""The forms of a price: a number, a range, by the widths of words, by memory size.

A form gives the price of one operation of a column (`operations.Column`), an `Energy`
in pJ. A file may state prices in another unit, which is passed as validation context.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)

from spikejoule.energy.estimates import Energy
from spikejoule.energy.operations import Column

_BITS_PER_BYTE = 8


def _in_pj(number: float, info: ValidationInfo) -> float:
    """Convert a price to pJ; the file's unit is passed as validation context."""
    pj_per_unit: float = (info.context or {}).get("pj_per_unit", 1)
    return number * pj_per_unit


# From below the energy of erasing one bit at room temperature (3e-9 pJ) to one joule:
# anything outside is a typing error. A price that is missing is left out, not zero.
_Pj = Annotated[float, Field(strict=True, ge=1e-9, le=1e12), AfterValidator(_in_pj)]
_PjOrFree = Annotated[float, Field(strict=True, ge=0, le=1e12), AfterValidator(_in_pj)]
_Size = Annotated[float, Field(strict=True, ge=0, le=1e15)]


def _is_ascending(numbers: Sequence[float]) -> bool:
    return sorted(numbers) == [*numbers]


class _Form(BaseModel):
    """A form that is a mapping in a price file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _three_values(node: Any) -> Any:
    """Read a number as a range without width."""
    return node if isinstance(node, list | tuple) else (node, node, node)


def _ascending(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if not _is_ascending(numbers):
        raise ValueError("a price range must be [low, value, high], ascending")
    return numbers


_PjRange = Annotated[
    tuple[_Pj, _Pj, _Pj], BeforeValidator(_three_values), AfterValidator(_ascending)
]
_FREE = (0.0, 0.0, 0.0)


class PriceByWidth(_Form):
    """The price of an operation in pJ, a sum of terms by width.

    Attributes:
        per_bit, per_bit_squared: times the width of the word, and times its square.
        per_product_bit: times the product of the widths of both factors; a number, or
            [low, value, high], ascending.
        per_sum_bit: times the width of the sum; a number or a range, too.
    """

    per_bit: _Pj = 0.0
    per_bit_squared: _Pj = 0.0
    per_product_bit: _PjRange = _FREE
    per_sum_bit: _PjRange = _FREE

    def pj(self, column: Column) -> Energy:
        """Return the price at the widths of a column."""
        pj = self.per_bit * column.bits + self.per_bit_squared * column.bits**2
        low, value, high = (
            pj + per_product_bit * column.product_bits + per_sum_bit * column.sum_bits
            for per_product_bit, per_sum_bit in zip(
                self.per_product_bit, self.per_sum_bit, strict=True
            )
        )
        return Energy(low, value, high)

    @property
    def is_by_word(self) -> bool:
        """Whether it depends on the width of a word."""
        return bool(self.per_bit or self.per_bit_squared)

    @property
    def is_by_arithmetic(self) -> bool:
        """Whether it depends on the width of a product or a sum."""
        return any(self.per_product_bit) or any(self.per_sum_bit)


_Point = tuple[_Size, _PjOrFree]


class MemoryPrice(_Form):
    """Price of a memory access by memory size: per byte, or per word.

    Attributes:
        pj_per_byte: points (memory size in bytes, pJ per byte accessed) in ascending
            order; linear in between, constant outside. A first point of 0 bytes
            extrapolates below the smallest memory of a source; without it, that
            memory's price is a floor. None if the next two are given.
        access: pJ per word, at any width.
        access_per_bit_stored: further pJ per word for each bit that the memory holds.
        parameters: ``joined`` if one memory holds a layer's weights, indices and
            biases.
    """

    pj_per_byte: tuple[_Point, ...] | None = None
    access: _Pj | None = None
    access_per_bit_stored: _Pj | None = None
    parameters: Literal["joined", "separate"] = "separate"

    @model_validator(mode="after")
    def _is_per_byte_or_per_word(self) -> Self:
        sizes = [size for size, _ in self.pj_per_byte or ()]
        if (self.pj_per_byte is None) == (self.access is None):
            raise ValueError("it needs either pj_per_byte or access")
        if sizes and self.access_per_bit_stored is not None:
            raise ValueError("access_per_bit_stored needs access, not pj_per_byte")
        if self.access is None and (not sizes or sorted(set(sizes)) != sizes):
            raise ValueError(
                "pj_per_byte must be points [bytes, price] of ascending sizes"
            )
        return self

    def pj(self, column: Column) -> Energy:
        """Return the price of accessing one word of a column."""
        stored = column.memory_bits
        if self.parameters == "joined" and column.parameters_bits:
            stored = column.parameters_bits
        if self.pj_per_byte is None:
            pj = (self.access or 0.0) + (self.access_per_bit_stored or 0.0) * stored
        else:
            sizes, prices = zip(*self.pj_per_byte, strict=True)
            per_byte = float(np.interp(stored / _BITS_PER_BYTE, sizes, prices))
            pj = column.bits / _BITS_PER_BYTE * per_byte
        return Energy(pj, pj, pj)


AnyPrice = Energy | PriceByWidth | Literal["by_size"]


# Building an adapter takes longer than using it.
_NUMBER: TypeAdapter[float] = TypeAdapter(_Pj)
_RANGE: TypeAdapter[list[float]] = TypeAdapter(list[_Pj])


def _any_price(node: Any, info: ValidationInfo) -> AnyPrice:
    """Read a price: a number, a range, by width, or `by_size` of the memory."""
    if isinstance(node, Energy | PriceByWidth):
        return node
    if isinstance(node, dict) and node:
        return PriceByWidth.model_validate(node, context=info.context)
    if isinstance(node, str):
        if node != "by_size":
            raise ValueError(f"it is {node!r}, but must be 'by_size' or a number")
        return "by_size"
    if isinstance(node, list | tuple):
        numbers = _RANGE.validate_python(node, context=info.context)
        if len(numbers) not in (2, 3) or not _is_ascending(numbers):
            raise ValueError(
                "a price range must be [low, high] or [low, value, high], ascending"
            )
        return Energy(
            numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1]
        )
    pj = _NUMBER.validate_python(node, context=info.context)
    return Energy(pj, pj, pj)


Prices = dict[str, Annotated[AnyPrice, BeforeValidator(_any_price)]]
