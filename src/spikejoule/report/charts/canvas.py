"""What all charts share: palette, axes, and the way from a figure to a PNG or to the page's SVG."""

import io
import math
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
_TIP = "tip: "

house_style = partial(matplotlib.rc_context, fname=Path(__file__).with_name("house.mplstyle"))
"""Draw with this project's settings alone: a context, or a function's decorator."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure with its words, to be drawn once, as either: a layout starts from the one before.

    Attributes:
        key: its name, by which the page refers to it.
        finding: the title: what it shows.
        figure: the drawing, without the title.
        source: what it was measured on, below the title of a PNG.
        description: the drawing with its numbers, for those who do not see it; empty for the tips
            of its marks, or some of them where they are many.
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
        lines = textwrap.wrap(self.finding, int(10.2 * width))
        head = 0.38 + 0.2 * len(lines)
        whole = height + head
        at: dict[str, Any] = {"x": 0.12 / width, "va": "top", "ha": "left"}
        title, source = 1 - 0.12 / whole, 1 - (head - 0.24) / whole
        self.figure.text(y=title, s="\n".join(lines), fontsize=12, fontweight="bold", **at)
        self.figure.text(y=source, s=self.source, color=MUTED, **at)
        self.figure.set_size_inches(width, whole)
        layout = self.figure.get_layout_engine()
        assert isinstance(layout, ConstrainedLayoutEngine)
        layout.set(rect=(0, 0, 1, height / whole))
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        return buffer.getvalue()

    @house_style()
    def svg(self) -> Markup:
        """The chart as an element of a page: its text is text, its colours are CSS variables.

        Identifiers begin with the key; nothing refers to anything outside of the element.
        """
        buffer = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        self.figure.savefig(buffer, format="svg", metadata=metadata, facecolor="none")
        drawn = buffer.getvalue()
        # What comes first is matplotlib's style sheet, which would hold for the whole page.
        body = re.sub(r">\s+<", "><", drawn[drawn.index("</defs>") + len("</defs>") :])
        tips = list(dict.fromkeys(re.findall(f'<g id="{_TIP}([^"]*)"', body)))
        body = re.sub(f'<g id="{_TIP}([^"]*)"([^>]*)>', r"<g\2><title>\1</title>", body)
        of_the_page = partial(self._of_the_page, set(re.findall(r"#([\w-]+)", drawn)))
        body = re.sub(r"<\w[^>]*>", lambda tag: _ATTRIBUTE.sub(of_the_page, tag[0]), body)
        told = Markup("; ".join(tips[:: 1 + len(tips) // _MOST_TOLD]))  # noqa: S704 (escaped)
        key, viewed = self.key, re.search(r'viewBox="([^"]*)"', drawn)
        assert viewed is not None
        return Markup(
            '<svg class="chart" role="img" viewBox="{}" aria-labelledby="{}-title {}-description">'
            '<title id="{}-title">{}</title><desc id="{}-description">{}</desc>{}'
        ).format(
            *(viewed[1], key, key, key, self.finding, key, self.description or told),
            Markup(body.strip()),  # noqa: S704 (written above)
        )

    def _of_the_page(self, referred: set[str], attribute: re.Match[str]) -> str:
        """An attribute without name space, font and fixed colours."""
        name, value = attribute.groups()
        if name == "id":
            return f' id="{self.key}-{value}"' if value in referred else ""
        if name in ("d", "x", "y", "transform"):
            value = re.sub(r"(\.\d\d)\d+", r"\1", value)
        elif name == "style":
            value = re.sub(r"font-family: [^;]+(; )?", "", value)
            value = re.sub(r"#[0-9a-f]{6}", lambda at: _VARIABLES.get(at[0], at[0]), value)
        elif not value.startswith("data:"):
            value = re.sub(r"#(?=[\w-]+\)?$)", f"#{self.key}-", value)
        return f' {name}="{value}"'


_ATTRIBUTE = re.compile(r'\s(?:xlink:)?([\w-]+)="([^"]*)"')
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}


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
