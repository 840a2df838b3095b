"""How training went; which classes are read correctly, and as what the others."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.data.subject import DIGITS, Subject, numbered
from spikejoule.evaluation.evaluation import ClassRow
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

if TYPE_CHECKING:
    pass

_MOST_NUMBERED = 40  # classes whose cells hold numbers


@canvas.house_style()
def training_curves(
    history: Sequence[Mapping[str, Any]],
    layer_names: Sequence[str],
    best_epoch: int,
    source: str,
    validated_on_test: bool = False,
) -> Chart:
    """Accuracy, loss, spikes per training sample and learning rate over the epochs.

    Args:
        history: one mapping per epoch with the fields of `training.EpochRecord`.
        layer_names: of the entries of its `spikes`, the input first.
        best_epoch: whose weights were kept, from 1.
        source: which images the network learned from.
        validated_on_test: whether the "validation" images are the test images, which the figure
            then says.
    """
    frame = pd.DataFrame([dict(record) for record in history]).set_index("epoch")
    held_out = "Test" if validated_on_test else "Validation"
    names = ["Training", f"{held_out} (validated on it)" if validated_on_test else held_out]
    accuracies = frame[["train_accuracy_percent", "validation_accuracy_percent"]].astype(float)
    best = accuracies.iloc[:, 1][best_epoch]
    per_sample = np.array([*frame["spikes"]]) / frame["samples"].to_numpy()[:, None]
    spikes = pd.DataFrame(per_sample, frame.index, [name.capitalize() for name in layer_names])
    figure = canvas.new_figure(5.6, 9.6)
    first, *others = figure.subplots(2, 2, sharex=True).flat
    canvas.accuracy_axis(first, accuracies.to_numpy().ravel())
    errors = accuracies.set_axis(names, axis=1).map(canvas.error_percent)
    _draw_curves(first, errors, (canvas.BLUE, canvas.VERMILION))
    ring = {"markersize": 9, "markerfacecolor": "none", "color": canvas.INK, "clip_on": False}
    first.plot([best_epoch], [canvas.error_percent(best)], "o", **ring)
    first.set_title(f"Accuracy (circle: the weights kept, epoch {best_epoch})")
    layers = canvas.layer_colours(len(layer_names))
    for axes, curves, colours, title, unit in zip(
        others,
        (frame[["train_loss"]], spikes, frame[["learning_rate"]]),
        ([canvas.BLUE], layers, [canvas.MUTED]),
        ("Training loss", "Activity while training", "Learning rate"),
        ("Cross-entropy (nats)", "Spikes per training sample", "Learning rate (dimensionless)"),
        strict=True,
    ):
        _draw_curves(axes, curves, colours)
        canvas.from_zero(axes, "y", 1.08 * curves.to_numpy().max(), canvas.plain_number)
        axes.set(title=title, ylabel=unit)
    for axes in others[1:]:
        axes.set_xlabel("Epoch")
    finding = f"{held_out} accuracy peaks at {best:.2f} % in epoch {best_epoch} of {len(frame)}"
    return Chart("training-curves", finding, figure, source)


def _draw_curves(axes: Axes, curves: pd.DataFrame, colours: Sequence[str]) -> None:
    for (name, values), colour in zip(curves.items(), colours, strict=True):
        axes.plot(values, color=colour, linewidth=1.8, marker="o", markersize=3, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
    axes.grid(True, axis="y")
    if curves.shape[1] > 1:
        axes.legend(fontsize=8.5)


@canvas.house_style()
def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> Chart:
    """The confusion matrix [C, C], rows actual, columns predicted.

    Every cell holds its number of images. Correct ones, a hundred times more numerous, would drown
    the errors in any common colour scale: the diagonal is grey, and colour shows the errors alone,
    in percent of the samples of the actual class.
    """
    counts = np.asarray(confusion)
    n_classes, names = len(counts), subject.class_names
    diagonal, row_sums = np.eye(n_classes, dtype=bool), counts.sum(axis=1, keepdims=True)
    percent = np.ma.masked_array(100 * counts / np.maximum(row_sums, 1), mask=diagonal)
    scale = [canvas.PAPER, "#F6B58C", canvas.VERMILION]
    colours = LinearSegmentedColormap.from_list("errors", scale).with_extremes(bad=canvas.GRID)
    highest = max(float(percent.max()), 0.1)
    side = max(1.0, min(n_classes, _MOST_NUMBERED) / 14)
    figure = canvas.new_figure(6.6 * side, 7.6 * side)
    axes = figure.subplots()
    picture = axes.imshow(percent, cmap=colours, vmin=0, vmax=highest)
    for actual, predicted in np.ndindex(counts.shape if n_classes <= _MOST_NUMBERED else (0, 0)):
        count, correct = int(counts[actual, predicted]), actual == predicted
        dark = not correct and percent[actual, predicted] > 0.75 * highest
        axes.text(
            predicted,
            actual,
            f"{count:,}" if count or correct else "·",
            ha="center",
            va="center",
            fontweight="bold" if correct else "normal",
            color=canvas.PAPER if dark else canvas.INK if count else canvas.GREY,
        )
    every = range(0, n_classes, 1 + n_classes // _MOST_NUMBERED)
    labels = [names[label] for label in every]
    axes.set_xticks(every, labels, rotation=0 if names == numbered(subject.n_classes) else 90)
    axes.set_yticks(every, labels)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(np.arange(n_classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=canvas.PAPER, linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"Predicted {subject.noun} (cells: number of {subject.samples})")
    axes.set_ylabel(f"Actual {subject.noun}")
    bar = figure.colorbar(picture, ax=axes, shrink=0.75, pad=0.02)
    bar.set_label(f"Errors (% of the {subject.samples} of the actual {subject.noun})")
    bar.outline.set_visible(False)
    n_samples, errors = int(counts.sum()), np.where(diagonal, 0, counts)
    finding = f"{100 * int(np.trace(counts)) / max(n_samples, 1):.2f} % of {n_samples:,} "
    finding += f"{subject.nouns} read correctly"
    if errors.any():
        actual, predicted = divmod(int(errors.argmax()), n_classes)
        times = f"{errors.max()} times" if errors.max() > 1 else "once"
        finding += f"; most often wrong: {names[actual]} as {names[predicted]}, {times}"
    return Chart("confusion", finding, figure, source)


@canvas.house_style()
def per_class_accuracy(
    per_class: Sequence[ClassRow],
    overall_percent: float,
    confidence: float,
    source: str,
    subject: Subject = DIGITS,
) -> Chart:
    """Accuracy of each class with its interval, beside the overall accuracy.

    The axis does not start at 0, where nothing lies: positions are compared, not lengths, so dots
    are drawn and no bars, and the axis says where it starts.

    Raises:
        ValueError: no class has a sample.
    """
    known = [
        (row.label, row.n_samples, row.accuracy_percent, row.accuracy_low_percent or 0.0,
         row.accuracy_high_percent or 0.0)
        for row in per_class
        if row.accuracy_percent is not None
    ]  # fmt: skip
    if not known:
        raise ValueError("no class has a sample")
    hardest, n_hardest, least, *_ = min(known, key=lambda entry: entry[2])
    # Down to a whole number below the lowest interval, which the axis label can state.
    lowest = min(low for *_, low, _ in known)
    bottom = max(0, math.floor(lowest - 0.02 * (100 - lowest)))
    figure = canvas.new_figure(4.2, 8.0 * max(1.0, min(len(known), 64) / 10))
    axes = figure.subplots()
    for label, _, percent, low, high in known:
        colour = canvas.VERMILION if label == hardest else canvas.BLUE
        axes.errorbar([label], [percent], [[percent - low], [high - percent]], fmt="o",
                      color=colour, markersize=7)  # fmt: skip
        axes.text(label + 0.12, percent, f"{percent:.1f}", va="center", color=colour)
    canvas.level(axes, overall_percent)
    axes.text(len(per_class) - 0.25, overall_percent, f"all {subject.nouns}\n"
              f"{overall_percent:.2f} %", va="center", color=canvas.MUTED)  # fmt: skip
    axes.set(ylim=(bottom, 100 + 0.02 * (100 - bottom)), xlim=(-0.5, len(per_class) - 0.3))
    names, noun = subject.class_names, f"{subject.noun[:1].upper()}{subject.noun[1:]}"
    axes.set_xticks(
        [label for label, *_ in known],
        [f"{names[label]}\n{n_samples:,}" for label, n_samples, *_ in known],
        rotation=0 if names == numbered(subject.n_classes) else 45,
    )
    axes.set_xlabel(f"{noun}, and its number of test {subject.samples}")
    axes.set_ylabel(f"Correct (%), axis from {bottom} %")
    axes.grid(True, axis="y")
    return Chart(
        "per-class",
        f"{noun} {names[hardest]} is the hardest: {least:.1f} % of {n_hardest:,} {subject.samples}",
        figure,
        f"{source}; bars: {100 * confidence:g} % Wilson interval",
    )
