"""One sample on its way through the network, spike by spike."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.encoding.events import EventList
from spikejoule.report.charts.raster import TIME_TITLE, SpikeRaster, has_few_units, spike_points
from spikejoule.report.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_GREY,
    ORANGE,
    VERMILION,
    capitalised,
    house_style,
    new_figure,
    scale_x,
    set_titles,
    to_png,
)

_HIDDEN_COLOURS = (GREEN, ORANGE)


def spike_raster(raster: SpikeRaster, source: str) -> bytes:
    """Stacked rasters of all layers over time, with the image and the output counts, as PNG."""
    layers = raster.layers
    n_layers, output = len(layers), layers[-1]
    with house_style():
        figure = new_figure(9.6, 3.6 + 2.0 * (n_layers - 1))
        grid = figure.add_gridspec(
            n_layers, 2, width_ratios=(1, 4.2), height_ratios=(1.25,) * (n_layers - 1) + (1,)
        )
        rasters: list[Axes] = []
        for place, layer in enumerate(layers):
            axes = figure.add_subplot(grid[place, 1], sharex=rasters[0] if rasters else None)
            rasters.append(axes)
            last = place == n_layers - 1
            colour = BLUE if place == 0 else VERMILION if last else _HIDDEN_COLOURS[(place - 1) % 2]
            _draw_events(axes, layer, colour, raster.step_ms)
            unit = f"neuron ({raster.subject.noun})" if last else "neuron"
            if place == 0:
                unit = raster.input_unit if raster.image is None else "pixel, row by row"
            axes.set_ylabel(f"{raster.layer_names[place].capitalize()} {unit}")
            axes.set_title(raster.title(place))
            axes.tick_params(labelbottom=last)
        rasters[-1].set_xlabel(TIME_TITLE)
        ticks = raster.unit_ticks(n_layers - 1)
        rasters[-1].set_yticks(ticks, [raster.subject.class_names[unit] for unit in ticks])
        scale_x(rasters[-1], raster.time)
        if raster.image is not None:
            _draw_image(figure.add_subplot(grid[0, 0]), raster.image, raster.shown)
        _draw_counts(figure.add_subplot(grid[-1, 0], sharey=rasters[-1]), raster)
        set_titles(
            figure,
            f"{capitalised(raster.shown)}, {raster.outcome}: "
            f"{layers[0].n_events:,} input spikes cause "
            f"{sum(layer.n_events for layer in layers[1:-1]):,} hidden and "
            f"{output.n_events:,} output spikes in {output.n_steps * raster.step_ms:g} ms",
            source,
        )
        return to_png(figure)


def _draw_events(axes: Axes, layer: EventList, colour: str, step_ms: float) -> None:
    few = has_few_units(layer)
    axes.scatter(
        *spike_points(layer, step_ms),
        s=60 if few else 7,
        marker="|",
        color=colour,
        linewidths=1.6 if few else 0.9,
    )
    margin = 0.6 if few else 0.02 * layer.n_inputs
    # Index 0 on top, so that the input reads like the image.
    axes.set_ylim(layer.n_inputs - 1 + margin, -margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_image(axes: Axes, image: NDArray[np.uint8], shown: str) -> None:
    axes.imshow(image, cmap="Greys_r", vmin=0, vmax=255)
    axes.set_title(f"Image: {shown}")
    axes.set_xticks([])
    axes.set_yticks([])
    n_rows, n_columns = image.shape
    axes.set_xlabel(f"{n_rows} × {n_columns} pixels")
    for spine in axes.spines.values():
        spine.set_visible(True)


def _draw_counts(axes: Axes, raster: SpikeRaster) -> None:
    counts, answer = raster.class_counts, raster.answer
    colours = [VERMILION if label == answer else GREY for label in range(counts.size)]
    axes.barh(range(counts.size), counts, color=colours, height=0.7)
    for label, count in enumerate(counts):
        if count:
            axes.annotate(
                str(count),
                xy=(count, label),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
    axes.set_xlim(0, max(int(counts.max()) * 1.2, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set_xlabel("Output spikes")
    axes.set_ylabel(raster.subject.noun.capitalize())
    named = None if answer is None else raster.subject.class_names[answer]
    axes.set_title("No output spikes" if named is None else f"Most spikes: {named}")
    axes.grid(True, axis="x", color=LIGHT_GREY)
    axes.set_axisbelow(True)
