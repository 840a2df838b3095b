"""Rows of a label and a value, as reports print them and notebooks show them."""

from collections.abc import Iterable
from html import escape

Rows = Iterable[tuple[str, str]]


def in_lines(rows: Rows, label_width: int = 22) -> str:
    """Write a line for each row; the values start in one column."""
    return "\n".join(f"{label:<{label_width}}{value}" for label, value in rows)


def html_table(rows: Rows) -> str:
    """Write the rows as a table, the labels as headers."""
    cells = [
        f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>"
        for label, value in rows
    ]
    return f"<table>{''.join(cells)}</table>"
