"""Which terms a total includes under a price list, and which not."""

from dataclasses import dataclass

from spikejoule.compare.analysis import EnergyAnalysis
from spikejoule.energy.operations import INFERENCE
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
    """

    priced: list[str]
    covered: list[str]
    unpriced: list[str]
    uncounted: list[str]

    @property
    def not_included(self) -> list[str]:
        """The unpriced terms; of a neuron update, leak and bias may be priced."""
        if not set(PARTS_OF_UPDATE) <= set(self.priced):
            return self.unpriced
        return [
            f"{term} (beyond leak and bias)" if term in UPDATES else term
            for term in self.unpriced
        ]


def contents(
    analysis: EnergyAnalysis, *phases: str, profile: HardwareProfile | None = None
) -> TotalContents:
    """Sort the counted terms by what a price list makes of them.

    Args:
        analysis: the priced counts.
        phases: phases of the total; by default an inference.
        profile: the price list; by default the headline's.
    """
    prices = profile or analysis.chosen
    phase_of_term: dict[str, str] = {}
    for phase in phases or (INFERENCE,):
        rows = analysis.records(phase=phase, profile=prices.id)
        phase_of_term |= {row.term: phase for row in rows}
    by_status: dict[str, list[str]] = {"priced": [], "covered": [], "unpriced": []}
    for term, phase in phase_of_term.items():
        by_status[prices.status_of(term, phase)].append(term)
    uncounted: list[str] = []
    # The prices of arithmetic lists are for what terms consist of.
    if prices.scope != "arithmetic":
        uncounted = [
            term
            for term in prices.prices
            if term not in phase_of_term and TERMS[term].side != "conventional"
        ]
    return TotalContents(**by_status, uncounted=uncounted)
