"""The generated part of the page: the answer, its tables and the picture.

It is between the marks ``<!-- silicon -->`` and ``<!-- end of silicon -->``.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from spikejoule.report.units import joules
from studies.silicon.predictions import Prediction, fitted_price_pj, name_of
from studies.silicon.references import FOLDER, ONE_PRICE, READ, Chip, Measures
from studies.silicon.systems import SYSTEMS, SystemRow
from studies.verdict.sentences import ratio_words
from studies.verdict.timed import FAST, TIMED, WINDOW_STEPS

PAGE: Final = FOLDER / "README.md"

DEFAULT: Final = "lemaire-complete"
"""The project's default price list."""

_MARKED = re.compile(
    r"(?<=<!-- silicon -->\n).*?(?=<!-- end of silicon -->)", re.DOTALL
)
_PJ_PER_NJ = 1e3


def written(
    rows: Sequence[Prediction], systems: Sequence[SystemRow], page: Path = PAGE
) -> str:
    """Return the page with its generated part up to date."""
    parts = [
        answer(rows),
        "![Predicted against measured energy, and their ratio](silicon.png)",
        "**Spiking chips, total energy** of a unit of work:",
        total_table(rows),
        "**Spiking chips, dynamic energy only**, measured without leakage:",
        dynamic_table(rows),
        cautions(rows),
        provenance(rows),
        folded("Conventional chips: one price per product", one_price_table(rows)),
        folded("Chips that publish too little", missing_table(rows)),
        systems_sentence(systems),
        systems_table(systems),
        "## The verdict with time in it",
        thought_experiment(),
        verdict_table(),
    ]
    stated = "\n\n".join(parts) + "\n"
    return _MARKED.sub(lambda _: stated, page.read_text(encoding="utf-8"))


def answer(rows: Sequence[Prediction]) -> str:
    """State what one price misses, and list the predictions of spiking chips."""
    by_headline = {
        name_of(row): row.headline_ratio
        for row in rows
        if row.headline_ratio is not None
    }
    highest = max(by_headline, key=by_headline.__getitem__)
    lowest = min(by_headline, key=by_headline.__getitem__)
    spiking = ", ".join(
        f"{row.chip.name} {ratio_cell(row)}"
        for row in held_out(rows)
        if row.chip.kind == "spiking"
    )
    others = [row for row in held_out(rows) if row.point.profile == ONE_PRICE]
    ratios = [row.ratio.middle for row in others if row.ratio]
    n_chips = len({row.chip.name for row in others})
    return (
        "**A chip's price per event describes one operating point.** Elsewhere, it is "
        f"up to {by_headline[highest]:.1f} times too high ({highest}) or "
        f"{1 / by_headline[lowest]:.1f} times too low ({lowest}); static power x "
        "latency explains both. **A price per product describes one network**: fitted "
        f"to it, the price gives {min(ratios):.2f} to {max(ratios):.2f} of the "
        f"measured energy of others ({n_chips} conventional chips).\n\n"
        f"Predicted / measured energy of spiking chips: {spiking}."
    )


def held_out(rows: Sequence[Prediction]) -> list[Prediction]:
    """Return the predictions of points that their list was not fitted to."""
    roles = ("predicted", "interpolated")
    return [row for row in rows if row.point.role in roles]


def total_table(rows: Sequence[Prediction]) -> str:
    """Markdown: spiking chips' points with static energy."""
    lines = [
        "| chip, point | per | measured | predicted | predicted / measured "
        "| static share | one price per event / measured |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in of_spiking_chips(rows, "total"):
        assert row.static_share is not None
        assert row.headline_ratio is not None
        cells = (
            *common_cells(row),
            f"{100 * row.static_share:.0f} %",
            f"{row.headline_ratio:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def dynamic_table(rows: Sequence[Prediction]) -> str:
    """Markdown: points whose measurement, like the prediction, is dynamic only."""
    lines = [
        "| chip, point | per | measured | predicted | predicted / measured |",
        "|---|---|---:|---:|---:|",
    ]
    for row in of_spiking_chips(rows, "dynamic"):
        lines.append(f"| {' | '.join(common_cells(row))} |")
    return "\n".join(lines)


def of_spiking_chips(
    rows: Sequence[Prediction], measures: Measures
) -> list[Prediction]:
    """Return the rows of a table."""
    return [
        row
        for row in rows
        if row.ratio and row.chip.kind == "spiking" and row.point.measures == measures
    ]


def one_price_table(rows: Sequence[Prediction]) -> str:
    """Markdown: chips with one price per product, and what it predicts."""
    lines = [
        "| chip | fitted to | measured | price of a product | predicted / measured, "
        "other networks |",
        "|---|---|---:|---:|---|",
    ]
    for chip, points in by_chip(rows):
        fitted = chip.fitted
        ratios = ", ".join(
            f"{row.point.name} {ratio_cell(row)}" for row in held_out(points)
        )
        cells = (
            chip.name,
            fitted.name,
            range_words(fitted.measured_nj),
            joules(fitted_price_pj(fitted), digits=3),
            ratios,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_chip(rows: Sequence[Prediction]) -> list[tuple[Chip, list[Prediction]]]:
    """Group the points with one price by their chip."""
    with_one_price = [row for row in rows if row.point.profile == ONE_PRICE]
    chips = {row.chip.name: row.chip for row in with_one_price}
    return [
        (chip, [row for row in with_one_price if row.chip is chip])
        for chip in chips.values()
    ]


def common_cells(row: Prediction) -> tuple[str, ...]:
    """Return the cells that both tables have."""
    assert row.predicted_nj is not None
    low, middle, high = row.predicted_nj
    predicted = energy_words(middle)
    if low < high:
        predicted += f" ({range_words((low, high))})"
    return (
        name_of(row),
        row.point.per,
        range_words(row.point.measured_nj),
        predicted,
        ratio_cell(row),
    )


def ratio_cell(row: Prediction) -> str:
    """State predicted over measured energy, unless the point was fitted."""
    assert row.ratio is not None
    if row.point.role == "fitted":
        return "fitted"
    low, middle, high = row.ratio
    interval = f" ({low:.2f} to {high:.2f})" if low < high else ""
    remark = " (interpolated)" if row.point.role == "interpolated" else ""
    return f"{middle:.2f}{interval}{remark}"


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


def missing_table(rows: Sequence[Prediction]) -> str:
    """Markdown: the points of which only a bound is known, or nothing."""
    lines = [
        "| chip, point | per | measured | known | missing |",
        "|---|---|---:|---:|---|",
    ]
    for row in rows:
        if row.ratio is not None:
            continue
        bound = row.predicted_nj
        cells = (
            name_of(row),
            row.point.per,
            range_words(row.point.measured_nj),
            "refused" if bound is None else f"at least {energy_words(bound.low)}",
            row.point.reason,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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


def systems_table(systems: Sequence[SystemRow]) -> str:
    """Markdown: predicted over measured energy of both networks by packaged list."""
    ratios: dict[str, list[str]] = {}
    columns: dict[str, None] = {}
    for row in systems:
        if row.is_packaged:
            cells = ratios.setdefault(row.profile, [])
            cells.append(ends_words(row.ratio_low, row.ratio_high))
            columns[f"{row.chip.name}, {row.point.name}, {row.point.measures}"] = None
    lines = [
        f"| predicted / measured under | {' | '.join(columns)} |",
        "|---|" + "---:|" * len(columns),
    ]
    for profile, cells in ratios.items():
        lines.append(f"| `{profile}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def ends_words(low: float, high: float) -> str:
    """Return a ratio, or its range."""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


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


def verdict_table(file: Path = TIMED) -> str:
    """Markdown: spiking over conventional energy at equal accuracy, with time."""
    table = pd.read_csv(file)
    levels = table.level_percent.unique().tolist()
    headings = " | ".join(f"{level:g} %" for level in levels)
    lines = [
        "| energy ratio, spiking / conventional (95 % interval), at an accuracy of "
        f"| {headings} |",
        "|---" * (1 + len(levels)) + "|",
    ]
    for quantity, rows in table.groupby("quantity", sort=False):
        # A cell that is empty in the file is a level that the spiking side misses.
        ratios = [
            ratio_words(row.ratio, row.low, row.high)
            or "not reached by the spiking network"
            for row in rows.itertuples()
        ]
        lines.append(f"| {quantity} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def range_words(ends_nj: tuple[float, float]) -> str:
    """Return an energy, or its range."""
    low, high = map(energy_words, ends_nj)
    return low if low == high else f"{low} to {high}"


def energy_words(energy_nj: float) -> str:
    """Return an energy with three digits."""
    return joules(energy_nj * _PJ_PER_NJ, digits=3)
