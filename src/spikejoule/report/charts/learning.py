"""How training went, and which classes are taken for which others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.data.subject import DIGITS, Subject
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

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
    held_out = "Test (validated on it)" if validated_on_test else "Validation"
    accuracies = frame[["train_accuracy_percent", "validation_accuracy_percent"]].astype(float)
    best = accuracies.iloc[:, 1][best_epoch]
    per_sample = np.array([*frame["spikes"]]) / frame["samples"].to_numpy()[:, None]
    blue, layers = [canvas.BLUE, canvas.VERMILION], canvas.layer_colours(len(layer_names))
    names = [name.capitalize() for name in layer_names]
    figure = Figure(figsize=(9.6, 5.6))
    panels = figure.subplots(2, 2, sharex=True)
    for axes, curves, colours, labels, title, unit in (
        (panels[0, 0], accuracies.map(canvas.error_percent), blue, ["Training", held_out],
         f"Accuracy (circle: the weights kept, epoch {best_epoch})", ""),
        (panels[0, 1], frame["train_loss"], blue, [""], "Training loss", "Cross-entropy (nats)"),
        (panels[1, 0], per_sample, layers, names, "Activity while training",
         "Spikes per training sample"),
        (panels[1, 1], frame["learning_rate"], blue, [""], "Learning rate",
         "Learning rate (dimensionless)"),
    ):  # fmt: skip
        axes.set_prop_cycle(color=colours)
        axes.plot(frame.index, curves, marker="o", markersize=3, label=labels)
        axes.set(title=title, ylabel=unit)
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
        if len(labels) > 1:
            axes.legend()
    canvas.accuracy_axis(panels[0, 0])
    ring = {"markersize": 9, "markerfacecolor": "none", "color": canvas.INK}
    panels[0, 0].plot([best_epoch], [canvas.error_percent(best)], "o", **ring)
    for axes in panels.flat[1:]:
        axes.set_ylim(bottom=0)
    for axes in panels[1]:
        axes.set_xlabel("Epoch")
    finding = f"{held_out.partition(' ')[0]} accuracy peaks at {best:.2f} % in epoch {best_epoch}"
    return Chart("training-curves", f"{finding} of {len(frame)}", figure, source)


@canvas.house_style()
def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> Chart:
    """The confusion matrix [C, C], rows actual, columns predicted.

    Every cell holds its number of images. Correct ones, a hundred times more numerous, would drown
    the errors in any common colour scale: the diagonal is grey, and colour shows the errors alone,
    in percent of the samples of the actual class.
    """
    counts, names = np.asarray(confusion), subject.class_names
    n_classes, n_samples = len(counts), int(counts.sum())
    errors = np.where(np.eye(n_classes, dtype=bool), 0, counts)
    percent = 100 * errors / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = np.ma.masked_array(percent, mask=np.eye(n_classes, dtype=bool))
    scale = [canvas.PAPER, "#F6B58C", canvas.VERMILION]
    colours = LinearSegmentedColormap.from_list("errors", scale).with_extremes(bad=canvas.GRID)
    highest = max(float(percent.max()), 0.1)
    side = 6.6 * max(1.0, min(n_classes, _MOST_NUMBERED) / 14)
    figure, axes = canvas.new_figure(side, side + 1)
    picture = axes.imshow(shown, cmap=colours, vmin=0, vmax=highest)
    if n_classes <= _MOST_NUMBERED:
        for (actual, predicted), count in np.ndenumerate(counts):
            dark = percent[actual, predicted] > 0.75 * highest
            color = canvas.PAPER if dark else canvas.INK if count else canvas.GREY
            text = f"{count:,}" if count else "·"
            axes.text(predicted, actual, text, ha="center", va="center", color=color)
    every = range(0, n_classes, 1 + n_classes // _MOST_NUMBERED)
    labels = [names[label] for label in every]
    axes.set_xticks(every, labels, rotation=90 if max(map(len, labels)) > 2 else 0)
    axes.set_yticks(every, labels)
    axes.grid(False)
    axes.set_xlabel(f"Predicted {subject.noun} (cells: number of {subject.samples})")
    axes.set_ylabel(f"Actual {subject.noun}")
    words = f"Errors (% of the {subject.samples} of the actual {subject.noun})"
    figure.colorbar(picture, ax=axes, shrink=0.75, label=words)
    finding = f"{100 * int(np.trace(counts)) / max(n_samples, 1):.2f} % of {n_samples:,} "
    finding += f"{subject.nouns} read correctly"
    if errors.any():
        actual, predicted = divmod(int(errors.argmax()), n_classes)
        finding += f"; most often wrong: {names[actual]} as {names[predicted]}, {errors.max()}×"
    return Chart("confusion", finding, figure, source)
