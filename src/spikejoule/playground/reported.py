"""The energy report's comparison, in the words of the page."""

from collections.abc import Sequence
from typing import Final

from spikejoule.compare.comparison import Comparison
from spikejoule.report.units import energy_words
from spikejoule.report.words import number

_OUTCOMES: Final = {
    "snn": "the spiking network wins",
    "ann": "the spiking network loses",
    "undecided": "the comparison is inconclusive",
}


def reported_notes(
    verdicts: Sequence[Comparison], is_published: bool
) -> dict[str, str]:
    """What the energy report says of a run, by the id of a price list.

    Args:
        verdicts: of the whole window, one per price list.
        is_published: whether the report compares with the package's reference networks,
            and not with networks of the run.
    """
    return {verdict.profile: _note(verdict, is_published) for verdict in verdicts}


def _note(verdict: Comparison, is_published: bool) -> str:
    # In as many digits as the page's own average above.
    spiking = energy_words(verdict.spiking.energy, digits=3)
    conventional = energy_words(verdict.conventional.energy)
    result = (
        f"{_OUTCOMES[verdict.outcome]}: {spiking} against {conventional} on average "
        f"({number(verdict)} times)."
    )
    if is_published:
        return (
            "Against the strongest conventional networks of equal accuracy known for "
            f"this task, {result} Only their operation counts are available, so a "
            "conventional network trained in this run classifies your drawing."
        )
    return (
        f"Against conventional networks of exactly its accuracy, {result} That energy "
        "is that of a mixture of two networks of this run."
    )
