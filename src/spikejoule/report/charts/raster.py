"""The spike raster: one sample and its spikes in every layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.counts.measurement import Measurement
from spikejoule.data.dataset import Samples
from spikejoule.data.images import LabelledImages
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.events import STEP_MS, EventList
from spikejoule.network.readout import Readout
from spikejoule.report.charts import canvas
from spikejoule.report.charts.canvas import Chart

_MOST_NAMED_CLASSES = 16


@dataclass(frozen=True, eq=False)
class SpikeRaster:
    """One sample and the spikes it causes.

    Attributes:
        image: uint8 [height, width]; None for a sample that is not an image.
        label: the class of the sample.
        layers: the spikes of each layer, the input first, as event lists of one sample.
        layer_names: names of the layers: `input`, `hidden`, ..., `output`.
        subject: what the samples show.
        step_ms: duration of a time step.
        source: the data, and the sample's index.
        readout: how the output answers.
    """

    image: NDArray[np.uint8] | None
    label: int
    layers: Sequence[EventList]
    layer_names: Sequence[str]
    subject: Subject = DIGITS
    step_ms: float = STEP_MS
    source: str = ""
    readout: Readout = Readout.SPIKES

    @cached_property
    def scores(self) -> NDArray[Any]:
        """The score of each class, [O]."""
        scores: NDArray[Any] = self.readout.scores(self.layers[-1])[0]
        return scores

    @cached_property
    def answer(self) -> int | None:
        """The class with the highest score, the first if tied; None without spikes."""
        if self.readout.is_spiking and not self.scores.any():
            return None
        return int(self.scores.argmax())

    @property
    def outcome(self) -> str:
        """How the sample was classified, in words."""
        if self.answer is None:
            return "no answer"
        if self.answer == self.label:
            return "classified correctly"
        return f"misclassified as {self.subject.class_names[self.answer]}"

    def title(self, place: int) -> str:
        """Title layer `place` (0 is the input): its name, spikes and spiking units."""
        layer = self.layers[place]
        if layer.potentials is not None:
            return f"Output: potentials of {layer.n_inputs:,} neurons without spikes"
        units = "neurons" if place else "units" if self.image is None else "pixels"
        return (
            f"{self.layer_names[place].capitalize()}: {layer.n_events:,} spikes from "
            f"{np.count_nonzero(layer.counts_per_source()):,} of "
            f"{layer.n_inputs:,} {units}"
        )


def raster_of(
    measured: Measurement, samples: Samples, sample: int, step_ms: float, title: str
) -> SpikeRaster:
    """Return the raster of one sample.

    Args:
        measured: spikes of the first of `samples`.
        samples: the test samples.
        sample: index of the sample.
        step_ms: duration of a time step.
        title: name of the data.

    Raises:
        ParameterError: the sample was not measured.
    """
    n_measured = min(measured.counts.n_samples, len(samples))
    if sample >= n_measured:
        raise ParameterError(
            f"energy_report.figure_sample: {sample} is not allowed; allowed: 0 to "
            f"{n_measured - 1}, the test images that are counted"
        )
    return SpikeRaster(
        image=samples.images[sample] if isinstance(samples, LabelledImages) else None,
        label=int(samples.labels[sample]),
        layers=[layer.select(slice(sample, sample + 1)) for layer in measured.layers],
        layer_names=measured.counts.layer_names,
        subject=samples.subject,
        step_ms=step_ms,
        source=f"{title}; test {samples.subject.sample} {sample}",
        readout=measured.network.readout,
    )


@canvas.house_style()
def spike_raster(raster: SpikeRaster) -> Chart:
    """Draw the sample and its scores; below, the spikes of all layers.

    Of an output that integrates, draw the potentials.

    Unit 0 of a layer is on top, as the first row of an image is.
    """
    layers = raster.layers
    subject = raster.subject
    n_layers = len(raster.layers)
    figure = Figure(figsize=(5.4, 2 + 1.6 * n_layers))
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 0.8 * n_layers))
    top, bottom = (figure.add_subfigure(grid[place]) for place in range(2))
    sample_text = subject.one(raster.label)
    image, scores = top.subplots(1, 2, width_ratios=(1, 1.5))
    _draw_image(image, raster.image, sample_text)
    _draw_scores(scores, raster)
    axes = bottom.subplots(n_layers, 1, sharex=True)
    for place, colour in enumerate(canvas.layer_colours(raster.layer_names).values()):
        if layers[place].potentials is None:
            _draw_spikes(axes[place], layers[place], colour, raster.step_ms)
        else:
            _draw_potentials(axes[place], raster)
        unit = "neuron" if layers[place].potentials is None else "potential"
        if place == 0:
            unit = "unit" if raster.image is None else "pixel, row by row"
        axes[place].set(title=raster.title(place), ylabel=unit)
    if raster.readout.is_spiking and layers[-1].n_inputs <= _MOST_NAMED_CLASSES:
        names = subject.class_names[: layers[-1].n_inputs]
        axes[-1].set_yticks(range(len(names)), names, fontsize=7)
    # Spikes of step t are drawn at t, the middle of the step.
    axes[-1].set_xlim(-0.5 * raster.step_ms, (layers[0].n_steps - 0.5) * raster.step_ms)
    axes[-1].set_xlabel("Time (ms)")
    n_hidden_spikes = sum(layer.n_events for layer in layers[1:-1])
    caused = f"{n_hidden_spikes:,} hidden"
    if raster.readout.is_spiking:
        caused += f" and {layers[-1].n_events:,} output"
    finding = (
        f"{sample_text[:1].upper()}{sample_text[1:]}, {raster.outcome}: "
        f"{layers[0].n_events:,} input spikes cause {caused} spikes in "
        f"{layers[0].n_steps * raster.step_ms:g} ms"
    )
    description = "; ".join(raster.title(place) for place in range(n_layers))
    return Chart("raster", finding, figure, raster.source, description)


def _draw_spikes(axes: Axes, layer: EventList, colour: str, step_ms: float) -> None:
    """Draw a vertical stroke per spike, as one line with gaps to keep the SVG small."""
    times = layer.row_of_each_event() * step_ms
    units = layer.sources.astype(np.float64)
    half = max(0.35, 0.01 * layer.n_inputs)
    gaps = np.full(len(times), np.nan)
    x = np.stack([times, times, gaps], 1)
    y = np.stack([units - half, units + half, gaps], 1)
    axes.plot(x.ravel(), y.ravel(), color=colour, solid_capstyle="butt")
    margin = max(0.6, 0.02 * layer.n_inputs)
    # Unit 0 on top, as the first row of an image is.
    axes.set_ylim(layer.n_inputs - 1 + margin, -margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def _draw_potentials(axes: Axes, raster: SpikeRaster) -> None:
    """Draw the potential of each output neuron, the answer's in front."""
    potentials = raster.layers[-1].potentials
    assert potentials is not None
    _, n_steps, n_classes = potentials.shape
    times = np.arange(n_steps) * raster.step_ms
    for label in range(n_classes):
        is_answer = label == raster.answer
        colour = canvas.PINK if is_answer else canvas.GREY
        axes.plot(times, potentials[0, :, label], color=colour, zorder=2 + is_answer)


def _draw_image(axes: Axes, image: NDArray[np.uint8] | None, text: str) -> None:
    axes.set_axis_off()
    axes.set_title(f"Shown: {text}")
    if image is not None:
        axes.imshow(image, vmin=0, vmax=255)


def _draw_scores(axes: Axes, raster: SpikeRaster) -> None:
    scores = raster.scores
    answer = raster.answer
    names = raster.subject.class_names[: scores.size]
    colours = [
        canvas.PINK if label == answer else canvas.GREY for label in range(scores.size)
    ]
    axes.bar(range(scores.size), scores, color=colours)
    rotation = 90 if max(map(len, names)) > 2 else 0
    axes.set_xticks(range(scores.size), names, rotation=rotation)
    is_spiking = raster.readout.is_spiking
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=is_spiking))
    scored = "spikes" if is_spiking else "potential"
    axes.set_title(f"Output {scored} by {raster.subject.noun}")
