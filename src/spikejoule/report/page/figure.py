"""A figure of the page: heading, axis titles, the drawing with its description, legend, caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spikejoule.report.page.markup import Markup, element, joined

HEIGHT: Final = 300
"""Of a figure with two axes, in pixels."""


@dataclass(frozen=True)
class Words:
    """What is written around a drawing.

    Attributes:
        key: id of the figure on the page.
        finding: the heading: what it shows.
        description: the same for those who do not see it, with its numbers.
        y_title, x_title: of the axes, with their units; may be empty.
        caption: below it.
        legend: style and meaning of each mark.
    """

    key: str
    finding: str
    description: str
    y_title: str = ""
    x_title: str = ""
    caption: str = ""
    legend: Sequence[tuple[str, str]] = ()


def figure(words: Words, marks: Sequence[Markup], height: int, has_labels: bool = True) -> Markup:
    """The drawing within its words; `has_labels` keeps room for those of a vertical axis."""
    drawing = element(
        "svg",
        element("title", words.finding, id=f"{words.key}-title"),
        element("desc", words.description, id=f"{words.key}-description"),
        *marks,
        class_="drawing" if has_labels else "drawing wide",
        role="img",
        aria_labelledby=f"{words.key}-title {words.key}-description",
        height=height,
    )
    return element(
        "figure",
        element("h3", words.finding),
        element("p", f"↑ {words.y_title}", class_="axis") if words.y_title else None,
        drawing,
        element("p", f"{words.x_title}\u00a0→", class_="axis x") if words.x_title else None,
        _legend(words.legend),
        element("figcaption", words.caption) if words.caption else None,
        id=words.key,
    )


def absent(key: str, heading: str, reason: str) -> Markup:
    """In place of a figure that there are no data for."""
    return element("section", element("h3", heading), element("p", reason), class_="absent", id=key)


def symbol(style: str, x: str, y: str, told: str = "") -> Markup:
    """The mark of a style: a bar, a line, a ring, a diamond, or else a dot."""
    shape = style.split()[0]
    title = element("title", told) if told else None
    # A path of its own size at a place in percent needs an element that holds the place.
    return element("svg", _shape(shape, style, title), x=x, y=y, class_="stretched")


def _shape(shape: str, style: str, title: Markup | None) -> Markup:
    if shape == "bar":
        return element("rect", title, x="-7", y="-4", width="14", height="8", class_=style)
    if shape == "line":
        return element("line", title, x1="-8", x2="8", y1="0", y2="0", class_=style)
    if shape in ("diamond", "triangle"):
        outline = "M0-7 7 0 0 7-7 0z" if shape == "diamond" else "M0-7 7 5-7 5z"
        size = "scale(.55)" if "small" in style.split() else None
        return element("path", title, d=outline, class_=style, transform=size)
    return element("circle", title, r="4", class_=style)


def _legend(entries: Sequence[tuple[str, str]]) -> Markup | None:
    if not entries:
        return None
    return element(
        "ul",
        *(
            element(
                "li",
                element(
                    "svg", symbol(style, "9", "8"), width="18", height="16", aria_hidden="true"
                ),
                joined((" ", meaning)),
            )
            for style, meaning in entries
        ),
        class_="legend",
    )
