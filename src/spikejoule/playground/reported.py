"""Why the ratio on the page is not that of the energy report."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.energy.comparison import RunVerdict
from spikejoule.energy.estimates import energy_words
from spikejoule.energy.words import number


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

    def note(self, profile: str) -> str:
        """A sentence on the ratio in the report; empty without one.

        Args:
            profile: id of the price list.
        """
        for verdict in self.verdicts:
            if verdict.profile == profile:
                return self._note(verdict)
        return ""

    def _note(self, verdict: RunVerdict) -> str:
        energy = energy_words(verdict.energy("conventional"))
        ratio = number(verdict)
        if self.is_published:
            return (
                f"The energy report says {ratio} times instead: it compares with "
                f"reference networks of equal accuracy, which need {energy} on "
                "average. Only their counts are published, not their weights, so they "
                "cannot classify your drawing. The conventional network here was "
                "trained in this run."
            )
        return (
            f"The energy report says {ratio} times: it compares with {energy}, what "
            "the conventional networks of this run need at exactly the spiking "
            "network's accuracy, read off the line between two of them."
        )
