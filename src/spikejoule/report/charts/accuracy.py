"""What accuracy costs: runs, trials, recorded networks and steps of the window, as points.

Accuracies are spaced by the logarithm of the errors. A Pareto front is a stair, no slope: what so
much buys is the best point that needs no more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.axes import Axes

from spikejoule.energy.estimates import energy_words, joules
from spikejoule.evaluation.accuracy import EarlyExit, StepRow
from spikejoule.evaluation.front_rows import FrontRow, setting_text
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis
    from spikejoule.energy.tables import FrontsRow

SETTINGS_SHOWN: Final = 4
"""Parameters that fit beside a point."""

_LISTED = 12


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

    @property
    def error(self) -> float:
        """Its place on the axis of accuracies."""
        return canvas.error_percent(self.accuracy_percent)


def _set_axes(axes: Axes, points: Sequence[Point], label: Callable[[float], str]) -> None:
    """Cost and accuracy, both on logarithmic scales that hold all points."""
    canvas.decades(axes, "x", (point.cost for point in points), label)
    canvas.accuracy_axis(axes, (point.accuracy_percent for point in points))


def _draw(axes: Axes, points: Iterable[Point], colour: str, label: str, **style: Any) -> None:
    """A mark for each point; the legend has the first."""
    for point in points:
        canvas.mark(axes, point.cost, point.error, point.words, color=colour, label=label, **style)
        label = ""


def _stairs(axes: Axes, points: Sequence[Point], dearest: float, colour: str) -> None:
    """The line of a front, which holds a value until the next, on to the dearest of all points."""
    x = [*(point.cost for point in points), dearest]
    y = [point.error for point in (*points, *points[-1:])]
    axes.plot(x[: len(y)], y, color=colour, linewidth=1.4, drawstyle="steps-post", alpha=0.6)


def _number(axes: Axes, points: Iterable[tuple[str, Point]]) -> None:
    """Write a name above the left of each point."""
    for name, point in points:
        axes.annotate(name, (point.cost, point.error), (-4, 6), textcoords="offset points",
                      ha="right", color=canvas.BLUE, fontweight="bold")  # fmt: skip


@canvas.house_style()
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
    validated, tested = [], []
    for run in drawn:
        events, settings = run.synaptic_events_per_inference, _settings(run)
        percent, test_percent = run.validation_accuracy_percent, run.test_accuracy_percent
        words = f"{run.name}: {percent:.2f} % on validation, {events:,.0f} events"
        words += f" ({settings})" if settings else ""
        validated.append(Point(events, percent, words, run.on_front))
        tested.append(Point(events, test_percent, f"{run.name}, test: {test_percent:.2f} %"))
    figure = canvas.new_figure(*((5.2, 10.4) if listed else (4.4,)))
    grid = figure.add_gridspec(1, 1 + listed, width_ratios=(1.5, 1)[: 1 + listed])
    axes = figure.add_subplot(grid[0])
    _set_axes(axes, [*validated, *tested], canvas.plain_number)
    on_front = [point for point in validated if point.on_front]
    _stairs(axes, on_front, drawn[-1].synaptic_events_per_inference, canvas.BLUE)
    for is_on, colour, words in (
        (False, canvas.GREY, "validation, all others"),
        (True, canvas.BLUE, "validation, on the front"),
    ):
        for early, marker, suffix in ((False, "o", ""), (True, "s", ", early exit")):
            some = [point for run, point in zip(drawn, validated, strict=True)
                    if (run.on_front, run.early_exit) == (is_on, early)]  # fmt: skip
            _draw(axes, some, colour, f"{words}{suffix}", marker=marker)
    same = [point for run, point in zip(drawn, tested, strict=True) if run.on_front]
    hollow = {"marker": "D", "markerfacecolor": canvas.PAPER}
    _draw(axes, same, canvas.VERMILION, "test, of the same", **hollow)
    front = [run for run in drawn if run.on_front]
    if listed:
        _number(axes, ((str(place), point) for place, point in enumerate(on_front, start=1)))
        _list_runs(figure.add_subplot(grid[1]), front)
    worst, least = axes.get_ylim()
    if target_percent is not None and least <= canvas.error_percent(target_percent) <= worst:
        canvas.level(axes, canvas.error_percent(target_percent))
    axes.set_xlabel("Synaptic events per inference, mean over the test set, log scale")
    canvas.legend_below(figure)
    shown = max(front or drawn, key=lambda run: run.validation_accuracy_percent)
    finding = f"The front: at most {shown.validation_accuracy_percent:.2f}"
    for run in reversed(front):
        if target_percent and run.validation_accuracy_percent >= target_percent:
            shown, finding = run, f"{target_percent:g}"
    return Chart(
        "front",
        f"{finding} % on validation for {shown.synaptic_events_per_inference:,.0f} synaptic events "
        "per inference",
        figure,
        f"{source}; validation accuracy decides what is on the front",
    )


def _list_runs(axes: Axes, front: Sequence[FrontRow]) -> None:
    """The last runs on the front as a table, each with what distinguishes it below.

    That is its name where its parameters are too many.
    """
    axes.set_axis_off()
    lines = ["      events  validation %  test %"]
    for number, run in list(enumerate(front, start=1))[-_LISTED:]:
        accuracies = f"{run.validation_accuracy_percent:14.2f}{run.test_accuracy_percent:8.2f}"
        lines.append(f"{number:2}{run.synaptic_events_per_inference:10,.0f}{accuracies}")
        name = run.name if len(run.settings) > SETTINGS_SHOWN else ""
        lines.append(f"    {', '.join(filter(None, (name, _settings(run))))}")
    listed = axes.text(0, 1, "\n".join(lines), va="top", family="DejaVu Sans Mono", fontsize=8)
    listed.set_in_layout(False)  # a long label must not take the chart's place


def _settings(run: FrontRow) -> str:
    """What distinguishes a run, shortly: `early exit, hidden 100, time_window 25`.

    Of its parameters nothing, where there are more than :data:`SETTINGS_SHOWN`.
    """
    values = [
        f"{name.rpartition('.')[2]} {setting_text(text)}" for name, text in run.settings.items()
    ]
    return ", ".join(
        (["early exit"] if run.early_exit else []) + values * (len(values) <= SETTINGS_SHOWN)
    )


@canvas.house_style()
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
    figure = canvas.new_figure(4.6, 7.2)
    axes = figure.subplots()
    _set_axes(axes, drawn, canvas.plain_number)
    _draw(axes, (trial for trial in drawn if not trial.on_front), canvas.GREY, "other trials")
    _stairs(axes, front, drawn[-1].cost, canvas.BLUE)
    _draw(axes, front, canvas.BLUE, "on the front")
    _number(axes, ((trial.words, trial) for trial in front))
    axes.set_xlabel(energy_title)
    canvas.legend_below(figure, columns=2)
    best = max(trial.accuracy_percent for trial in drawn)
    finding = f"Up to {best:.2f} % on the validation set; {len(front)} trials on the front"
    return Chart("search", finding, figure, source)


@canvas.house_style()
def recorded_fronts(rows: Sequence["FrontsRow"], profile_id: str) -> Chart | None:
    """Both Pareto fronts of the recorded runs under one profile; None where it has none."""
    shown = [row for row in rows if row.profile == profile_id]
    if not shown:
        return None
    figure = canvas.new_figure(4.2)
    axes, every = figure.subplots(), []
    for side, colour in (("spiking", canvas.BLUE), ("conventional", canvas.VERMILION)):
        validated, tested = [], []
        for row in (row for row in shown if row.side == side):
            words = f"{row.network}: {row.validation_percent:.2f} % for {joules(row.middle_pj, 3)}"
            validated.append(Point(row.middle_pj, row.validation_percent, words))
            words = f"{row.network}, test: {row.test_percent:.2f} %"
            tested.append(Point(row.middle_pj, row.test_percent, words))
        _stairs(axes, validated, max(row.middle_pj for row in shown), colour)
        _draw(axes, validated, colour, f"{side}, validation")
        _draw(axes, tested, colour, f"{side}, test", markerfacecolor=canvas.PAPER)
        every += [*validated, *tested]
    _set_axes(axes, every, joules)
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure, columns=2)
    finding = f"Both fronts under {profile_id}: what an accuracy costs either side"
    return Chart("fronts", finding, figure, "recorded runs")


@canvas.house_style()
def by_step(
    analysis: "EnergyAnalysis", steps: Sequence[StepRow], early: EarlyExit | None
) -> Chart | None:
    """Test accuracy against energy if every sample is answered at the same step, or once sure.

    Energies are those of the events and steps until the answer. None where nothing is known.
    """
    subject, cost = analysis.inputs.subject, analysis.window_cost()

    def points(rows: Iterable[tuple[float, float, float]]) -> list[Point]:
        found = []
        for step, percent, events in rows:
            if cost is not None and events > 0:
                spent = cost.energy(events, step)
                words = f"step {step:.3g}: {percent:.2f} %, {energy_words(spent)}"
                pj = spent.high_pj if spent.value_pj is None else spent.value_pj
                found.append(Point(pj, percent, words))
        return found

    drawn = points((row.step, row.accuracy_percent, row.synaptic_events_per_inference)
                   for row in steps)  # fmt: skip
    if not drawn:
        return None
    exits = [] if early is None else [early.test]
    stopped = points((at.mean_exit_step, at.accuracy_percent, at.synaptic_events_per_inference)
                     for at in exits)  # fmt: skip
    figure = canvas.new_figure(4.0)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", 1.02 * max(one.cost for one in drawn))
    canvas.accuracy_axis(axes, (one.accuracy_percent for one in [*drawn, *stopped]))
    x, y = [one.cost for one in drawn], [one.error for one in drawn]
    axes.plot(x, y, color=canvas.BLUE, linewidth=1.6)
    label = f"every {subject.sample} answered at the same step"
    _draw(axes, drawn, canvas.BLUE, label, markersize=3.5)
    finding = "Accuracy against energy, step by step"
    if early is not None and stopped:
        label = f"early exit {early.rule_in_words}"
        _draw(axes, stopped, canvas.VERMILION, label, markersize=8)
        energy = stopped[0].words.rpartition(", ")[2]
        finding = f"Early exit: {stopped[0].accuracy_percent:.2f} % for {energy}"
    axes.set_ylabel("Test accuracy (%), log scale of errors")
    axes.set_xlabel(f"Energy per inference under {analysis.chosen.id}, mean")
    canvas.legend_below(figure)
    return Chart("by-step", finding, figure, f"test {subject.samples}")
