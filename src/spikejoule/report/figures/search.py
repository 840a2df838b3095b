"""What a search has found: its trials as points, and the line of those that nothing beats."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from spikejoule.report.charts.scales import (
    ACCURACY_TITLE,
    accuracy_scale,
    decade_scale,
    error_percent,
)
from spikejoule.report.figures.style import (
    BLUE,
    house_style,
    light_grid,
    new_figure,
    scale_x,
    scale_y,
    set_titles,
    to_png,
)

_PALE = "#B5B5B5"


def search_front(
    trials: Sequence[tuple[float, float, bool, str]], energy_title: str, source: str
) -> bytes:
    """Validation accuracy against energy, the Pareto front marked, as PNG bytes.

    Args:
        trials: of each, energy, accuracy in percent, whether it is on the front, and its name.
        energy_title: of the axis of energy.
        source: which images the trials learned from, and how many there were.

    Raises:
        ValueError: no trial has a positive energy, which a logarithmic axis needs.
    """
    drawn = sorted(trial for trial in trials if trial[0] > 0)
    if not drawn:
        raise ValueError("no trial has a positive energy")
    front = [trial for trial in drawn if trial[2]]
    with house_style():
        figure = new_figure(7.2, 5.0)
        axes: Axes = figure.subplots()
        scale_x(axes, decade_scale(energy for energy, *_ in drawn))
        scale_y(axes, accuracy_scale(accuracy for _, accuracy, *_ in drawn))
        others = [trial for trial in drawn if not trial[2]]
        axes.plot(
            [energy for energy, *_ in others], [error_percent(each[1]) for each in others],
            "o", color=_PALE, markersize=5, label="other trials",
        )  # fmt: skip
        # What so much energy buys is the best trial that needs no more: a stair, no slope.
        line = [*front, (drawn[-1][0], *front[-1][1:])] if front else []
        axes.plot(
            [energy for energy, *_ in line], [error_percent(each[1]) for each in line],
            color=BLUE, linewidth=1.4, drawstyle="steps-post", alpha=0.6,
        )  # fmt: skip
        axes.plot(
            [energy for energy, *_ in front], [error_percent(each[1]) for each in front],
            "o", color=BLUE, markersize=7, label="on the front", clip_on=False,
        )  # fmt: skip
        for energy, accuracy, _, name in front:
            axes.annotate(
                name, xy=(energy, error_percent(accuracy)), xytext=(-4, 6),
                textcoords="offset points", ha="right", color=BLUE,
            )  # fmt: skip
        light_grid(axes, "both")
        axes.set_xlabel(energy_title)
        axes.set_ylabel(ACCURACY_TITLE)
        axes.legend(loc="lower right", frameon=False)
        best = max(drawn, key=lambda trial: (trial[1], -trial[0]))
        set_titles(
            figure,
            f"Up to {best[1]:.2f} % on the validation set; {len(front)} trials on the front",
            source,
        )
        return to_png(figure)
