"""Rows of a DataFrame as text for a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from spikejoule.core.store import text_table

Column = tuple[str, str | Callable[[Any], str]]
"""Heading of a column, and the format of its cells: a specification or a function."""


def frame_text(rows: pd.DataFrame, columns: Mapping[str, Column]) -> str:
    """Format rows for a terminal; missing values are blank.

    Args:
        rows: one line each.
        columns: heading and format by name of the column, in the order shown.
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
