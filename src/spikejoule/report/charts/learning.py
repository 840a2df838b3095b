"""How training went and what it cost; which classes are read correctly, and as what the others."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.data.subject import DIGITS, Subject, numbered
from spikejoule.energy.estimates import energy_words
from spikejoule.energy.training import PHASES, TRAINING
from spikejoule.evaluation.evaluation import ClassRow
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart, NoChart

if TYPE_CHECKING:
    from spikejoule.energy import EnergyAnalysis

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
    epochs = [int(record["epoch"]) for record in history]
    accuracies = {
        name: [float(record[f"{key}_accuracy_percent"]) for record in history]
        for name, key in (
            ("Training", "train"),
            ("Test (validated on it)" if validated_on_test else "Validation", "validation"),
        )
    }
    held_out, validation = list(accuracies.items())[-1]
    best = validation[epochs.index(best_epoch)]
    errors = {name: list(map(canvas.error_percent, each)) for name, each in accuracies.items()}
    spikes = {
        name.capitalize(): [record["spikes"][layer] / record["samples"] for record in history]
        for layer, name in enumerate(layer_names)
    }
    figure = canvas.new_figure(5.6, 9.6)
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2, sharex=True)
    canvas.accuracy_axis(top_left, [*accuracies["Training"], *validation])
    _draw_curves(top_left, epochs, errors, (canvas.BLUE, canvas.VERMILION))
    ring = {"markersize": 9, "markerfacecolor": "none", "color": canvas.INK, "clip_on": False}
    top_left.plot([best_epoch], [canvas.error_percent(best)], "o", **ring)
    top_left.set_title(f"Accuracy (circle: the weights kept, epoch {best_epoch})")
    losses = {"": [float(record["train_loss"]) for record in history]}
    rates = {"": [float(record["learning_rate"]) for record in history]}
    layers = canvas.layer_colours(len(spikes))
    per_sample, learning_rate = "Spikes per training sample", "Learning rate (dimensionless)"
    for axes, curves, colours, title, unit in (
        (top_right, losses, [canvas.BLUE], "Training loss", "Cross-entropy (nats)"),
        (bottom_left, spikes, layers, "Activity while training", per_sample),
        (bottom_right, rates, [canvas.MUTED], "Learning rate", learning_rate),
    ):
        _draw_curves(axes, epochs, curves, colours)
        canvas.from_zero(axes, "y", 1.08 * max(map(max, curves.values())), canvas.plain_number)
        axes.set(title=title, ylabel=unit)
    for axes in (bottom_left, bottom_right):
        axes.set_xlabel("Epoch")
    finding = f"{held_out.split(' (')[0]} accuracy peaks at {best:.2f} % in epoch {best_epoch} "
    return Chart("training-curves", f"{finding}of {len(epochs)}", figure, source)


def _draw_curves(
    axes: Axes,
    epochs: Sequence[int],
    curves: Mapping[str, Sequence[float]],
    colours: Sequence[str],
) -> None:
    for (name, values), colour in zip(curves.items(), colours, strict=True):
        axes.plot(epochs, values, color=colour, linewidth=1.8, marker="o", markersize=3, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
    axes.grid(True, axis="y")
    if len(curves) > 1:
        axes.legend(fontsize=8.5)


@canvas.house_style()
def training_energy(analysis: "EnergyAnalysis") -> Chart | NoChart:
    """Validation accuracy after each epoch against the energy spent until then."""
    total, record = analysis.training, analysis.inputs.training
    if total is None or record is None:
        reason = "The checkpoint does not record what training's energy needs."
        return NoChart("training", "What training costs", reason)
    epochs = analysis.epochs(analysis.chosen)
    if not epochs or total.high_pj <= 0:
        reason = f"{energy_words(total)} in all; single epochs are not recorded."
        return NoChart("training", "What training costs", reason)
    until = [energies[TRAINING] for _, _, energies in epochs]
    spent = [one.high_pj if one.value_pj is None else one.value_pj for one in until]
    accuracies = [accuracy for _, accuracy, _ in epochs]
    errors = [canvas.error_percent(accuracy) for accuracy in accuracies]
    figure = canvas.new_figure(4.0)
    axes = figure.subplots()
    canvas.from_zero(axes, "x", 1.02 * spent[-1])
    canvas.accuracy_axis(axes, accuracies)
    label = "validation accuracy after each epoch"
    axes.plot(spent, errors, color=canvas.BLUE, linewidth=1.6, label=label)
    for (epoch, accuracy, energies), x, y in zip(epochs, spent, errors, strict=True):
        words = f"epoch {epoch}: {accuracy:.2f} %, {energy_words(energies[TRAINING])}"
        style: dict[str, Any] = {"color": canvas.BLUE, "markersize": 3.5}
        if epoch == record.best_epoch:
            kept = f"the weights kept, epoch {epoch}"
            style = {"color": canvas.VERMILION, "markersize": 8, "label": kept}
        canvas.mark(axes, x, y, words, **style)
    axes.set_xlabel(f"Energy of training until then, under {analysis.chosen.id}")
    canvas.legend_below(figure)
    shares = ", ".join(f"{phase} {energy_words(analysis.total(phase=phase))}" for phase in PHASES)
    ends = "" if total.value_pj is not None else " Drawn at the prices' upper ends."
    return Chart(
        "training",
        f"Training costs {energy_words(total)}",
        figure,
        caption=f"{shares}.{ends}",
    )


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
    n_classes = counts.shape[0]
    row_sums = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(n_classes, dtype=bool)
    percent = np.ma.masked_array(100 * counts / row_sums, mask=diagonal)
    colours = LinearSegmentedColormap.from_list(
        "errors", [canvas.PAPER, "#F6B58C", canvas.VERMILION]
    )
    highest = max(float(percent.max()), 0.1)
    side = max(1.0, min(n_classes, _MOST_NUMBERED) / 14)
    figure = canvas.new_figure(6.6 * side, 7.6 * side)
    axes = figure.subplots()
    picture = axes.imshow(
        percent, cmap=colours.with_extremes(bad=canvas.GRID), vmin=0, vmax=highest
    )
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
    names = [subject.class_names[label] for label in every]
    plain = subject.class_names == numbered(subject.n_classes)
    axes.set_xticks(every, names, rotation=0 if plain else 90)
    axes.set_yticks(every, names)
    axes.set_xticks(np.arange(n_classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n_classes + 1) - 0.5, minor=True)
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
        actual, predicted = np.unravel_index(errors.argmax(), errors.shape)
        number = int(errors[actual, predicted])
        finding += f"; most often wrong: {subject.class_names[int(actual)]} as "
        finding += f"{subject.class_names[int(predicted)]}, "
        finding += "once" if number == 1 else f"{number} times"
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
        (row.label, row.accuracy_percent, row.accuracy_low_percent, row.accuracy_high_percent,
         row.n_samples)
        for row in per_class
        if row.accuracy_percent is not None
        and row.accuracy_low_percent is not None
        and row.accuracy_high_percent is not None
    ]  # fmt: skip
    if not known:
        raise ValueError("no class has a sample")
    hardest = min(known, key=lambda entry: entry[1])
    figure = canvas.new_figure(4.2, 8.0 * max(1.0, min(len(known), 64) / 10))
    axes = figure.subplots()
    for label, percent, low, high, _ in known:
        colour = canvas.VERMILION if label == hardest[0] else canvas.BLUE
        axes.errorbar([label], [percent], [[percent - low], [high - percent]], fmt="o",
                      color=colour, markersize=7)  # fmt: skip
        axes.text(label + 0.12, percent, f"{percent:.1f}", va="center", color=colour)
    canvas.level(axes, overall_percent)
    axes.text(len(per_class) - 0.25, overall_percent, f"all {subject.nouns}\n"
              f"{overall_percent:.2f} %", va="center", color=canvas.MUTED)  # fmt: skip
    lowest = min(entry[2] for entry in known)
    # Down to a whole number below the lowest interval, which the axis label can state.
    bottom = max(0, math.floor(lowest - 0.02 * (100 - lowest)))
    axes.set_ylim(bottom, 100 + 0.02 * (100 - bottom))
    axes.set_xlim(-0.5, len(per_class) - 0.3)
    axes.set_xticks(
        [entry[0] for entry in known],
        [f"{subject.class_names[entry[0]]}\n{entry[4]:,}" for entry in known],
        rotation=0 if subject.class_names == numbered(subject.n_classes) else 45,
    )
    noun = f"{subject.noun[:1].upper()}{subject.noun[1:]}"
    axes.set_xlabel(f"{noun}, and its number of test {subject.samples}")
    axes.set_ylabel(f"Correct (%), axis from {bottom} %")
    axes.grid(True, axis="y")
    return Chart(
        "per-class",
        f"{noun} {subject.class_names[hardest[0]]} is the hardest: {hardest[1]:.1f} % of "
        f"{hardest[4]:,} {subject.samples}",
        figure,
        f"{source}; bars: {100 * confidence:g} % Wilson interval",
    )
