"""The generated part of the page: the answer, the picture, and tables.

It is between the marks ``<!-- silicon -->`` and ``<!-- end of silicon -->``.
"""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from spikejoule.energy.prices import load_profiles
from studies.silicon.predictions import (
    Prediction,
    given_one_price,
    held_out,
    name_of,
)
from studies.silicon.references import FOLDER, ONE_PRICE, READ
from studies.silicon.systems import SystemRow
from studies.silicon.tables import (
    ends_words,
    energy_words,
    markdown,
    missing_table,
    one_price_table,
    points_table,
    ratio_cell,
    systems_table,
    verdict_table,
)
from studies.verdict.timed import (
    FAST,
    REAL_TIME,
    REAL_TIME_STOPPED,
    TIMED,
    WINDOW_STEPS,
)

PAGE: Final = FOLDER / "README.md"

DEFAULT: Final = "lemaire-complete"
"""The project's default price list."""

FLOORED: Final = "lemaire-complete-floored"
"""The same, but no memory is cheaper than one of 8 KB."""

_MARKED = re.compile(
    r"(?<=<!-- silicon -->\n).*?(?=<!-- end of silicon -->)", re.DOTALL
)


def written(
    rows: Sequence[Prediction], systems: Sequence[SystemRow], page: Path = PAGE
) -> str:
    """Return the page with its generated part up to date."""
    not_read_again, *read = provenance(rows)
    points = [points_table(rows), cautions(rows), f"Measurements {'; '.join(read)}."]
    parts = [
        headline(rows),
        summary_table(rows, systems),
        f"**Measurements {not_read_again}.**",
        "![Predicted against measured energy, and their ratio](silicon.png)",
        folded("Spiking chips, point by point; what weakens each prediction", *points),
        folded("Conventional chips: one price per product", one_price_table(rows)),
        folded("Lists for a modelled core", systems_table(systems)),
        folded("Chips that publish too little", missing_table(rows)),
        systems_sentences(systems),
        "## The verdict with time in it",
        thought_experiment(),
        verdict_table(TIMED),
    ]
    stated = "\n\n".join(parts) + "\n"
    return _MARKED.sub(lambda _: stated, page.read_text(encoding="utf-8"))


def answer(rows: Sequence[Prediction]) -> str:
    """State what one price misses, and list the predictions of spiking chips."""
    spiking = [row for row in held_out(rows) if row.chip.kind == "spiking"]
    return (
        f"{headline(rows)}\n\nPredicted / measured energy of spiking chips: "
        f"{ratios_words(spiking)}."
    )


def headline(rows: Sequence[Prediction]) -> str:
    """State what one price per event or product misses, and what time explains."""
    priced = [row for row in rows if row.headline_ratio is not None]
    highest = max(priced, key=one_event_ratio)
    lowest = min(priced, key=one_event_ratio)
    closer = ", ".join(
        f"{row.chip.name} ({row.headline_ratio:.2f} against {row.ratio.middle:.2f})"
        for row in held_out(priced)
        if row.ratio and distance(one_event_ratio(row)) < distance(row.ratio.middle)
    )
    low, high = ends_of(given_one_price(rows))
    return (
        "**A chip's price per event holds at the rate at which it was published.** "
        f"Elsewhere, it is up to {one_event_ratio(highest):.1f} times too high "
        f"({name_of(highest)}) or {1 / one_event_ratio(lowest):.1f} times too low "
        f"({name_of(lowest)}). Power without events x latency {explains(lowest)}; it "
        f"{explains(highest)}. One price is closer than detailed prices for {closer}. "
        "**A price per product does not carry over** from one network of a chip to "
        f"another: it predicts {low:.2f} to {high:.1f} times the measured energy."
    )


def one_event_ratio(row: Prediction) -> float:
    """Return `headline_ratio` of a point that has one."""
    assert row.headline_ratio is not None
    return row.headline_ratio


def distance(ratio: float) -> float:
    """Return how far a ratio is from 1."""
    return abs(math.log(ratio))


def explains(row: Prediction) -> str:
    """State whether the agreement of a list with time shows anything."""
    if row.point.role == "fitted":
        return f"was fitted to {name_of(row)}, so agreement there shows nothing"
    return f"explains {name_of(row)}"


def summary_table(rows: Sequence[Prediction], systems: Sequence[SystemRow]) -> str:
    """Markdown: kinds of prediction, how far off they are, and what that shows."""
    with_time = [row for row in held_out(rows) if row.beyond]
    cores = [row for row in held_out(rows) if row.point.boundary == "cores"]
    per_product = given_one_price(rows)
    low, high = ends_of(per_product)
    other_voltage = [row for row in per_product if row.point.priced_by]
    modelled = ", ".join(
        f"{row.chip.name} {ends_words(row.ratio_low, row.ratio_high)} "
        f"({row.point.measures})"
        for row in systems
        if row.profile == DEFAULT
    )
    return markdown(
        ("prediction", "predicted / measured, points not fitted", "what that shows"),
        [
            (
                "power without events x latency + price x events",
                ratios_words(with_time),
                "; ".join(map(beyond_words, with_time)),
            ),
            (
                "prices x operations, dynamic energy only",
                ratios_words(cores),
                "; ".join(map(cores_words, cores)),
            ),
            (
                "one price per event, at any rate",
                one_event_words(rows),
                "fits the rate at which it was published",
            ),
            (
                "one price per product, from each other network of the chip",
                f"{len(chip_names(per_product))} conventional chips {low:.2f} to "
                f"{high:.1f}",
                f"the same network at a higher voltage: {ratios_words(other_voltage)}",
            ),
            (
                f"a modelled core (`{DEFAULT}`)",
                modelled,
                "within an order of magnitude",
            ),
            ("this project's networks", "unknown", "no chip ran them"),
        ],
    )


def beyond_words(row: Prediction) -> str:
    """State how much of a total was left to predict."""
    assert row.beyond is not None
    given, measured, predicted, rounding = map(energy_words, row.beyond)
    source = "leakage" if row.point.role == "predicted" else "fitted"
    return (
        f"{row.chip.name} ({row.chip.process}): {given} is given ({source}); for the "
        f"other {measured}, known within {rounding}, {predicted} is predicted"
    )


def cores_words(row: Prediction) -> str:
    """State whether the range holds the measurement, and what is left out."""
    assert row.ratio is not None
    misses = not row.ratio.low <= 1 <= row.ratio.high
    return (
        f"{'the range misses the measurement' if misses else 'within the range'}; "
        "static energy, reset and host come on top"
    )


def one_event_words(rows: Sequence[Prediction]) -> str:
    """List chips with the range of one price per event over the measured energy."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        if row.headline_ratio is not None:
            ratios.setdefault(row.chip.name, []).append(row.headline_ratio)
    return ", ".join(
        f"{chip} {' to '.join(f'{end:.2f}' for end in sorted({min(of), max(of)}))}"
        for chip, of in ratios.items()
    )


def ratios_words(rows: Iterable[Prediction]) -> str:
    """List chips with predicted over measured energy."""
    return ", ".join(f"{row.chip.name} {ratio_cell(row)}" for row in rows)


def chip_names(rows: Iterable[Prediction]) -> list[str]:
    """List the chips, each once."""
    return list(dict.fromkeys(row.chip.name for row in rows))


def ends_of(rows: Iterable[Prediction]) -> tuple[float, float]:
    """Return the lowest and the highest ratio of all ranges."""
    ratios = [row.ratio for row in rows if row.ratio]
    return min(ratio.low for ratio in ratios), max(ratio.high for ratio in ratios)


def cautions(rows: Sequence[Prediction]) -> str:
    """State what weakens each prediction."""
    names_of: dict[str, list[str]] = {}
    for row in held_out(rows):
        name = row.chip.name if row.point.profile == ONE_PRICE else name_of(row)
        names = names_of.setdefault(row.point.reason, [])
        if name not in names:
            names.append(name)
    return "\n".join(
        f"- {', '.join(names)}: {reason}."
        for reason, names in sorted(names_of.items(), key=lambda pair: len(pair[1]))
    )


def provenance(rows: Sequence[Prediction]) -> list[str]:
    """List where the measurements that a prediction is held against were read."""
    names: dict[str, list[str]] = {read: [] for read in READ}
    for row in rows:
        is_bound = row.point.role == "lower bound"
        name = f"{row.chip.name} ({row.point.name})" if is_bound else row.chip.name
        if row.predicted_nj is not None and name not in names[row.point.read]:
            names[row.point.read].append(name)
    return [f"{READ[read]}: {', '.join(names[read])}" for read in READ]


def folded(title: str, *parts: str) -> str:
    """Markdown that a reader opens by its title."""
    opening = f"<details markdown><summary>{title}</summary>"
    return "\n\n".join((opening, *parts, "</details>"))


def systems_sentences(systems: Sequence[SystemRow]) -> str:
    """State how far the default list is from the networks that it can price."""
    spiking, conventional = (row for row in systems if row.profile == DEFAULT)
    floored = [row for row in systems if row.profile == FLOORED]
    low = spiking.ratio_low / conventional.ratio_high
    high = spiking.ratio_high / conventional.ratio_low
    dearer = ", ".join(
        f"{row.predicted_nj / default.predicted_nj:.3g} times for {row.chip.name}"
        for row, default in zip(floored, (spiking, conventional), strict=True)
    )
    return (
        "**Lists for a modelled core** can price two measured networks. The default, "
        f"`{DEFAULT}`, is {low:.0f} to {high:.0f} times dearer for "
        f"{spiking.chip.name} than for {conventional.chip.name}: an upper end, since "
        f"{conventional.chip.name}'s total includes static power, and the chip is "
        f"programmable, while {spiking.chip.name} has one network in hardware. "
        f"That exceeds the {loss():.1f} times by which the spiking side loses below: "
        "an error of this size could reverse a verdict under such lists. Small "
        f"memories are one cause: with none cheaper than 8 KB (`{FLOORED}`), the "
        f"prediction grows {dearer}."
    )


def loss(file: Path = TIMED) -> float:
    """Return the spiking side's median energy ratio, as fast as possible."""
    table = pd.read_csv(file)
    return float(table[table.quantity == FAST.name].ratio.median())


def thought_experiment(file: Path = TIMED) -> str:
    """State the assumptions of the table below it, and its result."""
    table = pd.read_csv(file)
    real_time, stopped = (
        table[table.quantity == scenario.name].ratio
        for scenario in (REAL_TIME, REAL_TIME_STOPPED)
    )
    time = load_profiles()["odin"].time
    assert time is not None
    return (
        "A thought experiment: both sides of [the study of equal "
        "accuracy](../verdict/README.md) have ODIN's constants and clock "
        f"({time.clock_mhz:g} MHz), although ODIN may not hold these networks; a "
        "product costs as much energy and time as a synaptic event. An image arrives "
        f"every {WINDOW_STEPS} ms. As fast as possible, **the spiking side loses by "
        f"about {loss(file):.1f} times**, the ratio of the operations. With power "
        "always on, static energy makes both nearly equal. In real time (a step per "
        f"millisecond until exit), it loses by {real_time.min():.0f} to "
        f"{real_time.max():.0f} times, or {stopped.min():.0f} to {stopped.max():.0f} "
        "if the clock stops between events."
    )
