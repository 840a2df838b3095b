"""Prices: what one operation costs, after whom, what the figure covers, and what a total holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.counting import Column, OperationCounts
from spikejoule.energy.estimates import Floats
from spikejoule.energy.terms import PARTS_OF_UPDATE, TERMS, UPDATES, in_words, priceable

_BITS_PER_BYTE = 8

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
        joined: whether a layer's weights, indices and biases are in one memory.
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


@dataclass(frozen=True)
class HardwareProfile:
    """Prices of one piece of hardware from one source.

    Attributes:
        id: by which parameters and commands name it.
        title: for people.
        process: such as ``45 nm``.
        year: of the source.
        source: reference, with its DOI or arXiv number.
        scope: what the prices cover, one of `SCOPES`.
        evidence: how they were obtained, one of `EVIDENCE`.
        prices: by term (`TERMS_OF` its scope).
        notes: what a reader has to know besides; may be empty.
        numbers: what they are the prices of arithmetic with, one of `NUMBERS`.
        static_uw: power in microwatts that is drawn whatever happens, from the least to the most;
            None where the source has none. It is no price, and in no total.
    """

    id: str
    title: str
    process: str
    year: int
    source: str
    scope: str
    evidence: str
    prices: dict[str, AnyPrice]
    notes: str = ""
    numbers: str = "any"
    static_uw: tuple[float, float] | None = None

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
        return None if price is None else price.at(column)

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
        if self.static_uw is None or step_us is None:
            return None
        # A microwatt for a microsecond is a picojoule.
        low, high = self.static_uw
        return low * step_us * time_window, high * step_us * time_window


@dataclass(frozen=True, eq=False)
class PriceVector:
    """The prices of C columns under a profile.

    Attributes:
        pj: low, value and high of one operation, float64 [3, C]; NaN where a column has no price,
            and the values NaN where it has a bracket alone.
    """

    pj: Floats

    @property
    def priced(self) -> NDArray[np.bool_]:
        """Whether a column has a price, bool [C]."""
        known: NDArray[np.bool_] = ~np.isnan(self.pj[0])
        return known

    @property
    def has_value(self) -> bool:
        """Whether no column has a bracket alone, so that a total has a value between its ends."""
        return not bool(np.isnan(self.pj[1, self.priced]).any())

    @property
    def weights(self) -> Floats:
        """What counts are multiplied with, [3, C]: 0 without a price; NaN values of brackets."""
        weights = np.where(self.priced, self.pj, 0.0)
        if not self.has_value:
            weights[1] = np.nan
        return weights


def price_vector(columns: Sequence[Column], profile: HardwareProfile) -> PriceVector:
    """The prices of some columns under a profile.

    A term that hardware may do without (`Term.optional_as`) costs nothing at the lower end and
    leaves the total without a value, unless the profile has a price of its own for it.
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
    return PriceVector(pj)


@dataclass(frozen=True)
class Coverage:
    """What a total under a profile contains.

    Attributes:
        priced: terms with a price, in the order of the columns: they make up the total.
        unpriced: terms without a price: they are not in the total.
        covered: terms without a price of their own whose cost lies within the price of another.
        words: all of it in sentences.
    """

    priced: tuple[str, ...]
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    words: str


def coverage(columns: Iterable[Column], profile: HardwareProfile) -> Coverage:
    """What a total over a spiking network's columns holds under a profile, and what it does not."""
    counted = tuple(dict.fromkeys(column.term for column in columns))
    priced = tuple(term for term in counted if profile.price_of(term) is not None)
    covered = tuple(term for term in counted if profile.covers(term))
    unpriced = tuple(term for term in counted if term not in (*priced, *covered))
    uncounted = tuple(
        term
        for term in profile.prices
        if term not in counted
        and TERMS[term].side != "conventional"
        and profile.scope != "arithmetic"
    )
    # An update whose leak and bias have prices of arithmetic: what is missing is its other part.
    rest = " (the rest of it)" if set(PARTS_OF_UPDATE) <= set(priced) else ""
    missing = [f"{term}{rest if term in UPDATES else ''}" for term in unpriced]
    sentences = [f"Holds {in_words(priced) or 'nothing'}; scope: {SCOPES[profile.scope]}."]
    for introduction, named in (
        ("Within these prices, and not added again: ", covered),
        ("Without a price, and not included: ", missing),
        ("Priced by the source, but not counted: ", uncounted),
    ):
        if named:
            sentences.append(f"{introduction}{in_words(named)}.")
    return Coverage(priced, unpriced, covered, " ".join(sentences))


@dataclass(frozen=True, eq=False)
class PricedEnergy:
    """The energy of N samples (of a mean, of one) under one profile.

    Attributes:
        profile: the prices.
        columns: the C' columns that have a price.
        low_pj: lower end of each sample and column, float64 [N, C'].
        value_pj: the value, float64 [N, C']; None if there are brackets alone.
        high_pj: upper end, float64 [N, C'].
        unpriced: terms that the profile has no price for: they are not in the total.
        covered: terms whose cost lies within the price of another.
        contains: in words, what the total holds.
    """

    profile: HardwareProfile
    columns: tuple[Column, ...]
    low_pj: Floats
    value_pj: Floats | None
    high_pj: Floats
    unpriced: tuple[str, ...]
    covered: tuple[str, ...]
    contains: str

    @property
    def per_sample_low_pj(self) -> Floats:
        """Lower end of each sample, float64 [N]."""
        totals: Floats = self.low_pj.sum(axis=1)
        return totals

    @property
    def per_sample_pj(self) -> Floats | None:
        """Energy of each sample, float64 [N]; None if there are brackets alone."""
        return None if self.value_pj is None else self.value_pj.sum(axis=1)

    @property
    def per_sample_high_pj(self) -> Floats:
        """Upper end of each sample, float64 [N]."""
        totals: Floats = self.high_pj.sum(axis=1)
        return totals


def price(counts: OperationCounts, profile: HardwareProfile) -> PricedEnergy:
    """Price every count that the profile has a price for: integers in, picojoules out."""
    prices, held = price_vector(counts.columns, profile), coverage(counts.columns, profile)
    chosen, pj = counts.counts[:, prices.priced], prices.pj[:, prices.priced]
    return PricedEnergy(
        profile=profile,
        columns=tuple(column for column in counts.columns if column.term in held.priced),
        low_pj=chosen * pj[0],
        value_pj=chosen * pj[1] if prices.has_value else None,
        high_pj=chosen * pj[2],
        unpriced=held.unpriced,
        covered=held.covered,
        contains=held.words,
    )


def middle_pj(counts: OperationCounts, profile: HardwareProfile) -> float:
    """Mean energy of an inference under the values; of brackets alone, half-way between their ends.

    By this number the cheapest of some networks is chosen.
    """
    low, value, high = price_vector(counts.columns, profile).weights @ counts.means
    return float((low + high) / 2 if np.isnan(value) else value)


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


_OWN_ABSTRACT: Final = "its own abstract"
_RENNER: Final = "Renner et al., Nature Communications 2024, doi:10.1038/s41467-024-53827-9"
_ESSER: Final = "Esser et al., NIPS 2015"
_TWO_ABSTRACTS: Final = "an abstract; another version of it says 121 µJ and 0.408 µJ"

MEASURED_ON_MNIST: Final = (
    MeasuredChip("TrueNorth, many copies", 108, 99.4, "28 nm", _ESSER, _TWO_ABSTRACTS),
    MeasuredChip(
        "BrainScaleS-2", 8.4, 96.9, None,
        "Göltz et al., Nature Machine Intelligence 2021, doi:10.1038/s42256-021-00388-x",
        f"the table of {_RENNER}",
    ),
    MeasuredChip("Loihi, 400-400-10", 2.5, 96.3, "14 nm", _RENNER, "its table 1"),
    MeasuredChip(
        "Chen et al., binary activations", 1.7, 97.9, "10 nm",
        "Chen et al., IEEE JSSC 2019, doi:10.1109/JSSC.2018.2884901", _OWN_ABSTRACT,
    ),
    MeasuredChip(
        "SPOON, 0.6 V", 0.313, 97.5, "28 nm", "Frenkel et al., arXiv:2005.06318", _OWN_ABSTRACT
    ),
    MeasuredChip("TrueNorth, one copy", 0.27, 92.7, "28 nm", _ESSER, _TWO_ABSTRACTS),
    MeasuredChip(
        "Park et al.", 0.236, 97.83, "65 nm", "Park et al., IEEE JSSC 55(1), 2020", _OWN_ABSTRACT
    ),
    MeasuredChip(
        "ODIN, 10 neurons", 0.015, 84.5, "28 nm", "Frenkel et al., arXiv:1804.07858", _OWN_ABSTRACT
    ),
)  # fmt: skip
"""Most energy first. Whether a figure holds the whole chip is unconfirmed for each."""
