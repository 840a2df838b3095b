"""The generated part of the page: the answer, the picture, and tables.

It is between the marks ``<!-- silicon -->`` and ``<!-- end of silicon -->``.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from studies.silicon.predictions import Prediction, held_out, name_of
from studies.silicon.references import FOLDER, ONE_PRICE, READ
from studies.silicon.systems import SYSTEMS, SystemRow
from studies.silicon.tables import (
    ends_words,
    markdown,
    missing_table,
    one_price_table,
    points_table,
    ratio_cell,
    systems_table,
    verdict_table,
)
from studies.verdict.timed import FAST, TIMED, WINDOW_STEPS

PAGE: Final = FOLDER / "README.md"

DEFAULT: Final = "lemaire-complete"
"""The project's default price list."""

_MARKED = re.compile(
    r"(?<=<!-- silicon -->\n).*?(?=<!-- end of silicon -->)", re.DOTALL
)


def written(
    rows: Sequence[Prediction], systems: Sequence[SystemRow], page: Path = PAGE
) -> str:
    """Return the page with its generated part up to date."""
    points = "\n\n".join((points_table(rows), cautions(rows), provenance(rows)))
    parts = [
        headline(rows),
        summary_table(rows, systems),
        "![Predicted against measured energy, and their ratio](silicon.png)",
        folded("Spiking chips, point by point; what weakens each prediction", points),
        folded("Conventional chips: one price per product", one_price_table(rows)),
        folded("Lists for a modelled core", systems_table(systems)),
        folded("Chips that publish too little", missing_table(rows)),
        systems_sentence(systems),
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
    """State what one price per event or product misses."""
    by_name = {
        name_of(row): row.headline_ratio
        for row in rows
        if row.headline_ratio is not None
    }
    highest = max(by_name, key=by_name.__getitem__)
    lowest = min(by_name, key=by_name.__getitem__)
    ratios = one_price_ratios(rows)
    return (
        "**A chip's price per event describes one operating point.** Elsewhere, it is "
        f"up to {by_name[highest]:.1f} times too high ({highest}) or "
        f"{1 / by_name[lowest]:.1f} times too low ({lowest}); static power x latency "
        "explains both. **A price per product describes one network**: fitted to it, "
        f"the price gives {min(ratios):.2f} to {max(ratios):.2f} of the measured "
        "energy of others, or of the same at another voltage."
    )


def summary_table(rows: Sequence[Prediction], systems: Sequence[SystemRow]) -> str:
    """Markdown: kinds of prediction, how far off they are, and what they hold for."""
    with_time = [row for row in held_out(rows) if row.static_share is not None]
    without = [row for row in held_out(rows) if row.point.boundary == "cores"]
    total = [row for row in rows if row.ratio and row.static_share is not None]
    by_headline = [row.headline_ratio for row in total if row.headline_ratio]
    one_price = [row for row in held_out(rows) if row.point.profile == ONE_PRICE]
    by_product = one_price_ratios(rows)
    modelled = ", ".join(
        f"{row.chip.name} {ends_words(row.ratio_low, row.ratio_high)} "
        f"({row.point.measures})"
        for row in systems
        if row.profile == DEFAULT
    )
    return markdown(
        ("prediction", "predicted / measured, points not fitted", "holds for"),
        [
            (
                "power without events x latency + price x events",
                ratios_words(with_time),
                "that chip, at that voltage",
            ),
            (
                "prices x operations, dynamic energy only",
                ratios_words(without),
                "cores only: static energy, reset and host come on top",
            ),
            (
                "one price per event, at any rate",
                f"{chip_names(total)} {min(by_headline):.2f} to {max(by_headline):.2f}",
                "the rate at which it was published",
            ),
            (
                "one price per product, fitted to one network",
                f"{len(set(chip_names(one_price).split(', ')))} conventional chips "
                f"{min(by_product):.2f} to {max(by_product):.2f}",
                "that network, at that voltage",
            ),
            (
                f"a modelled core (`{DEFAULT}`)",
                modelled,
                "orders of magnitude",
            ),
            ("this project's networks", "unknown", "no chip ran them"),
        ],
    )


def ratios_words(rows: Iterable[Prediction]) -> str:
    """List chips with predicted over measured energy."""
    return ", ".join(f"{row.chip.name} {ratio_cell(row)}" for row in rows)


def chip_names(rows: Iterable[Prediction]) -> str:
    """List the chips, each once."""
    return ", ".join(dict.fromkeys(row.chip.name for row in rows))


def one_price_ratios(rows: Sequence[Prediction]) -> list[float]:
    """Predicted over measured energy of the points that one price predicts."""
    return [
        row.ratio.middle
        for row in held_out(rows)
        if row.point.profile == ONE_PRICE and row.ratio
    ]


def cautions(rows: Sequence[Prediction]) -> str:
    """State what weakens each prediction, and why bounds are bounds."""
    names_of: dict[str, list[str]] = {}
    bounds = [row for row in rows if row.point.role == "lower bound"]
    for row in [*held_out(rows), *bounds]:
        name = row.chip.name if row.point.profile == ONE_PRICE else name_of(row)
        names = names_of.setdefault(row.point.reason, [])
        if name not in names:
            names.append(name)
    return "\n".join(
        f"- {', '.join(names)}: {reason}."
        for reason, names in sorted(names_of.items(), key=lambda pair: len(pair[1]))
    )


def provenance(rows: Sequence[Prediction]) -> str:
    """State where the measurements that a prediction is held against were read."""
    names: dict[str, list[str]] = {read: [] for read in READ}
    for row in rows:
        is_bound = row.point.role == "lower bound"
        name = f"{row.chip.name} ({row.point.name})" if is_bound else row.chip.name
        if row.predicted_nj is not None and name not in names[row.point.read]:
            names[row.point.read].append(name)
    listed = "; ".join(f"{READ[read]}: {', '.join(names[read])}" for read in READ)
    return f"Measurements {listed}."


def folded(title: str, text: str) -> str:
    """Markdown that a reader opens by its title."""
    return f"<details markdown><summary>{title}</summary>\n\n{text}\n\n</details>"


def systems_sentence(systems: Sequence[SystemRow]) -> str:
    """State how far the default list is from the networks that it can price."""
    spiking, conventional = (row for row in systems if row.profile == DEFAULT)
    low = spiking.ratio_low / conventional.ratio_high
    high = spiking.ratio_high / conventional.ratio_low
    return (
        "**Lists for a modelled core** can price two of the measured networks. The "
        f"project's default, `{DEFAULT}`, is {low:.0f} to {high:.0f} times dearer "
        f"for {spiking.chip.name} than for {conventional.chip.name}: an upper end, "
        f"since {conventional.chip.name}'s total includes static power, and the chip "
        f"is programmable, while {spiking.chip.name} has one network in hardware. "
        f"What a list assumes about small memories decides (all in `{SYSTEMS.name}`)."
    )


def thought_experiment(file: Path = TIMED) -> str:
    """State the assumption of the table below it, and its result."""
    table = pd.read_csv(file)
    loss = table[table.quantity == FAST.name].ratio.median()
    return (
        "A thought experiment: both sides of [the study of equal "
        "accuracy](../verdict/README.md) have ODIN's constants, and a product costs "
        "as much energy and time as a synaptic event. ODIN may not hold these "
        f"networks. An image arrives every {WINDOW_STEPS} ms; in real time, the "
        "spiking network makes a step per millisecond until it exits. As fast as "
        f"possible, **the spiking side loses by about {loss:.1f} times** where it "
        "reaches the accuracy, the ratio of the operations. With power always on, "
        "static energy makes both alike, whatever the pace. In real time with power "
        "gating, the length of a step decides, and whether the clock stops between "
        "events."
    )
