"""Plain text for a terminal: sections of label and value, and tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = list[tuple[str, str]]

NOT_RECORDED = "not recorded"
_LABEL_WIDTH = 34


def render(title: str, sections: Iterable[tuple[str, Rows]]) -> str:
    """A title and sections of label and value, the values aligned."""
    lines = [title]
    for name, rows in sections:
        lines += ["", name]
        lines += [f"  {label:<{_LABEL_WIDTH}} {value}".rstrip() for label, value in rows] or [
            f"  {NOT_RECORDED}"
        ]
    return "\n".join(lines) + "\n"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    return "\n".join(
        "  "
        + "  ".join(
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    )


def number(value: Any, decimals: int | None = None, unit: str = "") -> str:
    """A number with thousands separators and its unit; "not recorded" for None."""
    if value is None:
        return NOT_RECORDED
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    text = f"{value:,}" if decimals is None else f"{value:,.{decimals}f}"
    return f"{text}{unit}"


def mapping_rows(mapping: Any, prefix: str = "") -> Rows:
    """One line an entry, nested mappings flattened with their keys joined by spaces."""
    rows: Rows = []
    if not isinstance(mapping, Mapping):
        return rows
    for key, value in mapping.items():
        label = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += mapping_rows(value, f"{label}: ")
        elif isinstance(value, float):
            rows.append((label, f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.2f}"))
        elif isinstance(value, list | tuple):
            rows.append((label, ", ".join(str(item) for item in value)))
        else:
            rows.append((label, "none" if value is None else number(value)))
    return rows
