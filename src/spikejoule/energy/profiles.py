"""Hardware profiles: what an operation costs, after whom, and what the figure covers."""

from dataclasses import dataclass
from typing import Final

from spikejoule.energy.operations import Column
from spikejoule.energy.prices import AnyPrice, Price
from spikejoule.energy.terms import (
    ARITHMETIC,
    OF_CONTROL,
    OF_EVENTS,
    OF_INFERENCE,
    OF_MEMORY,
    OF_SYSTEM,
    OPERATION_OF,
    PRICE_OF,
    SYNAPTIC_EVENT,
    WITHIN,
)

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
    "arithmetic": (*ARITHMETIC, *OF_CONTROL),
    "memory": OF_MEMORY,
    "system": OF_SYSTEM,
    "per_event": OF_EVENTS,
    "incremental": OF_EVENTS,
    "all_in": (SYNAPTIC_EVENT,),
    "contested": OF_EVENTS,
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

    def price_at(self, column: Column) -> Price | None:
        """The price of one operation of a column; None if the profile has none."""
        price = self.price_of(column.term)
        return None if price is None else price.at(column)

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

    def price_of(self, term: str) -> AnyPrice | None:
        """The price of one operation of a term; None if the profile has none.

        A profile of scope `arithmetic` prices what a term consists of.
        """
        own = self.prices.get(term)
        if own is None and self.scope == "memory" and term in PRICE_OF:
            return self.prices.get(PRICE_OF[term])
        if own is None and self.scope == "arithmetic" and term in OPERATION_OF:
            return self.prices.get(OPERATION_OF[term])
        return own

    def covers(self, term: str) -> bool:
        """Whether the cost of a term without a price is within the price of another.

        An all-in figure covers whatever inference does, and nothing of learning. A chip's price of
        an event or of an update covers what that consists of (`terms.WITHIN`).
        """
        if self.price_of(term) is not None or self.scope in ("arithmetic", "system"):
            return False
        if self.scope == "all_in":
            return term in OF_INFERENCE
        return any(holder in self.prices for holder in WITHIN.get(term, ()))
