"""What accuracy costs: many runs as points, and the line of those that nothing beats."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.front import (
    EVENTS_TITLE,
    OTHERS_WORDS,
    TEST_WORDS,
    VALIDATION_WORDS,
    FrontChart,
    front_chart,
    run_label,
    tested_point,
    validated_point,
)
from spikejoule.report.charts.scales import ACCURACY_TITLE, error_percent
from spikejoule.report.figures.style import (
    BLUE,
    GREY,
    INK,
    VERMILION,
    house_style,
    light_grid,
    new_figure,
    scale_x,
    scale_y,
    set_titles,
    to_png,
)

_LISTED = 12
_PALE = "#B5B5B5"
# By whether the run answers early.
_MARKERS = {False: "o", True: "s"}


def accuracy_front(runs: Sequence[FrontRow], target_percent: float, source: str) -> bytes:
    """Accuracy against synaptic events per inference, the Pareto front marked, as PNG bytes.

    Validation accuracy decides the front; the test accuracies of its runs are drawn beside it.
    `target_percent` is the validation accuracy whose price the title states; `source` says which
    images the runs learned from. Raises ValueError if no run has synaptic events.
    """
    chart = front_chart(runs)
    if chart is None:
        raise ValueError("no run has synaptic events")
    with house_style():
        figure = new_figure(10.4, 5.6)
        axes, beside = figure.subplots(1, 2, width_ratios=(1.5, 1))
        _draw_runs(axes, chart)
        _draw_target(axes, target_percent)
        _list_front(beside, chart.on_front)
        set_titles(
            figure,
            _finding(chart, target_percent),
            f"{source}; validation accuracy decides what is on the front",
        )
        return to_png(figure)


def _draw_runs(axes: Axes, chart: FrontChart) -> None:
    scale_x(axes, chart.x)
    scale_y(axes, chart.y)
    others = [run for run in chart.runs if not run.on_front]
    for early_exit, marker in _MARKERS.items():
        some = [validated_point(run) for run in others if run.early_exit == early_exit]
        axes.plot(
            [x for x, _ in some], [y for _, y in some],
            marker, color=_PALE, markersize=5, zorder=2,
        )  # fmt: skip
    stairs = chart.stairs()
    axes.plot(
        [x for x, _ in stairs], [y for _, y in stairs],
        color=BLUE, linewidth=1.4, drawstyle="steps-post", alpha=0.6, zorder=3,
    )  # fmt: skip
    tested = [tested_point(run) for run in chart.on_front]
    axes.plot(
        [x for x, _ in tested], [y for _, y in tested],
        "D", color=VERMILION, markerfacecolor="none", markersize=6, zorder=4, clip_on=False,
    )  # fmt: skip
    for run in chart.on_front:
        x, y = validated_point(run)
        axes.plot(
            [x], [y], _MARKERS[run.early_exit], color=BLUE, markersize=7, zorder=5, clip_on=False
        )
    _number_points(axes, [validated_point(run) for run in chart.on_front])
    axes.tick_params(axis="x", pad=4)
    light_grid(axes, "both")
    axes.set_xlabel(EVENTS_TITLE)
    axes.set_ylabel(ACCURACY_TITLE)
    _explain(axes, chart.runs)


def _number_points(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Write each front point's number above it, or below it where the next one is too close."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    places = [to_fraction.transform(point) for point in points]
    for number, point in enumerate(points, start=1):
        close = number < len(places) and bool(
            (abs(places[number] - places[number - 1]) < (0.03, 0.05)).all()
        )
        axes.annotate(
            str(number),
            xy=point,
            xytext=(-4, -11) if close else (-4, 6),
            textcoords="offset points",
            ha="right",
            color=BLUE,
            fontweight="bold",
        )


def _explain(axes: Axes, runs: Sequence[FrontRow]) -> None:
    marks = [
        ("o", BLUE, BLUE, VALIDATION_WORDS),
        ("D", VERMILION, "none", TEST_WORDS),
        ("o", _PALE, _PALE, OTHERS_WORDS),
    ]
    if any(run.early_exit for run in runs):
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


def _list_front(axes: Axes, front: Sequence[FrontRow]) -> None:
    axes.set_axis_off()
    cells = [
        (
            str(number),
            f"{run.synaptic_events_per_inference:,.0f}",
            f"{run.validation_accuracy_percent:.2f}",
            f"{run.test_accuracy_percent:.2f}",
        )
        for number, run in enumerate(front, start=1)
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
                0.09, 1 - (row + 0.46) * step,
                run_label(front[len(cells) - len(shown) + row - 1]),
                va="top", transform=axes.transAxes, fontsize=7.5, color=GREY,
            )  # fmt: skip


def _finding(chart: FrontChart, target_percent: float) -> str:
    enough = [run for run in chart.on_front if run.validation_accuracy_percent >= target_percent]
    if enough:
        return (
            f"{target_percent:g} % on validation for "
            f"{enough[0].synaptic_events_per_inference:,.0f} synaptic events per inference"
        )
    best = chart.best
    return (
        f"At most {best.validation_accuracy_percent:.2f} % on validation, "
        f"for {best.synaptic_events_per_inference:,.0f} synaptic events per inference"
    )
