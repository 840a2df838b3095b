"""Which classes are read correctly, and as what the others are read."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from spikejoule.data.subject import DIGITS, Subject, numbered
from spikejoule.evaluation.accuracy import Accuracy
from spikejoule.report.figures.style import (
    BLUE,
    GREY,
    INK,
    LIGHT_GREY,
    VERMILION,
    capitalised,
    house_style,
    light_grid,
    new_figure,
    set_titles,
    to_png,
)

_MOST_NUMBERED = 40  # classes whose cells hold numbers


def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> bytes:
    """The confusion matrix [C, C] (rows actual, columns predicted) as PNG bytes.

    Every cell holds its number of images. Correct ones, a hundred times more numerous, would drown
    the errors in any common colour scale: the diagonal is grey, and colour shows the errors alone,
    in percent of the samples of the actual class.
    """
    counts = np.asarray(confusion)
    n_classes = counts.shape[0]
    n_samples = int(counts.sum())
    row_sums = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    error_percent = np.ma.masked_array(100 * counts / row_sums, mask=np.eye(n_classes, dtype=bool))
    colours = LinearSegmentedColormap.from_list(
        "errors", ["#FFFFFF", "#F6B58C", VERMILION]
    ).with_extremes(bad=LIGHT_GREY)
    highest = max(float(error_percent.max()), 0.1)
    with house_style():
        side = max(1.0, min(n_classes, _MOST_NUMBERED) / 14)
        figure = new_figure(7.6 * side, 7.2 * side)
        axes = figure.subplots()
        picture = axes.imshow(error_percent, cmap=colours, vmin=0, vmax=highest)
        for actual in range(n_classes if n_classes <= _MOST_NUMBERED else 0):
            for predicted in range(n_classes):
                count = int(counts[actual, predicted])
                correct = actual == predicted
                dark = not correct and error_percent[actual, predicted] > 0.75 * highest
                axes.text(
                    predicted,
                    actual,
                    f"{count:,}" if count or correct else "·",
                    ha="center",
                    va="center",
                    fontsize=9,
                    fontweight="bold" if correct else "normal",
                    color="white" if dark else INK if count else "#B0B0B0",
                )
        rotation = 0 if subject.class_names == numbered(subject.n_classes) else 90
        every = range(0, n_classes, 1 + n_classes // _MOST_NUMBERED)
        axes.set_xticks(every, [subject.class_names[k] for k in every], rotation=rotation)
        axes.set_yticks(every, [subject.class_names[k] for k in every])
        axes.set_xticks(np.arange(n_classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n_classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="both", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel(f"Predicted {subject.noun} (cells: number of {subject.samples})")
        axes.set_ylabel(f"Actual {subject.noun}")
        bar = figure.colorbar(picture, ax=axes, shrink=0.75, pad=0.02)
        bar.set_label(f"Errors (% of the {subject.samples} of the actual {subject.noun})")
        bar.outline.set_visible(False)
        set_titles(figure, _confusion_finding(counts, n_samples, subject), source)
        return to_png(figure)


def _confusion_finding(counts: NDArray[Any], n_samples: int, subject: Subject) -> str:
    n_correct = int(np.trace(counts))
    percent = 100 * n_correct / max(n_samples, 1)
    share = f"{percent:.2f} % of {n_samples:,} {subject.nouns} read correctly"
    errors = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    if not errors.any():
        return share
    actual, predicted = (int(place) for place in np.unravel_index(errors.argmax(), errors.shape))
    number = int(errors[actual, predicted])
    times = "once" if number == 1 else f"{number} times"
    names = subject.class_names
    return f"{share}; most often wrong: {names[actual]} as {names[predicted]}, {times}"


def per_class_accuracy(
    per_class: Sequence[Accuracy],
    overall: Accuracy,
    confidence: float,
    source: str,
    subject: Subject = DIGITS,
) -> bytes:
    """Accuracy of each class with its interval, beside the overall accuracy, as PNG bytes.

    The axis does not start at 0, where nothing lies: positions are compared, not lengths, so dots
    are drawn and no bars, and the axis says where it starts.
    """
    known = [
        (label, entry.percent, entry.low_percent, entry.high_percent, entry.n_samples)
        for label, entry in enumerate(per_class)
        if entry.percent is not None
        and entry.low_percent is not None
        and entry.high_percent is not None
    ]
    if not known or overall.percent is None:
        raise ValueError("no class has a sample")
    hardest = min(known, key=lambda entry: entry[1])
    with house_style():
        figure = new_figure(8.0 * max(1.0, min(len(known), 64) / 10), 4.8)
        axes = figure.subplots()
        for label, percent, low, high, _ in known:
            colour = VERMILION if label == hardest[0] else BLUE
            axes.plot([label, label], [low, high], color=colour, linewidth=2, alpha=0.55)
            axes.plot([label], [percent], "o", color=colour, markersize=7, clip_on=False, zorder=3)
            axes.annotate(
                f"{percent:.1f}",
                xy=(label, percent),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=colour,
            )
        axes.axhline(overall.percent, color=GREY, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            f"all {subject.nouns}\n{overall.percent:.2f} %",
            xy=(1, overall.percent),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=GREY,
            annotation_clip=False,
        )
        lowest = min(entry[2] for entry in known)
        # Down to a whole number below the lowest interval, which the axis label can state.
        bottom = max(0, math.floor(lowest - 0.02 * (100 - lowest)))
        axes.set_ylim(bottom, 100 + 0.02 * (100 - bottom))
        axes.set_xlim(-0.5, len(per_class) - 0.3)
        rotation = 0 if subject.class_names == numbered(subject.n_classes) else 45
        axes.set_xticks(
            [entry[0] for entry in known],
            [f"{subject.class_names[entry[0]]}\n{entry[4]:,}" for entry in known],
            rotation=rotation,
        )
        axes.set_xlabel(f"{capitalised(subject.noun)}, and its number of test {subject.samples}")
        axes.set_ylabel(f"Correct (%), axis from {bottom} %")
        light_grid(axes, "y")
        set_titles(
            figure,
            f"{capitalised(subject.noun)} {subject.class_names[hardest[0]]} is the hardest: "
            f"{hardest[1]:.1f} % of {hardest[4]:,} {subject.samples}",
            f"{source}; bars: {100 * confidence:g} % Wilson interval",
        )
        return to_png(figure)
