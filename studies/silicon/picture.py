"""The picture: predicted against measured energy, and their ratio."""

from collections.abc import Iterator, Sequence
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
from studies.silicon.predictions import Prediction, name_of
from studies.silicon.references import FOLDER, Measures, Role

PICTURE: Final = FOLDER / "silicon.png"

WITHIN: Final = 0.25
"""Half width of the band around equality."""

LOWEST_PJ: Final = 1e4
HIGHEST_PJ: Final = 1e12
RATIOS: Final = (2.0**-3.5, 2.0**3.5)
_PJ_PER_NJ = 1e3
_ARROW = 0.8

STYLES: Final[dict[tuple[Role, Measures], dict[str, Any]]] = {
    ("fitted", "total"): {
        "marker": "s",
        "color": GREY,
        "label": "fitted: shows nothing",
    },
    ("predicted", "total"): {"marker": "o", "color": BLUE, "label": "predicted: total"},
    ("predicted", "dynamic"): {
        "marker": "D",
        "color": BLUE,
        "label": "predicted: dynamic energy, on both axes",
    },
    ("interpolated", "total"): {
        "marker": "o",
        "color": BLUE,
        "markerfacecolor": PAPER,
        "label": "interpolated between fitted points",
    },
    ("lower bound", "total"): {
        "marker": "^",
        "color": VERMILION,
        "markerfacecolor": PAPER,
        "label": "lower bound: static energy only",
    },
}

ONE_EVENT_PRICE: Final[dict[str, Any]] = {
    "marker": "x",
    "markersize": 9,
    "color": VERMILION,
    "label": "one price per event",
}

LABELS: Final = {
    "ODIN, 1.3 MHz": (9, -4, "left"),
    "uBrain, MNIST, 256-64-10": (-22, 5, "right"),
    "GAP9, anomaly detection": (-8, -9, "right"),
    "NDP120, keyword spotting": (-12, 8, "right"),
    "TrueNorth, 11.58 Hz": (-12, 16, "right"),
    "Loihi, nearest neighbours, cores": (-30, 18, "right"),
    "Loihi, keyword spotting": (16, -6, "left"),
    "EFR32MG24, anomaly detection": (6, -13, "left"),
    "STM32U575, visual wake words": (-62, 26, "right"),
    "STM32H7A3, image classification": (-40, 22, "right"),
    "STM32L4R5, visual wake words": (12, -8, "left"),
    "Eyeriss, VGG-16, convolutions": (-2, -16, "right"),
}
"""Points beside which their chip is named: points to the right and up, alignment."""


@house_style()
def draw(rows: Sequence[Prediction]) -> Chart:
    """Draw all points that have a prediction, and the ratios of each chip."""
    figure = Figure(figsize=(8.0, 8.0))
    top, bottom = figure.subplots(2, 1, height_ratios=(1.5, 1))
    draw_energies(top, rows)
    draw_ratios(bottom, [row for row in rows if row.ratio])
    return Chart(
        key="silicon",
        finding="Energies of chips: predicted from counts, against measured",
        figure=figure,
        source="Bars: ranges of counts, prices and leakage. Conventional chips: one "
        "price per product, fitted to one network. Lower panel: one row per chip.",
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
    for style, members in by_style(rows):
        for number, row in enumerate(members):
            draw_point(axes, row, style | ({"label": None} if number else {}))
    for axis in ("x", "y"):
        log_axis(axes, axis, digits=(1,))
    axes.set(
        xlim=tuple(ends),
        ylim=tuple(ends),
        xlabel="Measured energy of a unit of work",
        ylabel="Predicted from counts",
    )
    axes.legend(loc="upper left")


def by_style(
    rows: Sequence[Prediction],
) -> Iterator[tuple[dict[str, Any], list[Prediction]]]:
    """Yield each style of `STYLES` with its points."""
    for key, style in STYLES.items():
        yield (
            style,
            [row for row in rows if (row.point.role, row.point.measures) == key],
        )


def draw_point(axes: Axes, row: Prediction, style: dict[str, Any]) -> None:
    """Draw a point with its bars, and its chip's name if `LABELS` has a place for it.

    The arrow of a lower bound points to where the energy is.
    """
    energy = row.predicted_nj
    assert energy is not None
    low, high = row.point.measured_nj
    x, y = row.measured_nj, energy.middle
    is_bound = row.point.role == "lower bound"
    up = y * _ARROW if is_bound else energy.high - y
    axes.errorbar(
        [x * _PJ_PER_NJ],
        [y * _PJ_PER_NJ],
        xerr=np.array([[x - low], [high - x]]) * _PJ_PER_NJ,
        yerr=np.array([[y - energy.low], [up]]) * _PJ_PER_NJ,
        lolims=is_bound,
        linestyle="",
        markersize=5,
        elinewidth=1,
        zorder=5,
        **style,
    )
    if (name := name_of(row)) in LABELS:
        right, above, align = LABELS[name]
        axes.annotate(
            row.chip.name,
            (x * _PJ_PER_NJ, y * _PJ_PER_NJ),
            xytext=(right, above),
            textcoords="offset points",
            ha=align,
            fontsize=7.5,
            color=INK,
            zorder=6,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5},
        )


def draw_ratios(axes: Axes, rows: Sequence[Prediction]) -> None:
    """Draw predicted over measured energies, one line per chip, spiking ones first."""
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.axvspan(1 - WITHIN, 1 + WITHIN, color=MUTED, alpha=0.15, linewidth=0)
    spiking_first = sorted(rows, key=lambda row: row.chip.kind != "spiking")
    chips = list(dict.fromkeys(row.chip.name for row in spiking_first))
    n_spiking = len({row.chip.name for row in rows if row.chip.kind == "spiking"})
    axes.axhline(n_spiking - 0.5, color=MUTED, linewidth=0.5)
    for place, kind in (
        (n_spiking - 0.7, "spiking"),
        (n_spiking - 0.3, "conventional"),
    ):
        axes.text(
            RATIOS[1] * 0.97,
            place,
            kind,
            ha="right",
            va="bottom" if kind == "spiking" else "top",
            color=INK,
            fontsize=7.5,
        )
    for style, members in by_style(rows):
        for row in members:
            assert row.ratio is not None
            low, middle, high = row.ratio
            axes.errorbar(
                [middle],
                [chips.index(row.chip.name)],
                xerr=np.array([[middle - low], [high - middle]]),
                markersize=6,
                elinewidth=1,
                zorder=5,
                **style | {"label": None},
            )
    headlines = [
        (row.headline_ratio, chips.index(row.chip.name))
        for row in rows
        if row.headline_ratio is not None
    ]
    axes.plot(*zip(*headlines, strict=True), linestyle="", zorder=3, **ONE_EVENT_PRICE)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(
        xlim=RATIOS,
        ylim=(len(chips) - 0.5, -0.5),
        xlabel="Predicted / measured",
        yticks=range(len(chips)),
        yticklabels=chips,
    )
    axes.legend(loc="upper right")


def write_picture(rows: Sequence[Prediction], path: Path = PICTURE) -> None:
    """Write the picture as PNG."""
    write_bytes(path, draw(rows).png())
