"""The look that all figures share, and the step from a figure to PNG bytes."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

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

# Wrong digits in percent, where an axis of accuracies may have a tick.
_ERROR_TICKS_PERCENT = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 80, 100)

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


def error_percent(accuracy_percent: float) -> float:
    """Wrong digits in percent; none at all is drawn as the smallest error that has a tick."""
    return max(100 - accuracy_percent, _ERROR_TICKS_PERCENT[0])


def space_by_errors(axes: Axes, errors_percent: Sequence[float]) -> None:
    """Make the vertical axis one of accuracies, spaced by the logarithm of the errors.

    From 98 to 99 % half of the errors vanish, which a linear axis would hide. What is drawn on it
    are the values of `error_percent`; `errors_percent` holds all of them.
    """
    worst = min(tick for tick in _ERROR_TICKS_PERCENT if tick >= max(errors_percent))
    least = max(tick for tick in _ERROR_TICKS_PERCENT if tick <= min(errors_percent))
    if worst == least:
        worst = 2 * least
    axes.set_yscale("log")
    axes.set_ylim(worst, least)
    axes.set_yticks([tick for tick in _ERROR_TICKS_PERCENT if least <= tick <= worst])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_accuracy_label)


def _accuracy_label(error: float, _position: float) -> str:
    label = f"{100 - error:g}"
    return f"≥ {label}" if error == _ERROR_TICKS_PERCENT[0] else label


def to_png(figure: Figure) -> bytes:
    """The figure as PNG bytes that hold no date and no version of the software."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
