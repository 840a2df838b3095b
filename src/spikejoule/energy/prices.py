"""Price lists: what one operation costs, according to which source.

A price list (`HardwareProfile`; ``profile`` in parameters, options and files) holds the
prices of operations on one piece of hardware from one source (`price_forms`). Its scope
says what its prices cover:

    arithmetic   arithmetic units only; compares both kinds of networks
    memory       memory accesses only; compares both kinds of networks
    system       arithmetic, addresses and memory; compares both kinds of networks
    per_event    each kind of event on a spiking chip, without static power
    all_in       the whole chip's energy per synaptic event: nothing may be added
    contested    as per_event, where published figures disagree: a range

Operations are priced by term (`terms.Term`), and counts of operations by column.

Price files are YAML. Each price list is validated when it is read; an error names the
file, the price list and the reason.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from spikejoule.core.errors import ArtifactError, ParameterError, first_problem
from spikejoule.core.yaml_files import read_yaml
from spikejoule.energy.estimates import Energy, Floats
from spikejoule.energy.operations import INFERENCE, Column, OperationCounts
from spikejoule.energy.price_forms import AnyPrice, MemoryPrice, PriceByWidth, Prices
from spikejoule.energy.terms import TERMS, UPDATES, priceable
from spikejoule.energy.timing import TimeModel
from spikejoule.network.quantisation import FLOAT_BITS

PACKAGED: Final = Path(__file__).with_name("hardware.yaml")
"""The price lists that come with the project."""

_REFERENCE = re.compile(r"doi:10\.|arXiv:\d|https?://", flags=re.IGNORECASE)

_LISTS: dict[str, dict[str, str]] = read_yaml(
    Path(__file__).with_name("closed_lists.yaml"), ArtifactError
)
SCOPES: Final = _LISTS["scopes"]
"""What the prices of a list cover."""

EVIDENCE: Final = _LISTS["evidence"]
"""How the prices of a list were obtained."""

NUMBERS: Final = _LISTS["numbers"]
"""The number formats that prices hold for."""

BOUNDARIES: Final = _LISTS["boundaries"]
"""What the energies of a list belong to."""

_TIMED_SCOPES: Final = ("per_event", "contested", "system")
"""Scopes whose prices leave out static power, so that a time model can add it."""

TERMS_OF: Final = {
    **{scope: priceable(scope) for scope in ("arithmetic", "memory", "system")},
    **dict.fromkeys(("per_event", "contested"), priceable("chip")),
    "all_in": ("synaptic_event",),
}
"""The terms that a price list of each scope may price."""

# Networks with 32-bit weights compute in floating point, so integers have fewer bits.
_WIDEST_BITS = {
    "any": FLOAT_BITS,
    "float32": FLOAT_BITS,
    "int32": FLOAT_BITS - 1,
    "int8": 8,
}
"""Widest weights of networks that can run in each number format."""

_OWN_BITS = {"float32": FLOAT_BITS, "int8": 8}
"""Weight width that arithmetic-only price lists of a number format judge."""

Status = Literal["priced", "covered", "unpriced"]
"""Of a term under a price list; covered if another term's price includes it."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


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


@dataclass(frozen=True)
class Eligibility:
    """Which networks a price list can compare.

    Attributes:
        scope_compares: whether its scope prices inference of both kinds of networks
            alike; that of no chip does.
        widest_bits: widest weights of a network that computes in its number format.
            Weights of 32 bits are floating point, narrower ones integers; 32-bit
            floating point holds these integers exactly. No network here computes in 16
            bits.
        judged_bits: the only weight width that a verdict may include, if the list
            covers arithmetic alone and charges a product the same at any width; None
            for every width, 0 for none. For example, a list of 8-bit integer arithmetic
            judges 8-bit networks, not 4-bit ones, which it would charge too much.
    """

    scope_compares: bool
    widest_bits: int
    judged_bits: int | None

    def runs(self, weight_bits: int) -> bool:
        """Whether a network with such weights computes in the list's number format."""
        return weight_bits <= self.widest_bits

    def judges_width(self, weight_bits: int) -> bool:
        """Whether a verdict may include networks with such weights."""
        return self.judged_bits in (None, weight_bits)


class HardwareProfile(BaseModel):
    """A price list: prices of operations on one piece of hardware, from one source.

    Attributes:
        id: its name in parameters, options and files.
        title: its name on the page.
        process: technology node, such as ``45 nm``.
        year: year of the source.
        source: reference with DOI, arXiv number or address.
        scope: what the prices cover, one of `SCOPES`.
        evidence: how they were obtained, one of `EVIDENCE`.
        unit: unit of the prices in the file, pJ or nJ; here all are in pJ.
        prices: by term (see `TERMS_OF`); none if power does not depend on activity.
        training: prices that replace `prices` in the phases of training, by term or by
            the operation that terms consist of.
        notes: what else a reader must know.
        numbers: the number format that the prices hold for, one of `NUMBERS`.
        memory: prices of memory accesses by size; None unless a price is ``by_size``.
        boundary: what the energies belong to, one of `BOUNDARIES`; None if the source
            does not say.
        time: duration of an inference, and power without events; None if unknown:
            energies are then dynamic only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    boundary: Annotated[str, _one_of(BOUNDARIES)] | None = None
    time: TimeModel | None = None
    prices: Prices = Field(default_factory=dict)
    training: Prices = Field(default_factory=dict)

    @model_validator(mode="after")
    def _prices_fit_scope(self) -> Self:
        for block in ("prices", "training"):
            for term, price in getattr(self, block).items():
                self._check(f"{block}.{term}", term, price)
        # Prices of training are not checked: training computes in 32 bits, which is the
        # default of every width in `Column`.
        for term, price in self.prices.items():
            if isinstance(price, PriceByWidth):
                self._check_widths(f"prices.{term}", term, price)
        return self

    @staticmethod
    def _check_widths(name: str, term: str, price: PriceByWidth) -> None:
        """Refuse a price by a width that the operation does not have."""
        row = TERMS[term]
        is_word = "memory" in row.priced or bool(row.optional_as)
        if is_word and price.is_by_arithmetic:
            raise ValueError(
                f"{name} is an access to a word: its price must be per_bit instead of "
                "per_product_bit or per_sum_bit"
            )
        if not is_word and price.is_by_word and row.operation != "mac":
            raise ValueError(
                f"{name} is arithmetic: its price must be per_product_bit or "
                "per_sum_bit instead of per_bit or per_bit_squared"
            )

    def _check(self, name: str, term: str, price: AnyPrice) -> None:
        """Refuse a price that the scope does not allow; `name` is its key."""
        allowed = TERMS_OF[self.scope]
        if term not in allowed:
            raise ValueError(
                f"scope {self.scope} cannot price {name}; allowed: {', '.join(allowed)}"
            )
        is_scaled = not isinstance(price, Energy)
        if is_scaled and self.scope not in ("arithmetic", "system", "memory"):
            raise ValueError(
                f"{name} depends on a width or a size, which scope "
                f"{self.scope} does not allow; allowed: arithmetic, system and memory"
            )
        if price == "by_size" and self.memory is None:
            raise ValueError(f"{name} is by_size, but there is no memory")

    @model_validator(mode="after")
    def _prices_fit_each_other(self) -> Self:
        fixed = [price for price in self.prices.values() if isinstance(price, Energy)]
        has_range = any(price.low_pj < price.high_pj for price in fixed)
        if self.scope == "contested" and not has_range:
            raise ValueError("prices of scope contested need a range [low, high]")
        if sum(update in self.prices for update in UPDATES) == 1:
            raise ValueError(
                "prices need active and inactive neuron updates, both or neither: "
                "otherwise one of them would be free"
            )
        return self

    @model_validator(mode="after")
    def _time_fits_scope(self) -> Self:
        if self.time is None:
            if not self.prices:
                raise ValueError("it needs prices, or time")
            return self
        if self.scope not in _TIMED_SCOPES:
            raise ValueError(
                f"scope {self.scope} cannot have time; allowed: "
                f"{', '.join(_TIMED_SCOPES)}"
            )
        if self.boundary is None:
            raise ValueError("a list with time needs a boundary")
        for term in self.time.cycles:
            if term not in self.prices:
                raise ValueError(f"time.cycles.{term} needs a price of {term}")
        return self

    @property
    def ignores_widths(self) -> bool:
        """Whether it charges the same for a product of any width."""
        return isinstance(self.prices.get("mac"), Energy)

    @property
    def eligibility(self) -> Eligibility:
        """Which networks it can compare."""
        prices_widths = any(
            price.is_by_arithmetic
            for price in self.prices.values()
            if isinstance(price, PriceByWidth)
        )
        judges_every_width = (
            self.scope != "arithmetic" or self.numbers == "any" or prices_widths
        )
        return Eligibility(
            scope_compares=self.scope in ("arithmetic", "memory", "system"),
            widest_bits=_WIDEST_BITS.get(self.numbers, 0),
            judged_bits=None if judges_every_width else _OWN_BITS.get(self.numbers, 0),
        )

    def compares(self, weight_bits: int, operations: OperationCounts) -> bool:
        """Whether it can compare a network with others.

        It must price both kinds of networks, in this network's number format, and at
        least one of its operations: without any, the network would seem to need no
        energy.
        """
        eligibility = self.eligibility
        if not (eligibility.scope_compares and eligibility.runs(weight_bits)):
            return False
        low, _, _ = factors_of(prices_pj(operations.columns, self))
        return bool(low.any())

    def judges(self, weight_bits: int, operations: OperationCounts) -> bool:
        """Whether a verdict under it may include a network."""
        is_judged = self.eligibility.judges_width(weight_bits)
        return is_judged and self.compares(weight_bits, operations)

    def price_at(self, column: Column) -> tuple[float, float, float]:
        """Return low, value and high price of one operation of a column, in pJ.

        All are NaN without a price; the value is NaN if only a range is known. A term
        that hardware can do without (`Term.optional_as`) costs nothing at the low end
        and has no value, unless the price list prices it explicitly.
        """
        stated = self.price_of(column.term, column.phase)
        price = self.memory if isinstance(stated, str) else stated
        if price is None:
            return np.nan, np.nan, np.nan
        if not isinstance(price, Energy):
            price = price.pj(column)
        value = np.nan if price.value_pj is None else price.value_pj
        if TERMS[column.term].optional_as and column.term not in self.prices:
            return 0.0, np.nan, price.high_pj
        return price.low_pj, value, price.high_pj

    def price_of(self, name: str, phase: str = INFERENCE) -> AnyPrice | None:
        """Return the price of a term; None if the list has none.

        In the phases of training, the block `training` comes first: the price of the
        term, or of the operation that it consists of. A list of scope `arithmetic`
        prices what a term consists of in inference, too.
        """
        term = TERMS[name]
        if phase != INFERENCE:
            in_training = self.training.get(name, self.training.get(term.operation))
            if in_training is not None:
                return in_training
        own = self.prices.get(name)
        if own is None and self.scope == "memory" and term.optional_as:
            return self.prices.get(term.optional_as)
        if own is None and self.scope == "arithmetic" and term.operation:
            return self.prices.get(term.operation)
        return own

    def status_of(self, name: str, phase: str = INFERENCE) -> Status:
        """Return whether a term is priced, covered by another price, or unpriced.

        An all-in price covers all of inference on the chip, but not learning, products
        of constant currents, or what happens off the chip: encoding and the answer. A
        chip's price of an event or an update covers what it consists of
        (`Term.within`).
        """
        if self.price_of(name, phase) is not None:
            return "priced"
        if self.scope in ("arithmetic", "system"):
            return "unpriced"
        if self.scope == "all_in":
            is_covered = TERMS[name].side == "spiking"
        else:
            is_covered = any(holder in self.prices for holder in TERMS[name].within)
        return "covered" if is_covered else "unpriced"


# Pricing operations


def prices_pj(columns: Sequence[Column], profile: HardwareProfile) -> Floats:
    """Return low, value and high price of each of C columns, [3, C]."""
    prices = np.array([profile.price_at(column) for column in columns])
    return prices.reshape(-1, 3).T.copy()


def factors_of(pj: Floats) -> Floats:
    """Return low, value and high factors of counts, [3, C], from prices, [3, C].

    A column without a price has the factor 0, which leaves it out of sums. If any
    column has only a range, the middle row is NaN: no sum then has a value.
    """
    priced = ~np.isnan(pj[0])
    factors = np.where(priced, pj, 0.0)
    if np.isnan(pj[1, priced]).any():
        factors[1] = np.nan
    return factors


def price(counts: OperationCounts, profile: HardwareProfile) -> Floats:
    """Return low, value and high energy of each of N samples in pJ, float64 [3, N].

    Sums the terms that the price list prices. Values are NaN if a term has only a
    range.
    """
    factors = factors_of(prices_pj(counts.columns, profile))
    return np.stack([counts.counts @ row for row in factors])


# Price files, and choosing among their lists


def load_profiles(
    path: str | os.PathLike[str] | None = None,
) -> dict[str, HardwareProfile]:
    """Read a price file; return its price lists by id, in the file's order.

    Args:
        path: the file; None for the packaged one.

    Raises:
        ParameterError: the file cannot be read, or a price list is invalid; one
            sentence with the file, the price list and the reason.
    """
    file = Path(PACKAGED if path is None else path)
    content = read_yaml(file, ParameterError)
    if not isinstance(content, dict) or not content:
        raise ParameterError(f"{file} must hold price lists, each under its id.")
    profiles = {}
    for name, fields in content.items():
        if not isinstance(fields, dict):
            raise ParameterError(
                f"{file}: price list {name} must be a mapping of fields."
            )
        unit = {"pj_per_unit": 1000 if fields.get("unit") == "nJ" else 1}
        try:
            profiles[name] = HardwareProfile.model_validate(
                {"id": name, **fields}, context=unit
            )
        except ValidationError as error:
            raise ParameterError(
                f"{file}: price list {name}: {first_problem(error)}."
            ) from error
    return profiles


def select_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str, asked_by: str
) -> HardwareProfile:
    """Return the price list of an id.

    Args:
        profiles: price lists by id.
        profile_id: the id.
        asked_by: the parameter or option that names it, for messages.

    Raises:
        ParameterError: there is no such price list.
    """
    if profile_id not in profiles:
        raise ParameterError(
            f"{asked_by}: {profile_id!r} is not allowed; allowed: {', '.join(profiles)}"
        )
    return profiles[profile_id]


def headline_profile(
    profiles: Mapping[str, HardwareProfile], profile_id: str | None, asked_by: str
) -> HardwareProfile:
    """Return the price list of a report's headline: one that covers a whole system.

    It is the first of scope ``system``, or else the first of all; a given id chooses
    another one, as in `select_profile`.
    """
    if profile_id is not None:
        return select_profile(profiles, profile_id, asked_by)
    return first_of_scope(profiles, "system") or next(iter(profiles.values()))


def first_of_scope(
    profiles: Mapping[str, HardwareProfile], scope: str
) -> HardwareProfile | None:
    """Return the first price list of a scope; None without one."""
    return next((one for one in profiles.values() if one.scope == scope), None)
