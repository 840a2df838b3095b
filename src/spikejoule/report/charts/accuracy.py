"""What accuracy costs: the networks of recorded runs as points.

Accuracies are spaced by the logarithm of the errors. A Pareto front is a stair, no slope: what so
much buys is the best point that needs no more.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spikejoule.energy.estimates import joules
from spikejoule.evaluation.accuracy import pareto_front
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    from spikejoule.energy import HardwareProfile
    from spikejoule.energy.bands import RecordedNetwork


@canvas.house_style()
def recorded_fronts(
    networks: Sequence["RecordedNetwork"], profile: "HardwareProfile"
) -> Chart | None:
    """All networks of recorded runs and both Pareto fronts under one profile; None without any.

    Validation accuracy decides a front; the test accuracies of those on it are rings beside it.
    """
    shown = [(energy.middle_pj, one) for one in networks if (energy := one.energy(profile.id))]
    if not shown:
        return None
    figure, axes = canvas.new_figure(4.7)
    canvas.log_axis(axes, "x")
    canvas.accuracy_axis(axes)
    for side, color in (("spiking", canvas.BLUE), ("conventional", canvas.VERMILION)):
        points = [(pj, one) for pj, one in shown if one.side == side]
        points.sort(key=lambda point: (point[0], -point[1].validation_percent))
        percents = [one.validation_percent for _, one in points]
        on_front = pareto_front([pj for pj, _ in points], percents)
        stair = [point for point, is_on in zip(points, on_front, strict=True) if is_on]
        others = [point for point, is_on in zip(points, on_front, strict=True) if not is_on]
        for label, chosen, accuracy, style in (
            ("validation, all others", others, "validation_percent", {"alpha": 0.25}),
            ("validation, on the front", stair, "validation_percent", {}),
            ("test", stair, "test_percent", {"markerfacecolor": canvas.PAPER}),
        ):
            for pj, one in chosen:
                percent = getattr(one, accuracy)
                words = f"{one.name}, seed {one.seed}: {percent:.2f} %, {joules(pj, 3)}"
                label_of = {"color": color, "label": f"{side}, {label}", "clip_on": False}
                canvas.mark(axes, pj, canvas.error_percent(percent), words, **style, **label_of)
        if stair:
            # A front holds a value until the next, on to the dearest of all points.
            x = [*(pj for pj, _ in stair), max(pj for pj, _ in shown)]
            y = [canvas.error_percent(one.validation_percent) for _, one in (*stair, stair[-1])]
            axes.step(x, y, where="post", color=color, alpha=0.6)
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    finding = f"The least energy for an accuracy: {profile.title}"
    return Chart("fronts", finding, figure, "recorded runs, a point for each seed")
