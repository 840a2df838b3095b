"""The verdicts in words, for pages and terminals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import pandas as pd

from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, Side
from spikejoule.energy.prices import HardwareProfile
from spikejoule.tracking.tables import Column, frame_text
from studies.verdict.networks import RecordedNetwork
from studies.verdict.statistics import ENOUGH_SEEDS
from studies.verdict.verdicts import CROSSING_LEVELS, Verdict

OUTCOMES: Final = {
    "snn": "spiking wins",
    "ann": "conventional wins",
    "undecided": "undecided",
    "neither": "neither reaches it",
}
"""An outcome in a table."""

NEEDS_LESS: Final = {
    "snn": "the spiking network needs less energy",
    "ann": "the conventional network needs less energy",
    "undecided": "it is undecided",
    "neither": "neither side has networks there",
}
"""An outcome in a sentence."""


def sentences(
    rows: Sequence[Verdict],
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int] | None = None,
) -> list[str]:
    """The verdicts, a sentence each.

    Args:
        rows: the verdicts.
        networks: the recorded networks behind them.
        profiles: the price lists, by id.
        left_out: the number of what is left out, by reason.
    """
    if rows:
        found = [
            who_wins(rows),
            *(at_level(of_level) for of_level in by_level(rows)),
            *crossings(rows),
            *to_break_even(rows, profiles),
            configurations(rows),
            *few_seeds(rows),
            sample(networks),
            *training_times(networks),
        ]
    else:
        n_networks = len({network.weights_sha256 for network in networks})
        found = [
            f"No verdict: {n_networks} networks are recorded, and both sides need some."
        ]
    if left_out:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.items())
        found.append(f"Left out: {reasons}.")
    return found


def who_wins(rows: Sequence[Verdict]) -> str:
    """How many comparisons each side wins."""
    outcomes = [row.outcome for row in rows]
    conventional = outcomes.count("ann")
    spiking = outcomes.count("snn")
    others = len(rows) - conventional - spiking
    return (
        f"The conventional network needs less energy in {conventional} of "
        f"{len(rows)} comparisons "
        f"(price list x accuracy), the spiking network in {spiking or 'none'}; the "
        f"other {others} "
        "are undecided, or beyond the end of a front."
    )


def by_level(rows: Sequence[Verdict]) -> Iterator[list[Verdict]]:
    """The rows of each level, from the lowest level on."""

    def level(row: Verdict) -> float:
        return row.level_percent

    for _, group in groupby(sorted(rows, key=level), level):
        yield list(group)


def at_level(rows: Sequence[Verdict]) -> str:
    """Which price lists favour which side at a level, and how many draws have no
    answer.
    """
    first = rows[0]
    by_outcome: dict[str, list[str]] = {}
    for row in rows:
        by_outcome.setdefault(row.outcome, []).append(row.profile)
    answers = "; ".join(
        f"{NEEDS_LESS[outcome]} under {', '.join(names)}"
        for outcome, names in sorted(by_outcome.items())
    )
    band = f"{first.level_low_percent:g} to {first.level_high_percent:g}"
    said = (
        f"At about {first.level_percent:g} % ({band}) on validation images {answers}."
    )
    missing = [
        f"In {_range(shares)} % of the draws the {side} front does not extend to "
        "this accuracy; "
        "those draws are excluded."
        for side in (SPIKING, CONVENTIONAL)
        if max(shares := [row.side(side).missing_percent for row in rows]) >= 0.5
    ]
    return " ".join([said, *missing])


def _range(values: Sequence[float]) -> str:
    low = f"{min(values):.0f}"
    high = f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def crossings(rows: Sequence[Verdict]) -> Iterator[str]:
    """Where the fronts cross, and under which price lists they do not."""
    of_profiles = {row.profile: row.crossing for row in rows}
    crossing = [
        f"at {found.percent:.1f} % ({found.low_percent:.1f} to "
        f"{found.high_percent:.1f}; in "
        f"{found.share_percent:.0f} % of the draws; above, {NEEDS_LESS[found.to]}) "
        f"under {profile}"
        for profile, found in of_profiles.items()
        if found.to
    ]
    if crossing:
        yield f"The fronts cross {', '.join(crossing)}."
    apart = [profile for profile, found in of_profiles.items() if not found.to]
    if apart:
        low = CROSSING_LEVELS[0]
        high = CROSSING_LEVELS[-1]
        yield (
            f"No crossing is found between {low:g} and {high:g} % under "
            f"{', '.join(apart)}."
        )


def to_break_even(
    rows: Sequence[Verdict], profiles: Mapping[str, HardwareProfile]
) -> Iterator[str]:
    """By how much the spiking side loses, under price lists that include memory."""
    lost = [
        row
        for row in rows
        if row.outcome == "ann" and profiles[row.profile].scope == "system"
    ]
    low = [row.ratio_low for row in lost if row.ratio_low is not None]
    high = [row.ratio_high for row in lost if row.ratio_high is not None]
    if low and high:
        yield (
            "To break even where it loses, the spiking network would have to use "
            f"{plain(min(low))} to {plain(max(high))} times less energy."
        )


def configurations(rows: Sequence[Verdict]) -> str:
    """How many configurations the fronts were chosen from."""
    spiking, conventional = (
        " or ".join(str(number) for number in sorted(numbers))
        for numbers in (
            {row.side(side).n_configurations for row in rows}
            for side in (SPIKING, CONVENTIONAL)
        )
    )
    return (
        f"The fronts are chosen from {spiking} spiking and {conventional} conventional "
        "configurations: the cheapest of many is partly so by chance."
    )


def few_seeds(rows: Sequence[Verdict]) -> Iterator[str]:
    """The configurations whose intervals are too narrow."""
    sides = [row.side(side) for row in rows for side in (SPIKING, CONVENTIONAL)]
    few = [
        side.network for side in sides if side.network and side.n_seeds < ENOUGH_SEEDS
    ]
    if few:
        yield (
            f"These have fewer than {ENOUGH_SEEDS} seeds, so their intervals are "
            "too narrow (one "
            f"seed contributes nothing to them): {'; '.join(dict.fromkeys(few))}."
        )


def sample(networks: Sequence[RecordedNetwork]) -> str:
    """What the verdicts are made from."""
    n_networks = len({network.weights_sha256 for network in networks})
    n_runs = len({network.run_id for network in networks})
    return (
        f"{n_networks} networks of {n_runs} run{'' if n_runs == 1 else 's'}: their "
        "accuracies and "
        f"energies are means over the same {networks[0].n_images:,} test images, "
        "and the intervals "
        "cover seeds, images and the accuracy band."
    )


def training_times(networks: Sequence[RecordedNetwork]) -> Iterator[str]:
    """What training took on each side."""
    trained = _once_each(network for network in networks if network.train_seconds)
    if trained:
        sides = [_training_time(trained, side) for side in (SPIKING, CONVENTIONAL)]
        yield f"Training took {', '.join(sides)}."


def _training_time(networks: Sequence[RecordedNetwork], side: Side) -> str:
    of_side = [network for network in networks if network.side == side]
    recorded = [one.processor_seconds for one in of_side if one.processor_seconds]
    hours = sum(network.train_seconds or 0 for network in of_side) / 3600
    return (
        f"{sum(recorded) / 60:.1f} processor minutes on the {side} side "
        f"({len(recorded)} of its "
        f"{len(of_side)} networks recorded them; {hours:.1f} hours by the clock)"
    )


def _once_each(networks: Iterable[RecordedNetwork]) -> list[RecordedNetwork]:
    """The first network of each weights."""
    first: dict[str, RecordedNetwork] = {}
    for network in networks:
        first.setdefault(network.weights_sha256, network)
    return list(first.values())


def ratio_words(row: Verdict) -> str:
    """The ratio with its interval; empty where there is none."""
    if row.ratio_low is None or row.ratio_high is None:
        return ""
    interval = f"{plain(row.ratio_low)} to {plain(row.ratio_high)}"
    return interval if row.ratio is None else f"{plain(row.ratio)} ({interval})"


def terminal_text(
    rows: Sequence[Verdict],
    networks: Sequence[RecordedNetwork],
    profiles: Mapping[str, HardwareProfile],
    left_out: Mapping[str, int],
) -> str:
    """The verdicts as a table and in sentences."""
    lines = sentences(rows, networks, profiles, left_out)
    if rows:
        lines = [_table(rows), "", *lines]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Verdict]) -> str:
    columns: dict[str, Column] = {
        "profile": ("profile", ""),
        "level_percent": ("about %", "g"),
        "outcome": ("outcome", OUTCOMES.__getitem__),
        "ratio": ("ratio", ".3g"),
        "ratio_low": ("from", ".3g"),
        "ratio_high": ("to", ".3g"),
        "spiking_network": ("spiking", ""),
        "spiking_n_seeds": ("seeds", "d"),
        "spiking_pj": ("energy", short_joules),
        "conventional_network": ("conventional", ""),
        "conventional_n_seeds": ("seeds", "d"),
        "conventional_pj": ("energy", short_joules),
    }
    return frame_text(pd.DataFrame([row.cells() for row in rows]), columns)


def short_joules(energy_pj: Any) -> str:
    """An energy with three digits and a unit; empty where it is not known."""
    return "" if pd.isna(energy_pj) else joules(energy_pj, 3)
