"""One image on its way through the network, spike by spike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ParameterError
from spikejoule.data.images import LabelledImages, Samples
from spikejoule.data.subject import DIGITS, Subject
from spikejoule.encoding.events import STEP_MS, EventList
from spikejoule.evaluation.measurement import Measurement
from spikejoule.report.charts.scales import Scale, step_scale

TIME_TITLE: Final = "Time (ms)"

_FEW_UNITS = 32  # whose marks may be large
_MOST_NUMBERED_UNITS = 16


@dataclass(frozen=True, eq=False)
class SpikeRaster:
    """One image and the spikes it causes; index 0 of a layer on top, as the input reads.

    Attributes:
        image: uint8 [height, width]; None for a sample that is none.
        label: the class of the sample.
        layers: the spikes of each layer, the input first; each an EventList of one sample.
        layer_names: their names, `input`, `hidden`, ..., `output`.
        subject: what the samples show.
        step_ms: milliseconds of a step.
        input_unit: what a unit of the input is.

    Raises:
        ValueError: a layer does not hold exactly one sample, or the layers differ in their steps.
    """

    image: NDArray[np.uint8] | None
    label: int
    layers: Sequence[EventList]
    layer_names: Sequence[str]
    subject: Subject = DIGITS
    step_ms: float = STEP_MS
    input_unit: str = "pixel"

    def __post_init__(self) -> None:
        if any(layer.n_samples != 1 for layer in self.layers):
            raise ValueError("a raster shows one sample")
        if len({layer.n_steps for layer in self.layers}) != 1:
            raise ValueError("the layers differ in their number of steps")

    @cached_property
    def _spikes_per_unit(self) -> tuple[NDArray[np.int64], ...]:
        return tuple(layer.counts_per_source() for layer in self.layers)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Spikes of each output neuron, int64 [O]."""
        return self._spikes_per_unit[-1]

    @property
    def answer(self) -> int | None:
        """The class with the most output spikes (the first of equals); None without a spike."""
        return int(self.class_counts.argmax()) if self.class_counts.any() else None

    @property
    def outcome(self) -> str:
        """How the sample was read, in words."""
        if self.answer is None:
            return "without an answer"
        if self.answer == self.label:
            return "read correctly"
        return f"misread as {self.subject.class_names[self.answer]}"

    @property
    def shown(self) -> str:
        """What the sample is, in words."""
        return self.subject.one(self.label)

    @property
    def sample_word(self) -> str:
        """What a sample is: an image, or a sample."""
        return "sample" if self.image is None else "image"

    @property
    def time(self) -> Scale:
        """Time in ms; the spikes of step t are drawn at t, in the middle of it."""
        return step_scale(self.layers[0].n_steps, self.step_ms)

    def title(self, place: int) -> str:
        """Of a layer: its name, and how many of its units spiked how often."""
        layer, name = self.layers[place], self.layer_names[place]
        units = f"{self.input_unit}s" if place == 0 else "neurons"
        return (
            f"{name.capitalize()}: {layer.n_events:,} spikes from "
            f"{np.count_nonzero(self._spikes_per_unit[place]):,} of {layer.n_inputs:,} {units}"
        )

    def unit_ticks(self, place: int) -> range:
        """Units of a layer that are numbered: those of an output of few classes."""
        layer = self.layers[place]
        is_output = place == len(self.layers) - 1
        return range(layer.n_inputs if is_output and layer.n_inputs <= _MOST_NUMBERED_UNITS else 0)


def spike_points(layer: EventList, step_ms: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Time in ms and unit of each spike of one sample, [E] each; `step_ms` is that of a step."""
    times_ms = (layer.row_of_each_event() * step_ms).astype(np.float64)
    return times_ms, layer.sources.astype(np.int64)


def has_few_units(layer: EventList) -> bool:
    """Whether there is room for large marks."""
    return layer.n_inputs <= _FEW_UNITS


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
    return SpikeRaster(
        image=samples.images[sample] if isinstance(samples, LabelledImages) else None,
        label=int(samples.labels[sample]),
        layers=[layer.select(one) for layer in measured.layers],
        layer_names=measured.counts.layer_names,
        subject=samples.subject,
        step_ms=step_ms,
        input_unit="pixel" if isinstance(samples, LabelledImages) else "unit",
    )
