"""What all charts share: palette, axes, and the way from a figure to a PNG or to the page's SVG."""

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullLocator

from spikejoule.energy.estimates import joules

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
"""Each colour on light and on dark ground: those of Okabe and Ito, "Color Universal Design" (2008),
darkened or lightened until text in them can be read. Charts are drawn in the light ones, which are
all different; in the page's SVG each is replaced by the CSS variable of its name."""

PAPER, INK, MUTED, GRID, PANEL, _, GREY, BLUE, VERMILION, GREEN, PINK, GOLD = (
    light for light, _ in PALETTE.values()
)
WIDTH_INCHES: Final = 4.8
"""Of a chart that stays readable on a phone."""
ACCURACY_TITLE: Final = "Correct (%), log scale of errors"

_DOTS_PER_INCH = 150
# Wrong answers in percent, where an axis of accuracies may have a tick.
_ERROR_TICKS_PERCENT = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 80, 100)
_LEAST_ERROR_PERCENT = _ERROR_TICKS_PERCENT[0]
_MOST_TICKS = 5
_MOST_TOLD = 80
_SETTINGS = {
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid.axis": "both",
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "image.composite_image": False,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "spikejoule",  # else identifiers are drawn at random
    "text.color": INK,
    "text.parse_math": False,  # a text may be the name of a folder, dollar signs and all
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with this project's settings, whatever the reader's matplotlibrc says."""
    settings: Any = {
        name: value
        for name, value in matplotlib.rcParamsDefault.items()
        if not name.startswith("backend")
    }
    settings.update(_SETTINGS)
    with matplotlib.rc_context(settings):
        yield


@dataclass(frozen=True)
class NoChart:
    """In place of a chart that there are no data for."""

    key: str
    finding: str
    reason: str


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with its words, to be drawn once, as either: a layout starts from the one before.

    Attributes:
        key: its name, by which the page refers to it.
        finding: the title: what it shows.
        figure: the drawing, without the title.
        source: what it was measured on, below the title of a PNG.
        caption: below it on the page.
        description: the drawing with its numbers, for those who do not see it; empty for the tips
            of its marks, or some of them where they are many.
    """

    key: str
    finding: str
    figure: Figure
    source: str = ""
    caption: str = ""
    description: str = ""

    @house_style()
    def png(self) -> bytes:
        """The chart under its title as PNG bytes that hold no date and no version."""
        width, height = (float(size) for size in self.figure.get_size_inches())
        lines = textwrap.wrap(self.finding, int(10.2 * width))
        head = 0.38 + 0.2 * len(lines)
        whole = height + head
        layout = self.figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        at: dict[str, Any] = {"va": "top", "ha": "left"}
        top = 1 - 0.12 / whole
        title = {"fontsize": 12, "fontweight": "bold", **at}
        self.figure.text(0.12 / width, top, "\n".join(lines), **title)
        below = 1 - (head - 0.24) / whole
        self.figure.text(0.12 / width, below, self.source, color=MUTED, **at)
        self.figure.set_size_inches(width, whole)
        layout.set(rect=(0, 0, 1, height / whole))
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        return buffer.getvalue()

    @house_style()
    def svg(self) -> Markup:
        """The chart as an element of a page: its text is text, its colours are CSS variables.

        Identifiers begin with the key; nothing refers to anything outside of the element.
        """
        buffer = io.BytesIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        self.figure.savefig(buffer, format="svg", metadata=metadata, facecolor="none")
        drawn = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 (written above)
        names = {"title": f"{self.key}-title", "desc": f"{self.key}-description"}
        root = ElementTree.Element(
            "svg",
            {
                "class": "chart",
                "role": "img",
                "viewBox": drawn.attrib["viewBox"],
                "aria-labelledby": " ".join(names.values()),
            },
        )
        for tag, name in names.items():
            ElementTree.SubElement(root, tag, id=name).text = self.finding
        # What comes first is matplotlib's style sheet, which would hold for the whole page.
        root.extend(list(drawn)[1:])
        referred = set(re.findall(r"#([\w-]+)", buffer.getvalue().decode()))
        told = [self._of_the_page(node, referred) for node in list(root.iter())[3:]]
        tips = list(dict.fromkeys(filter(None, told)))
        root[1].text = self.description or "; ".join(tips[:: 1 + len(tips) // _MOST_TOLD])
        return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704

    def _of_the_page(self, node: ElementTree.Element, referred: set[str]) -> str:
        """Free an element of name spaces, fonts and fixed colours; gives its tip, now its title."""
        node.tag = _local(node.tag)
        given = {_local(name): value for name, value in node.attrib.items()}
        name = given.pop("id", "")
        if name in referred:
            given["id"] = f"{self.key}-{name}"
        for key, value in given.items():
            if key in ("d", "x", "y", "transform"):
                given[key] = re.sub(r"(\.\d\d)\d+", r"\1", value)
            elif key == "style":
                plain = re.sub(r"font-family: [^;]+(; )?", "", value)
                given[key] = re.sub(r"#[0-9a-f]{6}", _variable, plain)
            elif not value.startswith("data:"):
                given[key] = re.sub(r"#(?=[\w-]+\)?$)", f"#{self.key}-", value)
        node.attrib.clear()
        node.attrib.update(given)
        for part in ("text", "tail"):
            if not (getattr(node, part) or "").strip():
                setattr(node, part, None)
        if not name.startswith(_TIP):
            return ""
        title = ElementTree.Element("title")
        title.text = name.removeprefix(_TIP)
        node.insert(0, title)
        return title.text


_TIP = "tip: "
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _variable(colour: re.Match[str]) -> str:
    return _VARIABLES.get(colour[0], colour[0])


def tip(artists: Iterable[Artist], words: str) -> None:
    """Give marks a text that shows on the page when they are pointed at."""
    for artist in artists:
        artist.set_gid(f"{_TIP}{words}")


def mark(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    """A mark at a place (a dot, unless `style` says), with a text for when it is pointed at."""
    settings: dict[str, Any] = {"marker": "o", "linestyle": "", "clip_on": False, "zorder": 4}
    tip(axes.plot([x], [y], **(settings | style)), words)


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """An empty figure outside pyplot's registry of open windows."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    return Figure(figsize=(width_inches, height_inches), layout=layout)


def legend_below(figure: Figure, columns: int = 1) -> None:
    """The legend of everything that has a label, each once, below the axes."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    figure.legend(once.values(), once.keys(), loc="outside lower left", ncols=columns, fontsize=8.5)


def level(axes: Axes, value: float) -> None:
    """A dashed line over the whole width at a value."""
    axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (5, 3)), zorder=1)


def layer_colours(n_layers: int) -> list[str]:
    """A colour a layer: the first is the input's, the last the output's."""
    hidden = (GREEN, GOLD, PINK)
    return [BLUE, *(hidden[place % len(hidden)] for place in range(n_layers - 2)), VERMILION]


def plain_number(value: float) -> str:
    """A number with thousands separators."""
    return f"{value:,.10g}"


def decades(
    axes: Axes, axis: str, values: Iterable[float], label: Callable[[float], str] = joules
) -> None:
    """A logarithmic axis ("x" or "y") that ends at round numbers.

    A line at every power of ten, or at 1, 2, 5, 10, ... for few decades; at most five have labels.
    """
    known = [value for value in values if value > 0] or [1.0]
    powers = range(math.floor(math.log10(min(known))) - 1, math.ceil(math.log10(max(known))) + 2)
    digits = (1, 2, 5) if max(known) < 200 * min(known) else (1,)
    steps = [float(f"{digit}e{power}") for power in powers for digit in digits]
    low = max(step for step in steps if step <= min(known))
    high = min(step for step in steps if step >= max(known) and step > low)
    shown = [step for step in steps if low <= step <= high]
    every = -(-len(shown) // _MOST_TICKS)
    labels = ["" if place % every else label(step) for place, step in enumerate(shown)]
    _set_axis(axes, axis, "log", (low, high), shown, labels)


def from_zero(axes: Axes, axis: str, last: float, label: Callable[[float], str] = joules) -> None:
    """A linear axis from 0 on with a few round ticks."""
    last = last if last > 0 else 1.0
    steps = MaxNLocator(_MOST_TICKS, steps=[1, 2, 5, 10]).tick_values(0, last)
    ticks = [float(step) for step in steps if 0 <= step <= last]
    labels = [label(step) if step else "0" for step in ticks]
    _set_axis(axes, axis, "linear", (0, last), ticks, labels)


def accuracy_axis(axes: Axes, accuracies_percent: Iterable[float]) -> None:
    """A vertical axis of accuracies, spaced by the logarithm of the errors (`error_percent`).

    From 98 to 99 % half of the errors vanish, which a linear axis would hide.
    """
    errors = [error_percent(accuracy) for accuracy in accuracies_percent]
    worst = min(tick for tick in _ERROR_TICKS_PERCENT if tick >= max(errors))
    least = max(tick for tick in _ERROR_TICKS_PERCENT if tick <= min(errors))
    worst = 2 * least if worst == least else worst
    ticks = [tick for tick in _ERROR_TICKS_PERCENT if least <= tick <= worst]
    labels = [f"{'≥ ' if tick == _LEAST_ERROR_PERCENT else ''}{100 - tick:g}" for tick in ticks]
    _set_axis(axes, "y", "log", (worst, least), ticks, labels)
    axes.set_ylabel(ACCURACY_TITLE)


def error_percent(accuracy_percent: float) -> float:
    """Wrong answers in percent; none at all is drawn as the smallest error that has a tick."""
    return max(100 - accuracy_percent, _LEAST_ERROR_PERCENT)


def _set_axis(
    axes: Axes,
    axis: str,
    scale: str,
    ends: tuple[float, float],
    ticks: Sequence[float],
    labels: Sequence[str],
) -> None:
    axes.set(**{f"{axis}scale": scale, f"{axis}lim": ends})
    axes.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": labels})
    getattr(axes, f"{axis}axis").set_minor_locator(NullLocator())
    axes.grid(True, axis=axis)  # type: ignore[arg-type]
