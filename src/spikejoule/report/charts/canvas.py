"""What all charts share: palette, axes, and output as PNG or as the page's SVG."""

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

from spikejoule.network.graph import Graph
from spikejoule.report.units import joules

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
"""Each colour on a light and a dark background, from Okabe and Ito, "Color Universal
Design" (2008), darkened or lightened so that text in them is legible. Charts are drawn
in the light colours; in the page's SVG, CSS variables replace them."""

_LIGHT: Final = {name: light for name, (light, _) in PALETTE.items()}
PAPER: Final = _LIGHT["paper"]
INK: Final = _LIGHT["ink"]
MUTED: Final = _LIGHT["muted"]
GREY: Final = _LIGHT["grey"]
BLUE: Final = _LIGHT["blue"]
VERMILION: Final = _LIGHT["vermilion"]
GREEN: Final = _LIGHT["green"]
PINK: Final = _LIGHT["pink"]
GOLD: Final = _LIGHT["gold"]
VARIABLES: Final = {light: f"var(--{name})" for name, light in _LIGHT.items()}
"""The CSS variable of each colour."""

WIDTH_INCHES: Final = 4.8
"""Width of a chart that stays readable on a phone."""

_LEAST_ERROR_PERCENT = 0.05
_TITLE_CHARACTERS_PER_INCH = 10
_MOST_TIPS_DESCRIBED = 80
_TIP = "tip: "

house_style = partial(
    matplotlib.rc_context, fname=Path(__file__).with_name("house.mplstyle")
)
"""Draw with this project's settings only: a context manager and a decorator."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure and its texts, to be drawn once, as PNG or as SVG.

    Drawing changes matplotlib's layout, so a second drawing would differ.

    Attributes:
        key: its id on the page.
        finding: the title, which states what the chart shows.
        figure: the drawing, without the title.
        source: the data, shown below the title of a PNG.
        description: text for screen readers; if empty, the tooltips of the marks, or a
            selection of them.
    """

    key: str
    finding: str
    figure: Figure
    source: str = ""
    description: str = ""

    @house_style()
    def png(self) -> bytes:
        """Return the chart and its title as PNG bytes, without date or version."""
        width, height = (float(size) for size in self.figure.get_size_inches())
        characters = int(_TITLE_CHARACTERS_PER_INCH * width)
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
        """Return the chart as an SVG element, with CSS variables as colours.

        Texts stay texts, ids are unique to the chart, and nothing outside the element
        is referenced.
        """
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with matplotlib.rc_context({"svg.hashsalt": self.key}):
            self.figure.savefig(
                buffer, format="svg", metadata=metadata, facecolor="none"
            )
        # The first definitions are matplotlib's style sheet, which would apply to the
        # whole page.
        head, body = buffer.getvalue().replace("xlink:href", "href").split("</defs>", 1)
        tips = list(dict.fromkeys(re.findall(f'<g id="{_TIP}([^"]*)"', body)))
        body = re.sub(r">\s+<", "><", body)
        # A tip becomes the title of its group, which browsers show as a tooltip.
        body = re.sub(f'<g id="{_TIP}([^"]*)"([^>]*)>', r"<g\2><title>\1</title>", body)
        # Only ids that other elements refer to stay: matplotlib's salted hashes.
        body = re.sub(r' id="(?![a-zA-Z][0-9a-f]{10}")[^"]*"', "", body)
        # Two decimals are finer than a pixel.
        body = re.sub(
            r' (?:d|x|y|transform)="[^"]*"',
            lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]),
            body,
        )
        body = re.sub(
            "#[0-9a-f]{6}", lambda match: VARIABLES.get(match[0], match[0]), body
        )
        view_box = re.search(r'viewBox="[^"]*"', head)
        assert view_box is not None
        described = tips[:: 1 + len(tips) // _MOST_TIPS_DESCRIBED]
        description = self.description or Markup("; ".join(described))  # noqa: S704 (escaped)
        return Markup(
            '<svg class="chart" role="img" {} aria-labelledby="{key}-title '
            '{key}-description">'
            '<title id="{key}-title">{}</title><desc id="{key}-description">{}</desc>{}'
        ).format(
            Markup(view_box[0]),  # noqa: S704
            self.finding,
            description,
            Markup(body.strip()),  # noqa: S704
            key=self.key,
        )


def new_figure(
    height_inches: float, width_inches: float = WIDTH_INCHES
) -> tuple[Figure, Axes]:
    """Create a figure and its axes, outside pyplot's registry of open windows."""
    figure = Figure(figsize=(width_inches, height_inches))
    return figure, figure.subplots()


def tip(artists: Iterable[Artist], words: str) -> None:
    """Give marks a tooltip on the page."""
    for artist in artists:
        artist.set_gid(f"{_TIP}{words}")


def mark(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    """Draw a mark with a tooltip; a dot unless `style` says otherwise."""
    settings: dict[str, Any] = {"marker": "o", "linestyle": "", "zorder": 4}
    tip(axes.plot([x], [y], **settings | style), words)


def legend_below(figure: Figure) -> None:
    """Draw a legend below the axes, one line per label."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower left")


def layer_colours(names: Sequence[str]) -> dict[str, str]:
    """Assign a colour to each layer, the input's first and the output's last.

    None is that of spiking (blue) or conventional (vermilion) networks.
    """
    hidden = [(GREEN, GREY)[place % 2] for place in range(len(names) - 2)]
    return dict(zip(names, [GOLD, *hidden, PINK], strict=False))


def place_colours(network: Graph) -> dict[str, str]:
    """Assign a colour to each node: its layer's, or that of the layer feeding it."""
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
    """Make an axis ("x" or "y") logarithmic, labelled at digits times powers of 10."""
    axes.set(**{f"{axis}scale": "log"})
    getattr(axes, f"{axis}axis").set(
        major_locator=LogLocator(subs=digits, numticks=8),
        major_formatter=lambda value, _: label(value),
        minor_locator=NullLocator(),
    )


def accuracy_axis(axes: Axes) -> None:
    """Make a vertical axis of accuracies, spaced by the logarithm of the errors.

    From 98 to 99 % half of the errors vanish, which a linear axis would hide.
    """
    log_axis(axes, "y", lambda error: f"{100 - error:g}", (1, 2, 5))
    axes.invert_yaxis()
    axes.set_ylabel("Correct (%), log scale of errors")


def error_percent(accuracy_percent: float) -> float:
    """Return wrong answers in percent; zero is drawn as a twentieth of a percent."""
    return max(100 - accuracy_percent, _LEAST_ERROR_PERCENT)
