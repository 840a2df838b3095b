"""The look that all figures share, and the step from a figure to PNG bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from spikejoule.report.charts.scales import Scale

# Okabe and Ito, "Color Universal Design" (2008).
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
SKY = "#56B4E9"
ORANGE = "#E69F00"
GREY = "#6B6B6B"
LIGHT_GREY = "#E3E3E3"
INK = "#222222"

DOTS_PER_INCH = 150

_SETTINGS = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 9,
    "grid.color": LIGHT_GREY,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # a text may be the name of a folder, dollar signs and all
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
}


# The title and the line below it.
_TITLE_INCHES = 0.62


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


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure with room for its titles, outside pyplot's registry of open windows."""
    layout = ConstrainedLayoutEngine(
        w_pad=0.08, h_pad=0.08, rect=(0, 0, 1, 1 - _TITLE_INCHES / height_inches)
    )
    figure = Figure(figsize=(width_inches, height_inches), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def set_titles(figure: Figure, finding: str, source: str) -> None:
    """Write the finding as the title and what it was measured on below it."""
    width, height = (float(size) for size in figure.get_size_inches())
    left = 0.12 / width
    figure.text(
        left, 1 - 0.12 / height, finding, fontsize=12, fontweight="bold", va="top", ha="left"
    )
    figure.text(left, 1 - 0.38 / height, source, fontsize=9, color=GREY, va="top", ha="left")


def light_grid(axes: Axes, axis: str) -> None:
    """Faint grid lines behind the data along one axis ("x", "y" or "both")."""
    axes.grid(True, axis=axis)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def scale_y(axes: Axes, scale: Scale) -> None:
    """Give the vertical axis the scale of a chart, with its ticks alone."""
    axes.set_yscale("log" if scale.logarithmic else "linear")
    axes.set_ylim(scale.first, scale.last)
    axes.set_yticks(*_values_and_labels(scale))
    axes.yaxis.set_minor_locator(NullLocator())


def scale_x(axes: Axes, scale: Scale) -> None:
    """Give the horizontal axis the scale of a chart, with its ticks alone."""
    axes.set_xscale("log" if scale.logarithmic else "linear")
    axes.set_xlim(scale.first, scale.last)
    axes.set_xticks(*_values_and_labels(scale))
    axes.xaxis.set_minor_locator(NullLocator())


def _values_and_labels(scale: Scale) -> tuple[list[float], list[str]]:
    return [value for value, _ in scale.ticks], [label for _, label in scale.ticks]


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes that hold no date and no version of the software."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def capitalised(text: str) -> str:
    """A text that begins with a capital letter; the rest of it stays as it is."""
    return text[:1].upper() + text[1:]
