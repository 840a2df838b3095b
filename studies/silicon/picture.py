"""The picture: predicted against measured energy, and their ratio."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikejoule.core.store import write_bytes
from spikejoule.report.charts.canvas import (
    BLUE,
    GREY,
    INK,
    MUTED,
    PAPER,
    VERMILION,
    Chart,
    house_style,
    log_axis,
)
from studies.silicon.predictions import Prediction
from studies.silicon.references import FOLDER

PICTURE: Final = FOLDER / "silicon.png"

WITHIN: Final = 0.25
"""Half width of the band around equality."""

LOWEST_PJ: Final = 3e2
HIGHEST_PJ: Final = 2e12
RATIOS: Final = (2.0**-3, 2.0**3.5)
_PJ_PER_NJ = 1e3

STYLES: Final[dict[str, dict[str, Any]]] = {
    "predicted": {"marker": "o", "color": BLUE, "label": "predicted"},
    "interpolated": {
        "marker": "o",
        "color": BLUE,
        "markerfacecolor": PAPER,
        "label": "interpolated between fitted points",
    },
    "fitted": {"marker": "s", "color": GREY, "label": "fitted: shows nothing"},
    "lower bound": {
        "marker": "^",
        "color": VERMILION,
        "markerfacecolor": PAPER,
        "label": "lower bound: counts are missing",
    },
}

ONE_PRICE: Final[dict[str, Any]] = {
    "marker": "D",
    "color": VERMILION,
    "markerfacecolor": "none",
    "label": "one price per event",
}

LEFT: Final = (-8, 5, "right")
RIGHT: Final = (8, -9, "left")

LABELS: Final = {
    "Loihi, nearest neighbours, cores": LEFT,
    "Loihi, keyword spotting": (8, -1, "left"),
    "TrueNorth, 95.93 Hz": (-8, 6, "right"),
    "TrueNorth, 20.07 Hz": (9, -11, "left"),
    "TrueNorth, 11.58 Hz": (-8, -5, "right"),
    "uBrain, MNIST, 256-64-10": (26, 9, "right"),
}
"""Where labels are: points to the right and up, and alignment; `RIGHT` if omitted."""


@house_style()
def draw(rows: Sequence[Prediction]) -> Chart:
    """Draw all points that have a prediction, and the ratios of those compared."""
    figure = Figure(figsize=(8.0, 9.2))
    top, bottom = figure.subplots(2, 1, height_ratios=(1.7, 1))
    draw_energies(top, rows)
    draw_ratios(bottom, [row for row in rows if row.ratio])
    return Chart(
        key="silicon",
        finding="Energies of chips: predicted from counts, against measured",
        figure=figure,
        source="Bars: ranges of counts, prices and leakage. uBrain and Loihi's queries "
        "are dynamic only. Eyeriss runs conventional networks, with one price per "
        "product.",
    )


def draw_energies(axes: Axes, rows: Sequence[Prediction]) -> None:
    """Draw predicted against measured energies."""
    ends = np.array([LOWEST_PJ, HIGHEST_PJ])
    axes.plot(ends, ends, color=MUTED, linewidth=1, label="predicted = measured")
    axes.fill_between(
        ends,
        ends * (1 - WITHIN),
        ends * (1 + WITHIN),
        color=MUTED,
        alpha=0.15,
        linewidth=0,
        label="within 25 %",
    )
    for role, style in STYLES.items():
        draw_points(axes, [row for row in rows if row.point.role == role], style)
    for axis in ("x", "y"):
        log_axis(axes, axis, digits=(1,))
    axes.set(
        xlim=tuple(ends),
        ylim=tuple(ends),
        xlabel="Measured energy of a unit of work",
        ylabel="Predicted from counts",
    )
    axes.legend(loc="upper left")


def draw_points(axes: Axes, rows: Sequence[Prediction], style: dict[str, Any]) -> None:
    """Draw the points of one role, with bars and labels."""
    for number, row in enumerate(each for each in rows if each.predicted_nj):
        energy = row.predicted_nj
        assert energy is not None
        low, high = row.point.measured_nj
        x, y = row.measured_nj, energy.middle
        axes.errorbar(
            [x * _PJ_PER_NJ],
            [y * _PJ_PER_NJ],
            xerr=np.array([[x - low], [high - x]]) * _PJ_PER_NJ,
            yerr=np.array([[y - energy.low], [energy.high - y]]) * _PJ_PER_NJ,
            linestyle="",
            markersize=6,
            elinewidth=1,
            zorder=5,
            **style | ({} if number == 0 else {"label": None}),
        )
        right, up, align = LABELS.get(name_of(row), RIGHT)
        axes.annotate(
            name_of(row),
            (x * _PJ_PER_NJ, y * _PJ_PER_NJ),
            xytext=(right, up),
            textcoords="offset points",
            ha=align,
            fontsize=7.5,
            color=INK,
            zorder=6,
        )


def draw_ratios(axes: Axes, rows: Sequence[Prediction]) -> None:
    """Draw predicted over measured energies, one line per point."""
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.axvspan(1 - WITHIN, 1 + WITHIN, color=MUTED, alpha=0.15, linewidth=0)
    for place, row in enumerate(rows):
        assert row.ratio is not None
        low, middle, high = row.ratio
        axes.errorbar(
            [middle],
            [place],
            xerr=np.array([[middle - low], [high - middle]]),
            markersize=6,
            elinewidth=1,
            zorder=5,
            **STYLES[row.point.role] | {"label": None},
        )
    headlines = [
        (row.headline_ratio, place)
        for place, row in enumerate(rows)
        if row.headline_ratio is not None
    ]
    axes.plot(*zip(*headlines, strict=True), linestyle="", markersize=9, **ONE_PRICE)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(
        xlim=RATIOS,
        ylim=(len(rows) - 0.5, -0.5),
        xlabel="Predicted / measured",
        yticks=range(len(rows)),
        yticklabels=[name_of(row) for row in rows],
    )
    axes.legend(loc="lower left")


def name_of(row: Prediction) -> str:
    """Return chip and point."""
    return f"{row.chip.name}, {row.point.name}"


def write_picture(rows: Sequence[Prediction], path: Path = PICTURE) -> None:
    """Write the picture as PNG."""
    write_bytes(path, draw(rows).png())
