"""What accuracy costs: the runs of a sweep, and the best of all recorded networks, as points.

Accuracies are spaced by the logarithm of the errors. A Pareto front is a stair, no slope: what so
much buys is the best point that needs no more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.axes import Axes

from spikejoule.energy.estimates import joules
from spikejoule.evaluation.front_rows import FrontRow, pareto_front
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    from spikejoule.energy import HardwareProfile
    from spikejoule.energy.bands import RecordedNetwork


class _Point(NamedTuple):
    """An accuracy in percent, what it costs (pJ or synaptic events per inference), and both."""

    cost: float
    accuracy_percent: float
    words: str


def _draw(axes: Axes, points: Sequence[_Point], color: str, label: str, **style: Any) -> None:
    for cost, percent, words in points:
        error = canvas.error_percent(percent)
        canvas.mark(axes, cost, error, words, color=color, label=label, clip_on=False, **style)


def _draw_stairs(axes: Axes, points: Sequence[_Point], dearest: float, color: str) -> None:
    """The line of a front, which holds a value until the next, on to the dearest of all points."""
    if points:
        x = [*(point.cost for point in points), dearest]
        y = [canvas.error_percent(point.accuracy_percent) for point in (*points, points[-1])]
        axes.step(x, y, where="post", color=color, alpha=0.6)


@canvas.house_style()
def accuracy_front(runs: Sequence[FrontRow], source: str) -> Chart | None:
    """Accuracy against synaptic events per inference of the runs of a sweep.

    Validation accuracy decides the Pareto front; the test accuracies of its runs are beside it.
    Runs without synaptic events have no place on the logarithmic axis; None if no run has any.

    Args:
        runs: in any order.
        source: which images the runs learned from.
    """
    drawn = [run for run in runs if run.synaptic_events_per_inference > 0]
    drawn.sort(key=lambda run: run.synaptic_events_per_inference)
    if not drawn:
        return None
    front: list[_Point] = []
    others: list[_Point] = []
    tested: list[_Point] = []
    for run in drawn:
        events, percent = run.synaptic_events_per_inference, run.validation_accuracy_percent
        settings = [f"{name.rpartition('.')[2]} {text}" for name, text in run.settings.items()]
        words = f"{run.name}: {percent:.2f} % on validation, {events:,.0f} events"
        words = ", ".join([words, *settings, *["early exit"] * run.early_exit])
        (front if run.on_front else others).append(_Point(events, percent, words))
        if run.on_front:
            words = f"{run.name}, test: {run.test_accuracy_percent:.2f} %"
            tested.append(_Point(events, run.test_accuracy_percent, words))
    figure, axes = canvas.new_figure(4.4)
    canvas.log_axis(axes, "x", "{:,.0f}".format)
    canvas.accuracy_axis(axes)
    _draw_stairs(axes, front, drawn[-1].synaptic_events_per_inference, canvas.BLUE)
    _draw(axes, others, canvas.GREY, "validation, all others")
    _draw(axes, front, canvas.BLUE, "validation, on the front")
    hollow = {"marker": "D", "markerfacecolor": canvas.PAPER}
    _draw(axes, tested, canvas.BLUE, "test, of the same", **hollow)
    axes.set_xlabel("Synaptic events per inference, mean over the test set, log scale")
    canvas.legend_below(figure)
    best = max(front or others, key=lambda point: point.accuracy_percent)
    return Chart(
        "front",
        f"The fewest events for an accuracy: {best.accuracy_percent:.2f} % on validation takes "
        f"{best.cost:,.0f} synaptic events per inference",
        figure,
        f"{source}; validation accuracy decides what is on the front",
    )


@canvas.house_style()
def recorded_fronts(
    networks: Sequence["RecordedNetwork"], profile: "HardwareProfile"
) -> Chart | None:
    """All networks of recorded runs and both Pareto fronts under one profile; None without any."""
    shown = [(energy.middle_pj, one) for one in networks if (energy := one.energy(profile.id))]
    if not shown:
        return None
    figure, axes = canvas.new_figure(4.2)
    canvas.log_axis(axes, "x")
    canvas.accuracy_axis(axes)
    for side, color in (("spiking", canvas.BLUE), ("conventional", canvas.VERMILION)):
        of_side = [(pj, one) for pj, one in shown if one.side == side]
        of_side.sort(key=lambda pair: (pair[0], -pair[1].validation_percent))
        percents = [one.validation_percent for _, one in of_side]
        on_front = pareto_front([pj for pj, _ in of_side], percents)
        front, others, tested = list[_Point](), list[_Point](), list[_Point]()
        for (pj, one), is_on_front in zip(of_side, on_front, strict=True):
            about, percent = f"{one.name}, seed {one.seed}", one.validation_percent
            point = _Point(pj, percent, f"{about}: {percent:.2f} % for {joules(pj, 3)}")
            (front if is_on_front else others).append(point)
            if is_on_front:
                words = f"{about}, test: {one.test_percent:.2f} %"
                tested.append(_Point(pj, one.test_percent, words))
        _draw_stairs(axes, front, max(pj for pj, _ in shown), color)
        _draw(axes, others, color, f"{side}, validation, all others", alpha=0.25)
        _draw(axes, front, color, f"{side}, validation, on the front")
        _draw(axes, tested, color, f"{side}, test", markerfacecolor=canvas.PAPER)
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure, columns=2)
    finding = f"The least energy for an accuracy: {profile.title}"
    return Chart("fronts", finding, figure, "recorded runs, a point for each seed")
