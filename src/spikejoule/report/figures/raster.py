"""One digit on its way through the network, spike by spike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spikejoule.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    VERMILION,
    house_style,
    new_figure,
    set_titles,
    to_png,
)
from spikejoule.spikes.events import STEP_MS, EventList

_HIDDEN_COLOURS = (GREEN, ORANGE)


@dataclass(frozen=True, eq=False)
class SpikeRaster:
    """What `spike_raster` draws: one image and the spikes it causes.

    Attributes:
        image: uint8 [28, 28].
        label: the digit that the image shows.
        layers: the spikes of each layer, the input first; each an EventList of one sample.
        layer_names: their names, `input`, `hidden`, ..., `output`.
    """

    image: npt.NDArray[np.uint8]
    label: int
    layers: Sequence[EventList]
    layer_names: Sequence[str]


def spike_raster(raster: SpikeRaster, source: str) -> bytes:
    """Stacked rasters of all layers over time, with the image and the output counts, as PNG bytes.

    Raises ValueError if a layer does not hold exactly one sample, or if the layers differ in their
    number of steps.
    """
    if any(layer.n_samples != 1 for layer in raster.layers):
        raise ValueError("a raster shows one sample")
    if len({layer.n_steps for layer in raster.layers}) != 1:
        raise ValueError("the layers differ in their number of steps")
    output = raster.layers[-1]
    counts = output.counts_per_source()
    prediction = int(counts.argmax())
    n_layers = len(raster.layers)
    with house_style():
        figure = new_figure(9.6, 3.6 + 2.0 * (n_layers - 1))
        grid = figure.add_gridspec(
            n_layers, 2, width_ratios=(1, 4.2), height_ratios=(1.25,) * (n_layers - 1) + (1,)
        )
        rasters: list[Axes] = []
        for index, (layer, name) in enumerate(zip(raster.layers, raster.layer_names, strict=True)):
            axes = figure.add_subplot(grid[index, 1], sharex=rasters[0] if rasters else None)
            rasters.append(axes)
            last = index == n_layers - 1
            colour = BLUE if index == 0 else VERMILION if last else _HIDDEN_COLOURS[(index - 1) % 2]
            _draw_events(axes, layer, colour)
            unit = "pixel, row by row" if index == 0 else "digit" if last else "neuron"
            axes.set_ylabel(f"{name.capitalize()} {unit}" if not last else "Output neuron (digit)")
            axes.set_title(
                f"{name.capitalize()}: {layer.n_events:,} spikes from "
                f"{np.count_nonzero(layer.counts_per_source()):,} of {layer.n_inputs:,} "
                f"{'pixels' if index == 0 else 'neurons'}"
            )
            axes.tick_params(labelbottom=last)
        rasters[-1].set_xlabel("Time (ms)")
        rasters[-1].set_yticks(range(output.n_inputs))
        rasters[0].set_xlim(-0.5 * STEP_MS, (output.n_steps - 0.5) * STEP_MS)
        _draw_image(figure.add_subplot(grid[0, 0]), raster)
        _draw_counts(figure.add_subplot(grid[-1, 0], sharey=rasters[-1]), counts, prediction)
        read = "read correctly" if prediction == raster.label else f"misread as {prediction}"
        if not counts.any():
            read = "without an answer"
        set_titles(
            figure,
            f"A {raster.label}, {read}: {raster.layers[0].n_events:,} input spikes cause "
            f"{sum(layer.n_events for layer in raster.layers[1:-1]):,} hidden and "
            f"{output.n_events:,} output spikes in {output.n_steps * STEP_MS:g} ms",
            source,
        )
        return to_png(figure)


def _draw_events(axes: Axes, layer: EventList, colour: str) -> None:
    times_ms = layer.row_of_each_event() * STEP_MS
    few = layer.n_inputs <= 32
    axes.scatter(
        times_ms,
        layer.sources.astype(np.int64),
        s=60 if few else 7,
        marker="|",
        color=colour,
        linewidths=1.6 if few else 0.9,
    )
    margin = 0.6 if few else 0.02 * layer.n_inputs
    # Index 0 on top, so that the input reads like the image.
    axes.set_ylim(layer.n_inputs - 1 + margin, -margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_image(axes: Axes, raster: SpikeRaster) -> None:
    axes.imshow(raster.image, cmap="Greys_r", vmin=0, vmax=255)
    axes.set_title(f"Image: a {raster.label}")
    axes.set_xticks([])
    axes.set_yticks([])
    n_rows, n_columns = raster.image.shape
    axes.set_xlabel(f"{n_rows} × {n_columns} pixels")
    for spine in axes.spines.values():
        spine.set_visible(True)


def _draw_counts(axes: Axes, counts: npt.NDArray[np.int64], prediction: int) -> None:
    colours = [VERMILION if digit == prediction else GREY for digit in range(counts.size)]
    axes.barh(range(counts.size), counts, color=colours, height=0.7)
    for digit, count in enumerate(counts):
        if count:
            axes.annotate(
                str(count),
                xy=(count, digit),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
    axes.set_xlim(0, max(int(counts.max()) * 1.2, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_xlabel("Output spikes")
    axes.set_ylabel("Digit")
    axes.set_title(f"Most spikes: {prediction}" if counts.any() else "No output spikes")
    axes.grid(True, axis="x", color=LIGHT_GREY)
    axes.set_axisbelow(True)
