"""What all charts share: palette, axes, and the way from a figure to a PNG or to the
page's SVG.
"""

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from spikejoule.energy.estimates import joules
from spikejoule.network.graph import Graph

PALETTE: Final = {
    "paper": ("#ffffff", "#151518"),
    "ink": ("#1d1d1f", "#ececf0"),
    "muted": ("#5b5b60", "#a6a6ae"),
    "grid": ("#e2e2e6", "#35353b"),
    "panel": ("#f5f5f7", "#202025"),
    "link": ("#005a91", "#7cc4f5"),
    "grey": ("#8c8c92", "#85858d"),
    "blue": ("#0072b2", "#56b4e9"),
    "vermilion": ("#c44e00", "#ff9047"),
    "green": ("#00805f", "#2fc69b"),
    "pink": ("#a3438a", "#e08ac4"),
    "gold": ("#8a6500", "#e6b93f"),
}
"""Each colour on light and on dark ground: those of Okabe and Ito, "Color Universal
Design" (2008), darkened or lightened until text in them can be read. Charts are drawn
in the light ones, which are all different; in the page's SVG each is replaced by the
CSS variable of its name."""

PAPER, INK, MUTED, GRID, PANEL, _, GREY, BLUE, VERMILION, GREEN, PINK, GOLD = (
    light for light, _ in PALETTE.values()
)
VARIABLES: Final = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}
"""The CSS variable of each colour."""

WIDTH_INCHES: Final = 4.8
"""Of a chart that stays readable on a phone."""

_LEAST_ERROR_PERCENT = 0.05
_CHARACTERS_AN_INCH = 10  # of a title, at most
_MOST_TOLD = 80
_TIP = "tip: "

house_style = partial(
    matplotlib.rc_context, fname=Path(__file__).with_name("house.mplstyle")
)
"""Draw with this project's settings alone: a context, or a function's decorator."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with its words, to be drawn once, as either: a layout starts from the
    one before.

    Attributes:
        key: its name, by which the page refers to it.
        finding: the title: what it shows.
        figure: the drawing, without the title.
        source: what it was measured on, below the title of a PNG.
        description: the drawing with its numbers, for those who do not see it; empty
            for the tips of its marks, or some of them where they are many.
    """

    key: str
    finding: str
    figure: Figure
    source: str = ""
    description: str = ""

    @house_style()
    def png(self) -> bytes:
        """The chart under its title as PNG bytes that hold no date and no version."""
        width, height = (float(size) for size in self.figure.get_size_inches())
        characters = int(_CHARACTERS_AN_INCH * width)
        lines = [
            line
            for words in (self.finding, self.source)
            for line in textwrap.wrap(words, characters)
        ]
        self.figure.suptitle("\n".join(lines), x=0.02, ha="left")
        self.figure.set_size_inches(width, height + 0.2 * len(lines))
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    @house_style()
    def svg(self) -> Markup:
        """The chart as an element of a page: its text is text, its colours are CSS
        variables.

        Identifiers are of this chart alone; nothing refers to anything outside of the
        element.
        """
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with matplotlib.rc_context({"svg.hashsalt": self.key}):
            self.figure.savefig(
                buffer, format="svg", metadata=metadata, facecolor="none"
            )
        # What comes first is matplotlib's style sheet, which would hold for the whole
        # page.
        head, body = buffer.getvalue().replace("xlink:href", "href").split("</defs>", 1)
        tips = list(dict.fromkeys(re.findall(f'<g id="{_TIP}([^"]*)"', body)))
        for pattern, to in (
            (r">\s+<", "><"),
            (f'<g id="{_TIP}([^"]*)"([^>]*)>', r"<g\2><title>\1</title>"),
            (r' id="(?![a-zA-Z][0-9a-f]{10}")[^"]*"', ""),
            (
                r' (?:d|x|y|transform)="[^"]*"',
                lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]),
            ),
            ("#[0-9a-f]{6}", lambda found: VARIABLES.get(found[0], found[0])),
        ):
            body = re.sub(pattern, to, body)
        viewed = re.search(r'viewBox="[^"]*"', head)
        assert viewed is not None
        told = "; ".join(tips[:: 1 + len(tips) // _MOST_TOLD])
        description = self.description or Markup(told)  # noqa: S704 (escaped)
        return Markup(
            '<svg class="chart" role="img" {} aria-labelledby="{key}-title '
            '{key}-description">'
            '<title id="{key}-title">{}</title><desc id="{key}-description">{}</desc>{}'
        ).format(
            Markup(viewed[0]),  # noqa: S704
            self.finding,
            description,
            Markup(body.strip()),  # noqa: S704
            key=self.key,
        )


def new_figure(
    height_inches: float, width_inches: float = WIDTH_INCHES
) -> tuple[Figure, Axes]:
    """A figure and its axes, outside pyplot's registry of open windows."""
    figure = Figure(figsize=(width_inches, height_inches))
    return figure, figure.subplots()


def tip(artists: Iterable[Artist], words: str) -> None:
    """Give marks a text that shows on the page when they are pointed at."""
    for artist in artists:
        artist.set_gid(f"{_TIP}{words}")


def mark(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    """A mark at a place (a dot, unless `style` says), with a text for when it is
    pointed at.
    """
    settings: dict[str, Any] = {"marker": "o", "linestyle": "", "zorder": 4}
    tip(axes.plot([x], [y], **settings | style), words)


def legend_below(figure: Figure) -> None:
    """The legend of everything that has a label, each once on a line, below the
    axes.
    """
    handles, labels = figure.axes[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower left")


def layer_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each layer by its name, the input's first and the output's last;
    none is that of spiking (blue) or of conventional networks (vermilion)."""
    hidden = [(GREEN, GREY)[place % 2] for place in range(len(names) - 2)]
    return dict(zip(names, [GOLD, *hidden, PINK], strict=False))


def place_colours(network: Graph) -> dict[str, str]:
    """The same for every node: one without neurons has the colour of the layer that
    feeds it.
    """
    colours = layer_colours(network.layer_names)
    for name, sources in network.sources.items():
        if sources:
            colours.setdefault(name, colours.get(sources[0], BLUE))
    return colours


def log_axis(
    axes: Axes,
    axis: str,
    label: Callable[[float], str] = joules,
    digits: tuple[float, ...] = (1, 3),
) -> None:
    """A logarithmic axis ("x" or "y") with labels at these digits times the powers of
    ten.
    """
    axes.set(**{f"{axis}scale": "log"})
    getattr(axes, f"{axis}axis").set(
        major_locator=LogLocator(subs=digits, numticks=8),
        major_formatter=lambda value, _: label(value),
        minor_locator=NullLocator(),
    )


def accuracy_axis(axes: Axes) -> None:
    """A vertical axis of accuracies, spaced by the logarithm of the errors
    (`error_percent`).

    From 98 to 99 % half of the errors vanish, which a linear axis would hide.
    """
    log_axis(axes, "y", lambda error: f"{100 - error:g}", (1, 2, 5))
    axes.invert_yaxis()
    axes.set_ylabel("Correct (%), log scale of errors")


def error_percent(accuracy_percent: float) -> float:
    """Wrong answers in percent; none at all is drawn as a twentieth of a percent."""
    return max(100 - accuracy_percent, _LEAST_ERROR_PERCENT)
