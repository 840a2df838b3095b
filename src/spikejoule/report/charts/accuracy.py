"""What accuracy costs: runs, trials, recorded networks and steps of the window, as points.

Accuracies are spaced by the logarithm of the errors. A Pareto front is a stair, no slope: what so
much buys is the best point that needs no more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matplotlib.axes import Axes

from spikejoule.energy.estimates import energy_words, joules
from spikejoule.evaluation.accuracy import StepRow
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.front_rows import FrontRow, setting_text
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart, NoChart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis
    from spikejoule.energy.tables import FrontsRow

EVENTS_TITLE: Final = "Synaptic events per inference, mean over the test set, log scale"
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


def front_of_page(runs: Sequence[FrontRow]) -> Chart | NoChart:
    """The front of a sweep, narrow; in its place, how to make one."""
    if any(run.synaptic_events_per_inference > 0 for run in runs):
        return accuracy_front(runs, None, f"runs on {runs[0].data_source}", listed=False)
    reason = "No sweep is recorded. To make one: make sweep (or, for runs that are recorded "
    reason += "already, make front), then dvc repro."
    return NoChart("front", "The front: the least energy for an accuracy", reason)


def _set_axes(axes: Axes, points: Sequence[Point], label: Callable[[float], str]) -> None:
    """Cost and accuracy, both on logarithmic scales that hold all points."""
    canvas.decades(axes, "x", (point.cost for point in points), label)
    canvas.accuracy_axis(axes, (point.accuracy_percent for point in points))


def _draw(axes: Axes, points: Iterable[Point], colour: str, label: str, **style: Any) -> None:
    """A mark for each point; the legend has the first."""
    for point in points:
        y = canvas.error_percent(point.accuracy_percent)
        canvas.mark(axes, point.cost, y, point.words, color=colour, label=label, **style)
        label = ""


def _stairs(axes: Axes, points: Sequence[Point], dearest: float, colour: str) -> None:
    """The line of a front, which holds a value until the next, on to the dearest of all points."""
    x = [*(point.cost for point in points), dearest]
    y = [canvas.error_percent(point.accuracy_percent) for point in (*points, *points[-1:])]
    axes.plot(x[: len(y)], y, color=colour, linewidth=1.4, drawstyle="steps-post", alpha=0.6)


def _number(axes: Axes, points: Iterable[tuple[str, Point]]) -> None:
    """Write a name above the left of each point."""
    for name, point in points:
        place = (point.cost, canvas.error_percent(point.accuracy_percent))
        axes.annotate(name, place, (-4, 6), textcoords="offset points", ha="right",
                      color=canvas.BLUE, fontweight="bold")  # fmt: skip


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
    front = [run for run in drawn if run.on_front]
    validated = [_validated(run) for run in front]
    tested = [
        Point(run.synaptic_events_per_inference, run.test_accuracy_percent,
              f"{run.name}, test: {run.test_accuracy_percent:.2f} %")
        for run in drawn
    ]  # fmt: skip
    figure = canvas.new_figure(*((5.2, 10.4) if listed else (4.4,)))
    grid = figure.add_gridspec(1, 1 + listed, width_ratios=(1.5, 1)[: 1 + listed])
    axes = figure.add_subplot(grid[0])
    _set_axes(axes, [*(_validated(run) for run in drawn), *tested], canvas.plain_number)
    _stairs(axes, validated, tested[-1].cost, canvas.BLUE)
    for on_front, colour, words in (
        (False, canvas.GREY, "validation, all others"),
        (True, canvas.BLUE, "validation, on the front"),
    ):
        for early, marker in ((False, "o"), (True, "s")):
            label = f"{words}, early exit" if early else words
            some = [run for run in drawn if (run.on_front, run.early_exit) == (on_front, early)]
            _draw(axes, map(_validated, some), colour, label, marker=marker)
    _draw(
        axes,
        (point for run, point in zip(drawn, tested, strict=True) if run.on_front),
        canvas.VERMILION,
        "test, of the same",
        marker="D",
        markerfacecolor=canvas.PAPER,
    )
    if listed:
        _number(axes, ((str(place), point) for place, point in enumerate(validated, start=1)))
        _list_runs(figure.add_subplot(grid[1]), front)
    worst, least = axes.get_ylim()
    if target_percent is not None and least <= canvas.error_percent(target_percent) <= worst:
        canvas.level(axes, canvas.error_percent(target_percent))
    axes.set_xlabel(EVENTS_TITLE)
    canvas.legend_below(figure)
    return Chart(
        "front",
        _finding(front, drawn, target_percent),
        figure,
        f"{source}; validation accuracy decides what is on the front",
        f"{len({run.run_id for run in drawn})} runs on {drawn[0].data_source}, recorded earlier by "
        "`make front` and not made by this run of the pipeline. Validation accuracy decides what "
        "is on the front; the test accuracy of the same runs is beside it. Runs differ in window "
        "and size, hence in leaks and biases too: the axis is events.",
    )


def _validated(run: FrontRow) -> Point:
    events, settings = run.synaptic_events_per_inference, run_settings(run)
    words = f"{run.name}: {run.validation_accuracy_percent:.2f} % on validation, {events:,.0f} "
    words += f"events ({settings})" if settings else "events"
    return Point(events, run.validation_accuracy_percent, words, run.on_front)


def _finding(front: Sequence[FrontRow], drawn: Sequence[FrontRow], target: float | None) -> str:
    enough = [run for run in front if target and run.validation_accuracy_percent >= target]
    best = max(front or drawn, key=lambda run: run.validation_accuracy_percent)
    run, accuracy = best, f"The front: at most {best.validation_accuracy_percent:.2f}"
    if enough:
        run, accuracy = enough[0], f"{target:g}"
    events = run.synaptic_events_per_inference
    return f"{accuracy} % on validation for {events:,.0f} synaptic events per inference"


def _list_runs(axes: Axes, front: Sequence[FrontRow]) -> None:
    """The last runs on the front as a table, each with what distinguishes it below."""
    axes.set_axis_off()
    lines = ["      events  validation %  test %"]
    for number, run in list(enumerate(front, start=1))[-_LISTED:]:
        accuracies = f"{run.validation_accuracy_percent:14.2f}{run.test_accuracy_percent:8.2f}"
        lines.append(f"{number:2}{run.synaptic_events_per_inference:10,.0f}{accuracies}")
        lines.append(f"    {run_label(run)}")
    text = "\n".join(lines)
    listed = axes.text(0, 1, text, va="top", family="DejaVu Sans Mono", fontsize=8)
    listed.set_in_layout(False)  # a long label must not take the chart's place


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
    others = [trial for trial in drawn if not trial.on_front]
    _draw(axes, others, canvas.GREY, "other trials")
    _stairs(axes, front, drawn[-1].cost, canvas.BLUE)
    _draw(axes, front, canvas.BLUE, "on the front")
    _number(axes, ((trial.words, trial) for trial in front))
    axes.set_xlabel(energy_title)
    canvas.legend_below(figure, columns=2)
    best = max(drawn, key=lambda trial: (trial.accuracy_percent, -trial.cost))
    finding = f"Up to {best.accuracy_percent:.2f} % on the validation set; {len(front)} trials on "
    return Chart("search", f"{finding}the front", figure, source)


@canvas.house_style()
def recorded_fronts(rows: Sequence["FrontsRow"], profile_id: str) -> Chart | None:
    """Both Pareto fronts of the recorded runs under one profile; None where it has none."""
    shown = [row for row in rows if row.profile == profile_id]
    if not shown:
        return None
    validated = [
        Point(row.middle_pj, row.validation_percent,
              f"{row.network}: {row.validation_percent:.2f} % for {joules(row.middle_pj, 3)}")
        for row in shown
    ]  # fmt: skip
    tested = [
        Point(row.middle_pj, row.test_percent, f"{row.network}, test: {row.test_percent:.2f} %")
        for row in shown
    ]
    figure = canvas.new_figure(4.2)
    axes = figure.subplots()
    _set_axes(axes, [*validated, *tested], joules)
    for side, colour in (("spiking", canvas.BLUE), ("conventional", canvas.VERMILION)):
        places = [place for place, row in enumerate(shown) if row.side == side]
        front = [validated[place] for place in places]
        _stairs(axes, front, max(row.middle_pj for row in shown), colour)
        _draw(axes, front, colour, f"{side}, validation")
        same = [tested[place] for place in places]
        _draw(axes, same, colour, f"{side}, test", markerfacecolor=canvas.PAPER)
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure, columns=2)
    return Chart(
        "fronts",
        f"Both fronts under {profile_id}: what an accuracy costs either side",
        figure,
        "recorded runs",
        "Networks of the recorded runs that none of their side beats; validation accuracy "
        "decides, rings show the test accuracy of the same networks.",
    )


@canvas.house_style()
def by_step(
    analysis: "EnergyAnalysis", steps: Sequence[StepRow], early: EarlyExit | None
) -> Chart | NoChart:
    """Test accuracy against energy if every sample is answered at the same step, or once sure.

    Energies are those of the events and steps until the answer.
    """
    subject, cost = analysis.inputs.subject, analysis.window_cost()
    heading, samples = "Accuracy against energy, step by step", subject.samples

    def point(step: float, percent: float, events: float) -> list[Point]:
        if cost is None or events <= 0:
            return []
        spent = cost.energy(events, step)
        words = f"step {step:.3g}: {percent:.2f} %, {energy_words(spent)}"
        drawn_pj = spent.high_pj if spent.value_pj is None else spent.value_pj
        return [Point(drawn_pj, percent, words)]

    points = [
        one
        for row in steps
        for one in point(row.step, row.accuracy_percent, row.synaptic_events_per_inference)
    ]
    stopped = None
    if early is not None:
        at = early.test
        found = point(at.mean_exit_step, at.accuracy_percent, at.synaptic_events_per_inference)
        stopped = found[0] if found else None
    if not points:
        return NoChart("by-step", heading, "Accuracy at every step was not measured.")
    figure = canvas.new_figure(4.0)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", 1.02 * max(one.cost for one in points))
    drawn = points if stopped is None else [*points, stopped]
    canvas.accuracy_axis(axes, (one.accuracy_percent for one in drawn))
    y = [canvas.error_percent(one.accuracy_percent) for one in points]
    axes.plot([one.cost for one in points], y, color=canvas.BLUE, linewidth=1.6)
    label = f"every {subject.sample} answered at the same step"
    _draw(axes, points, canvas.BLUE, label, markersize=3.5)
    finding = heading
    if early is not None and stopped is not None:
        label = f"early exit {early.rule_in_words}"
        _draw(axes, [stopped], canvas.VERMILION, label, markersize=8)
        finding = (
            f"Early exit: {stopped.accuracy_percent:.2f} % for {stopped.words.rpartition(', ')[2]}"
        )
    axes.set_ylabel("Test accuracy (%), log scale of errors")
    axes.set_xlabel(f"Energy per inference under {analysis.chosen.id}, mean")
    canvas.legend_below(figure)
    return Chart(
        "by-step",
        finding,
        figure,
        f"test {samples}",
        f"All points come from one pass over the test {samples}. Energy is that of the events and "
        "the steps until the answer; with a profile that prices routed spikes or active updates, "
        "these are taken to be in proportion to the events.",
    )
