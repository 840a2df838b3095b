"""Rows of a DataFrame as text for a terminal."""

from collections.abc import Mapping

import pandas as pd

from spikejoule.core.terminal import text_table

Column = tuple[str, str]
"""Heading of a column, and the format of its cells."""


def frame_text(rows: pd.DataFrame, columns: Mapping[str, Column]) -> str:
    """Format rows for a terminal; missing values are blank.

    Args:
        rows: one line each.
        columns: heading and format by name of the column, in the order shown.
    """
    headings = [heading for heading, _ in columns.values()]
    cells = [
        [
            "" if pd.isna(row[name]) else format(row[name], style)
            for name, (_, style) in columns.items()
        ]
        for row in rows.to_dict("records")
    ]
    return text_table(headings, cells)
