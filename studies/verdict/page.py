"""The generated parts of pages: the answer for MNIST.

They are between the marks ``<!-- verdict -->`` and ``<!-- end of verdict -->``: a
sentence in the project's README; a table and the break-even map on the study's page.
"""

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from spikejoule.energy.estimates import BootstrapSettings
from spikejoule.report.units import plain
from studies.verdict.breakeven import (
    PLACED_PERCENT,
    BreakEven,
    Line,
    PlacedList,
    placed_lists,
    recorded_lines,
)
from studies.verdict.headline import (
    FACTORS_PERCENT,
    PROFILE,
    Factor,
    HeadlineRow,
    recorded_factors,
    recorded_headline,
)
from studies.verdict.networks import FOLDER, NetworkTable, recorded_table
from studies.verdict.project import judging, price_lists
from studies.verdict.sentences import (
    in_series,
    misses,
    not_decidable,
    ratio_words,
    who_wins,
)
from studies.verdict.verdicts import DRAWS, verdicts

ROOT: Final = FOLDER.parents[1]
SUMMARY: Final = ROOT / "README.md"
PAGE: Final = FOLDER / "README.md"

SETTINGS: Final = BootstrapSettings(resamples=DRAWS, confidence=0.95, seed=42)
"""Draws of the published comparison: confidence and seed as in params.yaml."""

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
    levels = recorded_headline()
    answer = [
        headline_sentence(levels),
        headline_table(levels),
        " ".join([who_wins(rows), *not_decidable(rows), *misses(rows)]),
        *factor_sentences(recorded_factors()),
        *map_parts(recorded_lines(), placed_lists(networks, profiles, SETTINGS)),
    ]
    return f"{headline_sentence(levels)}\n", "\n\n".join(answer) + "\n"


def headline_sentence(rows: Sequence[HeadlineRow]) -> str:
    """State the ratios at one accuracy."""
    (at,) = (row for row in rows if row.level_percent == FACTORS_PERCENT)
    events = ratio_words(at.events_per_weight, at.events_low, at.events_high, 2)
    energy = ratio_words(at.energy_ratio, at.energy_low, at.energy_high, 2)
    return (
        f"At {at.level_percent:g} % accuracy, the best spiking networks of this search "
        f"need {events} synaptic events per weight that the best conventional networks "
        f"multiply or add, and {energy} times their energy with memory."
    )


def headline_table(rows: Sequence[HeadlineRow]) -> str:
    """Markdown: both sides at each accuracy that both reach."""

    def both(spiking: float | None, conventional: float | None) -> str:
        return f"{plain(spiking or 0)} / {plain(conventional or 0)}"

    rows_of_table = {
        "events per weight": [
            ratio_words(row.events_per_weight, row.events_low, row.events_high, 2)
            for row in rows
        ],
        "of that, spiking itself": [
            "" if row.spiking_itself is None else plain(row.spiking_itself)
            for row in rows
        ],
        f"energy (`{PROFILE}`)": [
            ratio_words(row.energy_ratio, row.energy_low, row.energy_high, 2)
            for row in rows
        ],
        "nJ, spiking / conventional": [
            both(row.spiking_nj, row.conventional_nj) for row in rows
        ],
        "nJ of the nearest networks above": [
            both(row.spiking_nearest_nj, row.conventional_nearest_nj) for row in rows
        ],
    }
    filled = {name: cells for name, cells in rows_of_table.items() if any(cells)}
    headings = " | ".join(f"{row.level_percent:g} %" for row in rows)
    return "\n".join(
        [
            f"| spiking / conventional | {headings} |",
            "|---" * (1 + len(rows)) + "|",
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in filled.items()),
        ]
    )


def factor_sentences(rows: Sequence[Factor]) -> Iterator[str]:
    """State what other choices would make of the energy ratio."""
    if rows:
        choices = "; ".join(f"{row.choice}: x {plain(row.factor, 2)}" for row in rows)
        yield (
            f"At {FACTORS_PERCENT:g} %, other choices multiply the energy ratio: "
            f"{choices}."
        )


def map_parts(rows: Sequence[BreakEven], lists: Sequence[PlacedList]) -> list[str]:
    """The break-even map, and how to read it."""
    line = Line.at(rows, PLACED_PERCENT)
    start = line.with_free_memory
    free = range_words(start.mac, start.mac_low, start.mac_high)
    lowest = line.per_access("mac_low")
    per_access = range_words(
        line.per_access(),
        None if lowest is None else max(lowest, 0.0),
        line.per_access("mac_high"),
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
        f"{lists_below} The map charges every access alike, whatever the memory.",
    ]


def range_words(median: float | None, low: float | None, high: float | None) -> str:
    """A price with its interval; no finite price is enough where one is None."""

    def end(price: float | None) -> float:
        return math.inf if price is None else price

    return ratio_words(end(median), end(low), end(high), 2)
