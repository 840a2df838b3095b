"""One image on its way through the network, spike by spike."""

from spikejoule.data.subject import Subject
from spikejoule.encoding.events import EventList
from spikejoule.report.charts.raster import TIME_TITLE, SpikeRaster, has_few_units, spike_points
from spikejoule.report.page.figure import Words, absent, figure
from spikejoule.report.page.markup import Markup, element
from spikejoule.report.page.plot import percent, text

_GAP = 26
_LAYER_HEIGHT = 150


def raster_figure(raster: SpikeRaster | None, subject: Subject) -> Markup:
    """Every layer's spikes over time, the first unit on top."""
    if raster is None:
        word = subject.sample
        return absent("raster", f"One {word}, spike by spike", f"No {word}'s spikes are known.")
    marks, top, told = [], 0, []
    for place, layer in enumerate(raster.layers):
        is_output = place == len(raster.layers) - 1
        told.append(raster.title(place))
        marks.append(text("0", str(top), told[-1], dy=15, style="label"))
        marks.append(_spikes(layer, top + _GAP, 1 if place == 0 else 2 + is_output))
        for unit in raster.unit_ticks(place):
            y = top + _GAP + _LAYER_HEIGHT * (unit + 0.5) / layer.n_inputs
            marks.append(
                text("0", f"{y:.1f}", raster.subject.class_names[unit], "end", dx=-8, dy=4)
            )
        top += _GAP + _LAYER_HEIGHT + 8
    for value, label in raster.time.ticks:
        marks.append(text(percent(raster.time.place(value)), str(top), label, "middle", dy=12))
    units = "those of the sensor" if raster.image is None else "the pixels, row by row"
    words = Words(
        key="raster",
        finding=f"One {raster.sample_word}, spike by spike: {raster.shown}, {raster.outcome}",
        description="; ".join(told),
        x_title=TIME_TITLE,
        caption=f"Each mark is a spike. The input's units are {units}; output "
        "neurons are the classes, and the one with the most spikes is the answer.",
    )
    return figure(words, marks, top + 2)


def _spikes(layer: EventList, top: int, colour: int) -> Markup:
    """A mark a spike: lines without length, whose round ends keep their size at any width.

    The box of a layer is one wide a step and one high a unit; a spike is in the middle of its own.
    """
    steps, units = spike_points(layer, 1.0)
    drawn = "".join(
        f"M{step + 0.5:g} {unit + 0.5:g}h0"
        for step, unit in zip(steps.tolist(), units.tolist(), strict=True)
    )
    few = " few" if has_few_units(layer) else ""
    return element(
        "svg",
        element("rect", x="0", y="0", width=layer.n_steps, height=layer.n_inputs, class_="field"),
        element("path", d=drawn, class_=f"spikes s{colour}{few}",
                vector_effect="non-scaling-stroke") if drawn else None,
        y=top,
        width="100%",
        height=_LAYER_HEIGHT,
        viewBox=f"0 0 {layer.n_steps} {layer.n_inputs}",
        preserveAspectRatio="none",
        class_="stretched",
    )  # fmt: skip
