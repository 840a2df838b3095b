"""Text that fits the terminal: at most 100 columns, fewer in a narrower terminal.

The environment variable COLUMNS overrides the width of the terminal.
"""

import shutil
import textwrap
from collections.abc import Sequence
from typing import Final

WIDEST: Final = 100


def columns() -> int:
    """Return how many columns a line may have; `WIDEST` if the width is unknown."""
    return min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)


def wrapped(text: str) -> str:
    """Wrap the lines that are too long, each under its own indentation."""
    return "\n".join(map(_wrapped_line, text.split("\n")))


def _wrapped_line(line: str) -> str:
    if len(line) <= columns():
        return line
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line,
        columns(),
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns by spaces: the first to the left, the others to the right.

    A table that does not fit becomes one paragraph for each row, which names its cells.
    """
    sides = ["<", *">" * (len(header) - 1)]
    aligned = [
        [f"{cell:{side}{max(map(len, column))}}" for cell in column]
        for side, column in zip(sides, zip(header, *rows, strict=True), strict=True)
    ]
    lines = ["  " + "  ".join(row).rstrip() for row in zip(*aligned, strict=True)]
    if max(map(len, lines)) > columns():
        return "\n".join(_paragraph(header, row) for row in rows)
    return "\n".join(lines)


def _paragraph(header: Sequence[str], row: Sequence[str]) -> str:
    """Write a row as its first cell, and below it the others with their headings."""
    cells = [
        f"{name} {cell}" for name, cell in zip(header[1:], row[1:], strict=True) if cell
    ]
    return wrapped(f"  {row[0]}\n    {'; '.join(cells)}")
