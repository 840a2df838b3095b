"""The energy report's comparison, in the words of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spikejoule.energy.comparison import RunVerdict
from spikejoule.energy.estimates import energy_words
from spikejoule.energy.words import number

_OUTCOMES: Final = {
    "snn": "the spiking network wins",
    "ann": "the spiking network loses",
    "undecided": "the comparison is inconclusive",
}


@dataclass(frozen=True)
class ReportedComparison:
    """What the energy report compares the spiking network with.

    Attributes:
        verdicts: of the whole window, one per price list.
        is_published: whether it compares with the package's reference networks, and not
            with networks of the run.
    """

    verdicts: Sequence[RunVerdict]
    is_published: bool

    @property
    def notes(self) -> dict[str, str]:
        """The comparison in the report, by the id of its price list."""
        return {verdict.profile: self._note(verdict) for verdict in self.verdicts}

    def _note(self, verdict: RunVerdict) -> str:
        # In as many digits as the page's own average above.
        spiking = energy_words(verdict.energy("spiking"), digits=3)
        conventional = energy_words(verdict.energy("conventional"))
        result = (
            f"{_OUTCOMES[verdict.outcome]}: {spiking} against {conventional} on "
            f"average ({number(verdict)} times)."
        )
        if self.is_published:
            return (
                "Against the strongest conventional networks of equal accuracy known "
                f"for this task, {result} Only their operation counts are available, "
                "so a conventional network trained in this run classifies your drawing."
            )
        return (
            f"Against conventional networks of exactly its accuracy, {result} That "
            "energy is interpolated between two networks of this run."
        )
