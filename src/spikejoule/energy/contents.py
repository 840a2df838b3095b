"""What a total holds under a price list, and what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.energy.prices import HardwareProfile
from spikejoule.energy.terms import PARTS_OF_UPDATE, TERMS, UPDATES


@dataclass(frozen=True)
class TotalContents:
    """The terms of a total, by what a price list makes of them.

    Attributes:
        priced: in the total.
        covered: within another term's price.
        unpriced: without a price, and not in the total.
        uncounted: with a price, but not counted.
        partly: of the unpriced those whose leak and bias have prices of their own.
    """

    priced: tuple[str, ...]
    covered: tuple[str, ...]
    unpriced: tuple[str, ...]
    uncounted: tuple[str, ...]
    partly: tuple[str, ...]

    def unpriced_names(self, remark: str) -> list[str]:
        """The unpriced terms, with a remark after those that are so in part."""
        return [
            f"{term}{remark}" if term in self.partly else term for term in self.unpriced
        ]


def contents_of(terms: Sequence[str], profile: HardwareProfile) -> TotalContents:
    """What a total of these terms holds under a price list."""
    of_status: dict[str, list[str]] = {"priced": [], "covered": [], "unpriced": []}
    for term in terms:
        of_status[profile.status_of(term)].append(term)
    uncounted = [
        term
        for term in profile.prices
        if term not in terms and TERMS[term].side != "conventional"
    ]
    parts_are_priced = set(PARTS_OF_UPDATE) <= set(of_status["priced"])
    return TotalContents(
        priced=tuple(of_status["priced"]),
        covered=tuple(of_status["covered"]),
        unpriced=tuple(of_status["unpriced"]),
        # What arithmetic prices are parts of other terms.
        uncounted=() if profile.scope == "arithmetic" else tuple(uncounted),
        partly=UPDATES if parts_are_priced else (),
    )
