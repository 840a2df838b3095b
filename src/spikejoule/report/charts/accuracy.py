"""What accuracy costs: runs, trials, recorded networks and steps of the window, as points.

Accuracies are spaced by the logarithm of the errors. A Pareto front is a stair, no slope: what so
much buys is the best point that needs no more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from matplotlib.axes import Axes

from spikejoule.energy.estimates import joules
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.canvas import (
    BLUE,
    GREY,
    INK,
    MUTED,
    PAPER,
    VERMILION,
    Chart,
    NoChart,
    accuracy_axis,
    decades,
    error_percent,
    from_zero,
    house_style,
    legend_below,
    new_figure,
    plain_number,
    tip,
)

if TYPE_CHECKING:
    from spikejoule.energy.fronts import FrontsRow

EVENTS_TITLE: Final = "Synaptic events per inference, mean over the test set, log scale"
FRONT_COMMAND: Final = (
    "make sweep (or, for runs that are recorded already, make front), then dvc repro"
)
SETTINGS_SHOWN: Final = 4
"""Parameters that fit beside a point."""

_LISTED = 12
_SIDES = (("spiking", BLUE), ("conventional", VERMILION))


class Point(NamedTuple):
    """An accuracy and what it costs.

    Attributes:
        cost: pJ or synaptic events, per inference; `middle_pj` of what has a range alone.
        accuracy_percent: the accuracy.
        words: both, and what has them.
        on_front: whether no other point is as accurate for as little.
    """

    cost: float
    accuracy_percent: float
    words: str
    on_front: bool = True


def _draw(
    axes: Axes, points: Sequence[Point], colour: str, label: str = "", **style: object
) -> None:
    """A mark for each point."""
    settings = {"marker": "o", "markersize": 6, "linestyle": "", "clip_on": False, "zorder": 4}
    settings |= {"color": colour, **style}
    for place, point in enumerate(points):
        y = error_percent(point.accuracy_percent)
        shown = label if place == 0 and label else None
        tip(axes.plot([point.cost], [y], label=shown, **settings), point.words)  # type: ignore[arg-type]


def _stairs(axes: Axes, points: Sequence[Point], dearest: float, colour: str) -> None:
    """The line of a front, which holds a value until the next, on to the dearest of all points."""
    if points:
        x = [*(point.cost for point in points), dearest]
        y = [error_percent(point.accuracy_percent) for point in (*points, points[-1])]
        axes.plot(x, y, color=colour, linewidth=1.4, drawstyle="steps-post", alpha=0.6, zorder=3)


@house_style()
def accuracy_front(
    runs: Sequence[FrontRow], target_percent: float | None, source: str, listed: bool = True
) -> Chart:
    """Accuracy against synaptic events per inference of the runs of a sweep.

    Validation accuracy decides the Pareto front; the test accuracies of its runs are beside it.

    Args:
        runs: those without synaptic events have no place on the logarithmic axis.
        target_percent: the validation accuracy whose price the title states; None for the best.
        source: which images the runs learned from.
        listed: whether the runs on the front are listed beside the chart.

    Raises:
        ValueError: no run has synaptic events.
    """
    drawn = sorted(
        (run for run in runs if run.synaptic_events_per_inference > 0),
        key=lambda run: (run.synaptic_events_per_inference, -run.validation_accuracy_percent),
    )
    if not drawn:
        raise ValueError("no run has synaptic events")
    front = [run for run in drawn if run.on_front]
    if listed:
        figure = new_figure(5.0, 10.4)
        axes, beside = figure.subplots(1, 2, width_ratios=(1.5, 1))
        _list_runs(beside, front)
    else:
        figure = new_figure(4.4)
        axes = figure.subplots()
    decades(axes, "x", (run.synaptic_events_per_inference for run in drawn), plain_number)
    accuracy_axis(
        axes,
        (
            value
            for run in drawn
            for value in (run.validation_accuracy_percent, run.test_accuracy_percent)
        ),
    )
    _stairs(axes, [_validated(run) for run in front], _events(drawn[-1]), BLUE)
    for early, marker in ((False, "o"), (True, "s")):
        also = ", squares answer before the end of the window" if early else ""
        others = [_validated(run) for run in drawn if not run.on_front and run.early_exit == early]
        _draw(axes, others, GREY, f"validation, all others{also}", marker=marker, markersize=5)
        best = [_validated(run) for run in front if run.early_exit == early]
        _draw(axes, best, BLUE, f"validation, on the front{also}", marker=marker, markersize=7)
    tested = [
        Point(_events(run), run.test_accuracy_percent,
              f"{run.name}, test: {run.test_accuracy_percent:.2f} %")
        for run in front
    ]  # fmt: skip
    _draw(axes, tested, VERMILION, "test, of the same", marker="D", markerfacecolor=PAPER)
    if listed:
        _number(axes, [_validated(run) for run in front])
    least, worst = sorted(axes.get_ylim())
    if target_percent is not None and least <= error_percent(target_percent) <= worst:
        axes.axhline(error_percent(target_percent), color=MUTED, linewidth=1, linestyle=(0, (5, 3)))
    axes.set_xlabel(EVENTS_TITLE if listed else EVENTS_TITLE.replace(", mean", ",\nmean"))
    legend_below(figure)
    return Chart(
        "front",
        _finding(front, drawn, target_percent),
        figure,
        f"{source}; validation accuracy decides what is on the front",
        "; ".join(_validated(run).words for run in front),
        f"{len({run.run_id for run in drawn})} runs on {drawn[0].data_source}, recorded earlier by "
        "`make front` and not made by this run of the pipeline. Validation accuracy decides what "
        "is on the front; the test accuracy of the same runs is beside it. Runs differ in window "
        "and size, hence in leaks and biases too: the axis is events.",
    )


def _events(run: FrontRow) -> float:
    return run.synaptic_events_per_inference


def _validated(run: FrontRow) -> Point:
    settings = run_settings(run)
    words = f"{run.name}: {run.validation_accuracy_percent:.2f} % on validation, "
    words += f"{_events(run):,.0f} events{f' ({settings})' if settings else ''}"
    return Point(_events(run), run.validation_accuracy_percent, words, run.on_front)


def _finding(front: Sequence[FrontRow], drawn: Sequence[FrontRow], target: float | None) -> str:
    if target is not None:
        enough = [run for run in front if run.validation_accuracy_percent >= target]
        if enough:
            return (
                f"{target:g} % on validation for {_events(enough[0]):,.0f} synaptic events per "
                "inference"
            )
    best = max(front or drawn, key=lambda run: run.validation_accuracy_percent)
    return (
        f"The front: at most {best.validation_accuracy_percent:.2f} % on validation for "
        f"{_events(best):,.0f} synaptic events per inference"
    )


def _number(axes: Axes, points: Sequence[Point]) -> None:
    """Write each front point's number above it, or below it where the next one is too close."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    places = [
        to_fraction.transform((point.cost, error_percent(point.accuracy_percent)))
        for point in points
    ]
    for number, point in enumerate(points, start=1):
        close = number < len(places) and bool(
            (abs(places[number] - places[number - 1]) < (0.03, 0.05)).all()
        )
        axes.annotate(
            str(number),
            xy=(point.cost, error_percent(point.accuracy_percent)),
            xytext=(-4, -11) if close else (-4, 6),
            textcoords="offset points",
            ha="right",
            color=BLUE,
            fontweight="bold",
        )


def _list_runs(axes: Axes, front: Sequence[FrontRow]) -> None:
    """The last runs on the front as a table, each with what distinguishes it below."""
    axes.set_axis_off()
    columns = (0.05, 0.27, 0.55, 0.75)
    step = 1 / (_LISTED + 2)

    def write(row: int, cells: Sequence[str], colours: Sequence[str]) -> None:
        for x, cell, colour in zip(columns, cells, colours, strict=True):
            axes.text(x, 1 - row * step, cell, ha="right", va="top", color=colour,
                      transform=axes.transAxes)  # fmt: skip

    write(0, ("", "events", "validation %", "test %"), [MUTED] * 4)
    numbered = list(enumerate(front, start=1))[-_LISTED:]
    for row, (number, run) in enumerate(numbered, start=1):
        accuracies = (run.validation_accuracy_percent, run.test_accuracy_percent)
        cells = (str(number), f"{_events(run):,.0f}", *(f"{value:.2f}" for value in accuracies))
        write(row, cells, (BLUE, INK, INK, INK))
        axes.text(0.09, 1 - (row + 0.46) * step, run_label(run), va="top", fontsize=7.5,
                  color=MUTED, transform=axes.transAxes)  # fmt: skip


def run_settings(run: FrontRow) -> str:
    """What distinguishes a run, shortly: `early exit, hidden 100, time_window 25`.

    Of its parameters nothing, where there are more than :data:`SETTINGS_SHOWN`.
    """
    values = [
        f"{name.rpartition('.')[2]} {setting_text(text)}" for name, text in run.settings.items()
    ]
    if len(values) > SETTINGS_SHOWN:
        values = []
    return ", ".join(["early exit", *values] if run.early_exit else values)


def run_label(run: FrontRow) -> str:
    """The same beside a point that bears no name: with the name where parameters are too many."""
    settings = run_settings(run)
    if len(run.settings) <= SETTINGS_SHOWN:
        return settings
    return f"{run.name}, {settings}" if settings else run.name


def setting_text(text: str) -> str:
    """A parameter as text; a list of one, such as one hidden layer, as its only item."""
    text = text or "-"
    return text[1:-1] if text.startswith("[") and "," not in text else text


@house_style()
def search_front(trials: Sequence[Point], energy_title: str, source: str) -> Chart:
    """Validation accuracy against energy of the trials of a search, the Pareto front marked.

    Args:
        trials: the words of each are its number.
        energy_title: of the axis of energy.
        source: which images the trials learned from, and how many there were.

    Raises:
        ValueError: no trial has a positive energy, which a logarithmic axis needs.
    """
    drawn = sorted(trial for trial in trials if trial.cost > 0)
    if not drawn:
        raise ValueError("no trial has a positive energy")
    front = [trial for trial in drawn if trial.on_front]
    figure = new_figure(4.6, 7.2)
    axes = figure.subplots()
    decades(axes, "x", (trial.cost for trial in drawn), plain_number)
    accuracy_axis(axes, (trial.accuracy_percent for trial in drawn))
    _draw(axes, [trial for trial in drawn if not trial.on_front], GREY, "other trials")
    _stairs(axes, front, drawn[-1].cost, BLUE)
    _draw(axes, front, BLUE, "on the front", markersize=7)
    for trial in front:
        axes.annotate(
            trial.words, xy=(trial.cost, error_percent(trial.accuracy_percent)), xytext=(-4, 6),
            textcoords="offset points", ha="right", color=BLUE,
        )  # fmt: skip
    axes.set_xlabel(energy_title)
    legend_below(figure, columns=2)
    best = max(drawn, key=lambda trial: (trial.accuracy_percent, -trial.cost))
    finding = f"Up to {best.accuracy_percent:.2f} % on the validation set; {len(front)} trials on "
    return Chart("search", f"{finding}the front", figure, source)


@house_style()
def recorded_fronts(rows: Sequence["FrontsRow"], profile_id: str) -> Chart | None:
    """Both Pareto fronts of the recorded runs under one profile; None where it has none."""
    shown = [row for row in rows if row.profile == profile_id]
    if not shown:
        return None
    figure = new_figure(4.2)
    axes = figure.subplots()
    decades(axes, "x", (row.middle_pj for row in shown))
    accuracy_axis(axes, (v for row in shown for v in (row.validation_percent, row.test_percent)))
    told = []
    for side, colour in _SIDES:
        front = [row for row in shown if row.side == side]
        points = [
            Point(row.middle_pj, row.validation_percent,
                  f"{row.network}: {row.validation_percent:.2f} % for {joules(row.middle_pj, 3)}")
            for row in front
        ]  # fmt: skip
        tested = [
            Point(row.middle_pj, row.test_percent, f"{row.network}, test: {row.test_percent:.2f} %")
            for row in front
        ]
        _stairs(axes, points, max(row.middle_pj for row in shown), colour)
        _draw(axes, points, colour, f"{side}, validation")
        _draw(axes, tested, colour, f"{side}, test", markerfacecolor=PAPER)
        told += [f"{side}: {point.words}" for point in points]
    axes.set_xlabel("Energy per inference, log scale")
    legend_below(figure, columns=2)
    return Chart(
        "fronts",
        f"Both fronts under {profile_id}: what an accuracy costs either side",
        figure,
        "recorded runs",
        "; ".join(told),
        "Networks of the recorded runs that none of their side beats; validation accuracy "
        "decides, rings show the test accuracy of the same networks.",
    )


@house_style()
def by_step(
    steps: Sequence[Point], early: Point | None, rule: str, under: str, samples: tuple[str, str]
) -> Chart | NoChart:
    """Test accuracy against energy if every sample is answered at the same step, or once sure.

    Args:
        steps: a point a step, in order; empty where it was not measured.
        early: early exit; None where it was not measured.
        rule: of early exit, in words.
        under: the profile's id.
        samples: what one is, and what several are.
    """
    heading, (sample, plural) = "Accuracy against energy, step by step", samples
    if not steps:
        return NoChart("by-step", heading, "Accuracy at every step was not measured.")
    figure = new_figure(4.0)
    axes = figure.subplots()
    from_zero(axes, "x", 1.02 * max(point.cost for point in steps))
    drawn = steps if early is None else [*steps, early]
    accuracy_axis(axes, (point.accuracy_percent for point in drawn))
    x, y = [point.cost for point in steps], [error_percent(one.accuracy_percent) for one in steps]
    axes.plot(x, y, color=BLUE, linewidth=1.6)
    _draw(axes, steps, BLUE, f"every {sample} answered at the same step", markersize=3.5)
    finding = heading
    if early is not None:
        _draw(axes, [early], VERMILION, f"early exit {rule}", markersize=8)
        finding = (
            f"Early exit: {early.accuracy_percent:.2f} % for {early.words.rpartition(', ')[2]}"
        )
    axes.set_ylabel("Test accuracy (%), log scale of errors")
    axes.set_xlabel(f"Energy per inference under {under}, mean")
    legend_below(figure)
    return Chart(
        "by-step",
        finding,
        figure,
        f"test {plural}",
        "; ".join(point.words for point in steps[:: max(len(steps) // 10, 1)]),
        f"All points come from one pass over the test {plural}. Energy is that of the events and "
        "the steps until the answer; with a profile that prices routed spikes or active updates, "
        "these are taken to be in proportion to the events.",
    )
