"""The generated parts of pages: comparisons of the recorded networks for MNIST.

They are between the marks ``<!-- verdict -->`` and ``<!-- end of verdict -->``: a
summary in the project's README, and everything on the page of the study.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from spikejoule.energy import BootstrapSettings, load_profiles
from spikejoule.energy.estimates import plain
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING
from studies.verdict import training
from studies.verdict.counts import events_per_mac, priced_by_width
from studies.verdict.networks import FOLDER, NetworkTable, recorded_table
from studies.verdict.sentences import OUTCOMES, ratio_words, sentences, short_joules
from studies.verdict.verdicts import LEVELS_PERCENT, Verdict, verdicts

ROOT: Final = FOLDER.parents[1]
SUMMARY: Final = ROOT / "README.md"
PAGE: Final = FOLDER / "README.md"

SETTINGS: Final = BootstrapSettings(resamples=2000, confidence=0.95, seed=42)
"""Random draws of the published comparison: the defaults of params.yaml."""

NAMED: Final = (
    "lemaire-complete",
    "lemaire-complete-int8",
    "lemaire-complete-int8-floored",
    "lemaire-complete-int8-registers",
    "lemaire-qualia-int8",
)
"""Price lists whose networks the page names."""

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
    profiles = load_profiles()
    # Arithmetic-only lists charge every width the same; they are treated apart below.
    judging = [
        profile for profile in profiles.values() if profile.scope != "arithmetic"
    ]
    rows = verdicts(networks, judging, SETTINGS)
    first, *others = sentences(rows, networks, profiles)
    without_prices = events_sentence(events_per_mac(networks, SETTINGS))
    by_width = width_sentence(priced_by_width(networks, SETTINGS))
    trainings = training.TrainingTable.read(training.TABLE).rows
    named = [row for row in rows if row.profile in NAMED]
    everything = [
        first,
        training.sentence(trainings, max(training.LEVELS_PERCENT)),
        without_prices,
        by_width,
        *others,
        verdict_table(rows),
        side_table(named),
        *training_table(trainings),
    ]
    return f"{first} {without_prices}\n\n", "".join(
        f"{part}\n\n" for part in everything
    )


def training_table(rows: Sequence[training.TrainingRow]) -> list[str]:
    """Markdown: what training to each level costs, under each price list."""
    low, *_ = training.LEVELS_PERCENT
    return [
        "### Training to equal accuracy",
        training.sentence(rows, low),
        "Energy of training, spiking over conventional:",
        training.table(rows),
    ]


def events_sentence(rows: Sequence[Verdict]) -> str:
    """Say how many synaptic events replace one multiply-accumulate."""
    ratios = []
    # Only the first number needs its unit.
    unit = (
        " synaptic events for each multiply-accumulate of an equally accurate "
        "conventional network"
    )
    for row in rows:
        if row.ratio is not None:
            low = plain(row.ratio_low or 0, 2)
            high = plain(row.ratio_high or 0, 2)
            level = f"at {row.level_percent:g} % ({low} to {high})"
            ratios.append(f"{plain(row.ratio, 2)}{unit} {level}")
            unit = ""
    return (
        f"Whatever the prices, a spiking network needs {', '.join(ratios)}, both "
        "with 4-bit weights."
    )


def width_sentence(rows: Sequence[Verdict]) -> str:
    """Say what arithmetic alone decides if every operation is priced by its width."""
    ratios = ", ".join(ratio_words(row) for row in rows if row.ratio)
    outcomes = {row.outcome for row in rows}
    result = (
        "inconclusive at every level"
        if outcomes == {"undecided"}
        else "not the same everywhere"
    )
    return (
        "Arithmetic-only price lists are left out: each charges the same for a "
        "product of any width, so a 4 x 4-bit product costs as much as one of 8, 16 "
        "or 32 bits. With products and additions priced by width, the comparison is "
        f"{result}; energies, spiking over conventional: {ratios}."
    )


def verdict_table(rows: Sequence[Verdict]) -> str:
    """Markdown: outcome and ratio at each level under each price list."""
    levels = [
        level
        for level in LEVELS_PERCENT
        if any(row.level_percent == level for row in rows)
    ]
    heads = [f"about {level:g} %" for level in levels]
    lines = [f"| price list | {' | '.join(heads)} |", "|---" * (1 + len(levels)) + "|"]
    for profile in dict.fromkeys(row.profile for row in rows):
        cells = [_cell(row) for row in rows if row.profile == profile]
        lines.append(f"| `{profile}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Verdict) -> str:
    ratio = ratio_words(row)
    return f"{OUTCOMES[row.outcome]}, {ratio}" if ratio else OUTCOMES[row.outcome]


def side_table(rows: Sequence[Verdict]) -> str:
    """Markdown: on each front, the configuration next above each level."""
    lines = [
        "| about | price list | side | nearest above | seeds | validation | test "
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
