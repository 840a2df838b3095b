"""The page's tables, as Markdown."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from spikejoule.report.units import joules
from studies.silicon.predictions import (
    Prediction,
    fitted_price_pj,
    held_out,
    name_of,
)
from studies.silicon.references import ONE_PRICE
from studies.silicon.systems import SystemRow
from studies.verdict.sentences import ratio_words

_PJ_PER_NJ = 1e3


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
            "per",
            "energy",
            " measured",
            " predicted",
            " predicted / measured",
            " static share",
            " one price per event / measured",
        ),
        [
            (
                name_of(row),
                row.point.per,
                row.point.measures,
                range_words(row.point.measured_nj),
                predicted_cell(row),
                ratio_cell(row),
                _or_empty(row.static_share, "{:.0%}"),
                _or_empty(row.headline_ratio, "{:.2f}"),
            )
            for row in rows
            if row.ratio and row.chip.kind == "spiking"
        ],
    )


def one_price_table(rows: Sequence[Prediction]) -> str:
    """Chips with one price per product, and what it predicts."""
    predicted: dict[str, list[str]] = {}
    for row in held_out(rows):
        if row.point.profile == ONE_PRICE:
            cell = f"{row.point.name} {ratio_cell(row)}"
            predicted.setdefault(row.chip.name, []).append(cell)
    fitted = {
        row.chip.name: row.chip.fitted for row in rows if row.chip.name in predicted
    }
    return markdown(
        (
            "chip",
            "fitted to",
            " measured",
            " price of a product",
            "predicted / measured, other networks",
        ),
        [
            (
                chip,
                fitted[chip].name,
                range_words(fitted[chip].measured_nj),
                joules(fitted_price_pj(fitted[chip]), digits=3),
                ", ".join(cells),
            )
            for chip, cells in predicted.items()
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
                else f"at least {energy_words(row.predicted_nj.low)}",
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
        cells.setdefault(row.profile, []).append(ratio)
    names = [
        f" {row.chip.name}, {row.point.name}, {row.point.measures}" for row in packaged
    ]
    return markdown(
        ("predicted / measured under", *dict.fromkeys(names)),
        [(f"`{profile}`", *ratios) for profile, ratios in cells.items()],
    )


def verdict_table(file: Path) -> str:
    """Spiking over conventional energy at equal accuracy, with time."""
    table = pd.read_csv(file)
    levels = [f"{level:g} %" for level in table.level_percent.unique()]
    return markdown(
        (
            "energy ratio, spiking / conventional (95 % interval), at an accuracy of",
            *levels,
        ),
        [
            (
                quantity,
                *(
                    # An empty cell of the file: the spiking side misses the accuracy.
                    ratio_words(row.ratio, row.low, row.high)
                    or "not reached by the spiking network"
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
    """State predicted over measured energy, unless the point was fitted."""
    assert row.ratio is not None
    if row.point.role == "fitted":
        return "fitted"
    low, middle, high = row.ratio
    interval = f" ({low:.2f} to {high:.2f})" if low < high else ""
    remark = " (interpolated)" if row.point.role == "interpolated" else ""
    return f"{middle:.2f}{interval}{remark}"


def ends_words(low: float, high: float) -> str:
    """Return a ratio, or its range."""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def range_words(ends_nj: tuple[float, float]) -> str:
    """Return an energy, or its range."""
    low, high = map(energy_words, ends_nj)
    return low if low == high else f"{low} to {high}"


def energy_words(energy_nj: float) -> str:
    """Return an energy with three digits."""
    return joules(energy_nj * _PJ_PER_NJ, digits=3)


def _or_empty(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value).replace("%", " %")
