"""How training went, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from spikejoule.report.charts.scales import ACCURACY_TITLE
from spikejoule.report.charts.training import AccuracyCurves, accuracy_curves
from spikejoule.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    SKY,
    VERMILION,
    house_style,
    light_grid,
    new_figure,
    scale_y,
    set_titles,
    to_png,
)

# Of a curve's name, as a fraction of the height of its axes.
_NAME_HEIGHT = 0.065
_HIDDEN_COLOURS = (GREEN, ORANGE, SKY)


def training_curves(
    history: Sequence[Mapping[str, Any]],
    layer_names: Sequence[str],
    best_epoch: int,
    source: str,
    validated_on_test: bool = False,
) -> bytes:
    """Accuracy, loss, spikes per training sample and learning rate over the epochs, as PNG bytes.

    `history` holds one mapping per epoch with the fields of `training.EpochRecord`; `layer_names`
    names the entries of its `spikes`, the input first; `best_epoch` counts from 1. `source` says
    which images the network learned from. `validated_on_test` puts the warning into the figure
    that the "validation" images are the test images.
    """
    epochs = [int(record["epoch"]) for record in history]
    validation = [float(record["validation_accuracy_percent"]) for record in history]
    best = validation[epochs.index(best_epoch)]
    held_out = "Test (validated on it)" if validated_on_test else "Validation"
    training = [float(record["train_accuracy_percent"]) for record in history]
    chart = accuracy_curves(epochs, {"Training": training, held_out: validation}, best_epoch)
    with house_style():
        figure = new_figure(9.6, 6.2)
        (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2, sharex=True)
        _draw_accuracy(top_left, chart, held_out)
        loss = [float(record["train_loss"]) for record in history]
        _draw_lines(top_right, epochs, {"": (loss, BLUE)}, from_zero=True)
        top_right.set_title("Training loss")
        top_right.set_ylabel("Cross-entropy (nats)")
        _draw_spikes(bottom_left, history, epochs, layer_names)
        rates = [float(record["learning_rate"]) for record in history]
        _draw_lines(bottom_right, epochs, {"": (rates, GREY)}, from_zero=True)
        bottom_right.set_title("Learning rate")
        bottom_right.set_ylabel("Learning rate (dimensionless)")
        bottom_right.yaxis.set_major_formatter(lambda rate, _position: f"{rate:g}")
        for axes in (bottom_left, bottom_right):
            axes.set_xlabel("Epoch")
        set_titles(
            figure,
            f"{held_out.split(' (')[0]} accuracy peaks at {best:.2f} % in epoch {best_epoch} "
            f"of {len(epochs)}",
            source,
        )
        return to_png(figure)


def _draw_accuracy(axes: Axes, chart: AccuracyCurves, kept_curve: str) -> None:
    """Accuracies, with a circle at the epoch of one curve whose weights were kept."""
    colours = (BLUE, VERMILION)
    curves = {
        name: (errors, colour)
        for (name, errors), colour in zip(chart.errors_percent.items(), colours, strict=True)
    }
    scale_y(axes, chart.y)
    _draw_lines(axes, chart.epochs, curves)
    if chart.kept_epoch is not None:
        kept = chart.errors_percent[kept_curve][chart.epochs.index(chart.kept_epoch)]
        axes.plot(
            [chart.kept_epoch], [kept], "o",
            markersize=9, markerfacecolor="none", color=INK, clip_on=False,
        )  # fmt: skip
    axes.set_title(f"Accuracy (circle: {chart.kept_words})")
    axes.set_ylabel(ACCURACY_TITLE)


def _draw_spikes(
    axes: Axes,
    history: Sequence[Mapping[str, Any]],
    epochs: Sequence[int],
    layer_names: Sequence[str],
) -> None:
    n_hidden = len(layer_names) - 2
    hidden_colours = [_HIDDEN_COLOURS[index % len(_HIDDEN_COLOURS)] for index in range(n_hidden)]
    colours = [BLUE, *hidden_colours, VERMILION]
    curves = {
        name.capitalize(): (
            [record["spikes"][layer] / record["samples"] for record in history],
            colours[layer],
        )
        for layer, name in enumerate(layer_names)
    }
    _draw_lines(axes, epochs, curves, from_zero=True)
    axes.set_title("Activity while training")
    axes.set_ylabel("Spikes per training sample")


def _draw_lines(
    axes: Axes,
    epochs: Sequence[int],
    curves: Mapping[str, tuple[Sequence[float], str]],
    from_zero: bool = False,
) -> None:
    """Lines with their names written at their ends, kept apart where the ends are close."""
    for values, colour in curves.values():
        axes.plot(epochs, values, color=colour, linewidth=1.8, marker="o", markersize=3.2)
    axes.set_xticks(_epoch_ticks(epochs))
    axes.set_xlim(epochs[0] - 0.02 * len(epochs), epochs[-1] + 0.02 * len(epochs))
    light_grid(axes, "y")
    if from_zero:
        axes.set_ylim(0, 1.08 * max(max(values) for values, _ in curves.values()) or 1)
    _name_ends(axes, epochs[-1], curves)


def _name_ends(
    axes: Axes, last_epoch: int, curves: Mapping[str, tuple[Sequence[float], str]]
) -> None:
    """Write each curve's name beside its last point, names that would overlap moved apart."""
    to_fraction = axes.transData + axes.transAxes.inverted()
    ends = sorted(
        (float(to_fraction.transform((last_epoch, values[-1]))[1]), name, colour)
        for name, (values, colour) in curves.items()
    )
    places: list[float] = []
    for fraction, _, _ in ends:
        places.append(max(fraction, places[-1] + _NAME_HEIGHT) if places else fraction)
    excess = max(places[-1] - 1.0, 0.0)
    for place, (_, name, colour) in zip(places, ends, strict=True):
        axes.annotate(
            name,
            xy=(1.0, place - excess),
            xycoords="axes fraction",
            xytext=(3, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _epoch_ticks(epochs: Sequence[int]) -> list[int]:
    """The first epoch and then at most ten round ones."""
    step = next(
        step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10_000) if len(epochs) <= 10 * step
    )
    return sorted({epochs[0], *(epoch for epoch in epochs if epoch % step == 0)})
