"""How training went, and which classes are taken for which others: the notebook's two figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
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
        history: one mapping per epoch with the fields of `model.checkpoint.EpochRecord`.
        best_epoch: whose weights were kept, from 1.
        source: which images the network learned from.
        held_out: what the weights were chosen on.
    """
    accuracies = {"train_accuracy_percent": "Training", "validation_accuracy_percent": held_out}
    frame = pd.DataFrame([*history]).set_index("epoch").rename_axis("Epoch")
    frame = frame[["train_loss", *accuracies]].astype(float)
    best = frame["validation_accuracy_percent"][best_epoch]
    figure = Figure(figsize=(9.6, 3.6))
    left, right = figure.subplots(1, 2)
    style = {"marker": "o", "markersize": 3, "color": [canvas.BLUE, canvas.VERMILION]}
    frame[["train_loss"]].plot(ax=left, title="Training loss (nats)", legend=False, **style)
    shown = frame[[*accuracies]].rename(columns=accuracies)
    shown.plot(ax=right, title="Accuracy (%)", **style)
    finding = f"{held_out} accuracy peaks at {best:.2f} % in epoch {best_epoch} of {len(frame)}"
    return Chart("training-curves", finding, figure, source)


@canvas.house_style()
def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> Chart:
    """The confusion matrix [C, C], rows actual, columns predicted, with the number of each cell.

    The scale ends at twice the most frequent error, whose number can so be read: correct answers
    are a hundred times as many.
    """
    from sklearn.metrics import ConfusionMatrixDisplay  # takes a second to import

    counts, n_classes = np.asarray(confusion), len(confusion)
    side = 6.6 * max(1.0, n_classes / 14)
    figure, axes = canvas.new_figure(side, side + 1)
    names = subject.class_names[:n_classes]
    errors = np.where(np.eye(n_classes, dtype=bool), 0, counts)
    ConfusionMatrixDisplay(counts, display_labels=names).plot(
        ax=axes,
        include_values=n_classes <= _MOST_NUMBERED,
        values_format=",d",
        cmap="Oranges",
        im_kw={"vmin": 0, "vmax": max(1, 2 * errors.max())},
        xticks_rotation="vertical" if max(map(len, names)) > 2 else "horizontal",
    )
    axes.grid(False)
    axes.set(xlabel=f"Predicted {subject.noun}", ylabel=f"Actual {subject.noun}")
    percent = 100 * int(np.trace(counts)) / max(int(counts.sum()), 1)
    finding = f"{percent:.2f} % of {counts.sum():,} {subject.nouns} classified correctly"
    return Chart("confusion", finding, figure, source)
