"""The generated parts of pages: the answer for MNIST.

They are between the marks ``<!-- verdict -->`` and ``<!-- end of verdict -->``: a
sentence in the project's README; a table and the break-even map on the study's page.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from spikejoule.energy.estimates import BootstrapSettings
from studies.verdict.breakeven import (
    PLACED_PERCENT,
    BreakEven,
    Line,
    PlacedList,
    placed_lists,
    recorded_lines,
)
from studies.verdict.counts import EVENTS, MEMORY_ACCESSES, CountRatio, count_ratios
from studies.verdict.networks import FOLDER, NetworkTable, recorded_table
from studies.verdict.project import judging, price_lists
from studies.verdict.sentences import (
    in_series,
    misses,
    not_decidable,
    ratio_words,
    who_wins,
)
from studies.verdict.verdicts import DRAWS, LEVELS_PERCENT, Verdict, verdicts

ROOT: Final = FOLDER.parents[1]
SUMMARY: Final = ROOT / "README.md"
PAGE: Final = FOLDER / "README.md"

SETTINGS: Final = BootstrapSettings(resamples=DRAWS, confidence=0.95, seed=42)
"""Draws of the published comparison: confidence and seed as in params.yaml."""

COUNTS: Final = (EVENTS, MEMORY_ACCESSES)
"""Counts in the table of the page."""

ENERGIES: Final = {
    "45nm-by-width": "energy of arithmetic, by bit width",
    "45nm-by-width-memory": "the same with memory",
    "lemaire-complete": "energy with memory, at 32 bits",
}
"""Price lists in the table of the page, and what they cover."""

LEVELS_OF_BOTH_CASCADES: Final = (97.5, 98.0, 98.5)
"""The levels at which both sides have a cascade: those of the summary."""

_MARKED = re.compile(
    r"(?<=<!-- verdict -->\n).*?(?=<!-- end of verdict -->)", re.DOTALL
)


def written(page: Path) -> str:
    """Return a page with its generated part up to date."""
    summary, answer = statements()
    stated = summary if page == SUMMARY else answer
    return _MARKED.sub(lambda _: stated, page.read_text(encoding="utf-8"))


@cache
def statements() -> tuple[str, str]:
    """The summary, and the answer."""
    networks = NetworkTable.read(recorded_table("mnist")).rows
    profiles = price_lists()
    rows = verdicts(networks, judging(profiles.values()), SETTINGS)
    answer = [
        answer_table(count_ratios(networks, SETTINGS), rows),
        " ".join([who_wins(rows), *not_decidable(rows), *misses(rows)]),
        *map_parts(recorded_lines(), placed_lists(networks, profiles, SETTINGS)),
    ]
    return f"{summary_of(rows)}\n", "\n\n".join(answer) + "\n"


def summary_of(rows: Sequence[Verdict]) -> str:
    """State who wins at the levels at which both sides have all their networks."""
    levels = in_series(f"{level:g}" for level in LEVELS_OF_BOTH_CASCADES)
    wins = who_wins(
        [row for row in rows if row.level_percent in LEVELS_OF_BOTH_CASCADES]
    )
    return f"At {levels} % accuracy, {wins[:1].lower()}{wins[1:]}"


def answer_table(counts: Sequence[CountRatio], rows: Sequence[Verdict]) -> str:
    """Markdown: spiking over conventional counts and energies at each level."""
    cells = {
        name: [
            ratio_words(row.ratio, row.low, row.high, 2)
            for row in counts
            if row.quantity == name
        ]
        for name in COUNTS
    }
    for profile, covered in ENERGIES.items():
        cells[f"{covered} (`{profile}`)"] = [
            ratio_words(row.ratio, row.ratio_low, row.ratio_high, 2)
            for row in rows
            if row.profile == profile
        ]
    headings = " | ".join(f"{level:g} %" for level in LEVELS_PERCENT)
    lines = [
        f"| spiking / conventional | {headings} |",
        "|---" * (1 + len(LEVELS_PERCENT)) + "|",
        *(f"| {name} | {' | '.join(ratios)} |" for name, ratios in cells.items()),
    ]
    return "\n".join(lines)


def map_parts(rows: Sequence[BreakEven], lists: Sequence[PlacedList]) -> list[str]:
    """The break-even map, and how to read it."""
    line = Line.at(rows, PLACED_PERCENT)
    start = line.with_free_memory
    free = range_words(start.mac, start.mac_low, start.mac_high)
    per_access = range_words(
        line.per_access(), line.per_access("mac_low"), line.per_access("mac_high")
    )
    below = [one for one in lists if one.mac > line.mac_price(one.access)]
    names = in_series(f"`{one.name}`" for one in below)
    lists_below = f"Price lists below the line: {names}."
    if below and all(one.access == 0 and one.ignores_widths for one in below):
        lists_below += (
            " Such lists charge 4 x 4-bit products as 8- or 32-bit ones, and leave out "
            "memory."
        )
    return [
        "![Lines of equal energy by the prices of a multiply-accumulate and of a "
        "memory access, with the price lists as points](break-even.png)",
        "On its line, both sides need the same energy. **Counting only additions, "
        "multiply-accumulates and memory accesses, the spiking networks of this study "
        f"need less energy at {PLACED_PERCENT:g} % only where a multiply-accumulate "
        f"costs more than {free} additions plus {per_access} memory accesses.** "
        f"{lists_below}",
    ]


def range_words(median: float | None, low: float | None, high: float | None) -> str:
    """A price with its interval; no finite price is enough where one is None."""

    def end(price: float | None) -> float:
        return math.inf if price is None else price

    return ratio_words(end(median), end(low), end(high), 2)
