"""The generated parts of pages: comparisons of the recorded networks for MNIST.

They are between the marks ``<!-- verdict -->`` and ``<!-- end of verdict -->``: a
summary in the project's README, and everything on the page of the study.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from spikejoule.energy import BootstrapSettings, HardwareProfile
from spikejoule.energy.estimates import plain
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING
from studies.verdict import training
from studies.verdict.breakeven import (
    PLACED_PERCENT,
    BreakEven,
    Line,
    PlacedList,
    placed_lists,
    recorded_lines,
)
from studies.verdict.counts import QUANTITIES, CountRatio, count_ratios
from studies.verdict.networks import FOLDER, NetworkTable, recorded_table
from studies.verdict.project import judging, price_lists
from studies.verdict.sentences import (
    OUTCOMES,
    in_series,
    ratio_words,
    sentences,
    short_joules,
    who_wins,
)
from studies.verdict.verdicts import DRAWS, LEVELS_PERCENT, Verdict, verdicts

ROOT: Final = FOLDER.parents[1]
SUMMARY: Final = ROOT / "README.md"
PAGE: Final = FOLDER / "README.md"

SETTINGS: Final = BootstrapSettings(resamples=DRAWS, confidence=0.95, seed=42)
"""Draws of the published comparison: confidence and seed as in params.yaml."""

NAMED: Final = (
    "45nm-by-width-memory",
    "lemaire-complete",
    "lemaire-complete-int8",
    "lemaire-complete-int8-floored",
    "lemaire-complete-int8-registers",
    "lemaire-qualia-int8",
)
"""Price lists whose networks the page names."""

EVENTS, _, _, _, _, MEMORY_ACCESSES, _ = QUANTITIES

LEVELS_OF_BOTH_CASCADES: Final = (97.5, 98.0, 98.5)
"""The levels at which both sides have a cascade: those of the summary."""

MAC_PRICES: Final = {
    "4 x 4 bits, 16-bit sums": 2.0,
    "8 x 8 bits, 16-bit sums": 5.0,
    "32-bit integers": 32.0,
}
"""Prices of a multiply-accumulate under 45nm-by-width and, for 32 bits, 45nm-int32."""

IGNORE_WIDTHS: Final = (
    "\\* Charges a product the same at any width. These networks multiply 4 x 4 bits, "
    "and the list prices 8 or 32. Such lists without memory are left out."
)

_MARKED = re.compile(
    r"(?<=<!-- verdict -->\n).*?(?=<!-- end of verdict -->)", re.DOTALL
)


def written(page: Path) -> str:
    """Return a page with its generated part up to date."""
    summary, everything = statements()
    stated = summary if page == SUMMARY else everything
    return _MARKED.sub(lambda _: stated, page.read_text(encoding="utf-8"))


@cache
def statements() -> tuple[str, str]:
    """The summary, and everything."""
    networks = NetworkTable.read(recorded_table("mnist")).rows
    profiles = price_lists()
    rows = verdicts(networks, judging(profiles.values()), SETTINGS)
    first, *others = sentences(rows, networks, profiles)
    counts = count_ratios(networks, SETTINGS)
    without_prices = counts_sentence(counts)
    trainings = training.TrainingTable.read(training.TABLE).rows
    named = [row for row in rows if row.profile in NAMED]
    everything = [
        without_prices,
        counts_table(counts),
        lost_sentence(counts),
        *map_parts(recorded_lines(), placed_lists(networks, profiles, SETTINGS)),
        "What it would take a spiking network to win, all prices in additions:",
        demands_table(recorded_lines()),
        first,
        *others,
        verdict_table(rows, profiles),
        IGNORE_WIDTHS,
        "The plain procedure: paired differences over seeds, with t intervals.",
        plain_table(rows),
        side_table(named),
        *training_table(trainings),
    ]
    compared = [row for row in rows if row.level_percent in LEVELS_OF_BOTH_CASCADES]
    wins = who_wins(compared)
    scope = (
        "At these accuracies, over price lists that include memory or price arithmetic "
        "by bit widths"
    )
    with_prices = f"{scope}, {wins[:1].lower()}{wins[1:]}"
    return f"{without_prices} {with_prices}\n\n", "".join(
        f"{part}\n\n" for part in everything
    )


def training_table(rows: Sequence[training.TrainingRow]) -> list[str]:
    """Markdown: what training to each level costs, under each price list."""
    return [
        "### Training to equal accuracy",
        "**These ratios are not a comparison at equal rules:** the two sides follow "
        "[different dataflows](../../docs/explanation/energy-of-training.md"
        "#not-yet-comparable-with-a-conventional-network).",
        *(training.sentence(rows, level) for level in training.LEVELS_PERCENT),
        "Energy of training, spiking over conventional:",
        training.table(rows),
    ]


def counts_sentence(rows: Sequence[CountRatio]) -> str:
    """Say how many events and memory accesses the spiking side needs."""

    def ratios(quantity: str) -> str:
        return in_series(
            count_words(row)
            for row in rows
            if row.quantity == quantity and row.level_percent in LEVELS_OF_BOTH_CASCADES
        )

    levels = in_series(f"{level:g}" for level in LEVELS_OF_BOTH_CASCADES)
    return (
        f"Whatever the prices: at {levels} % accuracy, the spiking networks of this "
        f"study perform {ratios(EVENTS)} synaptic events for each weight that its "
        "conventional networks multiply or add. With potentials and accumulators in "
        f"memory, they make {ratios(MEMORY_ACCESSES)} times as many memory accesses. "
        "Both sides have 4- or 6-bit weights."
    )


def map_parts(rows: Sequence[BreakEven], lists: Sequence[PlacedList]) -> list[str]:
    """The break-even map, how to read it, and what it would take to win."""
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
        "On its line, both sides need the same energy. Above and to the left the "
        "conventional network needs less, below and to the right the spiking network. "
        "**Counting only additions, multiply-accumulates and memory accesses, each at "
        f"one price, a spiking network needs less energy at {PLACED_PERCENT:g} % only "
        f"where a multiply-accumulate costs more than {free} additions plus "
        f"{per_access} memory accesses.** Comparisons, encoding and requantisation are "
        "left out "
        f"([why](#arithmetic-alone)). {lists_below}",
    ]


def demands_table(rows: Sequence[BreakEven]) -> str:
    """Markdown: the prices that a spiking network needs at each level."""
    lines = {level: Line.at(rows, level) for level in LEVELS_PERCENT}
    headings = " | ".join(f"{level:g} %" for level in lines)
    starts = [line.with_free_memory for line in lines.values()]
    table = {
        "with free memory, a multiply-accumulate costs more than": [
            range_words(start.mac, start.mac_low, start.mac_high) for start in starts
        ],
    }
    for words, price in MAC_PRICES.items():
        highest = [line.highest_access_price(price) for line in lines.values()]
        table[f"at {words} ({price:g} additions), a memory access costs less than"] = [
            "impossible" if end is None else plain(end, 2) for end in highest
        ]
    body = [f"| {name} | {' | '.join(cells)} |" for name, cells in table.items()]
    return "\n".join([f"| | {headings} |", "|---" * (1 + len(lines)) + "|", *body])


def range_words(median: float | None, low: float | None, high: float | None) -> str:
    """A price with its interval; no finite price is enough where one is None."""

    def end(price: float | None) -> float:
        return math.inf if price is None else price

    if low is None:
        return "impossible"
    return ratio_words(end(median), low, end(high), 2)


def counts_table(rows: Sequence[CountRatio]) -> str:
    """Markdown: every quantity at each level, spiking over conventional."""
    levels = list(dict.fromkeys(row.level_percent for row in rows))
    names = list(dict.fromkeys(row.quantity for row in rows))
    headings = " | ".join(f"{level:g} %" for level in levels)
    lines = [
        f"| spiking / conventional | {headings} |",
        "|---|" + "---|" * len(levels),
    ]
    for name in names:
        cells = [count_words(row) for row in rows if row.quantity == name]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def lost_sentence(rows: Sequence[CountRatio]) -> str:
    """Say in how many draws the spiking side does not reach each level."""
    lost = in_series(
        f"{row.lost_percent:.0f} % of the draws at {row.level_percent:g} %"
        for row in rows
        if row.quantity == EVENTS and row.lost_percent >= 0.5
    )
    return (
        f"The spiking side misses the accuracy in {lost}: these ratios are infinite. "
        "At 99 %, neither side has a [cascade](#cascades)."
    )


def count_words(row: CountRatio) -> str:
    """A ratio with its interval."""
    return ratio_words(row.ratio, row.low, row.high, 2)


def verdict_table(
    rows: Sequence[Verdict], profiles: Mapping[str, HardwareProfile]
) -> str:
    """Markdown: outcome and ratio at each level under each price list."""
    levels = [
        level
        for level in LEVELS_PERCENT
        if any(row.level_percent == level for row in rows)
    ]
    heads = [f"{level:g} %" for level in levels]
    lines = [f"| price list | {' | '.join(heads)} |", "|---" * (1 + len(levels)) + "|"]
    for profile in dict.fromkeys(row.profile for row in rows):
        cells = [_cell(row) for row in rows if row.profile == profile]
        mark = " \\*" if profiles[profile].ignores_widths else ""
        lines.append(f"| `{profile}`{mark} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Verdict) -> str:
    ratio = ratio_words(row.ratio, row.ratio_low, row.ratio_high)
    return f"{OUTCOMES[row.outcome]}, {ratio}" if ratio else OUTCOMES[row.outcome]


def plain_table(rows: Sequence[Verdict]) -> str:
    """Markdown: the ratios by the plain procedure."""
    heads = [f"{level:g} %" for level in LEVELS_PERCENT]
    lines = [f"| price list | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for profile in dict.fromkeys(row.profile for row in rows):
        plains = [row.plain for row in rows if row.profile == profile]
        cells = [ratio_words(one.ratio, one.low, one.high) for one in plains]
        if any(cells):
            lines.append(f"| `{profile}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def side_table(rows: Sequence[Verdict]) -> str:
    """Markdown: on each front, the configuration next above each level."""
    lines = [
        "| accuracy | price list | side | nearest above | seeds | validation | test "
        "| front at the level | runs |",
        "|---|---|---|---|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        for side in (SPIKING, CONVENTIONAL):
            at_level = row.side(side)
            if not at_level.network:
                continue
            cells = [
                f"{row.level_percent:g} %",
                f"`{row.profile}`",
                side,
                at_level.network,
                str(at_level.n_seeds),
                _percent(at_level.validation_percent, at_level.validation_spread),
                _percent(at_level.test_percent, at_level.test_spread),
                short_joules(at_level.pj),
                ", ".join(run[:8] for run in at_level.runs.split()),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(mean: float | None, spread: float | None) -> str:
    return f"{mean:.2f} %" if spread is None else f"{mean:.2f} ± {spread:.2f} %"
