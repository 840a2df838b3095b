"""Prices: what one operation costs, after whom, what the figure covers, and what a
total holds.

A price file is YAML. A profile in it is checked by the model that it is read into, and
refused with its line and the reason if anything is wrong.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.yaml_files import read_yaml
from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import Column, OperationCounts
from spikejoule.energy.terms import TERMS, UPDATES, priceable
from spikejoule.network.quantisation import FLOAT_BITS

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The prices that come with the project."""

_BITS_PER_BYTE = 8
_REFERENCE = re.compile(r"doi:10\.|arXiv:\d|https?://", flags=re.IGNORECASE)

_LISTS: dict[str, dict[str, str]] = read_yaml(
    Path(__file__).with_name("closed_lists.yaml"), ArtifactError
)
SCOPES: Final = _LISTS["scopes"]
"""The closed list of what a profile's prices cover."""

EVIDENCE: Final = _LISTS["evidence"]
"""The closed list of how a profile's prices were obtained."""

NUMBERS: Final = _LISTS["numbers"]
"""The closed list of the numbers that a profile's prices are for."""

TERMS_OF: Final = {
    **{scope: priceable(scope) for scope in ("arithmetic", "memory", "system")},
    **dict.fromkeys(("per_event", "incremental", "contested"), priceable("chip")),
    "all_in": ("synaptic_event",),
}
"""What a profile of each scope may price."""

Status = Literal["priced", "covered", "unpriced"]


def _one_of(allowed: Mapping[str, object]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not allowed; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _with_reference(source: str) -> str:
    if not _REFERENCE.search(source):
        raise ValueError("it lacks a doi:, an arXiv: number or an address")
    return source


def _in_pj(number: float, info: ValidationInfo) -> float:
    """A price in picojoules; the unit of the file is the context of its validation."""
    pj_per_unit: float = (info.context or {}).get("pj_per_unit", 1)
    return number * pj_per_unit


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# From below what erasing a bit takes at room temperature (3e-9 pJ) to a joule in pJ:
# what lies beyond is a slip. A price that is not there is left out.
_Pj = Annotated[float, Field(strict=True, ge=1e-9, le=1e12), AfterValidator(_in_pj)]
_PjOrFree = Annotated[float, Field(strict=True, ge=0, le=1e12), AfterValidator(_in_pj)]
_Size = Annotated[float, Field(strict=True, ge=0, le=1e15)]


class _Mapping(BaseModel):
    """A mapping of a price file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Price:
    """Picojoules of one operation: a single value, a bracket, or a value within a
    bracket.

    `value_pj` is None where only the bracket's ends are known.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float


class PriceByWidth(_Mapping):
    """constant + per_bit b + per_bit_squared b^2 picojoules for an operation on b
    bits.
    """

    constant: _Pj = 0.0
    per_bit: _Pj = 0.0
    per_bit_squared: _Pj = 0.0

    def pj(self, column: Column) -> float:
        """Picojoules at the width of a column."""
        return (
            self.constant
            + self.per_bit * column.bits
            + self.per_bit_squared * column.bits**2
        )


class MemoryPrice(_Mapping):
    """What an access to a memory costs, by its size: points for each byte, or a sum a
    word.

    Attributes:
        pj_per_byte: (bytes, picojoules for each byte read or written), ascending:
            linear between the points, constant below the first and beyond the last;
            None for the next two. A point of 0 bytes extrapolates below a source's
            smallest memory; without it that is a floor.
        access: picojoules of an access to a word, whatever its width.
        access_per_bit_stored: and for each bit that the memory holds.
        parameters: ``joined`` if a layer's weights, indices and biases are in one
            memory.
    """

    pj_per_byte: tuple[tuple[_Size, _PjOrFree], ...] | None = None
    access: _Pj | None = None
    access_per_bit_stored: _Pj | None = None
    parameters: Literal["joined", "separate"] = "separate"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        sizes = [size for size, _ in self.pj_per_byte or ()]
        if (self.pj_per_byte is None) == (self.access is None):
            raise ValueError("it needs either pj_per_byte or access")
        if sizes and self.access_per_bit_stored is not None:
            raise ValueError(
                "access_per_bit_stored goes with access, not with pj_per_byte"
            )
        if self.access is None and (not sizes or sorted(set(sizes)) != sizes):
            raise ValueError(
                "pj_per_byte must be points [bytes, price] of ascending sizes"
            )
        return self

    def pj(self, column: Column) -> float:
        """Picojoules of a word of a column's width in a column's memory."""
        stored = column.memory_bits
        if self.parameters == "joined" and column.parameters_bits:
            stored = column.parameters_bits
        if self.pj_per_byte is None:
            return (self.access or 0.0) + (self.access_per_bit_stored or 0.0) * stored
        sizes, prices = zip(*self.pj_per_byte, strict=True)
        per_byte = float(np.interp(stored / _BITS_PER_BYTE, sizes, prices))
        return column.bits / _BITS_PER_BYTE * per_byte


AnyPrice = Price | PriceByWidth | Literal["by_size"]


def _any_price(node: Any, info: ValidationInfo) -> AnyPrice:
    """The forms of a price: by the bits, a bracket, `by_size` of a memory, or a
    number.
    """
    if isinstance(node, Price | PriceByWidth):
        return node
    if isinstance(node, dict) and node:
        return PriceByWidth.model_validate(node, context=info.context)
    if isinstance(node, str):
        if node != "by_size":
            raise ValueError(f"it is {node!r}, but must be 'by_size', or a number")
        return "by_size"
    if isinstance(node, list | tuple):
        numbers = TypeAdapter(list[_Pj]).validate_python(node, context=info.context)
        if len(numbers) not in (2, 3) or sorted(numbers) != numbers:
            raise ValueError(
                "a price range must be [low, high] or [low, number, high], ascending"
            )
        return Price(numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1])
    pj: float = TypeAdapter(_Pj).validate_python(node, context=info.context)
    return Price(pj, pj, pj)


class HardwareProfile(_Mapping):
    """Prices of one piece of hardware from one source.

    Attributes:
        id: by which parameters and commands name it.
        title: for people.
        process: such as ``45 nm``.
        year: of the source.
        source: reference, with its DOI or arXiv number.
        scope: what the prices cover, one of `SCOPES`.
        evidence: how they were obtained, one of `EVIDENCE`.
        unit: of the prices in the file, pJ or nJ; here all are in pJ.
        prices: by term (`TERMS_OF` its scope).
        notes: what a reader has to know besides, if anything.
        numbers: what they are the prices of arithmetic with, one of `NUMBERS`.
        memory: the prices of accesses by size; None where no price is ``by_size``.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    title: Text
    process: Text
    year: Annotated[int, Field(ge=1900, le=2099)]
    source: Annotated[Text, AfterValidator(_with_reference)]
    scope: Annotated[str, _one_of(SCOPES)]
    evidence: Annotated[str, _one_of(EVIDENCE)]
    unit: Literal["pJ", "nJ"]
    numbers: Annotated[str, _one_of(NUMBERS)] = "any"
    notes: Text | None = None
    memory: MemoryPrice | None = None
    prices: Annotated[
        dict[str, Annotated[AnyPrice, BeforeValidator(_any_price)]], Field(min_length=1)
    ]

    @model_validator(mode="after")
    def _prices_fit(self) -> Self:
        """What must hold between the scope and the prices, and between prices."""
        allowed = TERMS_OF[self.scope]
        is_scaled = self.scope in ("system", "memory")
        for term, price in self.prices.items():
            if term not in allowed:
                raise ValueError(
                    f"prices.{term} is nothing that scope {self.scope} can price; "
                    "allowed: "
                    f"{', '.join(allowed)}"
                )
            if not isinstance(price, Price) and not is_scaled:
                raise ValueError(
                    f"prices.{term} depends on a width or a size, which scope "
                    f"{self.scope} does not allow; allowed: system and memory"
                )
            if price == "by_size" and self.memory is None:
                raise ValueError(f"prices.{term} is by_size, but there is no memory")
        fixed = [price for price in self.prices.values() if isinstance(price, Price)]
        has_range = any(price.low_pj < price.high_pj for price in fixed)
        if self.scope == "contested" and not has_range:
            raise ValueError("prices of scope contested need a range [low, high]")
        if sum(update in self.prices for update in UPDATES) == 1:
            raise ValueError(
                "prices need active and inactive neuron updates, both or neither, "
                "as one of the "
                "two would be free"
            )
        return self

    @property
    def compares(self) -> bool:
        """Whether it prices spiking and conventional networks alike: no chip of either
        does.
        """
        return self.scope in ("arithmetic", "memory", "system")

    def runs(self, weight_bits: int) -> bool:
        """Whether these are prices of what a network of such weights computed with: of
        32 bits it is floating point, of less integers.

        Floating point of 32 bits holds the integers of a network exactly. No network
        here computes with 16.
        """
        widest = {
            "any": FLOAT_BITS,
            "float32": FLOAT_BITS,
            "int32": FLOAT_BITS - 1,
            "int8": 8,
        }
        return weight_bits <= widest.get(self.numbers, 0)

    def judges_width(self, weight_bits: int) -> bool:
        """Whether a verdict may take networks of such weights: a price list of
        arithmetic, which charges a product the same whatever its width, judges only
        networks of its own width."""
        if self.scope != "arithmetic" or self.numbers == "any":
            return True
        own = {"float32": FLOAT_BITS, "int8": 8}
        return weight_bits == own.get(self.numbers)

    def price_at(self, column: Column) -> tuple[float, float, float]:
        """Low, value and high of one operation of a column, in pJ.

        NaN if the profile has no price for it, and the value NaN where it has a bracket
        alone. A term that hardware may do without (`Term.optional_as`) costs nothing at
        the lower end and has no value, unless the profile has a price of its own for
        it.
        """
        stated = self.price_of(column.term)
        price = self.memory if isinstance(stated, str) else stated
        if price is None:
            return np.nan, np.nan, np.nan
        if isinstance(price, Price):
            low = price.low_pj
            value = price.value_pj
            high = price.high_pj
        else:
            low = value = high = price.pj(column)
        if TERMS[column.term].optional_as and column.term not in self.prices:
            low = 0.0
            value = None
        return low, np.nan if value is None else value, high

    def price_of(self, name: str) -> AnyPrice | None:
        """The price of one operation of a term; None if the profile has none.

        A profile of scope `arithmetic` prices what a term consists of.
        """
        own = self.prices.get(name)
        term = TERMS[name]
        if own is None and self.scope == "memory" and term.optional_as:
            return self.prices.get(term.optional_as)
        if own is None and self.scope == "arithmetic" and term.operation:
            return self.prices.get(term.operation)
        return own

    def status_of(self, name: str) -> Status:
        """Whether a term has a price, is covered by another's, or is not in a total.

        An all-in figure covers whatever inference does on the chip, and nothing of
        learning, of the products of constant currents, or of what is made outside of
        the chip: the spikes of an image, and the answer. A chip's price of an event or
        of an update covers what that consists of (`Term.within`).
        """
        if self.price_of(name) is not None:
            return "priced"
        covered = any(holder in self.prices for holder in TERMS[name].within)
        if self.scope == "all_in":
            covered = TERMS[name].side == "spiking"
        return (
            "covered"
            if covered and self.scope not in ("arithmetic", "system")
            else "unpriced"
        )


def prices_pj(columns: Sequence[Column], profile: HardwareProfile) -> Floats:
    """Low, value and high of one operation of C columns (`HardwareProfile.price_at`),
    [3, C].
    """
    return (
        np.array([profile.price_at(column) for column in columns])
        .reshape(-1, 3)
        .T.copy()
    )


def weights_of(pj: Floats) -> Floats:
    """What counts are multiplied with, from prices [3, C]: 0 without a price.

    All values are NaN where a column has a bracket alone: a total has none between its
    ends.
    """
    priced = ~np.isnan(pj[0])
    weights = np.where(priced, pj, 0.0)
    if np.isnan(pj[1, priced]).any():
        weights[1] = np.nan
    return weights


def price(counts: OperationCounts, profile: HardwareProfile) -> Floats:
    """The energy of each of N samples: lower end, value and upper end in pJ, float64
    [3, N].

    Integers in, picojoules out: the sum over all terms that the profile has a price for
    (`HardwareProfile.status_of`). The values are NaN if one of them has a bracket
    alone.
    """
    weights = weights_of(prices_pj(counts.columns, profile))
    return np.stack([counts.counts @ each for each in weights])


def measured_on_mnist() -> list[dict[str, Any]]:
    """What chips were measured to need for an MNIST digit, as published, most energy
    first.

    They are no prices but other networks on other chips, off the line that a profile
    draws through this network's counts: they say what order of magnitude a whole system
    has. Each has a `name`, `microjoules` per inference, `accuracy_percent`, `process`
    (None where it is unconfirmed), `source`, and `read_in`, where the figures were
    read. Whether a figure holds the whole chip is unconfirmed for each.
    """
    chips: list[dict[str, Any]] = read_yaml(
        Path(__file__).with_name("chips.yaml"), ArtifactError
    )
    return chips


def load_profiles(
    path: str | os.PathLike[str] | None = None,
) -> dict[str, HardwareProfile]:
    """Read a price file; returns its profiles by id, in the file's order.

    Args:
        path: the file; None for the packaged list.

    Raises:
        ParameterError: the file cannot be read, or holds something that is not allowed;
            one sentence with the file, the line and the reason.
    """
    file = Path(PACKAGED if path is None else path)
    content = read_yaml(file, ParameterError)
    if not isinstance(content, dict) or not content:
        raise ParameterError(f"{file} must hold profiles of prices, each under its id.")
    profiles = {}
    for name, fields in content.items():
        if not isinstance(fields, dict):
            raise ParameterError(f"{file}: profile {name} must be a mapping of fields.")
        unit = {"pj_per_unit": 1000 if fields.get("unit") == "nJ" else 1}
        try:
            profiles[name] = HardwareProfile.model_validate(
                {"id": name, **fields}, context=unit
            )
        except ValidationError as error:
            raise ParameterError(
                f"{file}, line {_line(file, name, error)}: profile {name}: "
                f"{first_problem(error)}."
            ) from error
    return profiles


def select_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str, name: str
) -> HardwareProfile:
    """The profile of an id; ParameterError, naming the parameter `name`, if there is
    none.
    """
    if profile_id not in profiles:
        raise ParameterError(
            f"{name}: {profile_id!r} is not allowed; allowed: {', '.join(profiles)}"
        )
    return profiles[profile_id]


def _line(file: Path, name: str, error: ValidationError) -> int:
    """The line of what is wrong; of what is missing, that of the name that it is
    missing under.
    """
    problem = error.errors(include_url=False)[0]
    # What is wrong with the whole begins with the entry that it lies in, such as
    # prices.mac.
    place = problem["loc"] or str(problem.get("ctx", {}).get("error")).split()[0].split(
        "."
    )
    # Read a second time, for the marks that the checked content does not have.
    node = YAML().load(file.read_bytes())
    line = 0
    for step in (name, *place):
        # What `<<` takes from another profile has no mark here.
        if isinstance(node, CommentedMap) and step in (node.lc.data or ()):
            node, line = node[step], node.lc.key(step)[0]
        elif (
            isinstance(node, CommentedSeq)
            and isinstance(step, int)
            and step < len(node)
        ):
            node, line = node[step], node.lc.item(step)[0]
    return int(line) + 1


def headline_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str | None, name: str
) -> HardwareProfile:
    """The price list of a headline: the one that is asked for, else the first that
    includes memory, else the first.

    Raises ParameterError, which calls the request `name`, if there is no such price
    list.
    """
    if profile_id is not None:
        return select_profile(profiles, profile_id, name)
    systems = [profile for profile in profiles.values() if profile.scope == "system"]
    return next(iter([*systems, *profiles.values()]))


def arithmetic_profile(
    profiles: Mapping[str, HardwareProfile],
) -> HardwareProfile | None:
    """The first price list of arithmetic only; None without one."""
    return next((one for one in profiles.values() if one.scope == "arithmetic"), None)
