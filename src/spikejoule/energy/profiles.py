"""Hardware profiles: what an operation costs, after whom, and what the figure covers."""

from dataclasses import dataclass
from typing import Final

from spikejoule.energy.terms import (
    ARITHMETIC,
    OF_EVENTS,
    OF_INFERENCE,
    OF_MEMORY,
    OPERATION_OF,
    PRICE_OF,
    SYNAPTIC_EVENT,
    WITHIN,
)

SCOPES: Final = {
    "arithmetic": "arithmetic units alone: no memory, control, routing or static power",
    "memory": "memory accesses alone",
    "per_event": "each kind of event on the chip by itself, without static power",
    "incremental": "what one more synaptic event adds, without the chip's idle power",
    "all_in": "the whole chip's energy over its synaptic events: nothing may be added to it",
    "contested": "published figures disagree: a bracket, without a claim where in it the truth is",
}
"""The closed list of what a profile's prices cover."""

TERMS_OF: Final = {
    "arithmetic": ARITHMETIC,
    "memory": OF_MEMORY,
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


@dataclass(frozen=True)
class Price:
    """Picojoules of one operation: a single value, a bracket, or a value within a bracket.

    `value_pj` is None where only the bracket's ends are known.
    """

    low_pj: float
    value_pj: float | None
    high_pj: float


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
    """

    id: str
    title: str
    process: str
    year: int
    source: str
    scope: str
    evidence: str
    prices: dict[str, Price]
    notes: str = ""

    def price_of(self, term: str) -> Price | None:
        """The price of one operation of a term; None if the profile has none.

        A profile of scope `arithmetic` prices what a term consists of.
        """
        own = self.prices.get(PRICE_OF.get(term, term))
        if own is None and self.scope == "arithmetic" and term in OPERATION_OF:
            return self.prices.get(OPERATION_OF[term])
        return own

    def covers(self, term: str) -> bool:
        """Whether the cost of a term without a price is within the price of another.

        An all-in figure covers whatever inference does, and nothing of learning. A chip's price of
        an event or of an update covers what that consists of (`terms.WITHIN`).
        """
        if self.price_of(term) is not None or self.scope == "arithmetic":
            return False
        if self.scope == "all_in":
            return term in OF_INFERENCE
        return any(holder in self.prices for holder in WITHIN.get(term, ()))
