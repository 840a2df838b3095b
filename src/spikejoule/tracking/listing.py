"""Runs and tables in lines for a terminal."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from spikejoule.core.store import text_table
from spikejoule.energy.estimates import plain
from spikejoule.evaluation.accuracy import WHOLE_WINDOW
from spikejoule.tracking.recorded import (
    BOUND,
    ENERGY,
    METRIC,
    PARAMETER,
    PRICES,
    RATIO,
    SOURCE,
    TAG,
)

_BOUNDS: Final = {"at least": "≥ ", "at most": "≤ "}
_NAME_CHARACTERS: Final = 24
_WIDTH: Final = 80
_INDENT: Final = "      "

Column = tuple[str, str | Callable[[Any], str]]
"""A heading, and the format of a cell or what makes its text."""


def runs_text(runs: pd.DataFrame, limit: int) -> str:
    """The first `limit` runs, in lines of at most 80 characters, and what the columns
    are.
    """
    shown = runs.head(limit)
    _, test, events = (f"{METRIC}{name}" for name in WHOLE_WINDOW)
    figures = pd.DataFrame(
        {
            "name": shown["name"],
            "accuracy": shown[test],
            "events": shown[events],
            "energy_nj": shown[ENERGY],
            "ratio": shown[RATIO],
            "bound": shown[BOUND],
            "prices": shown[PRICES],
            "state": shown["status"].str.lower(),
        }
    )
    names = [name for name in shown if name.startswith(PARAMETER) and name != PRICES]
    parameters = shown[[SOURCE, *names]].rename(
        columns=lambda name: name.removeprefix(TAG).removeprefix(PARAMETER)
    )
    more = (
        f" of {len(runs)}: --limit {len(runs)} shows all"
        if len(shown) < len(runs)
        else ""
    )
    return f"{figures_text(figures, parameters)}\n{len(shown)} runs{more}.\n"


def figures_text(figures: pd.DataFrame, parameters: pd.DataFrame) -> str:
    """Runs or experiments in lines of at most 80 characters.

    Below the figures of each are the parameters in which they differ.

    Args:
        figures: a row for each, with the columns `name`, `accuracy`, `events`,
            `energy_nj`, `ratio`, `bound` (``at least`` or ``at most``, of a ratio that
            is a bound), `prices` (the price list of the energy) and `state`; what is
            not known is NaN.
        parameters: the same rows, with a column for each parameter.
    """
    # A price list without an energy says nothing.
    prices = figures["prices"].where(figures["energy_nj"].notna())
    price_lists = prices.dropna().unique()
    differing = parameters.loc[:, parameters.nunique() > 1]
    if len(price_lists) > 1:
        differing = differing.assign(prices=prices)

    header, *rows = _figures_table(figures).splitlines()
    lines = [header]
    for row, values in zip(rows, differing.to_dict("records"), strict=True):
        pairs = [f"{name}={value}" for name, value in values.items() if pd.notna(value)]
        lines.append(row)
        lines += textwrap.wrap(
            "  ".join(pairs),
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
        )
    lines.append("")
    lines.append(
        "Events and energy are means per inference over the whole window. The ratio is"
    )
    lines.append("to the energy of a conventional network at equal accuracy.")
    if len(price_lists) == 1:
        lines.append(f"Energy and ratio are at the prices of {price_lists[0]}.")
    return "\n".join(lines) + "\n"


def _figures_table(figures: pd.DataFrame) -> str:
    is_large = figures["energy_nj"].max() >= 1000
    bounds = figures["bound"].map(_BOUNDS).fillna("")
    table = figures.assign(
        name=figures["name"].fillna("").str.slice(stop=_NAME_CHARACTERS),
        energy=figures["energy_nj"] / (1000 if is_large else 1),
        ratio=bounds + figures["ratio"].map(_short),
    )
    columns: dict[str, Column] = {
        "name": ("run", ""),
        "accuracy": ("test %", ".2f"),
        "events": ("events", ",.0f"),
        "energy": ("energy µJ" if is_large else "energy nJ", _short),
        "ratio": ("ratio", ""),
        "state": ("state", ""),
    }
    return frame_text(table, columns)


def _short(value: float) -> str:
    return "" if pd.isna(value) else plain(value, 3)


def frame_text(rows: pd.DataFrame, columns: Mapping[str, Column]) -> str:
    """Rows for a terminal; what a row lacks is blank.

    Args:
        rows: the rows.
        columns: heading and format, by column.
    """
    headings = [heading for heading, _ in columns.values()]
    cells = [
        [_cell(row[name], style) for name, (_, style) in columns.items()]
        for row in rows.to_dict("records")
    ]
    return text_table(headings, cells)


def _cell(value: Any, style: str | Callable[[Any], str]) -> str:
    if callable(style):
        return style(value)
    return "" if pd.isna(value) else format(value, style)
