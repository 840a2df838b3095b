"""The page's tables, as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from spikejoule.report.units import joules
from studies.silicon.predictions import Prediction, given_one_price, name_of
from studies.silicon.references import ONE_PRICE, PJ_PER_NJ
from studies.silicon.systems import SystemRow
from studies.verdict.sentences import ratio_words


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; headings that start with a space are of numbers."""
    rules = ["---:" if heading.startswith(" ") else "---" for heading in headings]
    lines = [[heading.strip() for heading in headings], rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def points_table(rows: Sequence[Prediction]) -> str:
    """The spiking chips' points that have a prediction."""
    return markdown(
        (
            "chip, point",
            "process, voltage",
            "per",
            "energy",
            " measured",
            " predicted",
            " predicted / measured",
            " leakage + idle clock, of predicted",
            " one price per event / measured",
        ),
        [
            (
                name_of(row),
                row.chip.process,
                row.point.per,
                row.point.measures,
                range_words(row.point.measured_nj),
                predicted_cell(row),
                ratio_cell(row),
                shares_cell(row),
                "" if row.headline_ratio is None else f"{row.headline_ratio:.2f}",
            )
            for row in rows
            if row.ratio and row.chip.kind == "spiking"
        ],
    )


def one_price_table(rows: Sequence[Prediction]) -> str:
    """Chips with one price per product, and what it predicts of each network."""
    by_chip: dict[str, list[Prediction]] = {}
    for row in given_one_price(rows):
        by_chip.setdefault(row.chip.name, []).append(row)
    return markdown(
        ("chip", "process, voltage", " price of a product", "predicted / measured"),
        [
            (
                chip,
                members[0].chip.process,
                prices_words([row.point.price_of_product_pj for row in members]),
                ", ".join(f"{row.point.name} {ratio_cell(row)}" for row in members),
            )
            for chip, members in by_chip.items()
        ],
    )


def missing_table(rows: Sequence[Prediction]) -> str:
    """The points of which only a bound is known, or nothing."""
    return markdown(
        ("chip, point", "per", " measured", " known", "missing"),
        [
            (
                name_of(row),
                row.point.per,
                range_words(row.point.measured_nj),
                "refused"
                if row.predicted_nj is None
                else f"at least {energy_words(row.predicted_nj.low)}, if idle power is "
                "drawn throughout",
                row.point.reason,
            )
            for row in rows
            if row.ratio is None
        ],
    )


def systems_table(systems: Sequence[SystemRow]) -> str:
    """Predicted over measured energy of each network, by packaged list."""
    packaged = [row for row in systems if row.is_packaged]
    cells: dict[str, list[str]] = {}
    for row in packaged:
        ratio = ends_words(row.ratio_low, row.ratio_high)
        list_cells = [f"`{row.profile}`", row.process]
        cells.setdefault(row.profile, list_cells).append(ratio)
    names = [
        f" {row.chip.name}, {row.point.name}, {row.point.measures}" for row in packaged
    ]
    return markdown(
        ("predicted / measured under", "technology", *dict.fromkeys(names)),
        cells.values(),
    )


def verdict_table(file: Path) -> str:
    """Spiking over conventional energy at equal accuracy, with time."""
    table = pd.read_csv(file)
    levels = [f"{level:g} %" for level in table.level_percent.unique()]
    return markdown(
        (
            "energy, spiking / conventional (95 % interval), at an accuracy of",
            *levels,
        ),
        [
            (
                quantity,
                *(
                    # An empty cell of the file: the spiking side misses the accuracy.
                    ratio_words(row.ratio, row.low, row.high) or "not reached"
                    for row in rows.itertuples()
                ),
            )
            for quantity, rows in table.groupby("quantity", sort=False)
        ],
    )


def predicted_cell(row: Prediction) -> str:
    """State the predicted energy, and its range if it has one."""
    assert row.predicted_nj is not None
    low, middle, high = row.predicted_nj
    interval = f" ({range_words((low, high))})" if low < high else ""
    return energy_words(middle) + interval


def ratio_cell(row: Prediction) -> str:
    """State predicted over measured energy, unless the point was fitted.

    A measured range, and prices of several networks, have no middle: only the ends are
    stated.
    """
    assert row.ratio is not None
    if row.point.role == "fitted":
        return "fitted"
    low, middle, high = row.ratio
    measured_low, measured_high = row.point.measured_nj
    if low < high and (row.point.profile == ONE_PRICE or measured_low < measured_high):
        return f"{low:.2f} to {high:.2f}"
    interval = f" ({low:.2f} to {high:.2f})" if low < high else ""
    remark = " (interpolated)" if row.point.role == "interpolated" else ""
    return f"{middle:.2f}{interval}{remark}"


def shares_cell(row: Prediction) -> str:
    """State the shares of leakage and idle clock, or the one that the list has."""
    if row.static_share is None or row.leakage_share is None:
        return ""
    idle_share = row.static_share - row.leakage_share
    shares = [row.leakage_share, *([idle_share] if idle_share > 0 else [])]
    return " + ".join(f"{100 * share:.0f} %" for share in shares)


def ends_words(low: float, high: float) -> str:
    """Return a ratio, or its range."""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def prices_words(prices_pj: Sequence[float]) -> str:
    """Return the range of prices."""
    return range_words((min(prices_pj) / PJ_PER_NJ, max(prices_pj) / PJ_PER_NJ))


def range_words(ends_nj: tuple[float, float]) -> str:
    """Return an energy, or its range."""
    low, high = map(energy_words, ends_nj)
    return low if low == high else f"{low} to {high}"


def energy_words(energy_nj: float) -> str:
    """Return an energy with three digits."""
    return joules(energy_nj * PJ_PER_NJ, digits=3)
