"""The outcomes in words, for a terminal; pages use some of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from spikejoule.core.terminal import text_table
from spikejoule.data.sources import data_sentence
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
from spikejoule.energy.prices import HardwareProfile
from spikejoule.report.units import joules, plain
from studies.verdict.networks import RecordedNetwork
from studies.verdict.project import VARIANT_OF
from studies.verdict.statistics import ENOUGH_SEEDS
from studies.verdict.verdicts import BesideFronts, Outcome, Verdict

WINNERS: Final = {
    "snn": "spiking",
    "ann": "conventional",
    "undecided": "inconclusive",
    "range": "not decidable",
    "missed": "no number",
}
"""An outcome in the table."""


def sentences(
    rows: Sequence[Verdict],
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int] | None = None,
) -> list[str]:
    """State the outcomes.

    Args:
        rows: the comparisons.
        networks: the recorded networks behind them.
        profiles: the price lists, by id.
        left_out: number of networks or runs left out, by reason.
    """
    if rows:
        stated = [
            who_wins(rows),
            *not_decidable(rows),
            *misses(rows),
            *to_break_even(rows, profiles),
            configurations(rows),
            *few_seeds(rows),
            sample(networks),
            *training_times(networks),
        ]
    else:
        n_networks = len({network.weights_sha256 for network in networks})
        stated = [
            f"No verdict: {n_networks} networks are recorded, and both sides need at "
            "least one."
        ]
    if left_out:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        stated.append(f"Left out: {reasons}.")
    return stated


def who_wins(rows: Sequence[Verdict]) -> str:
    """State how many comparisons each side wins, of those that have a number."""
    outcomes = counted_once(rows)
    conventional = outcomes.count("ann")
    spiking = outcomes.count("snn")
    others = len(outcomes) - conventional - spiking
    if not outcomes:
        return "No comparison has a number: a side has no networks at any level."
    if conventional == len(outcomes):
        return (
            f"The conventional network needs less energy in all {conventional} "
            "comparisons (price list x accuracy)."
        )
    the_others_are = "the other one is" if others == 1 else f"the other {others} are"
    rest = f"; {the_others_are} inconclusive" if others else ""
    return (
        f"The conventional network needs less energy in {conventional} of "
        f"{len(outcomes)} comparisons (price list x accuracy), the spiking network in "
        f"{spiking or 'none'}{rest}."
    )


def counted_once(rows: Sequence[Verdict]) -> list[Outcome]:
    """The outcomes; variants of a price list count once with it.

    Where variants disagree, the comparison is undecided.
    """
    outcomes: dict[tuple[str, float], set[Outcome]] = {}
    for row in rows:
        if row.outcome not in ("range", "missed"):
            key = VARIANT_OF.get(row.profile, row.profile), row.level_percent
            outcomes.setdefault(key, set()).add(row.outcome)
    return [
        next(iter(found)) if len(found) == 1 else "undecided"
        for found in outcomes.values()
    ]


def not_decidable(rows: Sequence[Verdict]) -> Iterator[str]:
    """Name the comparisons that prices leave open, whatever the networks."""
    open_rows = [row for row in rows if row.outcome == "range"]
    if open_rows:
        names = in_series(dict.fromkeys(f"`{row.profile}`" for row in open_rows))
        yield (
            f"{len(open_rows)} further comparisons are not counted, under {names}: "
            "their price ranges alone allow both outcomes, so no network could decide "
            "them."
        )


def misses(rows: Sequence[Verdict]) -> Iterator[str]:
    """Name the levels that a side misses in most draws, under every price list."""
    for level in dict.fromkeys(row.level_percent for row in rows):
        at_level = [row for row in rows if row.level_percent == level]
        missing = [
            side
            for side in (SPIKING, CONVENTIONAL)
            if all(row.side(side).missing_percent > 50 for row in at_level)
        ]
        if missing:
            sides = f"The {missing[0]} side misses"
            if len(missing) == 2:
                sides = "Both sides miss"
            yield f"{sides} {level:g} % in most draws, so there is no number there."


def in_series(words: Iterable[str]) -> str:
    """Join words like a, b and c; none if there are none."""
    *first, last = [*words] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def to_break_even(
    rows: Sequence[Verdict], profiles: Mapping[str, HardwareProfile]
) -> Iterator[str]:
    """State by how much the spiking side loses, with memory included."""
    lost = [
        row
        for row in rows
        if row.outcome == "ann" and profiles[row.profile].scope == "system"
    ]
    ratios = [row.ratio for row in lost if row.ratio and math.isfinite(row.ratio)]
    if ratios:
        yield (
            "To break even where it loses, the spiking network's energy would have to "
            f"fall by a factor of {plain(min(ratios))} to {plain(max(ratios))}."
        )


def configurations(rows: Sequence[Verdict]) -> str:
    """State from how many configurations the fronts were chosen."""

    def numbers(side: SideName) -> str:
        distinct = {row.side(side).n_configurations for row in rows}
        return " or ".join(str(number) for number in sorted(distinct))

    return (
        f"The fronts are chosen from {numbers(SPIKING)} spiking and "
        f"{numbers(CONVENTIONAL)} conventional configurations."
    )


def few_seeds(rows: Sequence[Verdict]) -> Iterator[str]:
    """Name the configurations whose intervals are too narrow."""
    sides = [row.side(side) for row in rows for side in (SPIKING, CONVENTIONAL)]
    few = [
        side.network for side in sides if side.network and side.n_seeds < ENOUGH_SEEDS
    ]
    if few:
        yield (
            f"These have fewer than {ENOUGH_SEEDS} seeds, so their intervals are too "
            "narrow, and one seed decides nothing: "
            f"{'; '.join(dict.fromkeys(few))}."
        )


def sample(networks: Sequence[RecordedNetwork]) -> str:
    """State which networks, runs and images the comparison rests on."""
    alone = [network for network in networks if network.n_networks == 1]
    n_networks = len({network.weights_sha256 for network in alone})
    n_cascades = len({network.weights_sha256 for network in networks}) - n_networks
    cascades = f" and {n_cascades} cascades" if n_cascades else ""
    n_runs = len({network.run_id for network in networks})
    runs = "1 run" if n_runs == 1 else f"{n_runs} runs"
    return (
        f"{n_networks} networks{cascades} of {runs} ran on the same "
        f"{networks[0].n_images:,} test images. Intervals cover the seeds, and not the "
        "choice of these images."
    )


def training_times(networks: Sequence[RecordedNetwork]) -> Iterator[str]:
    """State the training time of each side."""
    trained = _once_each(network for network in networks if network.train_seconds)
    if trained:
        sides = [_training_time(trained, side) for side in (SPIKING, CONVENTIONAL)]
        yield f"Training took {', '.join(sides)}."


def _training_time(networks: Sequence[RecordedNetwork], side: SideName) -> str:
    members = [network for network in networks if network.side == side]
    seconds = [member.processor_seconds for member in members]
    recorded = [value for value in seconds if value]
    hours = sum(member.train_seconds or 0 for member in members) / 3600
    networks_covered = f"{len(members)} networks"
    if len(recorded) < len(members):
        networks_covered += f", {len(recorded)} of them with processor times"
    return (
        f"{sum(recorded) / 60:.1f} processor minutes on the {side} side "
        f"({hours:.1f} hours of wall-clock time, {networks_covered})"
    )


def _once_each(networks: Iterable[RecordedNetwork]) -> list[RecordedNetwork]:
    """Keep the first network with each weights."""
    first: dict[str, RecordedNetwork] = {}
    for network in networks:
        first.setdefault(network.weights_sha256, network)
    return list(first.values())


def ratio_words(
    median: float | None, low: float | None, high: float | None, digits: int = 3
) -> str:
    """A ratio with its interval; empty if there is none.

    An infinite ratio means that one side misses the accuracy, and has no word.
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    if math.isinf(low):
        return "infinite"
    start = plain(low, digits)
    if math.isinf(high):
        interval = f"{start} or more"
    else:
        interval = f"{start} to {plain(high, digits)}"
    if median is None or math.isinf(median):
        return interval
    return f"{plain(median, digits)} ({interval})"


def terminal_text(
    rows: Sequence[Verdict],
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int],
) -> str:
    """The outcomes as a table and in sentences."""
    lines = sentences(rows, networks, profiles, left_out)
    if rows:
        lines = [_table(rows), "", *lines]
    if networks:
        lines = [data_sentence(networks[0].data_source), *lines]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Verdict]) -> str:
    headings = ("price list", "%", "winner", "ratio (interval)", SPIKING, CONVENTIONAL)
    cells = [
        [
            row.profile,
            f"{row.level_percent:g}",
            WINNERS[row.outcome],
            ratio_words(row.ratio, row.ratio_low, row.ratio_high),
            short_joules(row.spiking.pj),
            short_joules(row.conventional.pj),
        ]
        for row in rows
    ]
    return text_table(headings, cells)


def beside_text(rows: Sequence[BesideFronts]) -> str:
    """The added network beside the recorded ones, as a table."""
    if not rows:
        return ""
    headings = ("price list", "your network", "recorded spiking", "conventional")
    cells = [
        [
            row.profile,
            short_joules(row.pj),
            short_joules(row.spiking_pj) or "none",
            short_joules(row.conventional_pj) or "none",
        ]
        for row in rows
    ]
    first = rows[0].network
    return (
        f"\nYour network, {first.network} ({first.method}), beside the recorded "
        f"networks and their mixtures at its test accuracy, {first.test_percent:.2f} "
        f"%:\n{text_table(headings, cells)}\n"
    )


def short_joules(energy_pj: float | None) -> str:
    """An energy with three digits and a unit; empty if it is unknown."""
    return "" if energy_pj is None else joules(energy_pj, 3)
