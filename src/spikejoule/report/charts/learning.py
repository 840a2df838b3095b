"""Training curves, the energy of training, and the confusion matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spikejoule.data.subject import DIGITS, Subject
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart
from spikejoule.report.units import joules

if TYPE_CHECKING:
    from spikejoule.compare.analysis import EnergyAnalysis
    from spikejoule.network.sections import EpochRecord

_MOST_NUMBERED = 40
"""Classes of a matrix whose cells show their numbers, at most."""


@canvas.house_style()
def training_curves(
    history: "Sequence[EpochRecord]",
    best_epoch: int,
    source: str,
    held_out: str = "Validation",
) -> Chart:
    """Draw loss, and accuracy on training and held-out images, over the epochs.

    Args:
        history: the epochs.
        best_epoch: the epoch whose weights were kept, from 1.
        source: the training images.
        held_out: the images by which the weights were chosen.
    """
    epochs = [record.epoch for record in history]
    losses = [record.train_loss for record in history]
    training = [record.train_accuracy_percent for record in history]
    validation = [record.validation_accuracy_percent for record in history]
    best = validation[epochs.index(best_epoch)]
    style = {"marker": "o", "markersize": 3}
    figure = Figure(figsize=(9.6, 3.6))
    left, right = figure.subplots(1, 2)
    left.plot(epochs, losses, color=canvas.BLUE, **style)
    right.plot(epochs, training, color=canvas.BLUE, label="Training", **style)
    right.plot(epochs, validation, color=canvas.VERMILION, label=held_out, **style)
    right.legend()
    left.set(title="Training loss (nats)", xlabel="Epoch")
    right.set(title="Accuracy (%)", xlabel="Epoch")
    finding = (
        f"{held_out} accuracy peaks at {best:.2f} % in epoch {best_epoch} of "
        f"{len(epochs)}"
    )
    return Chart("training-curves", finding, figure, source)


def training_energy(analysis: "EnergyAnalysis") -> Chart | None:
    """Draw the joules so far against the validation accuracy of each epoch.

    None if the accuracies are not recorded, or training has no total.
    """
    training = analysis.training
    record = analysis.inputs.training
    if training is None or record is None or training.total is None:
        return None
    percents = record.validation_accuracies_percent
    if percents is None:
        return None
    return joules_against_accuracy(
        training.so_far_j, percents, analysis.chosen.title, "Validation accuracy"
    )


@canvas.house_style()
def joules_against_accuracy(
    so_far_j: NDArray[np.float64],
    percents: NDArray[np.float64],
    source: str,
    measure: str,
) -> Chart:
    """Draw the joules so far against the accuracy of each epoch.

    Args:
        so_far_j: joules up to each epoch at both ends, [2, E].
        percents: accuracies after each epoch, [E].
        source: the price list.
        measure: what the accuracies are, in words.
    """
    low_j, high_j = so_far_j
    middle_j = (low_j + high_j) / 2
    figure, axes = canvas.new_figure(3.2)
    axes.fill_betweenx(percents, low_j, high_j, color=canvas.BLUE, alpha=0.3, lw=0)
    axes.plot(middle_j, percents, color=canvas.BLUE, marker="o", markersize=3)
    axes.set(xlabel="Energy of training so far (J)", ylabel=f"{measure} (%)")
    best = int(np.argmax(percents))
    # The first epoch that comes within half a percentage point of the best
    near = int(np.argmax(percents >= percents[best] - 0.5))
    earlier = f"{percents[near]:.2f} % after {_joules(middle_j[near])}, and "
    finding = (
        f"Training reaches {earlier if near < best else ''}"
        f"its best accuracy of {percents[best]:.2f} % after {_joules(middle_j[best])}"
    )
    return Chart("training-energy", finding, figure, source)


def _joules(energy_j: float) -> str:
    return joules(energy_j * PJ_PER_J, 3)


@canvas.house_style()
def confusion_matrix(
    confusion: NDArray[np.integer[Any]], source: str, subject: Subject = DIGITS
) -> Chart:
    """Draw the confusion matrix [C, C], rows actual, columns predicted.

    The colour scale ends at twice the most frequent error, so errors stay visible next
    to correct answers, which are a hundred times as many.
    """
    counts = np.asarray(confusion)
    n_classes = len(confusion)
    side = 6.6 * max(1.0, n_classes / 14)
    figure, axes = canvas.new_figure(side, side + 1)
    names = subject.class_names[:n_classes]
    errors = np.where(np.eye(n_classes, dtype=bool), 0, counts)
    image = axes.imshow(counts, cmap="Oranges", vmin=0, vmax=max(1, 2 * errors.max()))
    figure.colorbar(image, ax=axes)
    pale = image.cmap(0)
    dark = image.cmap(1.0)
    half = (counts.max() + counts.min()) / 2
    if n_classes <= _MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            color = dark if count < half else pale
            axes.text(column, row, f"{count:,d}", ha="center", va="center", color=color)
    rotation = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(n_classes), names, rotation=rotation)
    axes.set_yticks(range(n_classes), names)
    axes.grid(False)
    axes.set(xlabel=f"Predicted {subject.noun}", ylabel=f"Actual {subject.noun}")
    percent = 100 * int(np.trace(counts)) / max(int(counts.sum()), 1)
    finding = (
        f"{percent:.2f} % of {counts.sum():,} {subject.nouns} classified correctly"
    )
    return Chart("confusion", finding, figure, source)
