"""HTML and SVG as text: elements whose content is escaped unless it is markup already."""

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that needs no escaping."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """An element; children that are no `Markup` are escaped, attributes of None are left out.

    An underscore at the end of an attribute's name falls away (`class_`), the others become
    hyphens. Every element is closed, so that the page is XML as well as HTML.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if not children and name in _WITHOUT_CONTENT:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None]) -> Markup:
    """Children one after the other, escaped where they are no markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(child)
            for child in children
            if child is not None
        )
    )


def html_table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1
) -> Markup:
    """A table in a box of its own that scrolls; the first `text_columns` columns are words.

    The box can be focused, so that it scrolls by the keyboard too.
    """

    def cells(kind: str, row: Sequence[str]) -> list[Markup]:
        return [
            element(
                "th" if place == 0 else kind,
                cell,
                scope="col" if kind == "th" else "row" if place == 0 else None,
                class_="n" if place >= text_columns else "long" if len(cell) > _LONG else None,
            )
            for place, cell in enumerate(row)
        ]

    return element(
        "div",
        element(
            "table",
            element("caption", caption),
            element("thead", element("tr", *cells("th", header))),
            element("tbody", *(element("tr", *cells("td", row)) for row in rows)),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def items(sentences: Iterable[str]) -> Markup:
    """A list with bullets."""
    return element("ul", *(element("li", sentence) for sentence in sentences))


_LONG = 60  # characters of a cell that gets room to spread
_WITHOUT_CONTENT = ("br", "circle", "line", "meta", "path", "polygon", "polyline", "rect")
