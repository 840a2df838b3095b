"""Which terms a total includes under a price list, and which not."""

from collections.abc import Mapping
from dataclasses import dataclass

from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.terms import PARTS_OF_UPDATE, TERMS, UPDATES


@dataclass(frozen=True)
class TotalContents:
    """The terms of a total under one price list.

    Attributes:
        priced: included.
        covered: included in another term's price.
        unpriced: not included, for lack of a price.
        uncounted: priced, but not counted.
        partly: unpriced terms whose leak and bias have prices of their own.
    """

    priced: tuple[str, ...]
    covered: tuple[str, ...]
    unpriced: tuple[str, ...]
    uncounted: tuple[str, ...]
    partly: tuple[str, ...]

    def unpriced_names(self, remark: str) -> list[str]:
        """Return the unpriced terms, with a remark after partly priced ones."""
        return [
            f"{term}{remark}" if term in self.partly else term for term in self.unpriced
        ]


def contents_of(terms: Mapping[str, str], profile: HardwareProfile) -> TotalContents:
    """Sort the counted terms, each with a phase, by what a price list makes of them."""
    by_status: dict[str, list[str]] = {"priced": [], "covered": [], "unpriced": []}
    for term, phase in terms.items():
        by_status[profile.status_of(term, phase)].append(term)
    uncounted: list[str] = []
    # The prices of arithmetic lists are for what terms consist of.
    if profile.scope != "arithmetic":
        uncounted = [
            term
            for term in profile.prices
            if term not in terms and TERMS[term].side != "conventional"
        ]
    parts_are_priced = set(PARTS_OF_UPDATE) <= set(by_status["priced"])
    return TotalContents(
        priced=tuple(by_status["priced"]),
        covered=tuple(by_status["covered"]),
        unpriced=tuple(by_status["unpriced"]),
        uncounted=tuple(uncounted),
        partly=UPDATES if parts_are_priced else (),
    )
