"""One image on its way through the network, spike by spike."""

from spikejoule.report.content import Raster
from spikejoule.report.figure import Words, absent, figure
from spikejoule.report.markup import Markup, element
from spikejoule.report.plot import linear_scale, percent, text
from spikejoule.spikes.events import STEP_MS, EventList

_GAP = 26
_HEIGHT = 150  # of a layer


def raster_figure(raster: Raster | None) -> Markup:
    """Every layer's spikes over time, the first unit on top."""
    if raster is None:
        return absent("raster", "One image, spike by spike", "No image's spikes are known.")
    counts = raster.layers[-1].counts_per_source()
    answer = int(counts.argmax())
    read = "read correctly" if answer == raster.label else f"misread as {answer}"
    if not counts.any():
        read = "without an answer"
    n_steps, last = raster.layers[0].n_steps, len(raster.layers) - 1
    scale = linear_scale(n_steps * STEP_MS)
    marks, top, told = [], 0, []
    for place, (name, layer) in enumerate(zip(raster.layer_names, raster.layers, strict=True)):
        units = "pixels" if place == 0 else "neurons"
        told.append(f"{name}: {layer.n_events:,} spikes of {layer.n_inputs:,} {units}")
        marks.append(text("0", str(top), told[-1], dy=15, style="label"))
        marks.append(_spikes(layer, top + _GAP, 1 if place == 0 else 2 + (place == last)))
        if place == last and layer.n_inputs <= 16:
            marks += [
                text("0", f"{top + _GAP + _HEIGHT * (unit + 0.5) / layer.n_inputs:.1f}",
                     str(unit), "end", dx=-8, dy=4)
                for unit in range(layer.n_inputs)
            ]  # fmt: skip
        top += _GAP + _HEIGHT + 8
    for value, label in scale.ticks:
        marks.append(text(percent(scale.place(value)), str(top), label, "middle", dy=12))
    words = Words(
        key="raster",
        finding=f"One image, spike by spike: a {raster.label}, {read}",
        description="; ".join(told),
        x_title="Time (ms)",
        caption="Each mark is a spike. The input's units are the pixels, row by row; output "
        "neurons are the classes, and the one with the most spikes is the answer.",
    )
    return figure(words, marks, top + 2)


def _spikes(layer: EventList, top: int, colour: int) -> Markup:
    """A mark a spike: lines without length, whose round ends keep their size at any width."""
    steps = layer.row_of_each_event().tolist()
    drawn = "".join(
        f"M{step + 0.5:g} {unit + 0.5:g}h0"
        for step, unit in zip(steps, layer.sources.tolist(), strict=True)
    )
    few = " few" if layer.n_inputs <= 32 else ""
    return element(
        "svg",
        element("rect", x="0", y="0", width=layer.n_steps, height=layer.n_inputs, class_="field"),
        element("path", d=drawn, class_=f"spikes s{colour}{few}",
                vector_effect="non-scaling-stroke") if drawn else None,
        y=top,
        width="100%",
        height=_HEIGHT,
        viewBox=f"0 0 {layer.n_steps} {layer.n_inputs}",
        preserveAspectRatio="none",
        class_="stretched",
    )  # fmt: skip
