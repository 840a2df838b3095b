"""The generated part of the page: the answer, its tables and the picture.

It is between the marks ``<!-- silicon -->`` and ``<!-- end of silicon -->``.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import pandas as pd

from spikejoule.report.units import joules
from studies.silicon.predictions import Prediction
from studies.silicon.references import FOLDER
from studies.silicon.systems import SYSTEMS, SystemRow
from studies.verdict.sentences import ratio_words
from studies.verdict.timed import TIMED

PAGE: Final = FOLDER / "README.md"

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
        predicted_table(rows),
        cautions(rows),
        "![Predicted against measured energy on logarithmic axes](silicon.png)",
        folded(
            "Chips that publish too little: bounds and refusals", missing_table(rows)
        ),
        systems_sentence(systems),
        "## The verdict with time in it",
        verdict_table(),
    ]
    stated = "\n\n".join(parts) + "\n"
    return _MARKED.sub(lambda _: stated, page.read_text(encoding="utf-8"))


def answer(rows: Sequence[Prediction]) -> str:
    """State how far held-out predictions are off."""
    errors = {
        f"{row.chip.name}, {row.point.name}": row.error
        for row in rows
        if row.error is not None
    }
    sizes = sorted(abs(error) for error in errors.values())
    worst = max(errors, key=lambda name: abs(errors[name]))
    return (
        f"**{len(errors)} points to which nothing was fitted are predicted; the median "
        f"error is {100 * median(sizes):.0f} %.** The largest is "
        f"{signed(errors[worst])} ({worst})."
    )


def signed(error: float | None) -> str:
    """Return an error in percent with its sign; a dash for none."""
    if error is None:
        return ""
    percent = 100 * error
    return f"{percent:+.1f} %" if abs(percent) < 2 else f"{percent:+.0f} %"


def predicted_table(rows: Sequence[Prediction]) -> str:
    """Markdown: fitted and predicted points."""
    lines = [
        "| chip, point | measured | predicted | error | static share "
        "| error of one price per event |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row.point.role not in ("predicted", "fitted") or row.predicted_nj is None:
            continue
        static = "dynamic only, no time"
        if row.point.measures == "dynamic":
            static = "dynamic only, as measured"
        elif row.static_share is not None:
            static = f"{100 * row.static_share:.0f} %"
        error = signed(row.error) if row.point.role == "predicted" else "fitted"
        cells = (
            f"{row.chip.name}, {row.point.name}",
            words(row.point.measured_nj),
            words((row.predicted_nj.low, row.predicted_nj.high)),
            error,
            static,
            signed(row.headline_error),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cautions(rows: Sequence[Prediction]) -> str:
    """State what weakens the agreement of each prediction."""
    known = [
        f"- {row.chip.name}, {row.point.name}: {row.point.reason}."
        for row in rows
        if row.point.role == "predicted" and row.point.reason
    ]
    return "\n".join(["Read with care:", "", *known])


def folded(title: str, text: str) -> str:
    """Markdown that a reader opens by its title."""
    return f"<details markdown><summary>{title}</summary>\n\n{text}\n\n</details>"


def missing_table(rows: Sequence[Prediction]) -> str:
    """Markdown: the points of which only a bound is known, or nothing."""
    lines = [
        "| chip, point | measured | known | missing |",
        "|---|---:|---:|---|",
    ]
    for row in rows:
        if row.point.role in ("predicted", "fitted"):
            continue
        cells = (
            f"{row.chip.name}, {row.point.name}",
            words(row.point.measured_nj),
            bound_words(row),
            row.point.reason,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def bound_words(row: Prediction) -> str:
    """State a bound, and whether the measurement contradicts it."""
    energy = row.predicted_nj
    if energy is None:
        return "refused"
    side = "at most" if row.point.role == "upper bound" else "at least"
    contradiction = "" if row.holds else ", **contradicted**"
    return f"{side} {words((energy.low, energy.high))}{contradiction}"


def systems_sentence(systems: Sequence[SystemRow]) -> str:
    """State how far the lists are from the one chip they can price."""
    packaged = [row for row in systems if row.is_packaged]
    nearest, furthest = packaged[0], packaged[-1]
    measured = joules(nearest.measured_nj * _PJ_PER_NJ)
    default = next(row for row in packaged if row.profile == "lemaire-complete")
    return (
        "**Lists for a modelled core** can price one measured network, uBrain's "
        f"(40 nm, {measured} with leakage): `{nearest.profile}` gives "
        f"{nearest.ratio:.2f} times the measurement, `{default.profile}` "
        f"{default.ratio:.1f} times, `{furthest.profile}` {furthest.ratio:.0f} times "
        f"(all in `{SYSTEMS.name}`). What a list assumes about small memories decides. "
        "They leave out leakage, clock and control, which the measurement includes: "
        "agreement is partly luck."
    )


def verdict_table(file: Path = TIMED) -> str:
    """Markdown: spiking over conventional energy at equal accuracy, with time."""
    table = pd.read_csv(file)
    levels = table.level_percent.unique().tolist()
    headings = " | ".join(f"{level:g} %" for level in levels)
    lines = [
        f"| spiking / conventional | {headings} |",
        "|---" * (1 + len(levels)) + "|",
    ]
    # A cell that is empty in the file is infinite: the spiking side misses the level.
    for quantity, rows in table.fillna(math.inf).groupby("quantity", sort=False):
        ratios = [
            ratio_words(row.ratio, row.low, row.high) for row in rows.itertuples()
        ]
        lines.append(f"| {quantity} | {' | '.join(ratios)} |")
    return "\n".join(lines)


def words(ends_nj: tuple[float, float]) -> str:
    """Return an energy, or its range."""
    low, high = (joules(end * _PJ_PER_NJ) for end in ends_nj)
    return low if low == high else f"{low} to {high}"
