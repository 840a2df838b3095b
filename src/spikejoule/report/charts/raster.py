"""One sample on its way through the network, spike by spike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.events import STEP_MS, EventList
from spikejoule.evaluation.measurement import Measurement
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

_MOST_NUMBERED_UNITS = 16


@dataclass(frozen=True, eq=False)
class SpikeRaster:
    """One sample and the spikes it causes; index 0 of a layer on top, as the input reads.

    Attributes:
        image: uint8 [height, width]; None for a sample that is none.
        label: the class of the sample.
        layers: the spikes of each layer, the input first; each an EventList of one sample.
        layer_names: their names, `input`, `hidden`, ..., `output`.
        subject: what the samples show.
        step_ms: milliseconds of a step.
        input_unit: what a unit of the input is.
        source: the data, and which sample of it this is.
    """

    image: NDArray[np.uint8] | None
    label: int
    layers: Sequence[EventList]
    layer_names: Sequence[str]
    subject: Subject = DIGITS
    step_ms: float = STEP_MS
    input_unit: str = "pixel"
    source: str = ""

    @cached_property
    def spikes_per_unit(self) -> tuple[NDArray[np.int64], ...]:
        """Spikes of each unit, int64 [units] a layer."""
        return tuple(layer.counts_per_source() for layer in self.layers)

    @property
    def answer(self) -> int | None:
        """The class with the most output spikes (the first of equals); None without a spike."""
        counts = self.spikes_per_unit[-1]
        return int(counts.argmax()) if counts.any() else None

    @property
    def outcome(self) -> str:
        """How the sample was read, in words."""
        if self.answer is None:
            return "without an answer"
        if self.answer == self.label:
            return "read correctly"
        return f"misread as {self.subject.class_names[self.answer]}"

    def title(self, place: int) -> str:
        """Of a layer: its name, and how many of its units spiked how often."""
        layer, units = self.layers[place], f"{self.input_unit}s" if place == 0 else "neurons"
        return (
            f"{self.layer_names[place].capitalize()}: {layer.n_events:,} spikes from "
            f"{np.count_nonzero(self.spikes_per_unit[place]):,} of {layer.n_inputs:,} {units}"
        )


def raster_of(measured: Measurement, samples: Samples, sample: int, step_ms: float) -> SpikeRaster:
    """The raster of one of the measured samples, which are the first of `samples`.

    Raises:
        ParameterError: it was not measured.
    """
    n_measured = min(measured.counts.n_samples, len(samples))
    if sample >= n_measured:
        raise ParameterError(
            f"energy_report.figure_sample: {sample} is not allowed; allowed: 0 to "
            f"{n_measured - 1}, the test images whose spikes were measured"
        )
    one = slice(sample, sample + 1)
    is_image = isinstance(samples, LabelledImages)
    return SpikeRaster(
        image=samples.images[sample] if isinstance(samples, LabelledImages) else None,
        label=int(samples.labels[sample]),
        layers=[layer.select(one) for layer in measured.layers],
        layer_names=measured.counts.layer_names,
        subject=samples.subject,
        step_ms=step_ms,
        input_unit="pixel" if is_image else "unit",
        source=f"test {'image' if is_image else 'sample'} {sample}",
    )


@canvas.house_style()
def spike_raster(raster: SpikeRaster, source: str, with_counts: bool = True) -> Chart:
    """The spikes of all layers over time.

    Args:
        raster: the sample and its spikes.
        source: the data.
        with_counts: whether the image and the output counts are beside them; the chart is wide
            then.
    """
    layers, n_layers, step_ms = raster.layers, len(raster.layers), raster.step_ms
    height, width = (2.2, 9.6) if with_counts else (1.8, canvas.WIDTH_INCHES)
    figure = canvas.new_figure(height * n_layers, width)
    ratios = (1, 4.2) if with_counts else (1,)
    rows = figure.add_gridspec(n_layers, len(ratios), width_ratios=ratios)
    shared: Axes | None = None
    for place, colour in enumerate(canvas.layer_colours(n_layers)):
        layer, last = layers[place], place == n_layers - 1
        axes = shared = figure.add_subplot(rows[place, -1], sharex=shared)
        _draw_spikes(axes, layer, colour, step_ms)
        unit = f"neuron ({raster.subject.noun})" if last else "neuron"
        if place == 0:
            unit = raster.input_unit if raster.image is None else "pixel, row by row"
        axes.set_ylabel(f"{raster.layer_names[place].capitalize()}\n{unit}")
        axes.set_title(raster.title(place))
        axes.tick_params(labelbottom=last)
        if last and layer.n_inputs <= _MOST_NUMBERED_UNITS:
            axes.set_yticks(range(layer.n_inputs), raster.subject.class_names[: layer.n_inputs])
            axes.tick_params(axis="y", labelsize=7)
    # The spikes of step t are drawn at t, in the middle of it.
    axes.set_xlim(-0.5 * step_ms, (layers[0].n_steps - 0.5) * step_ms)
    axes.set_xlabel("Time (ms)")
    shown, word = raster.subject.one(raster.label), "sample" if raster.image is None else "image"
    finding = f"One {word}, spike by spike: {shown}, {raster.outcome}"
    if with_counts:
        if raster.image is not None:
            _draw_image(figure.add_subplot(rows[0, 0]), raster.image, shown)
        _draw_counts(figure.add_subplot(rows[-1, 0], sharey=axes), raster)
        finding = (
            f"{shown[:1].upper()}{shown[1:]}, {raster.outcome}: {layers[0].n_events:,} input "
            f"spikes cause {sum(layer.n_events for layer in layers[1:-1]):,} hidden and "
            f"{layers[-1].n_events:,} output spikes in {layers[0].n_steps * step_ms:g} ms"
        )
    return Chart(
        "raster",
        finding,
        figure,
        "; ".join(filter(None, (source, raster.source))),
        "; ".join(raster.title(place) for place in range(n_layers)),
    )


def _draw_spikes(axes: Axes, layer: EventList, colour: str, step_ms: float) -> None:
    """A vertical stroke a spike, all of them one line with gaps: small in the page's SVG."""
    times, units = layer.row_of_each_event() * step_ms, layer.sources.astype(np.float64)
    half, gaps = max(0.35, 0.01 * layer.n_inputs), np.full(len(times), np.nan)
    x, y = np.stack([times, times, gaps], 1), np.stack([units - half, units + half, gaps], 1)
    axes.plot(x.ravel(), y.ravel(), color=colour, linewidth=1.4, solid_capstyle="butt")
    margin = max(0.6, 0.02 * layer.n_inputs)
    # Index 0 on top, so that the input reads like the image.
    axes.set_ylim(layer.n_inputs - 1 + margin, -margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_image(axes: Axes, image: NDArray[np.uint8], shown: str) -> None:
    axes.imshow(image, cmap="Greys_r", vmin=0, vmax=255, interpolation="none")
    axes.set(title=f"Image: {shown}", xticks=[], yticks=[])
    axes.set_xlabel(" × ".join(str(size) for size in image.shape) + " pixels")
    axes.spines[:].set_visible(True)


def _draw_counts(axes: Axes, raster: SpikeRaster) -> None:
    counts, answer = raster.spikes_per_unit[-1], raster.answer
    colours = [canvas.VERMILION if label == answer else canvas.GREY for label in range(counts.size)]
    bars = axes.barh(range(counts.size), counts, color=colours, height=0.7)
    axes.bar_label(bars, [str(count) if count else "" for count in counts], padding=3, fontsize=8)
    axes.set_xlim(0, max(int(counts.max()) * 1.2, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.set(xlabel="Output spikes", ylabel=raster.subject.noun.capitalize())
    named = None if answer is None else raster.subject.class_names[answer]
    axes.set_title("No output spikes" if named is None else f"Most spikes: {named}")
    axes.grid(True, axis="x")
