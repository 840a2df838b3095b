"""The break-even map: lines of both sides, and the price lists as points."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from spikejoule.core.store import write_bytes
from spikejoule.energy.estimates import Floats
from spikejoule.report.charts.canvas import (
    BLUE,
    GOLD,
    GREEN,
    INK,
    MUTED,
    PAPER,
    VERMILION,
    Chart,
    house_style,
    log_axis,
    new_figure,
)
from studies.verdict.breakeven import BreakEven, PlacedList
from studies.verdict.networks import FOLDER

PICTURE: Final = FOLDER / "break-even.png"

COLOURS: Final = (GREEN, BLUE, VERMILION, GOLD)
WIDEST: Final = 300.0
"""Right end of the axis of multiply-accumulates."""

FREE: Final = 0.04
"""Where a price of 0 is drawn on the logarithmic axis of memory."""

HIGHEST: Final = 3_000.0

BELOW: Final = (0, -15, "center")
ABOVE: Final = (0, 8, "center")
RIGHT: Final = (8, -3, "left")

LABELS: Final = {
    "45nm-by-width": (-8, 8, "center"),
    "45nm-by-width-memory": BELOW,
    "45nm-by-width-memory-floored": ABOVE,
    "45nm-int8-accumulate-32": BELOW,
    "45nm-fp32": (-5, 8, "left"),
    "45nm-int8": BELOW,
    "lemaire-complete": (8, -10, "left"),
    "lemaire-spikingjelly": (-8, 1, "right"),
}
"""Where labels are: points to the right and up, and alignment; `RIGHT` if omitted."""


@house_style()
def draw_map(rows: Sequence[BreakEven], lists: Sequence[PlacedList]) -> Chart:
    """Draw the lines with their bands, and the price lists."""
    figure, axes = new_figure(6.2, 8.0)
    levels = dict.fromkeys(row.level_percent for row in rows)
    for level, colour in zip(levels, COLOURS, strict=False):
        draw_line(axes, [row for row in rows if row.level_percent == level], colour)
    draw_lists(axes, lists)
    log_axis(axes, "x", lambda price: f"{price:g}", (1, 2, 5))
    log_axis(axes, "y", lambda price: "0" if price <= FREE else f"{price:g}", (1,))
    axes.set(
        xlim=(1, WIDEST),
        ylim=(FREE / 2.2, HIGHEST),
        xlabel="Price of a multiply-accumulate, in additions",
        ylabel="Mean price of a memory access, in additions",
        yticks=[FREE, 0.1, 1, 10, 100, 1000],
    )
    words: dict[str, Any] = {"color": MUTED, "fontsize": 10, "style": "italic"}
    axes.text(1.15, 0.55, "conventional network\nneeds less energy", **words)
    axes.text(60, 0.12, "spiking network\nneeds less energy", **words)
    axes.legend(loc="upper right", title="Equal accuracy on test images")
    return Chart(
        key="break-even",
        finding="Events, products, memory: the conventional side wins above its line",
        figure=figure,
        source="Full MNIST, five seeds a side, 4- and 6-bit weights. Bands: 95 % over "
        "seeds; at 99 % only the lower end (dotted) exists. Points: "
        "price lists; filled points price arithmetic by bit width.",
    )


def draw_line(axes: Axes, rows: Sequence[BreakEven], colour: str) -> None:
    """Draw the line of a level and its band; without an upper end, the lower one."""
    at = np.array([row.access for row in rows])
    prices = np.append(0.0, np.geomspace(0.1, at[-1], 60))
    heights = np.append(FREE / 3, np.maximum(prices, FREE))

    def drawn(ends: Iterable[float | None]) -> Floats:
        # Between two prices the line is straight.
        along = np.interp(prices, at, np.array(list(ends), dtype=float))
        return np.append(along[0], along)

    label = f"{rows[0].level_percent:g} %"
    has_median = all(row.mac is not None for row in rows)
    median = drawn(row.mac for row in rows)
    low = drawn(row.mac_low for row in rows)
    high = drawn(row.mac_high for row in rows)
    if has_median:
        axes.plot(median, heights, color=colour, label=label)
    if np.isnan(high).any():
        lower_end = None if has_median else f"{label}, lower end"
        axes.plot(low, heights, color=colour, linestyle=":", label=lower_end)
    else:
        axes.fill_betweenx(heights, low, high, color=colour, alpha=0.13, linewidth=0)


def draw_lists(axes: Axes, lists: Iterable[PlacedList]) -> None:
    """Draw the price lists; those in one place share a label."""
    places: dict[tuple[float, float], list[PlacedList]] = {}
    for one in lists:
        place = (float(f"{one.mac:.2g}"), float(f"{one.access:.2g}"))
        places.setdefault(place, []).append(one)
    for (mac, access), members in places.items():
        height = max(access, FREE)
        ignores = members[0].ignores_widths
        axes.plot(
            [mac],
            [height],
            marker="o",
            markersize=6,
            color=INK,
            markerfacecolor="white" if ignores else INK,
            zorder=5,
        )
        right, up, align = LABELS.get(members[0].name, RIGHT)
        axes.annotate(
            label_of(members),
            (mac, height),
            xytext=(right, up),
            textcoords="offset points",
            ha=align,
            fontsize=7.5,
            color=INK,
            zorder=6,
            bbox={"facecolor": PAPER, "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )


def label_of(members: Sequence[PlacedList]) -> str:
    """The names of price lists in one place; X and X-complete are X (-complete)."""
    first, *others = [one.name for one in members]
    return "\n".join([first, *others]).replace(f"\n{first}-complete", " (-complete)")


def write_map(
    rows: Sequence[BreakEven], lists: Sequence[PlacedList], path: Path = PICTURE
) -> None:
    """Write the picture as PNG."""
    write_bytes(path, draw_map(rows, lists).png())
