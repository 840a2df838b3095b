"""The picture: predicted against measured energy, and their ratio.

A colour is a chip, of the row that has this colour in the lower panel. A shape is a
role.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikejoule.core.store import write_bytes
from spikejoule.report.charts.canvas import (
    BLUE,
    GOLD,
    GREEN,
    GREY,
    INK,
    MUTED,
    PAPER,
    PINK,
    VERMILION,
    Chart,
    house_style,
    log_axis,
)
from studies.silicon.predictions import Prediction, name_of
from studies.silicon.references import FOLDER, PJ_PER_NJ, Measures, Role

PICTURE: Final = FOLDER / "silicon.png"

WITHIN: Final = 0.25
"""Half width of the band around equality."""

LOWEST_PJ: Final = 1e4
HIGHEST_PJ: Final = 1e12
RATIOS: Final = (2.0**-3.5, 2.0**3.5)
_ARROW = 3.0
_LINE_OF_FACTOR = 2.0
_SPREAD_ROWS = 0.14
_SMALL = 7.5

STYLES: Final[dict[tuple[Role, Measures], dict[str, Any]]] = {
    ("fitted", "total"): {"marker": "s", "label": "fitted: shows nothing"},
    ("predicted", "total"): {"marker": "o", "label": "predicted: total"},
    ("predicted", "dynamic"): {
        "marker": "D",
        "label": "predicted: dynamic energy, on both axes",
    },
    ("interpolated", "total"): {
        "marker": "o",
        "markerfacecolor": PAPER,
        "label": "interpolated between fitted points",
    },
    ("lower bound", "total"): {
        "marker": "^",
        "markerfacecolor": PAPER,
        "label": "at least, if idle power is drawn throughout",
    },
}

ONE_EVENT_PRICE: Final[dict[str, Any]] = {
    "marker": "x",
    "markersize": 8,
    "linestyle": "",
    "color": VERMILION,
    "label": "one price per event",
}

COLOURS: Final = {
    "EFR32MG24": GREEN,
    "Eyeriss": PINK,
    "GAP9": VERMILION,
    "NDP120": GOLD,
    "STM32H7A3": INK,
    "STM32L4R5": MUTED,
    "STM32U575": GREY,
}
"""Colours of conventional chips; spiking ones are blue."""

LABELS: Final = {
    "ODIN, 1.3 MHz": (12, -3, "left"),
    "ODIN, 75 MHz": (12, -5, "left"),
    "uBrain, MNIST, 256-64-10": (0, 26, "center"),
    "TrueNorth, 11.58 Hz": (-56, 38, "right"),
    "TrueNorth, 20.07 Hz": (-46, 54, "right"),
    "TrueNorth, 95.93 Hz": (-36, 68, "right"),
    "Loihi, nearest neighbours, cores": (-40, 58, "right"),
    "Loihi, keyword spotting": (14, -14, "left"),
    "GAP9, image classification": (-16, 14, "right"),
    "GAP9, anomaly detection": (12, 20, "left"),
}
"""Points that are named: points to the right and up, alignment."""


@house_style()
def draw(rows: Sequence[Prediction]) -> Chart:
    """Draw all points that have a prediction, and the ratios of each chip."""
    figure = Figure(figsize=(8.0, 9.0))
    top, bottom = figure.subplots(2, 1, height_ratios=(1.3, 1))
    draw_energies(top, rows)
    draw_ratios(bottom, [row for row in rows if row.ratio])
    return Chart(
        key="silicon",
        finding="Energies of chips: predicted from counts, against measured",
        figure=figure,
        source="Bars: ranges of counts, prices and leakage; marks of ranges without a "
        "value: geometric middles. Conventional chips: one price per product, from "
        "each other network of the chip in turn. Colours: those of the rows below.",
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
    for factor in (_LINE_OF_FACTOR, 1 / _LINE_OF_FACTOR):
        axes.plot(
            ends,
            ends * factor,
            color=MUTED,
            linewidth=0.6,
            linestyle="--",
            label=f"factor {factor:g}" if factor > 1 else None,
        )
    for style, members in by_style(rows):
        # The legend's mark, which has no chip's colour.
        axes.plot([], [], linestyle="", color=MUTED, **style)
        for row in members:
            draw_point(axes, row, style)
    for axis in ("x", "y"):
        log_axis(axes, axis, digits=(1,))
    axes.set(
        xlim=tuple(ends),
        ylim=tuple(ends),
        xlabel="Measured energy of a unit of work",
        ylabel="Predicted from counts",
    )
    axes.legend(loc="lower right", fontsize=_SMALL)


def by_style(
    rows: Sequence[Prediction],
) -> Iterator[tuple[dict[str, Any], list[Prediction]]]:
    """Yield each style of `STYLES` with its points."""
    for key, style in STYLES.items():
        yield (
            style,
            [row for row in rows if (row.point.role, row.point.measures) == key],
        )


def colour(row: Prediction) -> str:
    """Return the colour of a point's chip."""
    return COLOURS.get(row.chip.name, BLUE)


def draw_point(axes: Axes, row: Prediction, style: dict[str, Any]) -> None:
    """Draw a point with its bars, and its name if `LABELS` has a place for it.

    The arrow of a lower bound points to where the energy is.
    """
    energy = row.predicted_nj
    assert energy is not None
    low, high = row.point.measured_nj
    x, y = row.measured_nj, energy.middle
    place = (x * PJ_PER_NJ, y * PJ_PER_NJ)
    axes.errorbar(
        [place[0]],
        [place[1]],
        xerr=np.array([[x - low], [high - x]]) * PJ_PER_NJ,
        yerr=np.array([[y - energy.low], [energy.high - y]]) * PJ_PER_NJ,
        linestyle="",
        markersize=5,
        elinewidth=1,
        zorder=5,
        color=colour(row),
        **style | {"label": None},
    )
    if row.point.role == "lower bound":
        axes.annotate(
            "",
            (place[0], place[1] * _ARROW),
            xytext=place,
            zorder=4,
            arrowprops={"arrowstyle": "->", "color": colour(row)},
        )
    if (name := name_of(row)) in LABELS:
        right, above, align = LABELS[name]
        axes.annotate(
            name,
            place,
            xytext=(right, above),
            textcoords="offset points",
            ha=align,
            fontsize=_SMALL,
            color=INK,
            zorder=6,
            arrowprops={
                "arrowstyle": "-",
                "color": MUTED,
                "linewidth": 0.5,
                "relpos": (float(align == "right"), 0.5),
            },
        )


def draw_ratios(axes: Axes, rows: Sequence[Prediction]) -> None:
    """Draw predicted over measured energies.

    A spiking chip's point has a row of its own, a conventional chip one row.
    """
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.axvspan(1 - WITHIN, 1 + WITHIN, color=MUTED, alpha=0.15, linewidth=0)
    spiking_first = sorted(rows, key=lambda row: row.chip.kind != "spiking")
    members: dict[str, list[Prediction]] = {}
    for row in spiking_first:
        members.setdefault(row_name(row), []).append(row)
    for place, of_row in enumerate(members.values()):
        for number, row in enumerate(of_row):
            above = (number - (len(of_row) - 1) / 2) * _SPREAD_ROWS
            draw_ratio(axes, row, place + above)
    n_spiking = sum(of_row[0].chip.kind == "spiking" for of_row in members.values())
    axes.axhline(n_spiking - 0.5, color=MUTED, linewidth=0.8)
    for words, middle in (
        ("spiking", (n_spiking - 1) / 2),
        ("conventional", (n_spiking + len(members) - 1) / 2),
    ):
        axes.text(
            1.01,
            middle,
            words,
            transform=axes.get_yaxis_transform(),
            rotation=270,
            va="center",
            color=INK,
        )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(
        xlim=RATIOS,
        ylim=(len(members) - 0.5, -0.5),
        xlabel="Predicted / measured",
        yticks=range(len(members)),
        yticklabels=members,
    )
    for label, of_row in zip(axes.get_yticklabels(), members.values(), strict=True):
        label.set_color(colour(of_row[0]))
    axes.plot([], [], **ONE_EVENT_PRICE)
    axes.legend(loc="upper right")


def row_name(row: Prediction) -> str:
    """Return what a row of the lower panel is called."""
    return name_of(row) if row.chip.kind == "spiking" else row.chip.name


def draw_ratio(axes: Axes, row: Prediction, place: float) -> None:
    """Draw a point's ratio, and below it that of one price per event."""
    assert row.ratio is not None
    low, middle, high = row.ratio
    axes.errorbar(
        [middle],
        [place],
        xerr=np.array([[middle - low], [high - middle]]),
        markersize=5,
        elinewidth=1,
        zorder=5,
        color=colour(row),
        **STYLES[row.point.role, row.point.measures] | {"label": None},
    )
    if row.headline_ratio is not None:
        style = ONE_EVENT_PRICE | {"label": None}
        axes.plot([row.headline_ratio], [place + 0.25], zorder=3, **style)


def write_picture(rows: Sequence[Prediction], path: Path = PICTURE) -> None:
    """Write the picture as PNG."""
    write_bytes(path, draw(rows).png())
