"""What accuracy costs: many runs as points, and the line of those that nothing beats."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from spikejoule.report.figures.style import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    error_percent,
    house_style,
    light_grid,
    new_figure,
    set_titles,
    space_by_errors,
    to_png,
)

_LISTED = 12
_PALE = "#B5B5B5"
# By whether the run answers early.
_MARKERS = {False: "o", True: "s"}


@dataclass(frozen=True)
class FrontPoint:
    """One run as `accuracy_front` draws it.

    Attributes:
        synaptic_events: mean an inference; a run without any has no place on the logarithmic axis.
        validation_percent: validation accuracy, in percent.
        test_percent: test accuracy, in percent.
        on_front: whether it is on the Pareto front.
        early_exit: whether the run answers before the end of its window.
        label: what distinguishes it from the others, shortly.
    """

    synaptic_events: float
    validation_percent: float
    test_percent: float
    on_front: bool
    early_exit: bool
    label: str


def accuracy_front(points: Sequence[FrontPoint], target_percent: float, source: str) -> bytes:
    """Accuracy against synaptic events an inference, the Pareto front marked, as PNG bytes.

    Validation accuracy decides the front; the test accuracies of its runs are drawn beside it.
    `target_percent` is the validation accuracy whose price the title states; `source` says which
    images the runs learned from. Raises ValueError if no point has synaptic events.
    """
    drawn = sorted(
        (point for point in points if point.synaptic_events > 0),
        key=lambda point: (point.synaptic_events, -point.validation_percent),
    )
    if not drawn:
        raise ValueError("no run has synaptic events")
    front = [point for point in drawn if point.on_front]
    with house_style():
        figure = new_figure(10.4, 5.6)
        axes, beside = figure.subplots(1, 2, width_ratios=(1.5, 1))
        _draw_points(axes, drawn, front)
        _draw_target(axes, target_percent)
        _list_front(beside, front)
        set_titles(
            figure,
            _finding(front, target_percent),
            f"{source}; validation accuracy decides what is on the front",
        )
        return to_png(figure)


def _draw_points(axes: Axes, drawn: Sequence[FrontPoint], front: Sequence[FrontPoint]) -> None:
    space_by_errors(
        axes,
        [
            error_percent(accuracy)
            for point in drawn
            for accuracy in (point.validation_percent, point.test_percent)
        ],
    )
    axes.set_xscale("log")
    others = [point for point in drawn if not point.on_front]
    for early_exit, marker in _MARKERS.items():
        some = [point for point in others if point.early_exit == early_exit]
        axes.plot(
            [point.synaptic_events for point in some],
            [error_percent(point.validation_percent) for point in some],
            marker, color=_PALE, markersize=5, zorder=2,
        )  # fmt: skip
    events = [point.synaptic_events for point in front]
    validation = [error_percent(point.validation_percent) for point in front]
    # What so many events buy is the best run that needs no more: a stair, no slope.
    axes.plot(
        [*events, max(point.synaptic_events for point in drawn)], [*validation, validation[-1]],
        color=BLUE, linewidth=1.4, drawstyle="steps-post", alpha=0.6, zorder=3,
    )  # fmt: skip
    axes.plot(
        events, [error_percent(point.test_percent) for point in front],
        "D", color=VERMILION, markerfacecolor="none", markersize=6, zorder=4, clip_on=False,
    )  # fmt: skip
    for point, x, y in zip(front, events, validation, strict=True):
        axes.plot(
            [x], [y], _MARKERS[point.early_exit], color=BLUE, markersize=7, zorder=5, clip_on=False
        )
    _number(axes, events, validation)
    axes.xaxis.set_major_formatter(FuncFormatter(_events_label))
    crowded = drawn[-1].synaptic_events > 100 * drawn[0].synaptic_events
    axes.xaxis.set_minor_formatter(NullFormatter() if crowded else FuncFormatter(_events_label))
    axes.tick_params(axis="x", which="both", pad=4)
    light_grid(axes, "both")
    axes.set_xlabel("Synaptic events an inference, mean over the test images, log scale")
    axes.set_ylabel("Correct (%), log scale of errors")
    _explain(axes, drawn)


def _number(axes: Axes, events: Sequence[float], errors: Sequence[float]) -> None:
    """Write each front point's number above it, or below it where the next one is too close."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    places = [to_fraction.transform(point) for point in zip(events, errors, strict=True)]
    for number, (x, y) in enumerate(zip(events, errors, strict=True), start=1):
        close = number < len(places) and bool(
            (abs(places[number] - places[number - 1]) < (0.03, 0.05)).all()
        )
        axes.annotate(
            str(number),
            xy=(x, y),
            xytext=(-4, -11) if close else (-4, 6),
            textcoords="offset points",
            ha="right",
            color=BLUE,
            fontweight="bold",
        )


def _explain(axes: Axes, drawn: Sequence[FrontPoint]) -> None:
    marks = [
        ("o", BLUE, BLUE, "validation, on the front"),
        ("D", VERMILION, "none", "test, of the same"),
        ("o", _PALE, _PALE, "validation, all others"),
    ]
    if any(point.early_exit for point in drawn):
        marks.append(("s", GREY, "none", "squares: answers before the end of the window"))
    axes.legend(
        handles=[
            Line2D(
                [], [], linestyle="", marker=marker, color=colour, markerfacecolor=face, label=text
            )
            for marker, colour, face, text in marks
        ],
        loc="lower right",
        frameon=False,
    )


def _draw_target(axes: Axes, target_percent: float) -> None:
    worst, least = axes.get_ylim()
    if least <= error_percent(target_percent) <= worst:
        axes.axhline(error_percent(target_percent), color=GREY, linewidth=1, linestyle=(0, (5, 3)))


def _list_front(axes: Axes, front: Sequence[FrontPoint]) -> None:
    axes.set_axis_off()
    cells = [
        (
            str(number),
            f"{point.synaptic_events:,.0f}",
            f"{point.validation_percent:.2f}",
            f"{point.test_percent:.2f}",
        )
        for number, point in enumerate(front, start=1)
    ]
    shown = cells[-_LISTED:]
    step = 1 / (_LISTED + 2)
    header = ("", "events", "validation %", "test %")
    columns = (0.05, 0.27, 0.55, 0.75)
    for row, entries in enumerate((header, *shown)):
        for place, text in zip(columns, entries, strict=True):
            axes.text(
                place, 1 - row * step, text, ha="right", va="top", transform=axes.transAxes,
                color=GREY if row == 0 else BLUE if place == columns[0] else INK,
            )  # fmt: skip
        if row:
            axes.text(
                0.09, 1 - (row + 0.46) * step, front[len(cells) - len(shown) + row - 1].label,
                va="top", transform=axes.transAxes, fontsize=7.5, color=GREY,
            )  # fmt: skip


def _events_label(events: float, _position: float) -> str:
    digits = f"{events:.0e}"
    if digits[0] not in "125":
        return ""
    return f"{events:,.0f}"


def _finding(front: Sequence[FrontPoint], target_percent: float) -> str:
    enough = [point for point in front if point.validation_percent >= target_percent]
    if enough:
        return (
            f"{target_percent:g} % on validation for "
            f"{min(point.synaptic_events for point in enough):,.0f} synaptic events an inference"
        )
    best = max(front, key=lambda point: point.validation_percent)
    return (
        f"At most {best.validation_percent:.2f} % on validation, "
        f"for {best.synaptic_events:,.0f} synaptic events an inference"
    )
