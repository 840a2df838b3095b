"""Energy against accuracy: the conventional front, and this network next to it.

Accuracies are spaced by the logarithm of the errors. Between two networks, ratios are
read off the front's line (`compare.front`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from spikejoule.compare.front import Side, front_of, read_front
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.names import named, named_in, way
from spikejoule.report.units import joules

if TYPE_CHECKING:
    from spikejoule.compare.analysis import EnergyAnalysis


_STEPS = 200
"""Points of the drawn line."""
_NARROW = 100
"""Ratio of an axis's ends below which powers of 10 are too few labels."""


@canvas.house_style()
def conventional_front(analysis: "EnergyAnalysis") -> Chart | None:
    """Draw the conventional front and this network.

    None without a verdict, or where the front of an imported network has one accuracy.
    """
    points = analysis.conventional_points
    has_line = len({point.percent for point in points}) > 1
    if analysis.verdict is None or (analysis.inputs.counted_in and not has_line):
        return None
    front = front_of(points)
    figure, axes = canvas.new_figure(4.7)
    canvas.log_axis(axes, "x", digits=(1,))
    canvas.accuracy_axis(axes)
    for point in points:
        is_on_front = point in front
        _mark(
            axes,
            named(point),
            point.percent,
            point.energy.middle_pj,
            color=canvas.VERMILION,
            label=f"conventional, {'on the front' if is_on_front else 'others'}",
            alpha=1.0 if is_on_front else 0.25,
            clip_on=False,
        )
    _draw_front(axes, front)
    verdicts = {"o": analysis.verdict, "D": analysis.early_verdict}
    for marker, verdict in verdicts.items():
        if verdict is None:
            continue
        _mark(
            axes,
            named_in(analysis.inputs, verdict.spiking),
            verdict.level_percent,
            verdict.spiking.energy.middle_pj,
            color=canvas.BLUE,
            marker=marker,
            label=f"this network, {way(verdict.spiking)}",
        )
    lowest_pj, highest_pj = axes.get_xlim()
    if highest_pj < _NARROW * lowest_pj:
        canvas.log_axis(axes, "x", digits=(1, 2, 5))
    axes.set_xlabel("Energy per inference, log scale")
    canvas.legend_below(figure)
    finding = f"Accuracy and energy: {analysis.chosen.title}"
    return Chart(
        "front", finding, figure, f"{analysis.inputs.title}, validation accuracy"
    )


def _draw_front(axes: Axes, front: Sequence[Side]) -> None:
    """Draw the line that `read_front` reads.

    It is straight over accuracies, and so curved over the logarithm of errors.
    """
    lowest = front[0].percent
    highest = front[-1].percent
    levels = np.linspace(lowest, highest, _STEPS).tolist()
    energies_pj = []
    for level in levels:
        reading = read_front(front, level)
        assert reading is not None
        energies_pj.append(reading.energy.middle_pj)
    axes.plot(
        energies_pj,
        [canvas.error_percent(level) for level in levels],
        color=canvas.VERMILION,
        alpha=0.6,
    )


def _mark(
    axes: Axes, name: str, percent: float, energy_pj: float, **style: Any
) -> None:
    """Mark a network; its tooltip has its accuracy and its energy."""
    words = f"{name}: {percent:.2f} %, {joules(energy_pj, 3)}"
    canvas.mark(axes, energy_pj, canvas.error_percent(percent), words, **style)
