"""The figure of the growth table; the only module of the benchmarks that imports matplotlib."""

import io
import itertools
import math
from collections.abc import Sequence
from typing import Any

import matplotlib

from benchmarks.growth_point import Point

# Okabe and Ito's colours, which colour-blind readers tell apart: https://jfly.uni-koeln.de/color/
COLOURS = {"event": "#0072B2", "dense": "#D55E00"}
MARKERS = {"event": "o", "dense": "s"}
OTHER_COLOUR = "#555555"
AXES = {
    "n_hidden": "hidden neurons",
    "time_window": "time window (ms)",
    "max_rate_hz": "rate of a white pixel (Hz)",
    "batch_size": "images a batch",
    "input_density": "inputs that fire in a step (%), white images",
}


def growth_figure(points: Sequence[Point], crossover: float | None, caption: str) -> bytes:
    """PNG of microseconds per image against each sweep's quantity, both axes logarithmic."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained")
    panels = list(axes.flat)
    for axis, (sweep, label) in zip(panels, AXES.items(), strict=False):
        _draw_sweep(axis, [point for point in points if point.sweep == sweep], sweep)
        axis.set_xlabel(label)
        axis.set_ylabel("training time per image (µs)")
    if crossover is not None:
        _mark_crossover(panels[4], crossover)
    _explain(panels[5], crossover, caption)
    figure.suptitle(_title(crossover), fontsize=14)
    buffer = io.BytesIO()
    # Without its metadata the same points give the same bytes.
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _title(crossover: float | None) -> str:
    if crossover is None:
        return "Training is faster on events at every density measured"
    return f"Training is faster on events below an input density of {100 * crossover:.0f} %"


def _draw_sweep(axis: Any, points: Sequence[Point], sweep: str) -> None:
    factor = 100 if sweep == "input_density" else 1
    last = {point.engine: point.seconds_per_batch for point in points}
    for engine in dict.fromkeys(point.engine for point in points):
        own = sorted((point for point in points if point.engine == engine), key=lambda p: p.value)
        x = [factor * point.value for point in own]
        y = [1e6 * point.seconds_per_batch / point.batch_size for point in own]
        colour = COLOURS.get(engine, OTHER_COLOUR)
        axis.plot(x, y, color=colour, marker=MARKERS.get(engine, "^"), linewidth=2)
        axis.annotate(
            engine, (x[-1], y[-1]), xytext=(7, 0), textcoords="offset points",
            color=colour, fontweight="bold",
            # The higher line's label stands above its end, so that close lines keep their names.
            va="bottom" if last[engine] == max(last.values()) else "top",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    values = sorted({factor * point.value for point in points})
    axis.set_xticks(values, _apart(values), fontsize=8)
    axis.minorticks_off()
    axis.margins(x=0.18)
    _label_decades(axis, [1e6 * p.seconds_per_batch / p.batch_size for p in points])
    axis.grid(visible=True, color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _label_decades(axis: Any, values: Sequence[float]) -> None:
    """Label 1, 2 and 5 of each decade in plain numbers."""
    if not values:
        return
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    shown = [tick for tick in ticks if min(values) / 1.5 <= tick <= max(values) * 1.5]
    axis.set_yticks(shown, [f"{tick:,g}" for tick in shown])


def _apart(values: list[float]) -> list[str]:
    """The values' labels; empty where the next value is so near that labels would overlap."""
    return [
        "" if following is not None and following < 1.4 * value else f"{value:g}"
        for value, following in itertools.zip_longest(values, values[1:])
    ]


def _mark_crossover(axis: Any, crossover: float) -> None:
    axis.axvline(100 * crossover, color="black", linestyle=":", linewidth=1.5)
    axis.annotate(
        f"{100 * crossover:.1f} %", (100 * crossover, 0.03), xycoords=("data", "axes fraction"),
        xytext=(4, 0), textcoords="offset points",
    )  # fmt: skip


def _explain(axis: Any, crossover: float | None, caption: str) -> None:
    import textwrap

    axis.axis("off")
    found = (
        "Dense overtakes event at no density measured."
        if crossover is None
        else f"Dense overtakes event where {100 * crossover:.1f} % of the inputs fire in a step."
    )
    sentences = (
        "Each panel varies one quantity; the others stay at 784-400-10, 50 ms, 80 Hz, batch 64.",
        "Time from image to updated weights, median over batches.",
        found,
        "MNIST at 80 Hz has about 1 %.",
        caption + ".",
    )
    text = "\n\n".join(textwrap.fill(sentence, 44) for sentence in sentences)
    axis.text(0.02, 0.98, text, va="top", transform=axis.transAxes, fontsize=10)
