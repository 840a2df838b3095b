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
    history: Sequence[Mapping[str, Any]], best_epoch: int, source: str, held_out: str = "Validation"
) -> Chart:
    """Loss, and accuracy on training and held-out images, over the epochs.

    Args:
        history: one mapping per epoch with the fields of `training.EpochRecord`.
        best_epoch: whose weights were kept, from 1.
        source: which images the network learned from.
        held_out: what the weights were chosen on.
    """
    frame = pd.DataFrame([*history]).set_index("epoch")
    accuracies = frame[["train_accuracy_percent", "validation_accuracy_percent"]].astype(float)
    best = float(accuracies["validation_accuracy_percent"][best_epoch])
    figure = Figure(figsize=(9.6, 3.6))
    left, right = figure.subplots(1, 2)
    colours = [canvas.BLUE, canvas.VERMILION]
    for axes, curves, labels, title in (
        (left, frame["train_loss"], "", "Training loss (cross-entropy, nats)"),
        (right, accuracies.map(canvas.error_percent), ["Training", held_out], "Accuracy"),
    ):
        axes.set_prop_cycle(color=colours)
        axes.plot(frame.index, curves, marker="o", markersize=3, label=labels)
        axes.set(title=title, xlabel="Epoch")
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
    left.set_ylim(bottom=0)
    canvas.accuracy_axis(right)
    right.legend()
    finding = f"{held_out} accuracy peaks at {best:.2f} % in epoch {best_epoch} of {len(frame)}"
    return Chart("training-curves", finding, figure, source)


@canvas.house_style()
def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> Chart:
    """The confusion matrix [C, C], rows actual, columns predicted, with the number of each cell.

    Correct answers, a hundred times more numerous, would drown the errors in a common scale: the
    diagonal is grey, and colour shows errors, in percent of the samples of the actual class.
    """
    counts, correct = np.asarray(confusion), np.eye(len(confusion), dtype=bool)
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    scale = LinearSegmentedColormap.from_list("errors", [canvas.PAPER, canvas.VERMILION])
    n_classes = min(len(counts), _MOST_NUMBERED)
    side = 6.6 * max(1.0, n_classes / 14)
    figure, axes = canvas.new_figure(side, side + 1)
    shown = np.ma.masked_array(percent, mask=correct)
    picture = axes.imshow(shown, cmap=scale.with_extremes(bad=canvas.GRID), vmin=0)
    if len(counts) == n_classes:
        for (actual, predicted), count in np.ndenumerate(counts):
            axes.text(predicted, actual, f"{count:,}" if count else "·", ha="center", va="center")
    every = range(0, len(counts), 1 + len(counts) // _MOST_NUMBERED)
    labels = [subject.class_names[label] for label in every]
    axes.set_xticks(every, labels, rotation=90 if max(map(len, labels)) > 2 else 0)
    axes.set_yticks(every, labels)
    axes.grid(False)
    axes.set(xlabel=f"Predicted {subject.noun}", ylabel=f"Actual {subject.noun}")
    words = f"Errors (% of the {subject.samples} of the actual {subject.noun})"
    figure.colorbar(picture, ax=axes, shrink=0.75, label=words)
    percent_correct = 100 * int(np.trace(counts)) / max(int(counts.sum()), 1)
    finding = f"{percent_correct:.2f} % of {counts.sum():,} {subject.nouns} classified correctly"
    return Chart("confusion", finding, figure, source)
