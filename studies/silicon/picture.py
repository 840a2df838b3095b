"""The picture: predicted against measured energy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from spikejoule.core.store import write_bytes
from spikejoule.report.charts.canvas import (
    BLUE,
    GREY,
    INK,
    MUTED,
    VERMILION,
    Chart,
    house_style,
    log_axis,
    new_figure,
)
from studies.silicon.predictions import Prediction
from studies.silicon.references import FOLDER

PICTURE: Final = FOLDER / "silicon.png"

WITHIN: Final = 0.25
"""Half width of the band around equality."""

LOWEST_PJ: Final = 3e2
HIGHEST_PJ: Final = 1e12
_PJ_PER_NJ = 1e3

STYLES: Final[dict[str, dict[str, Any]]] = {
    "predicted": {"marker": "o", "color": BLUE, "label": "predicted"},
    "fitted": {"marker": "s", "color": GREY, "label": "fitted: shows nothing"},
    "upper bound": {
        "marker": "v",
        "color": VERMILION,
        "markerfacecolor": "white",
        "label": "upper bound: counts are missing",
    },
    "lower bound": {
        "marker": "^",
        "color": VERMILION,
        "markerfacecolor": "white",
        "label": "lower bound: counts are missing",
    },
}

LEFT: Final = (-8, 4, "right")
BELOW: Final = (8, -9, "left")
RIGHT: Final = (8, -3, "left")

LABELS: Final = {
    "Loihi: nearest neighbours, cores": LEFT,
    "TrueNorth: 20.07 Hz": LEFT,
    "uBrain: MNIST, 256-64-10": BELOW,
    "Chen et al.: MNIST, 784-1024-512-10": LEFT,
    "Eyeriss: VGG-16, convolutions": (0, -14, "center"),
    "Eyeriss: AlexNet, convolutions": BELOW,
    "SpiNNaker: MNIST": LEFT,
    "ODIN: MNIST, 256-10": LEFT,
    "ReckOn: one step, 256-256-16": (-20, 8, "left"),
}
"""Where labels are: points to the right and up, and alignment; `RIGHT` if omitted."""

UNLABELLED: Final = ("TrueNorth: 11.58 Hz", "TrueNorth: 95.93 Hz")
"""Points that would cover another one's label."""


@house_style()
def draw(rows: Sequence[Prediction]) -> Chart:
    """Draw all points that have a prediction."""
    figure, axes = new_figure(6.4, 8.0)
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
        of_role = [row for row in rows if row.point.role == role]
        draw_points(axes, of_role, style)
    for axis in ("x", "y"):
        log_axis(axes, axis, digits=(1,))
    axes.set(
        xlim=tuple(ends),
        ylim=tuple(ends),
        xlabel="Measured energy per inference, query or step",
        ylabel="Predicted from counts",
    )
    axes.legend(loc="upper left")
    return Chart(
        key="silicon",
        finding="Energies of chips: predicted from counts, against measured",
        figure=figure,
        source="Bars: ranges of counts and prices. Eyeriss runs conventional networks "
        "and has one price per product; the others run spiking networks.",
    )


def draw_points(axes: Axes, rows: Sequence[Prediction], style: dict[str, Any]) -> None:
    """Draw the points of one role, with bars and labels."""
    for number, row in enumerate(rows):
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
        name = f"{row.chip.name}: {row.point.name}"
        if name not in UNLABELLED:
            right, up, align = LABELS.get(name, RIGHT)
            axes.annotate(
                name,
                (x * _PJ_PER_NJ, y * _PJ_PER_NJ),
                xytext=(right, up),
                textcoords="offset points",
                ha=align,
                fontsize=7.5,
                color=INK,
                zorder=6,
            )


def write_picture(rows: Sequence[Prediction], path: Path = PICTURE) -> None:
    """Write the picture as PNG."""
    write_bytes(path, draw(rows).png())
