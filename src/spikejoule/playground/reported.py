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

    @property
    def notes(self) -> dict[str, str]:
        """A sentence on the ratio in the report, by the id of its price list."""
        return {verdict.profile: self._note(verdict) for verdict in self.verdicts}

    def _note(self, verdict: RunVerdict) -> str:
        energy = energy_words(verdict.energy("conventional"))
        needs = (
            "The run's energy report says that the spiking network needs "
            f"{number(verdict)} times"
        )
        if self.is_published:
            return (
                f"{needs} the energy of reference networks of equal accuracy ({energy} "
                "on average). They cannot classify your drawing: their counts are "
                "published, but not their weights. The conventional network here was "
                "trained in this run."
            )
        return (
            f"{needs} the energy of conventional networks of exactly its accuracy "
            f"({energy}), read off the line between two networks of this run."
        )
