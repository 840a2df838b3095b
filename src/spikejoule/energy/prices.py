"""Prices: what one operation costs, after whom, what the figure covers, and what a total holds.

A profile is checked by the model that a price file is read into (`energy.profile_files`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from spikejoule.core.errors import ArtifactError
from spikejoule.core.yaml_files import read_yaml
from spikejoule.energy.counting import Column, OperationCounts
from spikejoule.energy.estimates import Floats, middle
from spikejoule.energy.terms import PARTS_OF_UPDATE, TERMS, UPDATES, in_words, priceable

_BITS_PER_BYTE = 8
_PJ = {"pJ": 1, "nJ": 1000}
_REFERENCE = re.compile(r"doi:10\.|arXiv:\d|https?://", flags=re.IGNORECASE)

SCOPES: Final = {
    "arithmetic": "arithmetic units alone: no memory, control, routing or static power",
    "memory": "memory accesses alone",
    "system": "a modelled core: arithmetic, addresses and memory, without control, clock and "
    "static power",
    "per_event": "each kind of event on the chip by itself, without static power",
    "incremental": "what one more synaptic event adds, without the chip's idle power",
    "all_in": "the whole chip's energy over its synaptic events: nothing may be added to it",
    "contested": "published figures disagree: a bracket, without a claim where in it the truth is",
}
"""The closed list of what a profile's prices cover."""

TERMS_OF: Final = {
    "arithmetic": priceable("arithmetic"),
    "memory": priceable("memory"),
    "system": priceable("system"),
    "per_event": priceable("chip"),
    "incremental": priceable("chip"),
    "all_in": ("synaptic_event",),
    "contested": priceable("chip"),
}
"""What a profile of each scope may price."""

EVIDENCE: Final = {
    "measured": "measured on silicon",
    "estimate": "an expert's published estimate for the process",
    "derived": "calculated from published figures",
    "simulated": "simulated from a synthesised design",
    "pre-silicon": "a model from before the chip was made",
    "mixed": "measured by some and estimated by others",
}
"""The closed list of how a profile's prices were obtained."""

NUMBERS: Final = {
    "any": "numbers of the network's own width",
    "float32": "floating point of 32 bits, which holds integers of 8 bits too",
    "float16": "floating point of 16 bits",
    "int32": "integers of 32 bits",
    "int8": "integers of 8 bits",
}
"""The closed list of the numbers that a profile's prices are for."""

Status = Literal["priced", "covered", "unpriced"]


class EntryError(ValueError):
    """What is wrong with an entry `within` a profile, not with the whole of it."""

    def __init__(self, reason: str, *within: str) -> None:
        super().__init__(f"{'.'.join(within)} {reason}")
        self.within = within


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


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# From below what erasing a bit takes at room temperature (3e-9 pJ) to a joule in pJ: what lies
# beyond is a slip. A price that is not there is left out.
Number = Annotated[float, Field(strict=True, ge=1e-9, le=1e12)]
_Size = Annotated[float, Field(strict=True, ge=0, le=1e15)]
_NumberOrFree = Annotated[float, Field(strict=True, ge=0, le=1e12)]


class _Mapping(BaseModel):
    """A mapping of a price file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Price:
    """Picojoules of one operation: a single value, a bracket, or a value within a bracket.

    `value_pj` is None where only the bracket's ends are known.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float


class PriceByWidth(_Mapping):
    """constant + per_bit b + per_bit_squared b^2 picojoules for an operation on b bits."""

    constant: Number = 0.0
    per_bit: Number = 0.0
    per_bit_squared: Number = 0.0

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it is empty")
        return self

    def pj(self, bits: int) -> float:
        """Picojoules at a width."""
        return self.constant + self.per_bit * bits + self.per_bit_squared * bits**2


class Memory(_Mapping):
    """What an access to a memory costs, by its size: points for each byte, or a sum a word.

    Attributes:
        pj_per_byte: (bytes, picojoules for each byte read or written), ascending: linear between
            the points, constant beyond the last; None for the next two.
        access: picojoules of an access to a word, whatever its width.
        access_per_bit_stored: and for each bit that the memory holds.
        parameters: ``joined`` if a layer's weights, indices and biases are in one memory.
    """

    pj_per_byte: tuple[tuple[_Size, _NumberOrFree], ...] | None = None
    access: Number | None = None
    access_per_bit_stored: Number | None = None
    parameters: Literal["joined", "separate"] = "separate"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        points = self.pj_per_byte
        if (points is None) == (self.access is None):
            raise ValueError("it needs either pj_per_byte or access")
        if points is not None:
            if self.access_per_bit_stored is not None:
                raise ValueError("access_per_bit_stored goes with access, not with pj_per_byte")
            sizes = [size for size, _ in points]
            if not points or sorted(set(sizes)) != sizes or points[-1][1] == 0:
                raise ValueError(
                    "pj_per_byte must be points [bytes, price] of ascending sizes, the last not "
                    "free"
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


def _form(value: Any) -> str:
    for kind, form in (
        (Price, "[price]"),
        (dict | PriceByWidth, "[by width]"),
        (list | tuple, "[bracket]"),
        (str, "[by size]"),
    ):
        if isinstance(value, kind):
            return form
    return "[number]"


def _bracket(numbers: tuple[float, ...]) -> Price:
    if len(numbers) not in (2, 3) or sorted(numbers) != list(numbers):
        raise ValueError("a bracket must be [low, high] or [low, number, high], ascending")
    return Price(numbers[0], numbers[1] if len(numbers) == 3 else None, numbers[-1])


AnyPrice = Price | PriceByWidth | Literal["by_size"]
# The names of the forms, in brackets, are no part of a place in the file (`first_problem`).
if TYPE_CHECKING:
    PriceNode = AnyPrice
else:
    PriceNode = Annotated[
        Annotated[Price, Tag("[price]")]
        | Annotated[PriceByWidth, Tag("[by width]")]
        | Annotated[tuple[Number, ...], AfterValidator(_bracket), Tag("[bracket]")]
        | Annotated[Literal["by_size"], Tag("[by size]")]
        | Annotated[Number, AfterValidator(lambda pj: Price(pj, pj, pj)), Tag("[number]")],
        Discriminator(_form),
    ]
"""The forms of a price: numbers by the bits, a bracket, `by_size` of a memory, or a number."""


def _in_pj(node: Any, unit: int) -> Any:
    """What a price file says of prices, in picojoules, without a rounding of its own."""
    if isinstance(node, dict):
        return {
            name: [[size, _in_pj(one, unit)] for size, one in each]
            if name == "pj_per_byte"
            else _in_pj(each, unit)
            for name, each in node.items()
        }
    if isinstance(node, list):
        return [_in_pj(each, unit) for each in node]
    if isinstance(node, bool) or not isinstance(node, int | float):
        return node
    return float(Decimal(str(node)) * unit)


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
        static_uw: power in microwatts that is drawn whatever happens, from the least to the most;
            None where the source has none. It is no price, and in no total.
        memory: the prices of accesses by size; None where no price is ``by_size``.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    title: Text
    process: Text
    year: Annotated[int, Field(ge=1900, le=2099)]
    source: Annotated[Text, AfterValidator(_with_reference)]
    scope: Annotated[str, _one_of(SCOPES)]
    evidence: Annotated[str, _one_of(EVIDENCE)]
    unit: Annotated[str, _one_of(_PJ)]
    numbers: Annotated[str, _one_of(NUMBERS)] = "any"
    notes: Text | None = None
    static_uw: PriceNode | None = None
    memory: Memory | None = None
    prices: Annotated[dict[str, PriceNode], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _picojoules(cls, content: Any) -> Any:
        unit = content.get("unit") if isinstance(content, dict) else None
        if unit != "nJ":
            return content
        priced = {name: _in_pj(content[name], _PJ[unit]) for name in ("prices", "memory")
                  if name in content}  # fmt: skip
        return {**content, **priced}

    @model_validator(mode="after")
    def _prices_fit(self) -> Self:
        """What must hold between the scope and the prices, and between prices."""
        allowed = TERMS_OF[self.scope]
        for term, price in self.prices.items():
            reason = ""
            if term not in allowed:
                reason = f"is nothing that scope {self.scope} can price; allowed: "
                reason += ", ".join(allowed)
            elif not isinstance(price, Price) and self.scope not in ("system", "memory"):
                reason = f"depends on a width or a size, which scope {self.scope} does not allow; "
                reason += "allowed: system and memory"
            elif isinstance(price, str) and self.memory is None:
                reason = "is by_size, but there is no memory"
            if reason:
                raise EntryError(reason, "prices", term)
        fixed = [one for one in self.prices.values() if isinstance(one, Price)]
        if self.scope == "contested" and not any(one.low_pj < one.high_pj for one in fixed):
            raise EntryError("of scope contested need a bracket [low, high]", "prices")
        if sum(update in self.prices for update in UPDATES) == 1:
            raise EntryError(
                "need active and inactive neuron updates, both or neither, as one of the two "
                "would be free",
                "prices",
            )
        if not isinstance(self.static_uw, Price | None):
            raise EntryError("must be a number of microwatts, or [low, high]", "static_uw")
        return self

    @property
    def compares(self) -> bool:
        """Whether it prices spiking and conventional networks alike: no chip of either does."""
        return self.scope in ("arithmetic", "memory", "system")

    def runs(self, weight_bits: int, integers: bool) -> bool:
        """Whether these are prices of what a network of such weights computed with.

        Floating point of 32 bits holds the integers of a network exactly. No network here computes
        with 16.
        """
        if self.numbers in ("any", "float32"):
            return True
        return integers and weight_bits <= {"int8": 8, "int32": 32}.get(self.numbers, 0)

    def price_at(self, column: Column) -> Price | None:
        """The price of one operation of a column; None if the profile has none."""
        price = self.price_of(column.term)
        if price is None or isinstance(price, Price):
            return price
        if isinstance(price, PriceByWidth):
            pj = price.pj(column.bits)
        else:
            assert self.memory is not None
            pj = self.memory.pj(column)
        return Price(pj, pj, pj)

    def price_of(self, name: str) -> AnyPrice | None:
        """The price of one operation of a term; None if the profile has none.

        A profile of scope `arithmetic` prices what a term consists of.
        """
        own, term = self.prices.get(name), TERMS[name]
        if own is None and self.scope == "memory" and term.optional_as:
            return self.prices.get(term.optional_as)
        if own is None and self.scope == "arithmetic" and term.operation:
            return self.prices.get(term.operation)
        return own

    def covers(self, name: str) -> bool:
        """Whether the cost of a term without a price is within the price of another.

        An all-in figure covers whatever inference does on the chip, and nothing of learning, of
        the products of constant currents, or of what is made outside of the chip: the spikes of an
        image, and the answer. A chip's price of an event or of an update covers what that consists
        of (`Term.within`).
        """
        if self.price_of(name) is not None or self.scope in ("arithmetic", "system"):
            return False
        if self.scope == "all_in":
            return TERMS[name].side == "spiking"
        return any(holder in self.prices for holder in TERMS[name].within)

    def status_of(self, name: str) -> Status:
        """Whether a term has a price, is covered by another's, or is not in a total."""
        if self.price_of(name) is not None:
            return "priced"
        return "covered" if self.covers(name) else "unpriced"

    def static_energy_pj(
        self, time_window: int, step_us: float | None
    ) -> tuple[float, float] | None:
        """Static power over an inference, from the least to the most; in no total.

        Args:
            time_window: steps of an inference.
            step_us: what a step takes on the hardware, in microseconds; None where it is not said.

        Returns:
            None if the profile states no static power, or `step_us` is None.
        """
        drawn = self.static_uw
        if not isinstance(drawn, Price) or step_us is None:
            return None
        # A microwatt for a microsecond is a picojoule.
        return drawn.low_pj * step_us * time_window, drawn.high_pj * step_us * time_window


def prices_pj(columns: Sequence[Column], profile: HardwareProfile) -> Floats:
    """Low, value and high of one operation of C columns, float64 [3, C].

    NaN where a column has no price, and the value NaN where it has a bracket alone. A term that
    hardware may do without (`Term.optional_as`) costs nothing at the lower end and leaves the total
    without a value, unless the profile has a price of its own for it.
    """
    pj = np.full((3, len(columns)), np.nan)
    for place, column in enumerate(columns):
        price = profile.price_at(column)
        if price is None:
            continue
        if TERMS[column.term].optional_as and column.term not in profile.prices:
            price = Price(0.0, None, price.high_pj)
        value = np.nan if price.value_pj is None else price.value_pj
        pj[:, place] = price.low_pj, value, price.high_pj
    return pj


def weights_of(pj: Floats) -> Floats:
    """What counts are multiplied with, from prices [3, C]: 0 without a price.

    All values are NaN where a column has a bracket alone: a total has none between its ends.
    """
    priced = ~np.isnan(pj[0])
    weights = np.where(priced, pj, 0.0)
    if np.isnan(pj[1, priced]).any():
        weights[1] = np.nan
    return weights


def contains(terms: Iterable[str], profile: HardwareProfile) -> str:
    """What a total over a spiking network's terms holds under a profile, and what it does not."""
    counted = tuple(dict.fromkeys(terms))
    of: dict[str, list[str]] = {"priced": [], "covered": [], "unpriced": []}
    for term in counted:
        of[profile.status_of(term)].append(term)
    uncounted = tuple(
        term
        for term in profile.prices
        if term not in counted
        and TERMS[term].side != "conventional"
        and profile.scope != "arithmetic"
    )
    # An update whose leak and bias have prices of arithmetic: what is missing is its other part.
    rest = " (the rest of it)" if set(PARTS_OF_UPDATE) <= set(of["priced"]) else ""
    missing = [f"{term}{rest if term in UPDATES else ''}" for term in of["unpriced"]]
    sentences = [f"Holds {in_words(*of['priced']) or 'nothing'}; scope: {SCOPES[profile.scope]}."]
    for introduction, named in (
        ("Within these prices, and not added again: ", of["covered"]),
        ("Without a price, and not included: ", missing),
        ("Priced by the source, but not counted: ", uncounted),
    ):
        if named:
            sentences.append(f"{introduction}{in_words(*named)}.")
    return " ".join(sentences)


@dataclass(frozen=True, eq=False)
class PricedEnergy:
    """The energy of N samples (of a mean, of one) under one profile.

    Attributes:
        columns: the C' columns that have a price.
        pj: lower end, value and upper end of each sample and column, float64 [3, N, C']; values are
            NaN if there are brackets alone.
        unpriced: terms that the profile has no price for: they are not in the total.
        covered: terms whose cost lies within the price of another.
        contains: in words, what the total holds.
    """

    columns: tuple[Column, ...]
    pj: Floats
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    contains: str

    @property
    def per_sample_low_pj(self) -> Floats:
        """Lower end of each sample, float64 [N]."""
        totals: Floats = self.pj[0].sum(axis=1)
        return totals

    @property
    def per_sample_pj(self) -> Floats | None:
        """Energy of each sample, float64 [N]; None if there are brackets alone."""
        return None if np.isnan(self.pj[1]).any() else self.pj[1].sum(axis=1)

    @property
    def per_sample_high_pj(self) -> Floats:
        """Upper end of each sample, float64 [N]."""
        totals: Floats = self.pj[2].sum(axis=1)
        return totals


def price(counts: OperationCounts, profile: HardwareProfile) -> PricedEnergy:
    """Price every count that the profile has a price for: integers in, picojoules out."""
    pj = prices_pj(counts.columns, profile)
    priced = ~np.isnan(pj[0])
    terms = dict.fromkeys(column.term for column in counts.columns)
    unpriced, covered = (
        tuple(term for term in terms if profile.status_of(term) == status)
        for status in ("unpriced", "covered")
    )
    return PricedEnergy(
        columns=tuple(one for one, has in zip(counts.columns, priced, strict=True) if has),
        pj=counts.counts[:, priced] * pj[:, None, priced],
        unpriced=unpriced,
        covered=covered,
        contains=contains(terms, profile),
    )


def mean_pj(counts: OperationCounts, profile: HardwareProfile) -> Floats:
    """Mean energy of an inference under lower ends, values and upper ends, float64 [3]."""
    energies: Floats = weights_of(prices_pj(counts.columns, profile)) @ counts.means
    return energies


def middle_pj(counts: OperationCounts, profile: HardwareProfile) -> float:
    """Mean energy of an inference under the values; of brackets alone, half-way between their ends.

    By this number the cheapest of some networks is chosen.
    """
    return middle(mean_pj(counts, profile))


@dataclass(frozen=True)
class MeasuredChip:
    """What a chip was measured to need for an MNIST digit, as published.

    It is no price but another network on another chip, off the line that a profile draws through
    this network's counts: it says what order of magnitude a whole system has.

    Attributes:
        name: chip, and network where it is known.
        microjoules: per inference.
        accuracy_percent: on MNIST.
        process: technology node; None where it is unconfirmed.
        source: with a DOI or an arXiv number where it has one.
        read_in: where the figures were read.
    """

    name: str
    microjoules: float
    accuracy_percent: float
    process: str | None
    source: str
    read_in: str


@cache
def measured_on_mnist() -> tuple[MeasuredChip, ...]:
    """Most energy first. Whether a figure holds the whole chip is unconfirmed for each."""
    listed = read_yaml(Path(__file__).with_name("chips.yaml"), ArtifactError)
    return tuple(MeasuredChip(**chip) for chip in listed)
